//! What an honest client sees of a server under siege, beside what it sees at rest in the same run, and what the siege
//! costs the server: a table.
//!
//!     cargo bench --bench siege [-- --seconds N]
//!
//! One row a scenario, each with a server of its own on the loopback. The honest client sends 500 messages a second at
//! set times and measures each echo from when its message was due, first for N seconds (3) at rest and then for N under
//! siege. Besiegers, server and honest client share this machine's processors. The besiegers give way to the others
//! (they are nicer by 10), but with few processors the figures hold some of what the besiegers' own work costs, too.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a measurement that cannot go on ends, and says where; it lives outside of the core"
)]

mod besiegers;
mod honest;
mod host;

use besiegers::{SCENARIOS, Scenario, Target};
use honest::{Echoes, converse};
use host::{Host, PASSWORD};
use porter::auth::{Password, hash_password};
use porter::limits::HASH_ROUNDS_DEFAULT;
use rustix::process::{Resource, Rlimit, getpriority_process, getrlimit, setpriority_process, setrlimit};
use std::time::{Duration, Instant};

/// How long a stretch is measured if nothing else is asked for.
const SECONDS_DEFAULT: u64 = 3;
/// How much longer a siege lasts than its stretch is measured, so that its end is no part of it.
const OVERLAP: Duration = Duration::from_millis(300);
/// How much nicer besiegers are, to the honest client and the server, with the processors that all of them share:
/// elsewhere they would have their own.
const NICER: i32 = 10;

fn main() {
    let span = Duration::from_secs(seconds_asked_for());
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    let stored =
        hash_password(&Password::new(PASSWORD.as_bytes()), *b"sixteen bytes ok", HASH_ROUNDS_DEFAULT);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    println!("{processors} processors, load average {}, {} s a stretch", load.trim(), span.as_secs());
    println!("echo times: p50 / p99 / max in ms; processor: share of one core, and of waiting for one\n");
    println!(
        "| scenario | echo at rest | echo under siege | memory | processor, rest -> siege | outcome | target |"
    );
    println!("|---|---|---|---|---|---|---|");
    for scenario in SCENARIOS {
        println!("{}", measure(scenario, span, &stored.to_phc()));
    }
}

/// The N of `--seconds N`; what cargo itself hands over, `--bench`, is passed over.
fn seconds_asked_for() -> u64 {
    let mut words = std::env::args().skip_while(|word| word != "--seconds").skip(1);
    words.next().map_or(SECONDS_DEFAULT, |word| {
        word.parse().ok().filter(|seconds| (1..=60).contains(seconds)).expect("--seconds 1 to 60")
    })
}

/// One scenario, as a row of the table.
fn measure(scenario: &Scenario, span: Duration, stored: &str) -> String {
    let host = Host::start(scenario.flags, stored);
    let mut honest = scenario.honest.then(|| Host::log_in(host.connect(), "ann"));
    let attack = (scenario.prepare)(&host);
    let mut stretch = || {
        let (before, began) = (host.processor(), Instant::now());
        let echoes = match &mut honest {
            Some(guest) => Some(converse(guest, span)),
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
    let memory_before = host.memory_now();
    let ((siege, share), grown, outcome) = std::thread::scope(|scope| {
        let (until, host) = (Instant::now() + span + OVERLAP, &host);
        let attack = scope.spawn(move || {
            yield_to_others();
            attack(host, until)
        });
        let measured = stretch();
        let grown = host.memory_most() - memory_before;
        (measured, grown, attack.join().unwrap())
    });
    let shown = |echoes: &Option<Echoes>| echoes.as_ref().map_or("-".to_owned(), Echoes::shown);
    let verdict = judge(&scenario.target, rest.as_ref().zip(siege.as_ref()), share.used, &outcome);
    format!(
        "| {} | {} | {} | {grown:+} KiB | {} -> {} | {} | {verdict} |",
        scenario.name,
        shown(&rest),
        shown(&siege),
        share_at_rest.shown(),
        share.shown(),
        outcome.told,
    )
}

/// Lowers the priority of this thread, and so of those that it starts.
fn yield_to_others() {
    let usual = getpriority_process(None).unwrap_or_default();
    setpriority_process(None, usual + NICER).unwrap();
}

/// Figure and target side by side.
fn judge(
    target: &Target,
    echoes: Option<(&Echoes, &Echoes)>,
    share: f64,
    outcome: &besiegers::Outcome,
) -> String {
    let (met, told) = match (target, echoes) {
        (Target::Unharmed, Some((rest, siege))) => {
            let above = siege.quantile(0.99) - rest.quantile(0.99);
            (above <= 2.0, format!("p99 at most 2 ms above rest: {above:+.2} ms"))
        }
        (Target::Processor(most), _) => {
            (share < *most, format!("processor under {}: {}", percent(*most), percent(share)))
        }
        (Target::Back(most), _) => {
            let took = outcome.took;
            (
                took.is_some_and(|took| took <= *most),
                format!(
                    "all back within {} s: {:.2} s",
                    most.as_secs(),
                    took.unwrap_or_default().as_secs_f64()
                ),
            )
        }
        (Target::Unharmed, None) => return "-".to_owned(),
    };
    format!("{told}, {}", if met { "met" } else { "missed" })
}

/// Shares of a stretch in which the server worked, and in which it would have and others had the processors: how noisy
/// the machine was.
struct Shares {
    used: f64,
    waited: f64,
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
