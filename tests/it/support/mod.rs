//! What all the tests use: the server as a child process, and a visitor who speaks in bytes.

#[cfg(feature = "tls")]
mod certificates;
mod crowd;
mod folder;
mod lines;
mod process;
mod proxy;
mod redis;
mod server;
mod siege;
mod terminal;
mod visitor;

#[cfg(feature = "tls")]
pub(crate) use certificates::Authority;
pub(crate) use folder::{Folder, SLOW_PASSWORD, stored_password};
pub(crate) use lines::Lines;
pub(crate) use process::{
    allow_many_descriptors, cpu_time, descriptors, is_asleep, is_stopped, limit, rss, stdin_is_non_blocking,
    stop,
};
pub(crate) use proxy::{Path, Proxy};
pub(crate) use redis::Redis;
pub(crate) use server::{SERVICE_MANAGER_VARIABLES, Server, Setup};
pub(crate) use siege::Siege;
pub(crate) use terminal::Terminal;
pub(crate) use visitor::{Said, Visitor, frame};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fmt::Display;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// The longest that any wait may take before its test fails. Nothing depends on it being short, and a machine may be busy.
pub(crate) const CEILING: Duration = Duration::from_secs(100);
/// The password of every visitor who has no reason for another.
pub(crate) const PASSWORD: &str = "open sesame";
/// A rounds value that no test waits for: some 20 s of hashing.
pub(crate) const FOREVER_ROUNDS: &str = "100000000";

/// Says what is not tested for want of a program, past the harness, which shows what passing tests print to nobody.
pub(crate) fn left_out(what: &str, package: &str, error: &dyn Display) {
    let line = format!("LEFT OUT: {what}: {error}; apt-get install {package}\n");
    // With stderr gone there is nobody to tell.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// A call on a socket that waits for a time only. It fails whenever the process is stopped and goes on, as a debugger or a
/// frozen container does (signal(7)), and is then to be made again.
pub(crate) fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

/// Looks again and again until `look` sees something: for what has no event that a test could wait for, such as a
/// line in a file.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(start.elapsed() < CEILING, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Fails the test if nothing can be read or accepted here before the ceiling.
pub(crate) fn await_input(fd: impl AsFd) {
    let ceiling = Timespec::try_from(CEILING).unwrap();
    let mut ports = [PollFd::new(&fd, PollFlags::IN)];
    assert_eq!(poll(&mut ports, Some(&ceiling)).unwrap(), 1, "nothing came within {CEILING:?}");
}
