//! What may lie between the engine and a socket, such as encryption, has to say of a connection.
//!
//! It may hold what it was given before the socket takes it; it may fail; and the peer may go before it came about.
//! This module must not know what it is.

use super::connection::Why;
use super::{ConnId, Engine};
use crate::Moment;
use crate::store::Store;

impl<S: Store> Engine<S> {
    /// What was written of a connection's output is held back, or no longer. As long as it is, the output is not
    /// written whole: a closing connection waits for it, and it can stall.
    pub fn handle_held(&mut self, id: ConnId, held: bool, now: Moment) {
        self.lobby.now = now;
        if !self.lobby.note_held(id, held) {
            return;
        }
        let Some(connection) = self.lobby.connections.get_mut(id) else { return };
        if held || !connection.outbox.is_empty() {
            connection.stalled_since = Some(now);
            self.lobby.arm(id);
        } else {
            connection.stalled_since = None;
            self.lobby.flushed(id);
        }
    }

    /// Nothing reaches a connection's peer any more: what waits for it is dropped, here and at each further call, and
    /// so is a hash that it waits for. What it had sent is still handled, until
    /// [`handle_reset`](Engine::handle_reset).
    pub fn handle_deaf(&mut self, id: ConnId, now: Moment) {
        self.lobby.now = now;
        let Some(connection) = self.lobby.connections.get_mut(id) else { return };
        if connection.is_closing() || connection.is_waiting() {
            return self.handle_reset(id, now);
        }
        let held_input = !connection.may_be_served();
        connection.peer_finished = true;
        self.drop_output(id);
        if held_input {
            self.lobby.wake(id);
        }
    }

    /// Nothing more can be carried to or from a connection, for this reason; its session can be resumed. What waits to
    /// be written is dropped.
    pub fn handle_fault(&mut self, id: ConnId, reason: &str, now: Moment) {
        self.lobby.now = now;
        let Some(connection) = self.lobby.connections.get_mut(id) else { return };
        let is_closing = connection.is_closing();
        self.drop_output(id);
        if is_closing {
            self.lobby.flushed(id);
        } else {
            self.lobby.log_transport_failure(id, reason);
            self.lobby.begin_close(id, Why::Tls);
        }
        self.settle();
    }

    /// The peer has gone before anything could be carried to it.
    pub fn handle_gone(&mut self, id: ConnId, now: Moment) {
        self.lobby.now = now;
        self.lobby.close_at_once(id, Why::ClosedByPeer);
        self.settle();
    }

    fn drop_output(&mut self, id: ConnId) {
        self.lobby.note_held(id, false);
        self.lobby.drop_output(id);
        if let Some(connection) = self.lobby.connections.get_mut(id) {
            connection.stalled_since = None;
        }
    }
}
