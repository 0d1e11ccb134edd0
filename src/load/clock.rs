//! The load tester's clocks: real time, and the time that its own processor took.

use crate::Moment;
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// The monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock(Instant);

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "a load tester measures real time")]
    pub(super) fn start() -> Clock {
        Clock(Instant::now())
    }

    pub(super) fn now(&self) -> Moment {
        Moment::START + self.0.elapsed()
    }
}

/// What this process has used of its processors so far.
pub(super) fn own_processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}
