//! What a run measures: latencies in histograms of bounded size, and failures counted by kind.
//!
//! This module must not know what was measured, or how.

use super::mishap::{Failures, FailuresByKind, Mishap, count_failure};
use super::watchdog::Cut;
use hdrhistogram::Histogram;
use serde::Serialize;
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
    #[expect(clippy::expect_used, reason = "the bounds are constants within what the histogram allows")]
    fn default() -> Latency {
        let most = LATENCY_MOST.as_nanos() as u64;
        let histogram = Histogram::new_with_bounds(1, most, 3).expect("bounds of a histogram");
        Latency { histogram, unfinished: 0 }
    }
}

impl Latency {
    /// To two digits and half a microsecond, in a tenth of the memory: for when there are many.
    #[expect(clippy::expect_used, reason = "the bounds are constants within what the histogram allows")]
    pub(super) fn coarse() -> Latency {
        let most = LATENCY_MOST.as_nanos() as u64;
        let histogram = Histogram::new_with_bounds(1_000, most, 2).expect("bounds of a histogram");
        Latency { histogram, unfinished: 0 }
    }

    /// Counts all that another has counted.
    pub(super) fn merge(&mut self, other: &Latency) {
        // Both have the same bounds, or these are the wider.
        let _ = self.histogram.add(&other.histogram);
        self.unfinished += other.unfinished;
    }

    /// Counts one.
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

/// Latencies of one sort, in microseconds; all 0 when `count` is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Percentiles {
    /// How many were measured.
    pub count: u64,
    /// Half did not exceed this.
    pub p50: f64,
    /// Nine in ten did not exceed this.
    pub p90: f64,
    /// 99 in a hundred did not exceed this.
    pub p99: f64,
    /// 999 in a thousand did not exceed this.
    pub p999: f64,
    /// None exceeded this.
    pub max: f64,
    /// Of `count`, those that never came to an end: they are among the figures with the time waited.
    pub unfinished: u64,
}

/// What clients wait for.
#[derive(Clone, Debug, Default)]
pub struct Latencies {
    /// From asking the system for a connection until it is there.
    pub connect: Latency,
    /// From sending Identify until Welcome.
    pub login: Latency,
    /// From sending a message until its echo.
    pub message: Latency,
}

impl Latencies {
    /// Counts all that another has counted.
    pub(super) fn merge(&mut self, other: &Latencies) {
        self.connect.merge(&other.connect);
        self.login.merge(&other.login);
        self.message.merge(&other.message);
    }
}

/// What came of a number of visits.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) visits: u64,
    pub(super) failed: u64,
    pub(super) failures: FailuresByKind,
    pub(super) latencies: Latencies,
    /// Why they ended before their time, if they did.
    pub(super) cut: Option<Cut>,
}

impl Tally {
    /// Counts all that another has counted.
    pub(super) fn add(&mut self, other: Tally) {
        self.visits += other.visits;
        self.latencies.merge(&other.latencies);
        self.add_failures(other);
    }

    /// Counts the failures of another, and nothing else of it.
    pub(super) fn add_failures(&mut self, other: Tally) {
        self.failed += other.failed;
        self.cut = self.cut.or(other.cut);
        for (kind, Failures { count, reason }) in other.failures {
            self.failures.entry(kind).or_insert(Failures { count: 0, reason }).count += count;
        }
    }

    /// Counts a visit that came to its end.
    pub(super) fn count(&mut self, outcome: Result<(), Mishap>) {
        self.visits += 1;
        if let Err(mishap) = outcome {
            self.failed += 1;
            count_failure(&mut self.failures, mishap);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_what_was_recorded() {
        let mut latency = Latency::default();
        for microseconds in 1..=1_000 {
            latency.record(Duration::from_micros(microseconds));
        }
        let shown = latency.percentiles();
        let close = |value: f64, wanted: f64| (value / wanted - 1.0).abs() < 0.002;
        assert_eq!(shown.count, 1_000);
        assert!(close(shown.p50, 500.0) && close(shown.p90, 900.0) && close(shown.p99, 990.0), "{shown:?}");
        assert!(close(shown.p999, 999.0) && close(shown.max, 1_000.0), "{shown:?}");
        latency.record(Duration::from_secs(3_600));
        assert!(close(latency.percentiles().max, 60_000_000.0));
    }

    #[test]
    fn what_never_came_to_an_end_counts_with_the_time_waited() {
        let mut latency = Latency::default();
        latency.record(Duration::from_millis(1));
        latency.record_unfinished(Duration::from_secs(7));
        let mut sum = Latency::default();
        sum.merge(&latency);
        let shown = sum.percentiles();
        assert_eq!((shown.count, shown.unfinished, sum.finished()), (2, 1, 1));
        assert!(shown.max > 6_900_000.0, "{shown:?}");
    }

    #[test]
    fn failures_are_counted_by_kind_with_the_first_reason() {
        let mut tally = Tally::default();
        tally.count(Ok(()));
        tally.count(Err(Mishap::new("no_echo", "first")));
        tally.count(Err(Mishap::new("no_echo", "second")));
        assert_eq!((tally.visits, tally.failed), (3, 2));
        assert_eq!(tally.failures["no_echo"], Failures { count: 2, reason: "first".into() });
    }
}
