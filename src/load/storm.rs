//! What a storm comes to: messages by the clock before, during and after logins.

use super::metrics::{Latency, Metrics, Window};
use super::prepare::HASH_HELD_UP;
use super::report::{Phase, Report, Storm, is_limit};
use super::sampler::{Sample, round};
use super::schedule::Schedule;
use super::{LoadError, Plan, error::count_failures};
use std::time::Duration;

/// The part of the logins by which a server is found out that remembers some. A tester that had to wait for a CPU between
/// sending and looking at its clock may take a few for quicker than they were.
const QUICK: f64 = 0.25;

/// Adds to a report what was measured in each of the three parts, and by how much messages left late.
pub(super) fn add(
    report: &mut Report,
    plan: &Plan,
    (metrics, schedule): (Metrics, Option<Schedule>),
    intervals: &[Sample],
    hash: Option<Duration>,
) {
    let phases: Vec<Phase> = metrics.windows.iter().zip(intervals).map(phase).collect();
    if let &[before, during, after] = phases.as_slice() {
        let demand =
            |phase: &Phase| phase.tester_processor_share + phase.tester_waited_share.unwrap_or_default();
        report.tester_was_limit |= phases.iter().any(|phase| is_limit(demand(phase)));
        report.storm = Some(Storm {
            login: plan.login,
            hash_us: hash.map(|hash| round(hash.as_secs_f64() * 1e6, 1)),
            logins_at_once: plan.logins,
            rate_per_client: round(plan.rate_per_second, 3),
            before,
            during,
            after,
            lateness_us: schedule.map(|schedule| schedule.send_delay).unwrap_or_default().percentiles(),
        });
    }
    if let (Some(hash), Some(during)) = (hash, metrics.windows.get(1)) {
        find_unhashed(report, hash, &during.latencies.login);
    }
    let message = |(name, window): (&'static str, Window)| (name, window.latencies.message);
    report.curves = ["before", "during", "after"].into_iter().zip(metrics.windows).map(message).collect();
    report.timeline = metrics.timeline;
}

/// Logins that came back in much less time than a hash takes paid for none, whatever the server did before.
fn find_unhashed(report: &mut Report, hash: Duration, logins: &Latency) {
    let quick = Duration::from_nanos(logins.nanoseconds_at(QUICK));
    if logins.count() > 0 && quick < hash / HASH_HELD_UP {
        let reason = format!(
            "a quarter of the logins took {quick:?} at most, and a hash takes {hash:?}: the server remembers some"
        );
        report.failed += 1;
        count_failures(&mut report.failures, 1, LoadError::new("not_full", reason));
    }
}

fn phase((window, interval): (&Window, &Sample)) -> Phase {
    let (messages, logins) = (&window.latencies.message, &window.latencies.login);
    let length = Sample { elapsed: window.until.since(window.from), ..*interval };
    Phase {
        seconds: round(length.elapsed.as_secs_f64(), 3),
        messages_per_second: length.rate(messages.finished() as f64),
        message_us: messages.percentiles(),
        logins_per_second: length.rate(logins.finished() as f64),
        login_us: logins.percentiles(),
        server_processor_share: interval.server.map(|server| interval.share(server.used)),
        tester_processor_share: interval.share(interval.own.used),
        tester_waited_share: interval.own.waited.map(|waited| interval.share(waited)),
    }
}
