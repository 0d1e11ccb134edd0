//! A wait that ends at the right microsecond: the poll's own timeout is in whole milliseconds, which a schedule of
//! thousands of messages a second would all be late by.

use mio::{Poll, Token};
use std::io;
use std::time::Duration;

/// Where the system has no such clock, the poll's timeout alone ends the wait, up to a millisecond late.
#[derive(Debug)]
pub(super) struct Timer {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    descriptor: std::os::fd::OwnedFd,
}

impl Timer {
    /// A timer that is an event of this poll.
    ///
    /// # Errors
    /// If the system gives none.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(super) fn new(poll: &Poll, token: Token) -> io::Result<Timer> {
        use mio::{Interest, unix::SourceFd};
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
        use std::os::fd::AsRawFd;
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let descriptor = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        poll.registry().register(&mut SourceFd(&descriptor.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Timer { descriptor })
    }

    /// Expires once, so long from now.
    ///
    /// # Errors
    /// If the system refuses.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(super) fn set(&self, pause: Duration) -> io::Result<()> {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};
        let once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let pause = Timespec {
            tv_sec: i64::try_from(pause.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: pause.subsec_nanos().into(),
        };
        let setting = Itimerspec { it_interval: once, it_value: pause };
        timerfd_settime(&self.descriptor, TimerfdTimerFlags::empty(), &setting)?;
        Ok(())
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(super) fn new(_poll: &Poll, _token: Token) -> io::Result<Timer> {
        Ok(Timer {})
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(super) fn set(&self, _pause: Duration) -> io::Result<()> {
        Ok(())
    }
}
