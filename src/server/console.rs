//! The terminal, pipe or file that the server was started at.
//!
//! Standard input and output usually share one open file with the shell that started the server, so neither is ever
//! set non-blocking. Input is read only after readiness, one read at a time; output goes through a descriptor of our
//! own where one can be had. Whatever they are, they never stop the service.
//!
//! Where both are terminals, what is typed is edited by the [line editor](crate::editor), and what is shown appears above
//! it. A key goes from [`Console::read`] to the editor, and what it completes comes out of [`Console::next_line`]; a line
//! for the person goes to [`Console::show`], which takes the row away in which they type; and at the end of the turn
//! [`Console::flush`] writes what waits and draws the row. While somebody else has the terminal it is left as it is, and
//! nothing is read; and from the moment when the server begins to stop it edits its lines itself again.

mod lines;
mod output;
#[cfg(feature = "programs")]
mod typing;
#[cfg(not(feature = "programs"))]
#[path = "console/untyped.rs"]
mod typing;

use self::lines::{LineBuffer, warn_of_long_line};
use self::output::Output;
use self::typing::Typing;
use super::stderr::hold_warnings;
use super::stream::{are_one_terminal, is_file, is_ready};
use crate::Moment;
use crate::foreground::is_foreground;
use crate::limits::CONSOLE_LINE_BYTES;
use log::Level;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::event::PollFlags;
use rustix::fd::AsRawFd;
use rustix::io::Errno;
use rustix::stdio::{stderr, stdin, stdout};
use std::collections::VecDeque;
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
    typing: Option<Typing>,
    /// Stderr is the terminal at which lines are typed.
    shares_stderr: bool,
    /// Lines that were typed and are not taken yet.
    lines: VecDeque<String>,
    /// Something is to be done when the turn ends: written, drawn, or asked for by a signal.
    is_waiting: bool,
}

struct Input {
    token: Token,
    is_terminal: bool,
    /// No event tells of it, and it is read share by share to its end.
    is_file: bool,
    buffer: LineBuffer,
    /// When to look again though no event says so: there is more in the file, or the terminal has a line, and somebody
    /// else has the terminal.
    look_again: Option<Moment>,
}

/// What came of keys.
#[cfg_attr(not(feature = "programs"), expect(dead_code, reason = "without programs there is no line editor"))]
enum Entered {
    Line(String),
    TooLong,
    /// The end of the input.
    End,
    /// What a line that is begun may go on as.
    Choice(Vec<String>),
}

impl Console {
    /// Takes part in the poll, where the system lets it: a file cannot be waited for, and is read by shares; nor can
    /// `/dev/null`, and then there is nobody at the console to wait for either.
    pub(super) fn new(registry: &Registry, [input, output, signals]: [Token; 3]) -> Console {
        let is_file = is_file(stdin());
        let registered = match is_file {
            true => Ok(()),
            false => registry.register(&mut SourceFd(&stdin().as_raw_fd()), input, Interest::READABLE),
        };
        let input = match registered {
            Ok(()) => Some(Input {
                token: input,
                is_terminal: rustix::termios::isatty(stdin()),
                is_file,
                buffer: LineBuffer::default(),
                look_again: is_file.then_some(Moment::START),
            }),
            Err(error) => {
                log_event!(Level::Info, "console not read", reason = ?error; "standard input cannot be waited for");
                None
            }
        };
        let output = Output::new(registry, output);
        let is_typed_at = input.is_some() && output.is_terminal();
        let typing = if is_typed_at { Typing::begin(registry, signals) } else { None };
        let shares_stderr = typing.is_some() && are_one_terminal(stdout(), stderr());
        hold_warnings(shares_stderr);
        Console {
            input,
            output: Some(output),
            is_waiting: typing.is_some(),
            typing,
            shares_stderr,
            lines: VecDeque::new(),
        }
    }

    /// When to read though no event says so.
    pub(super) fn next_look(&self) -> Option<Moment> {
        self.input.as_ref().and_then(|input| input.look_again)
    }

