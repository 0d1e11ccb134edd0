//! Who is let in, and who makes room for whom: connections that are not logged in, by origin.
//!
//! What is closing may be gone already or not, so there are two counts: of those that are surely there, and of those that
//! may be.

use super::frames::is_error;
use super::throttle::origin;
use super::{Conn, Model, State, check_seconds};
use crate::wire::Said;
use porter::engine::ConnId;
use std::net::IpAddr;

/// Those above a limit that are told so at once.
const REFUSALS: usize = 64;
/// Connections accepted in one turn: so many may be closed at once and not yet be gone.
const ACCEPTS: usize = 10;

impl Model {
    /// A new connection is greeted, at another's expense if need be, or refused; or closed without a word, if too much waits
    /// for all.
    pub(super) fn let_in(&mut self, id: ConnId) {
        let conn = self.conn(id);
        let peer = conn.peer;
        match conn.said.pop_front() {
            Some(Said::Hello(name)) => {
                self.users.check_last_visitor(peer.ip(), name);
                self.check_room_made(id);
            }
            Some(said @ Said::Error(106, _)) => {
                self.check_refused(id);
                self.turn_away(id, &said);
            }
            None => {
                self.check_total(self.held_before);
                self.close(id, false);
                self.conn(id).cut_short = true;
            }
            said => panic!("a new connection hears {said:?}"),
        }
    }

    /// The limits hold, whoever had to go.
    pub(super) fn check_room(&self) {
        let config = &self.settings.config;
        let strangers = self.conns.values().filter(|conn| is_surely_stranger(conn)).count();
        assert!(strangers <= config.max_strangers, "{strangers} that are not logged in");
        let regular = self.conns.values().filter(|conn| !conn.over_limit && conn.closing.is_none()).count();
        assert!(regular <= config.max_connections, "{regular} connections");
        assert!(self.conns.len() <= config.max_connections + REFUSALS + ACCEPTS, "{}", self.conns.len());
    }

    /// How many are not logged in: at least, and at most.
    pub(crate) fn strangers_at_limit(&self) -> (usize, usize) {
        let count = |which: fn(&Conn) -> bool| self.conns.values().filter(|conn| which(conn)).count();
        (count(is_surely_stranger), count(may_be_stranger))
    }

    /// A closing connection that was never logged in may have been closed at once, to make room.
    pub(super) fn may_have_made_room(&self, conn: &Conn) -> bool {
        self.was_at_limit && !conn.was_in
    }

    /// Whether a limit is reached without the newcomer: all connections, and those that are not logged in.
    fn limits_reached(&self, newcomer: ConnId) -> (bool, bool) {
        let config = &self.settings.config;
        let others = || self.conns.iter().filter(|(id, _)| **id != newcomer).map(|(_, conn)| conn);
        let is_full = others().filter(|conn| !conn.over_limit).count() >= config.max_connections;
        (is_full, others().filter(|conn| may_be_stranger(conn)).count() >= config.max_strangers)
    }

    fn check_room_made(&mut self, newcomer: ConnId) {
        let (is_full, is_crowded) = self.limits_reached(newcomer);
        self.was_at_limit |= is_full || is_crowded;
        let told = |(id, conn): &(&ConnId, &Conn)| {
            **id != newcomer && conn.said.front().is_some_and(|said| is_error(said, 106))
        };
        let losers: Vec<ConnId> = self.conns.iter().filter(told).map(|(id, _)| *id).collect();
        let [loser] = losers[..] else { return assert!(losers.is_empty(), "{losers:?} made room for one") };
        assert!(is_full || is_crowded, "{loser:?} made room though there was some");
        self.check_loser(loser, newcomer, is_crowded);
        let said = self.conn(loser).said.pop_front();
        self.turn_away(loser, &said.unwrap_or(Said::Bye));
    }

    fn check_loser(&self, loser: ConnId, newcomer: ConnId, is_crowded: bool) {
        let conn = &self.conns[&loser];
        assert!(is_surely_stranger(conn), "{loser:?} is logged in and made room: {conn:?}");
        let place = origin(conn.peer.ip());
        let its = self.count(place, may_be_stranger);
        for other in self.conns.values().map(|conn| origin(conn.peer.ip())) {
            let others = self.count(other, is_surely_stranger);
            assert!(its >= others, "{loser:?} made room, one of {its}, and {other} has {others}");
        }
        let newcomers = self.count(origin(self.conns[&newcomer].peer.ip()), is_surely_stranger);
        assert!(is_crowded || its > newcomers, "{loser:?}, one of {its}, made room for one of {newcomers}");
        let of_place = || self.conns.iter().filter(|(_, c)| origin(c.peer.ip()) == place);
        let before = |(id, other): &(&ConnId, &Conn)| {
            **id != newcomer && is_surely_stranger(other) && !waits(other) && {
                waits(conn) || id.generation() < loser.generation()
            }
        };
        let passed_over = of_place().find(before);
        assert!(passed_over.is_none(), "{loser:?} made room, and not {passed_over:?}");
    }

    fn check_refused(&self, newcomer: ConnId) {
        let (is_full, is_crowded) = self.limits_reached(newcomer);
        assert!(is_full || is_crowded, "{newcomer:?} is refused though there is room");
        let place = origin(self.conns[&newcomer].peer.ip());
        let own = self.count(place, may_be_stranger);
        for (id, conn) in self.conns.iter().filter(|(_, conn)| is_surely_stranger(conn)) {
            let other = origin(conn.peer.ip());
            let others = self.count(other, is_surely_stranger);
            assert!(other == place || others <= own, "{newcomer:?} is kept out by {others} of {other}");
            let could_go = !is_full && other == place && !waits(conn) && *id != newcomer;
            assert!(!could_go, "{newcomer:?} is refused, and {id:?} of its own address waits for nothing");
        }
    }

    /// It is told Busy, and takes no room any more.
    fn turn_away(&mut self, id: ConnId, said: &Said) {
        if let Said::Error(_, text) = said {
            check_seconds(text);
        }
        self.conn(id).over_limit = true;
        self.close(id, false);
    }

    fn count(&self, place: IpAddr, which: fn(&Conn) -> bool) -> usize {
        self.conns.values().filter(|conn| origin(conn.peer.ip()) == place && which(conn)).count()
    }
}

fn may_be_stranger(conn: &Conn) -> bool {
    !conn.over_limit && !conn.was_in
}

fn is_surely_stranger(conn: &Conn) -> bool {
    may_be_stranger(conn) && conn.closing.is_none()
}

fn waits(conn: &Conn) -> bool {
    matches!(conn.state, State::Waiting(_))
}
