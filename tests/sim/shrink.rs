//! Runs a list of events, and makes a failing one shorter.

use crate::plan::{Op, Settings};
use crate::world::World;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

/// Runs that a shrinking may take.
const RUNS_MOST: usize = 300;

/// Letters of what went wrong that are told: a connection's input may be long.
const WORDS_MOST: usize = 2_000;

thread_local! {
    /// The last panic's message and place, while a world runs on this thread.
    static LAST_WORDS: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Makes panics within a world silent: their words are kept instead.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            let listening = LAST_WORDS
                .with_borrow_mut(|words| words.as_mut().map(|words| *words = info.to_string()).is_some());
            if !listening {
                before(info);
            }
        }));
    });
}

/// Runs the events in a new world to their end: what happened in one number, or what went wrong.
pub(crate) fn run(seed: u64, settings: &Settings, ops: &[Op]) -> Result<u64, String> {
    listen();
    LAST_WORDS.set(Some(String::new()));
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::new(seed, settings);
        for op in ops {
            world.apply(*op);
        }
        world.end(seed);
        world.trace()
    }));
    let words = LAST_WORDS.take().unwrap_or_default();
    outcome.map_err(|_| words.chars().take(WORDS_MOST).collect())
}

/// Leaves out events as long as it still fails, first many at once, then one by one.
pub(crate) fn shrink(
    seed: u64,
    settings: &Settings,
    mut ops: Vec<Op>,
    mut failure: String,
) -> (Vec<Op>, String) {
    let mut runs = 0;
    let mut chunk = ops.len().div_ceil(2);
    while chunk > 0 {
        let mut start = 0;
        let mut shorter = false;
        while start < ops.len() && runs < RUNS_MOST {
            let end = (start + chunk).min(ops.len());
            let fewer = [&ops[..start], &ops[end..]].concat();
            runs += 1;
            match run(seed, settings, &fewer) {
                Err(still) => {
                    (ops, failure, shorter) = (fewer, still, true);
                }
                Ok(_) => start = end,
            }
        }
        if !(shorter && chunk == 1) {
            chunk /= 2;
        }
        if runs >= RUNS_MOST {
            break;
        }
    }
    (ops, failure)
}
