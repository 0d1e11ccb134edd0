//! The load tester: a crowd of virtual clients that visit a porter server, and what they measure.
//!
//! A [`Plan`] says what is to be done, [`run`] does it, a [`Report`] holds what came of it. There is one scenario,
//! `sequential`: clients one after another, or so many at a time, each of which connects, logs in, sends messages,
//! checks each against its echo, exits and waits for the server's close. One thread carries them all, on one poll
//! loop, so that the tester costs little beside the server; a report says when it was the limit all the same.
//!
//! Before the clock starts, each user logs in once, and is registered with [`PASSWORD`] if the server does not know
//! it: a full-cost password hash takes as long as a thousand visits and would spoil the figures. So what is
//! measured are logins that the server remembers (in a run longer than its `--login-cache`, a full-cost one stands
//! out now and then). Such users belong on test servers only: their password is in this page.
//!
//! ```no_run
//! let plan = porter::load::Plan { clients: 100, ..Default::default() };
//! let report = porter::load::run(&plan, &mut |_| {})?;
//! println!("{}", report.table());
//! # Ok::<(), porter::load::Mishap>(())
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
//! Kinds are `connection_refused`, `connect_timeout`, `connect_failed`, `out_of_ports`, `connection_lost`, `no_answer`,
//! `no_echo`, `no_bye`, `wrong_echo`, `wrong_version`, `unknown_user`, `sent_away`, `unexpected_reply`,
//! `malformed_reply`, the protocol's names of error codes such as `Busy`, and `unknown_error` for other codes.
//!
//! This module must not know the server's insides: it talks to it through a socket like any client.

mod crowd;
mod plot;
mod report;
mod route;
mod stats;
mod text;
mod visitor;

pub use report::Report;
pub use stats::{Failures, FailuresByKind, Latencies, Latency, Mishap, Percentiles};
pub use visitor::PASSWORD;

use crate::limits::{DESCRIPTORS_RESERVED, MAX_FRAME_BYTES_MOST, TOKEN_BYTES};
use crowd::{Clock, Crowd};
use route::Route;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use stats::Tally;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use visitor::Errand;

/// The most bytes of text that fit a frame of any legal server, beside the kind and the token.
pub const SIZE_BYTES_MOST: usize = MAX_FRAME_BYTES_MOST as usize - 1 - TOKEN_BYTES;

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the server may be; the first that can be reached is it.
    pub servers: Vec<SocketAddr>,
    /// Visits in all.
    pub clients: u64,
    /// Visits at once, at least 1.
    pub concurrency: usize,
    /// Users `load-1` to `load-U` that the clients take turns to be, at least 1.
    pub users: u32,
    /// Messages of each client.
    pub messages: u32,
    /// Bytes of text in each message, 1 to [`SIZE_BYTES_MOST`].
    pub size_bytes: usize,
    /// How long a client waits before it fails.
    pub patience: Patience,
}

impl Default for Plan {
    /// The canonical load: 1000 clients, one after another, each with one message of 64 bytes, at a server with
    /// default flags on this machine.
    fn default() -> Plan {
        Plan {
            servers: vec![(Ipv4Addr::LOCALHOST, 9090).into()],
            clients: 1_000,
            concurrency: 1,
            users: 1,
            messages: 1,
            size_bytes: 64,
            patience: Patience::default(),
        }
    }
}

impl Plan {
    /// Visits that can be at once.
    fn places(&self) -> usize {
        self.concurrency.clamp(1, usize::try_from(self.clients).unwrap_or(usize::MAX).max(1))
    }
}

/// How long a client waits before it fails.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the connection to be there.
    pub connect: Duration,
    /// For each answer on the way to Welcome; the server may hash for some, and have others waiting before.
    pub login: Duration,
    /// For the echo of a message.
    pub echo: Duration,
    /// For Bye after Exit, and for the close after Bye.
    pub bye: Duration,
    /// For a local port to become free.
    pub ports: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            connect: Duration::from_secs(10),
            login: Duration::from_secs(60),
            echo: Duration::from_secs(5),
            bye: Duration::from_secs(10),
            ports: Duration::from_secs(10),
        }
    }
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Whether users still log in for the first time; after that, clients are measured.
    pub preparing: bool,
    /// Users or clients that are through.
    pub done: u64,
    /// Users or clients in all.
    pub total: u64,
    /// Clients that failed.
    pub failed: u64,
}

