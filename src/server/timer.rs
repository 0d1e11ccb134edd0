//! What ends the poll loop's wait when something is due.
//!
//! A wait with a timeout has the kernel arm a timer, and cancel it again whenever something happens first: as often as the
//! loop sleeps. Deadlines are far apart, and most move on before they come. So one timer is set when something is due
//! before the moment that it is set for, and is left alone otherwise. Where it comes too early, because the deadline has
//! moved on, it costs an empty turn.

use super::TIMER;
use crate::Clock;
use crate::Moment;
use mio::unix::SourceFd;
use mio::{Interest, Registry};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

/// A timer among the poll's events.
pub(super) struct Timer {
    fd: OwnedFd,
    /// When it ends a wait; [`Moment::NEVER`] if it is not set.
    set_for: Moment,
}

impl Timer {
    /// # Errors
    /// What the system gives when it has no more file descriptors, or no room to watch one.
    pub(super) fn new(registry: &Registry) -> io::Result<Timer> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let fd = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        registry.register(&mut SourceFd(&fd.as_raw_fd()), TIMER, Interest::READABLE)?;
        Ok(Timer { fd, set_for: Moment::NEVER })
    }

    /// It has ended a wait, and ends no other until it is set again.
    pub(super) fn note_expired(&mut self) {
        self.set_for = Moment::NEVER;
    }

    /// The timeout of a wait that begins now and ends at a moment or before: none if the timer sees to that.
    #[inline]
    pub(super) fn timeout(&mut self, due: Moment, now: Moment, clock: &Clock) -> Option<Duration> {
        if due <= now {
            return Some(Duration::ZERO);
        }
        if self.set_for <= due {
            return None;
        }
        match self.set(due, clock) {
            Ok(()) => None,
            Err(_) => Some(due.since(now)),
        }
    }

    #[cold]
    fn set(&mut self, due: Moment, clock: &Clock) -> io::Result<()> {
        const SECOND: u64 = 1_000_000_000;
        let time = clock.system_time(due);
        let it_value =
            Timespec { tv_sec: (time / SECOND).cast_signed(), tv_nsec: (time % SECOND).cast_signed() };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        // What it was set for before ends no wait any more: nothing is read of it, since an event is told once.
        timerfd_settime(&self.fd, TimerfdTimerFlags::ABSTIME, &Itimerspec { it_interval, it_value })?;
        self.set_for = due;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Events, Poll};

    /// Waits for ever, unless the timer says otherwise, and says when that was over.
    fn wait(poll: &mut Poll, timer: &mut Timer, due: Moment, clock: &Clock) -> Moment {
        let mut events = Events::with_capacity(4);
        assert_eq!(timer.timeout(due, clock.now(), clock), None);
        poll.poll(&mut events, None).unwrap();
        assert!(events.iter().all(|event| event.token() == TIMER) && !events.is_empty());
        timer.note_expired();
        clock.now()
    }

    #[test]
    fn a_wait_ends_when_something_is_due_however_often_and_in_whatever_order_that_changes() {
        let (mut poll, clock) = (Poll::new().unwrap(), Clock::new());
        let mut timer = Timer::new(poll.registry()).unwrap();
        let in_milliseconds = |count| clock.now() + Duration::from_millis(count);
        for _ in 0..3 {
            let due = in_milliseconds(5);
            assert!(wait(&mut poll, &mut timer, due, &clock) >= due);
        }
        // What comes first counts, and what comes later changes nothing.
        let (first, later) = (in_milliseconds(20), in_milliseconds(3_600_000));
        assert_eq!(timer.timeout(later, clock.now(), &clock), None);
        assert_eq!(timer.timeout(first, clock.now(), &clock), None);
        assert!(wait(&mut poll, &mut timer, later, &clock) >= first);
        // Set anew after it has come and nobody has looked: that it came before is no news.
        assert_eq!(timer.timeout(in_milliseconds(1), clock.now(), &clock), None);
        while clock.now() < timer.set_for {}
        timer.note_expired();
        let due = in_milliseconds(20);
        assert!(wait(&mut poll, &mut timer, due, &clock) >= due);
    }

    #[test]
    fn what_is_due_already_is_not_waited_for() {
        let (poll, clock) = (Poll::new().unwrap(), Clock::new());
        let mut timer = Timer::new(poll.registry()).unwrap();
        let now = clock.now();
        assert_eq!(timer.timeout(now, now, &clock), Some(Duration::ZERO));
        assert_eq!(timer.timeout(Moment::START, now, &clock), Some(Duration::ZERO));
    }
}
