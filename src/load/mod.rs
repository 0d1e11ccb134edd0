//! The load tester: virtual clients of a server, and what they measure.
//!
//! A [`Plan`] says what is to be done, [`run`] does it, a [`Report`] holds what came of it. With [`run_with`] the same is
//! done to a server that speaks another protocol, which a [`Dialect`] knows. A [`Scenario`] says how:
//!
//! - `sequential`: clients one after another, or so many at a time, each of which connects, logs in, sends messages,
//!   checks each against its echo, exits and waits for the server's close;
//! - `knock`: connect only: clients one after another that connect, take Hello and close, the bare cost of a visit, which
//!   `sequential` can be compared with in one run, block by block in turn;
//! - `steady`: closed-loop throughput: clients that stay, each with so many messages in flight;
//! - `idle`: clients that stay, and say nothing;
//! - `storm`: mixed open-loop load: clients that send by the clock, alone, beside others that log in again and again, and
//!   alone again; latencies count from when a message was due (no coordinated omission);
//! - `reconnect`: clients that are all cut off at once and come back with their tokens.
//!
//! One thread carries them all, on one poll loop, so that the tester costs little beside the server; a report says
//! when it was the limit all the same. With the server's process named, it also says what the server used.
//!
//! Before the clock starts, each user logs in once, and is registered with [`PASSWORD`] if the server does not know
//! it: a full-cost password hash takes as long as a thousand visits and would spoil the figures. So what is
//! measured are logins that the server remembers (in a run longer than its `--login-cache`, a full-cost one stands
//! out now and then). For a storm of full-cost logins the server must run with `--login-cache 0`: a wrong password, which
//! is always hashed, and a login right after another show whether it does. Such users belong on test servers only: their
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
//! println!("{} messages a second", report.messages_per_second);
//! # Ok::<(), load::LoadError>(())
//! ```
//!
//! A [`Report`] holds the figures, and the histograms from which `porter-load` draws its picture; [`Report::json`] is one
//! object on one line. A key, once there, stays.
//!
//! # The modules
//!
//! | what for | modules |
//! |---|---|
//! | what is asked | `plan`: scenario, amounts, timeouts |
//! | what is said | `dialect`: a protocol as the load needs it; `porter`: ours |
//! | who says it | `client`: the state machine of all clients, and what each does after a visit |
//! | when | `scenarios`; `visits`: clients that come and go; `prepare`: before the clock starts; `schedule`: by the clock |
//! | on what | `event_loop`: the one poll loop; `connection`: how one begins, from which port, and its bytes |
//! | when it ends before its time | `watchdog`: an interrupt, a server that is gone or frozen |
//! | what is measured | `sampler`: time, CPU, memory; `metrics`: histograms; `error`: why a client failed |
//! | what comes of it | `report`; `storm`: its part of one |
//!
//! `client`, `dialect` and `porter` know no socket and no clock, `event_loop` and `connection` know nothing of what is
//! said: they can be tested, and read, on their own. No module here knows the server's insides.

mod client;
mod connection;
mod dialect;
mod error;
mod event_loop;
mod metrics;
mod plan;
mod porter;
mod prepare;
mod report;
mod sampler;
mod scenarios;
mod schedule;
mod storm;
mod visits;
mod watchdog;

pub use dialect::{Dialect, Exchange, Farewell, LoginStep, Other, User, text};
pub use error::{Failures, FailuresByKind, LoadError};
pub use metrics::{Latencies, Latency, Percentiles, Timeline};
pub use plan::{LoginSort, Plan, SIZE_BYTES_MOST, Scenario, Timeouts};
pub use porter::{PASSWORD, Porter, PorterLogin};
pub use report::{AgainstKnock, Back, Idle, Phase, Report, SCHEMA, ServerUse, Storm};
pub use sampler::{CpuTime, Process, machine_description, today};

use porter::Task;
use sampler::{Clock, Sampler};
use scenarios::Setup;
use std::time::Duration;

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The part of the run: `preparation`, `entering`, `inside`, `warm-up`, `measured` (in a storm `before`, `during` and `after`),
    /// `end`. There is a report at the moment at which a part begins that begins by the clock, and when all are `inside`.
    pub part: &'static str,
    /// What is counted: first `users`, then what the scenario does.
    pub counted: &'static str,
    /// How many are through.
    pub done: u64,
    /// How many there are in all.
    pub total: u64,
    /// Clients that failed.
    pub failed: u64,
}

/// Prepares the users, then lets all clients do what they are there for, and lets `watch` know about ten times a
/// second how far it is.
///
/// The first user's preparation sends a message too, so that a server in the wrong mode is found out at once and
/// not by every client.
///
/// # Errors
/// [`LoadError`] if it cannot begin: no server, a user that cannot log in, no echo, too few descriptors, no such process;
/// in a scenario in which clients stay also if not one of them gets in; if it is to end before the users are there. What
/// fails for single clients after that is in the report, and so is why it was cut short if it was.
pub fn run(plan: &Plan, watch: &mut dyn FnMut(Progress)) -> Result<Report, LoadError> {
    let sampler = sampler(plan)?;
    let (mut connector, hash) = prepare::prepare(plan, &sampler, watch)?;
    let preparation = sampler.clock.now().since_start();
    let setup = Setup { plan, sampler, connector: &mut connector, preparation, hash };
    let porter = Porter::new(plan.users, plan.pipelined);
    let knock = Porter { task: Task::Knock, ..porter };
    let is_knock = plan.scenario == Scenario::Knock;
    scenarios::run(setup, if is_knock { knock } else { porter }, plan.against_knock.then_some(knock), watch)
}

/// Does the same to the first of the servers, whatever it speaks. Its users are known already, and it has no `knock`.
///
/// # Errors
/// As [`run`].
pub fn run_with<D: Dialect + Clone>(
    dialect: D,
    plan: &Plan,
    watch: &mut dyn FnMut(Progress),
) -> Result<Report, LoadError> {
    let sampler = sampler(plan)?;
    let server =
        plan.servers.first().ok_or_else(|| LoadError::new("connect_failed", "no address was given"))?;
    let mut connector = prepare::connector(plan, *server)?;
    let setup = Setup { plan, sampler, connector: &mut connector, preparation: Duration::ZERO, hash: None };
    scenarios::run(setup, dialect, None, watch)
}

fn sampler(plan: &Plan) -> Result<Sampler, LoadError> {
    let sampler = Sampler { clock: Clock::start(), server: Process::new(plan.pid) };
    // Whether the server's process can be looked at, if it was named.
    sampler.server.cpu()?;
    sampler.server.memory_bytes()?;
    prepare::raise_descriptor_limit(plan.places() + plan.logins)?;
    Ok(sampler)
}
