//! A program with a person at a terminal, who types when they see that it is time.

use super::{SERVICE_MANAGER_VARIABLES, await_input};
use pty_process::blocking::{Command, Pty, open};
use rustix::process::Pid;
use rustix::termios::{LocalModes, tcgetattr};
use std::io::{Read, Write};
use std::process::Child;

/// A program whose three streams are one terminal. Killed when dropped.
pub(crate) struct Terminal {
    pub(crate) pty: Pty,
    pub(crate) child: Child,
    /// All that the person has seen.
    pub(crate) shown: String,
    /// What came before is answered.
    answered: usize,
}

impl Terminal {
    /// The program is the first on the terminal.
    pub(crate) fn of(command: Command) -> Terminal {
        let (pty, pts) = open().unwrap();
        let command =
            SERVICE_MANAGER_VARIABLES.iter().fold(command, |command, name| command.env_remove(name));
        let child = command.env_remove("PORTER_PASSWORD").spawn(pts).unwrap();
        Terminal { pty, child, shown: String::new(), answered: 0 }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Whether the terminal shows what is typed, and hands it over by lines.
    pub(crate) fn is_as_before(&self) -> bool {
        let modes = tcgetattr(&self.pty).unwrap().local_modes;
        modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    }

    /// Waits until this appears after the last thing that was waited for.
    pub(crate) fn await_text(&mut self, marker: &str) {
        loop {
            if let Some(at) = self.shown[self.answered..].find(marker) {
                self.answered += at + marker.len();
                return;
            }
            assert!(self.look(), "the program ended without showing {marker:?}: {}", self.shown);
        }
    }

    pub(crate) fn answer(&mut self, prompt: &str, answer: &str) {
        self.await_text(prompt);
        self.types(&format!("{answer}\r"));
    }

    pub(crate) fn types(&mut self, keys: &str) {
        self.pty.write_all(keys.as_bytes()).unwrap();
    }

    fn look(&mut self) -> bool {
        await_input(&self.pty);
        let mut portion = [0; 4096];
        // A terminal whose last user has gone gives an error on Linux.
        let count = self.pty.read(&mut portion).unwrap_or(0);
        self.shown.push_str(&String::from_utf8_lossy(&portion[..count]));
        count > 0
    }

    pub(crate) fn ends(&mut self) -> Option<i32> {
        while self.look() {}
        self.child.wait().unwrap().code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
