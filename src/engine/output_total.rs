//! What waits to be written for all connections together is bounded: beyond that those with the most waiting are cut off.
//!
//! Finding them takes a look at every connection, and an eighth of all may have to go: of ten thousand that is too much for
//! one turn. So a crowd is looked at and cut off in shares over turns, in which nothing more is handed out to many. A few
//! are looked at and cut off at once.

use super::ConnId;
use super::close_reason::CloseReason;
use super::connection::Connection;
use super::registry::Registry;
use super::transport;
use crate::limits::{CUT_OFF_HOLDS_BYTES, OUTPUT_TOTAL_LOW_DIVISOR, SHARE_CUT_OFF_LOOKS, SHARE_CUT_OFFS};
use crate::protocol::Code;
use std::collections::BinaryHeap;

/// How far cutting off is.
#[derive(Debug, Default)]
pub(super) struct CutOff {
    /// The slot that is looked at next.
    next: usize,
    /// What waits for those that were looked at.
    longest: BinaryHeap<(usize, ConnId)>,
    /// Whether all have been looked at before. A connection that was cut off then may hold a frame that it had begun to take.
    is_second: bool,
}

impl Registry {
    /// Whether what waits for all together takes more memory than it may.
    pub(super) fn is_over_output_total(&self) -> bool {
        self.held_output_bytes() > self.config.output_total_bytes
    }

    /// Cuts off those with the most waiting until all together take a good deal less than they may, since every connection
    /// is looked at for it. Few connections are cut off at once, more in the turns that follow.
    pub(super) fn begin_cut_off(&mut self) {
        if self.cut_off.is_none() {
            self.cut_off = Some(CutOff::default());
            while self.connections.used() <= SHARE_CUT_OFF_LOOKS && self.go_on_with_cut_off() > 0 {}
        }
    }

    /// Cuts off a share; says how much that was, in looks at a connection.
    pub(super) fn go_on_with_cut_off(&mut self) -> usize {
        let Some(mut cut_off) = self.cut_off.take() else { return 0 };
        let used = self.connections.used();
        let is_done = if cut_off.next < used {
            let end = used.min(cut_off.next + SHARE_CUT_OFF_LOOKS);
            let looked_at = (cut_off.next..end).filter_map(|index| self.connections.at_index(index));
            let waiting = looked_at.map(|(id, connection)| (waiting_bytes(connection), id));
            cut_off.longest.extend(waiting.filter(|(bytes, _)| *bytes > 0));
            cut_off.next = end;
            false
        } else {
            self.cut_off_share(&mut cut_off)
        };
        if !is_done {
            self.cut_off = Some(cut_off);
        }
        SHARE_CUT_OFF_LOOKS
    }

    /// Whether enough are cut off.
    fn cut_off_share(&mut self, cut_off: &mut CutOff) -> bool {
        let total = self.config.output_total_bytes;
        let enough = total - total / OUTPUT_TOTAL_LOW_DIVISOR;
        for _ in 0..SHARE_CUT_OFFS {
            if self.held_output_bytes() <= enough {
                return true;
            }
            let Some((most, id)) = cut_off.longest.pop() else {
                cut_off.next = 0;
                return std::mem::replace(&mut cut_off.is_second, true);
            };
            let now_waiting = self.connections.get(id).map_or(0, waiting_bytes);
            if now_waiting >= most {
                self.cut_off(id);
            } else if now_waiting > 0 {
                // It has taken some since it was looked at.
                cut_off.longest.push((now_waiting, id));
            }
        }
        false
    }

    fn cut_off(&mut self, id: ConnId) {
        if !self.is_closing(id) {
            self.refuse_slow_consumer(
                id,
                "the waiting output of all reached the limit, and much of it was its",
            );
            let holds = |connection: &Connection| connection.outbox.reached_bytes() > CUT_OFF_HOLDS_BYTES;
            if !self.connections.get(id).is_some_and(holds) {
                return;
            }
        }
        // The final reply finds no room, or was not taken.
        self.close_at_once(id, CloseReason::Refused(Code::SlowConsumer));
        self.note_transport_backlog(id, false);
        self.drop_output(id);
    }
}

fn waiting_bytes(connection: &Connection) -> usize {
    connection.outbox.len() + transport::held_bytes(connection.has_transport_backlog())
}
