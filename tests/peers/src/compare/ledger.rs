//! What was measured: for each work, peer and measure a figure a round; and what is made of them.

use serde_json::{Value, json};

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
pub(crate) struct Ledger(Vec<Entry>);

impl Ledger {
    /// Adds a round's figure.
    pub(crate) fn add(&mut self, work: &'static str, peer: &'static str, measure: &'static str, figure: f64) {
        match self.0.iter_mut().find(|entry| entry.is(work, peer, measure)) {
            Some(entry) => entry.rounds.push(figure),
            None => self.0.push(Entry { work, peer, measure, rounds: vec![figure] }),
        }
    }

    /// The median of the rounds, if there was one.
    pub(crate) fn median(&self, work: &str, peer: &str, measure: &str) -> Option<f64> {
        self.rounds(work, peer, measure).and_then(|rounds| median(rounds.iter().copied()))
    }

    /// The median of what a peer's figure is of another's in the same round: what slows the machine down for a while
    /// slows both.
    pub(crate) fn ratio(&self, work: &str, measure: &str, peer: &str, base: &str) -> Option<f64> {
        let (figures, bases) = (self.rounds(work, peer, measure)?, self.rounds(work, base, measure)?);
        median(figures.iter().zip(bases).map(|(figure, base)| figure / base))
    }

    /// The median of a measure over all works, peers and rounds.
    pub(crate) fn median_of_all(&self, measure: &str) -> Option<f64> {
        let entries = self.0.iter().filter(|entry| entry.measure == measure);
        median(entries.flat_map(|entry| entry.rounds.iter().copied()))
    }

    /// All of it.
    pub(crate) fn json(&self) -> Value {
        let entry = |entry: &Entry| {
            let Entry { work, peer, measure, rounds } = entry;
            json!({ "work": work, "peer": peer, "measure": measure,
                    "median": median(rounds.iter().copied()), "rounds": rounds })
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

fn median(figures: impl Iterator<Item = f64>) -> Option<f64> {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    let upper = *figures.get(middle)?;
    Some(if figures.len() % 2 == 1 { upper } else { (figures[middle - 1] + upper) / 2.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_within_a_round() {
        let mut ledger = Ledger::default();
        // The second round was slow for both.
        for (one, other) in [(1.0, 2.0), (10.0, 20.0), (1.1, 2.0)] {
            ledger.add("w", "a", "m", one);
            ledger.add("w", "b", "m", other);
        }
        assert_eq!(ledger.median("w", "a", "m"), Some(1.1));
        assert_eq!(ledger.ratio("w", "m", "a", "b"), Some(0.5));
        assert_eq!(ledger.ratio("w", "m", "a", "c"), None);
        assert_eq!(median([1.0, 4.0].into_iter()), Some(2.5));
        assert_eq!(median([].into_iter()), None);
    }
}
