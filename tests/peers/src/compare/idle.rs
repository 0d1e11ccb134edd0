//! Row `idle`: what a connection costs the server's memory that has logged in and says nothing.

use crate::crowd::Crowd;
use crate::ledger::Ledger;
use crate::peers::{Peer, Stable};
use crate::server::Server;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Connections that are counted.
pub(crate) const CONNECTIONS: usize = 15_000;
/// As many as a server with a thread for each is asked to hold.
pub(crate) const THREADS: usize = 1_000;
/// Connections before those: what the first ones bring about is no part of what one more costs.
const BEFORE: usize = 50;

/// What was in use at the login is given back by and by: it is waited until nothing was for so long, and for how long at
/// most.
const SETTLED: Duration = Duration::from_secs(4);
const SETTLING_MOST: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);

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
    let before = settled_memory(&server)?;
    let count = if peer == Peer::Blocking { THREADS } else { CONNECTIONS };
    crowd.admit(count)?;
    let grown = settled_memory(&server)?.saturating_sub(before);
    ledger.add(WORK, peer.name(), COST, grown as f64 / count as f64);
    Ok(())
}

/// What the server holds once it gives nothing back any more.
fn settled_memory(server: &Server) -> Result<u64, String> {
    let began = Instant::now();
    let (mut least, mut since) = (server.memory()?, began);
    while since.elapsed() < SETTLED && began.elapsed() < SETTLING_MOST {
        sleep(LOOK);
        let now = server.memory()?;
        if now < least {
            (least, since) = (now, Instant::now());
        }
    }
    Ok(least)
}
