//! What the system tells of the server's process: processor time and memory, read from `/proc`.
//!
//! This module must not know what the server does meanwhile.

use super::mishap::Mishap;
use rustix::param::clock_ticks_per_second;
use std::fs;
use std::time::Duration;

/// The server's process, if it was named.
#[derive(Clone, Copy, Debug)]
pub(super) struct Process(Option<u32>);

/// What a process has had of its processors so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ProcessorTime {
    /// In user and system mode: to the nanosecond where Linux tells that, else to a tick, mostly 10 ms.
    pub(super) used: Duration,
    /// How long it could have run and others did, if the system tells.
    pub(super) waited: Option<Duration>,
}

impl ProcessorTime {
    /// What came to it since an earlier look.
    pub(super) fn since(self, earlier: ProcessorTime) -> ProcessorTime {
        ProcessorTime {
            used: self.used.saturating_sub(earlier.used),
            waited: self.waited.zip(earlier.waited).map(|(now, before)| now.saturating_sub(before)),
        }
    }

    /// Both together.
    pub(super) fn and(self, other: ProcessorTime) -> ProcessorTime {
        let waited = self.waited.zip(other.waited).map(|(one, another)| one + another);
        ProcessorTime { used: self.used + other.used, waited }
    }
}

impl Process {
    /// This one.
    pub(super) fn own() -> Process {
        Process(Some(std::process::id()))
    }

    pub(super) fn new(pid: Option<u32>) -> Process {
        Process(pid)
    }

    /// What it has had of its processors; `None` if no process was named.
    ///
    /// # Errors
    /// [`Mishap`] if the system does not tell.
    pub(super) fn processor(self) -> Result<Option<ProcessorTime>, Mishap> {
        self.0
            .map(|pid| match schedule(pid) {
                Some(exact) => Ok(exact),
                None => {
                    let ticks = tell(pid, "stat", processor_ticks)?;
                    let used = Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second().max(1) as f64);
                    Ok(ProcessorTime { used, waited: None })
                }
            })
            .transpose()
    }

    /// The bytes of memory that it holds now; `None` if no process was named.
    ///
    /// # Errors
    /// [`Mishap`] if the system does not tell.
    pub(super) fn memory_bytes(self) -> Result<Option<u64>, Mishap> {
        // The first is exact; the second may be some pages behind, and is there for everybody.
        self.0
            .map(|pid| {
                tell(pid, "smaps_rollup", |text| memory_bytes(text, "Rss:"))
                    .or_else(|_| tell(pid, "status", |text| memory_bytes(text, "VmRSS:")))
            })
            .transpose()
    }
}

fn tell(pid: u32, file: &str, find: impl Fn(&str) -> Option<u64>) -> Result<u64, Mishap> {
    let path = format!("/proc/{pid}/{file}");
    let text = fs::read_to_string(&path).map_err(|error| error.to_string());
    let found = text.and_then(|text| find(&text).ok_or_else(|| "it does not tell".to_owned()));
    found.map_err(|reason| {
        let reason = format!(
            "--pid {pid}: cannot read {path}: {reason}; is it the server's process, on this machine?"
        );
        Mishap::new("no_process", reason)
    })
}

/// What the scheduler has counted of all threads together, if it lets itself be asked.
fn schedule(pid: u32) -> Option<ProcessorTime> {
    let mut sum = ProcessorTime { used: Duration::ZERO, waited: Some(Duration::ZERO) };
    for thread in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        // A thread that has ended meanwhile is not there any more.
        if let Ok(text) = fs::read_to_string(thread.ok()?.path().join("schedstat")) {
            sum = sum.and(scheduled(&text)?);
        }
    }
    (!sum.used.is_zero()).then_some(sum)
}

/// Nanoseconds on a processor, nanoseconds of waiting for one, and how often it got one.
fn scheduled(schedstat: &str) -> Option<ProcessorTime> {
    let mut fields = schedstat.split_ascii_whitespace();
    let mut time = || Some(Duration::from_nanos(fields.next()?.parse().ok()?));
    Some(ProcessorTime { used: time()?, waited: Some(time()?) })
}

/// User and system ticks: the 14th and 15th field. The second is a name in brackets that may have anything in it.
fn processor_ticks(stat: &str) -> Option<u64> {
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
        assert_eq!(processor_ticks(stat), Some(345));
        assert_eq!(processor_ticks("17 (a) S 1 2"), None);
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
        assert!(own.memory_bytes().unwrap().unwrap() > 100_000 && own.processor().unwrap().is_some());
        assert!(Process::new(None).processor().unwrap().is_none());
        let mishap = Process::new(Some(u32::MAX)).memory_bytes().unwrap_err();
        assert!(mishap.reason.contains("--pid 4294967295"), "{mishap}");
    }
}