    /// Input may be ready: reads once, for [`next_line`](Console::next_line) to give the lines that are whole.
    pub(super) fn read(&mut self, registry: &Registry, now: Moment) {
        let Some(input) = &mut self.input else { return };
        input.look_again = input.is_file.then_some(now);
        // Whoever else has the terminal may have taken the line meanwhile, and then reading would block.
        if !is_ready(stdin(), PollFlags::IN) {
            return;
        }
        if input.is_terminal && !is_foreground(stdin()) {
            // What is typed now is for somebody else, and reading it would stop the process.
            input.look_again = Some(now + BACKGROUND_LOOK);
            return;
        }
        // Whoever had it until just now may have taken the line: a shell reads one, and then brings the server forward.
        if input.is_terminal && !is_ready(stdin(), PollFlags::IN) {
            return;
        }
        let mut buffer = [0; READ_BYTES];
        match rustix::io::read(stdin(), &mut buffer) {
            Ok(0) => {
                if input.is_terminal {
                    self.print(INPUT_ENDED);
                }
                self.end_input(registry, "it has ended");
            }
            Ok(count) => {
                match self.typing.as_mut().filter(|typing| typing.is_editing()) {
                    Some(typing) => {
                        typing.feed(&buffer[..count]);
                        self.is_waiting = true;
                    }
                    None => self.lines.extend(input.buffer.take(&buffer[..count])),
                }
                // More may be there, of which no event would tell: ask for a new one.
                if !input.is_file
                    && let Err(error) = registry.reregister(
                        &mut SourceFd(&stdin().as_raw_fd()),
                        input.token,
                        Interest::READABLE,
                    )
                {
                    self.end_input(registry, &error.to_string());
                }
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => self.end_input(registry, &error.to_string()),
        }
    }

    /// The next line that was typed. What a line that is begun may go on as is asked for by it.
    pub(super) fn next_line(
        &mut self,
        registry: &Registry,
        completions: impl Fn(&str) -> Vec<String>,
    ) -> Option<String> {
        while let Some((entered, row)) =
            self.typing.as_mut().and_then(|typing| typing.next_entered(&completions))
        {
            if let (Some(output), Some(row)) = (&mut self.output, row) {
                output.push_line(&row);
            }
            match entered {
                Entered::Line(line) => return Some(line),
                Entered::TooLong => {
                    warn_of_long_line();
                    self.show(&format!("not taken: a line has at most {CONSOLE_LINE_BYTES} bytes"));
                }
                Entered::End => {
                    self.print(INPUT_ENDED);
                    self.end_input(registry, "it has ended");
                }
                Entered::Choice(texts) => self.show(&texts.join("  ")),
            }
        }
        self.lines.pop_front()
    }

    /// Puts a line into the queue.
    pub(super) fn show(&mut self, line: &str) {
        let Some(output) = &mut self.output else { return };
        if let Some(typing) = &mut self.typing {
            output.push(typing.erase());
        }
        output.push_line(line);
        self.is_waiting = true;
    }

    /// Puts a line into the queue that is for a person: where the output is no terminal, nobody is told.
    pub(super) fn print(&mut self, line: &str) {
        if self.output.as_ref().is_some_and(Output::is_terminal) {
            self.show(line);
        }
    }

    /// The same, where a key for a signal may be what was typed last.
    pub(super) fn print_below_key(&mut self, line: &str) {
        match self.is_edited() {
            true => self.print(line),
            // The terminal has shown the key, and nothing behind it.
            false => self.print(&format!("\n{line}")),
        }
    }

    /// Whether there is anything for [`flush`](Console::flush) to do.
    #[inline]
    pub(super) fn is_waiting(&self) -> bool {
        self.is_waiting
    }

    /// Writes what the terminal or pipe takes, and draws the row in which somebody types.
    pub(super) fn flush(&mut self) {
        let outcome = self.output.as_mut().map_or(Ok(()), |output| {
            output.write_out()?;
            // One row waits at most, and with it nothing that was before it.
            let row = self.typing.as_mut().filter(|_| !output.is_waiting()).and_then(Typing::draw);
            row.map_or(Ok(()), |row| {
                output.push(&row);
                output.write_out()
            })
        });
        if let Err(error) = outcome {
            log_event!(Level::Info, "console not written any more", reason = ?error);
            self.output = None;
            self.end_editing();
        }
        self.is_waiting = self.output.as_ref().is_some_and(Output::is_waiting) || self.is_asked();
    }

    /// Whether what is said on stderr would tear what is typed.
    pub(super) fn shares_stderr(&self) -> bool {
        self.shares_stderr && self.is_edited()
    }

    /// Something is about to be said on stderr: the row is away until [`flush`](Console::flush) draws it.
    pub(super) fn make_way(&mut self) {
        self.erase();
        if let Some(output) = &mut self.output {
            // An error is noticed when the row is drawn.
            let _ = output.write_out();
        }
        self.is_waiting = true;
    }

    /// Signals for those who have the terminal may have come.
    pub(super) fn take_signals(&mut self) {
        let Some(typing) = &mut self.typing else { return };
        if typing.take_signals()
            && let Some(output) = &mut self.output
        {
            output.push(typing.erase());
        }
        self.is_waiting = true;
    }

    /// Whether this process is to be stopped, or ended, by a signal that would have done so at once.
    pub(super) fn is_asked(&self) -> bool {
        self.typing.as_ref().is_some_and(Typing::is_asked)
    }

    /// Has the signal do so, with the terminal as it was before. When this returns the process was continued.
    pub(super) fn act_on_signal(&mut self) {
        // What cannot be written now is written when the process is continued.
        self.make_way();
        if let Some(typing) = &mut self.typing {
            typing.act();
        }
    }

    /// From now on the terminal edits lines itself, for good: whatever ends the process leaves it as it was.
    pub(super) fn end_editing(&mut self) {
        self.erase();
        if let Some(typing) = &mut self.typing {
            typing.end();
        }
        hold_warnings(false);
        self.is_waiting = true;
    }

    /// Whether lines are typed in the editor.
    pub(super) fn is_edited(&self) -> bool {
        self.typing.as_ref().is_some_and(Typing::is_editing)
    }

    fn erase(&mut self) {
        if let (Some(output), Some(typing)) = (&mut self.output, &mut self.typing) {
            output.push(typing.erase());
        }
    }

    fn end_input(&mut self, registry: &Registry, reason: &str) {
        log_event!(Level::Info, "console not read any more", reason = ?reason);
        let _ = registry.deregister(&mut SourceFd(&stdin().as_raw_fd()));
        self.lines.extend(self.input.take().and_then(|input| input.buffer.rest()));
        self.end_editing();
    }
}

/// Whatever ends the server, be it a panic, the row is not left on the screen. The terminal's modes are given back by their
/// owner.
impl Drop for Console {
    fn drop(&mut self) {
        self.make_way();
        hold_warnings(false);
    }
}
