//! The report of a run: figures as JSON for programs; a table for people and a picture are made from it.

mod parts;

pub use self::parts::{AgainstKnock, Back, Idle, Phase, ServerUse, Storm};
use super::error::{Failures, FailuresByKind, LoadError};
use super::metrics::{Latencies, Latency, Metrics, Percentiles, Timeline};
use super::sampler::{Interval, Sampler, round};
use super::watchdog::Cut;
use super::{Plan, Scenario, machine, plot, table};
use crate::client::Protection;
use serde::Serialize;
use std::net::SocketAddr;
use std::time::Duration;

/// From this share of a CPU on, the tester itself may have been the limit.
const SHARE_OF_LIMIT: f64 = 0.9;

/// What came of a run. Serialised, it is the object that `porter-load --json` prints.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What was loaded and by what: address, protection, versions.
    pub target: String,
    /// What the machine calls itself.
    pub machine: String,
    /// The day of the run, in UTC.
    pub date: String,
    /// Which one it was.
    pub scenario: Scenario,
    /// Why the run ended before its time; `null` if it did not. The figures are those up to then.
    pub cut_short: Option<LoadError>,
    /// Clients in all, failed ones included.
    pub clients: u64,
    /// Clients that failed; where clients come again, their failures.
    pub failed: u64,
    /// Clients at once.
    pub concurrency: usize,
    /// Users that the clients took turns to be.
    pub users: u32,
    /// Messages of each client in `sequential`; 0 in the others.
    pub messages: u32,
    /// Bytes of text in each message.
    pub size_bytes: usize,
    /// Whether Identify and Login, or Resume, went out without waiting for Hello, and Exit without waiting for the last echo.
    pub pipelined: bool,
    /// Seconds that users took to register and log in before the measured run.
    pub preparation_seconds: f64,
    /// Seconds of the measured run: in `idle` until all had come in, in `reconnect` from the cut until all were back.
    pub seconds: f64,
    /// Clients that came to their end without a failure, each second; where clients stay, those who came in.
    pub clients_per_second: f64,
    /// Messages whose echo came, each second.
    pub messages_per_second: f64,
    /// Million bytes of text whose echo came, each second; one way.
    pub megabytes_per_second: f64,
    /// Microseconds from asking the system for a connection until it is there.
    pub connect_us: Percentiles,
    /// Microseconds from sending Identify (or Resume) until Welcome; if they were pipelined, Hello and the server's accept
    /// are included, since the client did not wait for them.
    pub login_us: Percentiles,
    /// Microseconds from sending a message until its echo; in `storm` from when it should have been sent.
    pub message_us: Percentiles,
    /// Failures by kind.
    pub failures: FailuresByKind,
    /// The part of one CPU that the load tester itself used, 0 to 1.
    pub tester_processor_share: f64,
    /// The part of the time that the load tester could have run and others had the CPU; `null` where the system
    /// does not tell. Latencies contain it.
    pub tester_waited_share: Option<f64>,
    /// Whether both together are so much, in any part of the run, that the figures may show the tester's limit and not the
    /// server's.
    pub tester_was_limit: bool,
    /// Whether this is a debug build, whose figures mean nothing.
    pub debug_build: bool,
    /// What the server used; with `--pid`, if its process could be read to the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerUse>,
    /// Why the process that `--pid` names could not be read to the end, if it could not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_unread: Option<String>,
    /// In `sequential` with `--against-knock`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against_knock: Option<AgainstKnock>,
    /// Messages of each client that were under way at any time; in `steady`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<usize>,
    /// In `idle`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<Idle>,
    /// In `storm`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storm: Option<Storm>,
    /// In `reconnect`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconnect: Option<Back>,
    #[serde(skip)]
    pub(super) latencies: Latencies,
    /// Latencies of this scenario alone, with their names.
    #[serde(skip)]
    pub(super) curves: Vec<(&'static str, Latency)>,
    #[serde(skip)]
    pub(super) timeline: Option<Timeline>,
}

/// What every scenario measures.
#[derive(Clone, Debug, Default)]
pub(super) struct Measured {
    pub(super) clients: u64,
    pub(super) failed: u64,
    pub(super) failures: FailuresByKind,
    pub(super) latencies: Latencies,
    pub(super) preparation: Duration,
    pub(super) interval: Interval,
    /// The server's, before and after.
    pub(super) memory_bytes: [Option<u64>; 2],
    pub(super) cut: Option<Cut>,
}

impl Measured {
    /// Counts the failures of a part of the run.
    pub(super) fn add_failures(&mut self, metrics: Metrics) {
        self.failed += metrics.failed;
        for (kind, Failures { count, reason }) in metrics.failures {
            self.failures.entry(kind).or_insert(Failures { count: 0, reason }).count += count;
        }
    }
}

