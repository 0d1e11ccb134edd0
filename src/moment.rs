//! Time as the core sees it: handed in, never asked for.

use std::num::NonZeroU64;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A point of the monotonic clock, in nanoseconds since some start.
///
/// Unlike `std::time::Instant` it can be made from nothing, so that a simulated clock is as good as a real
/// one. It saturates at both ends. Counted from 1, so that an `Option` of it takes no more room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(NonZeroU64);

impl Moment {
    /// The start of the clock.
    pub const START: Moment = Moment(NonZeroU64::MIN);
    /// Later than anything that happens.
    pub const NEVER: Moment = Moment(NonZeroU64::MAX);

    /// So many nanoseconds after the start of the clock.
    #[inline]
    pub(crate) fn at_nanoseconds(nanoseconds: u64) -> Moment {
        Moment(NonZeroU64::MIN.saturating_add(nanoseconds))
    }

    /// The first of several moments, [`NEVER`](Moment::NEVER) if there is none.
    #[inline]
    pub(crate) fn first_of<const COUNT: usize>(moments: [Option<Moment>; COUNT]) -> Moment {
        // Counted from 0, with none beyond all: there is nothing to be asked of each, and it is looked for twice a turn.
        let counts = moments.map(|moment| moment.map_or(0, |moment| moment.0.get()).wrapping_sub(1));
        let first = counts.into_iter().fold(u64::MAX, u64::min);
        NonZeroU64::new(first.wrapping_add(1)).map_or(Moment::NEVER, Moment)
    }

    /// The time since the start of the clock.
    pub fn since_start(self) -> Duration {
        Duration::from_nanos(self.0.get() - 1)
    }

    /// The time from `earlier` to this moment; zero if `earlier` is later.
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.0.get().saturating_sub(earlier.0.get()))
    }
}

impl Default for Moment {
    fn default() -> Moment {
        Moment::START
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;
    fn add(self, span: Duration) -> Moment {
        Moment(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Moment {
    type Output = Moment;
    fn sub(self, span: Duration) -> Moment {
        let nanoseconds = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Moment(NonZeroU64::new(self.0.get().saturating_sub(nanoseconds)).unwrap_or(NonZeroU64::MIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_moments_is_never_if_there_is_none() {
        let [first, later] = [Moment::START, Moment::at_nanoseconds(7)];
        assert_eq!(Moment::first_of([None, Some(later), None, Some(first)]), first);
        assert_eq!(Moment::first_of([Some(Moment::NEVER), None, Some(later)]), later);
        assert_eq!(Moment::first_of([Some(Moment::NEVER), None]), Moment::NEVER);
        assert_eq!(Moment::first_of([None; 2]), Moment::NEVER);
    }
}
