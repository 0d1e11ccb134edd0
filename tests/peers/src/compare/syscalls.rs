//! Row `syscalls`: system calls of the server for each message, counted by `perf stat`, which hardly slows it down, or
//! where that is not there by `strace -c`, which does.

use crate::peers::{Peer, Stable};
use crate::results::Results;
use porter::load::{Part, Plan, Scenario};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Connections, and as tables call them.
pub(crate) const LOADS: [(&str, u64); 2] =
    [("1 connection, 1 message in flight", 1), ("50 connections, 1 message in flight", 50)];
pub(crate) const COUNT: &str = "system calls/message";

/// So long that what a server does by itself meanwhile is nothing to it.
const SPAN: Duration = Duration::from_millis(1_000);
/// The longest wait for the counter to be attached.
const ATTACH: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(5);

/// What counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counter {
    Perf,
    Strace,
}

impl Counter {
    /// The better of those that work here; `None` if there is none.
    pub(crate) fn find() -> Option<Counter> {
        let works = |program, arguments: &[&str]| {
            let mut command = Command::new(program);
            command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        if works("perf", &["stat", "-e", PERF_EVENT, "true"]) {
            return Some(Counter::Perf);
        }
        works("strace", &["-c", "true"]).then_some(Counter::Strace)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Counter::Perf => "perf stat",
            Counter::Strace => "strace -c, which slows the server down, so that more messages share a wait",
        }
    }
}

const PERF_EVENT: &str = "raw_syscalls:sys_enter";

/// One turn of a peer.
///
/// # Errors
/// If the peer or the counter fails.
pub(crate) fn turn(
    stable: &Stable,
    peer: Peer,
    counter: Counter,
    results: &mut Results,
) -> Result<(), String> {
    let server = stable.start(peer)?;
    for (name, clients) in LOADS {
        let plan = Plan { clients, in_flight: 1, span: SPAN, ..server.plan(Scenario::Steady) };
        let (mut count, mut calls) = (None, None);
        let report = server.protocol.load(&plan, &mut |progress| match progress.part {
            Part::Measured if count.is_none() => count = Some(Count::begin(counter, server.pid())),
            Part::End => calls = count.take().map(|count| count.and_then(Count::end)),
            _ => {}
        })?;
        let calls = calls.unwrap_or_else(|| Err("nothing was counted".to_owned()))?;
        results.add(name, peer.name(), COUNT, calls as f64 / report.message_us.count.max(1) as f64);
    }
    Ok(())
}

/// A count that is under way.
struct Count {
    counter: Counter,
    child: Child,
    stderr: BufReader<ChildStderr>,
}

impl Count {
    /// Begins to count what a process and its threads do.
    fn begin(counter: Counter, pid: u32) -> Result<Count, String> {
        let pid = pid.to_string();
        let mut command = match counter {
            Counter::Perf => Command::new("perf"),
            Counter::Strace => Command::new("strace"),
        };
        match counter {
            Counter::Perf => command.args(["stat", "-x", ",", "-e", PERF_EVENT, "-p", &pid]),
            Counter::Strace => command.args(["-c", "-f", "-p", &pid]),
        };
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("{}: {error}", counter.name()))?;
        let stderr = child.stderr.take().map(BufReader::new).ok_or("its stderr is not there")?;
        let mut count = Count { counter, child, stderr };
        count.await_attached()?;
        Ok(count)
    }

    fn await_attached(&mut self) -> Result<(), String> {
        if self.counter == Counter::Strace {
            // strace: Process 17 attached
            return self.stderr.read_line(&mut String::new()).map(drop).map_err(|error| error.to_string());
        }
        let began = Instant::now();
        while began.elapsed() < ATTACH {
            let folder = format!("/proc/{}/fd", self.child.id());
            let descriptors = fs::read_dir(&folder).map_err(|error| format!("{folder}: {error}"))?.flatten();
            let mut targets = descriptors.flat_map(|entry| fs::read_link(entry.path()));
            if targets.any(|target| target.to_string_lossy().contains("perf_event")) {
                // It is open and counts a moment later.
                sleep(10 * LOOK);
                return Ok(());
            }
            sleep(LOOK);
        }
        Err("perf does not attach to the server".to_owned())
    }

    /// Ends it, and says how many there were.
    fn end(mut self) -> Result<u64, String> {
        kill_process(Pid::from_child(&self.child), Signal::INT).map_err(|error| error.to_string())?;
        let mut told = String::new();
        self.stderr.read_to_string(&mut told).map_err(|error| error.to_string())?;
        let count = match self.counter {
            Counter::Perf => perf_count(&told),
            Counter::Strace => strace_count(&told),
        };
        count.ok_or_else(|| format!("{} counted nothing: {told}", self.counter.name()))
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `1234,,raw_syscalls:sys_enter,...`
fn perf_count(told: &str) -> Option<u64> {
    told.lines().find(|line| line.contains(PERF_EVENT))?.split(',').next()?.parse().ok()
}

/// The line `100.00 SECONDS USECS CALLS ERRORS total`, in which columns without a figure are missing.
fn strace_count(told: &str) -> Option<u64> {
    told.lines().find(|line| line.ends_with(" total"))?.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_found_in_what_is_printed() {
        assert_eq!(perf_count("1234,,raw_syscalls:sys_enter,5555,100.00,,\n"), Some(1234));
        assert_eq!(perf_count("<not counted>,,raw_syscalls:sys_enter,0,0.00,,\n"), None);
        let table = "100.00    0.001165          14        79        12 total\n";
        assert_eq!(strace_count(table), Some(79));
    }
}
