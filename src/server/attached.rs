//! What a program may attach to a server: the console, signals, a log file.
//!
//! This module must not know sockets.

use super::console::Console;
#[cfg(feature = "admin")]
use super::control::Control;
#[cfg(feature = "admin")]
use super::metrics::Metrics;
use super::reload::ReloadLine;
use super::signals::{SignalAction, Signals};
use super::stderr::{has_held_warnings, has_log_at, take_held_warnings};
use super::{
    CONSOLE_INPUT, CONSOLE_OUTPUT, CONSOLE_SIGNALS, LOG_DELAY, LOG_RETRY, SIGNALS, Server, ServerError,
};
use crate::Moment;
use crate::store::Store;
use log::Level;
use mio::Interest;

/// What the person at the terminal is told at a signal to stop.
const STOPPING: &str = "stopping: clients are told goodbye; Ctrl-C again ends the server at once";

impl<S: Store> Server<S> {
    /// Takes part at this process's stdin and stdout: what is typed there are commands, and what clients write is shown
    /// there where the handler wants it.
    ///
    /// With the feature `programs`, and where both are terminals of a kind that is not `dumb`, lines are typed in the
    /// [line editor](crate::editor). SIGTSTP and SIGQUIT do then what they do by default when the terminal is as it was.
    pub fn attach_console(&mut self) {
        let tokens = [CONSOLE_INPUT, CONSOLE_OUTPUT, CONSOLE_SIGNALS];
        self.console = Some(Console::new(self.poll.registry(), tokens));
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

    /// Has commands taken from a Unix socket `control` in the data directory, which [`bind`](Server::bind) was given.
    ///
    /// # Errors
    /// What the system says, or that something else has the name.
    #[cfg(feature = "admin")]
    pub fn attach_control(&mut self, data: &std::path::Path) -> std::io::Result<()> {
        self.control = Some(Control::bind(data, self.poll.registry())?);
        Ok(())
    }

    /// Has figures and health told over HTTP at all of these addresses, those of one name, that this machine has. Says where
    /// that is.
    ///
    /// # Errors
    /// [`ServerError::Listen`], [`ServerError::Events`].
    #[cfg(feature = "admin")]
    pub fn attach_metrics(
        &mut self,
        name: &[std::net::SocketAddr],
    ) -> Result<Vec<std::net::SocketAddr>, ServerError> {
        let metrics = Metrics::bind(name, self.poll.registry())?;
        let addresses = metrics.addresses().map_err(ServerError::Events)?;
        self.metrics = Some(metrics);
        Ok(addresses)
    }

    /// The same at a socket that listens already.
    ///
    /// # Errors
    /// [`ServerError::Socket`], [`ServerError::Events`].
    #[cfg(feature = "admin")]
    pub fn attach_metrics_socket(
        &mut self,
        socket: &std::net::TcpListener,
    ) -> Result<std::net::SocketAddr, ServerError> {
        self.metrics = Some(Metrics::adopt(socket, self.poll.registry())?);
        socket.local_addr().map_err(ServerError::Events)
    }

    pub(super) fn handle_wake(&mut self, now: Moment) {
        if self.handle.is_stop_asked() {
            self.begin_stopping(now);
        }
        if self.handle.take_wake() {
            self.engine.handle_wake(now);
        }
    }

    pub(super) fn read_console(&mut self, now: Moment) {
        self.note_log_lines_dropped();
        let Some(console) = &mut self.console else { return };
        console.read(self.poll.registry(), now);
        loop {
            let completions = |begun: &str| self.engine.console_completions(begun);
            let Some(line) = console.next_line(self.poll.registry(), completions) else { return };
            self.engine.handle_console_line(&line, now);
            // On the screen each answer is below its own line.
            while console.is_edited()
                && let Some(line) = self.engine.poll_console_line()
            {
                console.show(&line);
            }
        }
    }

    /// For those who ask for figures: whether a line is dropped shows when it is logged, and nobody else needs to know.
    pub(super) fn note_log_lines_dropped(&mut self) {
        if let Some(log) = &self.log {
            self.engine.note_log_lines_dropped(log.dropped_lines());
        }
    }

    pub(super) fn take_console_signals(&mut self) {
        if let Some(console) = &mut self.console {
            console.take_signals();
        }
    }

    pub(super) fn handle_signals(&mut self, now: Moment) {
        let actions = self.signals.as_mut().map(Signals::actions).unwrap_or_default();
        for action in actions {
            match action {
                SignalAction::Stop => {
                    if let Some(console) = &mut self.console {
                        console.print_below_key(STOPPING);
                    }
                    self.begin_stopping(now);
                }
                // Who stops takes nothing new, and has said so.
                SignalAction::Reload if self.stopping_until.is_some() => {}
                SignalAction::Reload => drop(self.reload(now)),
            }
        }
    }

    pub(super) fn log_store_notices(&mut self) {
        while let Some(notice) = self.engine.store_mut().poll_notice() {
            ReloadLine::from(notice).log();
        }
    }

    /// Serves those who administer, and carries out what was asked of the server itself, by them or at the console.
    #[inline]
    pub(super) fn administer(&mut self, now: Moment) {
        if self.is_administered() {
            self.serve_control(now);
        }
        while let Some(command) = self.engine.poll_reload() {
            let report = self.reload(now);
            let report = report.into_iter().map(|line| (line.text, line.level == Level::Error));
            self.engine.handle_reloaded(command, report);
        }
        if self.engine.is_quit_asked() {
            self.begin_stopping(now);
        }
    }

    pub(super) fn show(&mut self) {
        while let Some(line) = self.engine.poll_console_line() {
            if let Some(console) = &mut self.console {
                console.show(&line);
            }
        }
        let Some(console) = self.console.as_mut().filter(|console| console.is_waiting()) else { return };
        console.flush();
        if console.is_asked() {
            // The turn is not as long as the process is stopped.
            let stopped = self.clock.now();
            console.act_on_signal();
            let continued = self.clock.now();
            self.unmeasured = self.unmeasured.map(|began| began + continued.since(stopped));
        }
    }

    pub(super) fn flush_console(&mut self) {
        if let Some(console) = self.console.as_mut().filter(|console| console.is_waiting()) {
            console.flush();
        }
    }

    pub(super) fn flush_log(&mut self, now: Moment) {
        if has_held_warnings() {
            self.show_held_warnings();
        }
        let Some(log) = self.log.as_ref().filter(|log| log.is_waiting()) else {
            self.log_due = None;
            return;
        };
        let due = *self.log_due.get_or_insert(now + LOG_DELAY);
        if due > now && !log.is_urgent() {
            return;
        }
        // What is said on a stderr that is the console's terminal stands above what is typed there, too.
        let console = self.console.as_mut().filter(|_| has_log_at(Level::Error));
        if let Some(console) = console.filter(|console| console.shares_stderr()) {
            console.make_way();
        }
        log.flush();
        let retry = if log.is_moving() { LOG_DELAY } else { LOG_RETRY };
        self.log_due = log.is_waiting().then(|| now + retry);
        if has_held_warnings() {
            self.show_held_warnings();
        }
        self.flush_console();
    }

    /// What is said on stderr while somebody types there is shown as all else is.
    #[cold]
    fn show_held_warnings(&mut self) {
        if let Some(console) = &mut self.console {
            take_held_warnings().iter().for_each(|line| console.show(line));
            console.flush();
        }
    }
}

#[cfg(feature = "admin")]
impl<S: Store> Server<S> {
    #[inline]
    pub(super) fn take_control_event(&mut self, token: mio::Token) -> bool {
        self.control.as_mut().is_some_and(|control| control.take_event(token))
            || self.metrics.as_mut().is_some_and(|metrics| metrics.take_event(token))
    }

