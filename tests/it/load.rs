//! porter-load, against a small server that does as the test says.

#![allow(clippy::disallowed_methods, reason = "the small server may have threads")]

mod schema;

use super::support::Server;
use porter::load::{self, LoginSort, Patience, Plan, Scenario};
use porter::protocol::{FrameRead, Reply, Request, Wanted};
use std::collections::HashSet;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How the small server treats a visitor.
#[derive(Clone, Copy)]
enum Manner {
    Echo,
    WrongEcho,
    Silence,
    Busy,
    HangsUp,
    /// Answers one byte at a time.
    Dribbles,
}

#[derive(Default)]
struct Small {
    known: Mutex<HashSet<Vec<u8>>>,
    here: AtomicUsize,
    /// The most visitors at once.
    most: AtomicUsize,
}

/// Serves on a thread of its own; the manner goes by the visit's number.
fn serve(listener: TcpListener, manner: fn(u64) -> Manner) -> Arc<Small> {
    let small = Arc::new(Small::default());
    let shared = Arc::clone(&small);
    thread::spawn(move || {
        for (number, stream) in (0..).zip(listener.incoming()) {
            let small = Arc::clone(&shared);
            small.most.fetch_max(small.here.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::spawn(move || {
                let stream = stream.unwrap();
                // A visitor that has gone is the tester's business, and its report's.
                let _ = small.receive(&stream, manner(number));
                small.here.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    small
}

impl Small {
    fn receive(&self, stream: &TcpStream, manner: Manner) -> io::Result<()> {
        self.receive_after(stream, manner, |_| {})
    }

    /// Does something first when a message comes, by its number.
    fn receive_after(&self, mut stream: &TcpStream, manner: Manner, first: impl Fn(u64)) -> io::Result<()> {
        let mut messages = 0;
        stream.set_nodelay(true)?;
        let say = |reply: Reply<'_>| {
            let mut bytes = Vec::new();
            reply.encode(&mut bytes);
            let portion = if matches!(manner, Manner::Dribbles) { 1 } else { bytes.len() };
            bytes.chunks(portion).try_for_each(|portion| (&mut &*stream).write_all(portion))
        };
        if matches!(manner, Manner::Busy) {
            return say(Reply::Error { code: 106, explanation: "7 s, then try again" });
        }
        say(Reply::Hello { version: 1, last_name: "" })?;
        let token = [9; 16];
        let mut name = Vec::new();
        while let Some(body) = stream.read_frame(70_000)? {
            match Request::decode(&body).unwrap() {
                Request::Identify(given) => {
                    name = given.to_vec();
                    let known = self.known.lock().unwrap().contains(&name);
                    say(Reply::PasswordWanted(if known { Wanted::Login } else { Wanted::Register }))?;
                }
                Request::Register(password) => {
                    assert_eq!(password, load::PASSWORD.as_bytes());
                    self.known.lock().unwrap().insert(name.clone());
                    say(Reply::PasswordWanted(Wanted::Login))?;
                }
                Request::Login(password) => {
                    assert_eq!(password, load::PASSWORD.as_bytes());
                    assert!(self.known.lock().unwrap().contains(&name));
                    if matches!(manner, Manner::HangsUp) {
                        return Ok(());
                    }
                    say(Reply::Welcome { token: &token, greeting: "Hello" })?;
                }
                Request::Message { token: presented, text } => {
                    assert_eq!(*presented, token);
                    first(messages);
                    messages += 1;
                    let text = std::str::from_utf8(text).unwrap();
                    match manner {
                        Manner::Silence => {}
                        Manner::WrongEcho => say(Reply::Message { sender: "", text: &text[1..] })?,
                        _ => say(Reply::Message { sender: "", text })?,
                    }
                }
                Request::Exit => return say(Reply::Bye("bye")),
                Request::Resume(_) => panic!("nobody has a session to resume"),
                other => panic!("no client of the load has a use for {other:?}"),
            }
        }
        Ok(())
    }
}

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn start(address: SocketAddr, flags: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_porter-load"))
        .args(["--port", &address.port().to_string()])
        .args(flags)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Exit code, stdout, and stderr without the warning that every debug build gives.
fn finish(child: Child) -> (i32, String, String) {
    let output = child.wait_with_output().unwrap();
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

fn run(manner: fn(u64) -> Manner) -> Result<load::Report, load::Mishap> {
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
    let patience = Patience { echo: Duration::from_millis(20), ..Patience::default() };
    let mishap = load::run(&Plan { patience, ..plan(address) }, &mut |_| {}).unwrap_err();
    assert_eq!(mishap.kind, "no_echo");
    assert!(mishap.reason.contains("--mode echo"), "{mishap}");
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
    let (code, _, stderr) = finish(start(closed, &[]));
    assert_eq!(code, 1);
    assert!(stderr.contains("no server listens there") && stderr.contains(&closed.to_string()), "{stderr}");

    let (listener, open) = listen();
    serve(listener, |_| Manner::Echo);
    let report = load::run(&Plan { servers: vec![closed, open], ..plan(open) }, &mut |_| {}).unwrap();
    assert_eq!(report.failed, 0);
}

#[test]
fn a_server_that_goes_away_fails_all_clients_after_that() {
    let (listener, address) = listen();
    thread::spawn(move || {
        let small = Small::default();
        for stream in listener.incoming().take(4) {
            small.receive(&stream.unwrap(), Manner::Echo).unwrap();
        }
    });
    let report = load::run(&plan(address), &mut |_| {}).unwrap();
    assert_eq!((report.clients, report.failed), (30, 27), "{:?}", report.failures);
    assert!(report.failures.contains_key("connection_refused"), "{:?}", report.failures);
}

#[test]
fn a_closed_stdout_is_no_failure() {
    let (listener, address) = listen();
    let mut child = start(address, &["--clients", "5"]);
    // The program cannot have printed yet: nobody serves it.
    drop(child.stdout.take());
    serve(listener, |_| Manner::Echo);
    let (code, _, stderr) = finish(child);
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
fn a_debug_build_says_so() {
    let (listener, address) = listen();
    serve(listener, |_| Manner::Echo);
    let output = start(address, &["--clients", "1"]).wait_with_output().unwrap();
    let warned = String::from_utf8(output.stderr).unwrap().contains("a debug build");
    assert_eq!(warned, cfg!(debug_assertions));
}

/// A short load of a scenario at the real server, whose process is watched.
fn short(scenario: Scenario, server: &Server) -> Plan {
    Plan {
        servers: vec![server.address],
        clients: 20,
        span: Duration::from_millis(300),
        pid: u32::try_from(server.pid().as_raw_nonzero().get()).ok(),
        ..Plan::canonical(scenario)
    }
}

fn measured(plan: &Plan) -> load::Report {
    let report = load::run(plan, &mut |_| {}).unwrap();
    assert_eq!(report.failed, 0, "{:?}", report.failures);
    report
}

#[test]
fn steady_keeps_messages_in_flight_and_tells_what_each_costs() {
    let server = Server::start(&[]);
    let plan = Plan { in_flight: 4, users: 3, size_bytes: 100, ..short(Scenario::Steady, &server) };
    let report = measured(&plan);
    assert_eq!((report.clients, report.concurrency, report.in_flight), (20, 20, Some(4)));
    // More than those that were in flight at first: echoes were followed by messages.
    assert!(report.message_us.count > 80, "{:?}", report.message_us);
    let text = report.table();
    assert!(text.contains("messages/s") && !text.contains("clients/s"), "all were there before: {text}");
    let used = report.server.unwrap();
    assert!(used.memory_after_bytes > 100_000 && used.us_per_message.is_some(), "{used:?}");
}

#[test]
fn messages_in_flight_are_as_many_as_asked_for() {
    let (listener, address) = listen();
    let most = Arc::new(AtomicUsize::new(0));
    let shared = Arc::clone(&most);
    thread::spawn(move || {
        let small = Small::default();
        small.receive(&listener.accept().unwrap().0, Manner::Echo).unwrap();
        // The next visitor is the one that is measured: its messages are counted before any is answered.
        let mut stream = listener.accept().unwrap().0;
        let say = |mut stream: &TcpStream, reply: Reply<'_>| {
            let mut bytes = Vec::new();
            reply.encode(&mut bytes);
            stream.write_all(&bytes).unwrap();
        };
        say(&stream, Reply::Hello { version: 1, last_name: "" });
        for reply in [Reply::PasswordWanted(Wanted::Login), Reply::Welcome { token: &[9; 16], greeting: "" }]
        {
            stream.read_frame(70_000).unwrap().unwrap();
            say(&stream, reply);
        }
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        while let Ok(Some(_)) = stream.read_frame(70_000) {
            shared.fetch_add(1, Ordering::SeqCst);
        }
    });
    let patience =
        Patience { echo: Duration::from_secs(2), bye: Duration::from_millis(10), ..Patience::default() };
    let span = Duration::from_millis(100);
    let plan = Plan { clients: 1, in_flight: 7, span, patience, ..Plan::canonical(Scenario::Steady) };
    let report = load::run(&Plan { servers: vec![address], ..plan }, &mut |_| {}).unwrap();
    assert_eq!(most.load(Ordering::SeqCst), 7);
    assert_eq!(report.message_us.count, 0);
    assert!(report.failed == 1 && report.failures.contains_key("connection_lost"), "{:?}", report.failures);
}

#[test]
fn idle_holds_its_connections_and_tells_their_memory() {
    let server = Server::start(&[]);
    let plan = Plan { clients: 200, users: 2, ..short(Scenario::Idle, &server) };
    let report = measured(&plan);
    let idle = report.idle.unwrap();
    assert_eq!((idle.held, report.login_us.count), (200, 200));
    let bytes = idle.memory_per_connection_bytes.unwrap();
    assert!((0.0..10_000.0).contains(&bytes), "{bytes}");
    assert!(idle.server_processor_share.unwrap() < 1.0);
    let text = report.table();
    assert!(text.contains("clients/s") && !text.contains("messages/s"), "nobody says anything: {text}");
    assert!(text.contains("200 connections held") && text.contains("bytes of the server's memory"), "{text}");
}

#[test]
fn more_connections_than_the_server_takes_are_failures_with_its_word() {
    let server = Server::start(&["--max-connections", "10"]);
    let plan = Plan { clients: 12, ..short(Scenario::Idle, &server) };
    let report = load::run(&plan, &mut |_| {}).unwrap();
    assert_eq!((report.idle.unwrap().held, report.failed), (10, 2), "{:?}", report.failures);
    assert_eq!(report.failures["Busy"].count, 2);
}

#[test]
fn a_storm_talks_by_the_clock_beside_logins_of_every_sort() {
    let server = Server::start(&[]);
    for login in [LoginSort::Cached, LoginSort::Resume] {
        let plan = Plan { clients: 5, logins: 2, login, ..short(Scenario::Storm, &server) };
        let report = measured(&plan);
        let storm = report.storm.as_ref().unwrap();
        for phase in [storm.before, storm.during, storm.after] {
            // The schedule does not wait for anybody: 5 clients, 200 messages a second each, for 0.3 s.
            assert!((299..=301).contains(&phase.message_us.count), "{phase:?}");
        }
        assert_eq!((storm.before.login_us.count, storm.after.login_us.count), (0, 0));
        // More than one for each: they came again.
        assert!(storm.during.login_us.count > 2, "{:?}", storm.during);
        let picture = report.plot();
        assert!(picture.contains("latency over time") && picture.contains("during"), "{picture}");
    }
    let log = server.folder.log_text();
    assert!(log.contains("resumed") || log.contains("resume"), "{log}");
}

#[test]
fn full_cost_logins_are_hashed_each_time_and_remembered_ones_are_found_out() {
    // Some 20 ms for each.
    let rounds = ["--hash-rounds", "60000", "--login-cache"];
    for (cache, full) in [("0", true), ("600", false)] {
        let server = Server::start(&[&rounds[..], &[cache]].concat());
        let login = LoginSort::Full;
        let span = Duration::from_secs(1);
        let plan = Plan { clients: 2, logins: 2, login, span, ..short(Scenario::Storm, &server) };
        let report = measured(&plan);
        let during = report.storm.as_ref().unwrap().during;
        if full {
            assert!(during.login_us.p50 > 5_000.0, "{during:?}");
        } else {
            assert!(report.table().contains("--login-cache 0"), "{}", report.table());
        }
    }
}

#[test]
fn a_server_that_stalls_is_charged_for_all_that_should_have_been_sent_meanwhile() {
    let (listener, address) = listen();
    thread::spawn(move || {
        let small = Small::default();
        small.receive(&listener.accept().unwrap().0, Manner::Echo).unwrap();
        let stream = listener.accept().unwrap().0;
        let stalls = |number: u64| {
            if number == 700 {
                thread::sleep(Duration::from_millis(400));
            }
        };
        small.receive_after(&stream, Manner::Echo, stalls).unwrap();
    });
    let plan =
        Plan { clients: 1, logins: 0, span: Duration::from_secs(1), ..Plan::canonical(Scenario::Storm) };
    let plan = Plan { servers: vec![address], rate_per_second: 1_000.0, ..plan };
    let report = load::run(&plan, &mut |_| {}).unwrap();
    let before = report.storm.unwrap().before;
    assert!((999..=1_001).contains(&before.message_us.count), "{before:?}");
    // A tester that waited for the echo would have seen one slow message of a thousand. Here 400 are slow, 200 of
    // them by more than half of the stall.
    assert!(before.message_us.p90 > 200_000.0, "{before:?}");
}

#[test]
fn all_are_cut_off_and_come_back_with_their_tokens() {
    let server = Server::start(&[]);
    let report = measured(&short(Scenario::Reconnect, &server));
    let back = report.reconnect.as_ref().unwrap();
    assert_eq!((back.cut_off, back.came_back, back.back_us.count), (20, 20, 20));
    assert!(back.all_back_seconds > 0.0 && report.table().contains("20 came back"));

    let server = Server::start(&["--resume-window", "0"]);
    let report = load::run(&short(Scenario::Reconnect, &server), &mut |_| {}).unwrap();
    assert_eq!(report.failures["NoSuchSession"].count, 20, "{:?}", report.failures);
}

#[test]
fn knocks_are_compared_with_visits_in_turn() {
    let server = Server::start(&[]);
    let report = measured(&Plan { against_knock: true, clients: 50, ..short(Scenario::Sequential, &server) });
    assert_eq!((report.clients, report.message_us.count), (50, 50));
    let against = report.against_knock.as_ref().unwrap();
    assert!(against.blocks == 5 && against.us_per_knock > 0.0, "{against:?}");
    assert!(against.ratio > 0.0 && report.table().contains("knock"), "{against:?}");
    let knocks = measured(&short(Scenario::Knock, &server));
    assert_eq!((knocks.connect_us.count, knocks.login_us.count, knocks.message_us.count), (20, 0, 0));
}

#[test]
fn a_flag_that_the_scenario_does_not_look_at_is_wrong_usage() {
    for flags in [
        ["--scenario", "idle", "--in-flight", "2"],
        ["--scenario", "steady", "--rate", "2"],
        ["--scenario", "sequential", "--seconds", "2"],
        ["--scenario", "storm", "--concurrency", "2"],
        ["--scenario", "reconnect", "--login", "full"],
    ] {
        let (_listener, address) = listen();
        let (code, _, stderr) = finish(start(address, &flags));
        assert_eq!((code, stderr.lines().count()), (2, 1), "{flags:?} {stderr}");
        assert!(stderr.contains(flags[2]) && stderr.contains(flags[1]), "{stderr}");
    }
    let (_listener, address) = listen();
    let (code, _, stderr) = finish(start(address, &["--pid", "4294967295"]));
    assert!(code == 1 && stderr.contains("--pid 4294967295"), "{stderr}");
}
