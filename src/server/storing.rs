//! The store's part of a turn: what is due is stored, and what a store that is elsewhere says, and is to be told, is carried.

#[cfg(feature = "shared")]
mod connector;
mod link;
mod name_lookup;
mod stream;
#[cfg(feature = "shared")]
mod waiting;

#[cfg(feature = "shared")]
pub use connector::{StoreConnector, StoreFlagError, StoreTrust};
pub(super) use link::StoreLink;
#[cfg(feature = "shared")]
pub use waiting::{WaitingLink, connect_store};

use super::{EVENTS, Server};
use crate::Moment;
use crate::store::Store;
use mio::Events;

impl<S: Store> Server<S> {
    /// Takes what a store that is elsewhere has said, before clients are read: whose session goes on elsewhere, or has ended,
    /// is not heard any more, though this process was stopped and finds both at once.
    #[inline]
    pub(super) fn receive_from_store(&mut self, events: &Events) {
        let Some(link) = self.engine.store_mut().link() else { return };
        if events.iter().count() == EVENTS {
            self.store_link.note_unreported();
        }
        // What others say waits in its socket, as it would if they were here.
        if link.takes_bytes() && self.store_link.receive(link, &mut self.buffer, self.clock) {
            self.work_for_store(self.clock.now());
        }
    }

    /// Lets the store do any work that is due: that may block, and nothing else in a server does. Says whether there may be
    /// answers.
    pub(super) fn store(&mut self) -> bool {
        let Some(due) = self.engine.store_mut().next_commit() else { return false };
        let now = self.clock.now();
        if due > now {
            return false;
        }
        self.work_for_store(now);
        true
    }

    fn work_for_store(&mut self, now: Moment) {
        self.engine.store_mut().commit(now);
        self.log_store_notices();
        let done = self.clock.now();
        self.unmeasured = self.unmeasured.map(|began| began + done.since(now));
        self.engine.handle_completions(done);
    }

    /// Tells a store that is elsewhere all that it was asked in this turn, in one write.
    #[inline]
    pub(super) fn send_to_store(&mut self) {
        if let Some(link) = self.engine.store_mut().link() {
            self.store_link.send(link, self.poll.registry(), self.clock.now());
        }
    }
}
