//! What is said on stderr when the log may not be read, or cannot be.

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Says something on stderr, unless that would block: stderr may be a pipe that nobody reads.
pub(super) fn warn_stderr(text: &str) {
    let stderr = rustix::stdio::stderr();
    let mut ready = [PollFd::new(&stderr, PollFlags::OUT)];
    if matches!(poll(&mut ready, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(1)) {
        // Short enough for any pipe that is writable; with stderr gone there is nobody left to tell.
        let line: String = format!("porter-server: {text}\n").chars().take(500).collect();
        let _ = rustix::io::write(stderr, line.as_bytes());
    }
}
