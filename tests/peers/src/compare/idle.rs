//! Row `idle`: what a connection costs the server's memory that has logged in and says nothing.

use crate::crowd::Crowd;
use crate::ledger::Ledger;
use crate::peers::{Peer, Stable};
use std::thread::sleep;
use std::time::Duration;

/// Connections that are counted.
pub(crate) const CONNECTIONS: usize = 15_000;
/// As many as a server with a thread for each is asked to hold.
pub(crate) const THREADS: usize = 1_000;
/// Connections before those: what the first ones bring about is no part of what one more costs.
const BEFORE: usize = 50;

/// Until what was in use at the login is given back: redis does so after two seconds.
const SETTLING: Duration = Duration::from_secs(4);

/// As tables call it.
pub(crate) const WORK: &str = "one idle connection";
pub(crate) const COST: &str = "bytes of server memory";

/// One turn of a peer.
///
/// # Errors
/// If the peer fails, or does not take so many.
pub(crate) fn turn(stable: &Stable, peer: Peer, ledger: &mut Ledger) -> Result<(), String> {
    let server = stable.start(peer)?;
    let mut crowd = Crowd::new(server.dialect, server.address)?;
    crowd.admit(BEFORE)?;
    sleep(SETTLING);
    let before = server.memory()?;
    let count = if peer == Peer::Blocking { THREADS } else { CONNECTIONS };
    crowd.admit(count)?;
    sleep(SETTLING);
    let grown = server.memory()?.saturating_sub(before);
    ledger.add(WORK, peer.name(), COST, grown as f64 / count as f64);
    Ok(())
}
