//! Row `start`: porter's start with a million users.

use crate::peers::{Manner, Peer, Stable};
use crate::results::Results;
use std::time::Instant;

pub(crate) const USERS: u32 = 1_000_000;

/// As tables call it.
pub(crate) const WORK: &str = "start with 1 000 000 users";
pub(crate) const SECONDS: &str = "seconds until it listens";
pub(crate) const MEMORY: &str = "most memory, MB";

/// One turn.
///
/// # Errors
/// If it does not start.
pub(crate) fn turn(stable: &Stable, results: &mut Results) -> Result<(), String> {
    let folder = stable.porter_with_users(USERS)?;
    let began = Instant::now();
    let server = stable.porter(folder, Manner::default())?;
    results.add(WORK, Peer::Porter.name(), SECONDS, began.elapsed().as_secs_f64());
    results.add(WORK, Peer::Porter.name(), MEMORY, server.memory_most()? as f64 / 1e6);
    Ok(())
}
