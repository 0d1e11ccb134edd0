//! The monotonic clock.

use crate::Moment;
use rustix::time::{ClockId, Timespec, clock_gettime};

/// Counts from when it was made.
///
/// It is asked in every turn of a server, so without the detour over an `Instant` and a `Duration`: that costs a twentieth of
/// what a message does.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: u64,
}

#[expect(clippy::new_without_default, reason = "no two clocks are alike")]
impl Clock {
    /// A clock whose start is now.
    pub fn new() -> Clock {
        Clock { start: nanoseconds() }
    }

    /// The time by it.
    #[inline]
    pub fn now(&self) -> Moment {
        let since_start = nanoseconds().saturating_sub(self.start);
        #[cfg(test)]
        let since_start = since_start + slow::look();
        Moment::at_nanoseconds(since_start)
    }

    /// A moment by the system's monotonic clock, in nanoseconds.
    pub(crate) fn system_time(&self, moment: Moment) -> u64 {
        let since_start = u64::try_from(moment.since_start().as_nanos()).unwrap_or(u64::MAX);
        self.start.saturating_add(since_start)
    }
}

/// Since a start that is the system's own.
#[inline]
#[expect(clippy::disallowed_methods, reason = "whoever has a clock is who hands the time in")]
fn nanoseconds() -> u64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::Monotonic);
    tv_sec as u64 * 1_000_000_000 + tv_nsec as u64
}

/// For tests: each look at a clock of this thread takes a while, so that what fits a time does not depend on the machine.
#[cfg(test)]
pub(crate) mod slow {
    use std::cell::Cell;
    use std::time::Duration;

    thread_local! {
        static EACH: Cell<u64> = const { Cell::new(0) };
        static ALL: Cell<u64> = const { Cell::new(0) };
    }

    /// From now on it takes so long.
    pub(crate) fn set(look: Duration) {
        EACH.set(look.as_nanos() as u64);
    }

    pub(super) fn look() -> u64 {
        ALL.set(ALL.get() + EACH.get());
        ALL.get()
    }
}
