//! What the system tells of a running server, and may do to it.

use super::eventually;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit, setrlimit};
use std::fs;
use std::time::Duration;

/// CPU time that the process has used, in user and system mode.
pub(crate) fn cpu_time(pid: Pid) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after_name = stat.rsplit(')').next().unwrap();
    let ticks: u64 =
        after_name.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
    // A tick of this file is a hundredth of a second on every Linux.
    Duration::from_millis(ticks * 10)
}

/// Bytes of memory that the process holds.
pub(crate) fn rss(pid: Pid) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kibibytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kibibytes * 1024
}

/// Stops the process until it is told to continue; it does nothing more when this returns.
pub(crate) fn stop(pid: Pid) {
    kill_process(pid, Signal::STOP).unwrap();
    eventually("the process has stopped", || is_stopped(pid).then_some(()));
}

/// Whether the process does nothing until it is told to continue.
pub(crate) fn is_stopped(pid: Pid) -> bool {
    is_in_state(pid, " T")
}

/// Whether the process waits for something, which a signal may end.
pub(crate) fn is_asleep(pid: Pid) -> bool {
    is_in_state(pid, " S")
}

fn is_in_state(pid: Pid, state: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(state))
}

/// How many descriptors the process has open.
pub(crate) fn descriptors(pid: Pid) -> u64 {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() as u64
}

/// Whether the process's stdin has O_NONBLOCK set.
pub(crate) fn stdin_is_non_blocking(pid: Pid) -> bool {
    let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/0")).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
    u32::from_str_radix(flags.trim(), 8).unwrap() & rustix::fs::OFlags::NONBLOCK.bits() != 0
}

/// Sets a soft limit of a child; `None` lifts it as far as it goes. A child has the hard limits of this process.
pub(crate) fn limit(pid: Pid, resource: Resource, current: Option<u64>) {
    let maximum = getrlimit(resource).maximum;
    prlimit(Some(pid), resource, Rlimit { current: current.or(maximum), maximum }).unwrap();
}

/// Lets this process open as many descriptors as it may at most.
pub(crate) fn allow_many_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
}
