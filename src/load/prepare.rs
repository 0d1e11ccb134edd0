//! What is done before the clock starts: the server is found, and every user is known to it and remembered.

use super::clock::Clock;
use super::crowd::Crowd;
use super::mishap::{Failures, Mishap, REFUSED, no_poll};
use super::route::Route;
use super::stats::{Latencies, Tally};
use super::visitor::{Errand, Purpose};
use super::{LoginSort, Patience, Plan, Progress, Scenario, user_name};
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

/// How often a login is tried that the server may remember: one of them is not held up, even on a busy machine.
const LOGINS_TRIED: usize = 5;
/// What takes less than this could be a login that the server remembers, or anything else.
const HASH_LEAST: Duration = Duration::from_millis(10);

/// Has every user log in once, registered if need be: one after another, or a few at a time where there are to be many
/// clients at once. Who only knocks is nobody. Beside the way there comes how long a hash takes, if logins are to pay for one.
pub(super) fn prepare(
    plan: &Plan,
    clock: Clock,
    watch: &mut dyn FnMut(Progress),
) -> Result<(Route, Option<Duration>), Mishap> {
    let mut route = find_server(plan, clock)?;
    let users = if plan.scenario == Scenario::Knock { 1 } else { plan.users.max(1) };
    let total = u64::from(users);
    let others = (1..users).map(|user| introduction(plan, user));
    let at_once = plan.places().min(INTRODUCED_AT_ONCE);
    send(&mut route, (clock, plan), plan.patience, at_once, others, &mut |tally: &Tally| {
        watch(Progress { counted: "users", done: tally.visits + 1, total, failed: tally.failed });
    })?;
    let pays_in_full = plan.scenario == Scenario::Storm && plan.login == LoginSort::Full && plan.logins > 0;
    let hash = if pays_in_full { Some(full_hash(plan, &mut route, clock)?) } else { None };
    Ok((route, hash))
}

/// How long a login takes that pays for a hash, if each does. A wrong password is never remembered and always hashed; a
/// right one that takes much less, though it was used just before, was remembered.
fn full_hash(plan: &Plan, route: &mut Route, clock: Clock) -> Result<Duration, Mishap> {
    let mut quickest = |purpose, count: usize| {
        let errands = (0..count).map(|_| Errand { purpose, ..introduction(plan, 0) });
        let latencies = send(route, (clock, plan), plan.patience, 1, errands, &mut |_| {})?;
        Ok(Duration::from_nanos(latencies.login.nanoseconds_at(0.0)))
    };
    let (guess, login) = (quickest(Purpose::Guesses, 1)?, quickest(Purpose::Introduces, LOGINS_TRIED)?);
    let shown = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
    let reason = if guess < HASH_LEAST {
        format!(
            "--login full: a wrong password was refused in {}, too soon to tell hashes from what the server remembers: \
             start it with more --hash-rounds",
            shown(guess)
        )
    } else if login < guess / 2 {
        format!(
            "--login full: the server remembers logins (one took {}, where a hash takes {}): start it with --login-cache 0",
            shown(login),
            shown(guess)
        )
    } else {
        return Ok(guess.min(login));
    };
    Err(Mishap::new("not_full", reason))
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
            Ok(_) => return Ok(route),
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

/// Sends clients, so many at once, and gives what they measured; the first that fails is the outcome.
fn send(
    route: &mut Route,
    (clock, plan): (Clock, &Plan),
    patience: Patience,
    at_once: usize,
    errands: impl Iterator<Item = Errand>,
    watch: &mut dyn FnMut(&Tally),
) -> Result<Latencies, Mishap> {
    let crowd = Crowd::new(route, clock, patience, &plan.interrupt, at_once, true)
        .map_err(|error| no_poll(&error))?;
    let tally = crowd.run(errands, watch).map_err(|error| no_poll(&error))?;
    match (tally.failures.into_iter().next(), tally.cut) {
        (Some((kind, Failures { reason, .. })), _) => Err(Mishap::new(kind, reason)),
        (None, Some(cut)) => Err(cut.mishap()),
        (None, None) => Ok(tally.latencies),
    }
}

fn introduction(plan: &Plan, user: u32) -> Errand {
    let name = user_name(plan, user.into());
    let purpose = Purpose::Introduces;
    let (first_serial, size_bytes) = (u64::MAX, plan.size_bytes);
    Errand { name, purpose, messages: 0, first_serial, size_bytes, pipelined: false }
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
