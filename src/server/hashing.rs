//! The hash's share of a turn.

use super::Server;
use crate::Moment;
use crate::store::Store;
use std::time::Duration;

/// A hash's share of a turn in which nobody else had anything to do: what a message that comes just now waits.
const HASH_SLICE: Duration = Duration::from_micros(250);
/// Its least share of a turn in which others did.
const HASH_SLICE_LEAST: Duration = Duration::from_micros(100);
/// Its greatest: after a long turn it gets a ninth of that turn's time, but never more than this.
const HASH_SLICE_MOST: Duration = Duration::from_micros(500);
/// A slice looks at the clock about so many times a second.
const HASH_PORTIONS_PER_SECOND: u64 = 25_000;

/// How many rounds are done between two looks at the clock, by how many this machine does in a second.
pub(super) fn portion_rounds(rounds_per_second: u64) -> u32 {
    (rounds_per_second / HASH_PORTIONS_PER_SECOND).clamp(1, 1_000_000) as u32
}

impl<S: Store> Server<S> {
    /// Advances the hashes under way, for a time that is short when others have something to do. Says whether there were
    /// any.
    pub(super) fn hash(&mut self, began: Moment) -> bool {
        if !self.engine.is_hashing() {
            return false;
        }
        let mut now = self.clock.now();
        let slice = if self.busy {
            (now.since(began) / 9).clamp(HASH_SLICE_LEAST, HASH_SLICE_MOST)
        } else {
            HASH_SLICE
        };
        let end = now + slice;
        while now < end && self.engine.is_hashing() {
            self.engine.handle_hashing(self.hash_portion_rounds, now);
            now = self.clock.now();
        }
        // A store that has nothing to commit may have answered at once.
        if self.engine.is_storing() && self.engine.store_mut().next_commit().is_none() {
            self.engine.handle_completions(now);
        }
        true
    }
}
