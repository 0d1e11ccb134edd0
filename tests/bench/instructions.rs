//! Guards what was won: instructions that the server executes per message, per delivery in a room and per login, compared with the figures in
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

use porter::client::tls::{Trust, connect};
use porter::protocol::{FrameRead, Reply, Request, Wanted};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

const FIGURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bench/instructions.csv");
const PASSWORD: &str = "open sesame";
const TEXT: [u8; 64] = [b'x'; 64];
const LONGEST_REPLY_BYTES: u32 = 65_600;
/// The longest wait of a client that encrypts.
const CEILING: Duration = Duration::from_secs(60);
/// What two counts of the same server may differ by, in parts of the figure: hash tables are keyed at random, and what is
/// done by the clock is done more often when the run takes longer.
const NOISE: f64 = 0.02;

/// Something that the server does, and how to have it done so many times.
struct Work {
    name: &'static str,
    /// Of the server, beside the usual ones.
    flags: &'static [&'static str],
    times: u64,
    have_done: fn(server: &Server, times: u64),
}

/// Where a server listens, and where its files are.
struct Server {
    port: u16,
    data: PathBuf,
}

/// Those who read in the room.
const READERS: u64 = 100;

const WORKS: [Work; 6] = [
    work("message, 1 in flight", &[], 4_000, |server, times| talk(server, times, 1)),
    work("message, 16 in flight", &[], 16_000, |server, times| talk(server, times, 16)),
    work("visit with a remembered login", &[], 500, visit),
    work("delivery to one of 100 readers, 1 text in flight", CHAT, 20_000, |it, times| post(it, times, 1)),
    work("delivery to one of 100 readers, 16 texts in flight", CHAT, 80_000, |it, times| post(it, times, 16)),
    work("message over TLS, 1 in flight", &["--tls"], 4_000, talk_encrypted),
];

const CHAT: &[&str] = &["--mode", "chat", "--chat-rate", "0"];

const fn work(
    name: &'static str,
    flags: &'static [&'static str],
    times: u64,
    have_done: fn(&Server, u64),
) -> Work {
    Work { name, flags, times, have_done }
}

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
    let have_done = |factor| move |server: &Server| (work.have_done)(server, factor * work.times);
    let [once, twice] = [1, 2].map(|factor| instructions(work.flags, have_done(factor)));
    (twice - once) / work.times as f64
}

/// Instructions that a server executes in its turns, while `load` does what it does.
fn instructions(flags: &[&str], load: impl FnOnce(&Server)) -> f64 {
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
    let mut process = command.args(flags).spawn().unwrap();
    let mut stdout = BufReader::new(process.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let port = line.trim().rsplit(':').next().and_then(|port| port.parse().ok()).expect("where it listens");
    load(&Server { port, data: folder.path().join("data") });
    kill_process(Pid::from_child(&process), Signal::TERM).unwrap();
    assert!(process.wait().unwrap().success());
    let counts = fs::read_to_string(counts).unwrap();
    let total = counts.lines().find_map(|line| line.strip_prefix("totals: ")).expect("a total");
    let total: f64 = total.trim().parse().unwrap();
    assert!(total > 0.0, "no turns were counted: what a turn is called in the program has changed");
    total
}

/// One client writes messages, so many before it reads the answers.
fn talk(server: &Server, times: u64, in_flight: usize) {
    let (mut stream, token) = logged_in(server.port);
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
fn visit(server: &Server, times: u64) {
    drop(logged_in(server.port));
    for _ in 0..times {
        let (mut stream, _) = logged_in(server.port);
        send(&mut stream, &[Request::Exit]);
        receive(&mut stream);
    }
}

/// One writes texts to a room, so many before it waits until all have read them, until there were so many deliveries.
fn post(server: &Server, times: u64, in_flight: usize) {
    let (mut writer, token) = logged_in(server.port);
    let mut readers: Vec<_> = (0..READERS).map(|_| logged_in(server.port).0).collect();
    let mut frames = Vec::new();
    for _ in 0..in_flight {
        Request::Message { token: &token, text: &TEXT }.encode(&mut frames);
    }
    for _ in 0..times / READERS / in_flight as u64 {
        writer.get_mut().write_all(&frames).unwrap();
        for reader in &mut readers {
            (0..in_flight).for_each(|_| drop(receive(reader)));
        }
    }
}

/// One client who encrypts writes a message and reads the answer, again and again.
fn talk_encrypted(server: &Server, times: u64) {
    let trust = Trust::Authority(server.data.join("tls-cert.pem"));
    let mut client = connect("127.0.0.1", server.port, &trust, CEILING).unwrap();
    if client.identify("ann").unwrap() == Wanted::Register {
        client.register(PASSWORD).unwrap();
    }
    client.login(PASSWORD).unwrap();
    let text = String::from_utf8_lossy(&TEXT);
    for _ in 0..times {
        client.send(&text).unwrap();
        client.receive().unwrap();
    }
}

/// A new connection, in which `ann` has registered if need be and logged in.
fn logged_in(port: u16) -> (BufReader<TcpStream>, [u8; 16]) {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut stream = BufReader::new(stream);
    send(&mut stream, &[Request::Identify(b"ann"), Request::Login(PASSWORD.as_bytes())]);
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
    send(&mut stream, &[Request::Identify(b"ann"), Request::Register(PASSWORD.as_bytes())]);
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
