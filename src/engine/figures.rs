//! Figures for a person and for a program, gathered once: `stats`, its JSON, and the metrics all come from here.
//!
//! They are sums that run along, and counts that are known anyway: nothing here looks at connections or users one by one.

use super::Engine;
use crate::Moment;
use crate::auth::Origin;
use crate::command::{Figure, FigureValue, Figures};
use crate::protocol::Code;
use crate::store::{LinkFigures, Store};
use FigureValue::{Counter, Counters, Gauge, Gauges};
use std::net::{IpAddr, Ipv4Addr};
use thiserror::Error;

/// Why nobody is to be sent to this server now.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotReady {
    /// It is stopping.
    #[error("stopping")]
    Stopping,
    /// Users cannot be stored, for this reason.
    #[error("users cannot be stored: {0}")]
    Store(String),
}

/// Handshakes that are not done, as far as was told last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PendingHandshakes {
    waiting: usize,
    under_way: usize,
}

impl<S: Store> Engine<S> {
    /// All figures as they are now.
    pub fn figures(&self, now: Moment) -> Figures {
        let mut values = self.figures_of_clients();
        values.extend(self.figures_of_traffic());
        values.extend(self.figures_of_logins(now));
        values.extend(self.figures_of_work(now));
        Figures { lines: self.figure_lines(now), values }
    }

    /// So many of the log's lines were dropped since the start.
    pub fn note_log_lines_dropped(&mut self, count: u64) {
        self.registry.totals.log_lines_dropped = count;
    }

    /// A connection's handshake is done.
    pub fn note_handshake(&mut self) {
        self.registry.totals.handshakes += 1;
    }

    /// So many connections wait for their handshake to begin, and so many are in the midst of it. Who does not tell has none.
    pub fn note_pending_handshakes(&mut self, waiting: usize, under_way: usize) {
        self.registry.pending_handshakes = PendingHandshakes { waiting, under_way };
    }

    /// Why nobody is to be sent here now, if so.
    ///
    /// # Errors
    /// [`NotReady`].
    pub fn health(&self, now: Moment) -> Result<(), NotReady> {
        if self.stopping {
            return Err(NotReady::Stopping);
        }
        self.store.trouble(now).map_or(Ok(()), |reason| Err(NotReady::Store(reason.to_owned())))
    }

    fn figure_lines(&self, now: Moment) -> Vec<String> {
        let t = self.registry.totals;
        let (up, held) = (now.since_start(), self.registry.held_output_bytes());
        let connections = self.registry.connections.len();
        let (sessions, lost) = (self.registry.sessions.len(), self.registry.sessions.lost_count());
        let (users, debtors) = (self.store.user_count(), self.admission.throttle.len());
        let hashes = self.admission.hashing.len();
        let mut lines = vec![
            format!("up {} s", up.as_secs()),
            format!("connections: {connections} now, {} since the start", t.connections),
            format!("sessions: {sessions}, of them lost: {lost}"),
            format!("users: {users}, logins: {}", t.logins),
            format!("messages: {} in, {} out", t.messages_in, t.messages_out),
            format!("bytes: {} in, {} out", t.bytes_in, t.bytes_out),
            format!("passwords waiting to be hashed: {hashes}"),
            format!("addresses in debt: {debtors}"),
            format!("output: {held} bytes of memory held, and of texts for many"),
            self.registry.turns.summary(),
        ];
        lines.extend(self.store.figures());
        lines
    }

    fn figures_of_clients(&self) -> Vec<Figure> {
        let registry = &self.registry;
        let t = &registry.totals;
        let (all, strangers) = (registry.connections.len(), registry.strangers.len());
        let (sessions, lost) = (registry.sessions.len(), registry.sessions.lost_count());
        let online = sessions - lost;
        let states = [
            ("not_logged_in", strangers),
            ("logged_in", online),
            ("closing", all.saturating_sub(strangers + online)),
        ];
        let PendingHandshakes { waiting, under_way } = registry.pending_handshakes;
        vec![
            figure("connections", "Connections by state.", by_state(&states)),
            figure(
                "connections_accepted_total",
                "Connections accepted and greeted.",
                Counter(t.connections as f64),
            ),
            figure(
                "sessions",
                "Sessions, with a connection or without.",
                by_state(&[("attached", online), ("lost", lost)]),
            ),
            figure(
                "sessions_lost_total",
                "Times that a session lost its connection and could be resumed.",
                Counter(t.sessions_lost as f64),
            ),
            figure(
                "sessions_resumed_total",
                "Times that a client came back to a lost session.",
                Counter(t.sessions_resumed as f64),
            ),
            figure(
                "handshakes_pending",
                "TLS handshakes that wait to begin or are under way.",
                by_state(&[("waiting", waiting), ("under_way", under_way)]),
            ),
            figure("handshakes_total", "TLS handshakes done.", Counter(t.handshakes as f64)),
            figure(
                "handshakes_failed_total",
                "Connections whose TLS failed, in the handshake or later.",
                Counter(t.handshakes_failed as f64),
            ),
        ]
    }

