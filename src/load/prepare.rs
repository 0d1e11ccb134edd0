//! What is done before the clock starts: the server is found, and every user is known to it and remembered.

use super::connection::Connector;
use super::error::{LoadError, OUT_OF_PORTS, REFUSED};
use super::metrics::{Latencies, Metrics};
use super::porter::{Porter, Task};
use super::sampler::Sampler;
use super::visits::Visits;
use super::{LoginSort, Plan, Progress, Scenario, Timeouts};
use crate::client::{ClientError, Transports};
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
const LOGINS_TRIED: u64 = 5;
/// A hash may seem this many times as long as it is, because the tester or the server waited for a CPU.
pub(super) const HASH_HELD_UP: u32 = 8;
/// What takes less than this could be a login that the server remembers, or anything else.
const HASH_LEAST: Duration = Duration::from_millis(10);

/// Has every user log in once, registered if need be: one after another, or a few at a time where there are to be many
/// clients at once. Who only knocks is nobody. Beside the connector there comes how long a hash takes, if logins are to
/// pay for one.
pub(super) fn prepare(
    plan: &Plan,
    sampler: &Sampler,
    watch: &mut dyn FnMut(Progress),
) -> Result<(Connector, Option<Duration>), LoadError> {
    let users = if plan.scenario == Scenario::Knock { 1 } else { plan.users.max(1) };
    let first = Visits {
        dialect: Porter { task: Task::Introduce, ..Porter::new(users, false) },
        first: 0,
        count: 1,
        messages: plan.messages.min(1).into(),
        at_once: 1,
        stops_at_failure: true,
        timeouts: plan.timeouts,
    };
    let mut connector = find_server(plan, sampler, first)?;
    let (count, at_once) = (u64::from(users) - 1, plan.places().min(INTRODUCED_AT_ONCE));
    let others = Visits { first: 1, count, messages: 0, at_once, ..first };
    make(&mut connector, (sampler, plan), others, &mut |metrics| {
        let (done, total, failed) = (metrics.visits + 1, users.into(), metrics.failed);
        watch(Progress { part: "preparation", counted: "users", done, total, failed });
    })?;
    let pays_in_full = plan.scenario == Scenario::Storm && plan.login == LoginSort::Full && plan.logins > 0;
    let hash = if pays_in_full { Some(full_hash(plan, &mut connector, sampler, first)?) } else { None };
    Ok((connector, hash))
}

/// Makes visits of which none may fail.
fn make(
    connector: &mut Connector,
    (sampler, plan): (&Sampler, &Plan),
    visits: Visits<Porter>,
    watch: &mut dyn FnMut(&Metrics),
) -> Result<Latencies, LoadError> {
    let visited = visits.make(connector, plan, sampler, watch)?;
    visited.error().map_or_else(|| Ok(visited.metrics.latencies()), Err)
}

/// How long a login takes that pays for a hash, if each does. A wrong password is never remembered and always hashed; a
/// right one that takes much less, though it was used just before, was remembered.
fn full_hash(
    plan: &Plan,
    connector: &mut Connector,
    sampler: &Sampler,
    first: Visits<Porter>,
) -> Result<Duration, LoadError> {
    let mut quickest = |task, count| {
        let dialect = Porter { task, ..Porter::new(1, false) };
        let visits = Visits { dialect, count, messages: 0, ..first };
        let latencies = make(connector, (sampler, plan), visits, &mut |_| {})?;
        Ok(Duration::from_nanos(latencies.login.nanoseconds_at(0.0)))
    };
    let (guess, login) = (quickest(Task::Guess, 1)?, quickest(Task::Introduce, LOGINS_TRIED)?);
    let shown = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
    let reason = if guess < HASH_LEAST {
        format!(
            "--login full: a wrong password was refused in {}, too soon to tell hashes from what the server remembers: \
             start it with more --hash-rounds",
            shown(guess)
        )
    } else if login < guess / HASH_HELD_UP {
        format!(
            "--login full: the server remembers logins (one took {}, where a hash takes {}): start it with --login-cache 0",
            shown(login),
            shown(guess)
        )
    } else {
        return Ok(guess.min(login));
    };
    Err(LoadError::new("not_full", reason))
}

/// Has the first user log in at the first server that can be reached.
fn find_server(plan: &Plan, sampler: &Sampler, first: Visits<Porter>) -> Result<Connector, LoadError> {
    // An address that this machine cannot reach looks like a lack of ports: no waiting for some.
    let echo = plan.timeouts.echo.min(FIRST_ECHO);
    let first = Visits { timeouts: Timeouts { ports: Duration::ZERO, echo, ..plan.timeouts }, ..first };
    let mut failed = LoadError::new("connect_failed", "no address of a server was given");
    for server in &plan.servers {
        let mut connector = match connector(plan, *server) {
            Ok(connector) => connector,
            Err(error) => {
                failed = error;
                continue;
            }
        };
        let Err(LoadError { kind, reason }) = make(&mut connector, (sampler, plan), first, &mut |_| {})
        else {
            return Ok(connector);
        };
        let is_unreachable =
            matches!(&*kind, REFUSED | OUT_OF_PORTS | "connect_failed" | "connect_timeout" | "server_silent");
        failed = LoadError::new(kind, format!("{server}: {reason}"));
        if !is_unreachable {
            break;
        }
    }
    Err(failed)
}

/// What connects to a server's address, once it is settled whom to trust there.
pub(super) fn connector(plan: &Plan, server: SocketAddr) -> Result<Connector, LoadError> {
    let transports = Transports::settled(&plan.protection, &plan.host, server, plan.timeouts.connect);
    let transports = transports.map_err(|error| {
        let kind = match &error {
            ClientError::Io(_) | ClientError::Closed => "connect_failed",
            ClientError::Mismatch { .. } => "wrong_transport",
            _ => "untrusted",
        };
        LoadError::new(kind, format!("{server}: {error}"))
    })?;
    Ok(Connector::new(server, transports))
}

/// Every client that is there at once needs a file descriptor.
pub(super) fn raise_descriptor_limit(concurrency: usize) -> Result<(), LoadError> {
    let wanted = (concurrency + DESCRIPTORS_RESERVED) as u64;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }).map_err(|error| {
        let reason =
            format!("{concurrency} clients at once need {wanted} descriptors ({error}); see `ulimit -n`");
        LoadError::new("too_few_descriptors", reason)
    })
}
