//! The report of a run.

#![allow(missing_docs, reason = "the schema, which is the report's documentation, says what each field is")]

use super::dialect::Dialect;
use super::error::{FailuresByKind, LoadError};
use super::metrics::{Latency, Timeline, Window};
use super::sampler::{CpuTime, Sample, machine_description, round, today};
use super::scenarios::Run;
use super::{LoginSort, Plan, Scenario};
use crate::client::Protection;
use serde::Serialize;
use std::net::SocketAddr;
use std::time::Duration;

/// The keys of the JSON report, by the object that they are in: a line each with its type and what it says.
pub const SCHEMA: &str = include_str!("schema.txt");

/// What came of a run. Its fields are the keys of the object that `porter-load --json` prints:
///
/// ```text
#[doc = include_str!("schema.txt")]
/// ```
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub target: String,
    pub machine: String,
    pub date: String,
    pub scenario: Scenario,
    pub cut_short: Option<LoadError>,
    pub clients: u64,
    pub failed: u64,
    pub concurrency: usize,
    pub users: u32,
    pub messages: u32,
    pub size_bytes: usize,
    pub pipelined: bool,
    pub preparation_seconds: f64,
    pub seconds: f64,
    pub clients_per_second: f64,
    pub messages_per_second: f64,
    pub megabytes_per_second: f64,
    pub connect_us: Percentiles,
    pub login_us: Percentiles,
    pub message_us: Percentiles,
    pub failures: FailuresByKind,
    pub tester_processor_share: f64,
    pub tester_waited_share: Option<f64>,
    pub tester_was_limit: bool,
    pub debug_build: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerUse>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_unread: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against_knock: Option<AgainstKnock>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<Idle>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storm: Option<Storm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconnect: Option<Back>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat: Option<Chat>,
    /// Not in the JSON: the latencies that are worth a picture, with their names.
    #[serde(skip)]
    pub curves: Vec<(&'static str, Latency)>,
    /// Not in the JSON: latencies by time, in `storm`.
    #[serde(skip)]
    pub timeline: Option<Timeline>,
}

/// Latencies of one sort, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Percentiles {
    pub count: u64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
    pub unfinished: u64,
}

/// What the server used, where its process was named.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ServerUse {
    pub processor_seconds: f64,
    pub processor_share: f64,
    pub waited_share: Option<f64>,
    pub us_per_connection: Option<f64>,
    pub us_per_login: Option<f64>,
    pub us_per_message: Option<f64>,
    pub memory_before_bytes: u64,
    pub memory_after_bytes: Option<u64>,
}

/// How `sequential` compares with clients that only knock, block by block in turn: medians over the blocks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct AgainstKnock {
    pub blocks: usize,
    pub us_per_client: f64,
    pub us_per_knock: f64,
    pub ratio: f64,
    pub server_us_per_client: Option<f64>,
    pub server_us_per_knock: Option<f64>,
    pub server_ratio: Option<f64>,
}

/// What holding idle connections costs the server.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Idle {
    pub held: usize,
    pub held_seconds: f64,
    pub memory_per_connection_bytes: Option<f64>,
    pub server_processor_share: Option<f64>,
}

/// What logins do to others.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Storm {
    pub login: LoginSort,
    pub hash_us: Option<f64>,
    pub logins_at_once: usize,
    pub rate_per_client: f64,
    pub before: Phase,
    pub during: Phase,
    pub after: Phase,
    pub lateness_us: Percentiles,
}

/// One part of a storm.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Phase {
    pub seconds: f64,
    pub messages_per_second: f64,
    pub message_us: Percentiles,
    pub logins_per_second: f64,
    pub login_us: Percentiles,
    pub server_processor_share: Option<f64>,
    pub tester_processor_share: f64,
    pub tester_waited_share: Option<f64>,
}

/// How long all take to come back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Back {
    pub cut_off: usize,
    pub came_back: u64,
    pub all_back_seconds: f64,
    pub back_us: Percentiles,
}

/// How texts reach a room, and whispers one of it meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Chat {
    pub readers: u64,
    pub in_flight: Option<usize>,
    pub texts_due_per_second: Option<f64>,
    pub deliveries: u64,
    pub deliveries_per_second: f64,
    pub server_ns_per_delivery: Option<f64>,
    pub whisper_at_rest_us: Percentiles,
    pub whisper_us: Percentiles,
    pub lateness_us: Percentiles,
}

