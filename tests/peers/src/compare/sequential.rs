//! Row `sequential`: clients one after another, each connects, logs in where there is a login, has one message echoed
//! and leaves.

use crate::ledger::Ledger;
use crate::meter::Meter;
use crate::peers::{Peer, Stable};
use crate::visits::Visitor;
use std::time::Duration;

/// As tables call it.
pub(crate) const AWAITED: &str = "one client after another";
/// What redis allows and porter does not: porter's message carries the token that the login gives.
pub(crate) const IN_ONE_GO: &str = "one client after another, login, message and farewell in one go";

pub(crate) const COST: &str = "server, µs/client";
pub(crate) const RATE: &str = "clients/s";

const WARM_UP: Duration = Duration::from_millis(200);
const SPAN: Duration = Duration::from_millis(1_000);

/// One turn of a peer.
///
/// # Errors
/// If the peer fails.
pub(crate) fn turn(stable: &Stable, peer: Peer, ledger: &mut Ledger) -> Result<(), String> {
    let server = stable.start(peer)?;
    for (work, awaits_login) in [(AWAITED, true), (IN_ONE_GO, false)] {
        if !awaits_login && peer != Peer::Redis {
            continue;
        }
        let mut visitor = Visitor::new(server.dialect, server.address, awaits_login);
        visitor.visit_for(WARM_UP)?;
        let meter = Meter::begin(&server)?;
        let clients = visitor.visit_for(SPAN)?;
        let add = |measure, figure| ledger.add(work, peer.name(), measure, figure);
        meter.end()?.enter(clients, [COST, RATE], add);
    }
    Ok(())
}