    fn figures_of_traffic(&self) -> Vec<Figure> {
        let t = &self.registry.totals;
        vec![
            figure("received_messages_total", "Messages received.", Counter(t.messages_in as f64)),
            figure("sent_messages_total", "Messages sent.", Counter(t.messages_out as f64)),
            figure("received_bytes_total", "Bytes received, without encryption.", Counter(t.bytes_in as f64)),
            figure("sent_bytes_total", "Bytes sent, without encryption.", Counter(t.bytes_out as f64)),
            figure(
                "output_held_bytes",
                "Memory that output takes which waits to be written.",
                Gauge(self.registry.held_output_bytes() as f64),
            ),
            figure(
                "slow_consumers_total",
                "Connections cut off because their output was not taken.",
                Counter(t.refused[Code::SlowConsumer.index()] as f64),
            ),
        ]
    }

    fn figures_of_logins(&self, now: Moment) -> Vec<Figure> {
        let t = &self.registry.totals;
        let refused =
            Code::ALL.iter().map(|code| (code.to_string(), t.refused[code.index()] as f64)).collect();
        let logins = [
            ("full", t.logins - t.logins_remembered),
            ("remembered", t.logins_remembered),
            ("resumed", t.resumed),
            ("wrong", t.wrong_passwords),
            ("throttled", t.throttled),
        ];
        let logins = logins.map(|(outcome, count)| (outcome.to_owned(), count as f64)).to_vec();
        // Somebody of whom nothing waits.
        let newcomer = Origin::of(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let wait = self.admission.wait(newcomer, true, now);
        vec![
            figure("refused_total", "Refusals by the code that was sent.", Counters("code", refused)),
            figure("logins_total", "Logins by what came of them.", Counters("outcome", logins)),
            figure(
                "hash_queue",
                "Passwords that wait to be hashed or are being hashed.",
                Gauge(self.admission.hashing.len() as f64),
            ),
            figure(
                "hash_wait_seconds",
                "From when a password came until its hash was begun.",
                self.admission.hash_times.until_begun(),
            ),
            figure(
                "hash_seconds",
                "From when a password came until it was hashed, the wait included.",
                self.admission.hash_times.until_done(),
            ),
            figure(
                "hash_wait_expected_seconds",
                "How long the password of a newcomer would wait now, as estimated.",
                Gauge(wait.as_secs_f64()),
            ),
            figure("hash_rounds_total", "Rounds of the hashes that are done.", Counter(t.hash_rounds as f64)),
            figure(
                "addresses_in_debt",
                "Addresses that owe time for wrong passwords.",
                Gauge(self.admission.throttle.len() as f64),
            ),
            figure("users", "Users known, disabled ones too.", Gauge(self.store.user_count() as f64)),
        ]
    }

    fn figures_of_work(&self, now: Moment) -> Vec<Figure> {
        let syncs = self.store.sync_figures();
        let is_up = self.store.trouble(now).is_none();
        let version = vec![(env!("CARGO_PKG_VERSION").to_owned(), 1.0)];
        let dropped = self.registry.totals.log_lines_dropped;
        let mut figures = vec![
            figure("turn_seconds", "Turns of the loop by length, syncs aside.", self.registry.turns.figure()),
            figure("syncs_total", "Syncs of the files.", Counter(syncs.count as f64)),
            figure("sync_seconds_total", "Time that they took.", Counter(syncs.total.as_secs_f64())),
            figure(
                "store_up",
                "1 while users can be stored, otherwise 0.",
                Gauge(f64::from(u8::from(is_up))),
            ),
            figure("log_lines_dropped_total", "Lines of the log dropped.", Counter(dropped as f64)),
            figure("uptime_seconds", "Time since the start.", Gauge(now.since_start().as_secs_f64())),
            figure("build_info", "The version that runs.", Gauges("version", version)),
        ];
        if let Some(LinkFigures { round_trip, waiting }) = self.store.link_figures() {
            let seconds = Gauge(round_trip.as_secs_f64());
            figures.push(figure(
                "store_round_trip_seconds",
                "What the shared store's last reply took.",
                seconds,
            ));
            let waiting = Gauge(waiting as f64);
            figures.push(figure("store_requests_waiting", "Requests that it has not answered.", waiting));
        }
        figures
    }
}

fn figure(name: &'static str, help: &'static str, value: FigureValue) -> Figure {
    Figure { name, help, value }
}

fn by_state(counts: &[(&str, usize)]) -> FigureValue {
    Gauges("state", counts.iter().map(|(state, count)| ((*state).to_owned(), *count as f64)).collect())
}
