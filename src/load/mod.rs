//! The load tester: virtual clients that visit a porter server, and what they measure.
//!
//! A [`Plan`] says what is to be done, [`run`] does it, a [`Report`] holds what came of it. A [`Scenario`] says how:
//!
//! - `sequential`: clients one after another, or so many at a time, each of which connects, logs in, sends messages,
//!   checks each against its echo, exits and waits for the server's close;
//! - `knock`: clients one after another that connect, take Hello and close: the bare cost of a visit, which
//!   `sequential` can be compared with in one run, block by block in turn;
//! - `steady`: clients that stay, each with so many messages in flight;
//! - `idle`: clients that stay, and say nothing;
//! - `storm`: clients that send by the clock, alone, beside others that log in again and again, and alone again; what
//!   their messages should have waited for counts, not only what they did (no coordinated omission);
//! - `reconnect`: clients that are all cut off at once and come back with their tokens.
//!
//! One thread carries them all, on one poll loop, so that the tester costs little beside the server; a report says
//! when it was the limit all the same. With the server's process named, it also says what the server used.
//!
//! Before the clock starts, each user logs in once, and is registered with [`PASSWORD`] if the server does not know
//! it: a full-cost password hash takes as long as a thousand visits and would spoil the figures. So what is
//! measured are logins that the server remembers (in a run longer than its `--login-cache`, a full-cost one stands
//! out now and then). For a storm of full-cost logins the server must run with `--login-cache 0`: a wrong password, which
//! is always hashed, and a login right after another tell whether it does. Such users belong on test servers only: their
//! password is in this page.
//!
//! Clients do not wait for Hello: Identify and Login go out together as soon as the connection is there, which the
//! protocol allows. Reports call such logins pipelined. In a [`Plan`] without that each waits for the answer to what it
//! sent before.
//!
//! ```no_run
//! use porter::load::{self, Plan, Scenario};
//! let plan = Plan { clients: 100, ..Plan::canonical(Scenario::Steady) };
//! let report = load::run(&plan, &mut |_| {})?;
//! println!("{}", report.table());
//! # Ok::<(), load::Mishap>(())
//! ```
//!
//! # The JSON report
//!
//! [`Report::json`] gives one object on one line. [`SCHEMA`], which `porter-load --help` prints too, has its keys and no
//! others; a key with a flag or a scenario in brackets is there only with it. A key, once there, stays.
//!
//! ```text
#![doc = include_str!("schema.txt")]
//! ```
//!
//! # The modules
//!
//! | what for | modules |
//! |---|---|
//! | what is asked | `plan`: scenario, amounts, patience |
//! | before the clock starts | `prepare`: finds the server, makes the users known |
//! | a scenario each | `sequential` (`knock` too), `steady`, `idle`, `storm`, `reconnect`; `stage`: what the last four share |
//! | clients that come once | `visitor`: what one says and expects; `crowd`: the poll loop with all of them |
//! | clients that stay, or come again and again | `regulars`: what each says and expects, `client_state`: how far it is; `hall`: the poll loop with all of them; `alarm`: waits that end on time |
//! | what they send | `text`: any message; `template`: a regular's messages, a copy each |
//! | a connection | `route`: how it begins, and local ports; `wire`: bytes to frames and back |
//! | when it ends before its time | `watchdog`: an interrupt, a server that is gone or frozen; `signals`: what interrupts |
//! | what is measured | `clock`; `process`: what the system tells of one; `gauge`: readings of both, before and after; `stats`: histograms; `window`: those of a part of a run; `timeline`: a histogram for each moment; `mishap`: why a client failed |
//! | what comes of it | `report` with `figures`; `table` for people; `picture` of `plot` (by percentile) and `timeplot` (over time) |
//!
//! `visitor` and `regulars` know no socket and no clock, `crowd` and `hall` know nothing of what is said: all four can
//! be tested, and read, on their own. No module here knows the server's insides: they talk to it through a socket like any client.

mod alarm;
mod client_state;
mod clock;
mod crowd;
mod figures;
mod gauge;
mod hall;
mod idle;
mod mishap;
mod picture;
mod plan;
mod plot;
mod prepare;
mod process;
mod reconnect;
mod regulars;
mod report;
mod route;
mod sequential;
mod signals;
mod stage;
mod stats;
mod steady;
mod storm;
mod table;
mod template;
mod text;
mod timeline;
mod timeplot;
mod visitor;
mod watchdog;
mod window;
mod wire;

pub use figures::{AgainstKnock, Back, Idle, Phase, ServerUse, Storm};
pub use mishap::{Failures, FailuresByKind, Mishap};
pub use plan::{LoginSort, Patience, Plan, SIZE_BYTES_MOST, Scenario};
pub use report::Report;
pub use signals::end_at_signals;
pub use stats::{Latencies, Latency, Percentiles};
pub use visitor::PASSWORD;

use client_state::Habit;
use clock::Clock;
use gauge::Gauge;
use process::Process;
use stage::Stage;

/// The keys of the JSON report, by the object that they are in: a line each with its type and what it says.
pub const SCHEMA: &str = include_str!("schema.txt");

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is counted: first `users`, then what the scenario does.
    pub counted: &'static str,
    /// How many are through.
    pub done: u64,
    /// How many there are in all.
    pub total: u64,
    /// Clients that failed.
    pub failed: u64,
}

/// Prepares the users, then lets all clients do what they are there for, and tells `watch` about ten times a second
/// how far it is.
///
/// The first user's preparation sends a message too, so that a server in the wrong mode is found out at once and
/// not by every client.
///
/// # Errors
/// [`Mishap`] if it cannot begin: no server, a user that cannot log in, no echo, too few descriptors, no such process;
/// in a scenario in which clients stay also if not one of them gets in; if it is to end before the users are there. What
/// fails for single clients after that is in the report, and so is why it was cut short if it was.
pub fn run(plan: &Plan, watch: &mut dyn FnMut(Progress)) -> Result<Report, Mishap> {
    let clock = Clock::start();
    let gauge = Gauge { clock, server: Process::new(plan.pid) };
    gauge.check()?;
    prepare::raise_descriptor_limit(plan.places() + plan.logins)?;
    let (mut route, hash) = prepare::prepare(plan, clock, watch)?;
    let preparation = clock.now().since_start();
    if matches!(plan.scenario, Scenario::Sequential | Scenario::Knock) {
        return sequential::visits(plan, gauge, &mut route, preparation, watch);
    }
    let others = if plan.scenario == Scenario::Storm { storm::others(plan) } else { (0, Habit::Stays) };
    let stage = Stage::new(plan, gauge, &mut route, preparation, others)?;
    match plan.scenario {
        Scenario::Idle => idle::idle(stage, watch),
        Scenario::Storm => storm::storm(stage, hash, watch),
        Scenario::Reconnect => reconnect::reconnect(stage, watch),
        _ => steady::steady(stage, watch),
    }
}

/// The user that a client is.
fn user_name(plan: &Plan, client: u64) -> String {
    format!("load-{}", client % u64::from(plan.users.max(1)) + 1)
}
