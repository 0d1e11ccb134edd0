//! The shell around the engine: the only place with mio.
//!
//! One thread runs turns, and a turn is a list of phases: wait, take events (console and signals too), accept,
//! begin handshakes, read, meet deadlines, work, write, close, store, hash, log. Each phase has a share of the turn, which
//! ends within some two milliseconds whatever the crowd; the next turn has what it leaves. Every socket is registered once,
//! for reading, and once more if it does not take all that is written; events are hints that set what is remembered of a
//! socket, and a socket that was cut off by its share stays on the ready list: nobody tells again.
//! Another thread looks up the name of a store that was lost, and nothing else.
//!
//! This module must not know what bytes mean; it carries them between sockets and the [`Engine`].
//!
//! # The flags of `porter-server`
//!
#![doc = include_str!("flags.md")]
//!
//! # Limits
//!
#![doc = include_str!("limits.md")]
//!
#![doc = include_str!("systemd.md")]

mod attached;
#[cfg(feature = "tls")]
mod certificate;
mod console;
#[cfg(feature = "admin")]
mod control;
mod deadlines;
mod descriptors;
#[cfg(feature = "tls")]
mod encryption;
#[cfg(not(feature = "tls"))]
#[path = "unencrypted.rs"]
mod encryption;
mod error;
mod handle;
#[cfg(feature = "tls")]
mod handshake_queue;
mod hashing;
mod listener;
mod listeners;
#[cfg(feature = "programs")]
mod logfile;
#[cfg(not(feature = "programs"))]
#[path = "unlogged.rs"]
mod logfile;
#[cfg(feature = "admin")]
mod metrics;
#[cfg(feature = "admin")]
mod places;
mod proxied;
mod reload;
mod service_manager;
mod signals;
mod slice;
mod socket;
mod sockets;
mod start;
mod stderr;
mod storing;
mod stream;
#[cfg(test)]
mod tests;
mod thread;
#[cfg(target_os = "linux")]
mod timer;
#[cfg(not(target_os = "linux"))]
#[path = "untimed.rs"]
mod timer;
#[cfg(feature = "tls")]
mod tls;

#[cfg(feature = "tls")]
pub use certificate::{CertificateFileError, CertificateFiles};
#[cfg(feature = "admin")]
pub use control::{CONTROL_FILE, connect_control};
pub use encryption::Encryption;
pub use error::{PortChoice, ServerError};
pub use handle::ServerHandle;
#[cfg(not(feature = "programs"))]
use logfile::LogHandle;
#[cfg(feature = "programs")]
pub use logfile::{LogDestination, LogFormat, LogHandle, LogOptions};
pub use reload::{NewSettings, ReadSettings, ReloadLine};
pub use service_manager::ServiceManager;
pub use start::{Options, OsEntropy};
#[cfg(feature = "shared")]
pub use storing::{StoreConnector, StoreFlagError, StoreTrust, WaitingLink, connect_store};
pub use thread::ServerThread;

use crate::Clock;
use crate::Moment;
use crate::engine::{ConnId, Engine};
use crate::limits::{CLOSE_DISCARD, CLOSE_FLUSH, STOP_TEXTS};
use crate::slots::Key;
use crate::store::{DiskStore, OsDisk, Store};
use console::Console;
use deadlines::Deadlines;
use encryption::Handshakes;
use listeners::Listeners;
use mio::{Events, Poll, Token};
use proxied::Proxied;
use service_manager::ServiceState;
use signals::Signals;
use slice::PhaseShare;
use socket::Socket;
use std::collections::VecDeque;
use std::io;
use std::time::Duration;
use storing::StoreLink;
use timer::Timer;

const SIGNALS: Token = Token(1);
const CONSOLE_INPUT: Token = Token(2);
const CONSOLE_OUTPUT: Token = Token(3);
const WAKER: Token = Token(4);
const CONSOLE_SIGNALS: Token = Token(5);
const TIMER: Token = Token(6);
const STORE: Token = Token(7);
/// The first of the listening sockets' tokens.
const LISTENERS_FIRST: usize = 1 << 18;
/// The first token of what waits for its PROXY header. A connection's is larger than any of them.
const PROXIED_FIRST: usize = 1 << 20;

/// Events taken from one wait; too few would make a crowd wait for several turns.
const EVENTS: usize = 512;
/// Reading from sockets.
const READ_SHARE: PhaseShare = PhaseShare::micros(800, 800);
/// Handing out texts for many, and what else the engine does in shares.
const WORK_SHARE: PhaseShare = PhaseShare::micros(300, 1_100);
/// Writing answers and what is for one.
const WRITE_SHARE: PhaseShare = PhaseShare::micros(700, 1_800);
/// Writing what is for many.
const WRITE_FOR_MANY_SHARE: PhaseShare = PhaseShare::micros(400, 2_200);
/// Closing sockets.
const CLOSE_SHARE: PhaseShare = PhaseShare::micros(300, 2_500);
/// Connections that are looked at between two looks at the clock while texts are handed out.
const WORK_LOOKS: usize = 256;
/// What is logged waits so long for more, unless it is a warning: a write for each line would cost more than its client.
const LOG_DELAY: Duration = Duration::from_millis(100);
/// How often a log that takes nothing is tried again while nothing else happens. One whose reader is slow is tried sooner.
const LOG_RETRY: Duration = Duration::from_secs(1);

