//! Whether a store takes what it is told, found out by trying: when a connection is new, when something was refused, and every
//! second while it refuses.
//!
//! What is refused may be one user's matter, as a key of theirs that has something else in it. Only what the attempt is refused
//! as well is trouble of the store.

use super::carriage::Unsaid;
use super::greeting::{refused, text};
use super::pipeline::{Reply, Unanswered};
use super::replies::outcome;
use super::scripts::LOOK;
use super::trouble::Kind;
use super::{Asked, SharedStore};
use crate::Moment;
use crate::limits::STORE_LOOK;
use crate::store::{Completion, Fetched};

/// When it is tried.
#[derive(Debug)]
pub(super) struct Look {
    due: Moment,
    /// When it was last.
    last: Option<Moment>,
    is_asked: bool,
    /// What was refused that it is to be found out for.
    refused: Option<String>,
}

impl Look {
    pub(super) fn new() -> Look {
        Look { due: Moment::NEVER, last: None, is_asked: false, refused: None }
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
        *self = Look::new();
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
    pub(super) fn look_if_due(&mut self, now: Moment) {
        if self.is_ready() && self.look.due <= now {
            self.look_at_once(now);
        }
    }

    /// Tries whether the store takes what it is told.
    pub(super) fn look_at_once(&mut self, now: Moment) {
        let refused = self.look.refused.take();
        self.look = Look { due: Moment::NEVER, last: Some(now), is_asked: true, refused };
        let command = self.script(LOOK, &[], &[]);
        self.pipeline.ask(command, Asked::Look);
    }

    /// Something that was asked was refused. Whoever waits for it is told, and what must not be left is said once more when
    /// it is known what else is refused.
    pub(super) fn take_refusal(&mut self, what: Asked, reply: &Reply, now: Moment) {
        self.look.refused = Some(refused(reply));
        self.look.want(now);
        match what {
            Asked::Said(unsaid) => self.carriage.note_unsaid(unsaid),
            Asked::EndAll { ticket, name, why } => {
                self.carriage.note_unsaid(Unsaid::EndAll { name, why, became: None });
                self.fetched.push_back(Fetched { ticket, answer: None });
            }
            Asked::Stored { ticket } => {
                self.completed.push_back(Completion { ticket, outcome: outcome(reply) });
            }
            Asked::Confirm { session } => self.carriage.note_new_tokens(session),
            // They are said and asked again when it is over, and leases every twenty seconds.
            Asked::Kept { .. } | Asked::Present => {}
            what => self.leave_unanswered(Unanswered(what)),
        }
    }

    /// What came of it.
    pub(super) fn take_look(&mut self, reply: &Reply, now: Moment) {
        self.look.is_asked = false;
        let refusal = self.look.refused.take();
        if text(reply) != Some("done") {
            let notice = self.trouble.note(Kind::Refusing, &refused(reply), now);
            self.notices.extend(notice);
            return self.look.want(now);
        }
        if self.trouble.kind() == Some(Kind::Refusing) {
            self.notices.extend(self.trouble.end_refusing(now));
            return self.say_all(now);
        }
        if let Some(reason) = refusal {
            self.warn(
                format!("the shared store refuses something, but not what it is tried with: {reason}"),
                now,
            );
            for unsaid in std::mem::take(&mut self.carriage.unsaid) {
                self.insist(unsaid);
            }
        }
    }
}