impl Report {
    /// What every scenario reports of so many clients in this interval.
    pub(super) fn new<D: Dialect>(
        run: &Run<'_, D>,
        clients: u64,
        interval: &Sample,
        memory_after: Option<u64>,
    ) -> Report {
        let (plan, event_loop) = (run.plan, &run.event_loop);
        let metrics = &event_loop.clients.metrics;
        let latencies = metrics.latencies();
        let visits = matches!(plan.scenario, Scenario::Sequential | Scenario::Knock);
        let (logins, echoed) = (latencies.login.finished(), latencies.message.finished());
        let through = if visits { clients.saturating_sub(metrics.failed) } else { logins };
        let counts = [latencies.connect.finished(), logins, echoed];
        let memory_bytes = [run.memory_before, memory_after];
        let used = interval.server.map(|cpu| ServerUse::new(cpu, interval, memory_bytes, counts));
        let is_unread = used.is_none() && !plan.pids.is_empty();
        let unread = is_unread.then(|| match run.sampler.server_cpu() {
            Err(error) => error.reason,
            Ok(_) => "its process could not be read all the time".to_owned(),
        });
        let (tester_processor_share, tester_waited_share) = interval.shares(interval.own);
        Report {
            target: target(plan, event_loop.connector.server),
            machine: machine_description(),
            date: today(),
            scenario: plan.scenario,
            cut_short: event_loop.watchdog.cut.clone(),
            clients,
            failed: metrics.failed,
            concurrency: plan.places(),
            users: plan.users,
            messages: if plan.scenario == Scenario::Sequential { plan.messages } else { 0 },
            size_bytes: plan.size_bytes,
            pipelined: plan.pipelined && plan.scenario != Scenario::Knock,
            preparation_seconds: round(run.preparation.as_secs_f64(), 6),
            seconds: round(interval.elapsed.as_secs_f64(), 6),
            clients_per_second: interval.rate(through as f64),
            messages_per_second: interval.rate(echoed as f64),
            megabytes_per_second: interval.rate(echoed as f64 * plan.size_bytes as f64 / 1e6),
            connect_us: latencies.connect.percentiles(),
            login_us: latencies.login.percentiles(),
            message_us: latencies.message.percentiles(),
            failures: metrics.failures.clone(),
            tester_processor_share,
            tester_waited_share,
            tester_was_limit: interval.shows_limit(),
            debug_build: cfg!(debug_assertions),
            server_unread: unread,
            server: used,
            against_knock: None,
            in_flight: None,
            idle: None,
            storm: None,
            reconnect: None,
            chat: None,
            curves: vec![
                ("connect", latencies.connect),
                ("login", latencies.login),
                ("message", latencies.message),
            ],
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
}

fn target(plan: &Plan, server: SocketAddr) -> String {
    let protection = match (&plan.protection, server.ip().to_canonical().is_loopback()) {
        (Protection::Plaintext, _) | (Protection::TlsBeyondLoopback(_), true) => "plain TCP",
        _ => "TLS",
    };
    let host = if plan.host == server.ip().to_string() { String::new() } else { format!(" ({})", plan.host) };
    format!("{server}{host} over {protection}, by porter-load {}", env!("CARGO_PKG_VERSION"))
}

impl ServerUse {
    fn new(cpu: CpuTime, interval: &Sample, memory_bytes: [Option<u64>; 2], counts: [u64; 3]) -> ServerUse {
        let used = cpu.used.as_secs_f64();
        let [us_per_connection, us_per_login, us_per_message] =
            counts.map(|count| (count > 0).then(|| round(used * 1e6 / count as f64, 3)));
        let (processor_share, waited_share) = interval.shares(cpu);
        ServerUse {
            processor_seconds: round(used, 3),
            processor_share,
            waited_share,
            us_per_connection,
            us_per_login,
            us_per_message,
            memory_before_bytes: memory_bytes[0].unwrap_or_default(),
            memory_after_bytes: memory_bytes[1],
        }
    }
}

/// A block of visits, the block of knocks before it, and how many there were in each.
pub(super) struct Pair {
    pub(super) visits: Sample,
    pub(super) knocks: Sample,
    pub(super) clients: u64,
}

impl AgainstKnock {
    pub(super) fn new(blocks: &[Pair]) -> AgainstKnock {
        let median = |figure: &dyn Fn(&Pair) -> Option<Duration>| {
            let each = |pair: &Pair| Some(figure(pair)?.as_secs_f64() * 1e6 / pair.clients.max(1) as f64);
            let mut figures: Vec<f64> = blocks.iter().filter_map(each).collect();
            figures.sort_by(f64::total_cmp);
            figures.get(figures.len() / 2).map(|figure| round(*figure, 2))
        };
        let ratio = |client: f64, knock: f64| (knock > 0.0).then(|| round(client / knock, 3));
        let us_per_client = median(&|pair| Some(pair.visits.elapsed)).unwrap_or_default();
        let us_per_knock = median(&|pair| Some(pair.knocks.elapsed)).unwrap_or_default();
        let server_us_per_client = median(&|pair| pair.visits.server.map(|server| server.used));
        let server_us_per_knock = median(&|pair| pair.knocks.server.map(|server| server.used));
        AgainstKnock {
            blocks: blocks.len(),
            us_per_client,
            us_per_knock,
            ratio: ratio(us_per_client, us_per_knock).unwrap_or_default(),
            server_us_per_client,
            server_us_per_knock,
            server_ratio: server_us_per_client.zip(server_us_per_knock).and_then(|(a, b)| ratio(a, b)),
        }
    }
}

impl Idle {
    pub(super) fn new(held: usize, interval: &Sample, [before, after]: [Option<u64>; 2]) -> Idle {
        let grown = after.zip(before).map(|(after, before)| after as f64 - before as f64);
        let elapsed = interval.elapsed.as_secs_f64();
        let share = |cpu: CpuTime| round(cpu.used.as_secs_f64() / elapsed.max(1e-9), 5);
        Idle {
            held,
            held_seconds: round(elapsed, 3),
            memory_per_connection_bytes: grown.map(|grown| round(grown / held.max(1) as f64, 1)),
            server_processor_share: interval.server.map(share),
        }
    }
}

impl Phase {
    pub(super) fn new(Window { from, until, latencies, used, .. }: &Window) -> Phase {
        let (messages, logins) = (&latencies.message, &latencies.login);
        let length = Sample { elapsed: until.since(*from), ..*used };
        let (tester_processor_share, tester_waited_share) = used.shares(used.own);
        Phase {
            seconds: round(length.elapsed.as_secs_f64(), 3),
            messages_per_second: length.rate(messages.finished() as f64),
            message_us: messages.percentiles(),
            logins_per_second: length.rate(logins.finished() as f64),
            login_us: logins.percentiles(),
            server_processor_share: used.server.map(|server| used.shares(server).0),
            tester_processor_share,
            tester_waited_share,
        }
    }
}
