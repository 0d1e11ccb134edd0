//! What grows with the users in `users.csv` and with the connections, and what does not: two tables and a picture.
//!
//!     cargo bench --bench growth [-- --picture FILE.svg]
//!
//! Start and memory: from the server's start until it says where it listens, and the most memory that it held until then
//! (`VmHWM`), with its file in the system's cache. A login: a client that connects, logs in with a password that the
//! server remembers, and leaves, one after another, in turn as every user that the load tester knows. A message: one in
//! flight in each connection. For both the server's processor time, from `porter-load --pid`.
//!
//! The server has one processor and the load tester another (`taskset`, of util-linux). All sizes take turns, and the
//! figures are medians of their turns. The exit code is 1 if the start with the most users is above its targets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a measurement that cannot go on ends, and says where; it lives outside of the core"
)]

mod panels;
mod server;

use panels::{Panel, shown};
use porter::auth::{Password, PasswordHash, hash_password};
use serde_json::Value;
use server::Server;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::process::{Command, ExitCode, Stdio};

const USERS: [u32; 4] = [10, 10_000, 100_000, 1_000_000];
const CONNECTIONS: [u32; 4] = [10, 100, 1_000, 10_000];
/// With the most users a start takes no longer, in seconds, and no more memory, in megabytes.
const START_MOST: [f64; 2] = [1.5, 150.0];
/// How often each size has its turn.
const TURNS: usize = 3;
/// The most users that log in: enough of them that the processor does not know their places in the table by heart.
const LOGGED_IN_MOST: u32 = 4_000;
/// Logins of one turn.
const LOGINS: u32 = 4_000;
/// Seconds of messages of one turn.
const SECONDS: u32 = 2;
/// Hashes that cost nothing, and room for all connections.
const FLAGS: [&str; 4] = ["--hash-rounds", "1", "--max-connections", "10100"];
/// The processors of the server and of the load tester.
const PROCESSORS: [&str; 2] = ["0", "1"];

fn main() -> ExitCode {
    let picture = std::env::args().skip_while(|word| word != "--picture").nth(1);
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("{processors} processors, load average {}, medians of {TURNS} turns\n", load.trim());

    let starts = USERS.map(start);
    let servers = USERS.map(|users| pinned(among(users)));
    let logins = in_turns(|size| login(&servers[size], USERS[size]));
    println!("| users | start, s | its processor time, s | memory, MB | processor time a login, µs |");
    println!("|---|---|---|---|---|");
    for ((users, [start, processor, memory]), login) in USERS.iter().zip(&starts).zip(logins) {
        let [start, processor, memory, login] = [*start, *processor, *memory, login].map(shown);
        println!("| {users} | {start} | {processor} | {memory} | {login} |");
    }
    drop(servers);

    let server = pinned(among(1));
    let messages = in_turns(|size| message(&server, CONNECTIONS[size]));
    println!("\n| connections | processor time a message, µs |\n|---|---|");
    for (connections, message) in CONNECTIONS.iter().zip(messages) {
        println!("| {connections} | {} |", shown(message));
    }

    if let Some(file) = picture {
        let panel = |title, unit, across, sizes: [u32; 4], figures: [f64; 4]| {
            let points = sizes.map(f64::from).into_iter().zip(figures).collect();
            Panel { title, unit, across, points }
        };
        let of_starts = |figure: usize| starts.map(|figures| figures[figure]);
        let drawn = panels::draw(&[
            panel("a login, processor time", "µs", "users in users.csv", USERS, logins),
            panel("a message, processor time", "µs", "connections", CONNECTIONS, messages),
            panel("the start", "s", "users in users.csv", USERS, of_starts(0)),
            panel("memory after the start", "MB", "users in users.csv", USERS, of_starts(2)),
        ]);
        std::fs::write(file, drawn).unwrap();
    }
    judge(USERS[USERS.len() - 1], starts[USERS.len() - 1])
}

