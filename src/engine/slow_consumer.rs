//! Slow consumers: a client that does not take what is written for it is cut off.
//!
//! It is one when its waiting output reaches the limit of a connection, when nothing of that could be written for 30 s, or
//! when too much waits for all together and most is freed by its end, which [`output_total`](super::output_total) finds out.

use super::ConnId;
use super::registry::Registry;
use crate::protocol::Code;

impl Registry {
    /// Cuts a connection off whose waiting output has reached its limit, whoever filled it; says whether it has.
    #[inline]
    pub(super) fn cut_off_beyond_limit(&mut self, id: ConnId, waiting_bytes: usize) -> bool {
        let is_beyond = waiting_bytes >= self.config.output_limit_bytes;
        if is_beyond {
            self.refuse_slow_consumer(id, "its waiting output reached the limit");
        }
        is_beyond
    }

    /// Of a connection's output nothing could be written for [`OUTPUT_STALL`](crate::limits::OUTPUT_STALL): it is tried once
    /// more, and if that is in vain the connection is cut off.
    pub(super) fn try_stalled(&mut self, id: ConnId) {
        let Registry { connections, outputs, .. } = self;
        if let Some(connection) = connections.get_mut(id) {
            connection.try_once_more();
            outputs.list_first(id, connection);
        }
        self.arm(id);
    }

    /// Cuts a connection off of whose output nothing could be written when it was tried once more.
    pub(super) fn cut_off_stalled(&mut self, id: ConnId) {
        self.refuse_slow_consumer(id, "nothing of its output could be written for 30 s");
    }

    /// Drops what a slow consumer has not begun to take, and says why.
    pub(super) fn refuse_slow_consumer(&mut self, id: ConnId, explanation: &str) {
        let Registry { connections, outputs, unblocked, .. } = self;
        if let Some(connection) = connections.get_mut(id) {
            if !connection.may_be_served() {
                // It was not read for its output's sake. Once that is dropped it looks as if it had been.
                unblocked.push(id);
            }
            outputs.drop_unsent_frames(connection);
        }
        self.refuse(id, Code::SlowConsumer, explanation);
    }
}