/// How long a stop may take: what is on its way to many, each connection's last word and its discarded input, and a little.
const STOP: Duration =
    Duration::from_secs(STOP_TEXTS.as_secs() + CLOSE_FLUSH.as_secs() + CLOSE_DISCARD.as_secs() + 1);

/// A server that listens.
///
/// It stays on the thread that made it: neither handlers nor the frames that connections share are made for several. Other
/// threads stop and wake it by its [handle](Server::handle); a [`ServerThread`] has one of its own. Console, signals and log
/// file are for programs that want them: without any it serves until its handle stops it.
pub struct Server<S: Store = DiskStore<OsDisk>> {
    poll: Poll,
    clock: Clock,
    /// It goes before the store does, whose lock guards its name.
    #[cfg(feature = "admin")]
    control: Option<control::Control>,
    #[cfg(feature = "admin")]
    metrics: Option<metrics::Metrics>,
    engine: Engine<S>,
    store_link: StoreLink,
    listeners: Option<Listeners>,
    /// Where those wait whose proxy has yet to say for whom it has connected.
    proxied: Proxied,
    /// Where those wait whose connection is to be encrypted.
    handshakes: Handshakes,
    /// By the connection's slot.
    sockets: Vec<Option<Socket>>,
    /// Sockets of which something new is known: they are read first.
    ready: VecDeque<ConnId>,
    /// Sockets that had a share and have more to be read, are at their end, or begin their handshake.
    behind: VecDeque<ConnId>,
    /// Sockets that did not take all that was written and can be written again.
    unblocked: VecDeque<ConnId>,
    /// When the turn began whose length is not yet known. What of it went into a sync is left out.
    unmeasured: Option<Moment>,
    handle: ServerHandle,
    console: Option<Console>,
    signals: Option<Signals>,
    log: Option<LogHandle>,
    read_settings: Option<ReadSettings>,
    service_manager: Option<ServiceManager>,
    /// When what was logged is to be written.
    log_due: Option<Moment>,
    /// When the engine or a handshake has something to do, or something is to be sent to the service manager, though nothing
    /// happens, as far as it was known when the last turn was over.
    due: Moment,
    deadlines: Deadlines,
    timer: Timer,
    /// What every read is lent from.
    buffer: Box<[u8]>,
    hash_portion_rounds: u32,
    stopping_until: Option<Moment>,
    /// Whether a socket had something to do in this turn.
    busy: bool,
}

impl<S: Store> Server<S> {
    /// What reaches this server from other threads.
    pub fn handle(&self) -> ServerHandle {
        self.handle.clone()
    }

    /// Serves until it is told to stop, by its handle, a signal or at the console.
    ///
    /// # Errors
    /// [`ServerError::Events`].
    pub fn run(mut self) -> Result<(), ServerError> {
        let mut events = Events::with_capacity(EVENTS);
        self.notify(ServiceState::Ready);
        while !self.is_done() {
            self.turn(&mut events).map_err(ServerError::Events)?;
        }
        self.engine.store_mut().close();
        self.log_store_notices();
        log::info!("stopped");
        self.flush_console();
        Ok(())
    }

    fn turn(&mut self, events: &mut Events) -> io::Result<()> {
        self.wait(events)?;
        let began = self.clock.now();
        self.deadlines.begin_turn(began);
        self.measure_turn(began);
        self.unmeasured = Some(began);
        self.take_events(events, began);
        self.receive_from_store(events);
        self.accept(began);
        self.begin_handshake_of_next(began);
        self.read(began);
        self.meet_deadlines(began);
        self.work(began);
        self.write(began, began);
        self.write_for_many(began);
        if self.engine.has_command() {
            self.close(began, began);
        }
        self.administer(began);
        if self.store() | self.hash(began) {
            let now = self.clock.now();
            self.write(began, now);
            self.close(began, now);
        }
        self.send_to_store();
        self.show();
        self.flush_log(began);
        Ok(())
    }

