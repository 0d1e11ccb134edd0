//! The terminal, pipe or file that the server was started at.
//!
//! Standard input and output usually share one open file with the shell that started the server, so neither is ever
//! set non-blocking. Input is read only after readiness, one read at a time; output goes through a descriptor of our
//! own where one can be had. Whatever they are, they never stop the service.

use super::stream::{BLOCKING_WRITE_BYTES, is_foreground, is_ready, may_write_terminal, reopened};
use crate::Moment;
use crate::limits::{CONSOLE_BUFFER_BYTES, CONSOLE_LINE_BYTES};
use log::Level;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::event::PollFlags;
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::stdio::{stdin, stdout};
use std::collections::VecDeque;
use std::io;
use std::time::Duration;

/// What one read of the console takes: a turn handles no more lines than these bytes hold.
const READ_BYTES: usize = 4096;

/// How often a terminal is looked at that has a line while somebody else has the terminal.
const BACKGROUND_LOOK: Duration = Duration::from_secs(1);

/// What the person is told who typed the end of the input.
const INPUT_ENDED: &str =
    "the input has ended: no more commands are taken here; the server goes on, and Ctrl-C stops it";

/// Lines typed, and lines shown.
pub(super) struct Console {
    input: Option<Input>,
    output: Option<Output>,
}

struct Input {
    token: Token,
    is_terminal: bool,
    lines: LineBuffer,
    /// The terminal has a line, and somebody else has the terminal: when to look again, since no event tells of its
    /// coming back.
    look_again: Option<Moment>,
}

struct Output {
    /// A non-blocking descriptor of our own; without one, standard output itself is used with care.
    own: Option<OwnedFd>,
    is_terminal: bool,
    waiting: VecDeque<u8>,
    dropped_lines: u64,
}

impl Console {
    /// Takes part in the poll, where the system lets it: a file or `/dev/null` cannot be waited for, and then there
    /// is nobody at the console to wait for either.
    pub(super) fn new(registry: &Registry, input_token: Token, output_token: Token) -> Console {
        let registered =
            registry.register(&mut SourceFd(&stdin().as_raw_fd()), input_token, Interest::READABLE);
        let input = match registered {
            Ok(()) => Some(Input {
                token: input_token,
                is_terminal: rustix::termios::isatty(stdin()),
                lines: LineBuffer::default(),
                look_again: None,
            }),
            Err(error) => {
                log_event!(Level::Info, "console not read", reason = ?error; "standard input cannot be waited for");
                None
            }
        };
        let own = reopened(stdout());
        let descriptor = own.as_ref().map_or(stdout(), AsFd::as_fd).as_raw_fd();
        // A file need not be waited for: it is always writable.
        let _ = registry.register(&mut SourceFd(&descriptor), output_token, Interest::WRITABLE);
        let output = Output {
            own,
            is_terminal: rustix::termios::isatty(stdout()),
            waiting: VecDeque::new(),
            dropped_lines: 0,
        };
        Console { input, output: Some(output) }
    }

    /// When to read though no event says so.
    pub(super) fn next_look(&self) -> Option<Moment> {
        self.input.as_ref().and_then(|input| input.look_again)
    }

    /// Input may be ready: reads once and gives the lines that are whole.
    pub(super) fn read_lines(&mut self, registry: &Registry, now: Moment) -> Vec<String> {
        let Some(input) = &mut self.input else { return Vec::new() };
        input.look_again = None;
        // Whoever else has the terminal may have taken the line meanwhile, and then reading would block.
        if !is_ready(stdin(), PollFlags::IN) {
            return Vec::new();
        }
        if input.is_terminal && !is_foreground(stdin()) {
            // What is typed now is for somebody else, and reading it would stop the process.
            input.look_again = Some(now + BACKGROUND_LOOK);
            return Vec::new();
        }
        let mut buffer = [0; READ_BYTES];
        match rustix::io::read(stdin(), &mut buffer) {
            Ok(0) => {
                if input.is_terminal {
                    self.tell(INPUT_ENDED);
                }
                self.end_input(registry, "it has ended")
            }
            Ok(count) => {
                let lines = input.lines.take(&buffer[..count]);
                // More may be there, of which no event would tell: ask for a new one.
                let again =
                    registry.reregister(&mut SourceFd(&stdin().as_raw_fd()), input.token, Interest::READABLE);
                if let Err(error) = again {
                    self.end_input(registry, &error.to_string());
                }
                lines
            }
            Err(Errno::INTR | Errno::AGAIN) => Vec::new(),
            Err(error) => self.end_input(registry, &error.to_string()),
        }
    }

