//! What was measured: for each work, peer and measure a figure a round; and what is made of them.

use crate::peers::Peer;
use serde_json::{Value, json};

/// What is made of the figures of several rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    /// The least and the most of the rounds.
    pub(crate) least: f64,
    pub(crate) most: f64,
    pub(crate) rounds: usize,
}

impl Summary {
    /// Of figures that are twice as large.
    pub(crate) fn doubled(self) -> Summary {
        let Summary { median, least, most, rounds } = self;
        Summary { median: 2.0 * median, least: 2.0 * least, most: 2.0 * most, rounds }
    }

    /// Of figures in any order, if there are any.
    fn of(figures: impl Iterator<Item = f64>) -> Option<Summary> {
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_by(f64::total_cmp);
        let (least, most) = (*figures.first()?, *figures.last()?);
        let (middle, rounds) = (figures.len() / 2, figures.len());
        let upper = figures[middle];
        let median = if rounds % 2 == 1 { upper } else { (figures[middle - 1] + upper) / 2.0 };
        Some(Summary { median, least, most, rounds })
    }
}

/// The figures of one measure, a round each.
#[derive(Debug)]
struct Entry {
    work: &'static str,
    peer: &'static str,
    measure: &'static str,
    rounds: Vec<f64>,
}

/// All figures, in the order in which they were first taken.
#[derive(Debug, Default)]
pub(crate) struct Results(Vec<Entry>);

impl Results {
    /// Adds a round's figure.
    pub(crate) fn add(&mut self, work: &'static str, peer: &'static str, measure: &'static str, figure: f64) {
        match self.0.iter_mut().find(|entry| entry.is(work, peer, measure)) {
            Some(entry) => entry.rounds.push(figure),
            None => self.0.push(Entry { work, peer, measure, rounds: vec![figure] }),
        }
    }

    /// Median and span of the rounds, if there was one.
    pub(crate) fn summary(&self, work: &str, peer: &str, measure: &str) -> Option<Summary> {
        Summary::of(self.rounds(work, peer, measure)?.iter().copied())
    }

    /// The median of the rounds, if there was one.
    pub(crate) fn median(&self, work: &str, peer: &str, measure: &str) -> Option<f64> {
        self.summary(work, peer, measure).map(|summary| summary.median)
    }

    /// Median and span of what a peer's figure is of another's in the same round: what slows the machine down for a while
    /// slows both.
    pub(crate) fn ratio(&self, work: &str, measure: &str, peer: &str, base: &str) -> Option<Summary> {
        let (figures, bases) = (self.rounds(work, peer, measure)?, self.rounds(work, base, measure)?);
        Summary::of(figures.iter().zip(bases).map(|(figure, base)| figure / base))
    }

    /// The median of a measure over all works and rounds of these peers.
    pub(crate) fn median_of_all(&self, measure: &str, peers: &[Peer]) -> Option<f64> {
        let is_theirs = |entry: &&Entry| peers.iter().any(|peer| peer.name() == entry.peer);
        let entries = self.0.iter().filter(|entry| entry.measure == measure).filter(is_theirs);
        Summary::of(entries.flat_map(|entry| entry.rounds.iter().copied())).map(|summary| summary.median)
    }

    /// All of it.
    pub(crate) fn json(&self) -> Value {
        let entry = |entry: &Entry| {
            let Entry { work, peer, measure, rounds } = entry;
            let summary = Summary::of(rounds.iter().copied());
            json!({ "work": work, "peer": peer, "measure": measure,
                    "median": summary.map(|summary| summary.median), "min": summary.map(|summary| summary.least),
                    "max": summary.map(|summary| summary.most), "rounds": rounds })
        };
        self.0.iter().map(entry).collect()
    }

    fn rounds(&self, work: &str, peer: &str, measure: &str) -> Option<&[f64]> {
        self.0.iter().find(|entry| entry.is(work, peer, measure)).map(|entry| &*entry.rounds)
    }
}

impl Entry {
    fn is(&self, work: &str, peer: &str, measure: &str) -> bool {
        self.work == work && self.peer == peer && self.measure == measure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_within_a_round() {
        let mut results = Results::default();
        // The second round was slow for both.
        for (one, other) in [(1.0, 2.0), (10.0, 20.0), (1.1, 2.0)] {
            results.add("w", "a", "m", one);
            results.add("w", "b", "m", other);
        }
        assert_eq!(results.median("w", "a", "m"), Some(1.1));
        let summary = Summary { median: 0.5, least: 0.5, most: 0.55, rounds: 3 };
        assert_eq!(results.ratio("w", "m", "a", "b"), Some(summary));
        assert_eq!(results.ratio("w", "m", "a", "c"), None);
        let summary = Summary { median: 2.5, least: 1.0, most: 4.0, rounds: 2 };
        assert_eq!(Summary::of([4.0, 1.0].into_iter()), Some(summary));
        assert_eq!(Summary::of([].into_iter()), None);
    }
}
