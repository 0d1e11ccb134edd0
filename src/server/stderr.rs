//! What is said on stderr when the log may not be read, or cannot be.

use super::stream::{BLOCKING_WRITE_BYTES, is_ready};
use log::Level;
use rustix::event::PollFlags;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether stderr has the log. Both are the whole process's.
static HAS_LOG: AtomicBool = AtomicBool::new(false);

/// Whether a warning was said there since somebody asked.
static HAS_WARNED: AtomicBool = AtomicBool::new(false);

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
    let stderr = rustix::stdio::stderr();
    if is_ready(stderr, PollFlags::OUT) {
        // With stderr gone there is nobody left to tell.
        let mut line = format!("porter-server: {text}");
        while line.len() >= BLOCKING_WRITE_BYTES {
            line.pop();
        }
        line.push('\n');
        let _ = rustix::io::write(stderr, line.as_bytes());
        HAS_WARNED.store(true, Ordering::Relaxed);
    }
}

/// Whether a warning was said there since the last call.
pub(super) fn take_warned() -> bool {
    HAS_WARNED.swap(false, Ordering::Relaxed)
}
