//! Where the system has no timer that is a descriptor, a wait has its timeout.

use crate::Clock;
use crate::Moment;
use mio::Registry;
use std::io;
use std::time::Duration;

/// Nothing: every wait is told how long it may take.
pub(super) struct Timer;

impl Timer {
    /// # Errors
    /// None.
    pub(super) fn new(_: &Registry) -> io::Result<Timer> {
        Ok(Timer)
    }

    /// Nothing was set.
    pub(super) fn note_expired(&mut self) {}

    /// The timeout of a wait that begins now and ends at a moment.
    pub(super) fn timeout(&mut self, due: Moment, now: Moment, _: &Clock) -> Option<Duration> {
        Some(due.since(now))
    }
}
