//! Finds out that a run has to end before its time: somebody wants it to, the server is gone, or it is frozen.
//!
//! A server that owes nobody an answer looks like one that is frozen, and one that hashes for a minute like one that
//! hangs. So when no frame has come for a while the watchdog connects and waits for Hello, which a server sends at once
//! whatever else it does.
//!
//! This module must not know what the clients say: the loops tell it when a frame came and when a connection was refused.

use super::clock::Clock;
use super::mishap::{Mishap, REFUSED};
use super::route::Route;
use super::wire::{Course, Speaker, Wire};
use crate::Moment;
use mio::event::Event;
use mio::{Poll, Token};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The probe's place in the loops' polls.
const PLACE: usize = usize::MAX - 2;
/// The watchdog's token in the loops' polls.
pub(super) const PROBE: Token = Token(PLACE);

/// Without a frame for so long, it looks whether the server is there.
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
    pub(super) fn mishap(self) -> Mishap {
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
        Mishap::new(kind, reason)
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
    /// When a frame came last; the loops set it.
    pub(super) heard: Moment,
    /// Since when connections are refused, if they are.
    refused: Option<Moment>,
    /// When the first probe began since the last frame.
    probing: Option<Moment>,
    next_probe: Moment,
    probe: Option<Wire>,
    /// Why the run is to end, once it is.
    pub(super) cut: Option<Cut>,
}

/// What listens on the probe's connection: any frame will do.
struct Probe<'a> {
    heard: &'a mut Moment,
}

impl Speaker for Probe<'_> {
    fn handle_connected(&mut self, _now: Moment, _out: &mut Vec<u8>) {}

    fn handle_frame(&mut self, _body: &[u8], now: Moment, _out: &mut Vec<u8>) -> Result<Course, Mishap> {
        *self.heard = now;
        Ok(Course::Leaves(Ok(())))
    }

    fn handle_closed(&mut self) -> Result<(), Mishap> {
        Ok(())
    }
}

impl Watchdog {
    /// Nothing is amiss yet.
    pub(super) fn new(interrupt: Arc<AtomicBool>, now: Moment) -> Watchdog {
        Watchdog {
            interrupt,
            heard: now,
            refused: None,
            probing: None,
            next_probe: now,
            probe: None,
            cut: None,
        }
    }

    /// A client failed: if it was refused a connection, the server may be gone.
    pub(super) fn handle_failure(&mut self, mishap: &Mishap, now: Moment) {
        if mishap.kind == REFUSED {
            self.refused.get_or_insert(now);
        }
    }

    /// Whether connections are refused: to send more clients would only count more failures.
    pub(super) fn is_refused(&self) -> bool {
        self.refused.is_some_and(|since| self.heard <= since)
    }

    /// Looks after the server, if it must; to be called about ten times a second, when what came has been handled.
    pub(super) fn look(&mut self, now: Moment, route: &mut Route, poll: &Poll, clock: &Clock) {
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
        self.cut = self.verdict(now);
        let is_wanted = self.refused.is_some() || self.heard + QUIET <= now;
        if self.cut.is_none() && is_wanted && self.probe.is_none() && self.next_probe <= now {
            self.begin(now, route, poll, clock);
        }
    }

    fn verdict(&self, now: Moment) -> Option<Cut> {
        let lasts = |since: Option<Moment>, most: Duration| since.is_some_and(|since| since + most <= now);
        // A probe that waits was not refused.
        if self.probe.is_none() && lasts(self.refused, GONE) {
            return Some(Cut::Gone);
        }
        lasts(self.probing, HELLO).then_some(Cut::Silent)
    }

    /// Where no connection can even begin, as without a free port, nothing is known of the server.
    fn begin(&mut self, now: Moment, route: &mut Route, poll: &Poll, clock: &Clock) {
        self.next_probe = now + PROBE_PITCH;
        let (Ok(stream), Ok(carrier)) = (route.connect(), route.carrier()) else { return };
        let mut wire = Wire::new(stream, carrier);
        match wire.open(poll, PLACE, clock, &mut Probe { heard: &mut self.heard }) {
            Ok(()) => {
                self.probing.get_or_insert(now);
                self.probe = Some(wire);
            }
            Err(mishap) => self.handle_failure(&mishap, now),
        }
    }

