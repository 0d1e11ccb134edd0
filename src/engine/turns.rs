//! How long the turns were of whoever calls the engine: everybody waits for the longest.

use crate::command::FigureValue;
use std::time::Duration;

/// Upper ends of the classes.
const CLASSES: [Duration; 7] = [
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(20),
];

/// Turns by their length.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Turns {
    counts: [u64; CLASSES.len() + 1],
    longest: Duration,
    together: Duration,
}

impl Turns {
    #[inline]
    pub(super) fn record(&mut self, took: Duration) {
        let class = CLASSES.iter().position(|end| took <= *end).unwrap_or(CLASSES.len());
        self.counts[class] += 1;
        self.together += took;
        self.longest = self.longest.max(took);
    }

    /// For a program.
    pub(super) fn figure(&self) -> FigureValue {
        let ends = CLASSES.iter().map(Duration::as_secs_f64).chain([f64::INFINITY]);
        FigureValue::Histogram { classes: ends.zip(self.counts).collect(), sum: self.together.as_secs_f64() }
    }

    /// For the person at the console.
    pub(super) fn told(&self) -> String {
        let shown = |took: Duration| format!("{} ms", took.as_micros() as f64 / 1000.0);
        let ends = CLASSES.iter().map(|end| format!("up to {}", shown(*end)));
        let beyond = CLASSES.last().map(|end| format!("beyond {}", shown(*end)));
        let classes: Vec<String> = ends
            .chain(beyond)
            .zip(self.counts)
            .filter(|(_, count)| *count > 0)
            .map(|(class, count)| format!("{count} {class}"))
            .collect();
        let longest = shown(self.longest);
        format!("turns without syncs: {}; the longest {longest}", classes.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_counted_by_their_length() {
        let mut turns = Turns::default();
        for microseconds in [0, 100, 101, 4_999, 5_000, 5_001, 1_200_000] {
            turns.record(Duration::from_micros(microseconds));
        }
        assert_eq!(
            turns.told(),
            "turns without syncs: 2 up to 0.1 ms, 1 up to 0.25 ms, 2 up to 5 ms, 1 up to 20 ms, \
             1 beyond 20 ms; the longest 1200 ms"
        );
    }
}
