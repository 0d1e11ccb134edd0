//! Sending by the clock: when each message is due, and waits that end on time.
//!
//! The schedule does not wait for the server, and each latency counts from when its message should have been sent: a
//! server that stalls for a second is charged for every message of that second, and not only for the one that it was asked
//! to echo.

use super::metrics::Latency;
use crate::Moment;
use mio::Poll;
use rustix::event::{self, PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use std::io;
use std::ops::Range;
use std::time::Duration;

/// When clients send, in turn.
#[derive(Debug)]
pub(super) struct Schedule {
    start: Moment,
    /// From one message of any of them to the next, in nanoseconds.
    interval: f64,
    slots: Range<usize>,
    sent: u64,
    /// By how much messages left later than they were due.
    pub(super) send_delay: Latency,
}

impl Schedule {
    /// So many messages a second of each.
    pub(super) fn new(start: Moment, slots: Range<usize>, rate_per_second: f64) -> Schedule {
        wake_on_time();
        let interval = 1e9 / (rate_per_second * slots.len() as f64);
        Schedule { start, interval, slots, sent: 0, send_delay: Latency::default() }
    }

    pub(super) fn due(&self) -> Moment {
        self.start + Duration::from_nanos((self.sent as f64 * self.interval) as u64)
    }

    /// Whose message is due by now, and since when, if there is one.
    pub(super) fn next(&mut self, now: Moment) -> Option<(usize, Moment)> {
        let (due, place) = (self.due(), (self.sent % self.slots.len() as u64) as usize);
        let is_due = due <= now;
        self.sent += u64::from(is_due);
        is_due.then_some((self.slots.start + place, due))
    }
}

/// Waits for events of a poll to the microsecond: its own timeout is in whole milliseconds, which a schedule of thousands of
/// messages a second would all be late by. Where the system has no such clock the wait ends up to a millisecond late.
pub(super) fn wait(poll: &Poll, pause: Duration) -> io::Result<()> {
    let timeout = pause.try_into().unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 });
    match event::poll(&mut [PollFd::new(poll.registry(), PollFlags::IN)], Some(&timeout)) {
        Err(error) if error != Errno::INTR => Err(error.into()),
        _ => Ok(()),
    }
}

/// Has the system end this thread's waits when they are due, and not up to 50 microseconds later, as Linux does to save power.
fn wake_on_time() {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    // If it does not, messages leave a little later than they are due, which a report says.
    let _ = rustix::thread::set_current_timer_slack(Some(std::num::NonZeroU64::MIN));
}
