//! What an honest client sees of a server under siege, beside what it sees at rest in the same run, and what the siege
//! costs the server: a table.
//!
//!     cargo bench --bench siege [-- --seconds N --rounds N --only WORDS]
//!
//! One row a scenario, some rounds (3) of each, every round with a server of its own on the loopback. The honest client
//! sends 500 messages a second at set times and measures each echo from when its message was due, first for N seconds
//! (2) at rest and then for N under siege. It exits with 1 if a target is missed. A row's figures are those of one round, the median by what is judged; the
//! memory is the most of all rounds.
//!
//! The server has a processor of its own and everybody else the others, so that what the honest client waits for is the
//! server, and not a besieger that has the processor just then. Besiegers give way to the honest client besides (they
//! are nicer by 19), but what of their work is done within the kernel still delays it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a measurement that cannot go on ends, and says where; it lives outside of the core"
)]

mod besiegers;
mod handshakes;
mod honest;
mod host;
mod rooms;
mod strangers;

use besiegers::{Outcome, SCENARIOS, Scenario, Target};
use honest::{Echoes, Honest};
use host::{Host, PASSWORD};
use porter::auth::{Password, hash_password};
use porter::limits::HASH_ROUNDS_DEFAULT;
use rustix::process::{Resource, Rlimit, getpriority_process, getrlimit, setpriority_process, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity, set_current_timer_slack};
use std::num::NonZeroU64;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How long a stretch is measured, and how often, if nothing else is asked for.
const SECONDS_DEFAULT: u64 = 2;
const ROUNDS_DEFAULT: u64 = 3;
/// How much longer a siege lasts than its stretch is measured, so that its end is no part of it.
const OVERLAP: Duration = Duration::from_millis(300);
/// How much nicer besiegers are to the honest client, with which they share processors: elsewhere they would have
/// their own.
const NICER: i32 = 19;
/// What the honest client's p99 may be above its rest, in milliseconds.
const ABOVE_REST_MOST: f64 = 2.0;

/// Share of the time for which a server on a processor of its own waits for it, at most, if the machine is quiet.
const WAITED_MOST: f64 = 0.05;

