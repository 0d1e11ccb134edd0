//! What clients cause in the log that may be anybody.
//!
//! Connecting costs nobody anything, and each connection makes up to three lines: so the first few events of an address
//! are logged in full, and the rest is summed up, one line for each [`STRANGER_LOG_INTERVAL`]. A client that logs in
//! takes back the event that its connecting was. An address whose events were summed up in one interval goes on so in
//! the next, until it has been quiet for one.
//!
//! Wrong passwords are counted apart: whoever shuts out guessers by the log must see some of each guesser's in every
//! interval, however often it connects meanwhile.

use crate::Moment;
use crate::auth::Origin;
use crate::limits::{
    STRANGER_EVENTS_LOGGED, STRANGER_EVENTS_LOGGED_IN_ALL, STRANGER_LOG_INTERVAL, STRANGER_ORIGINS,
    WRONG_PASSWORDS_LOGGED, WRONG_PASSWORDS_LOGGED_IN_ALL,
};
use crate::log_event::log_with_fields;
use crate::protocol::Code;
use log::Level;
use log::kv::Value;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

const SUMMED_UP: &str = "summed up";

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StrangerEvent {
    Connected,
    Disconnected,
    WrongPassword,
    /// The transport failed, its handshake for example.
    TransportFailed,
    /// Whom a store that fails does not take: anybody can come again and again meanwhile.
    NotStored,
    Refused(Code),
}

/// Counts the events of one interval.
#[derive(Debug)]
pub(super) struct StrangerLog {
    /// When the interval ends, if it has begun: with its first event.
    ends: Option<Moment>,
    events: Budget,
    wrong_passwords: Budget,
    summed_up: BTreeMap<StrangerEvent, u64>,
}

/// How many events of an interval may be logged in full.
#[derive(Debug)]
struct Budget {
    of_one: u32,
    of_all: u32,
    logged: u32,
    /// Events of each address, those that are not logged too.
    origins: HashMap<Origin, u32>,
}

impl StrangerLog {
    pub(super) fn new() -> StrangerLog {
        StrangerLog {
            ends: None,
            events: Budget::new(STRANGER_EVENTS_LOGGED, STRANGER_EVENTS_LOGGED_IN_ALL),
            wrong_passwords: Budget::new(WRONG_PASSWORDS_LOGGED, WRONG_PASSWORDS_LOGGED_IN_ALL),
            summed_up: BTreeMap::new(),
        }
    }

    /// Whether an event is to be logged in full; otherwise it is counted.
    pub(super) fn admits(&mut self, event: StrangerEvent, origin: Origin, now: Moment) -> bool {
        self.end_interval(now);
        self.ends.get_or_insert(now + STRANGER_LOG_INTERVAL);
        let budget = match event {
            StrangerEvent::WrongPassword => &mut self.wrong_passwords,
            _ => &mut self.events,
        };
        let is_admitted = budget.admits(origin);
        if !is_admitted {
            *self.summed_up.entry(event).or_default() += 1;
        }
        is_admitted
    }

    /// A client whose connecting was logged in full has logged in: that event is nobody's to answer for.
    pub(super) fn take_back(&mut self, origin: Origin) {
        self.events.take_back(origin);
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
        self.log_summary();
        self.ends = None;
        self.summed_up.clear();
        self.events.begin_anew_but_for_floods();
        self.wrong_passwords.begin_anew();
    }

    fn log_summary(&self) {
        if self.summed_up.is_empty() {
            return;
        }
        let level = match self.summed_up.contains_key(&StrangerEvent::WrongPassword) {
            true => Level::Warn,
            false => Level::Info,
        };
        if level > log::max_level() {
            return;
        }
        let most = [&self.events, &self.wrong_passwords].map(Budget::most);
        let fields = self.summary(&most);
        log_with_fields(level, &text(&fields), &fields);
    }

    /// The fields of the line.
    fn summary<'a>(&self, most: &'a [Option<(String, u32)>; 2]) -> Vec<(String, Value<'a>)> {
        let count = |(event, count): (&StrangerEvent, &u64)| (event.field(), Value::from(*count));
        let mut fields = vec![("event".to_owned(), Value::from(SUMMED_UP))];
        fields.extend(self.summed_up.iter().map(count));
        let addresses = self.events.origins.len();
        let key = if addresses < STRANGER_ORIGINS { "addresses" } else { "addresses_at_least" };
        fields.push((key.to_owned(), Value::from(addresses)));
        let [of_events, of_wrong_passwords] = most;
        if let Some((origin, count)) = of_events {
            fields.push(("most".to_owned(), Value::from(&**origin)));
            fields.push(("events_of_most".to_owned(), Value::from(*count)));
        }
        let has_wrong = self.summed_up.contains_key(&StrangerEvent::WrongPassword);
        if let Some((origin, count)) = of_wrong_passwords.as_ref().filter(|_| has_wrong) {
            fields.push(("most_wrong".to_owned(), Value::from(&**origin)));
            fields.push(("wrong_of_most".to_owned(), Value::from(*count)));
        }
        fields
    }
}

