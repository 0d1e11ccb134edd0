//! Row `idle`: what a connection costs the server's memory that has logged in and says nothing.

use crate::peers::{Peer, Stable};
use crate::results::Results;
use crate::server::Server;
use porter::load::{Part, Plan, Scenario};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Connections that are counted.
pub(crate) const CONNECTIONS: u64 = 15_000;
/// As many as a server with a thread for each is asked to hold.
pub(crate) const THREADS: u64 = 1_000;
/// Connections before those: what the first ones bring about is no part of what one more costs.
const BEFORE: u64 = 50;

/// What was in use at the login is given back by and by: it is waited until nothing was for so long, and for how long at
/// most.
const SETTLED: Duration = Duration::from_secs(4);
const SETTLING_MOST: Duration = Duration::from_secs(30);

/// As tables call it.
pub(crate) const WORK: &str = "one idle connection";
pub(crate) const COST: &str = "bytes of server memory";

/// One turn of a peer.
///
/// # Errors
/// If the peer fails, or does not take so many.
pub(crate) fn turn(stable: &Stable, peer: Peer, results: &mut Results) -> Result<(), String> {
    let count = if peer == Peer::Blocking { THREADS } else { CONNECTIONS };
    results.add(WORK, peer.name(), COST, each(&stable.start(peer)?, count)?);
    Ok(())
}

/// What each of so many connections costs a server.
///
/// # Errors
/// If it fails, or does not take so many.
pub(crate) fn each(server: &Server, count: u64) -> Result<f64, String> {
    let before = settled_memory(server, BEFORE)?;
    let grown = settled_memory(server, BEFORE + count)?.saturating_sub(before);
    Ok(grown as f64 / count as f64)
}

/// What the server holds with so many connections once it gives nothing back any more.
fn settled_memory(server: &Server, clients: u64) -> Result<u64, String> {
    let plan = Plan { clients, span: SETTLING_MOST, ..server.plan(Scenario::Idle) };
    let mut least = u64::MAX;
    let mut since = Instant::now();
    server.protocol.load(&plan, &mut |progress| {
        let memory = server.process().memory_bytes().ok();
        match memory.filter(|_| progress.part == Part::Measured) {
            Some(bytes) if bytes < least => (least, since) = (bytes, Instant::now()),
            Some(_) if since.elapsed() >= SETTLED => plan.interrupt.store(true, Ordering::Relaxed),
            _ => {}
        }
    })?;
    if least == u64::MAX { Err("its memory is not told".to_owned()) } else { Ok(least) }
}
