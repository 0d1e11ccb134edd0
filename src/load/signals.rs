//! Signals that end a run.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// From now on the first SIGINT or SIGTERM sets `interrupt`, which ends a run with the figures so far, and one that comes
/// when it is set ends the process at once.
///
/// # Errors
/// If the system refuses.
pub fn end_at_signals(interrupt: &Arc<AtomicBool>) -> io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        // In this order, or the first would be taken for the second.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(interrupt))?;
        flag::register(signal, Arc::clone(interrupt))?;
    }
    Ok(())
}
