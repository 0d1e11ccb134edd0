//! Finds out that a run has to end before its time: somebody wants it to, the server is gone, or it is frozen.
//!
//! A server that owes nobody an answer looks like one that is frozen, and one that hashes for a minute like one that
//! hangs. So when no message has come for a while the watchdog connects and waits for Hello, which a server sends at once
//! whatever else it does.
//!
//! This module must not know what the clients say: the loop notes when a message came and when a connection was refused.

use super::connection::{Connection, Connector};
use super::error::{LoadError, REFUSED};
use crate::Moment;
use mio::{Poll, Token};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What a run is cut short by when connections are refused, and when they come about and nothing comes on them.
const GONE: &str = "server_gone";
const SILENT: &str = "server_silent";
/// The probe's token in the loop's poll.
pub(super) const PROBE: Token = Token(usize::MAX - 2);

/// Without a message for so long, it looks whether the server is there.
const QUIET: Duration = Duration::from_secs(3);
/// How long a server may take to send Hello, or anything else to anybody: together with `QUIET` well under ten seconds.
const HELLO: Duration = Duration::from_secs(5);
/// A server that refuses connections for so long is gone, and not just started anew.
const REFUSED_MOST: Duration = Duration::from_secs(2);
/// Between the beginnings of two probes.
const PROBE_PITCH: Duration = Duration::from_millis(400);

/// Watches one loop.
#[derive(Debug)]
pub(super) struct Watchdog {
    interrupt: Arc<AtomicBool>,
    /// Whether the server speaks first; otherwise a connection is all that it can give.
    greets: bool,
    /// When a message came last; the loop sets it.
    pub(super) last_message: Moment,
    /// Since when connections are refused, if they are.
    refused: Option<Moment>,
    /// When the first probe began since the last message.
    probing: Option<Moment>,
    next_probe: Moment,
    probe: Option<Connection>,
    /// Why the run is to end before its time, once it is.
    pub(super) cut: Option<LoadError>,
}

impl Watchdog {
    /// Nothing is amiss yet.
    pub(super) fn new(interrupt: &Arc<AtomicBool>, greets: bool, now: Moment) -> Watchdog {
        Watchdog {
            interrupt: Arc::clone(interrupt),
            greets,
            last_message: now,
            refused: None,
            probing: None,
            next_probe: now,
            probe: None,
            cut: None,
        }
    }

    /// Whether the server may still answer, and waiting for it has a point.
    pub(super) fn has_server(&self) -> bool {
        self.cut.as_ref().is_none_or(|cut| !matches!(&*cut.kind, GONE | SILENT))
    }

    /// A client failed: if it was refused a connection, the server may be gone.
    pub(super) fn handle_failure(&mut self, error: &LoadError, now: Moment) {
        if error.kind == REFUSED {
            self.refused.get_or_insert(now);
        }
    }

    /// Whether connections are refused: to send more clients would only count more failures.
    pub(super) fn is_refused(&self) -> bool {
        self.refused.is_some_and(|since| self.last_message <= since)
    }

    /// Looks after the server, if it must; to be called about ten times a second, when what came has been handled.
    pub(super) fn look(&mut self, now: Moment, connector: &mut Connector, poll: &Poll) {
        if self.cut.is_some() {
            return;
        }
        if self.probing.is_some_and(|since| since < self.last_message) {
            (self.probing, self.probe) = (None, None);
        }
        if !self.is_refused() {
            self.refused = None;
        }
        self.cut = self.judged(now);
        let is_wanted = self.refused.is_some() || self.last_message + QUIET <= now;
        if self.cut.is_none() && is_wanted && self.probe.is_none() && self.next_probe <= now {
            self.begin_probe(now, connector, poll);
        }
    }

