//! Who is hashed next: a fair queue of jobs, some of them under way side by side.
//!
//! Jobs wait by origin and origins take turns, so that one address with a hundred logins does not hold up the next
//! one: an origin that has no job under way gets its first before others get on with their second. Only the queue's owner
//! knows what a job is for; it decides, job by job, whether one that has come to its turn is still to be started.
//!
//! How long a new job would wait is estimated from running totals, in a time that does not depend on how many origins
//! wait. What counts are the jobs that come up in as many rounds of turns as its own origin needs, taken to cost what all
//! others do on average.

mod lengths;

use super::derivation::{self, Derivation};
use super::lane_costs::LaneCosts;
use super::{Origin, Password};
use crate::Moment;
use crate::limits::{HASH_BYTES, SALT_BYTES};
use crate::slots::{Key, Slots};
use lengths::Lengths;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};

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
    /// When it was handed in.
    pub(crate) asked: Moment,
    pub(crate) purpose: T,
}

struct Started<T> {
    id: Key,
    /// How many of the same origin come before it.
    rank: usize,
    derivation: Derivation,
    job: Job<T>,
}

#[derive(Default)]
struct OriginQueue {
    jobs: VecDeque<Key>,
    /// Of the jobs that were not cancelled.
    live: u64,
    rounds: u64,
}

/// A job that is done, and its hash.
pub(crate) type Finished<T> = (Job<T>, [u8; HASH_BYTES]);

/// Jobs that wait, in turn by origin, and those that were started.
pub(crate) struct HashQueue<T, S = RandomState> {
    waiting: Slots<Job<T>>,
    /// Rounds of all that wait.
    waiting_rounds: u64,
    lines: HashMap<Origin, OriginQueue, S>,
    lengths: Lengths,
    turns: VecDeque<Origin>,
    /// In the order in which they get a lane; more than there are lanes if origins without any came when all were taken.
    started: Vec<Started<T>>,
    lanes: usize,
    costs: LaneCosts,
}

impl<T> HashQueue<T> {
    /// A queue on a machine where hashes side by side cost so much.
    pub(crate) fn new(costs: LaneCosts) -> HashQueue<T> {
        HashQueue::with_hasher(costs, RandomState::new())
    }
}

impl<T, S: BuildHasher> HashQueue<T, S> {
    fn with_hasher(costs: LaneCosts, hasher: S) -> HashQueue<T, S> {
        HashQueue {
            waiting: Slots::default(),
            waiting_rounds: 0,
            lines: HashMap::with_hasher(hasher),
            lengths: Lengths::default(),
            turns: VecDeque::new(),
            started: Vec::new(),
            lanes: costs.lanes(),
            costs,
        }
    }

    pub(crate) fn push(&mut self, job: Job<T>) -> JobId {
        let (origin, rounds) = (job.origin, u64::from(job.rounds));
        let key = self.waiting.insert(job);
        let line = self.lines.entry(origin).or_insert_with(|| {
            self.turns.push_back(origin);
            OriginQueue::default()
        });
        line.jobs.push_back(key);
        self.lengths.lengthen(line.live);
        line.live += 1;
        line.rounds += rounds;
        self.waiting_rounds += rounds;
        JobId(key)
    }

    /// Drops a job that waits or is under way, and gives it back if it was under way; one that is done is none any more.
    pub(crate) fn cancel(&mut self, JobId(key): JobId) -> Option<Job<T>> {
        if let Some(job) = self.waiting.remove(key) {
            self.discount(&job);
            return None;
        }
        let at = self.started.iter().position(|started| started.id == key)?;
        let Started { job, .. } = self.started.remove(at);
        self.arrange();
        Some(job)
    }

    /// The job whose turn it is, to be [`start`](HashQueue::start)ed or dropped; `None` if no lane is free for any that
    /// `may_start`. An origin that may not keeps its turn.
    pub(crate) fn take_next(
        &mut self,
        may_start: impl Fn(&HashQueue<T, S>, Origin) -> bool,
    ) -> Option<(JobId, Job<T>)> {
        loop {
            let free = self.started.len() < self.lanes;
            if !free && self.origins_started() >= self.lanes {
                return None;
            }
            // Who has to be passed over has something under way, and so the search ends soon.
            let turn = self.turns.iter().position(|origin| {
                (free || self.started_of(*origin).next().is_none()) && may_start(self, *origin)
            })?;
            let origin = self.turns.remove(turn)?;
            let Some(line) = self.lines.get_mut(&origin) else { continue };
            let next = std::iter::from_fn(|| line.jobs.pop_front())
                .find_map(|key| self.waiting.remove(key).map(|job| (JobId(key), job)));
            let is_over = line.jobs.is_empty();
            if let Some((_, job)) = &next {
                self.discount(job);
            }
            if is_over {
                self.lines.remove(&origin);
            } else {
                self.turns.push_back(origin);
            }
            if next.is_some() {
                return next;
            }
        }
    }

    /// Begins a job that was taken. If all lanes are taken, an origin that has several goes on with one less.
    pub(crate) fn start(&mut self, (JobId(id), job): (JobId, Job<T>)) {
        let derivation = Derivation::new(&job.password, &job.salt, job.rounds);
        self.started.push(Started { id, rank: 0, derivation, job });
        self.arrange();
    }

