//! Who is hashed next: a fair queue of jobs, one of them under way.
//!
//! Jobs wait by origin and origins take turns, so that one address with a hundred logins does not hold up the next
//! one. Only the queue's owner knows what a job is for; it decides, job by job, whether one that has come to its turn
//! is still to be started.

use super::derivation::Derivation;
use super::{Origin, Password};
use crate::limits::{HASH_BYTES, SALT_BYTES};
use crate::slots::{Key, Slots};
use std::collections::{HashMap, VecDeque};

/// Names a job that waits or runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JobId(Key);

/// A hash that is wanted, and what for.
#[derive(Debug)]
pub(crate) struct Job<T> {
    pub(crate) origin: Origin,
    pub(crate) password: Password,
    pub(crate) salt: [u8; SALT_BYTES],
    pub(crate) rounds: u32,
    pub(crate) purpose: T,
}

struct Running<T> {
    id: Key,
    derivation: Derivation,
    job: Job<T>,
}

#[derive(Default)]
struct Line {
    jobs: VecDeque<Key>,
    /// Of the jobs that were not cancelled.
    live: u64,
    rounds: u64,
}

/// A job that is done, and its hash.
pub(crate) type Finished<T> = (Job<T>, [u8; HASH_BYTES]);

/// Jobs that wait, in turn by origin, and the one that runs.
pub(crate) struct HashQueue<T> {
    waiting: Slots<Job<T>>,
    lines: HashMap<Origin, Line>,
    turns: VecDeque<Origin>,
    running: Option<Running<T>>,
}

impl<T> Default for HashQueue<T> {
    fn default() -> Self {
        HashQueue { waiting: Slots::default(), lines: HashMap::new(), turns: VecDeque::new(), running: None }
    }
}

impl<T> HashQueue<T> {
    pub(crate) fn push(&mut self, job: Job<T>) -> JobId {
        let (origin, rounds) = (job.origin, u64::from(job.rounds));
        let key = self.waiting.insert(job);
        let line = self.lines.entry(origin).or_insert_with(|| {
            self.turns.push_back(origin);
            Line::default()
        });
        line.jobs.push_back(key);
        line.live += 1;
        line.rounds += rounds;
        JobId(key)
    }

    /// Drops a job that waits or runs; one that is done is none any more.
    pub(crate) fn cancel(&mut self, JobId(key): JobId) {
        if let Some(job) = self.waiting.remove(key) {
            self.discount(&job);
        } else if self.running.as_ref().is_some_and(|running| running.id == key) {
            self.running = None;
        }
    }

    /// The job whose turn it is, to be [`start`](HashQueue::start)ed or dropped.
    pub(crate) fn take_next(&mut self) -> Option<(JobId, Job<T>)> {
        while let Some(origin) = self.turns.pop_front() {
            let Some(line) = self.lines.get_mut(&origin) else { continue };
            let next = std::iter::from_fn(|| line.jobs.pop_front())
                .find_map(|key| self.waiting.remove(key).map(|job| (JobId(key), job)));
            if line.jobs.is_empty() {
                self.lines.remove(&origin);
            } else {
                self.turns.push_back(origin);
            }
            if let Some((id, job)) = next {
                self.discount(&job);
                return Some((id, job));
            }
        }
        None
    }

    /// Begins a job that was taken, when none is under way.
    pub(crate) fn start(&mut self, (JobId(id), job): (JobId, Job<T>)) {
        debug_assert!(self.running.is_none());
        let derivation = Derivation::new(&job.password, &job.salt, job.rounds);
        self.running = Some(Running { id, derivation, job });
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Whether there is nothing to do.
    pub(crate) fn is_empty(&self) -> bool {
        self.running.is_none() && self.waiting.is_empty()
    }

    /// Jobs that wait or run.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + usize::from(self.running.is_some())
    }

