//! The load tester: virtual clients of a server, and what they measure.
//!
//! A [`Plan`] says what is to be done, [`run`] does it, a [`Report`] holds what came of it. With [`run_with`] the same is
//! done to a server that speaks another protocol, which a [`Dialect`] knows. A [`Scenario`] says how.
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
//! | who says it | `client`: the state machine of all clients, what each does after a visit, and who reads whom in a chat |
//! | when | `scenarios`: a run; `prepare`: before its clock starts; `schedule`: by the clock |
//! | on what | `event_loop`: the one poll loop; `connection`: how one begins, from which port, and its bytes |
//! | when it ends before its time | `watchdog`: an interrupt, a server that is gone or frozen |
//! | what is measured | `sampler`: time, CPU, memory; `metrics`: histograms; `error`: why a client failed |
//! | what comes of it | `report` |
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
mod watchdog;

pub use dialect::{Dialect, Exchange, Farewell, LoginStep, Other, Role, User, text};
pub use error::{Failures, FailuresByKind, LoadError};
pub use metrics::{Latency, Timeline};
pub use plan::{LoginSort, Plan, SIZE_BYTES_MOST, Scenario, Timeouts};
pub use porter::{PASSWORD, Porter, PorterLogin};
pub use report::{AgainstKnock, Back, Chat, Idle, Percentiles, Phase, Report, SCHEMA, ServerUse, Storm};
pub use sampler::{CpuTime, Process, machine_description, today};

use crate::Clock;
use porter::Task;
use sampler::Sampler;
use scenarios::Run;

/// A part of a run, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Users are registered.
    Preparation,
    /// Clients come in.
    Entering,
    /// All who stay are there.
    Inside,
    /// What is done now is not measured.
    WarmUp,
    /// Whispers of a chat, without texts.
    Rest,
    /// What is measured, but in a storm.
    Measured,
    /// Messages of a storm, before its logins.
    Before,
    /// The same beside logins.
    During,
    /// The same after them.
    After,
    /// All is measured.
    End,
}

impl Part {
    /// As a picture names it.
    pub fn name(self) -> &'static str {
        match self {
            Part::Preparation => "preparation",
            Part::Entering => "entering",
            Part::Inside => "inside",
            Part::WarmUp => "warm-up",
            Part::Rest => "rest",
            Part::Measured => "measured",
            Part::Before => "before",
            Part::During => "during",
            Part::After => "after",
            Part::End => "end",
        }
    }
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The part of the run. There is a report at the moment at which a part begins that begins by the clock, and when all
    /// are [`Inside`](Part::Inside).
    pub part: Part,
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
    let run = prepare::prepared(plan, sampler(plan)?, watch)?;
    let porter = porter(plan);
    let knock = Porter { task: Task::Knock, ..porter };
    let is_knock = plan.scenario == Scenario::Knock;
    run.go(if is_knock { knock } else { porter }, plan.against_knock.then_some(knock), watch)
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
    let no_server = || LoadError::new("connect_failed", "no address was given");
    let server = plan.servers.first().ok_or_else(no_server)?;
    Run::new(plan, sampler(plan)?, *server, dialect.clone())?.go(dialect, None, watch)
}

/// Clients as a scenario needs them.
fn porter(plan: &Plan) -> Porter {
    let new = if plan.scenario == Scenario::Chat { Porter::chatting } else { Porter::new };
    new(plan.users, plan.pipelined)
}

fn sampler(plan: &Plan) -> Result<Sampler<'_>, LoadError> {
    let sampler = Sampler { clock: Clock::new(), servers: &plan.pids };
    for pid in &plan.pids {
        // Whether it can be looked at.
        Process(*pid).cpu()?;
        Process(*pid).memory_bytes()?;
    }
    prepare::raise_descriptor_limit(plan.places() + plan.logins)?;
    Ok(sampler)
}