/// Prepares the users, then sends all clients, and tells `watch` about ten times a second how far it is.
///
/// The first user's preparation sends a message too, so that a server in the wrong mode is found out at once and
/// not by every client.
///
/// # Errors
/// [`Mishap`] if it cannot begin: no server, a user that cannot log in, no echo, too few descriptors. What fails for
/// single clients after that is in the report.
pub fn run(plan: &Plan, watch: &mut dyn FnMut(Progress)) -> Result<Report, Mishap> {
    let clock = Clock::start();
    let concurrency = plan.places();
    raise_descriptor_limit(concurrency)?;
    let mut route = prepare(plan, clock, watch)?;
    let prepared = clock.now();

    let crowd = Crowd::new(&mut route, clock, plan.patience, concurrency, false).map_err(|e| no_poll(&e))?;
    let processor_before = processor_time();
    let tally = crowd
        .run((0..plan.clients).map(|client| visit(plan, client)), &mut |tally: &Tally| {
            let Tally { visits, failed, .. } = *tally;
            watch(Progress { preparing: false, done: visits, total: plan.clients, failed });
        })
        .map_err(|error| no_poll(&error))?;
    let elapsed = clock.now().since(prepared);
    let processor = processor_time().saturating_sub(processor_before);
    Ok(Report::new(plan, tally, prepared.since_start(), elapsed, processor))
}

/// Has every user log in once, registered if need be, one after another: the server hashes one password at a time.
fn prepare(plan: &Plan, clock: Clock, watch: &mut dyn FnMut(Progress)) -> Result<Route, Mishap> {
    let mut route = find_server(plan, clock)?;
    let total = u64::from(plan.users);
    let others = (1..plan.users.max(1)).map(|user| introduction(plan, user));
    send(&mut route, clock, plan.patience, others, &mut |tally: &Tally| {
        watch(Progress { preparing: true, done: tally.visits + 1, total, failed: tally.failed });
    })?;
    Ok(route)
}

/// Has the first user log in at the first server that can be reached.
fn find_server(plan: &Plan, clock: Clock) -> Result<Route, Mishap> {
    let mut outcome = Err(Mishap::new("connect_failed", "no address of a server was given"));
    for server in &plan.servers {
        let mut route = Route::new(*server);
        // An address that this machine cannot reach looks like a lack of ports: no waiting for some.
        let patience = Patience { ports: Duration::ZERO, ..plan.patience };
        let first = std::iter::once(Errand { messages: plan.messages.min(1), ..introduction(plan, 0) });
        match send(&mut route, clock, patience, first, &mut |_| {}) {
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

/// Sends one client after another; the first that fails is the outcome.
fn send(
    route: &mut Route,
    clock: Clock,
    patience: Patience,
    errands: impl Iterator<Item = Errand>,
    watch: &mut dyn FnMut(&Tally),
) -> Result<(), Mishap> {
    let crowd = Crowd::new(route, clock, patience, 1, true).map_err(|error| no_poll(&error))?;
    let tally = crowd.run(errands, watch).map_err(|error| no_poll(&error))?;
    match tally.failures.into_iter().next() {
        Some((kind, Failures { reason, .. })) => Err(Mishap::new(kind, reason)),
        None => Ok(()),
    }
}

fn introduction(plan: &Plan, user: u32) -> Errand {
    let name = format!("load-{}", user + 1);
    Errand { name, registers: true, messages: 0, first_serial: u64::MAX, size_bytes: plan.size_bytes }
}

fn visit(plan: &Plan, client: u64) -> Errand {
    Errand {
        name: format!("load-{}", client % u64::from(plan.users.max(1)) + 1),
        registers: false,
        messages: plan.messages,
        first_serial: client.wrapping_mul(u64::from(plan.messages)),
        size_bytes: plan.size_bytes,
    }
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

/// What this process has used of its processors so far.
fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

fn no_poll(error: &io::Error) -> Mishap {
    Mishap::new("no_poll", format!("the system's poll failed: {error}"))
}
