//! Rounds of the password hash a second: alone, and several hashes side by side, beside the `pbkdf2` crate: a table.
//!
//!     cargo bench --bench hash
//!
//! All take turns in one run; what counts is the CPU's time, and of each the median turn: so the ratios hold on a
//! machine that is busy with other things, too. The exit code is 1 if one at a time is slower than the crate, or several
//! side by side slower together than one at a time, by more than the noise. The lanes advance in portions as small as the server's.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a measurement that cannot go on ends, and needs a clock; it lives outside of the core"
)]

use hmac::Hmac;
use md5::Md5;
use porter::auth::{LANE_WIDTHS, exercise_lanes};
use rustix::time::{ClockId, clock_gettime};
use std::hint::black_box;
use std::process::ExitCode;

/// Turns that each contestant gets.
const TURNS: usize = 201;
/// Rounds of each hash in a turn: long enough for the clock, short enough that few turns are interrupted.
const ROUNDS: u32 = 4_000;
/// What a ratio may be below 1 on a noisy machine.
const NOISE: f64 = 0.1;
/// As many as the server does between two looks at the clock.
const PORTION: u32 = 200;

/// Somebody who hashes, and how many hashes at a time.
struct Contestant {
    name: String,
    hashes: usize,
    turn: Box<dyn Fn()>,
    nanoseconds: Vec<f64>,
}

impl Contestant {
    fn new(name: String, hashes: usize, turn: impl Fn() + 'static) -> Contestant {
        Contestant { name, hashes, turn: Box::new(turn), nanoseconds: Vec::new() }
    }

    /// The median turn's, per round of each hash.
    fn nanoseconds_a_round(&mut self) -> f64 {
        self.nanoseconds.sort_by(f64::total_cmp);
        self.nanoseconds[self.nanoseconds.len() / 2] / f64::from(ROUNDS)
    }
}

fn main() -> ExitCode {
    let reference = Contestant::new("`pbkdf2` crate".to_owned(), 1, || {
        let mut hash = [0; 16];
        pbkdf2::pbkdf2::<Hmac<Md5>>(black_box(b"open sesame"), &[7; 16], ROUNDS, &mut hash).unwrap();
        black_box(hash);
    });
    let lanes = LANE_WIDTHS.into_iter().map(|hashes| {
        Contestant::new(format!("porter, {hashes} at once"), hashes, move || {
            for _ in 0..ROUNDS / PORTION {
                exercise_lanes(hashes, PORTION);
            }
        })
    });
    let mut contestants: Vec<Contestant> = std::iter::once(reference).chain(lanes).collect();
    for _ in 0..TURNS {
        for contestant in &mut contestants {
            let began = cpu_nanoseconds();
            (contestant.turn)();
            contestant.nanoseconds.push(cpu_nanoseconds() - began);
        }
    }
    println!("| | time of a round, ns | rounds a second, million | x `pbkdf2` crate | x one at a time |");
    println!("|---|---:|---:|---:|---:|");
    let pace =
        |contestant: &mut Contestant| 1e3 * contestant.hashes as f64 / contestant.nanoseconds_a_round();
    let (reference, alone) = (pace(&mut contestants[0]), pace(&mut contestants[1]));
    let mut met = true;
    for contestant in &mut contestants {
        let (name, round, pace) =
            (contestant.name.clone(), contestant.nanoseconds_a_round(), pace(contestant));
        println!("| {name} | {round:.0} | {pace:.2} | {:.2} | {:.2} |", pace / reference, pace / alone);
        met &= pace >= reference.max(if contestant.hashes > 1 { alone } else { 0.0 }) * (1.0 - NOISE);
    }
    println!(
        "\nThe target, at least as fast as the crate and as one at a time: {}",
        if met { "met" } else { "missed" }
    );
    if met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What this thread has used.
fn cpu_nanoseconds() -> f64 {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    used.tv_sec as f64 * 1e9 + used.tv_nsec as f64
}
