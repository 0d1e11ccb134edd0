//! Row `many`: porter on several processes that share a port and a store, beside one that has its files.
//!
//! All of them are pinned to the one CPU of servers, which they fill: so it is seen what a process more costs, whatever the
//! number of CPUs, and two CPUs carry what the halves of two processes do. The store runs beside the load generator.

use crate::chat;
use crate::peers::{Manner, Stable};
use crate::results::Results;
use crate::sequential;
use crate::server::Server;
use crate::steady;
use porter::load::{Plan, Process, Scenario};
use std::time::Duration;

/// So many processes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    /// As tables call it.
    pub(crate) name: &'static str,
    /// With a shared store; none: one process with its files.
    processes: Option<usize>,
}

/// The groups, from the smallest on.
pub(crate) const GROUPS: [Group; 5] = [
    Group { name: "1 process, own files", processes: None },
    Group { name: "1 process", processes: Some(1) },
    Group { name: "2 processes", processes: Some(2) },
    Group { name: "4 processes", processes: Some(4) },
    Group { name: "8 processes", processes: Some(8) },
];

/// As tables call the works.
pub(crate) const ECHO: &str = "64 connections, 16 messages in flight";
pub(crate) const VISIT: &str = "one client after another";
pub(crate) const VISITS_AT_ONCE: &str = "16 clients at once";
pub(crate) const ROOMS: [chat::Load; 2] = [
    chat::Load { name: "1 000 readers, 16 texts in flight", readers: 1_000, in_flight: 16 },
    chat::Load { name: "1 000 readers, 1 text in flight", readers: 1_000, in_flight: 1 },
];

/// The store's CPU time.
pub(crate) const STORE_COST: &str = "store, µs/client";

const CLIENTS: u64 = 3_000;
const WARM_UP: u64 = 100;
const AT_ONCE: usize = 16;
const SPAN: Duration = Duration::from_millis(2_000);

/// One turn of a group.
///
/// # Errors
/// If one of its processes fails.
pub(crate) fn turn(stable: &Stable, group: Group, results: &mut Results) -> Result<(), String> {
    let servers = Servers::start(stable, group, Manner::default())?;
    // The first login at each pays for a hash.
    servers.load(&Plan { clients: WARM_UP, ..servers.plan(Scenario::Sequential) })?;
    let report =
        servers.load(&Plan { clients: 64, in_flight: 16, span: SPAN, ..servers.plan(Scenario::Steady) })?;
    let cost = report.server.and_then(|server| server.us_per_message);
    let figures = [(steady::COST, cost), (steady::RATE, Some(report.messages_per_second))];
    steady::add(results, (ECHO, group.name), &report, figures);
    for (work, concurrency) in [(VISIT, 1), (VISITS_AT_ONCE, AT_ONCE)] {
        let plan = Plan { clients: CLIENTS, concurrency, ..servers.plan(Scenario::Sequential) };
        let before = servers.store_used()?;
        let report = servers.load(&plan)?;
        let cost = report.server.and_then(|server| server.us_per_connection);
        let figures = [(sequential::COST, cost), (sequential::RATE, Some(report.clients_per_second))];
        steady::add(results, (work, group.name), &report, figures);
        if let Some((before, after)) = before.zip(servers.store_used()?) {
            let each = after.saturating_sub(before).as_secs_f64() * 1e6 / CLIENTS as f64;
            results.add(work, group.name, STORE_COST, each);
        }
    }
    drop(servers);
    let servers = Servers::start(stable, group, Manner { chat: true, tls: false })?;
    let plan = servers.plan(Scenario::Chat);
    ROOMS.iter().try_for_each(|load| {
        chat::measure(servers.first()?.protocol, plan.clone(), group.name, *load, results)
    })
}

/// A group that runs.
#[derive(Debug)]
struct Servers {
    servers: Vec<Server>,
    store: Option<Server>,
}

impl Servers {
    fn start(stable: &Stable, group: Group, manner: Manner) -> Result<Servers, String> {
        match group.processes {
            None => Ok(Servers { servers: vec![stable.porter_alone(manner)?], store: None }),
            Some(count) => {
                let (store, servers) = stable.porters(count, manner)?;
                Ok(Servers { servers, store: Some(store) })
            }
        }
    }

    fn first(&self) -> Result<&Server, String> {
        self.servers.first().ok_or_else(|| "there is no process".to_owned())
    }

    /// The usual load of a scenario, on all of them.
    fn plan(&self, scenario: Scenario) -> Plan {
        let pids = self.servers.iter().map(|server| server.pid()).collect();
        let plan = self.servers.first().map_or_else(|| Plan::canonical(scenario), |one| one.plan(scenario));
        Plan { pids, ..plan }
    }

    fn load(&self, plan: &Plan) -> Result<porter::load::Report, String> {
        self.first()?.protocol.load(plan, &mut |_| {})
    }

    /// What the store has had of its CPU so far.
    fn store_used(&self) -> Result<Option<Duration>, String> {
        let cpu = self.store.as_ref().map(|store| Process(store.pid()).cpu()).transpose();
        cpu.map(|cpu| cpu.map(|cpu| cpu.used)).map_err(|error| error.to_string())
    }
}
