//! The terminal that a person types at: its modes, its width, and what it hands over.
//!
//! This module must not know what is typed there.

use crate::output::session_terminal;
use rustix::io::{Errno, read};
use rustix::process::{getpgrp, getpid, getsid, kill_process_group};
use rustix::stdio;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr,
};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Columns of a terminal that does not say how wide it is.
const COLUMNS_DEFAULT: usize = 80;
/// What a special character is set to so that no key gives it.
const NO_KEY: u8 = 0;

pub(crate) struct Terminal {
    device: Device,
    /// Its modes before keys were read one by one; `None` while they are not.
    before: Option<Termios>,
}

enum Device {
    Stdin,
    /// Stdin is something else.
    Session(OwnedFd),
}

impl Terminal {
    /// The terminal at stdin, if one is there.
    pub(crate) fn at_stdin() -> Option<Terminal> {
        isatty(stdio::stdin()).then_some(Terminal { device: Device::Stdin, before: None })
    }

    /// The terminal of this session, whatever stdin is; and the same once more, to write to.
    pub(crate) fn of_session() -> Option<(Terminal, OwnedFd)> {
        let terminal = Terminal { device: Device::Session(session_terminal()?), before: None };
        Some((terminal, session_terminal()?))
    }

    /// Whether what is typed there is this process's input as well.
    pub(crate) fn is_input(&self) -> bool {
        matches!(self.device, Device::Stdin)
    }

    /// From now on each key is handed over at once and not shown. What was typed before is not lost.
    pub(crate) fn take_keys(&mut self) {
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

    /// Gives the terminal its modes back.
    pub(crate) fn give_back(&mut self) {
        if let Some(before) = self.before.take() {
            // A terminal that has gone needs no modes.
            let _ = tcsetattr(&self.device, OptionalActions::Now, &before);
        }
    }

    /// Whether keys are handed over one by one.
    pub(crate) fn has_keys(&self) -> bool {
        self.before.is_some()
    }

    pub(crate) fn columns(&self) -> usize {
        match tcgetwinsize(&self.device) {
            Ok(size) if size.ws_col > 0 => size.ws_col.into(),
            _ => COLUMNS_DEFAULT,
        }
    }

    /// Reads what was typed.
    ///
    /// # Errors
    /// What the system gives; `AGAIN` and `INTR` among them.
    pub(crate) fn read(&self, into: &mut [u8]) -> Result<usize, Errno> {
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
            Device::Session(terminal) => terminal.as_fd(),
        }
    }
}

/// Stops the process group, as the key for that does, if there is a shell to continue it. The process that leads the
/// session of its terminal, as in a container, has none.
pub(crate) fn stop_if_somebody_can_continue() {
    if getsid(None).is_ok_and(|session| session != getpid()) {
        // One that cannot be stopped goes on.
        let _ = kill_process_group(getpgrp(), rustix::process::Signal::TSTP);
    }
}