    /// Waits until something happens or is due. After an interrupted wait, as when the process was stopped, a look shows
    /// what has happened.
    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let wait_timeout = self.wait_timeout();
        let is_interrupted = |outcome: &io::Result<()>| {
            outcome.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::Interrupted)
        };
        let mut outcome = self.poll.poll(events, wait_timeout);
        if is_interrupted(&outcome) {
            outcome = self.poll.poll(events, Some(Duration::ZERO));
        }
        if is_interrupted(&outcome) {
            events.clear();
            return Ok(());
        }
        outcome
    }

    fn wait_timeout(&mut self) -> Option<Duration> {
        self.take_unblocked();
        let is_administered = self.is_administered();
        self.due = Moment::first_of([
            self.engine.next_deadline(),
            self.handshakes.next_deadline(),
            self.service_manager.as_ref().map(ServiceManager::due),
        ]);
        if self.proxied.has_any() {
            self.due = Moment::first_of([Some(self.due), self.proxied.next_deadline()]);
        }
        let has_ready =
            self.has_ready() || self.proxied.has_ready() || (is_administered && self.has_control_work());
        let has_work = has_ready || self.engine.is_hashing() || self.engine.has_command();
        if has_work
            || self.store_link.has_unread()
            || self.engine.has_work()
            || !self.unblocked.is_empty()
            || self.handshakes.has_next()
        {
            self.deadlines.goes_on();
            return Some(Duration::ZERO);
        }
        let due = Moment::first_of([
            Some(self.deadlines.put_off(self.due)),
            self.engine.store_mut().next_commit(),
            self.listeners.as_ref().and_then(Listeners::next_attempt),
            self.log_due,
            if is_administered { self.next_control_deadline() } else { None },
            self.console.as_ref().and_then(Console::next_look),
            self.stopping_until,
        ]);
        // The clock is asked once, for both: its price is felt when there is one client.
        let now = self.clock.now();
        self.measure_turn(now);
        if due == Moment::NEVER {
            self.deadlines.waits_for_ever();
            return None;
        }
        self.deadlines.waits(now, due);
        self.timer.timeout(due, now, &self.clock)
    }

    /// The turn before is over at this moment, which is known for other reasons.
    fn measure_turn(&mut self, over: Moment) {
        if let Some(began) = self.unmeasured.take() {
            self.engine.handle_turn_end(over.since(began));
        }
    }

    /// Whatever is due is done, after what has arrived was read. What became due in this turn is the next one's.
    fn meet_deadlines(&mut self, now: Moment) {
        if now < self.due && !self.deadlines.has_hold() {
            return;
        }
        self.notify_if_due(now);
        if !self.deadlines.is_after_pause(now) {
            self.end_overdue_handshake(now);
        }
        let is_accepting = || self.listeners.as_ref().is_some_and(|listeners| listeners.is_ready(now));
        let has_ready = self.has_ready() || self.proxied.has_ready();
        let has_unread = || has_ready || is_accepting() || self.handshakes.has_next();
        if self.deadlines.are_met(now, has_unread) {
            self.engine.handle_time(now);
            self.end_overdue_headers(now);
        }
    }

    fn take_events(&mut self, events: &Events, now: Moment) {
        self.busy = false;
        for event in events {
            match event.token() {
                SIGNALS => self.handle_signals(now),
                CONSOLE_INPUT => self.read_console(now),
                CONSOLE_OUTPUT => self.flush_console(),
                CONSOLE_SIGNALS => self.take_console_signals(),
                WAKER => self.handle_wake(now),
                TIMER => self.timer.note_expired(),
                STORE => self.store_link.take_event(event),
                token @ Token(word) => {
                    // Most by far are clients', and pay for no look at anything else.
                    if let Some(conn) = Key::unpack(word as u64) {
                        self.take_socket_event(conn, event, now);
                    } else if word >= PROXIED_FIRST {
                        self.proxied.take_event(word - PROXIED_FIRST, event);
                    } else if self.take_control_event(token) {
                        // It is noted.
                    } else if let Some(listeners) = &mut self.listeners {
                        listeners.notice_ready(word.wrapping_sub(LISTENERS_FIRST));
                    }
                }
            }
        }
        if self.console.as_ref().and_then(Console::next_look).is_some_and(|look| look <= now) {
            self.read_console(now);
        }
    }

    fn begin_stopping(&mut self, now: Moment) {
        if self.stopping_until.is_some() {
            return;
        }
        log::info!("stopping");
        if let Some(console) = &mut self.console {
            console.end_editing();
        }
        // Not before: a second signal ends the process with the terminal as it is.
        if let Some(signals) = &self.signals {
            signals.begin_stopping();
        }
        self.stop_listening(now);
        self.proxied.clear();
        self.stopping_until = Some(now + STOP);
        self.engine.handle_shutdown(now);
        self.notify(ServiceState::Stopping);
    }

    fn is_done(&self) -> bool {
        let is_done = self.engine.is_empty() && self.engine.store().is_idle();
        self.stopping_until.is_some_and(|until| is_done || until <= self.clock.now())
    }
}

/// Whatever ends it, be it a panic, its last lines are written.
impl<S: Store> Drop for Server<S> {
    fn drop(&mut self) {
        if let Some(log) = &self.log {
            log.flush();
        }
    }
}
