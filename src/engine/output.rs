//! What waits to be written, of all connections together: which have some, and what it takes in memory.

use super::connection::Connection;
use super::events::log_message;
use super::registry::{Registry, Totals};
use super::transport::{self, Output, Written};
use super::{ConnId, Engine};
use crate::Moment;
use crate::protocol::{Meter, Outbox, Reply, SharedFrames, Spare};
use crate::store::Store;
use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;

/// Outboxes' memory kept for the next output, so that a message costs no allocation.
const SPARES: usize = 128;
/// Memory that has grown beyond this is given back instead.
const SPARE_BYTES: usize = 16 * 1024;

/// Which connections have output, and what all output takes.
///
/// What it takes is memory that is really held: an outbox's own frames by the room that they have, frames for many once,
/// a reference to them by its own size, and what lies held between engine and socket. Only the few
/// [spares](Spare) are not counted.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    /// Connections that have output to be written, in the order in which they got it: answers, and what is for one.
    first: VecDeque<ConnId>,
    /// And those that have nothing but what is for many.
    behind: VecDeque<ConnId>,
    spares: Vec<Spare>,
    /// What outboxes hold alone.
    own_bytes: usize,
    /// What they share.
    pub(super) shared: Meter,
}

/// In which lists of connections that have output one is, in a byte: of those that are written before others, and of
/// those whose output is for many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Listed {
    #[default]
    Nowhere,
    First,
    Behind,
    Both,
}

impl Listed {
    fn of(first: bool, behind: bool) -> Listed {
        match (first, behind) {
            (false, false) => Listed::Nowhere,
            (true, false) => Listed::First,
            (false, true) => Listed::Behind,
            (true, true) => Listed::Both,
        }
    }

    /// Whether it is about to be written.
    pub(super) fn is_anywhere(self) -> bool {
        self != Listed::Nowhere
    }

    fn is_first(self) -> bool {
        matches!(self, Listed::First | Listed::Both)
    }

    fn is_behind(self) -> bool {
        matches!(self, Listed::Behind | Listed::Both)
    }

    /// Whether it was not among the first; now it is.
    fn join_first(&mut self) -> bool {
        let was = self.is_first();
        *self = Listed::of(true, self.is_behind());
        !was
    }

    /// Whether it was not among those behind; now it is.
    fn join_behind(&mut self) -> bool {
        let was = self.is_behind();
        *self = Listed::of(self.is_first(), true);
        !was
    }

    fn leave_first(&mut self) {
        *self = Listed::of(false, self.is_behind());
    }

    fn leave_behind(&mut self) {
        *self = Listed::of(self.is_first(), false);
    }
}

impl Outputs {
    /// Memory that all waiting output takes.
    fn held_bytes(&self) -> usize {
        self.own_bytes + self.shared.bytes()
    }

    fn reclaim(&mut self, mut outbox: Outbox) {
        if self.spares.len() < SPARES
            && let Some(spare) = outbox.reclaim().filter(|spare| spare.capacity() <= SPARE_BYTES)
        {
            self.spares.push(spare);
        }
    }

    /// Lets something be put into a connection's output, which says how many bytes that is, and says how many wait now.
    #[inline]
    fn push(
        &mut self,
        connection: &mut Connection,
        totals: &mut Totals,
        push: impl FnOnce(&mut Outbox) -> usize,
    ) -> usize {
        let outbox = &mut connection.outbox;
        let held_before = outbox.held_bytes();
        if outbox.is_bare()
            && let Some(spare) = self.spares.pop()
        {
            outbox.lend(spare);
        }
        totals.bytes_out += push(outbox) as u64;
        self.count(held_before, outbox.held_bytes());
        outbox.len()
    }

    /// Puts a connection on the list of those that are written before others.
    #[inline]
    pub(super) fn list_first(&mut self, id: ConnId, connection: &mut Connection) {
        if connection.listed.join_first() {
            self.first.push_back(id);
        }
    }

