//! What is done about connections though nothing happens: each has one timer at a time.

use super::ConnId;
use super::connection::Connection;
use super::registry::Registry;
use crate::Moment;
use crate::protocol::Code;
use std::collections::BTreeSet;

/// What a connection's timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// The connection must be logged in by then.
    Login,
    /// A whole frame must have come from a session by then.
    Idle,
    /// Some of the waiting output must have been written by then, or can be written now.
    Stall,
    /// What waits before the end is written until then; then the sending side is shut.
    Flush,
    /// The peer is given until then to close; then the connection is closed.
    Discard,
}

/// The connections whose timers are set, in the order in which these are due.
#[derive(Debug, Default)]
pub(super) struct Timers {
    set: BTreeSet<(Moment, ConnId)>,
}

impl Timers {
    /// When the first is due.
    pub(super) fn first(&self) -> Option<Moment> {
        self.set.first().map(|(due, _)| *due)
    }

    /// How many are set.
    pub(super) fn len(&self) -> usize {
        self.set.len()
    }

    /// Stops the timer of a connection that is no more.
    pub(super) fn forget(&mut self, id: ConnId, connection: &Connection) {
        self.set.remove(&(connection.armed, id));
    }
}

impl Registry {
    /// Sets the connection's timer. It may stand earlier than it is due (a frame has moved the idle timeout on): then it is
    /// found to be early and set again, which is cheaper than moving it at every frame.
    pub(super) fn arm(&mut self, id: ConnId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let due = connection.next_timer(&self.config).map_or(Moment::NEVER, |(due, _)| due);
        if due == connection.armed || (due > connection.armed && due != Moment::NEVER) {
            return;
        }
        self.timers.set.remove(&(connection.armed, id));
        connection.armed = due;
        if due != Moment::NEVER {
            self.timers.set.insert((due, id));
        }
    }

    /// Takes a connection whose timer is up off the list.
    pub(super) fn pop_due(&mut self) -> Option<ConnId> {
        let &(due, id) = self.timers.set.first().filter(|(due, _)| *due <= self.now)?;
        self.timers.set.remove(&(due, id));
        if let Some(connection) = self.connections.get_mut(id) {
            connection.armed = Moment::NEVER;
        }
        Some(id)
    }

    /// Does what a connection's timer is for, if it is up.
    pub(super) fn handle_due(&mut self, id: ConnId) {
        let Some(connection) = self.connections.get(id) else { return };
        let timer = connection.next_timer(&self.config).filter(|(due, _)| *due <= self.now);
        match timer.map(|(_, timer)| timer) {
            // It stood too early.
            None => self.arm(id),
            Some(Timer::Login) => self.refuse(id, Code::TimedOut, "not logged in within the login timeout"),
            Some(Timer::Idle) => self.refuse(id, Code::TimedOut, "idle for too long"),
            Some(Timer::Stall) => self.try_stalled(id),
            Some(Timer::Flush) => self.shut(id),
            Some(Timer::Discard) => self.finish_close(id),
        }
    }
}
