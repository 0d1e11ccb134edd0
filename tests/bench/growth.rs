//! What grows with the users in `users.csv` and with the connections, and what does not: two tables and a picture.
//!
//!     cargo bench --bench growth [-- --picture FILE.svg]
//!
//! Start and memory: from the server's start until it says where it listens, and the most memory that it held until then
//! (`VmHWM`), with its file in the system's cache. A login: a client that connects, logs in with a password that the
//! server remembers, and leaves, one after another, in turn as every user that the load tester knows. A message: one in
//! flight in each connection. For both the server's CPU time, as the load tester reports it.
//!
//! The server has one CPU and the load tester another, if there are two. All sizes take turns, and the figures are medians
//! of their turns. The exit code is 1 if the start with the most users is above its targets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a measurement that cannot go on ends, and says where; it lives outside of the core"
)]

mod charts;
mod server;

use charts::{Panel, shown};
use porter::auth::{Password, PasswordHash, hash_password};
use porter::load::{self, Plan, Report, Scenario, ServerUse};
use rustix::thread::CpuSet;
use server::{Server, Stdout, divided};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const USERS: [u32; 4] = [10, 10_000, 100_000, 1_000_000];
const CONNECTIONS: [u32; 4] = [10, 100, 1_000, 10_000];
/// With the most users a start takes no longer, in seconds, and no more memory, in megabytes.
const START_MOST: [f64; 2] = [1.5, 150.0];
/// How often each size has its turn.
const TURNS: usize = 3;
/// The most users that log in: enough of them that the CPU does not know their places in the table by heart.
const LOGGED_IN_MOST: u32 = 4_000;
/// Logins of one turn.
const LOGINS: u64 = 4_000;
/// Of messages in one turn.
const SPAN: Duration = Duration::from_secs(2);
/// Hashes that cost nothing, and room for all connections.
const FLAGS: [&str; 4] = ["--hash-rounds", "1", "--max-connections", "10100"];

/// A server among users, in a folder of its own.
struct Host {
    server: Server,
    _stdout: Stdout,
    _folder: TempDir,
    /// From its start until it said where it listens.
    start_took: Duration,
}

fn main() -> ExitCode {
    let picture = std::env::args().skip_while(|word| word != "--picture").nth(1);
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("{cpus} CPUs, load average {}, medians of {TURNS} turns\n", load.trim());

    let cpus = divided();
    let cpus = cpus.as_ref();
    let starts = USERS.map(|users| start(users, cpus));
    let servers = USERS.map(|users| among(users, cpus));
    let logins = in_turns(|size| login(&servers[size], USERS[size]));
    println!("| users | start, s | its CPU time, s | memory, MB | CPU time a login, µs |");
    println!("|---|---|---|---|---|");
    for ((users, [start, cpu, memory]), login) in USERS.iter().zip(&starts).zip(logins) {
        let [start, cpu, memory, login] = [*start, *cpu, *memory, login].map(shown);
        println!("| {users} | {start} | {cpu} | {memory} | {login} |");
    }
    drop(servers);

    let server = among(1, cpus);
    let messages = in_turns(|size| message(&server, CONNECTIONS[size]));
    println!("\n| connections | CPU time a message, µs |\n|---|---|");
    for (connections, message) in CONNECTIONS.iter().zip(messages) {
        println!("| {connections} | {} |", shown(message));
    }

    if let Some(file) = picture {
        let panel = |title, unit, across, sizes: [u32; 4], figures: [f64; 4]| {
            let points = sizes.map(f64::from).into_iter().zip(figures).collect();
            Panel { title, unit, across, points }
        };
        let of_starts = |figure: usize| starts.map(|figures| figures[figure]);
        let drawn = [
            panel("a login, CPU time", "µs", "users in users.csv", USERS, logins),
            panel("a message, CPU time", "µs", "connections", CONNECTIONS, messages),
            panel("the start", "s", "users in users.csv", USERS, of_starts(0)),
            panel("memory after the start", "MB", "users in users.csv", USERS, of_starts(2)),
        ];
        let conditions =
            format!("porter {}, medians of {TURNS} turns, {}", env!("CARGO_PKG_VERSION"), load::today());
        let drawn = charts::draw(&drawn, &[&conditions, &load::machine_description()]);
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

/// Seconds of a start, seconds of CPU time in it, and the megabytes held at most.
fn start(users: u32, cpus: Option<&CpuSet>) -> [f64; 3] {
    let turns: [[f64; 3]; TURNS] = std::array::from_fn(|_| {
        let Host { server, start_took, .. } = &among(users, cpus);
        let cpu = server.process().cpu().unwrap().used;
        [start_took.as_secs_f64(), cpu.as_secs_f64(), server.memory_most().unwrap() as f64 / 1e6]
    });
    std::array::from_fn(|figure| median(turns.map(|turn| turn[figure])))
}

/// Microseconds of the server's CPU time for each of many logins.
fn login(host: &Host, users: u32) -> f64 {
    let plan = Plan::canonical(Scenario::Sequential);
    let plan = Plan { messages: 0, users: users.min(LOGGED_IN_MOST), clients: LOGINS, ..plan };
    used(&measured(host, plan)).us_per_login.unwrap()
}

/// Microseconds of the server's CPU time for each message on so many connections.
fn message(host: &Host, connections: u32) -> f64 {
    let plan = Plan { clients: connections.into(), span: SPAN, ..Plan::canonical(Scenario::Steady) };
    used(&measured(host, plan)).us_per_message.unwrap()
}

/// What the load tester reports of a load.
fn measured(host: &Host, plan: Plan) -> Report {
    let (servers, pids) = (vec![host.server.address()], vec![host.server.pid()]);
    let report = load::run(&Plan { servers, pids, ..plan }, &mut |_| {}).unwrap();
    assert_eq!(report.failed, 0, "{:?}", report.failures);
    report
}

fn used(report: &Report) -> ServerUse {
    report.server.expect("what the server used")
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
fn among(users: u32, cpus: Option<&CpuSet>) -> Host {
    let folder = TempDir::new().unwrap();
    let mut file = BufWriter::new(File::create(folder.path().join("users.csv")).unwrap());
    file.write_all(b"name,password,registered\n").and_then(|()| write_users(&mut file, users)).unwrap();
    // On the disk already, or the sync of the server's start would wait for it.
    file.into_inner().unwrap().sync_all().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_porter-server"));
    command.args(["--host", "127.0.0.1", "--port", "0", "--data"]).arg(folder.path()).args(FLAGS);
    command.arg("--log-file").arg(folder.path().join("log")).stdin(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let (server, _stdout) = Server::start(&mut command, None, cpus).unwrap();
    Host { server, _stdout, _folder: folder, start_took: began.elapsed() }
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
