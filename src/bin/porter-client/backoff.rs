//! How long to wait before connecting again, so that a server that comes back is not run over by all its clients at
//! once: exponential pauses with full jitter.
//!
//! This module must not know the clock or the random source: it is given its draws.

use porter::limits::{RECONNECT_ASKED_MOST, RECONNECT_FIRST, RECONNECT_MOST};
use std::time::Duration;

/// The pauses of one series of tries.
#[derive(Debug)]
pub(crate) struct Backoff {
    ceiling: Duration,
}

impl Backoff {
    pub(crate) fn new() -> Backoff {
        Backoff { ceiling: RECONNECT_FIRST }
    }

    /// The next pause. `draw` is a uniform random number; `asked` are the seconds that the server asked for, and
    /// the pause is never shorter than that.
    pub(crate) fn pause(&mut self, draw: u32, asked: Option<u64>) -> Duration {
        let jittered = self.ceiling.mul_f64(f64::from(draw) / f64::from(u32::MAX));
        self.ceiling = (self.ceiling * 2).min(RECONNECT_MOST);
        let asked = Duration::from_secs(asked.unwrap_or(0)).min(RECONNECT_ASKED_MOST);
        asked + jittered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_most_and_fill_their_range() {
        let (mut lowest, mut middle, mut highest) = (Backoff::new(), Backoff::new(), Backoff::new());
        let mut ceiling = RECONNECT_FIRST;
        for _ in 0..12 {
            assert_eq!(lowest.pause(0, None), Duration::ZERO);
            let half = middle.pause(u32::MAX / 2, None).as_secs_f64();
            assert!((half - ceiling.as_secs_f64() / 2.0).abs() < 1e-6, "{half}");
            assert_eq!(highest.pause(u32::MAX, None), ceiling);
            ceiling = (ceiling * 2).min(RECONNECT_MOST);
        }
        assert_eq!(ceiling, RECONNECT_MOST);
    }

    #[test]
    fn what_the_server_asks_for_is_honoured_and_bounded() {
        let mut backoff = Backoff::new();
        assert_eq!(backoff.pause(0, Some(7)), Duration::from_secs(7));
        assert!(backoff.pause(u32::MAX, Some(7)) > Duration::from_secs(7));
        assert_eq!(backoff.pause(0, Some(u64::MAX)), RECONNECT_ASKED_MOST);
    }
}
