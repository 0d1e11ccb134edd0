//! The log's lines about connections: connected, refused, wrong password, logged in, disconnected.
//!
//! What a client that is not logged in causes goes through the [`StrangerLog`](super::stranger_log::StrangerLog); what
//! is not to be logged in full is at debug then. So is a connection that is closed without a byte, as a health check
//! does.

use super::ConnId;
use super::close_reason::CloseReason;
use super::connection::Connection;
use super::peer::Peer;
use super::registry::Registry;
use super::stranger_log::StrangerEvent;
use crate::auth::{Name, Origin};
use crate::limits::REFUSALS_LOGGED;
use crate::protocol::Code;
use log::Level;

/// What the log has of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Logged {
    announced: Announced,
    /// Refusals that left it open and were logged at info.
    refusals: u8,
}

impl Logged {
    /// Its beginning is in another line.
    pub(super) fn sum_up(&mut self) {
        self.announced = Announced::SummedUp;
    }
}

/// Whether a connection's beginning has been logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Announced {
    /// Not yet: no byte has come.
    #[default]
    No,
    /// Only at debug.
    SummedUp,
    InFull,
    /// Its client has logged in, and answers for what it causes.
    LoggedIn,
}

/// Logs a message at debug, its length alone. Every message passes here, and hardly any is logged: so how it is logged
/// stands elsewhere.
#[inline]
pub(super) fn log_message(event: &str, id: ConnId, bytes: usize) {
    #[cold]
    #[inline(never)]
    fn log(event: &str, id: ConnId, bytes: usize) {
        log_event!(Level::Debug, event, conn = #id.generation(), bytes = #bytes);
    }
    if log::max_level() >= Level::Debug {
        log(event, id, bytes);
    }
}

impl Registry {
    /// Logs that somebody has connected, unless that is done.
    pub(super) fn announce(&mut self, id: ConnId) {
        self.announce_through(id, None);
    }

    /// The same, with the proxy by whose way they have.
    pub(super) fn announce_through(&mut self, id: ConnId, proxy: Option<Peer>) {
        let Some(connection) =
            self.connections.get_mut(id).filter(|connection| connection.logged.announced == Announced::No)
        else {
            return;
        };
        let peer = connection.peer();
        let level = self.stranger_level(peer, StrangerEvent::Connected);
        if let Some(connection) = self.connections.get_mut(id) {
            connection.logged.announced =
                if level == Level::Info { Announced::InFull } else { Announced::SummedUp };
        }
        match proxy {
            Some(proxy) => {
                log_event!(level, "connected", conn = #id.generation(), peer = %peer, proxy = %proxy);
            }
            None => log_event!(level, "connected", conn = #id.generation(), peer = %peer),
        }
    }

    /// Logs that somebody was refused who is no connection.
    pub(super) fn log_unconnected(&mut self, peer: Peer, code: Code, explanation: &str) {
        self.totals.refused[code.index()] += 1;
        let level = self.stranger_level(peer, StrangerEvent::Refused(code));
        log_event!(level, "refused", peer = %peer, why = %code; explanation);
    }

    /// Logs that a connection's client is now known by this name.
    pub(super) fn log_login(&mut self, event: &str, id: ConnId, name: &Name) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let was = std::mem::replace(&mut connection.logged.announced, Announced::LoggedIn);
        let peer = connection.peer();
        if was == Announced::InFull {
            self.stranger_log.take_back(Origin::of(peer.ip()));
        }
        log_event!(Level::Info, event, conn = #id.generation(), peer = %peer, name = %name);
    }

    pub(super) fn log_registration(&self, id: ConnId, name: &Name) {
        if let Some(connection) = self.connections.get(id) {
            let (conn, peer) = (id.generation(), connection.peer());
            log_event!(Level::Info, "registered", conn = #conn, peer = %peer, name = %name);
        }
    }

    /// Logs a wrong password in a line that does not change: programs that shut out guessers read it. A warning, so that
    /// they see it at every usual level; bounded for each address, whoever has logged in before.
    pub(super) fn log_wrong_password(&mut self, id: ConnId, name: &Name) {
        self.announce(id);
        let Some(peer) = self.connections.get(id).map(Connection::peer) else { return };
        let is_admitted =
            self.stranger_log.admits(StrangerEvent::WrongPassword, Origin::of(peer.ip()), self.now);
        let level = if is_admitted { Level::Warn } else { Level::Debug };
        log_event!(level, "wrong password", conn = #id.generation(), peer = %peer, name = %name);
    }

    /// Logs why a registration was not stored. Of one whose client has gone the store's own line is enough.
    pub(super) fn log_not_stored(&mut self, id: ConnId, name: &Name, reason: &str) {
        let origin = self.connections.get(id).map(Connection::origin);
        let is_admitted =
            origin.is_some_and(|origin| self.stranger_log.admits(StrangerEvent::NotStored, origin, self.now));
        let level = if is_admitted { Level::Error } else { Level::Debug };
        log_event!(level, "registration not stored", name = %name, reason = ?reason);
    }

    /// A wrong password has its own line.
    pub(super) fn log_refusal(&mut self, id: ConnId, code: Code, explanation: &str) {
        if code == Code::WrongPassword {
            return;
        }
        let level = self.refusal_level(id, StrangerEvent::Refused(code));
        let Some(connection) = self.connections.get(id) else { return };
        let (conn, peer) = (id.generation(), connection.peer());
        if code.closes() {
            log_event!(level, "refused", conn = #conn, peer = %peer, why = %code; explanation);
        } else {
            // Without the explanation: it may name whom a message was for, which is part of the message's text.
            log_event!(level, "refused", conn = #conn, peer = %peer, why = %code);
        }
    }

    pub(super) fn log_transport_failure(&mut self, id: ConnId, reason: &str) {
        let level = self.refusal_level(id, StrangerEvent::TransportFailed);
        if let Some(connection) = self.connections.get(id) {
            let (conn, peer) = (id.generation(), connection.peer());
            log_event!(level, "refused", conn = #conn, peer = %peer, why = %"Tls"; reason);
        }
    }

    pub(super) fn log_disconnected(&mut self, id: ConnId, connection: &Connection, why: CloseReason) {
        let is_silent = connection.logged.announced == Announced::No
            && matches!(why, CloseReason::ClosedByPeer | CloseReason::Reset)
            && connection.traffic.bytes_in == 0;
        let level = match connection.logged.announced {
            Announced::LoggedIn => Level::Info,
            _ if is_silent => Level::Debug,
            _ => self.stranger_level(connection.peer(), StrangerEvent::Disconnected),
        };
        let (conn, peer, t) = (id.generation(), connection.peer(), connection.traffic);
        if connection.logged.announced == Announced::No {
            log_event!(level, "connected", conn = #conn, peer = %peer);
        }
        log_event!(
            level, "disconnected", conn = #conn, peer = %peer, why = %why, bytes_in = #t.bytes_in,
            bytes_out = #t.bytes_out, messages_in = #t.messages_in, messages_out = #t.messages_out
        );
    }

    /// A logged-in client's first few refusals are at info, and the one that closes; a stranger's as far as they are not
    /// summed up.
    fn refusal_level(&mut self, id: ConnId, event: StrangerEvent) -> Level {
        self.announce(id);
        let Some(connection) = self.connections.get_mut(id) else { return Level::Debug };
        if connection.logged.announced != Announced::LoggedIn {
            let peer = connection.peer();
            return self.stranger_level(peer, event);
        }
        let is_early = connection.logged.refusals < REFUSALS_LOGGED;
        connection.logged.refusals = connection.logged.refusals.saturating_add(1);
        let closes = match event {
            StrangerEvent::Refused(code) => code.closes(),
            _ => true,
        };
        if is_early || closes { Level::Info } else { Level::Debug }
    }

    fn stranger_level(&mut self, peer: Peer, event: StrangerEvent) -> Level {
        let is_admitted = self.stranger_log.admits(event, Origin::of(peer.ip()), self.now);
        if is_admitted { Level::Info } else { Level::Debug }
    }
}
