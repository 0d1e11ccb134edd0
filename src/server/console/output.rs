//! Standard output, which nobody may be reading: what is for it waits here, within a bound.
//!
//! This module must not know what is shown.

use crate::limits::CONSOLE_BUFFER_BYTES;
use crate::server::stream::{BLOCKING_WRITE_BYTES, is_ready, may_write_terminal, reopened};
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::event::PollFlags;
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::stdio::stdout;
use std::collections::VecDeque;
use std::io;

pub(super) struct Output {
    /// A non-blocking descriptor of our own; without one, standard output itself is used with care.
    own: Option<OwnedFd>,
    is_terminal: bool,
    waiting: VecDeque<u8>,
    dropped_lines: u64,
}

impl Output {
    pub(super) fn new(registry: &Registry, token: Token) -> Output {
        let own = reopened(stdout());
        let descriptor = own.as_ref().map_or(stdout(), AsFd::as_fd).as_raw_fd();
        // A file need not be waited for: it is always writable.
        let _ = registry.register(&mut SourceFd(&descriptor), token, Interest::WRITABLE);
        let is_terminal = rustix::termios::isatty(stdout());
        Output { own, is_terminal, waiting: VecDeque::new(), dropped_lines: 0 }
    }

    pub(super) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Puts a line into the queue, if there is room.
    pub(super) fn push_line(&mut self, line: &str) {
        if self.waiting.len() + line.len() >= CONSOLE_BUFFER_BYTES {
            self.dropped_lines += 1;
            return;
        }
        self.note_dropped_lines();
        self.push(line);
        self.push("\n");
    }

    /// Puts something into the queue that is small and must be there.
    pub(super) fn push(&mut self, text: &str) {
        self.waiting.extend(text.as_bytes());
    }

    /// Whether something waits to be written.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Writes what the terminal or pipe takes.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn write_out(&mut self) -> io::Result<()> {
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
