//! What a run measures: latencies in histograms of bounded size, by the part of the run in which they began, and failures
//! counted by kind.
//!
//! This module must not know what was measured, or how.

use super::error::{Failures, FailuresByKind, LoadError, count_failures};
use super::sampler::Sample;
use super::{Part, Percentiles};
use crate::Moment;
use hdrhistogram::Histogram;
use std::time::Duration;

/// Latencies above this count as this.
const LATENCY_MOST: Duration = Duration::from_secs(60);

/// Durations of one sort, from 1 ns to 60 s, to three digits.
#[derive(Clone, Debug)]
pub struct Latency {
    histogram: Histogram<u64>,
    /// Of all that were counted, those that never came to an end.
    unfinished: u64,
}

impl Default for Latency {
    fn default() -> Latency {
        Latency::with_bounds(1, 3)
    }
}

impl Latency {
    #[expect(clippy::expect_used, reason = "the bounds are constants within what the histogram allows")]
    fn with_bounds(least: u64, digits: u8) -> Latency {
        let most = LATENCY_MOST.as_nanos() as u64;
        let histogram = Histogram::new_with_bounds(least, most, digits).expect("bounds of a histogram");
        Latency { histogram, unfinished: 0 }
    }

    pub(super) fn merge(&mut self, other: &Latency) {
        // Both have the same bounds, or these are the wider.
        let _ = self.histogram.add(&other.histogram);
        self.unfinished += other.unfinished;
    }

    pub(super) fn record(&mut self, latency: Duration) {
        self.histogram.saturating_record(latency.min(LATENCY_MOST).as_nanos() as u64);
    }

