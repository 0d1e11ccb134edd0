//! Row `steady`: messages echoed, so many in flight on so many connections, again and again.

use crate::crowd::{Crowd, Until};
use crate::ledger::Ledger;
use crate::meter::Meter;
use crate::peers::{Peer, Stable};
use std::time::Duration;

/// A load that stays the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// As tables and the picture call it.
    pub(crate) name: &'static str,
    connections: usize,
    in_flight: u32,
}

/// The loads, from the easiest on.
pub(crate) const LOADS: [Load; 3] = [
    Load { name: "50 connections, 1 message in flight", connections: 50, in_flight: 1 },
    Load { name: "500 connections, 1 message in flight", connections: 500, in_flight: 1 },
    Load { name: "50 connections, 16 messages in flight", connections: 50, in_flight: 16 },
];

/// Server's processor time.
pub(crate) const COST: &str = "server, µs/message";
pub(crate) const RATE: &str = "messages/s";

const WARM_UP: Duration = Duration::from_millis(200);
const SPAN: Duration = Duration::from_millis(1_000);

/// One turn of a peer.
///
/// # Errors
/// If the peer fails.
pub(crate) fn turn(stable: &Stable, peer: Peer, ledger: &mut Ledger) -> Result<(), String> {
    let server = stable.start(peer)?;
    for load in LOADS {
        let mut crowd = Crowd::new(server.dialect, server.address)?;
        crowd.admit(load.connections)?;
        crowd.exchange(load.in_flight, Until::After(WARM_UP))?;
        let meter = Meter::begin(&server)?;
        let messages = crowd.exchange(load.in_flight, Until::After(SPAN))?;
        let add = |measure, figure| ledger.add(load.name, peer.name(), measure, figure);
        meter.end()?.enter(messages, [COST, RATE], add);
    }
    Ok(())
}