    /// The jobs of an origin that are under way.
    pub(crate) fn started_of(&self, origin: Origin) -> impl Iterator<Item = &Job<T>> {
        self.started.iter().map(|started| &started.job).filter(move |job| job.origin == origin)
    }

    /// Whether there is nothing to do.
    pub(crate) fn is_empty(&self) -> bool {
        self.started.is_empty() && self.waiting.is_empty()
    }

    /// Jobs that wait or are under way.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + self.started.len()
    }

    /// Advances the jobs under way for as long as `most` rounds of one alone take, or until the first is finished; says
    /// how many lone rounds that was, and gives the finished jobs and their hashes.
    pub(crate) fn advance(&mut self, most: u32) -> (u32, Vec<Finished<T>>) {
        let at_once = self.started.len().min(self.lanes);
        let most_each = self.costs.rounds(at_once, most);
        let lanes = &mut self.started[..at_once];
        let rounds = derivation::advance(lanes, |started| &mut started.derivation, most_each);
        let lone_rounds = self.costs.lone_rounds(at_once, rounds.into());
        let finished: Vec<Finished<T>> = self
            .started
            .extract_if(.., |started| started.derivation.rounds_left() == 0)
            .map(|Started { derivation, job, .. }| (job, derivation.hash()))
            .collect();
        if !finished.is_empty() {
            self.arrange();
        }
        (u32::try_from(lone_rounds).unwrap_or(u32::MAX).min(most), finished)
    }

    /// An estimate of the lone rounds that will be done before a job that `origin` hands in now is started, if nobody else comes and no
    /// more than `own_most` jobs of this origin may be under way at once.
    pub(crate) fn lone_rounds_ahead(&self, origin: Origin, own_most: usize) -> u64 {
        let own = self
            .lines
            .get(&origin)
            .map_or(Ahead::default(), |line| Ahead { jobs: line.live, rounds: line.rounds });
        let own_started = self.started.iter().filter(|started| started.job.origin == origin);
        let own_wait = own.rounds_until_free(own_most.min(self.lanes), own_started);
        let rounds = if own_wait == 0 && self.has_room_for_a_stranger(origin) {
            0
        } else {
            let all = own.and(self.others_ahead(own));
            own_wait.max(all.rounds_until_free(self.lanes, self.started.iter()))
        };
        self.costs.lone_rounds(self.lanes.min(self.len()).max(1), rounds)
    }

    /// Of each other line, as many jobs as turns pass until all of an origin's own are started.
    fn others_ahead(&self, own: Ahead) -> Ahead {
        let jobs = self.lengths.jobs(own.jobs + 1) - own.jobs;
        let others =
            Ahead { jobs: self.waiting.len() as u64 - own.jobs, rounds: self.waiting_rounds - own.rounds };
        Ahead { jobs, rounds: others.mean().saturating_mul(jobs) }
    }

    fn discount(&mut self, job: &Job<T>) {
        if let Some(line) = self.lines.get_mut(&job.origin) {
            self.lengths.shorten(line.live);
            line.live -= 1;
            line.rounds -= u64::from(job.rounds);
            self.waiting_rounds -= u64::from(job.rounds);
        }
    }

    /// Puts the first job of each origin before all second ones, and these before the third: lanes are for those in
    /// front.
    fn arrange(&mut self) {
        let mut ranks: HashMap<Origin, usize> = HashMap::new();
        for started in &mut self.started {
            let next = ranks.entry(started.job.origin).or_default();
            started.rank = *next;
            *next += 1;
        }
        self.started.sort_by_key(|started| started.rank);
    }

    fn origins_started(&self) -> usize {
        self.started.iter().filter(|started| started.rank == 0).count()
    }

    /// Whether an origin that has nothing here yet would get a lane at once, and if it were another's.
    fn has_room_for_a_stranger(&self, origin: Origin) -> bool {
        let is_stranger = |origin: Origin| self.started_of(origin).next().is_none();
        let before = self.turns.iter().filter(|other| is_stranger(**other)).take(self.lanes).count();
        is_stranger(origin)
            && !self.lines.contains_key(&origin)
            && self.origins_started() + before < self.lanes
    }
}

/// Jobs that will be started before another.
#[derive(Clone, Copy, Default)]
struct Ahead {
    jobs: u64,
    rounds: u64,
}

impl Ahead {
    fn and(self, other: Ahead) -> Ahead {
        Ahead { jobs: self.jobs + other.jobs, rounds: self.rounds + other.rounds }
    }

    /// What one of them has on average.
    fn mean(self) -> u64 {
        self.rounds / self.jobs.max(1)
    }

    /// Rounds until all of these are started on `lanes` lanes, some of them taken, and one lane more is free.
    fn rounds_until_free<'a, T: 'a>(
        self,
        lanes: usize,
        started: impl Iterator<Item = &'a Started<T>>,
    ) -> u64 {
        let left: Vec<u64> = started.map(|started| u64::from(started.derivation.rounds_left())).collect();
        let free = (lanes as u64).saturating_sub(left.len() as u64);
        if self.jobs < free {
            return 0;
        }
        // Those that find a free lane are not waited for, but the first of them to be done.
        let mean = self.mean();
        let first_done = left.into_iter().chain((free > 0).then_some(mean)).min().unwrap_or(0);
        first_done + mean * (self.jobs - free) / lanes as u64
    }
}

#[cfg(test)]
mod tests;
