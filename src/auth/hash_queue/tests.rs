//! Whose turn it is, and who makes room for whom.

use super::*;
use crate::auth::lanes::LANE_WIDTHS;
use std::cell::Cell;
use std::hash::DefaultHasher;
use std::rc::Rc;
use std::time::Duration;

fn job(address: [u8; 4], purpose: u32) -> Job<u32> {
    Job {
        origin: Origin::of(address.into()),
        password: Password::new(b"secret"),
        salt: [0; SALT_BYTES],
        rounds: 10,
        asked: Moment::START,
        purpose,
    }
}

const CROWD: [u8; 4] = [192, 0, 2, 1];
const LONER: [u8; 4] = [192, 0, 2, 2];
const THIRD: [u8; 4] = [192, 0, 2, 3];

/// A queue on a machine where this many lanes cost no more than one.
fn queue(lanes: usize) -> HashQueue<u32> {
    HashQueue::new(LaneCosts::new(
        LANE_WIDTHS.map(|width| Duration::from_millis(if width <= lanes { 1 } else { 100 })),
    ))
}

/// Starts what may be started, and says what for.
fn start<S: BuildHasher>(queue: &mut HashQueue<u32, S>) -> Vec<u32> {
    let mut purposes = Vec::new();
    while let Some(next) = queue.take_next(|_, _| true) {
        purposes.push(next.1.purpose);
        queue.start(next);
    }
    purposes
}

/// What has a lane.
fn advancing(queue: &mut HashQueue<u32>) -> Vec<u32> {
    let left = |queue: &HashQueue<u32>| -> HashMap<u32, u32> {
        queue.started.iter().map(|one| (one.job.purpose, one.derivation.rounds_left())).collect()
    };
    let before = left(queue);
    let (done, finished) = queue.advance(1);
    assert!(done == 1 && finished.is_empty());
    let after = left(queue);
    let mut advanced: Vec<u32> = before.into_keys().collect();
    advanced.retain(|purpose| after[purpose] < 9);
    advanced.sort();
    advanced
}

#[test]
fn origins_take_turns() {
    let mut queue = queue(1);
    for n in 0..3 {
        queue.push(job(CROWD, n));
    }
    queue.push(job(LONER, 100));
    queue.push(job(LONER, 101));
    let next = || queue.take_next(|_, _| true).map(|(_, job)| job.purpose);
    let order: Vec<u32> = std::iter::from_fn(next).collect();
    assert_eq!(order, [0, 100, 1, 101, 2]);
    assert!(queue.is_empty() && queue.lines.is_empty() && queue.turns.is_empty());
}

#[test]
fn an_origin_that_may_not_start_keeps_its_turn() {
    let mut queue = queue(4);
    queue.push(job(CROWD, 0));
    queue.push(job(LONER, 1));
    let crowd = Origin::of(CROWD.into());
    assert_eq!(queue.take_next(|_, origin| origin != crowd).unwrap().1.purpose, 1);
    assert!(queue.take_next(|_, origin| origin != crowd).is_none());
    assert_eq!(queue.take_next(|_, _| true).unwrap().1.purpose, 0);
}

#[test]
fn a_cancelled_job_is_never_started_and_leaves_nothing() {
    let mut queue = queue(1);
    let first = queue.push(job(CROWD, 0));
    let second = queue.push(job(CROWD, 1));
    queue.cancel(first);
    assert_eq!(queue.lone_rounds_ahead(Origin::of(CROWD.into()), 9), 10);
    assert_eq!(start(&mut queue), [1]);
    queue.cancel(second);
    assert!(queue.is_empty() && start(&mut queue).is_empty());
    assert!(queue.lines.is_empty() && queue.turns.is_empty());
}

/// Whoever is there first with many jobs, each origin has a lane before another has its second.
#[test]
fn a_crowd_makes_room_for_others_and_goes_on_after_them() {
    let mut queue = queue(2);
    for n in 0..4 {
        queue.push(job(CROWD, n));
    }
    assert_eq!(start(&mut queue), [0, 1]);
    let loner = queue.push(job(LONER, 100));
    assert_eq!(start(&mut queue), [100]);
    assert_eq!(advancing(&mut queue), [0, 100]);
    queue.push(job(THIRD, 200));
    queue.push(job(LONER, 101));
    assert!(start(&mut queue).is_empty(), "both lanes have an origin");
    queue.cancel(loner);
    assert_eq!(
        start(&mut queue),
        [200],
        "the crowd's second gives way again, and the loner has had its turn"
    );
    queue.cancel(JobId(queue.started.iter().find(|one| one.job.purpose == 200).unwrap().id));
    assert_eq!(start(&mut queue), [101]);
    queue.cancel(JobId(queue.started.iter().find(|one| one.job.purpose == 101).unwrap().id));
    assert_eq!(advancing(&mut queue), [0, 1]);
}

