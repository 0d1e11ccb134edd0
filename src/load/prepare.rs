//! What is done before the clock starts: the server is found, and every user is known to it and remembered.

use super::clock::Clock;
use super::crowd::Crowd;
use super::mishap::{Failures, Mishap, REFUSED, no_poll};
use super::route::Route;
use super::stats::Tally;
use super::visitor::{Errand, Purpose};
use super::{Patience, Plan, Progress, Scenario, user_name};
use crate::client::{ClientError, Opening};
use crate::limits::DESCRIPTORS_RESERVED;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::net::SocketAddr;
use std::time::Duration;

/// Users who are introduced at once, where there are many clients at once: the server syncs several registrations
/// together, but refuses those who would have to wait too long for their hash.
const INTRODUCED_AT_ONCE: usize = 8;
/// How long the first user waits for an echo at most: a server in the wrong mode is to be found out soon.
const FIRST_ECHO: Duration = Duration::from_secs(5);

/// Has every user log in once, registered if need be: one after another, or a few at a time where there are to be many
/// clients at once. Who only knocks is nobody.
pub(super) fn prepare(plan: &Plan, clock: Clock, watch: &mut dyn FnMut(Progress)) -> Result<Route, Mishap> {
    let mut route = find_server(plan, clock)?;
    let users = if plan.scenario == Scenario::Knock { 1 } else { plan.users.max(1) };
    let total = u64::from(users);
    let others = (1..users).map(|user| introduction(plan, user));
    let at_once = plan.places().min(INTRODUCED_AT_ONCE);
    send(&mut route, (clock, plan), plan.patience, at_once, others, &mut |tally: &Tally| {
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
        let echo = plan.patience.echo.min(FIRST_ECHO);
        let patience = Patience { ports: Duration::ZERO, echo, ..plan.patience };
        let first = std::iter::once(Errand { messages: plan.messages.min(1), ..introduction(plan, 0) });
        match send(&mut route, (clock, plan), patience, 1, first, &mut |_| {}) {
            Ok(()) => return Ok(route),
            Err(Mishap { kind, reason }) => {
                let at_door = matches!(
                    &*kind,
                    REFUSED | "connect_failed" | "connect_timeout" | "out_of_ports" | "server_silent"
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
    (clock, plan): (Clock, &Plan),
    patience: Patience,
    at_once: usize,
    errands: impl Iterator<Item = Errand>,
    watch: &mut dyn FnMut(&Tally),
) -> Result<(), Mishap> {
    let crowd = Crowd::new(route, clock, patience, &plan.interrupt, at_once, true)
        .map_err(|error| no_poll(&error))?;
    let tally = crowd.run(errands, watch).map_err(|error| no_poll(&error))?;
    match (tally.failures.into_iter().next(), tally.cut) {
        (Some((kind, Failures { reason, .. })), _) => Err(Mishap::new(kind, reason)),
        (None, Some(cut)) => Err(cut.mishap()),
        (None, None) => Ok(()),
    }
}

fn introduction(plan: &Plan, user: u32) -> Errand {
    let name = user_name(plan, user.into());
    let purpose = Purpose::Introduces;
    Errand { name, purpose, messages: 0, first_serial: u64::MAX, size_bytes: plan.size_bytes }
}

/// Every client that is there at once needs a descriptor.
pub(super) fn raise_descriptor_limit(concurrency: usize) -> Result<(), Mishap> {
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
