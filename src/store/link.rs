//! What a store that is elsewhere wants of whoever drives it.

use crate::Moment;
use std::net::SocketAddr;
use std::time::Duration;

/// What is to be done about the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkAction {
    /// Nothing.
    Nothing,
    /// It is to be closed, if there is one.
    Close,
    /// A new one is to be made.
    Connect,
}

/// What a store's connection is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkFigures {
    /// What the last reply took.
    pub round_trip: Duration,
    /// Requests that are not answered.
    pub waiting: usize,
}

/// A connection that a store keeps, without its socket: whoever drives the store makes it, closes it, and carries its bytes.
/// Replies may be there after each call, and what is late is seen to by [`Store::commit`](super::Store::commit).
pub trait Link {
    /// Where it leads: any of them will do.
    fn addresses(&self) -> &[SocketAddr];

    /// The name, and the port, by which its addresses are found: they are to be looked up again when the connection is lost or
    /// cannot be made. `None` if they stay as they are.
    fn host(&self) -> Option<(&str, u16)> {
        None
    }

    /// Its host has these addresses now.
    fn handle_addresses(&mut self, _addresses: Vec<SocketAddr>) {}

    /// Whether it may be spoken to through TLS only.
    fn is_encrypted(&self) -> bool {
        false
    }

    /// What is to be done about the socket now. [`LinkAction::Connect`] is said once for each connection, which is then
    /// [there](Link::handle_connected) or [not](Link::handle_closed).
    fn action(&mut self, now: Moment) -> LinkAction;

    /// Somebody has accepted the connection that was wanted, and TLS is being agreed on.
    fn handle_accepted(&mut self) {}

    /// The connection that was wanted is there.
    fn handle_connected(&mut self, now: Moment);

    /// The connection is gone, or could not be made, for this reason.
    fn handle_closed(&mut self, reason: &str, now: Moment);

    /// The same, where somebody is there, and what is wrong is told apart from a way or a machine that is down.
    fn handle_failed(&mut self, reason: &str, now: Moment) {
        self.handle_closed(reason, now);
    }

    /// Bytes have come. False: the connection is of no use any more, and is to be closed.
    fn handle_bytes(&mut self, bytes: &[u8], now: Moment) -> bool;

    /// Whether bytes are to be read: not while more is held than can be passed on.
    fn takes_bytes(&self) -> bool {
        true
    }

    /// What is to be written now.
    fn output(&mut self, now: Moment) -> &[u8];

    /// So many bytes of that were written.
    fn advance(&mut self, bytes: usize);
}