fn main() -> ExitCode {
    let (seconds, rounds) = (asked("--seconds", SECONDS_DEFAULT), asked("--rounds", ROUNDS_DEFAULT));
    let (span, only) = (Duration::from_secs(seconds), words_after("--only").unwrap_or_default());
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    // Messages are sent when they are due, and not when the system finds it convenient.
    set_current_timer_slack(NonZeroU64::new(1)).unwrap();
    let stored =
        hash_password(&Password::new(PASSWORD.as_bytes()), *b"sixteen bytes ok", HASH_ROUNDS_DEFAULT)
            .to_phc();
    let servers = keep_a_processor_free();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("{rounds} rounds of {seconds} s, load average {}", load.trim());
    println!("echo times: p50 / p99 / max in ms; processor: share of one, and of waiting for one\n");
    println!(
        "| siege | echo at rest | echo under siege | p99 above rest | memory | processor, rest -> siege | outcome | targets |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let mut are_met = true;
    for scenario in SCENARIOS.iter().filter(|scenario| scenario.name.contains(&only)) {
        let rounds = (0..rounds).map(|_| measure(scenario, span, &stored, servers.as_ref())).collect();
        let (row, is_met) = row(scenario, rounds);
        are_met &= is_met;
        println!("{row}");
    }
    if are_met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn words_after(flag: &str) -> Option<String> {
    // What cargo itself hands over, `--bench`, is passed over.
    std::env::args().skip_while(|word| word != flag).nth(1)
}

fn asked(flag: &str, default: u64) -> u64 {
    words_after(flag).map_or(default, |word| {
        word.parse().ok().filter(|number| (1..=60).contains(number)).expect("a number, 1 to 60")
    })
}

/// Leaves the first processor to the servers, which is returned; `None` if there is only one for all.
fn keep_a_processor_free() -> Option<CpuSet> {
    let mut others = sched_getaffinity(None).unwrap();
    let first = (0..CpuSet::MAX_CPU).find(|processor| others.is_set(*processor))?;
    if others.count() < 2 {
        println!("there is one processor for all: what the besiegers do is among the echo times");
        return None;
    }
    let mut servers = CpuSet::new();
    servers.set(first);
    others.unset(first);
    sched_setaffinity(None, &others).unwrap();
    Some(servers)
}

/// What was measured in one round.
struct Round {
    /// At rest and under siege.
    echoes: Option<[Echoes; 2]>,
    shares: [Shares; 2],
    grown_kibibytes: i64,
    outcome: Outcome,
}

/// Shares of a stretch in which the server worked, and in which it would have and others had the processor: how noisy
/// the machine was.
struct Shares {
    used: f64,
    waited: f64,
}

impl Round {
    /// By how much the honest p99 under siege is above that at rest, in milliseconds.
    fn above_rest(&self) -> Option<f64> {
        self.echoes.as_ref().map(|[rest, siege]| siege.quantile(0.99) - rest.quantile(0.99))
    }
}

fn measure(scenario: &Scenario, span: Duration, stored: &str, servers: Option<&CpuSet>) -> Round {
    let host = Host::start(scenario.flags, stored, servers);
    let mut honest = scenario.honest.then(|| Honest::arrive(&host));
    let attack = (scenario.prepare)(&host);
    let mut stretch = || {
        let (before, began) = (host.processor(), Instant::now());
        let echoes = match &mut honest {
            Some(honest) => Some(honest.converse(span)),
            None => {
                std::thread::sleep(span);
                None
            }
        };
        let (after, took) = (host.processor(), began.elapsed());
        let [used, waited] = [0, 1].map(|n| (after[n] - before[n]).as_secs_f64() / took.as_secs_f64());
        (echoes, Shares { used, waited })
    };
    let (rest, share_at_rest) = stretch();
    let before = host.memory_now();
    let until = Instant::now() + span + OVERLAP;
    std::thread::scope(|scope| {
        let attack = scope.spawn(|| {
            yield_to_others();
            attack(&host, until)
        });
        let (siege, share) = stretch();
        let grown_kibibytes = host.memory_most() - before;
        let echoes = rest.zip(siege).map(Into::into);
        Round { echoes, shares: [share_at_rest, share], grown_kibibytes, outcome: attack.join().unwrap() }
    })
}

/// Lowers the priority of this thread, and so of those that it starts.
fn yield_to_others() {
    let usual = getpriority_process(None).unwrap_or_default();
    setpriority_process(None, usual + NICER).unwrap();
}

/// The median round, and whether the targets are met.
fn row(scenario: &Scenario, mut rounds: Vec<Round>) -> (String, bool) {
    let grown = rounds.iter().map(|round| round.grown_kibibytes).max().unwrap_or_default();
    rounds.sort_by(|one, other| {
        let key = |round: &Round| round.above_rest().unwrap_or(round.shares[1].used);
        key(one).total_cmp(&key(other))
    });
    let round = rounds.swap_remove(rounds.len() / 2);
    let above = round.above_rest();
    let shown = |n: usize| round.echoes.as_ref().map_or("-".to_owned(), |echoes| echoes[n].shown());
    let holds = scenario.holds_bytes as i64 / 1024;
    let missed = missed(scenario, &round, grown, holds);
    let verdict = if missed.is_empty() { "met".to_owned() } else { format!("missed: {}", missed.join(", ")) };
    let row = format!(
        "| {} | {} | {} | {} | {grown:+} of {holds} KiB | {} -> {} | {} | {} |",
        scenario.name,
        shown(0),
        shown(1),
        above.map_or("-".to_owned(), |above| format!("{above:+.2}")),
        round.shares[0].shown(),
        round.shares[1].shown(),
        round.outcome.told,
        verdict,
    );
    (row, missed.is_empty())
}

/// The targets that are missed, if any.
fn missed(scenario: &Scenario, round: &Round, grown_kibibytes: i64, holds_kibibytes: i64) -> Vec<String> {
    let mut missed = Vec::new();
    if round.above_rest().is_some_and(|above| above > ABOVE_REST_MOST) {
        let is_quiet = round.shares.iter().all(|share| share.waited <= WAITED_MOST);
        let doubt = if is_quiet { "" } else { " (the machine was busy: not the server's doing alone)" };
        missed.push(format!("p99 at most {ABOVE_REST_MOST} ms above rest{doubt}"));
    }
    if grown_kibibytes > holds_kibibytes * 11 / 10 + host::NOISE_KIBIBYTES {
        missed.push("memory within its limits and a tenth".to_owned());
    }
    match scenario.target {
        Some(Target::Processor(most)) if round.shares[1].used >= most => {
            missed.push(format!("processor under {}", percent(most)));
        }
        Some(Target::Within(most)) if round.outcome.took.is_none_or(|took| took > most) => {
            missed.push(format!("within {} s", most.as_secs()));
        }
        _ => {}
    }
    missed
}

impl Shares {
    fn shown(&self) -> String {
        format!("{} (waited {})", percent(self.used), percent(self.waited))
    }
}

fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent < 1.0 { format!("{percent:.2} %") } else { format!("{percent:.0} %") }
}