/// Whether the start with the most users keeps within its targets.
fn judge(users: u32, [seconds, _, memory]: [f64; 3]) -> ExitCode {
    let [seconds_most, memory_most] = START_MOST;
    let met = seconds <= seconds_most && memory <= memory_most;
    let verdict = if met { "met" } else { "missed" };
    println!(
        "\nThe targets, {seconds_most} s and {memory_most} MB at the start with {users} users: {verdict}"
    );
    if met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Seconds of a start, seconds of processor time in it, and the megabytes held at most.
fn start(users: u32) -> [f64; 3] {
    let turns: [[f64; 3]; TURNS] = std::array::from_fn(|_| {
        let server = among(users);
        [server.start_took().as_secs_f64(), server.processor().as_secs_f64(), server.memory_most()]
    });
    std::array::from_fn(|figure| median(turns.map(|turn| turn[figure])))
}

/// Microseconds of the server's processor time for each of many logins.
fn login(server: &Server, users: u32) -> f64 {
    let (users, clients) = (users.min(LOGGED_IN_MOST).to_string(), LOGINS.to_string());
    let load = ["--scenario", "sequential", "--messages", "0", "--users", &users, "--clients", &clients];
    figure(&measured(server, &load), "us_per_login")
}

/// Microseconds of the server's processor time for each message on so many connections.
fn message(server: &Server, connections: u32) -> f64 {
    let (clients, seconds) = (connections.to_string(), SECONDS.to_string());
    let load = ["--scenario", "steady", "--in-flight", "1", "--clients", &clients, "--seconds", &seconds];
    figure(&measured(server, &load), "us_per_message")
}

/// What the load tester reports of a load.
fn measured(server: &Server, load: &[&str]) -> Value {
    let mut command = Command::new("taskset");
    command.args(["-c", PROCESSORS[1], env!("CARGO_BIN_EXE_porter-load"), "--json"]);
    command.args(["--port", server.port(), "--pid", &server.process()]).args(load);
    let output = command.stderr(Stdio::inherit()).output().expect("taskset, of util-linux");
    assert!(output.status.success(), "porter-load failed");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn figure(report: &Value, name: &str) -> f64 {
    report["server"][name].as_f64().unwrap()
}

/// Leaves a server one processor of its own.
fn pinned(server: Server) -> Server {
    let mut command = Command::new("taskset");
    command.args(["-cp", PROCESSORS[0], &server.process()]).stdout(Stdio::null());
    assert!(command.status().expect("taskset, of util-linux").success(), "taskset failed");
    server
}

/// The median of each size's turns.
fn in_turns(mut measure: impl FnMut(usize) -> f64) -> [f64; 4] {
    let turns: [[f64; 4]; TURNS] = std::array::from_fn(|_| std::array::from_fn(&mut measure));
    std::array::from_fn(|size| median(turns.map(|turn| turn[size])))
}

fn median(mut figures: [f64; TURNS]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[TURNS / 2]
}

/// Starts a server with so many users in its file.
fn among(users: u32) -> Server {
    Server::start(&FLAGS, |file| write_users(file, users))
}

/// Writes a line for each user, those of the load tester evenly among the others, whose passwords nobody knows.
fn write_users(file: &mut BufWriter<File>, users: u32) -> io::Result<()> {
    let known = users.min(LOGGED_IN_MOST);
    let password = Password::new(porter::load::PASSWORD.as_bytes());
    let stored = hash_password(&password, *b"sixteen bytes ok", 1).to_phc();
    let mut random = Random(0);
    for number in 0..users {
        let step = users / known;
        if number % step == 0 && number / step < known {
            writeln!(file, "load-{},{stored},2026-01-02T03:04:05Z", number / step + 1)?;
        } else {
            let other = PasswordHash { rounds: 3_100_000, salt: random.bytes(), hash: random.bytes() };
            writeln!(file, "visitor-{number},{},2026-01-02T03:04:05Z", other.to_phc())?;
        }
    }
    Ok(())
}

/// SplitMix64: good enough to fill a file with.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn bytes(&mut self) -> [u8; 16] {
        (u128::from(self.next()) << 64 | u128::from(self.next())).to_be_bytes()
    }
}
