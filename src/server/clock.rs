//! The monotonic clock of the server.

use crate::Moment;
use std::time::Instant;

/// Counts from when it was made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start: Instant,
}

#[expect(clippy::disallowed_methods, reason = "the shell is what hands the time in")]
impl Clock {
    pub(super) fn new() -> Clock {
        Clock { start: Instant::now() }
    }

    pub(super) fn start(&self) -> Instant {
        self.start
    }

    pub(super) fn now(&self) -> Moment {
        Moment::START + self.start.elapsed()
    }
}
