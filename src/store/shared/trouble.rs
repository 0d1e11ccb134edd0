//! What is wrong with a store: since when, why, and what of that the log has.
//!
//! The log has a line when it begins, a line for each other reason of the same trouble, and one when it is over. Reasons that
//! take turns, as those of two addresses do, have a line each: one that was logged before is logged again only when nothing
//! else was wrong for a while.

use crate::Moment;
use crate::store::{AWAY, Notice};
use log::Level;
use std::collections::VecDeque;
use std::time::Duration;

/// How long a reason must have held that is logged once more.
const SETTLED: Duration = Duration::from_secs(10);
/// Reasons of one trouble that are logged as soon as they are known.
const REASONS: usize = 8;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nobody is there, or does not answer: whatever the system calls it, it is one reason.
    Gone,
    /// Somebody is there, and no connection to it can be made.
    Unreachable,
    /// It answers, and is not what porter can use.
    Unusable,
    /// It is the right one, and refuses what it is told.
    Refusing,
}

impl Kind {
    /// What is said to a client that cannot be served for it.
    pub(super) fn excuse(self) -> &'static str {
        match self {
            Kind::Gone | Kind::Unreachable => AWAY,
            Kind::Unusable => "the shared store cannot be used",
            Kind::Refusing => "the shared store refuses it",
        }
    }
}

#[derive(Debug)]
struct Current {
    kind: Kind,
    since: Moment,
    /// What is said of it.
    text: String,
    /// Since when this is the reason.
    held: Moment,
    /// The reason that the log had last.
    logged: Option<String>,
}

/// What is wrong with one store, if anything is.
#[derive(Debug)]
pub(super) struct Trouble {
    /// What the log calls it.
    store: String,
    current: Option<Current>,
    /// What was logged, and when.
    logged: VecDeque<(String, Moment)>,
}

impl Trouble {
    pub(super) fn new(store: String) -> Trouble {
        Trouble { store, current: None, logged: VecDeque::new() }
    }

    /// What is wrong, in words that name no address.
    pub(super) fn reason(&self) -> Option<&str> {
        self.current.as_ref().map(|current| current.text.as_str())
    }

    pub(super) fn kind(&self) -> Option<Kind> {
        self.current.as_ref().map(|current| current.kind)
    }

    /// Something is wrong, or is so still. Gives the line that the log is to have.
    pub(super) fn note(&mut self, kind: Kind, reason: &str, now: Moment) -> Option<Notice> {
        let text = match kind {
            Kind::Gone | Kind::Unreachable => format!("cannot be reached: {reason}"),
            Kind::Unusable => format!("cannot be used: {reason}"),
            Kind::Refusing => format!("refuses what it is told: {reason}"),
        };
        let reason = if kind == Kind::Gone { String::new() } else { text.clone() };
        let line = format!("the shared store {} {text}", self.store);
        let text = format!("the shared store {text}");
        if self.current.is_none() {
            // Each time that it is gone is a line.
            self.logged.retain(|(logged, when)| !logged.is_empty() && *when + SETTLED > now);
        }
        let current = self.current.get_or_insert_with(|| Current {
            kind,
            since: now,
            text: text.clone(),
            held: now,
            logged: None,
        });
        if (current.kind == Kind::Refusing) != (kind == Kind::Refusing) {
            current.since = now;
        }
        if current.kind != kind || (kind != Kind::Gone && current.text != text) {
            current.held = now;
        }
        current.kind = kind;
        current.text = text;
        if current.logged.as_ref() == Some(&reason) {
            return None;
        }
        let is_known =
            self.logged.iter().any(|(logged, _)| *logged == reason) || self.logged.len() >= REASONS;
        if is_known && current.held + SETTLED > now {
            return None;
        }
        current.logged = Some(reason.clone());
        self.logged.retain(|(logged, _)| *logged != reason);
        if self.logged.len() < REASONS {
            self.logged.push_back((reason, now));
        }
        Some(Notice::new(Level::Error, line))
    }

    /// It is there again, and can be used. Gives the line that the log is to have, if it had one of the trouble.
    pub(super) fn end_away(&mut self, now: Moment) -> Option<Notice> {
        self.current
            .take_if(|current| current.kind != Kind::Refusing)
            .and_then(|current| self.ended(&current, "is back after", now))
    }

    /// It takes again what it is told.
    pub(super) fn end_refusing(&mut self, now: Moment) -> Option<Notice> {
        self.current
            .take_if(|current| current.kind == Kind::Refusing)
            .and_then(|current| self.ended(&current, "takes again what it is told, after", now))
    }

    fn ended(&self, current: &Current, what: &str, now: Moment) -> Option<Notice> {
        current.logged.as_ref()?;
        let lasted = now.since(current.since).as_secs_f64();
        Some(Notice::new(Level::Info, format!("the shared store {} {what} {lasted:.1} s", self.store)))
    }
}
