//! A phase's part of a turn: a time that nobody's crowd makes longer.

use crate::Moment;
use std::time::Duration;

/// What is done between two looks at the clock, in the units of [`Slice::add`]: so little work costs no look at all, and
/// is a phase's least share, however late the turn is.
const UNITS: usize = 8;
/// Bytes read or written that count as one more unit.
const UNIT_BYTES: usize = 8 * 1024;

/// What a phase of a turn may take at most, and how long after the turn's beginning it is over even if it has not had that:
/// so no crowd makes a turn longer than the end of its last phase. What a phase leaves is done in the next turn.
pub(super) struct PhaseShare {
    most: Duration,
    end: Duration,
}

impl PhaseShare {
    pub(super) const fn micros(most: u64, end: u64) -> PhaseShare {
        PhaseShare { most: Duration::from_micros(most), end: Duration::from_micros(end) }
    }
}

/// A phase's share of one turn. Its time begins when the first units are done.
pub(super) struct Slice {
    share: &'static PhaseShare,
    /// When the turn did.
    began: Moment,
    until: Option<Moment>,
    units: usize,
}

impl Slice {
    #[inline]
    pub(super) fn new(share: &'static PhaseShare, began: Moment) -> Slice {
        Slice { share, began, until: None, units: 0 }
    }

    /// Something was done, such as one call of the system with so many bytes.
    #[inline]
    pub(super) fn add(&mut self, units: usize, bytes: usize) {
        self.units += units + bytes / UNIT_BYTES;
    }

    /// Whether that was enough for this turn.
    #[inline]
    pub(super) fn is_over(&mut self, now: impl FnOnce() -> Moment) -> bool {
        if self.units < UNITS {
            return false;
        }
        self.units = 0;
        let (now, PhaseShare { most, end }) = (now(), self.share);
        now >= *self.until.get_or_insert((self.began + *end).min(now + *most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    static SHARE: PhaseShare = PhaseShare::micros(300, 1_000);

    /// How many pieces of work of `took`, of so many bytes each, are done when the turn has lasted so long already.
    fn done(took: Duration, bytes: usize, lasted: Duration) -> usize {
        let clock = Cell::new(Moment::START + lasted);
        let mut slice = Slice::new(&SHARE, Moment::START);
        let is_over = |_: &usize| {
            clock.set(clock.get() + took);
            slice.add(1, bytes);
            !slice.is_over(|| clock.get())
        };
        1 + (0..10_000).take_while(is_over).count()
    }

    #[test]
    fn a_slice_is_over_after_its_time_whatever_a_piece_takes() {
        assert_eq!(done(Duration::from_micros(10), 0, Duration::ZERO), 40, "eight, and four times eight");
        assert_eq!(done(Duration::from_micros(100), 0, Duration::ZERO), 16);
        assert_eq!(done(Duration::from_micros(100), 4_000, Duration::ZERO), 16, "a few bytes cost no more");
        let much = 64 * 1024;
        assert_eq!(done(Duration::from_micros(100), much, Duration::ZERO), 4, "each is looked at");
    }

    /// The story: a phase began when the turn had taken too long already, and took its whole time none the less.
    #[test]
    fn a_late_turn_leaves_a_phase_its_least_share() {
        let late = Duration::from_millis(5);
        assert_eq!(done(Duration::from_micros(1), 0, late), UNITS);
        assert_eq!(done(Duration::from_micros(1), 64 * 1024, late), 1);
        let soon = Duration::from_micros(900);
        assert_eq!(done(Duration::from_micros(10), 0, soon), 16, "not 300 µs, but what is left of the turn");
    }
}
