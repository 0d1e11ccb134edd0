//! Latency over time: a small histogram for each stretch of a run.

use super::stats::Latency;
use crate::Moment;
use std::time::Duration;

/// Stretches of a run.
const STRETCHES: u32 = 180;

/// Latencies by the time at which they began.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    start: Moment,
    stretch: Duration,
    latencies: Vec<Latency>,
}

impl Timeline {
    /// From `start` for `span`.
    pub(super) fn new(start: Moment, span: Duration) -> Timeline {
        let stretch = (span / STRETCHES).max(Duration::from_nanos(1));
        Timeline { start, stretch, latencies: (0..STRETCHES).map(|_| Latency::coarse()).collect() }
    }

    /// Counts one that began then; one that began outside of the run is not counted.
    pub(super) fn record(&mut self, began: Moment, latency: Duration) {
        if began < self.start {
            return;
        }
        let stretch = began.since(self.start).as_nanos() / self.stretch.as_nanos();
        if let Some(latencies) = usize::try_from(stretch).ok().and_then(|index| self.latencies.get_mut(index))
        {
            latencies.record(latency);
        }
    }

    /// The middle of each stretch in which anything was measured, from the start, and what was.
    pub(super) fn stretches(&self) -> impl Iterator<Item = (Duration, &Latency)> {
        (0..).zip(&self.latencies).filter(|(_, latency)| latency.count() > 0).map(|(index, latency)| {
            let middle = self.stretch * index + self.stretch / 2;
            (middle, latency)
        })
    }

    /// The run's length.
    pub(super) fn span(&self) -> Duration {
        self.stretch * STRETCHES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_latency_is_counted_in_the_stretch_in_which_it_began() {
        let start = Moment::START + Duration::from_secs(7);
        let mut timeline = Timeline::new(start, Duration::from_secs(18));
        let began = |milliseconds| start + Duration::from_millis(milliseconds);
        timeline.record(Moment::START, Duration::from_millis(1));
        timeline.record(began(50), Duration::from_secs(9));
        timeline.record(began(120), Duration::from_millis(2));
        timeline.record(began(17_999), Duration::from_millis(3));
        timeline.record(began(18_000), Duration::from_millis(4));
        let shown: Vec<_> = timeline
            .stretches()
            .map(|(middle, latency)| (middle.as_millis(), latency.nanoseconds_at(1.0) / 100_000_000))
            .collect();
        assert_eq!(shown, [(50, 90), (150, 0), (17_950, 0)]);
        assert_eq!(timeline.span(), Duration::from_secs(18));
    }
}