    /// Something happened on the probe's connection.
    pub(super) fn handle_event(&mut self, event: &Event, poll: &Poll, buffer: &mut [u8], clock: &Clock) {
        let Some(wire) = &mut self.probe else { return };
        let mut probe = Probe { heard: &mut self.heard };
        match wire.handle_event(event, poll, buffer, clock, &mut probe) {
            Ok(Course::Stays) => return,
            Ok(Course::Leaves(_)) => {}
            Err(mishap) => self.handle_failure(&mishap, clock.now()),
        }
        self.probe = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Opening;
    use mio::Events;
    use std::net::TcpListener;

    /// A watchdog beside a listener that accepts and says nothing, or that is closed.
    struct Scene {
        listener: Option<TcpListener>,
        route: Route,
        poll: Poll,
        clock: Clock,
        watchdog: Watchdog,
        interrupt: Arc<AtomicBool>,
    }

    impl Scene {
        fn new(listens: bool) -> Scene {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let route = Route::new(listener.local_addr().unwrap(), Opening::Plain);
            let interrupt = Arc::new(AtomicBool::new(false));
            Scene {
                listener: listens.then_some(listener),
                route,
                poll: Poll::new().unwrap(),
                clock: Clock::start(),
                watchdog: Watchdog::new(Arc::clone(&interrupt), Moment::START),
                interrupt,
            }
        }

        fn look(&mut self, milliseconds: u64) -> Option<Cut> {
            self.watchdog.look(at(milliseconds), &mut self.route, &self.poll, &self.clock);
            self.watchdog.cut
        }
    }

    fn at(milliseconds: u64) -> Moment {
        Moment::START + Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_quiet_server_is_asked_for_hello_and_is_silent_if_none_comes() {
        let mut scene = Scene::new(true);
        assert_eq!((scene.look(2_999), scene.watchdog.probe.is_some()), (None, false));
        assert_eq!((scene.look(3_000), scene.watchdog.probe.is_some()), (None, true));
        assert_eq!(scene.look(7_999), None);
        assert_eq!(scene.look(8_000), Some(Cut::Silent));
        assert_eq!(scene.look(9_000), Some(Cut::Silent), "the first reason stays");
    }

    #[test]
    fn any_frame_on_any_connection_is_a_sign_of_life() {
        let mut scene = Scene::new(true);
        scene.look(3_000);
        scene.watchdog.heard = at(7_000);
        assert_eq!((scene.look(8_000), scene.watchdog.probe.is_some()), (None, false));
        assert_eq!((scene.look(10_000), scene.watchdog.probe.is_some()), (None, true));
    }

    #[test]
    fn hello_on_the_probe_is_one_too() {
        use crate::protocol::{Reply, VERSION};
        use std::io::Write;
        let mut scene = Scene::new(true);
        scene.look(3_000);
        let (mut stream, _) = scene.listener.as_ref().unwrap().accept().unwrap();
        let mut hello = Vec::new();
        Reply::Hello { version: VERSION, last_name: "" }.encode(&mut hello);
        stream.write_all(&hello).unwrap();
        let (mut events, mut buffer) = (Events::with_capacity(8), vec![0; 1_024]);
        while scene.watchdog.probe.is_some() {
            scene.poll.poll(&mut events, None).unwrap();
            for event in &events {
                assert_eq!(event.token(), PROBE);
                scene.watchdog.handle_event(event, &scene.poll, &mut buffer, &scene.clock);
            }
        }
        assert!(scene.watchdog.heard > Moment::START);
    }

    #[test]
    fn a_server_that_refuses_for_a_while_is_gone_and_one_that_comes_back_is_not() {
        let refused = Mishap::new(REFUSED, "");
        let mut scene = Scene::new(false);
        scene.watchdog.handle_failure(&Mishap::new("Busy", ""), at(1));
        assert!(!scene.watchdog.is_refused());
        scene.watchdog.handle_failure(&refused, at(1));
        assert!(scene.watchdog.is_refused());
        scene.watchdog.heard = at(1_500);
        assert!(!scene.watchdog.is_refused());
        assert_eq!(scene.look(2_001), None);
        scene.watchdog.handle_failure(&refused, at(2_002));
        let mut now = 2_002;
        while scene.look(now).is_none() {
            now += 100;
            assert!(now < 10_000);
            // A probe that is refused ends, sooner or later.
            scene.watchdog.probe = None;
        }
        assert_eq!((scene.watchdog.cut, now), (Some(Cut::Gone), 4_002));
    }

    #[test]
    fn an_interrupt_ends_the_run_at_the_next_look() {
        let mut scene = Scene::new(true);
        assert_eq!(scene.look(1), None);
        scene.interrupt.store(true, Ordering::Relaxed);
        assert_eq!(scene.look(2), Some(Cut::Interrupted));
    }
}
