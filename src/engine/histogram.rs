//! Durations counted by their length: a histogram.

use crate::command::FigureValue;
use std::time::Duration;

/// How many there were of each length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Histogram<const CLASSES: usize> {
    /// Upper ends of the classes.
    ends: &'static [Duration; CLASSES],
    counts: [u64; CLASSES],
    beyond: u64,
    together: Duration,
    longest: Duration,
}

impl<const CLASSES: usize> Histogram<CLASSES> {
    pub(super) const fn new(ends: &'static [Duration; CLASSES]) -> Histogram<CLASSES> {
        let (together, longest) = (Duration::ZERO, Duration::ZERO);
        Histogram { ends, counts: [0; CLASSES], beyond: 0, together, longest }
    }

    #[inline]
    pub(super) fn record(&mut self, took: Duration) {
        let class = self.ends.iter().position(|end| took <= *end);
        *class.map_or(&mut self.beyond, |class| &mut self.counts[class]) += 1;
        self.together += took;
        self.longest = self.longest.max(took);
    }

    pub(super) fn longest(&self) -> Duration {
        self.longest
    }

    /// The upper end of each class, none for the last, and how many are in it.
    pub(super) fn classes(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        let ends = self.ends.iter().copied().map(Some).chain([None]);
        ends.zip(self.counts.into_iter().chain([self.beyond]))
    }

    /// For a program.
    pub(super) fn figure(&self) -> FigureValue {
        let seconds = |end: Option<Duration>| end.map_or(f64::INFINITY, |end| end.as_secs_f64());
        let classes = self.classes().map(|(end, count)| (seconds(end), count)).collect();
        FigureValue::Histogram { classes, sum: self.together.as_secs_f64() }
    }
}