    /// The first bytes of a connection's output are written. Who was listed last and has had all written, as who is
    /// answered at once has, need not be looked at again.
    pub(super) fn advance(&mut self, id: ConnId, connection: &mut Connection, count: usize) {
        connection.traffic.bytes_out += count as u64;
        let before = connection.outbox.held_bytes();
        connection.outbox.advance(count);
        let outbox = connection.outbox.is_empty().then(|| std::mem::take(&mut connection.outbox));
        self.count(before, connection.outbox.held_bytes());
        if let Some(outbox) = outbox {
            self.reclaim(outbox);
            if self.first.back() == Some(&id) {
                self.first.pop_back();
                connection.listed.leave_first();
            }
        }
    }

    /// Drops the frames of a connection's output that its peer has not begun to take.
    pub(super) fn drop_unsent_frames(&mut self, connection: &mut Connection) {
        let before = connection.outbox.held_bytes();
        connection.outbox.drop_unsent_frames();
        self.count(before, connection.outbox.held_bytes());
    }

    /// Notes what the transport holds of what was written; true if that is news.
    #[inline]
    pub(super) fn note_transport_backlog(&mut self, connection: &mut Connection, bytes: usize) -> bool {
        let before = connection.set_transport_backlog(bytes);
        let is_news = before != bytes;
        if is_news {
            self.count(transport::held_bytes(before > 0), transport::held_bytes(bytes > 0));
        }
        is_news
    }

    fn count(&mut self, before: usize, after: usize) {
        self.own_bytes = self.own_bytes + after - before;
    }
}

impl<S: Store> Engine<S> {
    /// A connection can be written to: `write` is given what is to be written, be it nothing, and says what was. A
    /// connection that is gone is not asked for.
    pub fn handle_writable(&mut self, id: ConnId, now: Moment, write: impl FnOnce(Output<'_>) -> Written) {
        self.registry.now = now;
        let Registry { connections, outputs, .. } = &mut self.registry;
        let Some(connection) = connections.get_mut(id) else { return };
        let could_be_read = connection.may_be_served();
        let is_last = connection.is_closing();
        let must_try = connection.must_try();
        let written = write(Output { bytes: connection.outbox.unsent(), is_last, must_try });
        outputs.advance(id, connection, written.bytes);
        let has_moved =
            outputs.note_transport_backlog(connection, written.backlog_bytes) || written.bytes > 0;
        connection.note_stall(written.is_blocked, has_moved, now);
        let is_written = connection.outbox.is_empty();
        let can_be_read = !could_be_read && connection.may_be_served();
        let can_stall = connection.is_stalled();
        if is_written && is_last {
            self.registry.flushed(id);
        }
        if can_stall {
            self.wait_for_room(id, must_try && !is_last);
        }
        if can_be_read {
            self.registry.wake(id);
        }
    }
}

impl<S: Store> Engine<S> {
    /// Some output could not be written. Whoever was tried once more, and took nothing still, is cut off.
    #[inline(never)]
    fn wait_for_room(&mut self, id: ConnId, was_tried: bool) {
        if was_tried && self.must_try(id) {
            self.registry.cut_off_stalled(id);
            self.apply_changes();
        } else {
            self.registry.arm(id);
        }
    }

    /// Whether a connection's output [must be tried](Output::must_try) though its transport took nothing the last time.
    pub fn must_try(&self, id: ConnId) -> bool {
        self.registry.connections.get(id).is_some_and(Connection::must_try)
    }

    /// Whether a connection is not read for its own output's sake, which is to be written.
    pub fn is_held_by_output(&self, id: ConnId) -> bool {
        let connection = self.registry.connections.get(id);
        connection.is_some_and(|connection| connection.listed.is_anywhere() && connection.is_full())
    }

