//! What an probe client sees of a server under siege, beside what it sees at rest in the same run, and what the siege
//! costs the server: a table.
//!
//!     cargo bench --bench siege [-- --seconds N --rounds N --only WORDS]
//!
//! One row a scenario, some rounds (3) of each, every round with a server of its own on the loopback. The probe client
//! sends 500 messages a second at set times and measures each echo from when its message was due, first for N seconds
//! (2) at rest and then for N under siege. It exits with 1 if a target is missed. A row's figures are those of one round, the median by what is judged; the
//! memory is the most of all rounds.
//!
//! The server has a CPU of its own and everybody else the others, so that what the probe client waits for is the
//! server, and not an attacker that has the CPU just then. Attackers give way to the probe client besides (they
//! are nicer by 19), but what of their work is done within the kernel still delays it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a measurement that cannot go on ends, and says where; it lives outside of the core"
)]

mod attacks;
#[path = "../it/support/crowd.rs"]
mod crowd;
mod handshakes;
mod host;
mod rooms;
mod server;
mod strangers;

use attacks::{Outcome, SCENARIOS, Scenario, Target};
use host::{Host, PASSWORD};
use porter::auth::{Password, hash_password};
use porter::limits::HASH_ROUNDS_DEFAULT;
use porter::load::{Part, Percentiles, run_with};
use rustix::process::{Resource, Rlimit, getpriority_process, getrlimit, setpriority_process, setrlimit};
use rustix::thread::CpuSet;
use server::divided;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Messages of the probe client each second.
const RATE_PER_SECOND: f64 = 500.0;
/// How long an interval is measured, and how often, if nothing else is asked for.
const SECONDS_DEFAULT: u64 = 2;
const ROUNDS_DEFAULT: u64 = 3;
/// How much longer a siege lasts than its interval is measured, so that its end is no part of it.
const OVERLAP: Duration = Duration::from_millis(300);
/// How much nicer attackers are to the probe client, with which they share CPUs: elsewhere they would have
/// their own.
const NICER: i32 = 19;
/// What the probe client's p99 may be above its rest, in milliseconds.
const ABOVE_REST_MOST: f64 = 2.0;

/// Share of the time for which a server on a CPU of its own waits for it, at most, if the machine is quiet.
const WAITED_MOST: f64 = 0.05;

fn main() -> ExitCode {
    let (seconds, rounds) = (asked("--seconds", SECONDS_DEFAULT), asked("--rounds", ROUNDS_DEFAULT));
    let (span, only) = (Duration::from_secs(seconds), words_after("--only").unwrap_or_default());
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    let stored =
        hash_password(&Password::new(PASSWORD.as_bytes()), *b"sixteen bytes ok", HASH_ROUNDS_DEFAULT)
            .to_phc();
    let cpus = divided();
    if cpus.is_none() {
        println!("there is one CPU for all: what the attackers do is among the echo times");
    }
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("{rounds} rounds of {seconds} s, load average {}", load.trim());
    println!("echo times: p50 / p99 / max in ms; CPU: share of one, and of waiting for one\n");
    println!(
        "| siege | echo at rest | echo under siege | p99 above rest | memory | CPU, rest -> siege | outcome | targets |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let mut are_met = true;
    for scenario in SCENARIOS.iter().filter(|scenario| scenario.name.contains(&only)) {
        let rounds = (0..rounds).map(|_| measure(scenario, span, &stored, cpus.as_ref())).collect();
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

/// CPU time used and waited for, and when that was.
type Sample = ([Duration; 2], Instant);

/// What was measured in one round.
struct Round {
    /// At rest and under siege.
    echoes: Option<[Percentiles; 2]>,
    shares: [Shares; 2],
    grown_kibibytes: i64,
    outcome: Outcome,
}

/// Shares of an interval in which the server worked, and in which it would have and others had the CPU: how noisy
/// the machine was.
struct Shares {
    used: f64,
    waited: f64,
}

impl Round {
    /// By how much the probe's p99 under siege is above that at rest, in milliseconds.
    fn above_rest(&self) -> Option<f64> {
        self.echoes.as_ref().map(|[rest, siege]| (siege.p99 - rest.p99) / 1e3)
    }
}

fn measure(scenario: &Scenario, span: Duration, stored: &str, cpus: Option<&CpuSet>) -> Round {
    let host = &Host::start(scenario.flags, stored, cpus);
    let sample = || (host.cpu(), Instant::now());
    std::thread::scope(|scope| {
        let (mut attack, mut attacker) = (None, None);
        let (mut samples, mut memory) = (Vec::new(), [0; 2]);
        // The attack is prepared when the probe is inside; then there is rest, and then siege.
        let mut begin = |part: Part| match (part, samples.len()) {
            (Part::Inside, 0) => attack = Some((scenario.prepare)(host)),
            (Part::Before, 0) => samples.push(sample()),
            (Part::During, 1) => {
                samples.push(sample());
                memory[0] = host.memory_now();
                let until = Instant::now() + span + OVERLAP;
                let attack = attack.take().expect("it was prepared");
                attacker = Some(scope.spawn(move || {
                    yield_to_others();
                    attack(host, until)
                }));
            }
            (Part::After, 2) => {
                samples.push(sample());
                memory[1] = host.memory_most();
            }
            _ => {}
        };
        let echoes = if scenario.has_probe {
            let plan = host.plan(RATE_PER_SECOND, span);
            let report = run_with(host.probe(), &plan, &mut |progress| {
                begin(progress.part);
                let is_over = progress.part == Part::After;
                plan.interrupt.fetch_or(is_over, std::sync::atomic::Ordering::Relaxed);
            });
            let report = report.unwrap();
            assert_eq!(report.failed, 0, "the probe client is not sent away: {:?}", report.failures);
            report.storm.map(|storm| [storm.before.message_us, storm.during.message_us])
        } else {
            begin(Part::Inside);
            for part in [Part::Before, Part::During] {
                begin(part);
                std::thread::sleep(span);
            }
            begin(Part::After);
            None
        };
        let shares = [0, 1].map(|part| Shares::between(&samples[part], &samples[part + 1]));
        let outcome = attacker.unwrap().join().unwrap();
        Round { echoes, shares, grown_kibibytes: memory[1] - memory[0], outcome }
    })
}

/// p50, p99 and the longest echo, in milliseconds.
fn shown_echoes(echoes: &Percentiles) -> String {
    let [median, late, longest] = [echoes.p50, echoes.p99, echoes.max].map(|us| us / 1e3);
    format!("{median:.2} / {late:.2} / {longest:.2}")
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
    let shown = |n: usize| round.echoes.as_ref().map_or("-".to_owned(), |echoes| shown_echoes(&echoes[n]));
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
        Some(Target::Cpu(most)) if round.shares[1].used >= most => {
            missed.push(format!("CPU under {}", percent(most)));
        }
        Some(Target::Within(most)) if round.outcome.took.is_none_or(|took| took > most) => {
            missed.push(format!("within {} s", most.as_secs()));
        }
        _ => {}
    }
    missed
}

impl Shares {
    fn between((before, began): &Sample, (after, ended): &Sample) -> Shares {
        let took = ended.duration_since(*began).as_secs_f64();
        let [used, waited] = [0, 1].map(|n| (after[n] - before[n]).as_secs_f64() / took);
        Shares { used, waited }
    }

    fn shown(&self) -> String {
        format!("{} (waited {})", percent(self.used), percent(self.waited))
    }
}

fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent < 1.0 { format!("{percent:.2} %") } else { format!("{percent:.0} %") }
}
