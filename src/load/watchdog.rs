//! Finds out that a run has to end before its time: somebody wants it to, the server is gone, or it is frozen.
//!
//! A server that owes nobody an answer looks like one that is frozen, and one that hashes for a minute like one that
//! hangs. So when no message has come for a while the watchdog connects and waits for Hello, which a server sends at once
//! whatever else it does.
//!
//! This module must not know what the clients say: the loop notes when a message came and when a connection was refused.

use super::connection::{Connection, Flow, Handler};
use super::connector::Connector;
use super::error::{LoadError, REFUSED};
use super::sampler::Clock;
use crate::Moment;
use mio::event::Event;
use mio::{Poll, Token};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The probe's slot in the loop's poll.
const SLOT: usize = usize::MAX - 2;
/// The watchdog's token in the loop's poll.
pub(super) const PROBE: Token = Token(SLOT);

/// Without a message for so long, it looks whether the server is there.
const QUIET: Duration = Duration::from_secs(3);
/// How long a server may take to send Hello, or anything else to anybody: together with `QUIET` well under ten seconds.
const HELLO: Duration = Duration::from_secs(5);
/// A server that refuses connections for so long is gone, and not just started anew.
const GONE: Duration = Duration::from_secs(2);
/// Between the beginnings of two probes.
const PROBE_PITCH: Duration = Duration::from_millis(400);

/// Why a run ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// Whoever runs the load tester wants no more.
    Interrupted,
    /// Connections are refused.
    Gone,
    /// Connections come about, and nothing comes on them.
    Silent,
    /// No client is left that stays.
    NobodyLeft,
}

impl Cut {
    /// What a report says of it.
    pub(super) fn error(self) -> LoadError {
        let (kind, reason) = match self {
            Cut::Interrupted => ("interrupted", "interrupted by a signal".to_owned()),
            Cut::Gone => (
                "server_gone",
                format!("the server is gone: it refused connections for {GONE:?}; is it still running?"),
            ),
            Cut::Silent => (
                "server_silent",
                format!(
                    "the server is silent: nothing came for {:?}, not even Hello on a new connection; is it stopped? If it speaks TLS, use --tls",
                    QUIET + HELLO
                ),
            ),
            Cut::NobodyLeft => ("nobody_left", "every client has failed or lost its connection".to_owned()),
        };
        LoadError::new(kind, reason)
    }

    /// Whether the server may still answer, and waiting for it has a point.
    pub(super) fn has_server(self) -> bool {
        matches!(self, Cut::Interrupted | Cut::NobodyLeft)
    }
}

/// Watches one loop.
#[derive(Debug)]
pub(super) struct Watchdog {
    interrupt: Arc<AtomicBool>,
    greets: bool,
    /// When a message came last; the loop sets it.
    pub(super) heard: Moment,
    /// Since when connections are refused, if they are.
    refused: Option<Moment>,
    /// When the first probe began since the last message.
    probing: Option<Moment>,
    next_probe: Moment,
    probe: Option<Connection>,
    /// Why the run is to end, once it is.
    pub(super) cut: Option<Cut>,
}

/// What the probe waits for: any bytes will do.
struct Probe<'a> {
    heard: &'a mut Moment,
    /// Whether the server speaks first; otherwise a connection is all that it can give.
    greets: bool,
}

impl Handler for Probe<'_> {
    fn handle_connected(&mut self, now: Moment, _: &mut Vec<u8>) -> Flow {
        if self.greets {
            return Flow::Continue;
        }
        *self.heard = now;
        Flow::End(Ok(()))
    }

    fn message_bytes(&self, bytes: &[u8]) -> Result<Option<usize>, LoadError> {
        Ok((!bytes.is_empty()).then_some(bytes.len()))
    }

    fn handle_message(&mut self, _: &[u8], now: Moment, _: &mut Vec<u8>) -> Result<Flow, LoadError> {
        *self.heard = now;
        Ok(Flow::End(Ok(())))
    }

    fn handle_closed(&mut self) -> Result<(), LoadError> {
        Ok(())
    }
}