    /// Advances the job under way by at most `most` rounds; says how many were done, and gives the job and its hash
    /// when it is finished.
    pub(crate) fn advance(&mut self, most: u32) -> (u32, Option<Finished<T>>) {
        let Some(running) = &mut self.running else { return (0, None) };
        let done = running.derivation.advance(most);
        if running.derivation.rounds_left() > 0 {
            return (done, None);
        }
        let finished = self.running.take().map(|running| {
            let hash = running.derivation.hash();
            (running.job, hash)
        });
        (done, finished)
    }

    /// Rounds that will be done before a job that `origin` hands in now is started, if nobody else comes: its own
    /// line, and as many jobs of each other line as turns pass meanwhile.
    pub(crate) fn rounds_ahead(&self, origin: Origin) -> u64 {
        let own = self.lines.get(&origin);
        let turns = own.map_or(0, |line| line.live) + 1;
        let others = self.turns.iter().filter(|other| **other != origin).filter_map(|other| {
            let line = self.lines.get(other).filter(|line| line.live > 0)?;
            Some(line.rounds * turns.min(line.live) / line.live)
        });
        let running = self.running.as_ref().map_or(0, |running| u64::from(running.derivation.rounds_left()));
        running + own.map_or(0, |line| line.rounds) + others.sum::<u64>()
    }

    fn discount(&mut self, job: &Job<T>) {
        if let Some(line) = self.lines.get_mut(&job.origin) {
            line.live -= 1;
            line.rounds -= u64::from(job.rounds);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(address: [u8; 4], purpose: u32) -> Job<u32> {
        Job {
            origin: Origin::of(address.into()),
            password: Password::new(b"secret"),
            salt: [0; SALT_BYTES],
            rounds: 10,
            purpose,
        }
    }

    const CROWD: [u8; 4] = [192, 0, 2, 1];
    const LONER: [u8; 4] = [192, 0, 2, 2];

    #[test]
    fn origins_take_turns() {
        let mut queue = HashQueue::default();
        for n in 0..3 {
            queue.push(job(CROWD, n));
        }
        queue.push(job(LONER, 100));
        queue.push(job(LONER, 101));
        let order: Vec<u32> = std::iter::from_fn(|| queue.take_next().map(|(_, job)| job.purpose)).collect();
        assert_eq!(order, [0, 100, 1, 101, 2]);
        assert!(queue.is_empty() && queue.lines.is_empty() && queue.turns.is_empty());
    }

    #[test]
    fn a_cancelled_job_is_never_started_and_leaves_nothing() {
        let mut queue = HashQueue::default();
        let first = queue.push(job(CROWD, 0));
        let second = queue.push(job(CROWD, 1));
        queue.cancel(first);
        assert_eq!(queue.rounds_ahead(Origin::of(CROWD.into())), 10);
        let next = queue.take_next().unwrap();
        assert_eq!(next.1.purpose, 1);
        queue.start(next);
        queue.cancel(second);
        assert!(queue.is_empty() && queue.take_next().is_none());
        assert!(queue.lines.is_empty() && queue.turns.is_empty());
    }

    #[test]
    fn the_wait_is_the_rounds_of_the_turns_before() {
        let mut queue = HashQueue::default();
        let (crowd, loner) = (Origin::of(CROWD.into()), Origin::of(LONER.into()));
        assert_eq!(queue.rounds_ahead(loner), 0);
        for n in 0..4 {
            queue.push(job(CROWD, n));
        }
        assert_eq!(queue.rounds_ahead(loner), 10, "one job of the crowd, then the loner's");
        assert_eq!(queue.rounds_ahead(crowd), 40);
        let next = queue.take_next().unwrap();
        queue.start(next);
        queue.advance(4);
        assert_eq!(queue.rounds_ahead(loner), 5 + 10, "the first round is done at the start");
    }

    #[test]
    fn a_job_is_finished_with_its_hash() {
        let mut queue = HashQueue::default();
        queue.push(job(LONER, 7));
        let next = queue.take_next().unwrap();
        queue.start(next);
        assert!(matches!(queue.advance(8), (8, None)));
        let (done, finished) = queue.advance(8);
        let (job, hash) = finished.unwrap();
        assert_eq!((done, job.purpose), (1, 7));
        assert_eq!(hash, super::super::hash_password(&job.password, job.salt, job.rounds).hash);
    }
}