    fn judged(&self, now: Moment) -> Option<LoadError> {
        let lasts = |since: Option<Moment>, most: Duration| since.is_some_and(|since| since + most <= now);
        if self.interrupt.load(Ordering::Relaxed) {
            return Some(LoadError::new("interrupted", "interrupted by a signal"));
        }
        // A probe that waits was not refused.
        if self.probe.is_none() && lasts(self.refused, REFUSED_MOST) {
            let reason = format!(
                "the server is gone: it refused connections for {REFUSED_MOST:?}; is it still running?"
            );
            return Some(LoadError::new(GONE, reason));
        }
        let silent = || {
            let (most, way_out) = (QUIET + HELLO, "is it stopped? If it speaks TLS, use --tls");
            let reason = format!("nothing came for {most:?}, not even Hello on a new connection; {way_out}");
            LoadError::new(SILENT, format!("the server is silent: {reason}"))
        };
        lasts(self.probing, HELLO).then(silent)
    }

    fn begin_probe(&mut self, now: Moment, connector: &mut Connector, poll: &Poll) {
        self.next_probe = now + PROBE_PITCH;
        match connector.connect().and_then(|mut probe| probe.register(poll, PROBE).map(|()| probe)) {
            Ok(probe) => {
                self.probing.get_or_insert(now);
                self.probe = Some(probe);
                self.handle_event(now);
            }
            // Where no connection can even begin, as without a free port, nothing is known of the server.
            Err(error) => self.handle_failure(&error, now),
        }
    }

    /// Something happened on the probe's connection: any bytes will do.
    pub(super) fn handle_event(&mut self, now: Moment) {
        let Some(probe) = &mut self.probe else { return };
        let read = probe.advance().and_then(|()| {
            probe.flush();
            probe.read(&mut [0; 1_024], false)
        });
        match read {
            Ok(None) if self.greets || !probe.opens() => return probe.flush(),
            Ok(None | Some(1..)) => self.last_message = now,
            Ok(Some(0)) => {}
            Err(error) => self.handle_failure(&error, now),
        }
        self.probe = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Transports;
    use std::net::TcpListener;

    /// A watchdog, looking each 100 ms at a listener that accepts and sends nothing, or at a port where none is.
    fn looks(listens: bool, mut before: impl FnMut(&mut Watchdog, u64)) -> (Watchdog, u64) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut connector = Connector::new(listener.local_addr().unwrap(), Transports::Plain);
        let _listener = listens.then_some(listener);
        let poll = Poll::new().unwrap();
        let mut watchdog = Watchdog::new(&Arc::default(), true, Moment::START);
        let mut milliseconds = 0;
        while watchdog.cut.is_none() {
            milliseconds += 100;
            assert!(milliseconds < 20_000);
            before(&mut watchdog, milliseconds);
            watchdog.look(at(milliseconds), &mut connector, &poll);
        }
        (watchdog, milliseconds)
    }

    fn at(milliseconds: u64) -> Moment {
        Moment::START + Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_quiet_server_is_asked_for_hello_and_is_silent_if_none_comes() {
        let (watchdog, ended) =
            looks(true, |watchdog, now| assert_eq!(watchdog.probe.is_some(), now > 3_000));
        assert_eq!((&*watchdog.cut.unwrap().kind, ended), (SILENT, 8_000));
        // Any message on any connection is a sign of life.
        let (_, ended) = looks(true, |watchdog, now| {
            if now == 7_000 {
                watchdog.last_message = at(now);
            }
        });
        assert_eq!(ended, 15_000);
    }

    #[test]
    fn a_server_that_refuses_for_a_while_is_gone_and_one_that_comes_back_is_not() {
        let refused = LoadError::new(REFUSED, "");
        let (watchdog, ended) = looks(false, |watchdog, now| {
            // A probe that is refused ends, sooner or later.
            watchdog.probe = None;
            match now {
                100 => watchdog.handle_failure(&LoadError::new("Busy", ""), at(now)),
                200 | 2_100 => watchdog.handle_failure(&refused, at(now)),
                1_500 => watchdog.last_message = at(now),
                _ => {}
            }
            let is_refused = (200..1_500).contains(&now) || now >= 2_100;
            assert_eq!(watchdog.is_refused(), is_refused, "{now}");
        });
        assert_eq!((&*watchdog.cut.unwrap().kind, ended), (GONE, 4_100));
    }
}
