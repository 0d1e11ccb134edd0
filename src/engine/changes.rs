//! What follows from what happened.

use super::Engine;
use super::delivery::Delivery;
use super::registry::Change;
use crate::auth::Session;
use crate::handler::Speaker;
use crate::store::Store;

impl<S: Store> Engine<S> {
    /// Carries out what follows from what happened: the handler is called for sessions that begin and end, abandoned hashes
    /// are dropped, and what waits to be written is kept within its bound.
    #[inline]
    pub(super) fn apply_changes(&mut self) {
        if !self.registry.changes.is_empty() {
            self.drain_changes();
        }
        if self.registry.is_over_output_total() {
            self.registry.begin_cut_off();
            self.drain_changes();
        }
        self.publish_sayings();
        while let Some(origin) = self.admission.throttle.poll_charged() {
            self.store.charge(origin, self.registry.config.penalty);
        }
    }

    fn drain_changes(&mut self) {
        while let Some(change) = self.registry.changes.pop_front() {
            if let Change::Left { session, .. } = change {
                // Behind what it has said.
                self.publish_sayings();
                self.publish_ended(session);
            }
            match change {
                Change::Abandoned(job) => self.admission.abandon(job, self.registry.now),
                Change::AbandonedBy(conn) => {
                    if let Some(job) = self.admission.change_jobs.remove(&conn) {
                        self.admission.abandon(job, self.registry.now);
                    }
                }
                Change::EarlyLoginLeft { conn, name } => self.admission.forget_early_login(conn, &name),
                Change::Lost { session } => self.publish_lost(session),
                _ if self.stopping => {}
                // All servers hear of it, this one too.
                Change::Joined { .. } | Change::Left { .. } if self.registry.shares_room => {}
                Change::Joined { session, name } => {
                    // What it says next comes behind that.
                    let author = self.registry.sessions.session(session).and_then(Session::connection);
                    let post =
                        &mut Delivery { registry: &mut self.registry, author, is_known_elsewhere: false };
                    self.handler.joined(Speaker { session, name: &name }, post);
                }
                Change::Left { session, name, last } => {
                    let post = &mut Delivery {
                        registry: &mut self.registry,
                        author: None,
                        is_known_elsewhere: false,
                    };
                    self.handler.left(Speaker { session, name: &name }, last, post);
                }
            }
        }
    }
}
