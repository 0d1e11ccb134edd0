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
//! out now and then). For a storm of full-cost logins the server must run with `--login-cache 0`. Such users belong
//! on test servers only: their password is in this page.
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
//! [`Report::json`] gives one object on one line. Its keys are the fields of [`Report`], in their order, with the names
//! and units given there; `connect_us`, `login_us` and `message_us` are objects with the fields of [`Percentiles`], and
//! `failures` is an object with a key for each kind of failure that occurred, whose values have the fields of
//! [`Failures`]:
//!
//! ```json
//! {"scenario":"sequential","clients":1000,"failed":0,"failures":{},"message_us":{"count":1000,"p50":21.2}}
//! ```
//!
//! The keys from `server` on are there only where they have something to tell; their values have the fields of
//! [`ServerUse`], [`AgainstKnock`], [`Idle`], [`Storm`] with its three times [`Phase`], and [`Back`]. In every scenario
//! what does not happen there counts 0.
//!
//! Kinds of failures are `connection_refused`, `connect_timeout`, `connect_failed`, `out_of_ports`, `connection_lost`,
//! `no_answer`, `no_echo`, `no_bye`, `wrong_echo`, `wrong_version`, `unknown_user`, `sent_away`, `unexpected_reply`,
//! `malformed_reply`, `wrong_transport`, `untrusted`, the protocol's names of error codes such as `Busy`, and `unknown_error` for other codes.
//!
//! This module must not know the server's insides: it talks to it through a socket like any client.

mod alarm;
mod cast;
mod clock;
mod crowd;
mod figures;
mod gauge;
mod hall;
mod held;
mod parcel;
mod picture;
mod plan;
mod plot;
mod process;
mod report;
mod route;
mod sequence;
mod stats;
mod storm;
mod table;
mod text;
mod timeline;
mod timeplot;
mod visitor;
mod wire;

pub use figures::{AgainstKnock, Back, Idle, Phase, ServerUse, Storm};
pub use plan::{LoginSort, Patience, Plan, SIZE_BYTES_MOST, Scenario};
pub use report::Report;
pub use stats::{Failures, FailuresByKind, Latencies, Latency, Mishap, Percentiles};
pub use visitor::PASSWORD;

use crate::client::{ClientError, Opening};
use crate::limits::DESCRIPTORS_RESERVED;
use cast::Habit;
use clock::Clock;
use crowd::Crowd;
use gauge::Gauge;
use held::Stage;
use process::Process;
use route::Route;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use stats::Tally;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use visitor::{Errand, Purpose};

/// Users who are introduced at once, where there are many clients at once: the server syncs several registrations
/// together, but refuses those who would have to wait too long for their hash.
const INTRODUCED_AT_ONCE: usize = 8;

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
/// in a scenario in which clients stay also if not one of them gets in. What fails for single clients after that is in
/// the report.
pub fn run(plan: &Plan, watch: &mut dyn FnMut(Progress)) -> Result<Report, Mishap> {
    let clock = Clock::start();
    let gauge = Gauge { clock, server: Process::new(plan.pid) };
    gauge.read()?;
    raise_descriptor_limit(plan.places() + plan.logins)?;
    let mut route = prepare(plan, clock, watch)?;
    let preparation = clock.now().since_start();
    if matches!(plan.scenario, Scenario::Sequential | Scenario::Knock) {
        return sequence::visits(plan, gauge, &mut route, preparation, watch);
    }
    let others = if plan.scenario == Scenario::Storm { storm::others(plan) } else { (0, Habit::Stays) };
    let stage = Stage::new(plan, gauge, &mut route, preparation, others)?;
    match plan.scenario {
        Scenario::Idle => held::idle(stage, watch),
        Scenario::Storm => storm::storm(stage, watch),
        Scenario::Reconnect => held::reconnect(stage, watch),
        _ => held::steady(stage, watch),
    }
}

