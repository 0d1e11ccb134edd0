//! How long the turns were of whoever calls the engine: everybody waits for the longest.

use super::histogram::Histogram;
use crate::command::FigureValue;
use std::time::Duration;

/// Upper ends of the classes.
static CLASSES: [Duration; 7] = [
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(20),
];

/// Turns by their length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turns(Histogram<{ CLASSES.len() }>);

impl Default for Turns {
    fn default() -> Turns {
        Turns(Histogram::new(&CLASSES))
    }
}

impl Turns {
    #[inline]
    pub(super) fn record(&mut self, took: Duration) {
        self.0.record(took);
    }

    /// For a program.
    pub(super) fn figure(&self) -> FigureValue {
        self.0.figure()
    }

    /// For the person at the console.
    pub(super) fn summary(&self) -> String {
        let shown = |took: Duration| format!("{} ms", took.as_micros() as f64 / 1000.0);
        let longest_end = CLASSES.last().copied().unwrap_or_default();
        let class = |end: Option<Duration>| match end {
            Some(end) => format!("up to {}", shown(end)),
            None => format!("beyond {}", shown(longest_end)),
        };
        let counted = self.0.classes().filter(|(_, count)| *count > 0);
        let classes: Vec<String> = counted.map(|(end, count)| format!("{count} {}", class(end))).collect();
        let longest = shown(self.0.longest());
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
            turns.summary(),
            "turns without syncs: 2 up to 0.1 ms, 1 up to 0.25 ms, 2 up to 5 ms, 1 up to 20 ms, \
             1 beyond 20 ms; the longest 1200 ms"
        );
    }
}
