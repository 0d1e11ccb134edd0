//! porter-load, against a small server that does as the test says.

#![allow(clippy::disallowed_methods, reason = "the small server may have threads")]

mod chat;
mod ending;
#[path = "../../src/bin/porter-load/plot.rs"]
mod plot;
mod scenarios;
mod schema;
mod script;
mod small;
#[path = "../../src/bin/porter-load/table.rs"]
mod table;

use super::support::{Server, eventually};
use porter::load::{self, Plan, Timeouts};
use rustix::process::Pid;
use small::{Manner, Small, listen, serve};
use std::io::Read;
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

/// The flags of a server in whose chat a load may write as fast as it can.
const CHAT: [&str; 4] = ["--mode", "chat", "--chat-rate", "0"];

/// A running load tester. Killed when dropped, or a test that fails would leave it running for long.
struct Load(Option<Child>);

impl Drop for Load {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Load {
    fn child(&mut self) -> &mut Child {
        self.0.as_mut().unwrap()
    }

    fn pid(&self) -> Pid {
        Pid::from_child(self.0.as_ref().unwrap())
    }

    /// Waits for its end, which must come soon.
    fn ends(mut self) -> Load {
        eventually("the load tester's end", || self.child().try_wait().unwrap());
        self
    }

    fn output(mut self) -> Output {
        self.0.take().unwrap().wait_with_output().unwrap()
    }
}

fn start(address: SocketAddr, flags: &[&str]) -> Load {
    let child = Command::new(env!("CARGO_BIN_EXE_porter-load"))
        .args(["--port", &address.port().to_string()])
        .args(flags)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    Load(Some(child))
}

/// Exit code, stdout, and stderr without the warning that every debug build gives.
fn finish(load: Load) -> (i32, String, String) {
    let output = load.output();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let stderr = text(output.stderr);
    let told = stderr.lines().filter(|line| !line.contains("warning:")).collect::<Vec<_>>().join("\n");
    (output.status.code().unwrap(), text(output.stdout), told)
}

fn program(manner: fn(u64) -> Manner, flags: &[&str]) -> (i32, String, String) {
    let (listener, address) = listen();
    serve(listener, manner);
    finish(start(address, flags))
}

fn plan(address: SocketAddr) -> Plan {
    Plan { servers: vec![address], clients: 30, ..Plan::default() }
}

fn run(manner: fn(u64) -> Manner) -> Result<load::Report, load::LoadError> {
    let (listener, address) = listen();
    serve(listener, manner);
    load::run(&plan(address), &mut |_| {})
}

#[test]
fn two_thousand_clients_one_after_another() {
    let (listener, address) = listen();
    let small = serve(listener, |_| Manner::Echo);
    let flags = ["--clients", "2000", "--users", "3", "--messages", "2", "--size", "100"];
    let (code, stdout, stderr) = finish(start(address, &flags));
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    assert!(stdout.contains("2000 (one after another)") && stdout.contains("p99.9"), "{stdout}");
    let what = format!("sequential, 2 messages of 100 bytes each: {address} over plain TCP, by porter-load ");
    let has_times = [" µs │", " ms │", " s │"].iter().any(|unit| stdout.contains(unit));
    assert!(stdout.starts_with(&what) && has_times, "{stdout}");
    assert_eq!(small.known.lock().unwrap().len(), 3);
    assert_eq!(small.most.load(Ordering::SeqCst), 1, "the next client comes after the last one's close");
}

#[test]
fn many_clients_at_once() {
    let (listener, address) = listen();
    let small = serve(listener, |_| Manner::Echo);
    let report = load::run(&Plan { clients: 400, concurrency: 20, ..plan(address) }, &mut |_| {}).unwrap();
    assert_eq!((report.clients, report.failed), (400, 0), "{:?}", report.failures);
    assert!((2..=20).contains(&small.most.load(Ordering::SeqCst)));
}

#[test]
fn replies_may_come_in_any_portions_and_messages_may_be_large() {
    let (listener, address) = listen();
    serve(listener, |_| Manner::Dribbles);
    let report = load::run(&plan(address), &mut |_| {}).unwrap();
    assert_eq!(report.failed, 0, "{:?}", report.failures);

    let (listener, address) = self::listen();
    serve(listener, |_| Manner::Echo);
    let large = Plan { size_bytes: 65_519, messages: 3, ..plan(address) };
    let report = load::run(&large, &mut |_| {}).unwrap();
    assert_eq!((report.failed, report.message_us.count), (0, 90), "{:?}", report.failures);
}

#[test]
fn the_json_report_has_its_keys() {
    let (code, stdout, _) = program(|_| Manner::Echo, &["--clients", "50", "--messages", "3", "--json"]);
    assert_eq!(code, 0);
    assert_eq!(stdout.lines().count(), 1);
    let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&report["clients"], &report["failed"]), (&50.into(), &0.into()));
    for key in ["seconds", "clients_per_second", "messages_per_second", "tester_processor_share"] {
        assert!(report[key].as_f64().unwrap() > 0.0, "{key}: {stdout}");
    }
    for (key, count) in [("connect_us", 50), ("login_us", 50), ("message_us", 150)] {
        let shown = &report[key];
        assert_eq!(shown["count"], count, "{key}");
        let rising = ["p50", "p90", "p99", "p999", "max"].map(|part| shown[part].as_f64().unwrap());
        assert!(rising[0] > 0.0 && rising.is_sorted(), "{key}: {rising:?}");
    }
    assert!(report["failures"].as_object().unwrap().is_empty());
}