#[test]
fn the_wait_is_the_rounds_of_the_turns_before() {
    let mut queue = queue(1);
    let (crowd, loner) = (Origin::of(CROWD.into()), Origin::of(LONER.into()));
    assert_eq!(queue.lone_rounds_ahead(loner, 9), 0);
    for n in 0..4 {
        queue.push(job(CROWD, n));
    }
    assert_eq!(queue.lone_rounds_ahead(loner, 9), 10, "one job of the crowd, then the loner's");
    assert_eq!(queue.lone_rounds_ahead(crowd, 9), 40);
    assert_eq!(start(&mut queue), [0]);
    queue.advance(4);
    assert_eq!(queue.lone_rounds_ahead(loner, 9), 5 + 10, "the first round is done at the start");
}

#[test]
fn lanes_shorten_the_wait() {
    let mut queue = queue(4);
    let (crowd, loner) = (Origin::of(CROWD.into()), Origin::of(LONER.into()));
    for n in 0..3 {
        queue.push(job(CROWD, n));
    }
    assert_eq!(queue.lone_rounds_ahead(crowd, 9), 0, "the last lane");
    assert_eq!(
        queue.lone_rounds_ahead(crowd, 2),
        10 + 10 / 2,
        "only two at once: one before it finds none free"
    );
    for n in 3..12 {
        queue.push(job(CROWD, n));
    }
    start(&mut queue);
    queue.advance(5);
    assert_eq!(queue.lone_rounds_ahead(crowd, 9), 4 + 80 / 4);
    assert_eq!(queue.lone_rounds_ahead(loner, 9), 0, "the crowd makes room");
    let [second, third, fourth] = [[192, 0, 2, 9], [192, 0, 2, 10], [192, 0, 2, 11]];
    for address in [second, third, fourth] {
        queue.push(job(address, 0));
    }
    assert!(queue.lone_rounds_ahead(loner, 9) > 0, "four origins were there before");
}

/// Counts how often a line is looked for.
#[derive(Clone, Default)]
struct Counting(Rc<Cell<usize>>);

impl BuildHasher for Counting {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        self.0.set(self.0.get() + 1);
        DefaultHasher::new()
    }
}

/// The story: every login looked at each address that waited, so that a crowd of addresses paid for its size twice.
#[test]
fn what_a_login_costs_does_not_grow_with_the_addresses_that_wait() {
    let looks = |addresses: u32| {
        let counting = Counting::default();
        let mut queue = HashQueue::with_hasher(LaneCosts::default(), counting.clone());
        let crowd = |n: u32| (0x0a00_0000 + n).to_be_bytes();
        for n in 0..addresses {
            queue.push(job(crowd(n), n));
        }
        let left: Vec<JobId> = (0..50).map(|n| queue.push(job(crowd(n * 2), n))).collect();
        start(&mut queue);
        counting.0.set(0);
        for loner in 0..10 {
            let origin = Origin::of([192, 0, 2, loner].into());
            assert!(queue.lone_rounds_ahead(origin, 9) > u64::from(addresses) / 2);
            let next = queue.take_next(|_, _| true);
            assert!(next.is_none(), "all lanes are taken");
            let _ = queue.cancel(left[usize::from(loner)]);
        }
        counting.0.get()
    };
    let few = looks(100);
    assert_eq!(looks(10_000), few);
    assert!(few <= 50, "{few}");
}

#[test]
fn a_lone_round_of_several_hashes_is_fewer_rounds_of_each() {
    let mut queue = HashQueue::new(LaneCosts::new([2, 2, 3, 100, 100, 100].map(Duration::from_millis)));
    let jobs: Vec<JobId> = (0..3).map(|n| queue.push(job(CROWD, n))).collect();
    start(&mut queue);
    assert_eq!(queue.advance(6).0, 6);
    assert!(queue.started.iter().all(|one| one.derivation.rounds_left() == 9 - 4));
    assert_eq!(queue.advance(1).0, 1, "never nothing");
    assert!(queue.started.iter().all(|one| one.derivation.rounds_left() == 9 - 5));
    queue.cancel(jobs[1]);
    assert_eq!(queue.advance(2).0, 2);
    assert!(queue.started.iter().all(|one| one.derivation.rounds_left() == 9 - 7));
}

#[test]
fn jobs_are_finished_with_their_hashes() {
    let mut queue = queue(2);
    queue.push(job(LONER, 7));
    queue.push(Job { rounds: 13, ..job(LONER, 8) });
    assert_eq!(start(&mut queue), [7, 8]);
    assert!(queue.advance(8).1.is_empty());
    for (rounds, purpose) in [(1, 7), (3, 8)] {
        let (done, finished) = queue.advance(8);
        let (job, hash) = finished.into_iter().next().unwrap();
        assert_eq!((done, job.purpose), (rounds, purpose));
        assert_eq!(hash, super::super::hash_password(&job.password, job.salt, job.rounds).hash);
    }
    assert!(queue.is_empty());
}
