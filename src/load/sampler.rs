//! Time, CPU time and memory of this process and of the server's, at a moment or between two, and where it was measured.
//!
//! This module must not know what the server does meanwhile.

use super::LoadError;
use crate::Clock;
use rustix::param::clock_ticks_per_second;
use rustix::time::{ClockId, clock_gettime};
use std::fs;
use std::time::Duration;

/// What a process has used by its ticks and by the scheduler's own count may differ by so much.
const TICKS_DIFFER: Duration = Duration::from_millis(40);

/// From this share of a CPU on, the tester itself may have been the limit.
const SHARE_OF_LIMIT: f64 = 0.9;

/// What samples are taken with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sampler<'a> {
    pub(super) clock: Clock,
    /// The server's processes, if they were named.
    pub(super) servers: &'a [u32],
}

/// How far the clocks are since some start; between two such samples, or in several such intervals, what passed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sample {
    pub(super) elapsed: Duration,
    /// What the load tester itself had of its CPU.
    pub(super) own: CpuTime,
    /// What the server had, if it was named.
    pub(super) server: Option<CpuTime>,
}

impl Sampler<'_> {
    /// Reads all clocks. A server's process that has ended meanwhile cannot be read any more; what the clients saw stays
    /// worth having.
    #[expect(clippy::disallowed_methods, reason = "a load tester measures itself too")]
    pub(super) fn sample(&self) -> Sample {
        let server = self.server_cpu().ok().flatten();
        // The clock knows exactly what this process used up to now, on every system.
        let used = Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default();
        let waited = scheduled(std::process::id()).and_then(|time| time.waited);
        Sample { elapsed: self.clock.now().since_start(), own: CpuTime { used, waited }, server }
    }

    /// What the server's processes together have had of their CPUs, if they were named.
    ///
    /// # Errors
    /// [`LoadError`] if one of them cannot be read.
    pub(super) fn server_cpu(&self) -> Result<Option<CpuTime>, LoadError> {
        let mut all = self.servers.iter().map(|pid| Process(*pid).cpu());
        let first = all.next().transpose()?;
        all.try_fold(first, |sum, cpu| cpu.map(|cpu| sum.map(|sum| sum.with(cpu, Duration::saturating_add))))
    }

    /// The bytes of memory that they hold, if they were named and their memory can be read.
    pub(super) fn server_memory(&self) -> Option<u64> {
        let all = self.servers.iter().map(|pid| Process(*pid).memory_bytes().ok());
        all.sum::<Option<u64>>().filter(|_| !self.servers.is_empty())
    }
}

impl Sample {
    /// What passed since an earlier sample.
    pub(super) fn since(self, earlier: Sample) -> Sample {
        self.with(earlier, Duration::saturating_sub)
    }

    /// What passed in two intervals together.
    pub(super) fn and(self, other: Sample) -> Sample {
        self.with(other, Duration::saturating_add)
    }

    fn with(self, other: Sample, both: fn(Duration, Duration) -> Duration) -> Sample {
        Sample {
            elapsed: both(self.elapsed, other.elapsed),
            own: self.own.with(other.own, both),
            server: self.server.zip(other.server).map(|(one, another)| one.with(another, both)),
        }
    }

    pub(super) fn rate(&self, amount: f64) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { round(amount / seconds, 3) } else { 0.0 }
    }

    /// The part of one CPU that a process had, 0 to 1, and that it waited for.
    pub(super) fn shares(&self, cpu: CpuTime) -> (f64, Option<f64>) {
        let share = |time: Duration| self.rate(time.as_secs_f64());
        (share(cpu.used), cpu.waited.map(share))
    }

    /// Whether the load tester had as good as all of a CPU, or would have.
    pub(super) fn shows_limit(&self) -> bool {
        let wanted = self.own.used + self.own.waited.unwrap_or_default();
        self.rate(wanted.as_secs_f64()) >= SHARE_OF_LIMIT
    }
}

/// To so many digits after the point.
pub(super) fn round(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

/// What a process has had of its CPUs so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuTime {
    /// In user and system mode: to the nanosecond on Linux, else to a tick, mostly 10 ms.
    pub used: Duration,
    /// How long it could have run and others did, if the system counts that.
    pub waited: Option<Duration>,
}

