//! Whether a store takes what it is told, found out by trying: when a connection is new, when something was refused, and every
//! second while it refuses.
//!
//! What is refused may be one user's matter, as a key of theirs that has something else in it. Only what the attempt is refused
//! as well is trouble of the store.

use super::greeting::{refused, text};
use super::pipeline::{Reply, Unanswered};
use super::replies::outcome;
use super::retries::Retry;
use super::scripts::{PROBE, RECOUNT};
use super::trouble::Kind;
use super::{Asked, SharedStore};
use crate::Moment;
use crate::limits::STORE_LOOK;
use crate::store::{Completion, Fetched};

/// When it is tried.
#[derive(Debug)]
pub(super) struct Probe {
    due: Moment,
    /// When it was last.
    last: Option<Moment>,
    is_asked: bool,
    /// What was refused that it is to be found out for.
    refused: Option<String>,
    /// Who is here was among it.
    is_present_unknown: bool,
}

impl Probe {
    pub(super) fn new() -> Probe {
        Probe { due: Moment::NEVER, last: None, is_asked: false, refused: None, is_present_unknown: false }
    }

    /// When something is to be done.
    pub(super) fn due(&self) -> Moment {
        self.due
    }

    /// Whether something was refused of which it is not known yet whether all else is.
    pub(super) fn is_refused(&self) -> bool {
        self.refused.is_some()
    }

    /// There is no connection any more.
    pub(super) fn end(&mut self) {
        *self = Probe::new();
    }

    /// It was not carried out, and nothing was found out.
    pub(super) fn want_again(&mut self, now: Moment) {
        self.is_asked = false;
        self.want(now);
    }

    /// It is to be tried, but not more often than each second.
    fn want(&mut self, now: Moment) {
        if !self.is_asked && self.due == Moment::NEVER {
            self.due = self.last.map_or(now, |last| now.max(last + STORE_LOOK));
        }
    }
}

impl SharedStore {
    /// Tries it, if that is to be done now.
    pub(super) fn probe_if_due(&mut self, now: Moment) {
        if self.is_ready() && self.probe.due <= now {
            self.probe_now(now);
        }
    }

    /// Tries whether the store takes what it is told.
    pub(super) fn probe_now(&mut self, now: Moment) {
        (self.probe.due, self.probe.last, self.probe.is_asked) = (Moment::NEVER, Some(now), true);
        let command = self.script(PROBE, &[], &[]);
        self.pipeline.ask(command, Asked::Probe);
    }

    /// Something that was asked was refused. Whoever waits for it is told, and what must not be left is said once more when
    /// it is known what else is refused.
    pub(super) fn take_refusal(&mut self, what: Asked, reply: &Reply, now: Moment) {
        self.probe.refused = Some(refused(reply));
        self.probe.want(now);
        match what {
            Asked::Retry(retry) => self.retries.add_refused(retry, now),
            Asked::EndAll { ticket, name, why } => {
                self.retries.add_refused(Retry::EndAll { name, why, became: None }, now);
                self.fetched.push_back(Fetched { ticket, answer: None });
            }
            // Its script begins with the lease: what it has done before it was refused is reaped.
            Asked::Open { ticket, entry } => {
                self.carriage.take_opened(entry);
                self.fetched.push_back(Fetched { ticket, answer: None });
            }
            Asked::Stored { ticket } => {
                self.completed.push_back(Completion { ticket, outcome: outcome(reply) });
            }
            Asked::Confirm { session } => self.carriage.note_new_tokens(session),
            // It comes again every twenty seconds.
            Asked::Kept { .. } => {}
            Asked::Present => self.probe.is_present_unknown = true,
            what => self.leave_unanswered(Unanswered(what)),
        }
    }

    /// What came of it.
    pub(super) fn take_probe(&mut self, reply: &Reply, now: Moment) {
        self.probe.is_asked = false;
        let refusal = self.probe.refused.take();
        if text(reply) != Some("done") {
            let notice = self.trouble.note(Kind::Refusing, &refused(reply), now);
            self.notices.extend(notice);
            return self.probe.want(now);
        }
        if self.trouble.kind() == Some(Kind::Refusing) {
            self.notices.extend(self.trouble.end_refusing(now));
            self.pipeline.ask(self.script(RECOUNT, &[], &[]), Asked::Noted);
            return self.say_all(now);
        }
        if let Some(reason) = refusal {
            self.warn(
                format!("the shared store refuses something, but not what it is tried with: {reason}"),
                now,
            );
            if std::mem::take(&mut self.probe.is_present_unknown) {
                self.ask_who_is_here();
            }
        }
    }
}