#[test]
fn the_picture_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("latency.svg");
    let (code, ..) = program(|_| Manner::Echo, &["--clients", "20", "--plot", path.to_str().unwrap()]);
    assert_eq!(code, 0);
    let picture = std::fs::read_to_string(&path).unwrap();
    assert!(picture.starts_with("<svg") && picture.contains("20 visits"), "{picture}");
    let today = load::today();
    assert!(picture.contains(&today) && picture.contains(&load::machine_description()), "{picture}");
    // One that cannot begin leaves the last picture, and the next, a smaller one, nothing of it.
    let longer = picture.clone() + &" ".repeat(10_000);
    std::fs::write(&path, &longer).unwrap();
    let nobody = listen().1;
    let (code, ..) = finish(start(nobody, &["--plot", path.to_str().unwrap()]));
    assert_eq!((code, std::fs::read_to_string(&path).unwrap()), (1, longer));
    let (code, ..) = program(|_| Manner::Echo, &["--clients", "20", "--plot", path.to_str().unwrap()]);
    let again = std::fs::read_to_string(&path).unwrap();
    assert!(code == 0 && again.trim_end().ends_with("</svg>") && again.len() < 2 * picture.len(), "{again}");
    let nowhere = folder.path().join("no/folder.svg");
    let (code, _, stderr) = program(|_| Manner::Echo, &["--plot", nowhere.to_str().unwrap()]);
    assert!(code == 1 && stderr.contains("folder.svg"), "{stderr}");
}

#[test]
fn failures_are_counted_by_kind_and_the_run_goes_on() {
    let manner = |number| match number {
        1 | 7 => Manner::WrongEcho,
        2 => Manner::Busy,
        3 => Manner::HangsUp,
        _ => Manner::Echo,
    };
    let (code, stdout, stderr) = program(manner, &["--clients", "12", "--json"]);
    assert_eq!(code, 1);
    assert_eq!(stderr.lines().count(), 1);
    assert!(stderr.starts_with("porter-load: 4 of 12 clients failed"), "{stderr}");
    let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["failed"], 4, "{stdout}");
    let failures = report["failures"].as_object().unwrap();
    assert_eq!(failures.len(), 3, "{stdout}");
    assert_eq!(
        (&failures["wrong_echo"]["count"], &failures["connection_lost"]["count"]),
        (&2.into(), &1.into())
    );
    assert!(failures["Busy"]["reason"].as_str().unwrap().contains("7 s, then try again"), "{stdout}");
    assert_eq!(report["connect_us"]["count"], 12);
}

#[test]
fn a_server_in_the_wrong_mode_is_found_out_before_the_run() {
    let (listener, address) = listen();
    serve(listener, |_| Manner::Silence);
    let timeouts = Timeouts { echo: Duration::from_millis(20), ..Timeouts::default() };
    let error = load::run(&Plan { timeouts, ..plan(address) }, &mut |_| {}).unwrap_err();
    assert_eq!(error.kind, "no_echo");
    assert!(error.reason.contains("--mode echo"), "{error}");
    assert_eq!(run(|_| Manner::WrongEcho).unwrap_err().kind, "wrong_echo");
}