/// The line as text.
fn text(fields: &[(String, Value<'_>)]) -> String {
    let mut text = SUMMED_UP.to_owned();
    for (key, value) in fields.iter().skip(1) {
        // Writing to a string cannot fail.
        let _ = write!(text, " {key}={value}");
    }
    text
}

impl StrangerEvent {
    fn field(self) -> String {
        match self {
            StrangerEvent::Connected => "connected".to_owned(),
            StrangerEvent::Disconnected => "disconnected".to_owned(),
            StrangerEvent::WrongPassword => "wrong_passwords".to_owned(),
            StrangerEvent::TransportFailed => "refused_Tls".to_owned(),
            StrangerEvent::NotStored => "not_stored".to_owned(),
            StrangerEvent::Refused(code) => format!("refused_{code}"),
        }
    }
}

impl Budget {
    fn new(of_one: u32, of_all: u32) -> Budget {
        Budget { of_one, of_all, logged: 0, origins: HashMap::new() }
    }

    fn admits(&mut self, origin: Origin) -> bool {
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
        let is_admitted = of_origin <= self.of_one && self.logged < self.of_all;
        self.logged += u32::from(is_admitted);
        is_admitted
    }

    fn take_back(&mut self, origin: Origin) {
        if let Some(count) = self.origins.get_mut(&origin).filter(|count| **count <= self.of_one) {
            *count = count.saturating_sub(1);
            self.logged = self.logged.saturating_sub(1);
        }
    }

    /// The address with the most events, and how many.
    fn most(&self) -> Option<(String, u32)> {
        let most = self.origins.iter().max_by_key(|(_, count)| **count);
        most.map(|(origin, count)| (origin.to_string(), *count))
    }

    fn begin_anew(&mut self) {
        self.logged = 0;
        self.origins.clear();
    }

    fn begin_anew_but_for_floods(&mut self) {
        self.logged = 0;
        let of_one = self.of_one;
        self.origins.retain(|_, count| *count > of_one);
        self.origins.values_mut().for_each(|count| *count = of_one);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin {
        Origin::of(text.parse().unwrap())
    }

    fn admitted(log: &mut StrangerLog, count: u32, from: Origin, now: Moment) -> u32 {
        admitted_of(StrangerEvent::Connected, log, count, from, now)
    }

    fn admitted_of(
        event: StrangerEvent,
        log: &mut StrangerLog,
        count: u32,
        from: Origin,
        now: Moment,
    ) -> u32 {
        (0..count).map(|_| u32::from(log.admits(event, from, now))).sum()
    }

    fn summary(log: &StrangerLog) -> String {
        text(&log.summary(&[&log.events, &log.wrong_passwords].map(Budget::most)))
    }

    #[test]
    fn the_first_few_of_an_address_are_admitted_and_the_rest_is_summed_up() {
        let (mut log, start) = (StrangerLog::new(), Moment::START);
        let (flooder, other) = (origin("192.0.2.1"), origin("192.0.2.2"));
        assert_eq!(admitted(&mut log, 1_000, flooder, start), STRANGER_EVENTS_LOGGED);
        assert_eq!(admitted(&mut log, 3, other, start), 3, "another address is not made to pay for it");
        assert!(!log.admits(StrangerEvent::Refused(Code::Malformed), flooder, start));
        let summary = summary(&log);
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
        assert_eq!(log.events.origins.len(), STRANGER_ORIGINS);
        assert!(summary(&log).contains(&format!(" addresses_at_least={STRANGER_ORIGINS} ")));
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

    /// The story: whoever connected for each guess had used up its lines before it guessed five times, so that nobody who
    /// reads the log shut it out, and one more interval changed nothing.
    #[test]
    fn some_wrong_passwords_of_each_guesser_are_logged_in_every_interval() {
        let (mut log, guesser, other) = (StrangerLog::new(), origin("192.0.2.1"), origin("192.0.2.2"));
        let wrong = StrangerEvent::WrongPassword;
        let mut now = Moment::START;
        for _ in 0..3 {
            admitted(&mut log, 1_000, guesser, now);
            assert_eq!(admitted_of(wrong, &mut log, 50, guesser, now), WRONG_PASSWORDS_LOGGED);
            assert_eq!(admitted_of(wrong, &mut log, 1, other, now), 1);
            let summary = summary(&log);
            let left = 50 - WRONG_PASSWORDS_LOGGED;
            for part in [
                &format!(" wrong_passwords={left} "),
                " most=192.0.2.1 ",
                " most_wrong=192.0.2.1 wrong_of_most=50",
            ] {
                assert!(summary.contains(part), "{part} in {summary}");
            }
            now = log.next_summary().unwrap();
            log.end_interval(now);
        }
    }

    #[test]
    fn wrong_passwords_of_all_addresses_together_are_bounded() {
        let (mut log, start) = (StrangerLog::new(), Moment::START);
        let numbered = |n: u32| Origin::of(std::net::Ipv4Addr::from_bits(n).into());
        let all: u32 = (0..10_000)
            .map(|n| admitted_of(StrangerEvent::WrongPassword, &mut log, 2, numbered(n), start))
            .sum();
        assert_eq!(all, WRONG_PASSWORDS_LOGGED_IN_ALL);
        assert_eq!(log.wrong_passwords.origins.len(), STRANGER_ORIGINS);
    }
}
