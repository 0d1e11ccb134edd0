//! What a program may attach to a server: the console, signals, a log file.
//!
//! This module must not know sockets.

use super::console::Console;
use super::signals::{SignalAction, Signals};
use super::{CONSOLE_INPUT, CONSOLE_OUTPUT, LOG_DELAY, LOG_RETRY, SIGNALS, Server, ServerError};
use crate::Moment;
use crate::store::Store;
use mio::Interest;

/// What the person at the terminal is told at a signal to stop, below what the key for it has shown.
const STOPPING: &str = "\nstopping: clients are told goodbye; Ctrl-C again ends the server at once";

impl<S: Store> Server<S> {
    /// Takes part at this process's stdin and stdout: what is typed there are commands, and what clients write is shown
    /// there where the handler wants it.
    pub fn attach_console(&mut self) {
        self.console = Some(Console::new(self.poll.registry(), CONSOLE_INPUT, CONSOLE_OUTPUT));
    }

    /// From now on SIGINT and SIGTERM stop the server in order, and SIGHUP has it read files anew.
    ///
    /// # Errors
    /// [`ServerError::Events`].
    pub fn attach_signals(&mut self) -> Result<(), ServerError> {
        let mut signals = Signals::new().map_err(ServerError::Events)?;
        let registered = self.poll.registry().register(signals.source(), SIGNALS, Interest::READABLE);
        self.signals = Some(signals);
        registered.map_err(ServerError::Events)
    }

    pub(super) fn handle_wake(&mut self, now: Moment) {
        if self.handle.is_stop_asked() {
            self.begin_stopping(now);
        }
        self.engine.handle_wake(now);
    }

    pub(super) fn read_console(&mut self, now: Moment) {
        let Some(console) = &mut self.console else { return };
        for line in console.read_lines(self.poll.registry(), now) {
            self.engine.handle_console_line(&line, now);
        }
    }

    pub(super) fn handle_signals(&mut self, now: Moment) {
        let actions = self.signals.as_mut().map(Signals::actions).unwrap_or_default();
        for action in actions {
            match action {
                SignalAction::Stop => {
                    if let Some(console) = &mut self.console {
                        console.tell(STOPPING);
                    }
                    self.begin_stopping(now);
                }
                SignalAction::Reload => drop(self.reload(now)),
            }
        }
    }

    pub(super) fn show(&mut self) {
        while let Some(line) = self.engine.poll_console_line() {
            if let Some(console) = &mut self.console {
                console.show(&line);
            }
        }
        self.flush_console();
    }

    pub(super) fn flush_console(&mut self) {
        if let Some(console) = self.console.as_mut().filter(|console| console.is_waiting()) {
            console.flush();
        }
    }

    pub(super) fn flush_log(&mut self, now: Moment) {
        let Some(log) = self.log.as_ref().filter(|log| log.is_waiting()) else {
            self.log_due = None;
            return;
        };
        let due = *self.log_due.get_or_insert(now + LOG_DELAY);
        if due <= now || log.is_urgent() {
            log.flush();
            self.log_due = log.is_waiting().then(|| now + LOG_RETRY);
        }
    }
}
