//! The engine, unchanged, in a simulated world: network, clock, disk and random source, and clients of every kind, all
//! from one seed. After every call to the engine a [model](model) written from the protocol's page must be able to
//! explain what came of it.
//!
//! `PORTER_SEEDS=N cargo test --release --test sim` runs N seeds instead of 500; `PORTER_SEED=N` runs that one alone.
//! `PORTER_SHRINK=no` tells a failure as it is.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is how the world says that something is wrong"
)]

mod accounts;
mod actions;
mod agent;
mod disk;
mod driver;
mod inode;
mod model;
mod net;
mod plan;
mod random;
mod recorder;
#[cfg(feature = "shared")]
mod shared;
mod shrink;
mod teardown;
mod transport;
mod wire;
mod world;

use plan::{Op, Settings};
use shrink::run;
use std::cell::RefCell;
use std::env;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Seeds that once failed, with their stories in `seeds.txt`.
const FAILED_ONCE: &str = include_str!("seeds.txt");

/// Runs one seed; a failure is told with the seed and a list of events that is enough for it.
fn check(seed: u64) {
    let settings = plan::settings(seed);
    let ops = plan::operations(seed, &settings);
    let Err(failure) = run(seed, &settings, &ops) else { return };
    if env::var_os("PORTER_SHRINK").is_some_and(|value| value == "no") {
        panic!("seed {seed}: {failure}");
    }
    let (ops, failure) = shrink::shrink(seed, &settings, ops, failure);
    panic!("seed {seed}: {failure}\n{}", told(&settings, &ops));
}

fn told(settings: &Settings, ops: &[Op]) -> String {
    let events: Vec<String> = ops.iter().map(|op| format!("  {op:?}")).collect();
    format!("in {settings:?}\nafter {} events:\n{}\nand the end", ops.len(), events.join("\n"))
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}

/// What was done to a world, to be told if it does not hold.
type Story = Rc<RefCell<Vec<String>>>;

/// Has seeds checked in their order, on every processor; the first that fails ends it.
fn check_each(seeds: Range<u64>, check: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(seeds.start);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            if let Err(failure) = catch_unwind(AssertUnwindSafe(|| check(seed))) {
                next.store(seeds.end, Ordering::Relaxed);
                resume_unwind(failure);
            }
        }
    };
    thread::scope(|scope| {
        let count = thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..count).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            worker.join().unwrap_or_else(|failure| resume_unwind(failure));
        }
    });
}

/// Runs a world that is not shrunk for one of so many seeds; a failure is told with the seed and the story.
fn each_seed(what: &str, one_of: u64, run: impl Fn(u64, &Story) + Sync) {
    let seeds = match number("PORTER_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("PORTER_SEEDS").unwrap_or(500) / one_of,
    };
    check_each(seeds, |seed| {
        let story = Story::default();
        let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(seed, &story))) else { return };
        let text = panic
            .downcast_ref::<String>()
            .map_or_else(|| panic.downcast_ref::<&str>().map_or("a panic", |text| text), String::as_str);
        panic!("seed {seed}: {what}\n{text}\n{}", story.borrow().join("\n"));
    });
}

#[test]
fn every_seed_holds() {
    if let Some(seed) = number("PORTER_SEED") {
        return check(seed);
    }
    check_each(0..number("PORTER_SEEDS").unwrap_or(500), check);
}

#[test]
fn what_once_failed_holds() {
    let seeds = FAILED_ONCE.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok());
    seeds.for_each(check);
}

#[test]
fn the_same_seed_is_the_same_world() {
    for seed in 0..20 {
        let settings = plan::settings(seed);
        let ops = plan::operations(seed, &settings);
        let (first, second) = (run(seed, &settings, &ops), run(seed, &settings, &ops));
        assert_eq!(first, second, "seed {seed}");
    }
}