    /// Counts one that never came to an end, with the time for which somebody waited: left out, it would make the server
    /// look the faster the more it left unanswered.
    pub(super) fn record_unfinished(&mut self, waited: Duration) {
        self.record(waited);
        self.unfinished += 1;
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// How many of them came to an end.
    pub fn finished(&self) -> u64 {
        self.count() - self.unfinished
    }

    /// The latency in nanoseconds that this part of all, 0 to 1, did not exceed; 0 if none was counted.
    pub fn nanoseconds_at(&self, part: f64) -> u64 {
        self.histogram.value_at_quantile(part)
    }

    /// The figures for a table.
    pub fn percentiles(&self) -> Percentiles {
        let at = |part| microseconds(self.nanoseconds_at(part));
        Percentiles {
            count: self.count(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: microseconds(self.histogram.max()),
            unfinished: self.unfinished,
        }
    }
}

/// To a tenth: the histogram keeps three digits, and no clock is better.
fn microseconds(nanoseconds: u64) -> f64 {
    (nanoseconds as f64 / 100.0).round() / 10.0
}

/// What clients wait for.
#[derive(Clone, Debug, Default)]
pub(super) struct Latencies {
    /// From asking the system for a connection until it is there.
    pub(super) connect: Latency,
    /// From sending Identify until Welcome.
    pub(super) login: Latency,
    /// From sending a message until its echo.
    pub(super) message: Latency,
    /// In a chat, from when a whisper was due until it was there.
    pub(super) whisper: Latency,
    /// From the loss of the last connection, or the beginning of the way in, until Welcome.
    pub(super) resume: Latency,
}

/// A part of a run, and what was measured in it.
#[derive(Clone, Debug)]
pub(super) struct Window {
    pub(super) part: Part,
    pub(super) from: Moment,
    pub(super) until: Moment,
    /// By the beginning of each, so that the end of a window cuts nothing off but what never came to its end.
    pub(super) latencies: Latencies,
    /// Whether requests that are under way when it begins belong to it. They must where each client sends the next after
    /// the last one's answer: in a stall that has begun before they are all that there is.
    pub(super) has_requests_before: bool,
    /// What load tester and server had of their CPUs meanwhile.
    pub(super) used: Sample,
}

impl Window {
    pub(super) fn new(part: Part, from: Moment, until: Moment) -> Window {
        let (latencies, used) = (Latencies::default(), Sample::default());
        Window { part, from, until, latencies, has_requests_before: false, used }
    }

    /// One that holds all that a run does.
    pub(super) fn of_all() -> Window {
        Window::new(Part::Measured, Moment::START, Moment::NEVER)
    }

    /// Ends it then, if it was to end later.
    pub(super) fn end_at(&mut self, moment: Moment) {
        self.from = self.from.min(moment);
        self.until = self.until.min(moment);
    }

    fn holds(&self, moment: Moment) -> bool {
        self.from <= moment && moment < self.until
    }

    fn has_request(&self, began: Moment, now: Moment) -> bool {
        self.holds(began) || (self.has_requests_before && began < self.from && self.from <= now)
    }
}

/// Intervals of a timeline.
const INTERVALS: u32 = 180;

/// Latencies by the time at which they began: a small histogram for each interval of a run.
#[derive(Clone, Debug)]
pub struct Timeline {
    start: Moment,
    interval: Duration,
    latencies: Vec<Latency>,
}

impl Timeline {
    /// From `start` for `span`.
    pub(super) fn new(start: Moment, span: Duration) -> Timeline {
        let interval = (span / INTERVALS).max(Duration::from_nanos(1));
        // To two digits and half a microsecond, in a tenth of the memory.
        let coarse = Latency::with_bounds(1_000, 2);
        Timeline { start, interval, latencies: vec![coarse; INTERVALS as usize] }
    }

    /// Counts one that began then; one that began outside of the run is not counted.
    fn record(&mut self, began: Moment, latency: Duration) {
        let place = began.since(self.start).as_nanos() / self.interval.as_nanos();
        let interval = usize::try_from(place).ok().and_then(|place| self.latencies.get_mut(place));
        if let Some(latencies) = interval.filter(|_| began >= self.start) {
            latencies.record(latency);
        }
    }

    /// The middle of each interval in which anything was measured, from the start, and what was.
    pub fn intervals(&self) -> impl Iterator<Item = (Duration, &Latency)> {
        let measured = (0..).zip(&self.latencies).filter(|(_, latency)| latency.count() > 0);
        measured.map(|(place, latency)| (self.interval * place + self.interval / 2, latency))
    }

    /// The run's length.
    pub fn span(&self) -> Duration {
        self.interval * INTERVALS
    }
}

/// What all clients of a run measure.
#[derive(Clone, Debug, Default)]
pub(super) struct Metrics {
    /// The parts of the run; they do not overlap.
    pub(super) windows: Vec<Window>,
    pub(super) timeline: Option<Timeline>,
    /// Visits that came to their end, by a failure or not.
    pub(super) visits: u64,
    pub(super) failed: u64,
    pub(super) failures: FailuresByKind,
}

impl Metrics {
    /// The latencies of what began then, where that is in the run.
    pub(super) fn at(&mut self, began: Moment) -> Option<&mut Latencies> {
        self.windows.iter_mut().find(|window| window.holds(began)).map(|window| &mut window.latencies)
    }

    /// Counts a request that was due at `began`, and that was answered or is waited for no more.
    pub(super) fn request(
        &mut self,
        sort: fn(&mut Latencies) -> &mut Latency,
        began: Moment,
        now: Moment,
        is_answered: bool,
    ) {
        let latency = now.since(began);
        if let Some(window) = self.windows.iter_mut().find(|window| window.has_request(began, now)) {
            let sort = sort(&mut window.latencies);
            if is_answered { sort.record(latency) } else { sort.record_unfinished(latency) }
        }
        if let Some(timeline) = &mut self.timeline {
            timeline.record(began, latency);
        }
    }

    pub(super) fn visited(&mut self, outcome: Result<(), LoadError>) {
        self.visits += 1;
        if let Err(error) = outcome {
            self.failed += 1;
            count_failures(&mut self.failures, 1, error);
        }
    }

    pub(super) fn add(&mut self, mut other: Metrics) {
        self.windows.append(&mut other.windows);
        self.visits += other.visits;
        self.add_failures(other);
    }

    /// Counts the failures that others have counted.
    pub(super) fn add_failures(&mut self, other: Metrics) {
        self.failed += other.failed;
        for (kind, Failures { count, reason }) in other.failures {
            count_failures(&mut self.failures, count, LoadError { kind, reason });
        }
    }

    /// Those of all windows together.
    pub(super) fn latencies(&self) -> Latencies {
        let mut sum = Latencies::default();
        for Window { latencies, .. } in &self.windows {
            sum.connect.merge(&latencies.connect);
            sum.login.merge(&latencies.login);
            sum.message.merge(&latencies.message);
            sum.whisper.merge(&latencies.whisper);
            sum.resume.merge(&latencies.resume);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_what_was_recorded_and_what_never_came_to_an_end_counts() {
        let mut latency = Latency::default();
        for microseconds in 1..=1_000 {
            latency.record(Duration::from_micros(microseconds));
        }
        let shown = latency.percentiles();
        let close = |value: f64, wanted: f64| (value / wanted - 1.0).abs() < 0.002;
        assert!(close(shown.p50, 500.0) && close(shown.p90, 900.0) && close(shown.p99, 990.0), "{shown:?}");
        assert!(close(shown.p999, 999.0) && close(shown.max, 1_000.0), "{shown:?}");
        latency.record_unfinished(Duration::from_secs(3_600));
        let shown = latency.percentiles();
        assert_eq!((shown.count, shown.unfinished, latency.finished()), (1_001, 1, 1_000));
        assert!(close(shown.max, 60_000_000.0));
    }

    #[test]
    fn each_latency_is_counted_in_the_interval_in_which_it_began() {
        let start = Moment::START + Duration::from_secs(7);
        let mut timeline = Timeline::new(start, Duration::from_secs(18));
        let began = |milliseconds| start + Duration::from_millis(milliseconds);
        timeline.record(Moment::START, Duration::from_millis(1));
        timeline.record(began(50), Duration::from_secs(9));
        timeline.record(began(120), Duration::from_millis(2));
        timeline.record(began(18_000), Duration::from_millis(4));
        let shown = |(middle, latency): (Duration, &Latency)| {
            (middle.as_millis(), latency.nanoseconds_at(1.0) / 100_000_000)
        };
        assert_eq!(timeline.intervals().map(shown).collect::<Vec<_>>(), [(50, 90), (150, 0)]);
    }
}