    /// Puts a line into the queue.
    pub(super) fn show(&mut self, line: &str) {
        let Some(output) = &mut self.output else { return };
        if output.waiting.len() + line.len() >= CONSOLE_BUFFER_BYTES {
            output.dropped_lines += 1;
            return;
        }
        output.note_dropped_lines();
        output.waiting.extend(line.bytes().chain(*b"\n"));
    }

    /// Puts a line into the queue that is for a person: where the output is no terminal, nobody is told.
    pub(super) fn tell(&mut self, line: &str) {
        if self.output.as_ref().is_some_and(|output| output.is_terminal) {
            self.show(line);
        }
    }

    /// Whether lines wait to be written.
    pub(super) fn is_waiting(&self) -> bool {
        self.output.as_ref().is_some_and(|output| !output.waiting.is_empty())
    }

    /// Writes what the terminal or pipe takes.
    pub(super) fn flush(&mut self) {
        let Some(output) = &mut self.output else { return };
        if let Err(error) = output.write_out() {
            log_event!(Level::Info, "console not written any more", reason = ?error);
            self.output = None;
        }
    }

    fn end_input(&mut self, registry: &Registry, reason: &str) -> Vec<String> {
        log_event!(Level::Info, "console not read any more", reason = ?reason);
        let _ = registry.deregister(&mut SourceFd(&stdin().as_raw_fd()));
        self.input.take().and_then(|input| input.lines.rest()).into_iter().collect()
    }
}

impl Output {
    fn write_out(&mut self) -> io::Result<()> {
        while !self.waiting.is_empty() {
            if self.is_terminal && !may_write_terminal(stdout()) {
                return Ok(());
            }
            let (bytes, _) = self.waiting.as_slices();
            let written = match &self.own {
                Some(own) => rustix::io::write(own, bytes),
                None if !is_ready(stdout(), PollFlags::OUT) => return Ok(()),
                None => rustix::io::write(stdout(), &bytes[..bytes.len().min(BLOCKING_WRITE_BYTES)]),
            };
            match written {
                Ok(count) => drop(self.waiting.drain(..count)),
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            self.note_dropped_lines();
        }
        self.waiting.shrink_to(0);
        Ok(())
    }

    fn note_dropped_lines(&mut self) {
        if self.dropped_lines > 0 && self.waiting.len() < CONSOLE_BUFFER_BYTES / 2 {
            let note =
                format!("({} lines were not shown: the console did not take them)\n", self.dropped_lines);
            self.dropped_lines = 0;
            self.waiting.extend(note.bytes());
        }
    }
}

/// Bytes on their way to being lines.
#[derive(Debug, Default)]
struct LineBuffer {
    bytes: Vec<u8>,
    /// The line has been too long: the rest of it is dropped.
    skipping: bool,
}

impl LineBuffer {
    fn take(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.bytes.len() + part.len() > CONSOLE_LINE_BYTES {
                self.skipping = true;
                self.bytes = Vec::new();
                log::warn!("console line dropped: it was longer than {CONSOLE_LINE_BYTES} bytes");
            }
            if !self.skipping {
                self.bytes.extend_from_slice(part);
            }
            if part.ends_with(b"\n") && !std::mem::take(&mut self.skipping) {
                lines.push(String::from_utf8_lossy(&std::mem::take(&mut self.bytes)).into_owned());
            }
        }
        lines
    }

    /// A last line without an end.
    fn rest(self) -> Option<String> {
        (!self.bytes.is_empty()).then(|| String::from_utf8_lossy(&self.bytes).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_from_any_portions() {
        let mut buffer = LineBuffer::default();
        assert!(buffer.take(b"on").is_empty());
        assert_eq!(buffer.take(b"e\ntwo\nth"), ["one\n", "two\n"]);
        assert_eq!(buffer.rest().as_deref(), Some("th"));
    }

    #[test]
    fn a_line_that_is_too_long_is_dropped_and_the_next_is_not() {
        let mut buffer = LineBuffer::default();
        for _ in 0..=CONSOLE_LINE_BYTES / 1000 {
            assert!(buffer.take(&[b'x'; 1000]).is_empty());
            assert!(buffer.bytes.len() <= CONSOLE_LINE_BYTES);
        }
        assert_eq!(buffer.take(b"x\nshort\n"), ["short\n"]);
    }
}
