//! What a run is made of: settings and operations, both from the seed alone.
//!
//! An operation carries a salt from which its details are drawn, so that leaving one out does not change the others:
//! that is what makes a failing run's list shrinkable.

use crate::disk::Fault;
use crate::net::Breaks;
use crate::random::Random;
use porter::auth::{LANE_WIDTHS, LaneCosts};
use porter::engine::Config;
use porter::limits::TRANSPORT_HOLDS_BYTES;
use std::time::Duration;

/// Which handler the engine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Echo,
    Operator,
    Chat,
}

/// How a client behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Does all right, and is to be served in the end.
    Honest,
    /// Means well and errs.
    Clumsy,
    /// Means ill.
    Hostile,
    /// Does all right, but moves from connection to connection, and remembers its last tokens too well.
    Roaming,
    /// Asks and asks without saying who it is, and seldom listens.
    NonReading,
    /// Does all right, but is not the only one of its name.
    Twin,
    /// Tries one password after the other.
    Guesser,
}

/// What a run is about. Some are about everything; but what takes several clients to do the same thing at the same time
/// chance alone seldom brings about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Theme {
    Anything,
    /// One cannot stay in its connection, others do not listen.
    Strays,
    /// All want one of a few names.
    Twins,
    /// Passwords are guessed, and hardly any time passes.
    Guessing,
    /// Dozens come, from as many addresses.
    Crowd,
    /// The disk fails and the power too, while many come and go.
    BadDisk,
}

impl Theme {
    fn of(seed: u64) -> Theme {
        match seed % 8 {
            1 => Theme::BadDisk,
            2 | 6 => Theme::Strays,
            3 => Theme::Twins,
            5 => Theme::Guessing,
            7 => Theme::Crowd,
            _ => Theme::Anything,
        }
    }

    fn behaviours(self, random: &mut Random) -> Vec<Behaviour> {
        let count = match self {
            Theme::Crowd => 24 + random.below(25),
            // Few, so that each gets around.
            Theme::Strays => 1 + random.below(5),
            _ => 3 + random.below(14),
        };
        let honest = random.below(count + 1);
        let mut behaviours: Vec<Behaviour> = (0..count)
            .map(|n| {
                if n < honest {
                    Behaviour::Honest
                } else {
                    random.pick(&[Behaviour::Clumsy, Behaviour::Hostile])
                }
            })
            .collect();
        match self {
            Theme::Anything | Theme::Crowd => {}
            Theme::Strays => {
                behaviours.extend(vec![Behaviour::Roaming; 1 + random.below(2)]);
                behaviours.extend(vec![Behaviour::NonReading; 1 + random.below(2)]);
            }
            Theme::Twins | Theme::BadDisk => behaviours[count / 3..].fill(Behaviour::Twin),
            Theme::Guessing => behaviours[count / 2..].fill(Behaviour::Guesser),
        }
        behaviours
    }
}

/// What stays the same for a whole run.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) theme: Theme,
    pub(crate) mode: Mode,
    pub(crate) config: Config,
    pub(crate) behaviours: Vec<Behaviour>,
    /// Addresses that the clients come from.
    pub(crate) addresses: usize,
    /// Bytes that a socket's buffer takes in each direction.
    pub(crate) socket_bytes: usize,
    /// Connections that are looked at in one turn while texts for many are handed out, and written.
    pub(crate) fan_out: usize,
    pub(crate) writes_for_many: usize,
    /// Hash rounds a turn.
    pub(crate) slice: u32,
    pub(crate) sync_most: Duration,
    /// Bytes arrive as they were sent, at once.
    pub(crate) prompt_network: bool,
    /// Bytes that what lies between socket and engine takes at once; 0 if nothing does.
    pub(crate) record_bytes: usize,
    pub(crate) breaks: Breaks,
}

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    /// A client does something: connects, reads, sends.
    Act { who: usize, salt: u64 },
    /// Some of what a client has sent arrives.
    Arrive { who: usize, salt: u64 },
    /// A client sends far more than it should.
    Flood { who: usize, salt: u64 },
    /// A client closes its sending side.
    HalfClose { who: usize },
    /// A client's connection breaks.
    Break { who: usize },
    /// The server has a turn.
    Turn { turns: usize },
    /// Time passes.
    Pass { milliseconds: u64 },
    /// If there is nothing to do, time passes until something is due.
    Sleep,
    /// The person at the console types.
    Type { salt: u64 },
    /// The disk goes wrong.
    Spoil { fault: Fault, skip: u32, times: u32 },
    /// The random source goes dry.
    Dry { times: u32 },
    /// An event comes for a connection that may be long gone.
    Late { salt: u64 },
    /// The process or the machine dies; between turns, or at a call to the disk some calls from now.
    Crash { machine: bool, calls: Option<u32>, salt: u64 },
    /// The server is stopped and started as it should be.
    Restart { salt: u64 },
    /// Somebody is at the users' file, or has it reloaded.
    Meddle { salt: u64 },
    /// What a client sends becomes nothing that the transport can go on with.
    Garble { who: usize },
}

