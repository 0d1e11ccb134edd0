//! One connection: where its conversation stands, and how long it may stand there.

use super::{DISCARD, FLUSH, STALL};
use crate::plan::Settings;
use crate::wire::Said;
use porter::Moment;
use porter::engine::ConnId;
use std::collections::VecDeque;
use std::net::SocketAddr;

/// One connection.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) peer: SocketAddr,
    pub(crate) state: State,
    pub(crate) input: Vec<u8>,
    pub(crate) registers: u32,
    pub(crate) wrong: u32,
    pub(crate) login_due: Moment,
    pub(crate) last_frame: Moment,
    /// The peer has closed its sending side; and all that it sent was handed over.
    pub(crate) half_closed: bool,
    pub(crate) ended: bool,
    pub(crate) reset: bool,
    /// It was refused for want of room, when it came or later.
    pub(crate) over_limit: bool,
    /// It has carried a session.
    pub(crate) was_in: bool,
    pub(crate) closing: Option<Moment>,
    pub(crate) shut: Option<Moment>,
    /// It is not read before then, since its session has written as much as it may.
    pub(crate) paused_until: Option<Moment>,
    pub(super) bye_expected: bool,
    /// What it must be sent, in this call or as soon as it is handed out.
    pub(super) due: VecDeque<Due>,
    pub(super) said: VecDeque<Said>,
    /// Bytes that wait to be written to it, before this call and now.
    pub(crate) output_before: usize,
    pub(crate) output: usize,
    /// Some of what was written has not left what lies between socket and engine.
    pub(crate) backlog: bool,
    /// The transport cannot go on.
    pub(crate) failed: bool,
    pub(crate) stalled: Option<Moment>,
    /// While it was closing, what waited for it was dropped for the sake of all.
    pub(crate) cut_short: bool,
}

/// What a connection must be sent, and on whose account; the server's own, if nobody's.
#[derive(Debug)]
pub(crate) struct Due {
    pub(super) said: Said,
    pub(super) author: Option<ConnId>,
    pub(super) for_many: bool,
    /// It may be left out: nobody can see whether a recipient was cut off before or after.
    pub(super) optional: bool,
}

impl Due {
    fn is(&self, said: &Said) -> bool {
        match (&self.said, said) {
            // Of a refusal it is known with what it begins.
            (Said::Error(due, words), Said::Error(code, text)) => due == code && text.starts_with(words),
            (due, said) => due == said,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Identifying,
    Registering(String),
    LoggingIn(String),
    Waiting(Waiting),
    Authenticated(u64),
    Closing,
}

/// A password that is being seen to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) name: String,
    pub(crate) password: Vec<u8>,
    pub(crate) since: Moment,
    pub(crate) pending: PendingWork,
    /// The session goes on, and its user is to have another password.
    pub(crate) change: Option<Change>,
    /// The record that it is compared with was replaced meanwhile.
    pub(crate) is_stale: bool,
}

/// A password that is to be changed; the pending is the check of the old one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) serial: u64,
    pub(crate) new: Vec<u8>,
    /// The store was asked; with what it said.
    pub(crate) asked: bool,
    pub(crate) kept: Option<bool>,
}

impl Waiting {
    pub(crate) fn new(name: String, password: &[u8], pending: PendingWork, since: Moment) -> Waiting {
        Waiting { name, password: password.to_vec(), since, pending, change: None, is_stale: false }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PendingWork {
    /// A registration; with what the store said, once it was asked.
    Register { asked: bool, kept: Option<bool> },
    /// A login; whether the password is right, unless that hangs on what the store will say.
    Login { right: Option<bool>, charge: Charge },
}

/// What a login costs if its client leaves now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charge {
    /// Nothing more: it is charged already, or nobody looks at the password before the client has gone.
    Done,
    /// Its penalty, if its hash was started.
    Maybe,
    /// Its penalty: its hash was started.
    Due,
}

impl Conn {
    /// It is accepted.
    pub(super) fn new(peer: SocketAddr, now: Moment, login_due: Moment) -> Conn {
        Conn {
            peer,
            state: State::Identifying,
            input: Vec::new(),
            registers: 0,
            wrong: 0,
            login_due,
            last_frame: now,
            half_closed: false,
            ended: false,
            reset: false,
            over_limit: false,
            was_in: false,
            closing: None,
            shut: None,
            paused_until: None,
            bye_expected: false,
            due: VecDeque::new(),
            said: VecDeque::new(),
            output_before: 0,
            output: 0,
            backlog: false,
            failed: false,
            stalled: None,
            cut_short: false,
        }
    }

    /// The session that it carries.
    pub(crate) fn serial(&self) -> Option<u64> {
        match &self.state {
            State::Authenticated(serial) => Some(*serial),
            State::Waiting(waiting) => waiting.change.as_ref().map(|change| change.serial),
            _ => None,
        }
    }

    /// Takes what was said off what is due, if it was its turn: texts for many come in the order in which they were
    /// handled, and so does what one has written; only what others write to some may come before texts for many.
    pub(super) fn take_due(&mut self, said: &Said) -> bool {
        let is_next = |at: usize, due: &Due| {
            let before = |other: &Due| other.author == due.author || (other.for_many && due.for_many);
            !self.due.iter().take(at).any(|other| before(other) && !other.optional)
        };
        let found = self.due.iter().enumerate().position(|(at, due)| due.is(said) && is_next(at, due));
        let Some(taken) = found.and_then(|at| self.due.remove(at)) else { return false };
        // Those before it are left out.
        let mut place = 0;
        self.due.retain(|due| {
            place += 1;
            !(due.optional && due.author == taken.author && Some(place) <= found)
        });
        true
    }

    /// The first of what it must be told by this author, or by anybody.
    pub(super) fn owed(&self, author: Option<ConnId>) -> Option<&Due> {
        self.due.iter().find(|due| !due.optional && (author.is_none() || due.author == author))
    }

    /// Bytes of what is due.
    pub(super) fn due_bytes(&self) -> usize {
        let bytes = |due: &Due| match &due.said {
            Said::Message(sender, text) => sender.len() + text.len() + 6,
            _ => 0,
        };
        self.due.iter().map(bytes).sum()
    }

    /// Whether it has yet to show who it is.
    pub(crate) fn is_stranger(&self) -> bool {
        self.serial().is_none() && self.state != State::Closing
    }

    /// At the end of a turn: what was due when it began is done, and of whom nothing could be written for long is closing.
    pub(super) fn check_closing(&self, began: Moment) {
        let Some(since) = self.closing else {
            let stalled = self.stalled.is_some_and(|since| since + STALL <= began);
            return assert!(!stalled, "not refused as slow: {self:?}");
        };
        let gone = self.reset || self.ended || self.cut_short;
        assert!(self.shut.is_some() || since + FLUSH > began || gone, "not shut: {self:?}");
        assert!(gone || self.shut.is_none_or(|shut| shut + DISCARD > began), "not closed: {self:?}");
    }

    pub(super) fn check_deadlines(&self, now: Moment, settings: &Settings) {
        match (&self.closing, &self.state) {
            (Some(_), _) | (None, State::Waiting(_)) => {}
            (None, State::Authenticated(_)) => {
                let idle = settings.config.idle_timeout.is_some_and(|idle| self.last_frame + idle <= now);
                assert!(!idle || self.paused_until.is_some(), "idle for too long: {self:?}");
            }
            (None, _) => assert!(self.login_due > now, "past the login timeout: {self:?}"),
        }
    }
}
