//! Stopping and being continued, as a shell has its jobs do.
//!
//! This module must not know what a program does about it.

use rustix::process::{Signal, getpgrp, getpid, getsid, kill_process_group};
use signal_hook::low_level;
use std::fs;

/// Ends this process as the signal would have, so that whoever started it sees by what it ended; or stops it until it is
/// continued.
pub fn act_as_default(signal: i32) {
    // A signal that cannot be raised leaves nothing to do but to go on.
    let _ = low_level::emulate_default_handler(signal);
}

/// Stops the process group, as the key for that does, if there is a shell to continue it. The process that leads the
/// session of its terminal, as in a container, has none.
pub fn stop_if_somebody_can_continue() {
    if getsid(None).is_ok_and(|session| session != getpid()) {
        // One that cannot be stopped goes on.
        let _ = kill_process_group(getpgrp(), Signal::TSTP);
    }
}

/// Whether this process ignores a signal, where the system says. What it was started to ignore (`nohup`) it goes on to
/// ignore.
pub fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}
