//! The handshake queue: which connections have a handshake under way, and which wait to begin one.
//!
//! A handshake costs CPU time and memory before anything is known of the peer. So only so many are under way at once,
//! one is begun in a turn, and the others wait. Only connections whose ClientHello is there whole are in the queue: who
//! sends less takes nothing from anybody. Origins take turns, so that one address with a thousand connections is ahead
//! of another by one handshake at most; and while an origin without a handshake waits, one that has several loses its
//! oldest soon. This module must not know sockets or TLS.

use super::ConnId;
use crate::Moment;
use crate::auth::Origin;
use crate::limits::{HANDSHAKE_TIME, HANDSHAKE_TIME_CONTESTED, HANDSHAKES_AT_ONCE};
use std::collections::{BTreeMap, BTreeSet, HashMap};

#[derive(Debug, Default)]
pub(super) struct HandshakeQueue {
    /// The handshakes under way, the oldest first.
    begun: Vec<Handshake>,
    /// The origin of each connection that waits.
    waiting: HashMap<ConnId, Origin>,
    origins: HashMap<Origin, OriginQueue>,
    /// Whose turn is next, by number.
    turns: BTreeMap<u64, Origin>,
    next_turn: u64,
}

#[derive(Clone, Copy, Debug)]
struct Handshake {
    since: Moment,
    conn: ConnId,
    origin: Origin,
}

/// What waits of one origin.
#[derive(Debug)]
struct OriginQueue {
    turn: u64,
    /// Packed: their generations give the order in which they came.
    conns: BTreeSet<u64>,
}

impl HandshakeQueue {
    /// A connection is ready to begin its handshake; again and again changes nothing.
    pub(super) fn push(&mut self, conn: ConnId, origin: Origin) {
        if self.waiting.insert(conn, origin).is_some() {
            return;
        }
        let next_turn = &mut self.next_turn;
        let turns = &mut self.turns;
        let queue = self.origins.entry(origin).or_insert_with(|| {
            let turn = take_turn(turns, next_turn, origin);
            OriginQueue { turn, conns: BTreeSet::new() }
        });
        queue.conns.insert(conn.pack());
    }

    /// How many wait, and how many are under way.
    #[cfg(feature = "admin")]
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.waiting.len(), self.begun.len())
    }

    /// Whether a connection waits in it.
    pub(super) fn has(&self, conn: ConnId) -> bool {
        self.waiting.contains_key(&conn)
    }

    /// The connection whose handshake begins now.
    pub(super) fn begin_next(&mut self, now: Moment) -> Option<ConnId> {
        if !self.has_next() {
            return None;
        }
        let (_, origin) = self.turns.pop_first()?;
        let queue = self.origins.get_mut(&origin)?;
        let next = queue.conns.pop_first();
        if queue.conns.is_empty() {
            self.origins.remove(&origin);
        } else {
            queue.turn = take_turn(&mut self.turns, &mut self.next_turn, origin);
        }
        let conn = ConnId::unpack(next?)?;
        self.waiting.remove(&conn);
        self.begun.push(Handshake { since: now, conn, origin });
        Some(conn)
    }

    /// A handshake that has had its time now that others wait.
    pub(super) fn overdue(&self, now: Moment) -> Option<ConnId> {
        self.first_due().filter(|(due, _)| *due <= now).map(|(_, conn)| conn)
    }

    /// A connection's handshake is done, or it is closing.
    pub(super) fn leave(&mut self, conn: ConnId) {
        if self.waiting.is_empty() && self.begun.is_empty() {
            return;
        }
        if let Some(origin) = self.waiting.remove(&conn) {
            let Some(queue) = self.origins.get_mut(&origin) else { return };
            queue.conns.remove(&conn.pack());
            if queue.conns.is_empty() {
                self.turns.remove(&queue.turn);
                self.origins.remove(&origin);
            }
        } else {
            self.begun.retain(|handshake| handshake.conn != conn);
        }
    }

    /// Whether one waits and may begin.
    pub(super) fn has_next(&self) -> bool {
        self.begun.len() < HANDSHAKES_AT_ONCE && !self.waiting.is_empty()
    }

    /// When the next handshake is [overdue](HandshakeQueue::overdue).
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.first_due().map(|(due, _)| due)
    }

    fn first_due(&self) -> Option<(Moment, ConnId)> {
        if self.waiting.is_empty() || self.begun.len() < HANDSHAKES_AT_ONCE {
            return None;
        }
        let count = |origin: Origin| self.begun.iter().filter(|handshake| handshake.origin == origin).count();
        // Those under way are few; those that wait may be many, but only as many origins as have one are looked at.
        let is_contested = self.origins.keys().take(self.begun.len() + 1).any(|origin| count(*origin) == 0);
        let largest = self.begun.iter().map(|handshake| handshake.origin).max_by_key(|origin| count(*origin));
        let contested = largest.filter(|origin| is_contested && count(*origin) > 1).and_then(|origin| {
            let oldest = self.begun.iter().find(|handshake| handshake.origin == origin)?;
            Some((oldest.since + HANDSHAKE_TIME_CONTESTED, oldest.conn))
        });
        let oldest = self.begun.first().map(|oldest| (oldest.since + HANDSHAKE_TIME, oldest.conn));
        oldest.into_iter().chain(contested).min()
    }
}

