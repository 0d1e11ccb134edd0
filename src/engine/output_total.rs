//! What waits to be written for all connections together is bounded: beyond that those by whom most memory is freed are
//! cut off.
//!
//! That is what their own frames take, and of those for many what nobody else waits for: in a busy room many bytes wait for
//! everybody who reads, and nothing is freed by cutting off one of them.
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

/// Pieces of one connection's output that are looked at: the oldest, which the fewest others wait for.
const CUT_OFF_PIECES: usize = 64;
/// So many of them take as long as a look at another connection.
const PIECES_A_LOOK: usize = 16;

/// How far cutting off is.
#[derive(Debug, Default)]
pub(super) struct CutOff {
    /// The slot that is looked at next.
    next: usize,
    /// What is freed by cutting off each of those that were looked at.
    most: BinaryHeap<(usize, ConnId)>,
    /// Whether all have been looked at before. A connection that was cut off then may hold a frame that it had begun to take.
    is_second: bool,
}

impl Registry {
    /// Whether what waits for all together takes more memory than it may.
    pub(super) fn is_over_output_total(&self) -> bool {
        self.held_output_bytes() > self.config.output_total_bytes
    }

    /// Cuts off those by whom most is freed until all together take a good deal less than they may, since every connection is
    /// looked at for it. Few connections are cut off at once, more in the turns that follow.
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
            self.look_for_most(&mut cut_off, used);
            false
        } else {
            self.cut_off_share(&mut cut_off)
        };
        if !is_done {
            self.cut_off = Some(cut_off);
        }
        SHARE_CUT_OFF_LOOKS
    }

    /// Looks at a share of the connections; one with many pieces counts as several.
    fn look_for_most(&self, cut_off: &mut CutOff, used: usize) {
        let mut looks = 0;
        while cut_off.next < used && looks < SHARE_CUT_OFF_LOOKS {
            if let Some((id, connection)) = self.connections.at_index(cut_off.next) {
                let (bytes, pieces) = freed_bytes(connection);
                if bytes > 0 {
                    cut_off.most.push((bytes, id));
                }
                looks += pieces / PIECES_A_LOOK;
            }
            cut_off.next += 1;
            looks += 1;
        }
    }

    /// Whether enough are cut off.
    fn cut_off_share(&mut self, cut_off: &mut CutOff) -> bool {
        let total = self.config.output_total_bytes;
        let enough = total - total / OUTPUT_TOTAL_LOW_DIVISOR;
        for _ in 0..SHARE_CUT_OFFS {
            if self.held_output_bytes() <= enough {
                return true;
            }
            let Some((most, id)) = cut_off.most.pop() else {
                cut_off.next = 0;
                return std::mem::replace(&mut cut_off.is_second, true);
            };
            let now_freed = self.connections.get(id).map_or(0, |connection| freed_bytes(connection).0);
            if now_freed >= most {
                self.cut_off(id);
            } else if now_freed > 0 {
                // It has taken some since it was looked at, or more have a reference to the same.
                cut_off.most.push((now_freed, id));
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
        self.forget_transport_backlog(id);
        self.drop_output(id);
    }
}

/// Memory that is free once a connection is cut off, and how many pieces of its output were looked at for that.
fn freed_bytes(connection: &Connection) -> (usize, usize) {
    let (freed, pieces) = connection.outbox.freed_bytes(CUT_OFF_PIECES);
    (freed + transport::held_bytes(connection.has_transport_backlog()), pieces)
}