/// How often each kind of operation comes; the run's seed switches some off.
const WEIGHTS: [usize; 14] = [300, 100, 6, 12, 16, 260, 60, 60, 12, 8, 3, 8, 4, 2];
const ACT: usize = 0;
const TURN: usize = 5;
const SLEEP: usize = 7;
const SPOIL: usize = 9;
const CRASH: usize = 12;

/// Machines on which one, two or many hashes advance side by side; not drawn, so that seeds go on meaning what they did.
fn lane_costs(seed: u64) -> LaneCosts {
    let milliseconds: [u64; LANE_WIDTHS.len()] = match seed / 4 % 3 {
        0 => [2, 9, 9, 9, 9, 9],
        1 => [2, 3, 9, 9, 9, 9],
        _ => return LaneCosts::default(),
    };
    LaneCosts::new(milliseconds.map(Duration::from_millis))
}

/// Seldom so few that they are reached without trying; not drawn, as the above. Where a connection has to be opened first
/// they stay longer: then those who come again and again would send each other away for ever.
fn max_strangers(seed: u64) -> usize {
    let is_slow = transport(seed).0 > 0;
    match seed / 8 % 4 {
        0 => 2 + 8 * usize::from(is_slow),
        1 => 5 + 15 * usize::from(is_slow),
        _ => 1_000,
    }
}

/// Whether something lies between socket and engine, and how connections break; not drawn either.
fn transport(seed: u64) -> (usize, Breaks) {
    let breaks = if (seed / 21).is_multiple_of(2) { Breaks::Writing } else { Breaks::Whole };
    match seed / 7 % 3 {
        0 => ([40, 600, 16_384][(seed / 42 % 3) as usize], breaks),
        1 => (0, Breaks::Writing),
        _ => (0, Breaks::Whole),
    }
}

/// What may wait for all together: as much as there can be, or little; not drawn either. What transports hold comes on top.
fn output_total(seed: u64, output_limit_bytes: usize) -> usize {
    let held = if transport(seed).0 > 0 { 40 * TRANSPORT_HOLDS_BYTES } else { 0 };
    if (seed / 8).is_multiple_of(3) { output_limit_bytes.max(60_000) + held } else { usize::MAX }
}

pub(crate) fn settings(seed: u64) -> Settings {
    let mut random = Random::new(seed);
    let random = &mut random;
    let milliseconds = Duration::from_millis;
    let theme = Theme::of(seed);
    let mode = random.pick(&[Mode::Echo, Mode::Operator, Mode::Chat]);
    let max_frame_bytes = random.pick(&[2_048, 2_048, 3_000, 20_000, 65_536]);
    let least = porter::limits::output_limit_least_bytes(max_frame_bytes);
    let output_limit_bytes = random.pick(&[least, least + 3_000, least.max(100_000), least.max(300_000)]);
    let config = Config {
        max_frame_bytes,
        output_limit_bytes,
        output_total_bytes: output_total(seed, output_limit_bytes),
        registration_open: !random.one_in(if theme == Theme::Guessing { 2 } else { 6 }),
        hash_rounds: if theme == Theme::Twins { 20 } else { 1 + random.below(20) as u32 },
        hash_wait: if random.one_in(4) { milliseconds(20) } else { Duration::from_secs(3_600) },
        hash_rounds_per_second: 1_000,
        hash_lane_costs: lane_costs(seed),
        login_cache: random.pick(&[Duration::ZERO, milliseconds(3_000), Duration::from_secs(600)]),
        penalty: random.pick(&[Duration::ZERO, Duration::from_secs(5), Duration::from_secs(5)]),
        min_password_characters: random.pick(&[1, 8, 8]),
        max_attempts: 1 + random.below(3) as u32,
        // Not drawn either.
        chat_rate: [0, 20, 1, 500][seed as usize / 3 % 4],
        max_connections: random.pick(&[3, 6, 50, 50, 50]),
        max_strangers: max_strangers(seed),
        login_timeout: random.pick(&[milliseconds(300), Duration::from_secs(2), Duration::from_secs(30)]),
        idle_timeout: random.pick(&[None, None, Some(milliseconds(1_500))]),
        resume_window: random.pick(&[Duration::ZERO, milliseconds(2_000), Duration::from_secs(60)]),
        ..Config::default()
    };
    let behaviours = theme.behaviours(random);
    // Not drawn either.
    let fan_out = [1 + behaviours.len() / 8, 1 + behaviours.len() / 3, 1_000][(seed / 8 % 3) as usize];
    Settings {
        theme,
        mode,
        config,
        behaviours,
        addresses: match theme {
            Theme::Crowd => 20 + random.below(30),
            Theme::Guessing | Theme::BadDisk => 1 + random.below(2),
            _ => 1 + random.below(5),
        },
        socket_bytes: random.pick(&[40, 200, 1_000, 8_000, 70_000]),
        fan_out,
        writes_for_many: [1, 1_000][(seed / 16 % 2) as usize],
        slice: random.pick(&[1, 3, 7, 30]),
        sync_most: random.pick(&[Duration::ZERO, milliseconds(3), milliseconds(40)]),
        prompt_network: random.one_in(3),
        record_bytes: transport(seed).0,
        breaks: transport(seed).1,
    }
}

