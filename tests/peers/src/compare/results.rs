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
    /// Each with its number: of one whose figure could not be taken there is none.
    rounds: Vec<(u32, f64)>,
}

/// All figures, in the order in which they were first taken.
#[derive(Debug, Default)]
pub(crate) struct Results {
    round: u32,
    entries: Vec<Entry>,
}

impl Results {
    /// What is added from now on is of this round.
    pub(crate) fn begin_round(&mut self, round: u32) {
        self.round = round;
    }

    /// Adds this round's figure.
    pub(crate) fn add(&mut self, work: &'static str, peer: &'static str, measure: &'static str, figure: f64) {
        let figure = (self.round, figure);
        match self.entries.iter_mut().find(|entry| entry.is(work, peer, measure)) {
            Some(entry) => entry.rounds.push(figure),
            None => self.entries.push(Entry { work, peer, measure, rounds: vec![figure] }),
        }
    }

    /// Median and span of the rounds, if there was one.
    pub(crate) fn summary(&self, work: &str, peer: &str, measure: &str) -> Option<Summary> {
        Summary::of(self.entry(work, peer, measure)?.figures())
    }

    /// The median of the rounds, if there was one.
    pub(crate) fn median(&self, work: &str, peer: &str, measure: &str) -> Option<f64> {
        self.summary(work, peer, measure).map(|summary| summary.median)
    }

    /// Median and span of what a peer's figure is of another's in the same round: what slows the machine down for a while
    /// slows both.
    pub(crate) fn ratio(&self, work: &str, measure: &str, peer: &str, base: &str) -> Option<Summary> {
        let (figures, bases) = (self.entry(work, peer, measure)?, self.entry(work, base, measure)?);
        let both = figures.rounds.iter().filter_map(|(round, figure)| {
            let (_, base) = bases.rounds.iter().find(|(other, _)| other == round)?;
            Some(figure / base)
        });
        Summary::of(both)
    }

    /// The median of a measure over all works and rounds of these peers.
    pub(crate) fn median_of_all(&self, measure: &str, peers: &[Peer]) -> Option<f64> {
        Summary::of(self.of_peers(measure, peers).flat_map(Entry::figures)).map(|summary| summary.median)
    }

    /// The work and the peer with the largest figure of a round, and that figure.
    pub(crate) fn most_of_all(
        &self,
        measure: &str,
        peers: &[Peer],
    ) -> Option<(&'static str, &'static str, f64)> {
        let each = self.of_peers(measure, peers);
        let each = each.flat_map(|entry| entry.figures().map(|figure| (entry.work, entry.peer, figure)));
        each.max_by(|(_, _, one), (_, _, other)| one.total_cmp(other))
    }

    /// The works that have a measure, in the order in which they were first done.
    pub(crate) fn works_with(&self, measure: &str) -> Vec<&'static str> {
        let mut works = Vec::new();
        for entry in self.entries.iter().filter(|entry| entry.measure == measure) {
            if !works.contains(&entry.work) {
                works.push(entry.work);
            }
        }
        works
    }

    fn of_peers<'a>(&'a self, measure: &'a str, peers: &'a [Peer]) -> impl Iterator<Item = &'a Entry> {
        let is_theirs = |entry: &Entry| peers.iter().any(|peer| peer.name() == entry.peer);
        self.entries.iter().filter(move |entry| entry.measure == measure && is_theirs(entry))
    }

    /// All of it.
    pub(crate) fn json(&self) -> Value {
        let entry = |entry: &Entry| {
            let Entry { work, peer, measure, .. } = entry;
            let (summary, rounds) = (Summary::of(entry.figures()), entry.figures().collect::<Vec<_>>());
            json!({ "work": work, "peer": peer, "measure": measure,
                    "median": summary.map(|summary| summary.median), "min": summary.map(|summary| summary.least),
                    "max": summary.map(|summary| summary.most), "rounds": rounds })
        };
        self.entries.iter().map(entry).collect()
    }

    fn entry(&self, work: &str, peer: &str, measure: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.is(work, peer, measure))
    }
}

impl Entry {
    fn is(&self, work: &str, peer: &str, measure: &str) -> bool {
        self.work == work && self.peer == peer && self.measure == measure
    }

    fn figures(&self) -> impl Iterator<Item = f64> + '_ {
        self.rounds.iter().map(|(_, figure)| *figure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_within_a_round() {
        let mut results = Results::default();
        // The second round was slow for both.
        for (round, (one, other)) in (1..).zip([(1.0, 2.0), (10.0, 20.0), (1.1, 2.0)]) {
            results.begin_round(round);
            results.add("w", "a", "m", one);
            results.add("w", "b", "m", other);
        }
        assert_eq!(results.median("w", "a", "m"), Some(1.1));
        let summary = Summary { median: 0.5, least: 0.5, most: 0.55, rounds: 3 };
        assert_eq!(results.ratio("w", "m", "a", "b"), Some(summary));
        assert_eq!(results.ratio("w", "m", "a", "c"), None);
        // The second round has no figure of c, and the third is not taken for it.
        results.add("w", "c", "m", 4.4);
        results.begin_round(1);
        results.add("w", "c", "m", 4.0);
        let summary = Summary { median: 0.25, least: 0.25, most: 0.25, rounds: 2 };
        assert_eq!(results.ratio("w", "m", "a", "c"), Some(summary));
        assert_eq!(results.works_with("m"), ["w"]);
        let summary = Summary { median: 2.5, least: 1.0, most: 4.0, rounds: 2 };
        assert_eq!(Summary::of([4.0, 1.0].into_iter()), Some(summary));
        assert_eq!(Summary::of([].into_iter()), None);
    }
}
