//! Connections that are not logged in, counted by origin: nobody can keep others out by having many.
//!
//! Totals by origin run along, so that finding who is to make room costs the logarithm of their number. But a server on
//! which few are not logged in pays for a plain count alone: the [`Index`] is there only since a limit came near. This
//! module must not know connections.

use super::ConnId;
use crate::Moment;
use crate::auth::Origin;
use crate::limits::STRANGER_INDEX_KEPT;
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

/// What is lost with a connection that is not logged in; the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StrangerState {
    /// It was given its final reply.
    Closing,
    /// It waits for nothing of the server's.
    Idle,
    /// The server hashes or stores for it.
    Waiting,
}

/// One connection among those of its origin: who has least to lose, and of those the oldest, comes first. The
/// connection is packed: generations give the order in which they came.
type Rank = (StrangerState, u64);

/// All connections that are not logged in, but for those that were refused.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    count: usize,
    /// With the moment until which it stays in any case: it is made by a look at every connection, which nobody is to
    /// cause again and again.
    index: Option<(Index, Moment)>,
}

/// Totals by origin.
#[derive(Debug, Default)]
struct Index {
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
        self.count
    }

    /// Has the index there from now on, if a limit is near, or lets it go, if none has been for a while. `all` are the
    /// connections that are counted.
    pub(super) fn keep_index(
        &mut self,
        is_near: bool,
        now: Moment,
        all: impl Iterator<Item = (Origin, ConnId, StrangerState)>,
    ) {
        if is_near {
            let index = match self.index.take() {
                Some((index, _)) => index,
                None => Index::of(all),
            };
            self.index = Some((index, now + STRANGER_INDEX_KEPT));
        } else if self.index.as_ref().is_some_and(|(_, until)| *until <= now) {
            self.index = None;
        }
    }

    /// The first of the origin that has the most. Without an index it is nobody.
    pub(super) fn first_of_most(&self) -> Option<First> {
        self.index.as_ref()?.0.first_of_most()
    }

    /// The first of an origin. Without an index it is nobody.
    pub(super) fn first_of(&self, origin: Origin) -> Option<First> {
        self.index.as_ref()?.0.first_of(origin)
    }

    /// A connection's state has changed; `None` if it is none of these, or not any more.
    pub(super) fn change(
        &mut self,
        origin: Origin,
        conn: ConnId,
        from: Option<StrangerState>,
        to: Option<StrangerState>,
    ) {
        self.count = self.count + usize::from(to.is_some()) - usize::from(from.is_some());
        if let Some((index, _)) = &mut self.index {
            index.change(origin, conn, from, to);
        }
    }
}

impl Index {
    fn of(all: impl Iterator<Item = (Origin, ConnId, StrangerState)>) -> Index {
        let mut index = Index::default();
        all.for_each(|(origin, conn, state)| index.change(origin, conn, None, Some(state)));
        index
    }

    fn first_of_most(&self) -> Option<First> {
        let (_, _, origin) = self.by_count.last()?;
        self.first_of(*origin)
    }

    fn first_of(&self, origin: Origin) -> Option<First> {
        let &(count, (state, packed)) = self.origins.get(&origin)?;
        Some(First { count, state, conn: ConnId::unpack(packed)? })
    }

    fn change(
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

    fn indexed() -> Strangers {
        let mut strangers = Strangers::default();
        strangers.keep_index(true, Moment::START, std::iter::empty());
        strangers
    }

    #[test]
    fn the_origin_with_the_most_makes_room_with_who_has_least_to_lose() {
        let mut strangers = indexed();
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
        let mut strangers = indexed();
        let states = [Closing, Idle, Waiting];
        let state = |number: u64| Some(states[number as usize % 3]);
        for number in 1..60 {
            strangers.change(origin(number as u32 % 7), conn(number), None, state(number));
        }
        for number in 1..60 {
            strangers.change(origin(number as u32 % 7), conn(number), state(number), state(number + 1));
        }
        assert_eq!(strangers.index.as_ref().unwrap().0.by_count.len(), 7);
        for number in (1..60).rev() {
            strangers.change(origin(number as u32 % 7), conn(number), state(number + 1), None);
        }
        assert_eq!((strangers.len(), strangers.first_of_most()), (0, None));
        let (index, _) = strangers.index.unwrap();
        assert!(index.ranks.is_empty() && index.origins.is_empty() && index.by_count.is_empty());
    }

    #[test]
    fn the_index_is_there_since_a_limit_came_near_and_for_a_while_after() {
        let mut strangers = Strangers::default();
        let all = || [(origin(1), conn(1), Idle), (origin(2), conn(2), Idle), (origin(2), conn(3), Waiting)];
        for (origin, conn, state) in all() {
            strangers.change(origin, conn, None, Some(state));
        }
        assert_eq!((strangers.len(), strangers.first_of_most()), (3, None));
        strangers.keep_index(true, Moment::START, all().into_iter());
        let most = First { count: 2, state: Idle, conn: conn(2) };
        assert_eq!(strangers.first_of_most(), Some(most));
        let near = Moment::START + STRANGER_INDEX_KEPT / 2;
        strangers.keep_index(true, near, std::iter::empty());
        strangers.keep_index(false, Moment::START + STRANGER_INDEX_KEPT, std::iter::empty());
        assert_eq!(strangers.first_of_most(), Some(most));
        strangers.keep_index(false, near + STRANGER_INDEX_KEPT, std::iter::empty());
        assert_eq!((strangers.len(), strangers.first_of_most()), (3, None));
    }
}
