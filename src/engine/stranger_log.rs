//! What clients that are not logged in cause in the log.
//!
//! Connecting costs nobody anything, and each connection makes up to three lines: so the first few events of an address
//! are logged in full, and the rest is summed up, one line for each [`STRANGER_LOG_INTERVAL`]. A client that logs in
//! takes back the event that its connecting was. An address whose events were summed up in one interval goes on so in
//! the next, until it has been quiet for one.

use crate::Moment;
use crate::auth::Origin;
use crate::limits::{
    STRANGER_EVENTS_LOGGED, STRANGER_EVENTS_LOGGED_IN_ALL, STRANGER_LOG_INTERVAL, STRANGER_ORIGINS,
};
use crate::protocol::Code;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StrangerEvent {
    Connected,
    Disconnected,
    WrongPassword,
    /// The transport failed, its handshake for example.
    TransportFailed,
    Refused(Code),
}

/// Counts the events of one interval.
#[derive(Debug)]
pub(super) struct StrangerLog {
    /// When the interval ends, if it has begun: with its first event.
    ends: Option<Moment>,
    logged: u32,
    origins: HashMap<Origin, u32>,
    summed_up: BTreeMap<StrangerEvent, u64>,
}

impl StrangerLog {
    pub(super) fn new() -> StrangerLog {
        StrangerLog { ends: None, logged: 0, origins: HashMap::new(), summed_up: BTreeMap::new() }
    }

    /// Whether an event is to be logged in full; otherwise it is counted.
    pub(super) fn admits(&mut self, event: StrangerEvent, origin: Origin, now: Moment) -> bool {
        self.end_interval(now);
        self.ends.get_or_insert(now + STRANGER_LOG_INTERVAL);
        let has_room = self.origins.len() < STRANGER_ORIGINS;
        let of_origin = match self.origins.get_mut(&origin) {
            Some(count) => {
                *count = count.saturating_add(1);
                *count
            }
            None if has_room => {
                self.origins.insert(origin, 1);
                1
            }
            None => u32::MAX,
        };
        let is_admitted = of_origin <= STRANGER_EVENTS_LOGGED && self.logged < STRANGER_EVENTS_LOGGED_IN_ALL;
        if is_admitted {
            self.logged += 1;
        } else {
            *self.summed_up.entry(event).or_default() += 1;
        }
        is_admitted
    }

    /// A client whose connecting was logged in full has logged in: that event is nobody's to answer for.
    pub(super) fn take_back(&mut self, origin: Origin) {
        if let Some(count) = self.origins.get_mut(&origin).filter(|count| **count <= STRANGER_EVENTS_LOGGED) {
            *count = count.saturating_sub(1);
            self.logged = self.logged.saturating_sub(1);
        }
    }

    /// When there is something to be summed up.
    pub(super) fn next_summary(&self) -> Option<Moment> {
        self.ends.filter(|_| !self.summed_up.is_empty())
    }

    /// If the interval is over, logs what was summed up in it.
    pub(super) fn end_interval(&mut self, now: Moment) {
        if self.ends.is_some_and(|ends| ends <= now) {
            self.sum_up();
        }
    }

    /// Logs what was summed up so far, and begins anew.
    pub(super) fn sum_up(&mut self) {
        if let Some(summary) = self.summary() {
            log::info!("{summary}");
        }
        self.ends = None;
        self.logged = 0;
        self.summed_up.clear();
        self.origins.retain(|_, count| *count > STRANGER_EVENTS_LOGGED);
        self.origins.values_mut().for_each(|count| *count = STRANGER_EVENTS_LOGGED);
    }