#[test]
fn why_the_server_refused_is_told() {
    let (code, stdout, stderr) = program(|_| Manner::Busy, &[]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("106 Busy: 7 s, then try again"), "{stderr}");
}

#[test]
fn nobody_there_is_told_and_another_address_is_tried() {
    let (listener, closed) = listen();
    drop(listener);
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("picture.svg");
    let (code, _, stderr) = finish(start(closed, &["--plot", picture.to_str().unwrap()]));
    assert_eq!(code, 1);
    assert!(stderr.contains("no server listens there") && stderr.contains(&closed.to_string()), "{stderr}");
    assert!(!stderr.contains("os error") && !picture.exists(), "{stderr}");

    let (listener, open) = listen();
    serve(listener, |_| Manner::Echo);
    let report = load::run(&Plan { servers: vec![closed, open], ..plan(open) }, &mut |_| {}).unwrap();
    assert_eq!(report.failed, 0);
}

#[test]
fn a_server_that_goes_away_ends_the_run() {
    let (listener, address) = listen();
    thread::spawn(move || {
        let small = Small::default();
        for stream in listener.incoming().take(4) {
            small.receive(&stream.unwrap(), Manner::Echo).unwrap();
        }
    });
    let report = load::run(&plan(address), &mut |_| {}).unwrap();
    assert!(report.failures.contains_key("connection_refused"), "{:?}", report.failures);
    // The one whose connection still waited to be accepted, if there was one, and the first that was refused.
    assert!(report.clients >= 4 && report.failed <= 2, "{} clients: {:?}", report.clients, report.failures);
    assert_eq!(report.cut_short.unwrap().kind, "server_gone");
}

#[test]
fn a_closed_stdout_is_no_failure() {
    let (listener, address) = listen();
    let mut load = start(address, &["--clients", "5"]);
    // The program cannot have printed yet: nobody serves it.
    drop(load.child().stdout.take());
    serve(listener, |_| Manner::Echo);
    let (code, _, stderr) = finish(load);
    assert_eq!((code, stderr.as_str()), (0, ""));
}

#[test]
fn wrong_usage_is_told_on_one_line() {
    for flags in [["--clients", "0"], ["--concurrency", "0"], ["--size", "0"], ["--size", "16777200"]] {
        let (_listener, address) = listen();
        let (code, _, stderr) = finish(start(address, &flags));
        assert_eq!((code, stderr.lines().count()), (2, 1), "{flags:?} {stderr}");
        assert!(stderr.contains(flags[0]), "{stderr}");
    }
}

#[test]
fn a_run_by_time_says_how_much_of_it_is_left() {
    let server = Server::start(&[]);
    let (mut terminal, its_end) = pty_process::blocking::open().unwrap();
    let port = server.address.port().to_string();
    let flags = ["--port", &port, "--scenario", "steady", "--clients", "2", "--seconds", "2"];
    let command = pty_process::blocking::Command::new(env!("CARGO_BIN_EXE_porter-load"));
    let mut load = Load(Some(command.args(flags).env("TERM", "xterm").spawn(its_end).unwrap()));
    let (mut shown, mut portion) = (Vec::new(), [0; 4_096]);
    // It ends with an error when the program has gone.
    while let Ok(count @ 1..) = terminal.read(&mut portion) {
        shown.extend_from_slice(&portion[..count]);
    }
    let shown = String::from_utf8_lossy(&shown);
    assert!(shown.contains("0/2, 2 s to go") && shown.contains("1/2, 1 s to go"), "{shown}");
    assert!(shown.contains("steady, 1 message"), "{shown}");
    load.child().wait().unwrap();
}

#[test]
fn a_debug_build_says_so() {
    let (listener, address) = listen();
    serve(listener, |_| Manner::Echo);
    let output = start(address, &["--clients", "1"]).output();
    let warned = String::from_utf8(output.stderr).unwrap().contains("a debug build");
    assert_eq!(warned, cfg!(debug_assertions));
}
