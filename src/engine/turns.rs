//! How long the turns were of whoever calls the engine: everybody waits for the longest.

use std::time::Duration;

/// Upper ends of the classes, in microseconds.
const CLASSES: [u64; 7] = [100, 250, 500, 1_000, 2_000, 5_000, 20_000];

/// Turns by their length.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Turns {
    counts: [u64; CLASSES.len() + 1],
    longest: Duration,
}

impl Turns {
    #[inline]
    pub(super) fn record(&mut self, took: Duration) {
        let microseconds = u64::from(took.subsec_micros()) + took.as_secs() * 1_000_000;
        let class = CLASSES.iter().position(|end| microseconds <= *end).unwrap_or(CLASSES.len());
        self.counts[class] += 1;
        self.longest = self.longest.max(took);
    }

    /// For the person at the console.
    pub(super) fn told(&self) -> String {
        let shown = |microseconds: u64| format!("{} ms", microseconds as f64 / 1000.0);
        let ends = CLASSES.iter().map(|end| format!("up to {}", shown(*end)));
        let beyond = CLASSES.last().map(|end| format!("beyond {}", shown(*end)));
        let classes: Vec<String> = ends
            .chain(beyond)
            .zip(self.counts)
            .filter(|(_, count)| *count > 0)
            .map(|(class, count)| format!("{count} {class}"))
            .collect();
        let longest = shown(self.longest.as_micros() as u64);
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