impl Watchdog {
    /// Nothing is amiss yet.
    pub(super) fn new(interrupt: Arc<AtomicBool>, greets: bool, now: Moment) -> Watchdog {
        Watchdog {
            interrupt,
            greets,
            heard: now,
            refused: None,
            probing: None,
            next_probe: now,
            probe: None,
            cut: None,
        }
    }

    /// A client failed: if it was refused a connection, the server may be gone.
    pub(super) fn handle_failure(&mut self, error: &LoadError, now: Moment) {
        if error.kind == REFUSED {
            self.refused.get_or_insert(now);
        }
    }

    /// Whether connections are refused: to send more clients would only count more failures.
    pub(super) fn is_refused(&self) -> bool {
        self.refused.is_some_and(|since| self.heard <= since)
    }

    /// Looks after the server, if it must; to be called about ten times a second, when what came has been handled.
    pub(super) fn look(&mut self, now: Moment, connector: &mut Connector, poll: &Poll, clock: &Clock) {
        if self.cut.is_some() {
            return;
        }
        if self.interrupt.load(Ordering::Relaxed) {
            self.cut = Some(Cut::Interrupted);
            return;
        }
        if self.probing.is_some_and(|since| since < self.heard) {
            self.probing = None;
            self.probe = None;
        }
        if !self.is_refused() {
            self.refused = None;
        }
        self.cut = self.judged(now);
        let is_wanted = self.refused.is_some() || self.heard + QUIET <= now;
        if self.cut.is_none() && is_wanted && self.probe.is_none() && self.next_probe <= now {
            self.begin(now, connector, poll, clock);
        }
    }

    fn judged(&self, now: Moment) -> Option<Cut> {
        let lasts = |since: Option<Moment>, most: Duration| since.is_some_and(|since| since + most <= now);
        // A probe that waits was not refused.
        if self.probe.is_none() && lasts(self.refused, GONE) {
            return Some(Cut::Gone);
        }
        lasts(self.probing, HELLO).then_some(Cut::Silent)
    }

    /// Where no connection can even begin, as without a free port, nothing is known of the server.
    fn begin(&mut self, now: Moment, connector: &mut Connector, poll: &Poll, clock: &Clock) {
        self.next_probe = now + PROBE_PITCH;
        let (Ok(stream), Ok(transport)) = (connector.connect(), connector.transport()) else { return };
        let mut connection = Connection::new(stream, transport);
        match connection.open(poll, SLOT, clock, &mut Probe { heard: &mut self.heard, greets: self.greets }) {
            Ok(Flow::End(_)) => {}
            Ok(Flow::Continue) => {
                self.probing.get_or_insert(now);
                self.probe = Some(connection);
            }
            Err(error) => self.handle_failure(&error, now),
        }
    }