    /// A connection was written a share of its output and would take more: the rest has its turn behind what is for others,
    /// by [`poll_output_for_many`](Engine::poll_output_for_many).
    pub fn list_behind(&mut self, id: ConnId) {
        let Registry { connections, outputs, .. } = &mut self.registry;
        if let Some(connection) = connections.get_mut(id)
            && connection.listed.join_behind()
        {
            outputs.behind.push_back(id);
        }
    }
}

impl Registry {
    /// Puts a frame into a connection's output; false if it is closing or gone, or is cut off as a slow consumer.
    pub(super) fn send(&mut self, id: ConnId, reply: &Reply<'_>) -> bool {
        let waiting_bytes = self.append(id, reply);
        waiting_bytes.is_some_and(|bytes| !self.cut_off_beyond_limit(id, bytes))
    }

    /// Puts a frame into a connection's output, whatever waits there already, and says how many bytes wait now; `None`
    /// if it is closing or gone. Messages are counted.
    pub(super) fn append(&mut self, id: ConnId, reply: &Reply<'_>) -> Option<usize> {
        let Registry { connections, outputs, totals, .. } = self;
        let connection = connections.get_mut(id).filter(|connection| !connection.is_closing())?;
        let waiting_bytes = outputs.push(connection, totals, |outbox| outbox.push(reply));
        if let Reply::Message { text, .. } = reply {
            totals.messages_out += 1;
            connection.traffic.messages_out = connection.traffic.messages_out.saturating_add(1);
            log_message("message sent", id, text.len());
        }
        outputs.list_first(id, connection);
        Some(waiting_bytes)
    }

    /// Puts references to frames for many, in these ranges of their bytes, into a connection's output.
    pub(super) fn append_shared(
        &mut self,
        id: ConnId,
        frames: &Rc<SharedFrames>,
        ranges: impl Iterator<Item = Range<usize>>,
    ) {
        let Registry { connections, outputs, totals, .. } = self;
        let Some(connection) = connections.get_mut(id).filter(|connection| !connection.is_closing()) else {
            return;
        };
        let push = |outbox: &mut Outbox| ranges.map(|range| outbox.push_shared(frames, range)).sum();
        let waiting_bytes = outputs.push(connection, totals, push);
        if !connection.listed.is_anywhere() {
            connection.listed = Listed::Behind;
            outputs.behind.push_back(id);
        }
        self.cut_off_beyond_limit(id, waiting_bytes);
    }

    /// Takes the connection off the list that has had an answer, or something for it alone, for longest.
    pub(super) fn pop_output(&mut self) -> Option<ConnId> {
        while let Some(id) = self.outputs.first.pop_front() {
            if let Some(connection) = self.connections.get_mut(id) {
                connection.listed.leave_first();
                if !connection.outbox.is_empty() || connection.must_try() {
                    return Some(id);
                }
            }
        }
        None
    }

    /// Takes the connection off the list that has had something for many for longest.
    pub(super) fn pop_output_for_many(&mut self) -> Option<ConnId> {
        while let Some(id) = self.outputs.behind.pop_front() {
            if let Some(connection) = self.connections.get_mut(id) {
                connection.listed.leave_behind();
                if !connection.outbox.is_empty() {
                    return Some(id);
                }
            }
        }
        None
    }

    /// Whether anybody is listed.
    pub(super) fn has_outputs(&self) -> bool {
        !self.outputs.first.is_empty() || !self.outputs.behind.is_empty()
    }

    /// Memory that all waiting output takes, and what is still to be handed out.
    pub(super) fn held_output_bytes(&self) -> usize {
        self.outputs.held_bytes() + self.fan_out.queued_bytes()
    }

    /// Drops all that waits to be written to a connection.
    pub(super) fn drop_output(&mut self, id: ConnId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let outbox = std::mem::take(&mut connection.outbox);
        self.drop_outbox(outbox);
    }

    /// Drops what waits in the outbox of a connection that is no more.
    pub(super) fn drop_outbox(&mut self, mut outbox: Outbox) {
        self.outputs.count(outbox.held_bytes(), 0);
        outbox.advance(outbox.len());
        self.outputs.reclaim(outbox);
    }

    /// What the transport holds of a connection's output is of no use any more.
    pub(super) fn forget_transport_backlog(&mut self, id: ConnId) {
        if let Some(connection) = self.connections.get_mut(id) {
            self.outputs.note_transport_backlog(connection, 0);
        }
    }
}
