//! Somebody connects: greeted, in the place of another if need be, or refused.
//!
//! Two limits are kept: all connections, and those that are not logged in. Where one is reached the origin that has the
//! most connections that are not logged in gives one up, so that whoever has many keeps nobody else out.

use super::close_reason::CloseReason;
use super::connection::Connection;
use super::login::seconds_first;
use super::peer::Peer;
use super::registry::Registry;
use super::strangers::StrangerState;
use super::{ConnId, Engine};
use crate::Moment;
use crate::auth::{Name, Origin};
use crate::limits::REFUSALS_AT_ONCE;
use crate::protocol::{Code, Reply, VERSION};
use crate::store::Store;
use std::net::SocketAddr;
use std::time::Duration;

/// When somebody may come back who found no room, or a store that does not answer.
pub(super) const COME_BACK: Duration = Duration::from_secs(1);

/// What is wrong with the beginning of a connection from a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderFault {
    /// It is no header, for this reason.
    Malformed(&'static str),
    /// The header has not come in time, for this reason.
    TimedOut(&'static str),
}

impl<S: Store> Engine<S> {
    /// Somebody has connected. `None` if there is not even room to say that there is none: then the socket is to be
    /// closed without a word.
    ///
    /// At a limit it may be another that is refused instead: one that is not logged in, of the address that has the most
    /// of them.
    pub fn handle_connect(&mut self, peer: SocketAddr, now: Moment) -> Option<ConnId> {
        let id = self.connect(peer, now);
        self.apply_changes();
        id
    }

    /// The same for somebody who has connected by way of a proxy, which is named in the log: all else is about the client's
    /// own address, `peer`.
    pub fn handle_connect_through(
        &mut self,
        peer: SocketAddr,
        proxy: SocketAddr,
        now: Moment,
    ) -> Option<ConnId> {
        let id = self.connect(peer, now);
        if let Some(id) = id {
            self.registry.announce_through(id, Some(Peer::from(proxy)));
        }
        self.apply_changes();
        id
    }

    /// A proxy has not said, as it must, for whom it has connected. It is told so, if it can be told, and there is no more
    /// to be done about it for `None` than to close the socket.
    pub fn handle_header_fault(
        &mut self,
        proxy: SocketAddr,
        fault: HeaderFault,
        can_be_answered: bool,
        now: Moment,
    ) -> Option<ConnId> {
        self.registry.now = now;
        let peer = Peer::from(proxy);
        let (code, reason) = match fault {
            HeaderFault::Malformed(reason) => (Code::Malformed, reason),
            HeaderFault::TimedOut(reason) => (Code::TimedOut, reason),
        };
        if self.stopping {
            return None;
        }
        if !can_be_answered || self.registry.over_limit >= REFUSALS_AT_ONCE {
            self.registry.log_unconnected(peer, code, reason);
            return None;
        }
        let mut connection = Connection::new(peer, now + self.registry.config.login_timeout);
        connection.logged.sum_up();
        let id = self.registry.connections.insert(connection);
        self.registry.leave_count(id);
        self.registry.refuse(id, code, reason);
        self.apply_changes();
        Some(id)
    }

    /// How many more connections there is room for.
    pub fn connections_free(&self) -> usize {
        let registry = &self.registry;
        let count = registry.connections.len() - registry.over_limit;
        registry.config.max_connections.saturating_sub(count)
    }

    /// How long a connection has from its beginning until it is logged in.
    pub fn login_timeout(&self) -> Duration {
        self.registry.config.login_timeout
    }

    fn connect(&mut self, peer: SocketAddr, now: Moment) -> Option<ConnId> {
        self.registry.now = now;
        let peer = Peer::from(peer);
        if self.stopping {
            return None;
        }
        let room = self.registry.make_room(Origin::of(peer.ip()));
        if room.is_err() && self.registry.over_limit >= REFUSALS_AT_ONCE {
            return None;
        }
        let connection = Connection::new(peer, now + self.registry.config.login_timeout);
        let id = self.registry.connections.insert(connection);
        match room {
            Ok(()) => self.greet(id, peer),
            Err(reason) => {
                if let Some(connection) = self.registry.connections.get_mut(id) {
                    // It is refused now: one line of the log says it all.
                    connection.logged.sum_up();
                }
                self.registry.refuse_room(id, reason);
            }
        }
        Some(id)
    }

    /// The origin that a connection is put down to.
    pub fn origin(&self, id: ConnId) -> Option<Origin> {
        self.registry.connections.get(id).map(Connection::origin)
    }

    fn greet(&mut self, id: ConnId, peer: Peer) {
        self.registry.count_stranger(id);
        self.registry.totals.connections += 1;
        if !self.fetch_visitor(id, peer.ip()) {
            let last = self.store.last_visitor(peer.ip());
            self.say_hello(id, last.as_ref());
            self.registry.arm(id);
        }
    }

    /// Greets a connection with the name of who was last at its address.
    pub(super) fn say_hello(&mut self, id: ConnId, last: Option<&Name>) {
        let last_name = last.map_or("", Name::as_str);
        self.registry.send(id, &Reply::Hello { version: VERSION, last_name });
    }
}

impl Registry {
    /// Makes room for one more of an origin, at another's expense if it must; otherwise tells which limit is reached.
    fn make_room(&mut self, origin: Origin) -> Result<(), &'static str> {
        let is_full = self.connections.len() - self.over_limit >= self.config.max_connections;
        let is_near = is_full || self.strangers.len() >= self.config.max_strangers / 2;
        let all = self
            .connections
            .iter()
            .filter_map(|(id, connection)| Some((connection.origin(), id, connection.stranger()?)));
        self.strangers.keep_index(is_near, self.now, all);
        if !is_full && self.strangers.len() < self.config.max_strangers {
            return Ok(());
        }
        let own = self.strangers.first_of(origin);
        let own_count = 1 + own.map_or(0, |own| own.count);
        let loser = self.strangers.first_of_most().filter(|most| {
            // Among equals who waits for an answer stays, and so does everybody where there is no room for one more.
            let is_equal_enough = !is_full && most.state != StrangerState::Waiting;
            most.count > own_count || (most.count == own_count && is_equal_enough)
        });
        let own = own.filter(|own| !is_full && own.state != StrangerState::Waiting);
        match loser.or(own) {
            Some(loser) => {
                self.give_up(loser.conn, loser.state);
                Ok(())
            }
            None if is_full => Err("or more: the server is at its connection limit"),
            None => Err(TOO_MANY),
        }
    }

    /// A connection that is not logged in makes room for another. Whether it is told gently, as those are whom the
    /// connection limit refuses, or closed with the word behind it, depends on how many are told at the moment.
    ///
    /// A password that is being hashed is left as whenever its connection closes: its hash is dropped, and what it was
    /// charged is not given back.
    fn give_up(&mut self, id: ConnId, state: StrangerState) {
        let is_gentle = self.over_limit < REFUSALS_AT_ONCE;
        if state == StrangerState::Closing {
            self.leave_count(id);
            return self.close_at_once(id, CloseReason::Refused(Code::Busy));
        }
        self.refuse_room(id, TOO_MANY);
        if !is_gentle {
            self.close_at_once(id, CloseReason::Refused(Code::Busy));
        }
    }

    fn refuse_room(&mut self, id: ConnId, reason: &str) {
        self.leave_count(id);
        self.refuse(id, Code::Busy, &seconds_first(COME_BACK, reason));
    }

    /// The connection is none of those that the limits are about any more.
    fn leave_count(&mut self, id: ConnId) {
        let left = self.connections.get_mut(id).is_some_and(Connection::leave_count);
        self.over_limit += usize::from(left);
        self.count_stranger(id);
    }

    /// Counts a connection among those that are not logged in, or not, as its state is now.
    pub(super) fn count_stranger(&mut self, id: ConnId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let (before, state) = connection.count_stranger();
        if before != state {
            self.strangers.change(connection.origin(), id, before, state);
        }
    }
}

const TOO_MANY: &str = "or more: too many connections of this address are not logged in";
