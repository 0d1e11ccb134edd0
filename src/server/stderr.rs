//! What is said on stderr when the log may not be read, or cannot be.

use super::stream::{BLOCKING_WRITE_BYTES, is_ready};
use log::Level;
use rustix::event::PollFlags;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Whether stderr has the log. Both are the whole process's.
static HAS_LOG: AtomicBool = AtomicBool::new(false);

/// Whether stderr is the terminal at which somebody types, in a row that would be torn.
static IS_TYPED_AT: AtomicBool = AtomicBool::new(false);

/// Warnings that wait to be shown where that row is known.
static HELD: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Whether there are any: it is asked for in every turn.
static HAS_HELD: AtomicBool = AtomicBool::new(false);

/// More of them are not said in one turn.
const HELD_WARNINGS: usize = 16;

/// From now on what is logged is on stderr already.
#[cfg(feature = "programs")]
pub(super) fn give_log() {
    HAS_LOG.store(true, Ordering::Relaxed);
}

/// Whether a line that is logged at this level is on stderr by that.
pub(super) fn has_log_at(level: Level) -> bool {
    HAS_LOG.load(Ordering::Relaxed) && level <= log::max_level()
}

/// Says what is logged as a warning on stderr too, unless that would block: stderr may be a pipe that nobody reads.
pub(super) fn warn_stderr(text: &str) {
    if has_log_at(Level::Warn) {
        return;
    }
    let line = format!("porter-server: {text}");
    if !IS_TYPED_AT.load(Ordering::Relaxed) {
        return write_line(line);
    }
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    if held.len() < HELD_WARNINGS {
        held.push(line);
    }
    HAS_HELD.store(true, Ordering::Relaxed);
}

/// With stderr gone there is nobody left to tell.
fn write_line(mut line: String) {
    let stderr = rustix::stdio::stderr();
    if is_ready(stderr, PollFlags::OUT) {
        while line.len() >= BLOCKING_WRITE_BYTES {
            line.pop();
        }
        line.push('\n');
        let _ = rustix::io::write(stderr, line.as_bytes());
    }
}

/// Whether warnings wait from now on to be [taken](take_held_warnings), because somebody types where they would be said.
/// Those that wait when it ends are said.
pub(super) fn hold_warnings(is_typed_at: bool) {
    IS_TYPED_AT.store(is_typed_at, Ordering::Relaxed);
    if !is_typed_at && has_held_warnings() {
        take_held_warnings().into_iter().for_each(write_line);
    }
}

/// Whether there are warnings to be taken.
#[inline]
pub(super) fn has_held_warnings() -> bool {
    HAS_HELD.load(Ordering::Relaxed)
}

/// Warnings that wait to be shown above the row in which somebody types.
pub(super) fn take_held_warnings() -> Vec<String> {
    HAS_HELD.store(false, Ordering::Relaxed);
    std::mem::take(&mut *HELD.lock().unwrap_or_else(PoisonError::into_inner))
}
