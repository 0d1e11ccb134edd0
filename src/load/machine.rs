//! Where and when something was measured.

use std::fs;

/// What the machine calls itself: CPUs, kernel.
pub fn description() -> String {
    let told = |path| fs::read_to_string(path).unwrap_or_default();
    let cpus = told("/proc/cpuinfo");
    let models: Vec<&str> = cpus.lines().filter_map(|line| line.strip_prefix("model name")).collect();
    let model = models.first().map_or("CPU", |model| model.trim_start_matches([' ', '\t', ':']));
    let kernel = told("/proc/sys/kernel/osrelease");
    let system = if kernel.is_empty() { "not Linux".to_owned() } else { format!("Linux {}", kernel.trim()) };
    format!("{} x {model}, {system}", models.len().max(1))
}

/// Today, in UTC.
pub fn date() -> String {
    time::OffsetDateTime::now_utc().date().to_string()
}