impl CpuTime {
    fn with(self, other: CpuTime, both: fn(Duration, Duration) -> Duration) -> CpuTime {
        let waited = self.waited.zip(other.waited).map(|(one, another)| both(one, another));
        CpuTime { used: both(self.used, other.used), waited }
    }
}

/// A process on this machine, by its number.
#[derive(Clone, Copy, Debug)]
pub struct Process(pub u32);

impl Process {
    /// What it has had of its CPUs.
    ///
    /// # Errors
    /// [`LoadError`] if the system does not say.
    pub fn cpu(self) -> Result<CpuTime, LoadError> {
        let ticks = read(self.0, "stat", cpu_ticks)?;
        let used = Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second().max(1) as f64);
        // What threads have used that have ended is among the ticks only.
        let exact = scheduled(self.0).filter(|exact| exact.used + TICKS_DIFFER > used);
        Ok(exact.unwrap_or(CpuTime { used, waited: None }))
    }

    /// The bytes of memory that it holds now.
    ///
    /// # Errors
    /// [`LoadError`] if the system does not say.
    pub fn memory_bytes(self) -> Result<u64, LoadError> {
        // The first is exact; the second may be some pages behind, and is there for everybody.
        let exact = read(self.0, "smaps_rollup", |text| memory_bytes(text, "Rss:"));
        exact.or_else(|_| read(self.0, "status", |text| memory_bytes(text, "VmRSS:")))
    }
}

fn read(pid: u32, file: &str, find: impl Fn(&str) -> Option<u64>) -> Result<u64, LoadError> {
    let path = format!("/proc/{pid}/{file}");
    let text = fs::read_to_string(&path).map_err(|error| error.to_string());
    let found = text.and_then(|text| find(&text).ok_or_else(|| "it does not tell".to_owned()));
    found.map_err(|reason| {
        let way_out = "is it the server's process, on this machine?";
        LoadError::new("no_process", format!("--pid {pid}: cannot read {path}: {reason}; {way_out}"))
    })
}

/// What the scheduler has counted of all threads together, if it lets itself be asked: for each the nanoseconds on a CPU,
/// those of waiting for one, and how often it got one.
fn scheduled(pid: u32) -> Option<CpuTime> {
    let mut sum = CpuTime { used: Duration::ZERO, waited: Some(Duration::ZERO) };
    for thread in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        // A thread that has ended meanwhile is not there any more.
        let Ok(text) = fs::read_to_string(thread.ok()?.path().join("schedstat")) else { continue };
        let mut fields = text.split_ascii_whitespace();
        let mut time = || Some(Duration::from_nanos(fields.next()?.parse().ok()?));
        let thread = CpuTime { used: time()?, waited: Some(time()?) };
        sum = sum.with(thread, Duration::saturating_add);
    }
    (!sum.used.is_zero()).then_some(sum)
}

/// User and system ticks: the 14th and 15th field. The second is a name in brackets that may have anything in it.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(ticks()? + ticks()?)
}

fn memory_bytes(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = rest.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1_024)
}

/// What the machine calls itself: CPUs, kernel.
pub fn machine_description() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let models: Vec<&str> = cpus.lines().filter_map(|line| line.strip_prefix("model name")).collect();
    let model = models.first().map_or("CPU", |model| model.trim_start_matches([' ', '\t', ':']));
    let kernel = read("/proc/sys/kernel/osrelease");
    let system = if kernel.is_empty() { "not Linux".to_owned() } else { format!("Linux {}", kernel.trim()) };
    format!("{} x {model}, {system}", models.len().max(1))
}

/// The day, in UTC.
pub fn today() -> String {
    time::OffsetDateTime::now_utc().date().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_found_whatever_the_program_is_called() {
        let stat = "17 (a) (b c) S 1 2 3 4 5 6 7 8 9 10 300 45 6 7 20 0 1 0 99";
        assert_eq!((cpu_ticks(stat), cpu_ticks("17 (a) S 1 2")), (Some(345), None));
        assert_eq!(memory_bytes("Name: x\nVmRSS:\t   12 kB\nVmHWM: 9 kB", "VmRSS:"), Some(12_288));
    }
}
