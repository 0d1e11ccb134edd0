//! Readings of time and processors before and after something, and what lies between two of them.

use super::clock::{Clock, own_processor_time};
use super::process::Process;
use super::stats::Mishap;
use crate::Moment;
use std::time::Duration;

/// What readings are taken with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gauge {
    pub(super) clock: Clock,
    pub(super) server: Process,
}

/// How far the clocks were.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    at: Moment,
    own_processor: Duration,
    server_processor: Option<Duration>,
}

/// What lies between two readings, or in several such stretches.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stretch {
    pub(super) elapsed: Duration,
    /// Of a processor's time, the load tester's own.
    pub(super) own_processor: Duration,
    /// Of a processor's time, the server's, if it was named.
    pub(super) server_processor: Option<Duration>,
}

impl Gauge {
    /// Reads all clocks.
    ///
    /// # Errors
    /// [`Mishap`] if the server's process cannot be looked at.
    pub(super) fn read(&self) -> Result<Reading, Mishap> {
        Ok(Reading {
            at: self.clock.now(),
            own_processor: own_processor_time(),
            server_processor: self.server.processor()?,
        })
    }
}

impl Reading {
    /// What lies between an earlier reading and this one.
    pub(super) fn since(&self, earlier: &Reading) -> Stretch {
        let server = self.server_processor.zip(earlier.server_processor);
        Stretch {
            elapsed: self.at.since(earlier.at),
            own_processor: self.own_processor.saturating_sub(earlier.own_processor),
            server_processor: server.map(|(now, before)| now.saturating_sub(before)),
        }
    }
}

impl Stretch {
    /// Both together.
    pub(super) fn and(self, other: Stretch) -> Stretch {
        let sum = |a: Option<Duration>, b: Option<Duration>| match (a, b) {
            (Some(a), Some(b)) => Some(a + b),
            (one, other) => one.or(other),
        };
        Stretch {
            elapsed: self.elapsed + other.elapsed,
            own_processor: self.own_processor + other.own_processor,
            server_processor: sum(self.server_processor, other.server_processor),
        }
    }

    /// So many each second.
    pub(super) fn rate(&self, amount: f64) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { round(amount / seconds, 3) } else { 0.0 }
    }

    /// The part of one processor that was used, 0 to 1.
    pub(super) fn share(&self, processor: Duration) -> f64 {
        self.rate(processor.as_secs_f64())
    }
}

/// To so many digits after the point.
pub(super) fn round(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}
