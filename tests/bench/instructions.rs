//! Guards what was won: instructions that the server executes per message and per login, compared with the figures in
//! `tests/bench/instructions.csv`. Unlike a time they are the same on a busy machine (to about one in a hundred), so a
//! change that costs something shows at once.
//!
//!     cargo bench --bench instructions              ends with 1 if something costs more than its figure
//!     cargo bench --bench instructions -- --record  takes today's figures as those to compare with
//!
//! The real server runs under valgrind's callgrind, which counts what it executes outside of the kernel, twice: with some
//! work and with twice as much. The difference is the price, without start and end.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a measurement that cannot go on ends, and says where; it lives outside of the core"
)]

use porter::protocol::{FrameRead, Reply, Request};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Command, ExitCode, Stdio};

const FIGURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bench/instructions.csv");
const PASSWORD: &[u8] = b"open sesame";
const TEXT: [u8; 64] = [b'x'; 64];
const LONGEST_REPLY_BYTES: u32 = 65_600;
/// What two counts of the same server may differ by, in parts of the figure: hash tables are keyed at random, and what is
/// done by the clock is done more often when the run takes longer.
const NOISE: f64 = 0.02;

/// Something that the server does, and how to have it done so many times.
struct Work {
    name: &'static str,
    times: u64,
    have_done: fn(port: u16, times: u64),
}

const WORKS: [Work; 3] = [
    Work { name: "message, 1 in flight", times: 4_000, have_done: |port, times| talk(port, times, 1) },
    Work { name: "message, 16 in flight", times: 16_000, have_done: |port, times| talk(port, times, 16) },
    Work { name: "visit with a remembered login", times: 500, have_done: visit },
];

fn main() -> ExitCode {
    let record = std::env::args().any(|word| word == "--record");
    if Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("instructions: valgrind is missing, which counts them; install the package valgrind");
        return ExitCode::FAILURE;
    }
    let counted: Vec<(&str, f64)> = WORKS.iter().map(|work| (work.name, price(work))).collect();
    if record {
        let lines = counted.iter().map(|(name, count)| format!("\"{name}\",{count:.0}\n"));
        fs::write(FIGURES, "work,instructions\n".to_owned() + &lines.collect::<String>()).unwrap();
    }
    let figures = figures();
    println!("| work | instructions | figure | |\n|---|---|---|---|");
    let mut dearer = false;
    for (name, count) in counted {
        let figure = figures.iter().find(|(of, _)| of == name).expect("a figure; --record makes it").1;
        let change = count / figure - 1.0;
        dearer |= change > NOISE;
        let verdict = match change {
            change if change > NOISE => "dearer",
            change if change < -NOISE => "cheaper: worth a --record",
            _ => "as it was",
        };
        println!("| {name} | {count:.0} | {figure:.0} | {:+.1} %: {verdict} |", change * 100.0);
    }
    if dearer { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn figures() -> Vec<(String, f64)> {
    let records = csv::Reader::from_path(FIGURES).and_then(|file| file.into_deserialize().collect());
    records.expect("the figures can be read; --record makes them anew")
}

/// Instructions for doing the work once.
fn price(work: &Work) -> f64 {
    let [once, twice] = [1, 2].map(|factor| instructions(|port| (work.have_done)(port, factor * work.times)));
    (twice - once) / work.times as f64
}

/// Instructions that a server executes in its turns, while `load` does what it does.
fn instructions(load: impl FnOnce(u16)) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let counts = folder.path().join("counts");
    let mut command = Command::new("valgrind");
    // The start is not counted: it measures what hashing costs by the clock, and does more or less of it each time.
    command
        .args(["--quiet", "--tool=callgrind", "--toggle-collect=porter::server::Server<*>::turn"])
        .arg(format!("--callgrind-out-file={}", counts.display()));
    command.arg(env!("CARGO_BIN_EXE_porter-server"));
    command.args(["--host", "127.0.0.1", "--port", "0", "--hash-rounds", "1"]);
    command.arg("--data").arg(folder.path().join("data")).arg("--log-file").arg(folder.path().join("log"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut server = command.spawn().unwrap();
    let mut stdout = BufReader::new(server.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let port = line.trim().rsplit(':').next().and_then(|port| port.parse().ok()).expect("where it listens");
    load(port);
    kill_process(Pid::from_child(&server), Signal::TERM).unwrap();
    assert!(server.wait().unwrap().success());
    let counts = fs::read_to_string(counts).unwrap();
    let total = counts.lines().find_map(|line| line.strip_prefix("totals: ")).expect("a total");
    let total: f64 = total.trim().parse().unwrap();
    assert!(total > 0.0, "no turns were counted: what a turn is called in the program has changed");
    total
}

/// One client writes messages, so many before it reads the answers.
fn talk(port: u16, times: u64, in_flight: usize) {
    let (mut stream, token) = logged_in(port);
    let mut frames = Vec::new();
    for _ in 0..in_flight {
        Request::Message { token: &token, text: &TEXT }.encode(&mut frames);
    }
    for _ in 0..times / in_flight as u64 {
        stream.get_mut().write_all(&frames).unwrap();
        for _ in 0..in_flight {
            receive(&mut stream);
        }
    }
}

/// Clients one after another, who log in without waiting to be greeted, and leave.
fn visit(port: u16, times: u64) {
    drop(logged_in(port));
    for _ in 0..times {
        let (mut stream, _) = logged_in(port);
        send(&mut stream, &[Request::Exit]);
        receive(&mut stream);
    }
}

/// A new connection, in which `ann` has registered if need be and logged in.
fn logged_in(port: u16) -> (BufReader<TcpStream>, [u8; 16]) {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut stream = BufReader::new(stream);
    send(&mut stream, &[Request::Identify(b"ann"), Request::Login(PASSWORD)]);
    receive(&mut stream);
    loop {
        let body = receive(&mut stream);
        match Reply::decode(&body).unwrap() {
            Reply::Welcome { token, .. } => return (stream, *token),
            Reply::PasswordWanted(_) => {}
            // Nobody has this name yet, so that Login was out of place, and the connection is closing.
            _ => break,
        }
    }
    register(port);
    logged_in(port)
}

fn register(port: u16) {
    let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", port)).unwrap());
    send(&mut stream, &[Request::Identify(b"ann"), Request::Register(PASSWORD)]);
    for _ in ["Hello", "PasswordWanted", "PasswordWanted"] {
        receive(&mut stream);
    }
}

fn send(stream: &mut BufReader<TcpStream>, requests: &[Request<'_>]) {
    let mut frames = Vec::new();
    requests.iter().for_each(|request| request.encode(&mut frames));
    stream.get_mut().write_all(&frames).unwrap();
}

fn receive(stream: &mut BufReader<TcpStream>) -> Vec<u8> {
    stream.read_frame(LONGEST_REPLY_BYTES).unwrap().expect("a reply")
}
