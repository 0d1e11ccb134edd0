//! Time, CPU time and memory before and after something, of this process and of the server's, and what lies between two
//! samples.
//!
//! This module must not know what the server does meanwhile.

use super::LoadError;
use crate::Moment;
use rustix::param::clock_ticks_per_second;
use rustix::time::{ClockId, clock_gettime};
use std::fs;
use std::time::{Duration, Instant};

/// What a process has used by its ticks and by the scheduler's own count may differ by so much.
const TICKS_DIFFER: Duration = Duration::from_millis(40);

/// The monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock(Instant);

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "a load tester measures real time")]
    pub(super) fn start() -> Clock {
        Clock(Instant::now())
    }

    pub(super) fn now(&self) -> Moment {
        Moment::START + self.0.elapsed()
    }
}

/// What this process has used of its CPUs so far.
#[expect(clippy::disallowed_methods, reason = "a load tester measures itself too")]
pub(super) fn own_cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

/// What samples are taken with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sampler {
    pub(super) clock: Clock,
    pub(super) server: Process,
}

/// How far the clocks were.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    at: Moment,
    own: CpuTime,
    server: Option<CpuTime>,
}

/// What lies between two samples, or in several such intervals.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Interval {
    pub(super) elapsed: Duration,
    /// What the load tester itself had of its CPU.
    pub(super) own: CpuTime,
    /// What the server had, if it was named.
    pub(super) server: Option<CpuTime>,
}

impl Sampler {
    /// Reads all clocks. A server's process that has ended meanwhile tells nothing any more; what the clients saw stays
    /// worth having.
    pub(super) fn sample(&self) -> Sample {
        let server = self.server.cpu().ok().flatten();
        Sample { at: self.clock.now(), own: own_time(), server }
    }

    /// The bytes of memory that the server holds, if its process was named and tells.
    pub(super) fn server_memory(&self) -> Option<u64> {
        self.server.memory_bytes().ok().flatten()
    }

    /// Looks whether the server's process can be looked at, if it was named.
    ///
    /// # Errors
    /// [`LoadError`] if it cannot.
    pub(super) fn check(&self) -> Result<(), LoadError> {
        self.server.cpu()?;
        self.server.memory_bytes()?;
        Ok(())
    }
}

impl Sample {
    /// What lies between an earlier sample and this one.
    pub(super) fn since(&self, earlier: &Sample) -> Interval {
        Interval {
            elapsed: self.at.since(earlier.at),
            own: self.own.since(earlier.own),
            server: self.server.zip(earlier.server).map(|(now, before)| now.since(before)),
        }
    }
}

impl Interval {
    /// Both together.
    pub(super) fn and(self, other: Interval) -> Interval {
        Interval {
            elapsed: self.elapsed + other.elapsed,
            own: self.own.and(other.own),
            server: self.server.zip(other.server).map(|(one, another)| one.and(another)),
        }
    }

    /// So many each second.
    pub(super) fn rate(&self, amount: f64) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { round(amount / seconds, 3) } else { 0.0 }
    }

    /// The part of one CPU that this process had or waited for, 0 to 1.
    pub(super) fn own_demand(&self) -> f64 {
        self.share(self.own.used + self.own.waited.unwrap_or_default())
    }

    /// The part of one CPU that was used, 0 to 1.
    pub(super) fn share(&self, cpu: Duration) -> f64 {
        self.rate(cpu.as_secs_f64())
    }
}

/// What this process has had: the clock tells what it used exactly up to now, on every system.
fn own_time() -> CpuTime {
    let waited = Process::own().cpu().ok().flatten().and_then(|time| time.waited);
    CpuTime { used: own_cpu_time(), waited }
}

/// To so many digits after the point.
pub(super) fn round(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

/// The server's process, if it was named.
#[derive(Clone, Copy, Debug)]
pub struct Process(Option<u32>);

/// What a process has had of its CPUs so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuTime {
    /// In user and system mode: to the nanosecond where Linux tells that, else to a tick, mostly 10 ms.
    pub used: Duration,
    /// How long it could have run and others did, if the system tells.
    pub waited: Option<Duration>,
}

impl CpuTime {
    /// What came to it since an earlier look.
    pub(super) fn since(self, earlier: CpuTime) -> CpuTime {
        CpuTime {
            used: self.used.saturating_sub(earlier.used),
            waited: self.waited.zip(earlier.waited).map(|(now, before)| now.saturating_sub(before)),
        }
    }

