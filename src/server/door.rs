//! Places for handshakes: who has one, who waits for one.
//!
//! A handshake costs processor time and memory before anything is known of the peer. So only so many are under way at
//! once, one is begun in a turn, and the others wait, in the order in which they came, as cheaply as an idle
//! connection. This module must not know sockets or TLS.

use super::ConnId;
use crate::Moment;
use crate::limits::{HANDSHAKE_PLACE, HANDSHAKES_AT_ONCE};
use std::collections::{BTreeSet, VecDeque};

#[derive(Debug, Default)]
pub(super) struct Places {
    /// The handshakes under way, the oldest first.
    taken: VecDeque<(Moment, ConnId)>,
    /// Those who wait, packed: their generations give the order in which they came.
    waiting: BTreeSet<u64>,
}

impl Places {
    /// A connection wants a place; again and again changes nothing.
    pub(super) fn wait(&mut self, conn: ConnId) {
        self.waiting.insert(conn.pack());
    }

    /// Gives the next who waits a free place.
    pub(super) fn admit(&mut self, now: Moment) -> Option<ConnId> {
        if !self.has_next() {
            return None;
        }
        let conn = ConnId::unpack(self.waiting.pop_first()?)?;
        self.taken.push_back((now, conn));
        Some(conn)
    }

    /// A handshake that has had its place for long enough now that others wait.
    pub(super) fn overdue(&self, now: Moment) -> Option<ConnId> {
        let (_, conn) = self.taken.front()?;
        self.next_deadline().filter(|due| *due <= now).map(|_| *conn)
    }

    /// A connection's handshake is done, or it is closing: it has or wants no place any more.
    pub(super) fn leave(&mut self, conn: ConnId) {
        self.taken.retain(|(_, taker)| *taker != conn);
        if !self.waiting.is_empty() {
            self.waiting.remove(&conn.pack());
        }
    }

    /// Whether somebody waits and there is a place.
    pub(super) fn has_next(&self) -> bool {
        self.taken.len() < HANDSHAKES_AT_ONCE && !self.waiting.is_empty()
    }

    /// When the next handshake is [overdue](Places::overdue).
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        let is_full = self.taken.len() >= HANDSHAKES_AT_ONCE && !self.waiting.is_empty();
        self.taken.front().filter(|_| is_full).map(|(since, _)| *since + HANDSHAKE_PLACE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conn(number: u64) -> ConnId {
        ConnId::unpack(((number + 1) << 32) | (number % 7)).unwrap()
    }

    fn full() -> Places {
        let mut places = Places::default();
        for number in (0..100).rev() {
            places.wait(conn(number));
            places.wait(conn(number));
        }
        for number in 0..HANDSHAKES_AT_ONCE as u64 {
            assert_eq!(places.admit(Moment::START), Some(conn(number)), "in the order of their coming");
        }
        places
    }

    #[test]
    fn there_are_only_so_many_places_and_one_that_comes_free_is_given_to_the_next() {
        let mut places = full();
        assert_eq!((places.has_next(), places.admit(Moment::START)), (false, None));
        places.leave(conn(40));
        assert!(!places.has_next(), "that one only waited");
        places.leave(conn(7));
        assert_eq!(places.admit(Moment::START), Some(conn(32)));
        for number in 0..100 {
            places.leave(conn(number));
        }
        assert!(places.taken.is_empty() && places.waiting.is_empty());
    }

    #[test]
    fn a_place_is_lost_only_while_others_wait() {
        let mut places = full();
        let due = Moment::START + HANDSHAKE_PLACE;
        assert_eq!((places.next_deadline(), places.overdue(Moment::START)), (Some(due), None));
        assert_eq!(places.overdue(due), Some(conn(0)));
        for number in HANDSHAKES_AT_ONCE as u64..100 {
            places.leave(conn(number));
        }
        assert_eq!((places.next_deadline(), places.overdue(due)), (None, None));
    }
}
