//! What is done before the clock starts: the server is found, and every user is known to it and remembered.

use super::error::{LoadError, OUT_OF_PORTS, REFUSED, count_failures, first_failure};
use super::metrics::{Latency, Metrics};
use super::porter::{Porter, Task};
use super::sampler::Sampler;
use super::scenarios::{ENTERING, Run, Visits};
use super::{LoginSort, Part, Plan, Progress, Report, Scenario, Timeouts};
use crate::limits::DESCRIPTORS_RESERVED;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::time::Duration;

/// How long the first user waits for an echo at most: a server in the wrong mode is to be found out soon.
const FIRST_ECHO: Duration = Duration::from_secs(5);
/// How often a login is tried that the server may remember: one of them is not held up, even on a busy machine.
const LOGINS_TRIED: u64 = 5;
/// A hash may seem this many times as long as it is, because the tester or the server waited for a CPU.
const HASH_HELD_UP: u32 = 8;
/// The part of the logins by which a server is found out that remembers some. A tester that had to wait for a CPU between
/// sending and looking at its clock may take a few for quicker than they were.
const QUICK: f64 = 0.25;
/// What takes less than this could be a login that the server remembers, or anything else.
const HASH_LEAST: Duration = Duration::from_millis(10);
/// What fails at one of a server's addresses, and may not at the next.
const ELSEWHERE: [&str; 7] = [
    REFUSED,
    OUT_OF_PORTS,
    "connect_failed",
    "connect_timeout",
    "server_silent",
    "wrong_transport",
    "untrusted",
];

/// A run at the first server that can be reached. Every user has logged in there once, registered if need be: one after
/// another, or a few at a time where there are to be many clients at once, since the server syncs several registrations
/// together. Who only knocks is nobody.
pub(super) fn prepared<'a>(
    plan: &'a Plan,
    sampler: Sampler<'a>,
    watch: &mut dyn FnMut(Progress),
) -> Result<Run<'a, Porter>, LoadError> {
    let users = match plan.scenario {
        Scenario::Knock => 1,
        // One more is whispered to.
        Scenario::Chat => plan.users.max(1).saturating_add(1),
        _ => plan.users.max(1),
    };
    let introduction = Porter { task: Task::Introduce, pipelined: false, ..super::porter(plan) };
    let mut run = find_server(plan, sampler, introduction)?;
    let (count, at_once) = (u64::from(users) - 1, plan.places().min(ENTERING));
    let others = Visits { first: 1, at_once, ..one_by_one(introduction, count) };
    run.make(others, &mut |metrics| {
        let (done, total, failed) = (metrics.visits + 1, users.into(), metrics.failed);
        watch(Progress { part: Part::Preparation, counted: "users", done, total, failed });
    })?;
    if plan.scenario == Scenario::Storm && plan.login == LoginSort::Full && plan.logins > 0 {
        run.hash = Some(run.full_hash()?);
    }
    run.preparation = sampler.clock.now().since_start();
    Ok(run)
}

/// Visits of which none may fail, without a message.
fn one_by_one(dialect: Porter, count: u64) -> Visits<Porter> {
    Visits { dialect, first: 0, count, messages: 0, at_once: 1, stops_at_failure: true }
}

/// Has the first user log in at the first server that can be reached.
fn find_server<'a>(
    plan: &'a Plan,
    sampler: Sampler<'a>,
    dialect: Porter,
) -> Result<Run<'a, Porter>, LoadError> {
    let first = Visits { messages: plan.messages.min(1).into(), ..one_by_one(dialect, 1) };
    // An address that this machine cannot reach looks like a lack of ports: no waiting for some.
    let echo = plan.timeouts.echo.min(FIRST_ECHO);
    let timeouts = Timeouts { ports: Duration::ZERO, echo, ..plan.timeouts };
    let mut failed = LoadError::new("connect_failed", "no address of a server was given");
    for server in &plan.servers {
        let found = Run::new(plan, sampler, *server, dialect).and_then(|mut run| {
            run.event_loop.timeouts = timeouts;
            run.make(first, &mut |_| {})?;
            run.event_loop.timeouts = plan.timeouts;
            Ok(run)
        });
        let LoadError { kind, reason } = match found {
            Ok(run) => return Ok(run),
            Err(error) => error,
        };
        failed = LoadError::new(kind, format!("{server}: {reason}"));
        if !ELSEWHERE.contains(&&*failed.kind) {
            break;
        }
    }
    Err(failed)
}

impl Run<'_, Porter> {
    /// Makes visits of which none may fail, and gives the latencies of their logins.
    fn make(
        &mut self,
        visits: Visits<Porter>,
        watch: &mut dyn FnMut(&Metrics),
    ) -> Result<Latency, LoadError> {
        let (metrics, _) = self.visit(visits, watch)?;
        let error = first_failure(&metrics.failures).or_else(|| self.event_loop.watchdog.cut.clone());
        error.map_or_else(|| Ok(metrics.latencies().login), Err)
    }

    /// How long a login takes that pays for a hash, if each does. A wrong password is never remembered and always hashed; a
    /// right one that takes much less, though it was used just before, was remembered.
    fn full_hash(&mut self) -> Result<Duration, LoadError> {
        let mut quickest = |task, count| {
            let visits = one_by_one(Porter { task, ..Porter::new(1, false) }, count);
            Ok(Duration::from_nanos(self.make(visits, &mut |_| {})?.nanoseconds_at(0.0)))
        };
        let (guess, login) = (quickest(Task::Guess, 1)?, quickest(Task::Introduce, LOGINS_TRIED)?);
        let shown = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
        let reason = if guess < HASH_LEAST {
            format!(
                "--login full: a wrong password was refused in {}, too soon to distinguish hashes from what the server remembers: \
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
}

/// Logins that came back in much less time than a hash takes paid for none, whatever the server did before.
pub(super) fn find_unhashed(report: &mut Report, hash: Duration, logins: &Latency) {
    let quick = Duration::from_nanos(logins.nanoseconds_at(QUICK));
    if logins.count() > 0 && quick < hash / HASH_HELD_UP {
        let reason = format!(
            "a quarter of the logins took {quick:?} at most, and a hash takes {hash:?}: the server remembers some"
        );
        report.failed += 1;
        count_failures(&mut report.failures, 1, LoadError::new("not_full", reason));
    }
}

pub(super) fn raise_descriptor_limit(concurrency: usize) -> Result<(), LoadError> {
    let wanted = (concurrency + DESCRIPTORS_RESERVED) as u64;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }).map_err(|error| {
        let allowed = maximum.map_or(error.to_string(), |maximum| format!("at most {maximum} are allowed"));
        let reason = format!(
            "{concurrency} clients at once need {wanted} file descriptors: {allowed}; see `ulimit -Hn`"
        );
        LoadError::new("too_few_descriptors", reason)
    })
}