impl Report {
    pub(super) fn new(plan: &Plan, sampler: &Sampler, server: SocketAddr, measured: Measured) -> Report {
        let Measured { clients, failed, failures, latencies, preparation, interval, memory_bytes, cut } =
            measured;
        let visits = matches!(plan.scenario, Scenario::Sequential | Scenario::Knock);
        let (logins, echoed) = (latencies.login.finished(), latencies.message.finished());
        let through = if visits { clients.saturating_sub(failed) } else { logins };
        let share = interval.share(interval.own.used);
        let counts = [latencies.connect.finished(), logins, echoed];
        let used = ServerUse::new(&interval, memory_bytes, counts);
        let unread = || match sampler.server.cpu() {
            Err(error) => error.reason,
            Ok(_) => "its process could not be read all the time".to_owned(),
        };
        Report {
            target: target(plan, server),
            machine: machine::description(),
            date: machine::date(),
            scenario: plan.scenario,
            cut_short: cut.map(Cut::error),
            clients,
            failed,
            concurrency: plan.places(),
            users: plan.users,
            messages: if plan.scenario == Scenario::Sequential { plan.messages } else { 0 },
            size_bytes: plan.size_bytes,
            pipelined: plan.pipelined && plan.scenario != Scenario::Knock,
            preparation_seconds: round(preparation.as_secs_f64(), 6),
            seconds: round(interval.elapsed.as_secs_f64(), 6),
            clients_per_second: interval.rate(through as f64),
            messages_per_second: interval.rate(echoed as f64),
            megabytes_per_second: interval.rate(echoed as f64 * plan.size_bytes as f64 / 1e6),
            connect_us: latencies.connect.percentiles(),
            login_us: latencies.login.percentiles(),
            message_us: latencies.message.percentiles(),
            failures,
            tester_processor_share: share,
            tester_waited_share: interval.own.waited.map(|waited| interval.share(waited)),
            tester_was_limit: is_limit(interval.own_demand()),
            debug_build: cfg!(debug_assertions),
            server_unread: (plan.pid.is_some() && used.is_none()).then(unread),
            server: used,
            against_knock: None,
            in_flight: None,
            idle: None,
            storm: None,
            reconnect: None,
            latencies,
            curves: Vec::new(),
            timeline: None,
        }
    }

    /// One JSON object on one line.
    ///
    /// # Errors
    /// [`LoadError`] never in practice: every field can be written.
    pub fn json(&self) -> Result<String, LoadError> {
        serde_json::to_string(self)
            .map_err(|error| LoadError::new("no_json", format!("the report is no JSON: {error}")))
    }

    /// What a person reads: totals, latencies, failures; ends with a line end.
    pub fn table(&self) -> String {
        table::written(self)
    }

    /// A picture of the latencies by percentile, and for `storm` over time: an SVG document.
    pub fn plot(&self) -> String {
        plot::drawn(self)
    }
}

fn target(plan: &Plan, server: SocketAddr) -> String {
    let protection = match (&plan.protection, server.ip().to_canonical().is_loopback()) {
        (Protection::Plaintext, _) | (Protection::TlsBeyondLoopback(_), true) => "plain TCP",
        _ => "TLS",
    };
    let host = if plan.host == server.ip().to_string() { String::new() } else { format!(" ({})", plan.host) };
    format!("{server}{host} over {protection}, by porter-load {}", env!("CARGO_PKG_VERSION"))
}

/// Whether such a share of a CPU is as good as all of it.
pub(super) fn is_limit(share: f64) -> bool {
    share >= SHARE_OF_LIMIT
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::sampler::{Clock, CpuTime, Process};

    fn report(measured: Measured) -> Report {
        let sampler = Sampler { clock: Clock::start(), server: Process::new(None) };
        Report::new(&Plan::default(), &sampler, ([127, 0, 0, 1], 9).into(), measured)
    }

    #[test]
    fn waiting_for_a_cpu_makes_the_tester_the_limit_as_using_it_does() {
        let was_limit = |used, waited| {
            let milliseconds = Duration::from_millis;
            let own = CpuTime { used: milliseconds(used), waited: Some(milliseconds(waited)) };
            let interval = Interval { elapsed: milliseconds(1_000), own, server: None };
            report(Measured { interval, ..Measured::default() }).tester_was_limit
        };
        assert!(was_limit(400, 550) && was_limit(950, 0) && !was_limit(400, 300));
    }

    #[test]
    fn a_run_that_was_cut_short_says_so_everywhere() {
        let report = report(Measured { cut: Some(Cut::Silent), ..Measured::default() });
        assert!(report.json().unwrap().contains(r#""cut_short":{"kind":"server_silent""#));
        assert!(report.table().starts_with("CUT SHORT: the server is silent"), "{}", report.table());
        let picture = report.plot();
        assert!(picture.contains("cut short: server_silent") && picture.contains("nothing was measured"));
        assert!(!picture.contains("NaN") && !picture.contains("inf"));
    }

    #[test]
    fn rates_are_of_what_succeeded_and_the_tester_tells_when_it_was_the_limit() {
        let mut metrics = Metrics::unbounded();
        for number in 0..10 {
            let outcome = if number == 0 { Err(LoadError::new("no_echo", "none came")) } else { Ok(()) };
            metrics.visited(outcome);
            metrics.windows[0].latencies.message.record(Duration::from_micros(20));
        }
        let second = Duration::from_secs(1);
        let report = |own, server: Option<Duration>| {
            let time = |used| CpuTime { used, waited: None };
            let interval = Interval { elapsed: second * 2, own: time(own), server: server.map(time) };
            let (clients, latencies) = (metrics.visits, metrics.latencies());
            let mut measured = Measured { clients, latencies, interval, ..Measured::default() };
            measured.add_failures(metrics.clone());
            report(measured)
        };
        let idle = report(second, Some(second / 2));
        assert_eq!((idle.clients_per_second, idle.messages_per_second), (4.5, 5.0));
        assert!(!idle.tester_was_limit && !idle.table().contains("its limit"));
        assert!(idle.table().contains("1 failed, no_echo: none came") && idle.plot().contains("p50 20 µs"));
        let server = idle.server.unwrap();
        assert_eq!((server.processor_share, server.us_per_message), (0.25, Some(50_000.0)));
        assert_eq!(server.us_per_login, None);
        let busy = report(second * 2, None);
        assert!(busy.tester_was_limit && busy.table().contains("its limit"));
        assert!(!busy.json().unwrap().contains("server"));
    }
}