    /// Something happened on the probe's connection.
    pub(super) fn handle_event(&mut self, event: &Event, poll: &Poll, buffer: &mut [u8], clock: &Clock) {
        let Some(connection) = &mut self.probe else { return };
        let mut probe = Probe { heard: &mut self.heard, greets: self.greets };
        match connection.handle_event(event, poll, buffer, clock, &mut probe) {
            Ok(Flow::Continue) => return,
            Ok(Flow::End(_)) => {}
            Err(error) => self.handle_failure(&error, clock.now()),
        }
        self.probe = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Transports;
    use mio::Events;
    use std::net::TcpListener;

    /// A watchdog beside a listener that accepts and says nothing, or that is closed.
    struct Bench {
        listener: Option<TcpListener>,
        connector: Connector,
        poll: Poll,
        clock: Clock,
        watchdog: Watchdog,
        interrupt: Arc<AtomicBool>,
    }

    impl Bench {
        fn new(listens: bool) -> Bench {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let connector = Connector::new(listener.local_addr().unwrap(), Transports::Plain);
            let interrupt = Arc::new(AtomicBool::new(false));
            Bench {
                listener: listens.then_some(listener),
                connector,
                poll: Poll::new().unwrap(),
                clock: Clock::start(),
                watchdog: Watchdog::new(Arc::clone(&interrupt), true, Moment::START),
                interrupt,
            }
        }

        fn look(&mut self, milliseconds: u64) -> Option<Cut> {
            self.watchdog.look(at(milliseconds), &mut self.connector, &self.poll, &self.clock);
            self.watchdog.cut
        }
    }

    fn at(milliseconds: u64) -> Moment {
        Moment::START + Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_quiet_server_is_asked_for_hello_and_is_silent_if_none_comes() {
        let mut bench = Bench::new(true);
        assert_eq!((bench.look(2_999), bench.watchdog.probe.is_some()), (None, false));
        assert_eq!((bench.look(3_000), bench.watchdog.probe.is_some()), (None, true));
        assert_eq!(bench.look(7_999), None);
        assert_eq!(bench.look(8_000), Some(Cut::Silent));
        assert_eq!(bench.look(9_000), Some(Cut::Silent), "the first reason stays");
    }

    #[test]
    fn any_frame_on_any_connection_is_a_sign_of_life() {
        let mut bench = Bench::new(true);
        bench.look(3_000);
        bench.watchdog.heard = at(7_000);
        assert_eq!((bench.look(8_000), bench.watchdog.probe.is_some()), (None, false));
        assert_eq!((bench.look(10_000), bench.watchdog.probe.is_some()), (None, true));
    }

    #[test]
    fn hello_on_the_probe_is_one_too() {
        use crate::protocol::{Reply, VERSION};
        use std::io::Write;
        let mut bench = Bench::new(true);
        bench.look(3_000);
        let (mut stream, _) = bench.listener.as_ref().unwrap().accept().unwrap();
        let mut hello = Vec::new();
        Reply::Hello { version: VERSION, last_name: "" }.encode(&mut hello);
        stream.write_all(&hello).unwrap();
        let (mut events, mut buffer) = (Events::with_capacity(8), vec![0; 1_024]);
        while bench.watchdog.probe.is_some() {
            bench.poll.poll(&mut events, None).unwrap();
            for event in &events {
                assert_eq!(event.token(), PROBE);
                bench.watchdog.handle_event(event, &bench.poll, &mut buffer, &bench.clock);
            }
        }
        assert!(bench.watchdog.heard > Moment::START);
    }

    #[test]
    fn a_server_that_refuses_for_a_while_is_gone_and_one_that_comes_back_is_not() {
        let refused = LoadError::new(REFUSED, "");
        let mut bench = Bench::new(false);
        bench.watchdog.handle_failure(&LoadError::new("Busy", ""), at(1));
        assert!(!bench.watchdog.is_refused());
        bench.watchdog.handle_failure(&refused, at(1));
        assert!(bench.watchdog.is_refused());
        bench.watchdog.heard = at(1_500);
        assert!(!bench.watchdog.is_refused());
        assert_eq!(bench.look(2_001), None);
        bench.watchdog.handle_failure(&refused, at(2_002));
        let mut now = 2_002;
        while bench.look(now).is_none() {
            now += 100;
            assert!(now < 10_000);
            // A probe that is refused ends, sooner or later.
            bench.watchdog.probe = None;
        }
        assert_eq!((bench.watchdog.cut, now), (Some(Cut::Gone), 4_002));
    }

    #[test]
    fn an_interrupt_ends_the_run_at_the_next_look() {
        let mut bench = Bench::new(true);
        assert_eq!(bench.look(1), None);
        bench.interrupt.store(true, Ordering::Relaxed);
        assert_eq!(bench.look(2), Some(Cut::Interrupted));
    }
}
