//! Connections that are not logged in, counted by origin: nobody can keep others out by having many.
//!
//! Totals run along, so that finding who is to make room costs the logarithm of their number. This module must not know
//! connections.

use super::ConnId;
use crate::auth::Origin;
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

/// What is lost with a connection that is not logged in; the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StrangerState {
    /// Its last word is said.
    Closing,
    /// It waits for nothing of the server's.
    Idle,
    /// The server sees to its password.
    Waiting,
}

/// One connection among those of its origin: who has least to lose, and of those the oldest, comes first. The
/// connection is packed: generations give the order in which they came.
type Rank = (StrangerState, u64);

/// All connections that are not logged in, but for those that were refused.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    ranks: BTreeSet<(Origin, Rank)>,
    origins: HashMap<Origin, (usize, Rank)>,
    /// The same, with the origin that has the most last, and of such the one whose first comes first.
    by_count: BTreeSet<(usize, Reverse<Rank>, Origin)>,
}

/// Who makes room, and what it loses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct First {
    /// How many its origin has.
    pub(super) count: usize,
    pub(super) state: StrangerState,
    pub(super) conn: ConnId,
}

impl Strangers {
    pub(super) fn len(&self) -> usize {
        self.ranks.len()
    }

    /// The first of the origin that has the most.
    pub(super) fn first_of_most(&self) -> Option<First> {
        let (_, _, origin) = self.by_count.last()?;
        self.first_of(*origin)
    }

    /// The first of an origin.
    pub(super) fn first_of(&self, origin: Origin) -> Option<First> {
        let &(count, (state, packed)) = self.origins.get(&origin)?;
        Some(First { count, state, conn: ConnId::unpack(packed)? })
    }

    /// A connection's state has changed; `None` if it is none of these, or not any more.
    pub(super) fn change(
        &mut self,
        origin: Origin,
        conn: ConnId,
        from: Option<StrangerState>,
        to: Option<StrangerState>,
    ) {
        if let Some(from) = from {
            self.ranks.remove(&(origin, (from, conn.pack())));
        }
        if let Some(to) = to {
            self.ranks.insert((origin, (to, conn.pack())));
        }
        let before = self.origins.get(&origin).copied();
        let count =
            before.map_or(0, |(count, _)| count) + usize::from(to.is_some()) - usize::from(from.is_some());
        let first = self.ranks.range((origin, (StrangerState::Closing, 0))..).next();
        let after = first.filter(|(other, _)| *other == origin).map(|(_, rank)| (count, *rank));
        if after == before {
            return;
        }
        if let Some((count, rank)) = before {
            self.by_count.remove(&(count, Reverse(rank), origin));
        }
        match after {
            Some((count, rank)) => {
                self.by_count.insert((count, Reverse(rank), origin));
                self.origins.insert(origin, (count, rank));
            }
            None => {
                self.origins.remove(&origin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::StrangerState::{Closing, Idle, Waiting};
    use super::*;
    use std::net::Ipv4Addr;

    fn conn(number: u64) -> ConnId {
        ConnId::unpack((number << 32) | (99 - number)).unwrap()
    }

    fn origin(number: u32) -> Origin {
        Origin::of(Ipv4Addr::from_bits(number).into())
    }

    #[test]
    fn the_origin_with_the_most_makes_room_with_who_has_least_to_lose() {
        let mut strangers = Strangers::default();
        let first = |count, state, number| Some(First { count, state, conn: conn(number) });
        for number in 1..=3 {
            strangers.change(origin(1), conn(number), None, Some(Idle));
        }
        strangers.change(origin(2), conn(4), None, Some(Idle));
        assert_eq!(strangers.first_of_most(), first(3, Idle, 1));
        strangers.change(origin(1), conn(1), Some(Idle), Some(Waiting));
        assert_eq!(strangers.first_of_most(), first(3, Idle, 2));
        strangers.change(origin(1), conn(3), Some(Idle), Some(Closing));
        assert_eq!(strangers.first_of_most(), first(3, Closing, 3));
        strangers.change(origin(1), conn(3), Some(Closing), None);
        strangers.change(origin(1), conn(2), Some(Idle), None);
        // One each: of them the one that waits for nothing, though it came later.
        assert_eq!(strangers.first_of_most(), first(1, Idle, 4));
        assert_eq!(strangers.first_of(origin(1)), first(1, Waiting, 1));
        strangers.change(origin(3), conn(5), None, Some(Idle));
        assert_eq!(strangers.first_of_most(), first(1, Idle, 4), "the oldest");
        assert_eq!(strangers.len(), 3);
    }

    #[test]
    fn nothing_is_left_when_all_have_gone() {
        let mut strangers = Strangers::default();
        let states = [Closing, Idle, Waiting];
        let state = |number: u64| Some(states[number as usize % 3]);
        for number in 1..60 {
            strangers.change(origin(number as u32 % 7), conn(number), None, state(number));
        }
        for number in 1..60 {
            strangers.change(origin(number as u32 % 7), conn(number), state(number), state(number + 1));
        }
        assert_eq!(strangers.by_count.len(), 7);
        for number in (1..60).rev() {
            strangers.change(origin(number as u32 % 7), conn(number), state(number + 1), None);
        }
        assert!(strangers.ranks.is_empty() && strangers.origins.is_empty() && strangers.by_count.is_empty());
        assert_eq!(strangers.first_of_most(), None);
    }
}