    fn summary(&self) -> Option<String> {
        if self.summed_up.is_empty() {
            return None;
        }
        let mut text = "summed up of connections that are not logged in:".to_owned();
        for (event, count) in &self.summed_up {
            // Writing to a string cannot fail.
            let _ = match event {
                StrangerEvent::Connected => write!(text, " connected={count}"),
                StrangerEvent::Disconnected => write!(text, " disconnected={count}"),
                StrangerEvent::WrongPassword => write!(text, " wrong_passwords={count}"),
                StrangerEvent::TransportFailed => write!(text, " refused_Tls={count}"),
                StrangerEvent::Refused(code) => write!(text, " refused_{code}={count}"),
            };
        }
        let most = self.origins.iter().max_by_key(|(_, count)| **count);
        let addresses = self.origins.len();
        let more = if addresses >= STRANGER_ORIGINS { "+" } else { "" };
        let _ = write!(text, " addresses={addresses}{more}");
        if let Some((origin, count)) = most {
            let _ = write!(text, " most={origin} events_of_most={count}");
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin {
        Origin::of(text.parse().unwrap())
    }

    fn admitted(log: &mut StrangerLog, count: u32, from: Origin, now: Moment) -> u32 {
        (0..count).map(|_| u32::from(log.admits(StrangerEvent::Connected, from, now))).sum()
    }

    #[test]
    fn the_first_few_of_an_address_are_admitted_and_the_rest_is_summed_up() {
        let (mut log, start) = (StrangerLog::new(), Moment::START);
        let (flooder, other) = (origin("192.0.2.1"), origin("192.0.2.2"));
        assert_eq!(admitted(&mut log, 1_000, flooder, start), STRANGER_EVENTS_LOGGED);
        assert_eq!(admitted(&mut log, 3, other, start), 3, "another address is not made to pay for it");
        assert!(!log.admits(StrangerEvent::Refused(Code::Malformed), flooder, start));
        let summary = log.summary().unwrap();
        let summed_up = 1_000 - STRANGER_EVENTS_LOGGED;
        for part in [
            &format!(" connected={summed_up} "),
            " refused_Malformed=1 ",
            " addresses=2 ",
            " most=192.0.2.1 events_of_most=1001",
        ] {
            assert!(summary.contains(part), "{part} in {summary}");
        }
        assert_eq!(log.next_summary(), Some(start + STRANGER_LOG_INTERVAL));
    }

    #[test]
    fn a_flood_that_goes_on_is_summed_up_and_one_that_ended_is_forgotten() {
        let (mut log, flooder) = (StrangerLog::new(), origin("192.0.2.1"));
        let mut now = Moment::START;
        admitted(&mut log, 1_000, flooder, now);
        for _ in 0..3 {
            now = log.next_summary().unwrap();
            log.end_interval(now);
            assert_eq!(log.next_summary(), None);
            assert_eq!(admitted(&mut log, 1_000, flooder, now), 0);
        }
        // Quiet for one interval.
        for _ in 0..2 {
            now = now + STRANGER_LOG_INTERVAL;
            log.end_interval(now);
            assert!(log.admits(StrangerEvent::Connected, origin("192.0.2.2"), now));
        }
        assert_eq!(admitted(&mut log, 1_000, flooder, now), STRANGER_EVENTS_LOGGED);
    }

    #[test]
    fn events_of_all_addresses_together_are_bounded_and_so_are_the_addresses() {
        let (mut log, start) = (StrangerLog::new(), Moment::START);
        let numbered = |n: u32| Origin::of(std::net::Ipv4Addr::from_bits(n).into());
        let all: u32 = (0..10_000).map(|n| admitted(&mut log, 1, numbered(n), start)).sum();
        assert_eq!(all, STRANGER_EVENTS_LOGGED_IN_ALL);
        assert_eq!(log.origins.len(), STRANGER_ORIGINS);
        assert!(log.summary().unwrap().contains(&format!(" addresses={STRANGER_ORIGINS}+ ")));
    }

    #[test]
    fn who_logs_in_leaves_the_first_few_to_others() {
        let (mut log, start, from) = (StrangerLog::new(), Moment::START, origin("192.0.2.1"));
        for _ in 0..10 * STRANGER_EVENTS_LOGGED_IN_ALL {
            assert!(log.admits(StrangerEvent::Connected, from, start));
            log.take_back(from);
        }
        assert_eq!(log.next_summary(), None);
    }
}
