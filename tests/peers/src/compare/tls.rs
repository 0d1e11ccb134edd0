//! Row `tls`: the same works, encrypted, with the same certificate everywhere.

use crate::chat::{self, Load};
use crate::peers::{Manner, Peer, Stable};
use crate::results::Results;
use crate::{idle, sequential, steady};
use porter::load::{Plan, Scenario};
use std::time::Duration;

/// As tables call them.
pub(crate) const VISIT: &str = "TLS, one client after another";
pub(crate) const STEADY: &str = "TLS, 50 connections, 1 message in flight";
pub(crate) const IDLE: &str = "TLS, one idle connection";

/// Rooms, encrypted.
pub(crate) const ROOMS: [Load; 2] = [
    Load { name: "TLS, 1 000 readers, 16 texts in flight", readers: 1_000, in_flight: 16 },
    Load { name: "TLS, 1 000 readers, 1 text in flight", readers: 1_000, in_flight: 1 },
];

/// Idle connections that are counted.
pub(crate) const CONNECTIONS: u64 = 5_000;
const VISITS: u64 = 1_500;
const WARM_UP: u64 = 100;
const SPAN: Duration = Duration::from_millis(1_000);

/// One turn of a peer.
///
/// # Errors
/// If the peer fails.
pub(crate) fn turn(stable: &Stable, peer: Peer, results: &mut Results) -> Result<(), String> {
    let server = stable.start_as(peer, Manner { chat: false, tls: true })?;
    let visits = |clients| Plan { clients, ..server.plan(Scenario::Sequential) };
    // The first login pays for a hash.
    server.protocol.load(&visits(WARM_UP), &mut |_| {})?;
    let plan = visits(VISITS);
    let report = server.protocol.load(&plan, &mut |_| {})?;
    let cost = report.server.and_then(|server| server.us_per_connection);
    let figures = [(sequential::COST, cost), (sequential::RATE, Some(report.clients_per_second))];
    steady::add(results, (VISIT, peer.name()), &report, figures);
    let plan = Plan { clients: 50, span: SPAN, ..server.plan(Scenario::Steady) };
    let report = server.protocol.load(&plan, &mut |_| {})?;
    let cost = report.server.and_then(|server| server.us_per_message);
    let figures = [(steady::COST, cost), (steady::RATE, Some(report.messages_per_second))];
    steady::add(results, (STEADY, peer.name()), &report, figures);
    if results.summary(IDLE, peer.name(), idle::COST).is_none() {
        // Memory is the same in every round.
        let server = stable.start_as(peer, Manner { chat: false, tls: true })?;
        results.add(IDLE, peer.name(), idle::COST, idle::each(&server, CONNECTIONS)?);
    }
    let server = stable.start_as(peer, Manner { chat: true, tls: true })?;
    let plan = server.plan(Scenario::Chat);
    ROOMS
        .iter()
        .try_for_each(|load| chat::measure(server.protocol, plan.clone(), peer.name(), *load, results))
}