/// Gives an origin the last turn.
fn take_turn(turns: &mut BTreeMap<u64, Origin>, next_turn: &mut u64, origin: Origin) -> u64 {
    let turn = *next_turn;
    *next_turn += 1;
    turns.insert(turn, origin);
    turn
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn conn(number: u64) -> ConnId {
        ConnId::unpack(((number + 1) << 32) | (number % 7)).unwrap()
    }

    fn origin(number: u32) -> Origin {
        Origin::of(Ipv4Addr::from_bits(number).into())
    }

    /// A hundred of one origin, as many of them under way as can be.
    fn full() -> HandshakeQueue {
        let mut queue = HandshakeQueue::default();
        for number in (0..100).rev() {
            queue.push(conn(number), origin(1));
            queue.push(conn(number), origin(1));
        }
        for number in 0..HANDSHAKES_AT_ONCE as u64 {
            assert_eq!(queue.begin_next(Moment::START), Some(conn(number)), "in the order of their coming");
        }
        queue
    }

    fn is_empty(queue: &HandshakeQueue) -> bool {
        queue.begun.is_empty()
            && queue.waiting.is_empty()
            && queue.origins.is_empty()
            && queue.turns.is_empty()
    }

    #[test]
    fn only_so_many_are_under_way_and_one_that_ends_lets_the_next_begin() {
        let mut queue = full();
        assert_eq!((queue.has_next(), queue.begin_next(Moment::START)), (false, None));
        queue.leave(conn(40));
        assert!(!queue.has_next(), "that one only waited");
        queue.leave(conn(7));
        assert_eq!(queue.begin_next(Moment::START), Some(conn(32)));
        for number in 0..100 {
            queue.leave(conn(number));
        }
        assert!(is_empty(&queue));
    }

    #[test]
    fn a_handshake_is_cut_short_only_while_others_wait() {
        let mut queue = full();
        let due = Moment::START + HANDSHAKE_TIME;
        assert_eq!((queue.next_deadline(), queue.overdue(Moment::START)), (Some(due), None));
        assert_eq!(queue.overdue(due), Some(conn(0)));
        for number in HANDSHAKES_AT_ONCE as u64..100 {
            queue.leave(conn(number));
        }
        assert_eq!((queue.next_deadline(), queue.overdue(due)), (None, None));
    }

    #[test]
    fn origins_take_turns() {
        let mut queue = full();
        queue.push(conn(200), origin(2));
        queue.push(conn(201), origin(2));
        queue.push(conn(300), origin(3));
        let mut order = Vec::new();
        for ended in 0..6 {
            queue.leave(conn(ended));
            order.extend(queue.begin_next(Moment::START));
        }
        assert_eq!(order, [32, 200, 300, 33, 201, 34].map(conn));
        queue.leave(conn(8));
        queue.leave(conn(300));
        for number in (0..100).chain([200, 201]) {
            queue.leave(conn(number));
        }
        assert!(is_empty(&queue));
    }

    #[test]
    fn who_has_none_under_way_waits_less_long_for_one_who_has_several() {
        let mut queue = full();
        queue.push(conn(200), origin(2));
        let due = Moment::START + HANDSHAKE_TIME_CONTESTED;
        assert_eq!((queue.next_deadline(), queue.overdue(due)), (Some(due), Some(conn(0))));
        queue.leave(conn(0));
        let later = Moment::START + HANDSHAKE_TIME_CONTESTED;
        let next = queue.begin_next(later);
        assert_eq!(next, Some(conn(32)), "it was their turn");
        queue.leave(conn(1));
        assert_eq!(queue.begin_next(later), Some(conn(200)));
        assert_eq!(queue.next_deadline(), Some(Moment::START + HANDSHAKE_TIME), "nobody is without one");
    }
}
