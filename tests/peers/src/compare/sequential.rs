//! Row `sequential`: clients one after another, each connects, logs in where there is a login, has one message echoed
//! and leaves.

use crate::dialects::Protocol;
use crate::peers::{Peer, Stable};
use crate::results::Results;
use crate::steady;
use porter::load::{Plan, Scenario};

/// As tables call it.
pub(crate) const AWAITED: &str = "one client after another";
/// What redis allows and porter does not: porter's message carries the token that the login gives.
pub(crate) const IN_ONE_GO: &str = "one client after another, login, message and farewell in one go";

/// Who sends Login, the message and the farewell when what was sent before is answered.
pub(crate) const EACH_AWAITED: &str = "one client after another, who waits for each answer";

pub(crate) const COST: &str = "server, µs/client";
pub(crate) const RATE: &str = "clients/s";

/// So many that the bare loop takes half a second for them.
const CLIENTS: u64 = 8_000;
const WARM_UP: u64 = 500;

/// One turn of a peer.
///
/// # Errors
/// If the peer fails.
pub(crate) fn turn(stable: &Stable, peer: Peer, results: &mut Results) -> Result<(), String> {
    let server = stable.start(peer)?;
    let in_one_go = (peer == Peer::Redis).then_some(Protocol::Resp { awaits_login: false });
    let (usual, waits) = (server.protocol, peer.has_login().then_some(server.protocol));
    let works = [(AWAITED, Some(usual), true), (IN_ONE_GO, in_one_go, true), (EACH_AWAITED, waits, false)];
    for (work, protocol, pipelined) in works {
        let Some(protocol) = protocol else { continue };
        let visits = |clients| Plan { clients, pipelined, ..server.plan(Scenario::Sequential) };
        protocol.load(&visits(WARM_UP), &mut |_| {})?;
        let report = protocol.load(&visits(CLIENTS), &mut |_| {})?;
        let cost = report.server.and_then(|server| server.us_per_connection);
        let figures = [(COST, cost), (RATE, Some(report.clients_per_second))];
        steady::add(results, (work, peer.name()), &report, figures);
    }
    Ok(())
}