/// Has every user log in once, registered if need be: one after another, or a few at a time where there are to be many
/// clients at once. Who only knocks is nobody.
fn prepare(plan: &Plan, clock: Clock, watch: &mut dyn FnMut(Progress)) -> Result<Route, Mishap> {
    let mut route = find_server(plan, clock)?;
    let users = if plan.scenario == Scenario::Knock { 1 } else { plan.users.max(1) };
    let total = u64::from(users);
    let others = (1..users).map(|user| introduction(plan, user));
    let at_once = plan.places().min(INTRODUCED_AT_ONCE);
    send(&mut route, clock, plan.patience, at_once, others, &mut |tally: &Tally| {
        watch(Progress { counted: "users", done: tally.visits + 1, total, failed: tally.failed });
    })?;
    Ok(route)
}

/// Has the first user log in at the first server that can be reached.
fn find_server(plan: &Plan, clock: Clock) -> Result<Route, Mishap> {
    let mut outcome = Err(Mishap::new("connect_failed", "no address of a server was given"));
    for server in &plan.servers {
        let mut route = match opening(plan, *server) {
            Ok(opening) => Route::new(*server, opening),
            Err(mishap) => {
                outcome = Err(mishap);
                continue;
            }
        };
        // An address that this machine cannot reach looks like a lack of ports: no waiting for some.
        let patience = Patience { ports: Duration::ZERO, ..plan.patience };
        let first = std::iter::once(Errand { messages: plan.messages.min(1), ..introduction(plan, 0) });
        match send(&mut route, clock, patience, 1, first, &mut |_| {}) {
            Ok(()) => return Ok(route),
            Err(Mishap { kind, reason }) => {
                let at_door = matches!(
                    &*kind,
                    "connection_refused" | "connect_failed" | "connect_timeout" | "out_of_ports"
                );
                outcome = Err(Mishap::new(kind, format!("{server}: {reason}")));
                if !at_door {
                    break;
                }
            }
        }
    }
    outcome
}

/// Settles whom to trust at a server's address.
fn opening(plan: &Plan, server: SocketAddr) -> Result<Opening, Mishap> {
    Opening::settled(&plan.protection, &plan.host, server, plan.patience.connect).map_err(|error| {
        let kind = match &error {
            ClientError::Io(_) | ClientError::Closed => "connect_failed",
            ClientError::Mismatch { .. } => "wrong_transport",
            _ => "untrusted",
        };
        Mishap::new(kind, format!("{server}: {error}"))
    })
}

/// Sends clients, so many at once; the first that fails is the outcome.
fn send(
    route: &mut Route,
    clock: Clock,
    patience: Patience,
    at_once: usize,
    errands: impl Iterator<Item = Errand>,
    watch: &mut dyn FnMut(&Tally),
) -> Result<(), Mishap> {
    let crowd = Crowd::new(route, clock, patience, at_once, true).map_err(|error| no_poll(&error))?;
    let tally = crowd.run(errands, watch).map_err(|error| no_poll(&error))?;
    match tally.failures.into_iter().next() {
        Some((kind, Failures { reason, .. })) => Err(Mishap::new(kind, reason)),
        None => Ok(()),
    }
}

fn introduction(plan: &Plan, user: u32) -> Errand {
    let name = user_name(plan, user.into());
    let purpose = Purpose::Introduces;
    Errand { name, purpose, messages: 0, first_serial: u64::MAX, size_bytes: plan.size_bytes }
}

/// The user that a client is.
fn user_name(plan: &Plan, client: u64) -> String {
    format!("load-{}", client % u64::from(plan.users.max(1)) + 1)
}

/// Every client that is there at once needs a descriptor.
fn raise_descriptor_limit(concurrency: usize) -> Result<(), Mishap> {
    let wanted = (concurrency + DESCRIPTORS_RESERVED) as u64;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }).map_err(|error| {
        let reason =
            format!("{concurrency} clients at once need {wanted} descriptors ({error}); see `ulimit -n`");
        Mishap::new("too_few_descriptors", reason)
    })
}

fn no_poll(error: &io::Error) -> Mishap {
    Mishap::new("no_poll", format!("the system's poll failed: {error}"))
}
