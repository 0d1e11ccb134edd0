//! Whether what waits to be written, here or in the transport, moves, and since when it does not.

use super::Connection;
use crate::Moment;

impl Connection {
    /// Keeps since when none of the output that waits, here or in the transport, could be written: from each time that some
    /// of it moved, or nothing could although the transport is open.
    #[inline]
    pub(in crate::engine) fn note_stall(&mut self, is_blocked: bool, has_moved: bool, now: Moment) {
        if self.outbox.is_empty() && !self.has_transport_backlog() {
            self.forget_stall();
        } else if has_moved || (is_blocked && self.stalled_since.is_none()) {
            self.stalled_since = Some(now);
        }
    }

    /// The time for a stall is up: the transport is to try once more.
    pub(in crate::engine) fn try_once_more(&mut self) {
        self.stalled_since = Some(Moment::NEVER);
    }

    /// Whether the transport is to try, whatever it believes.
    #[inline]
    pub(in crate::engine) fn must_try(&self) -> bool {
        self.stalled_since == Some(Moment::NEVER)
    }

    /// Whether a stall is to be waited for.
    #[inline]
    pub(in crate::engine) fn is_stalled(&self) -> bool {
        self.stalled_since.is_some()
    }

    #[inline]
    pub(in crate::engine) fn forget_stall(&mut self) {
        self.stalled_since = None;
    }

    #[inline]
    pub(in crate::engine) fn has_transport_backlog(&self) -> bool {
        self.transport_backlog_bytes > 0
    }

    #[cfg(test)]
    pub(in crate::engine) fn transport_backlog_bytes(&self) -> usize {
        self.transport_backlog_bytes.into()
    }

    /// Notes how many bytes the transport holds of what was written, and says how many it held before.
    #[inline]
    pub(in crate::engine) fn set_transport_backlog(&mut self, bytes: usize) -> usize {
        let bytes = u16::try_from(bytes).unwrap_or(u16::MAX);
        std::mem::replace(&mut self.transport_backlog_bytes, bytes).into()
    }
}
