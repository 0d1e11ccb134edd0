//! What lies between the engine and a socket: plain TCP, or encryption over it.
//!
//! A transport carries bytes in by [`handle_bytes`](Engine::handle_bytes) and out by
//! [`handle_writable`](Engine::handle_writable), and says by [`handle_transport`](Engine::handle_transport) what becomes of
//! the two directions of a connection. This module must not know which transport it is.

use super::close_reason::CloseReason;
use super::registry::Registry;
use super::{ConnId, Engine};
use crate::Moment;
use crate::limits::TRANSPORT_HOLDS_BYTES;
use crate::protocol::Unsent;
use crate::store::Store;

/// What becomes of a connection's two directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportEvent<'a> {
    /// Half-close: the peer has closed its sending side. Bytes from before may still come. A hash that it waits for is
    /// dropped.
    HalfClosed,
    /// All that the peer will ever send has been handed in.
    Ended,
    /// Nothing reaches the peer any more: what waits for it is dropped, now and whenever this is said again, and so is a
    /// hash that it waits for. What it had sent is still handled, until [`Reset`](TransportEvent::Reset).
    WriteClosed,
    /// The connection is broken.
    Reset,
    /// The peer has gone before the transport could carry anything.
    NeverOpened,
    /// Nothing more can be carried in either direction, for this reason; the session can be resumed. What waits to be
    /// written is dropped.
    Failed(&'a str),
}

/// What is to be written to a connection.
#[derive(Debug)]
pub struct Output<'a> {
    /// All that waits.
    pub bytes: Unsent<'a>,
    /// Nothing follows it but the end.
    pub is_last: bool,
    /// Some of it is to be written now, if the transport takes anything at all, or the connection is cut off: it is to try,
    /// though it has found that it takes nothing for now. (A system announces that a socket can be written to only when much of
    /// its buffer is free, and a peer who reads slowly may need minutes for that.)
    pub must_try: bool,
}

/// What became of writing a connection's output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// So many of its first bytes were taken.
    pub bytes: usize,
    /// Bytes that the transport holds of what it took, now or before. As long as there are any, the output is not written
    /// whole: a closing connection waits for them, and they can stall.
    pub backlog_bytes: usize,
    /// The transport took all that it can for now, or a share of it, if some bytes are left. Otherwise it does not carry
    /// anything yet.
    pub is_blocked: bool,
}

impl Written {
    /// What a transport has written that holds nothing back.
    pub fn bytes(bytes: usize) -> Written {
        Written { bytes, backlog_bytes: 0, is_blocked: true }
    }
}

impl<S: Store> Engine<S> {
    /// A transport says what has become of a connection.
    pub fn handle_transport(&mut self, id: ConnId, event: TransportEvent<'_>, now: Moment) {
        self.registry.now = now;
        match event {
            TransportEvent::HalfClosed => self.registry.half_close(id),
            TransportEvent::Ended => self.registry.end_input(id),
            TransportEvent::WriteClosed => self.registry.close_output(id),
            TransportEvent::Reset => self.registry.close_at_once(id, CloseReason::Reset),
            TransportEvent::NeverOpened => self.registry.close_at_once(id, CloseReason::ClosedByPeer),
            TransportEvent::Failed(reason) => self.registry.fail(id, reason),
        }
        self.apply_changes();
    }
}

impl Registry {
    fn half_close(&mut self, id: ConnId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.half_close();
        if connection.is_waiting() {
            self.begin_close(id, CloseReason::ClosedByPeer);
        }
    }

    fn end_input(&mut self, id: ConnId) {
        self.half_close(id);
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.end_input();
        self.finish_close(id);
        self.finish_input(id);
    }

    fn close_output(&mut self, id: ConnId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if connection.is_closing() || connection.is_waiting() {
            return self.close_at_once(id, CloseReason::Reset);
        }
        let could_be_read = connection.may_be_served();
        connection.half_close();
        self.forget_output(id);
        if !could_be_read {
            self.wake(id);
        }
    }

    fn fail(&mut self, id: ConnId, reason: &str) {
        let Some(connection) = self.connections.get(id) else { return };
        let is_closing = connection.is_closing();
        self.forget_output(id);
        if is_closing {
            self.flushed(id);
        } else {
            self.totals.handshakes_failed += 1;
            self.log_transport_failure(id, reason);
            self.begin_close(id, CloseReason::Tls);
        }
    }

    /// Nothing waits to be written any more, here or in the transport.
    fn forget_output(&mut self, id: ConnId) {
        self.forget_transport_backlog(id);
        self.drop_output(id);
        if let Some(connection) = self.connections.get_mut(id) {
            connection.forget_stall();
        }
    }
}

/// What a transport that holds something back takes in memory, as far as the engine counts it: however little of it is
/// left, it has its room.
pub(super) fn held_bytes(has_backlog: bool) -> usize {
    usize::from(has_backlog) * TRANSPORT_HOLDS_BYTES
}
