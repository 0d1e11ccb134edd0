//! Row `steady`: messages echoed, so many in flight on so many connections, again and again.

use crate::peers::{Peer, Stable};
use crate::results::Results;
use porter::load::{Plan, Report, Scenario};
use std::time::Duration;

/// A load that stays the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// As tables and the picture call it.
    pub(crate) name: &'static str,
    connections: u64,
    in_flight: usize,
}

/// The loads, from the easiest on.
pub(crate) const LOADS: [Load; 3] = [
    Load { name: "50 connections, 1 message in flight", connections: 50, in_flight: 1 },
    Load { name: "500 connections, 1 message in flight", connections: 500, in_flight: 1 },
    Load { name: "50 connections, 16 messages in flight", connections: 50, in_flight: 16 },
];

/// One who waits, which the picture has no room for.
pub(crate) const ALONE: Load =
    Load { name: "1 connection, 1 message in flight", connections: 1, in_flight: 1 };

/// Server's CPU time.
pub(crate) const COST: &str = "server, µs/message";
pub(crate) const RATE: &str = "messages/s";
/// Of its CPU.
pub(crate) const LOAD_SHARE: &str = "load generator's share of its CPU, %";
/// Ready to run, while other programs ran: of the time, for the server or the load generator, whichever waited more.
pub(crate) const WAITED: &str = "waited for a CPU, %";

const SPAN: Duration = Duration::from_millis(1_000);

/// One turn of a peer.
///
/// # Errors
/// If the peer fails.
pub(crate) fn turn(stable: &Stable, peer: Peer, results: &mut Results) -> Result<(), String> {
    let server = stable.start(peer)?;
    for load in LOADS.into_iter().chain([ALONE]) {
        let Load { name, connections: clients, in_flight } = load;
        let plan = Plan { clients, in_flight, span: SPAN, ..server.plan(Scenario::Steady) };
        let report = server.protocol.load(&plan, &mut |_| {})?;
        let cost = report.server.and_then(|server| server.us_per_message);
        add(results, (name, peer.name()), &report, [(COST, cost), (RATE, Some(report.messages_per_second))]);
    }
    Ok(())
}

/// Adds what was measured, and whether server and load had their CPUs to themselves.
pub(crate) fn add(
    results: &mut Results,
    (work, peer): (&'static str, &'static str),
    report: &Report,
    figures: impl IntoIterator<Item = (&'static str, Option<f64>)>,
) {
    let waited = [report.tester_waited_share, report.server.and_then(|server| server.waited_share)];
    let waited = waited.into_iter().flatten().fold(0.0, f64::max) * 100.0;
    let load = report.tester_processor_share * 100.0;
    let usual = [(LOAD_SHARE, Some(load)), (WAITED, Some(waited))];
    for (measure, figure) in figures.into_iter().chain(usual) {
        if let Some(figure) = figure {
            results.add(work, peer, measure, figure);
        }
    }
}