    /// Whether somebody is at the control socket or asks for figures, or may be. Nearly always nobody does, and then a turn
    /// pays for this look alone.
    #[inline]
    pub(super) fn is_administered(&self) -> bool {
        self.control.as_ref().is_some_and(|control| !control.is_idle())
            || self.metrics.as_ref().is_some_and(|metrics| !metrics.is_idle())
    }

    #[cold]
    pub(super) fn serve_control(&mut self, now: Moment) {
        // Nobody else asks, so that it need not be known at other times.
        self.note_log_lines_dropped();
        let (waiting, under_way) = self.handshakes.counts();
        self.engine.note_pending_handshakes(waiting, under_way);
        if let Some(control) = &mut self.control {
            control.serve(&mut self.engine, self.poll.registry(), now);
        }
        if let Some(metrics) = &mut self.metrics {
            metrics.serve(&self.engine, self.poll.registry(), now);
        }
    }

    /// Makes the socket again if somebody has removed it.
    pub(super) fn keep_control(&mut self, lines: &mut Vec<ReloadLine>) {
        let kept = self.control.as_mut().map_or(Ok(false), |control| control.keep(self.poll.registry()));
        lines.push(match kept {
            Ok(false) => return,
            Ok(true) => ReloadLine::new(Level::Warn, "control socket made again"),
            Err(error) => ReloadLine::new(Level::Error, "control socket not made again")
                .saying(format!("control socket not made again reason=\"{error}\""))
                .with("reason", error),
        });
    }

    #[cold]
    pub(super) fn has_control_work(&self) -> bool {
        self.control.as_ref().is_some_and(|control| control.has_work(&self.engine))
            || self.metrics.as_ref().is_some_and(Metrics::has_work)
    }

    #[cold]
    pub(super) fn next_control_deadline(&self) -> Option<Moment> {
        let control = self.control.as_ref();
        let metrics = self.metrics.as_ref().and_then(Metrics::next_deadline);
        control.and_then(Control::next_deadline).into_iter().chain(metrics).min()
    }
}

/// Without the control socket there is nothing to be done for it.
#[cfg(not(feature = "admin"))]
impl<S: Store> Server<S> {
    pub(super) fn take_control_event(&mut self, _: mio::Token) -> bool {
        false
    }

    pub(super) fn is_administered(&self) -> bool {
        false
    }

    pub(super) fn serve_control(&mut self, _: Moment) {}

    pub(super) fn keep_control(&mut self, _: &mut Vec<ReloadLine>) {}

    pub(super) fn has_control_work(&self) -> bool {
        false
    }

    pub(super) fn next_control_deadline(&self) -> Option<Moment> {
        None
    }
}
