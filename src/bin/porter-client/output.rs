//! A stream of this process that others may share, read slowly, or not read at all: bytes wait here and are written as
//! the stream takes them, without ever waiting for it.
//!
//! The stream's own mode is left as it is: whoever shares it would be surprised by another. This module must not know
//! what the bytes say.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::{Errno, write};
use rustix::pipe::PIPE_BUF;
use rustix::termios::{isatty, tcgetsid};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The terminal of this session, whatever stdin, stdout and stderr are.
const TERMINAL: &str = "/dev/tty";

pub(crate) struct Output {
    stream: Stream,
    waiting: Vec<u8>,
    /// Bytes of `waiting` that are written.
    written: usize,
    portion_bytes: usize,
}

enum Stream {
    Inherited(BorrowedFd<'static>),
    Own(OwnedFd),
}

impl Output {
    /// One of the process's own three streams.
    pub(crate) fn inherited(stream: BorrowedFd<'static>) -> Output {
        // A terminal may have room for less than a portion; opened anew it can be written without waiting, and others
        // do not notice.
        let own = if isatty(stream) && tcgetsid(stream).is_ok() {
            open(
                TERMINAL,
                OFlags::WRONLY | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC,
                Mode::empty(),
            )
            .ok()
        } else {
            None
        };
        let is_file = fstat(stream).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_file());
        // A pipe that is ready has room for so much without waiting; a file always has.
        let portion_bytes = if is_file { usize::MAX } else { PIPE_BUF };
        let stream = own.map_or(Stream::Inherited(stream), Stream::Own);
        Output { stream, waiting: Vec::new(), written: 0, portion_bytes }
    }

    pub(crate) fn owned(stream: OwnedFd) -> Output {
        Output { stream: Stream::Own(stream), waiting: Vec::new(), written: 0, portion_bytes: PIPE_BUF }
    }

    pub(crate) fn push(&mut self, text: &str) {
        self.waiting.extend_from_slice(text.as_bytes());
    }

    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len() - self.written
    }

    /// Writes what can be written without waiting.
    ///
    /// # Errors
    /// What the system gives, once; what waited is then gone.
    pub(crate) fn write(&mut self) -> io::Result<()> {
        while self.len() > 0 && self.is_ready() {
            let end = self.waiting.len().min(self.written.saturating_add(self.portion_bytes));
            match write(&self.stream, &self.waiting[self.written..end]) {
                Ok(count) => self.written += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(error) => {
                    self.written = self.waiting.len();
                    return Err(error.into());
                }
            }
        }
        if self.len() == 0 {
            self.waiting.clear();
            self.written = 0;
        }
        Ok(())
    }

    fn is_ready(&self) -> bool {
        let mut ports = [PollFd::new(&self.stream, PollFlags::OUT)];
        self.portion_bytes == usize::MAX
            || poll(&mut ports, Some(&Timespec::default())).is_ok_and(|count| count > 0)
    }
}

impl AsFd for Output {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Stream::Inherited(stream) => *stream,
            Stream::Own(stream) => stream.as_fd(),
        }
    }
}

/// The terminal of this session, to ask at when stdin is something else; `None` if there is none.
pub(crate) fn session_terminal() -> Option<OwnedFd> {
    open(TERMINAL, OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::read;

    #[test]
    fn a_pipe_that_nobody_reads_takes_what_it_can_and_the_rest_waits_in_order() {
        let (reader, writer) = io::pipe().unwrap();
        let mut output = Output::owned(writer.into());
        let text: String = (0..100_000).map(|number| format!("{number}\n")).collect();
        output.push(&text);
        output.write().unwrap();
        assert!(output.len() > 0 && output.len() < text.len());
        let mut got = Vec::new();
        while got.len() < text.len() {
            let mut portion = [0; 10_000];
            let count = read(&reader, &mut portion).unwrap();
            got.extend_from_slice(&portion[..count]);
            output.write().unwrap();
        }
        assert!(got == text.as_bytes());
        drop(reader);
        output.push("nobody is there");
        assert_eq!(output.write().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(output.len(), 0);
    }
}
