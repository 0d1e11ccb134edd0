//! How long those wait whose passwords are hashed.

use super::admission::Purpose;
use super::histogram::Histogram;
use crate::Moment;
use crate::auth::hash_queue::Job;
use crate::command::FigureValue;
use std::time::Duration;

/// Upper ends of the classes: from a machine that has nothing else to do to beyond the usual `--hash-wait`.
static CLASSES: [Duration; 10] = [
    Duration::from_millis(5),
    Duration::from_millis(25),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
];

/// Hashes by how long they took from when they were wanted. Nobody waits for a new hash of a known password, so such are
/// left out.
#[derive(Debug)]
pub(super) struct HashTimes {
    until_begun: Histogram<{ CLASSES.len() }>,
    until_done: Histogram<{ CLASSES.len() }>,
}

impl Default for HashTimes {
    fn default() -> HashTimes {
        HashTimes { until_begun: Histogram::new(&CLASSES), until_done: Histogram::new(&CLASSES) }
    }
}

impl HashTimes {
    pub(super) fn note_begun(&mut self, job: &Job<Purpose>, now: Moment) {
        if job.purpose.is_waited_for() {
            self.until_begun.record(now.since(job.asked));
        }
    }

    pub(super) fn note_done(&mut self, job: &Job<Purpose>, now: Moment) {
        if job.purpose.is_waited_for() {
            self.until_done.record(now.since(job.asked));
        }
    }

    pub(super) fn until_begun(&self) -> FigureValue {
        self.until_begun.figure()
    }

    pub(super) fn until_done(&self) -> FigureValue {
        self.until_done.figure()
    }
}
