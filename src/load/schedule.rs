//! Sending by the clock: when each message is due, and waits that end at the right microsecond.
//!
//! The schedule does not wait for the server, and each latency counts from when its message should have been sent: a
//! server that stalls for a second is charged for every message of that second, and not only for the one that it was asked
//! to echo.

use super::metrics::Latency;
use crate::Moment;
use mio::{Poll, Token};
use std::io;
use std::time::Duration;

/// When clients send, in turn.
#[derive(Debug)]
pub(super) struct Schedule {
    start: Moment,
    /// From one message of any of them to the next, in nanoseconds.
    interval: f64,
    clients: usize,
    sent: u64,
    /// By how much messages left later than they were due.
    pub(super) send_delay: Latency,
}

impl Schedule {
    /// So many messages a second of each.
    pub(super) fn new(start: Moment, clients: usize, rate_per_second: f64) -> Schedule {
        let interval = 1e9 / (rate_per_second * clients as f64);
        Schedule { start, interval, clients, sent: 0, send_delay: Latency::default() }
    }

    /// When the next message is due.
    pub(super) fn due(&self) -> Moment {
        self.start + Duration::from_nanos((self.sent as f64 * self.interval) as u64)
    }

    /// Whose message is due by now, and since when, if there is one.
    pub(super) fn next(&mut self, now: Moment) -> Option<(usize, Moment)> {
        let (due, client) = (self.due(), (self.sent % self.clients as u64) as usize);
        let is_due = due <= now;
        self.sent += u64::from(is_due);
        is_due.then_some((client, due))
    }
}

/// Ends a poll's wait at the right microsecond: the poll's own timeout is in whole milliseconds, which a schedule of
/// thousands of messages a second would all be late by. Where the system has no such clock, the poll's timeout alone ends
/// the wait, up to a millisecond late.
#[derive(Debug)]
pub(super) struct Timer {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    descriptor: std::os::fd::OwnedFd,
    set_to: Moment,
}

#[cfg(any(target_os = "linux", target_os = "android"))]
impl Timer {
    /// A timer that is an event of this poll.
    pub(super) fn new(poll: &Poll, token: Token) -> io::Result<Timer> {
        use mio::{Interest, unix::SourceFd};
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
        use std::os::fd::AsRawFd;
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let descriptor = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        poll.registry().register(&mut SourceFd(&descriptor.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Timer { descriptor, set_to: Moment::START })
    }

    /// Expires once, at that moment, unless it is set to it already or that is now.
    pub(super) fn set(&mut self, now: Moment, until: Moment) -> io::Result<()> {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};
        let pause = until.since(now);
        if self.set_to == until || pause.is_zero() {
            return Ok(());
        }
        let once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let it_value = pause.try_into().unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 });
        let setting = Itimerspec { it_interval: once, it_value };
        timerfd_settime(&self.descriptor, TimerfdTimerFlags::empty(), &setting)?;
        self.set_to = until;
        Ok(())
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
impl Timer {
    pub(super) fn new(_poll: &Poll, _token: Token) -> io::Result<Timer> {
        Ok(Timer { set_to: Moment::START })
    }

    pub(super) fn set(&mut self, _now: Moment, until: Moment) -> io::Result<()> {
        self.set_to = until;
        Ok(())
    }
}