    /// Both together.
    pub(super) fn and(self, other: CpuTime) -> CpuTime {
        let waited = self.waited.zip(other.waited).map(|(one, another)| one + another);
        CpuTime { used: self.used + other.used, waited }
    }
}

impl Process {
    /// This one.
    pub(super) fn own() -> Process {
        Process(Some(std::process::id()))
    }

    /// The one with this number, if there is one.
    pub fn new(pid: Option<u32>) -> Process {
        Process(pid)
    }

    /// What it has had of its CPUs; `None` if no process was named.
    ///
    /// # Errors
    /// [`LoadError`] if the system does not tell.
    pub fn cpu(self) -> Result<Option<CpuTime>, LoadError> {
        self.0
            .map(|pid| {
                let ticks = told(pid, "stat", cpu_ticks)?;
                let used = Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second().max(1) as f64);
                // What threads have used that have ended is among the ticks only.
                let exact = schedule(pid).filter(|exact| exact.used + TICKS_DIFFER > used);
                Ok(exact.unwrap_or(CpuTime { used, waited: None }))
            })
            .transpose()
    }

    /// The bytes of memory that it holds now; `None` if no process was named.
    ///
    /// # Errors
    /// [`LoadError`] if the system does not tell.
    pub fn memory_bytes(self) -> Result<Option<u64>, LoadError> {
        // The first is exact; the second may be some pages behind, and is there for everybody.
        self.0
            .map(|pid| {
                told(pid, "smaps_rollup", |text| memory_bytes(text, "Rss:"))
                    .or_else(|_| told(pid, "status", |text| memory_bytes(text, "VmRSS:")))
            })
            .transpose()
    }
}

fn told(pid: u32, file: &str, find: impl Fn(&str) -> Option<u64>) -> Result<u64, LoadError> {
    let path = format!("/proc/{pid}/{file}");
    let text = fs::read_to_string(&path).map_err(|error| error.to_string());
    let found = text.and_then(|text| find(&text).ok_or_else(|| "it does not tell".to_owned()));
    found.map_err(|reason| {
        let reason = format!(
            "--pid {pid}: cannot read {path}: {reason}; is it the server's process, on this machine?"
        );
        LoadError::new("no_process", reason)
    })
}

/// What the scheduler has counted of all threads together, if it lets itself be asked.
fn schedule(pid: u32) -> Option<CpuTime> {
    let mut sum = CpuTime { used: Duration::ZERO, waited: Some(Duration::ZERO) };
    for thread in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        // A thread that has ended meanwhile is not there any more.
        if let Ok(text) = fs::read_to_string(thread.ok()?.path().join("schedstat")) {
            sum = sum.and(scheduled(&text)?);
        }
    }
    (!sum.used.is_zero()).then_some(sum)
}

/// Nanoseconds on a CPU, nanoseconds of waiting for one, and how often it got one.
fn scheduled(schedstat: &str) -> Option<CpuTime> {
    let mut fields = schedstat.split_ascii_whitespace();
    let mut time = || Some(Duration::from_nanos(fields.next()?.parse().ok()?));
    Some(CpuTime { used: time()?, waited: Some(time()?) })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_found_whatever_the_program_is_called() {
        let stat = "17 (a) (b c) S 1 2 3 4 5 6 7 8 9 10 300 45 6 7 20 0 1 0 99";
        assert_eq!(cpu_ticks(stat), Some(345));
        assert_eq!(cpu_ticks("17 (a) S 1 2"), None);
        let scheduled = scheduled("71503280 53649102 244\n").unwrap();
        assert_eq!(
            (scheduled.used.as_nanos(), scheduled.waited.unwrap().as_nanos()),
            (71_503_280, 53_649_102)
        );
        assert_eq!(memory_bytes("Name: x\nVmRSS:\t   12 kB\nVmHWM: 9 kB", "VmRSS:"), Some(12_288));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_is_told_of_and_its_lack_is_told() {
        let own = Process::new(Some(std::process::id()));
        assert!(own.memory_bytes().unwrap().unwrap() > 100_000 && own.cpu().unwrap().is_some());
        assert!(Process::new(None).cpu().unwrap().is_none());
        let error = Process::new(Some(u32::MAX)).memory_bytes().unwrap_err();
        assert!(error.reason.contains("--pid 4294967295"), "{error}");
    }
}
