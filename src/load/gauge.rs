//! Readings of time and processors before and after something, and what lies between two of them.

use super::clock::{Clock, own_processor_time};
use super::mishap::Mishap;
use super::process::{Process, ProcessorTime};
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
    own: ProcessorTime,
    server: Option<ProcessorTime>,
}

/// What lies between two readings, or in several such stretches.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stretch {
    pub(super) elapsed: Duration,
    /// What the load tester itself had of its processor.
    pub(super) own: ProcessorTime,
    /// What the server had, if it was named.
    pub(super) server: Option<ProcessorTime>,
}

impl Gauge {
    /// Reads all clocks. A server's process that has ended meanwhile tells nothing any more; what the clients saw stays
    /// worth having.
    pub(super) fn read(&self) -> Reading {
        let server = self.server.processor().ok().flatten();
        Reading { at: self.clock.now(), own: own_time(), server }
    }

    /// The bytes of memory that the server holds, if its process was named and tells.
    pub(super) fn server_memory(&self) -> Option<u64> {
        self.server.memory_bytes().ok().flatten()
    }

    /// Looks whether the server's process can be looked at, if it was named.
    ///
    /// # Errors
    /// [`Mishap`] if it cannot.
    pub(super) fn check(&self) -> Result<(), Mishap> {
        self.server.processor()?;
        self.server.memory_bytes()?;
        Ok(())
    }
}

impl Reading {
    /// What lies between an earlier reading and this one.
    pub(super) fn since(&self, earlier: &Reading) -> Stretch {
        Stretch {
            elapsed: self.at.since(earlier.at),
            own: self.own.since(earlier.own),
            server: self.server.zip(earlier.server).map(|(now, before)| now.since(before)),
        }
    }
}

impl Stretch {
    /// Both together.
    pub(super) fn and(self, other: Stretch) -> Stretch {
        Stretch {
            elapsed: self.elapsed + other.elapsed,
            own: self.own.and(other.own),
            server: self.server.zip(other.server).map(|(one, another)| one.and(another)),
        }
    }

    /// So many each second.
    pub(super) fn rate(&self, amount: f64) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { round(amount / seconds, 3) } else { 0.0 }
    }

    /// The part of one processor that this process had or waited for, 0 to 1.
    pub(super) fn own_demand(&self) -> f64 {
        self.share(self.own.used + self.own.waited.unwrap_or_default())
    }

    /// The part of one processor that was used, 0 to 1.
    pub(super) fn share(&self, processor: Duration) -> f64 {
        self.rate(processor.as_secs_f64())
    }
}

/// What this process has had: the clock tells what it used exactly up to now, on every system.
fn own_time() -> ProcessorTime {
    let waited = Process::own().processor().ok().flatten().and_then(|time| time.waited);
    ProcessorTime { used: own_processor_time(), waited }
}

/// To so many digits after the point.
pub(super) fn round(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}
