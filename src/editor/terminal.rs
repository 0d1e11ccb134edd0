//! The terminal that a person types at: its modes, its width, and what it hands over.
//!
//! This module must not know what is typed there.

use crate::foreground::is_foreground;
use rustix::io::{Errno, read};
use rustix::stdio;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr,
};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Columns of a terminal that does not say how wide it is.
const COLUMNS_DEFAULT: usize = 80;
/// What a special character is set to so that no key gives it.
const NO_KEY: u8 = 0;

/// A terminal, and the modes that it had before its keys were read one by one. It has them again when this is dropped.
pub struct Terminal {
    device: Device,
    /// Its modes before keys were read one by one; `None` while they are not.
    before: Option<Termios>,
}

enum Device {
    Stdin,
    /// Opened for the purpose.
    Other(OwnedFd),
}

impl Terminal {
    /// The terminal at stdin, if one is there.
    pub fn at_stdin() -> Option<Terminal> {
        isatty(stdio::stdin()).then_some(Terminal { device: Device::Stdin, before: None })
    }

    /// One that was opened, whatever stdin is.
    pub fn opened(device: OwnedFd) -> Terminal {
        Terminal { device: Device::Other(device), before: None }
    }

    /// Whether what is typed there is this process's input as well.
    pub fn is_input(&self) -> bool {
        matches!(self.device, Device::Stdin)
    }

    /// Whether it is for this process to read and to set; where there is no job control it always is.
    pub fn is_foreground(&self) -> bool {
        is_foreground(&self.device)
    }

    /// From now on each key is handed over at once and not shown. What was typed before is not lost.
    pub fn take_keys(&mut self) {
        let Ok(before) = tcgetattr(&self.device) else { return };
        let mut modes = before.clone();
        // ISIG stays: the keys for signals are the person's choice, and reach the whole process group.
        modes
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::IEXTEN);
        modes.special_codes[SpecialCodeIndex::VMIN] = 1;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
        // The key that stops a program is handed over: where nobody could continue it, it must do nothing.
        modes.special_codes[SpecialCodeIndex::VSUSP] = NO_KEY;
        // A terminal that has gone is seen when it is read.
        let _ = tcsetattr(&self.device, OptionalActions::Now, &modes);
        self.before.get_or_insert(before);
    }

    /// Gives the terminal its modes back. One that somebody else has by now has theirs, and setting it would stop this
    /// process.
    pub fn give_back(&mut self) {
        if let Some(before) = self.before.take().filter(|_| self.is_foreground()) {
            // A terminal that has gone needs no modes.
            let _ = tcsetattr(&self.device, OptionalActions::Now, &before);
        }
    }

    /// Whether keys are handed over one by one.
    pub fn has_keys(&self) -> bool {
        self.before.is_some()
    }

    /// How wide it is.
    pub fn columns(&self) -> usize {
        match tcgetwinsize(&self.device) {
            Ok(size) if size.ws_col > 0 => size.ws_col.into(),
            _ => COLUMNS_DEFAULT,
        }
    }

    /// Reads what was typed.
    ///
    /// # Errors
    /// What the system gives; `AGAIN` and `INTR` among them.
    pub fn read(&self, into: &mut [u8]) -> Result<usize, Errno> {
        read(&self.device, into)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.give_back();
    }
}

impl AsFd for Terminal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Device::Stdin => stdio::stdin(),
            Device::Other(terminal) => terminal.as_fd(),
        }
    }
}

/// Whether the terminal is one that draws nothing but letters, as its person's environment says.
pub fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|kind| kind == "dumb")
}
