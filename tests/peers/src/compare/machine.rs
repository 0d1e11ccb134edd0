//! This machine: its processors, one for the server and one for the load, and its clocks.

use crate::server::schedule_field;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Who runs where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Machine {
    /// The processors of the load and of the server, if there are two.
    places: Option<(usize, usize)>,
}

impl Machine {
    /// Takes a processor for the load, this program, and one for servers; and as many descriptors as it may have.
    pub(crate) fn divided() -> Machine {
        let limit = getrlimit(Resource::Nofile);
        // With fewer the row that needs many says so.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
        let allowed = sched_getaffinity(None).unwrap_or_else(|_| CpuSet::new());
        let mut free = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu));
        let machine = Machine { places: free.next().zip(free.next()) };
        machine.go(|(load, _)| load);
        machine
    }

    /// Whether there were two processors.
    pub(crate) fn is_divided(self) -> bool {
        self.places.is_some()
    }

    /// Does something that starts a process, which then stays where servers run.
    pub(crate) fn on_the_servers_processor<T>(self, start: impl FnOnce() -> T) -> T {
        self.go(|(_, server)| server);
        let started = start();
        self.go(|(load, _)| load);
        started
    }

    fn go(self, place: impl FnOnce((usize, usize)) -> usize) {
        if let Some(places) = self.places {
            let mut only = CpuSet::new();
            only.set(place(places));
            // It was allowed a moment ago; if it is no longer, the system chooses, and figures are noisier.
            let _ = sched_setaffinity(None, &only);
        }
    }
}

/// What the machine calls itself: processor, count, kernel.
pub(crate) fn description() -> String {
    let told = |path| fs::read_to_string(path).unwrap_or_default();
    let processors = told("/proc/cpuinfo");
    let models: Vec<&str> = processors.lines().filter_map(|line| line.strip_prefix("model name")).collect();
    let model =
        models.first().map_or("unknown processor", |model| model.trim_start_matches([' ', '\t', ':']));
    format!("{} x {model}, Linux {}", models.len().max(1), told("/proc/sys/kernel/osrelease").trim())
}

/// Today, in UTC.
pub(crate) fn date() -> String {
    time::OffsetDateTime::now_utc().date().to_string()
}

/// Processor time that this program has used.
pub(crate) fn own_processor() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// How long this program was ready to run and had no processor.
pub(crate) fn own_waiting() -> Duration {
    schedule_field(Path::new("/proc/self/schedstat"), 1).unwrap_or_default()
}
