//! A phase's part of a turn: a time that nobody's crowd makes longer.

use crate::Clock;
use crate::Moment;
use std::time::Duration;

/// What is done between two looks at the clock, in the units of [`Slice::is_over`]: so little work costs no look at all.
const UNITS: usize = 8;
/// Bytes read or written that count as one more unit.
const UNIT_BYTES: usize = 8 * 1024;

/// Ends when its time is over. The time begins when the first units are done.
pub(super) struct Slice {
    most: Duration,
    until: Option<Moment>,
    units: usize,
}

impl Slice {
    pub(super) fn new(most: Duration) -> Slice {
        Slice { most, until: None, units: 0 }
    }

    /// Something was done, such as one call of the system with so many bytes: whether that was enough for this turn.
    pub(super) fn is_over(&mut self, units: usize, bytes: usize, clock: &Clock) -> bool {
        self.units += units + bytes / UNIT_BYTES;
        if self.units < UNITS {
            return false;
        }
        self.units = 0;
        let now = clock.now();
        now >= *self.until.get_or_insert(now + self.most)
    }
}