pub(crate) fn operations(seed: u64, settings: &Settings) -> Vec<Op> {
    let mut random = Random::new(seed ^ 0x5eed);
    let random = &mut random;
    let mut weights = WEIGHTS;
    for (index, weight) in weights.iter_mut().enumerate() {
        // Clients act and the server has turns in every run; the rest is on and off.
        if index != ACT && index != TURN && random.one_in(3) {
            *weight = 0;
        }
    }
    match settings.theme {
        // ThrottleModel are paid off by time.
        Theme::Guessing => weights[SLEEP] = 0,
        Theme::BadDisk => (weights[SPOIL], weights[CRASH]) = (30, 15),
        _ => {}
    }
    let total: usize = weights.iter().sum();
    let mut ops = drawn(random, settings, weights, total);
    meddle(seed, settings, &mut ops);
    garble(seed, settings, &mut ops);
    ops
}

/// Strews in what no transport can go on with.
fn garble(seed: u64, settings: &Settings, ops: &mut Vec<Op>) {
    if settings.record_bytes == 0 {
        return;
    }
    let mut random = Random::new(seed ^ 0x006a_4b1e);
    for _ in 0..random.below(8) {
        let who = random.below(settings.behaviours.len());
        ops.insert(random.below(ops.len() + 1), Op::Garble { who });
    }
}

/// Strews in those who are at the files; not drawn with the rest, so that seeds go on meaning what they did.
fn meddle(seed: u64, settings: &Settings, ops: &mut Vec<Op>) {
    let mut random = Random::new(seed ^ 0x000e_d170);
    if settings.theme != Theme::BadDisk && !random.one_in(4) {
        return;
    }
    for _ in 0..1 + random.below(6) {
        ops.insert(random.below(ops.len() + 1), Op::Meddle { salt: random.next() });
    }
}

fn drawn(random: &mut Random, settings: &Settings, weights: [usize; WEIGHTS.len()], total: usize) -> Vec<Op> {
    let count = (100 + random.below(400)) * if settings.theme == Theme::Crowd { 3 } else { 1 };
    (0..count)
        .map(|_| {
            let mut number = random.below(total);
            let kind = weights.iter().position(|weight| match number.checked_sub(*weight) {
                Some(rest) => {
                    number = rest;
                    false
                }
                None => true,
            });
            operation(kind.unwrap_or_default(), random, settings)
        })
        .collect()
}

fn operation(kind: usize, random: &mut Random, settings: &Settings) -> Op {
    let (who, salt) = (random.below(settings.behaviours.len()), random.next());
    match kind {
        ACT => Op::Act { who, salt },
        1 => Op::Arrive { who, salt },
        2 => Op::Flood { who, salt },
        3 => Op::HalfClose { who },
        4 => Op::Break { who },
        TURN => Op::Turn { turns: 1 + random.below(3) },
        6 if settings.theme == Theme::Guessing => Op::Pass { milliseconds: random.pick(&[1, 10, 100]) },
        6 => {
            // A night's sleep of the machine is a moment of the clock's.
            let pauses = [1, 10, 100, 1_000, 1_000, 1_000, 6_000, 6_000, 31_000, 31_000, 700_000, 90_000_000];
            Op::Pass { milliseconds: random.pick(&pauses) }
        }
        SLEEP => Op::Sleep,
        8 => Op::Type { salt },
        SPOIL => {
            use Fault::*;
            let fault = random.pick(&[Short, NoSpace, Write, Sync, SyncKept, SyncLost]);
            Op::Spoil { fault, skip: random.below(3) as u32, times: 1 + random.below(3) as u32 }
        }
        10 => Op::Dry { times: 1 + random.below(3) as u32 },
        11 => Op::Late { salt },
        CRASH => {
            let calls = (!random.one_in(3)).then(|| random.below(6) as u32);
            Op::Crash { machine: !random.one_in(3), calls, salt }
        }
        _ => Op::Restart { salt },
    }
}
