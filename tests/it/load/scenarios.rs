//! The scenarios, against the real server or one that does as the test says.

use super::plot::drawn;
use super::small::{Manner, Small, listen, serve};
use super::table::written;
use super::{Server, finish, start};
use porter::load::{self, LoginSort, Plan, Scenario, Timeouts};
use porter::protocol::{FrameRead, Reply, Wanted};
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// A short load of a scenario at the real server, whose process is watched.
pub(super) fn short(scenario: Scenario, server: &Server) -> Plan {
    Plan {
        servers: vec![server.address],
        clients: 20,
        span: Duration::from_millis(300),
        pids: u32::try_from(server.pid().as_raw_nonzero().get()).into_iter().collect(),
        ..Plan::canonical(scenario)
    }
}

pub(super) fn measured(plan: &Plan) -> load::Report {
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
    let text = written(&report);
    assert!(text.contains("messages/s") && !text.contains("clients/s"), "all were there before: {text}");
    let used = report.server.unwrap();
    assert!(used.memory_after_bytes.unwrap() > 100_000 && used.us_per_message.is_some(), "{used:?}");
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
    let timeouts =
        Timeouts { echo: Duration::from_secs(2), bye: Duration::from_millis(10), ..Timeouts::default() };
    let span = Duration::from_millis(100);
    let plan = Plan { clients: 1, in_flight: 7, span, timeouts, ..Plan::canonical(Scenario::Steady) };
    let report = load::run(&Plan { servers: vec![address], ..plan }, &mut |_| {}).unwrap();
    assert_eq!(most.load(Ordering::SeqCst), 7);
    assert_eq!((report.message_us.count, report.message_us.unfinished), (7, 7));
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
    let text = written(&report);
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
        let picture = drawn(&report);
        assert!(picture.contains("latency over time") && picture.contains("during"), "{picture}");
    }
    let log = server.folder.log_text();
    assert!(log.contains("resumed") || log.contains("resume"), "{log}");
}

#[test]
fn full_cost_logins_are_hashed_each_time_or_refused() {
    // Some 100 ms for each.
    let rounds = ["--hash-rounds", "300000", "--login-cache"];
    for (cache, full) in [("0", true), ("600", false)] {
        let server = Server::start(&[&rounds[..], &[cache]].concat());
        let login = LoginSort::Full;
        let span = Duration::from_secs(1);
        let plan = Plan { clients: 2, logins: 2, login, span, ..short(Scenario::Storm, &server) };
        if full {
            let report = measured(&plan);
            let storm = report.storm.as_ref().unwrap();
            assert!(storm.during.login_us.p50 > 5_000.0 && storm.hash_us.unwrap() > 5_000.0, "{storm:?}");
            assert!(drawn(&report).contains("full-cost logins"));
        } else {
            let error = load::run(&plan, &mut |_| {}).unwrap_err();
            assert!(error.kind == "not_full" && error.reason.contains("--login-cache 0"), "{error}");
        }
    }
    // Nobody can tell whether so cheap a hash is made.
    let server = Server::start(&["--hash-rounds", "1", "--login-cache", "0"]);
    let login = LoginSort::Full;
    let error = load::run(&Plan { login, ..short(Scenario::Storm, &server) }, &mut |_| {}).unwrap_err();
    assert!(error.kind == "not_full" && error.reason.contains("--hash-rounds"), "{error}");
}

#[test]
fn a_storm_without_logins_is_messages_by_the_clock_and_nothing_else() {
    let server = Server::start(&[]);
    let flags = ["--scenario", "storm", "--logins", "0", "--clients", "2", "--rate", "50", "--seconds", "1"];
    let (code, stdout, stderr) = finish(start(server.address, &flags));
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    assert!(!stdout.contains("No login came"), "{stdout}");
    let plan = Plan { clients: 2, logins: 0, ..short(Scenario::Storm, &server) };
    let report = measured(&plan);
    let storm = report.storm.as_ref().unwrap();
    assert_eq!((storm.logins_at_once, storm.during.login_us.count), (0, 0));
    assert!(storm.during.message_us.count > 50 && drawn(&report).contains("by the clock"));
}

#[test]
fn logins_wait_for_hello_if_they_are_not_to_be_pipelined() {
    let server = Server::start(&[]);
    for scenario in [Scenario::Sequential, Scenario::Steady, Scenario::Reconnect, Scenario::Storm] {
        let plan = Plan { pipelined: false, logins: 1, ..short(scenario, &server) };
        let report = measured(&plan);
        assert!(!report.pipelined && !written(&report).contains("pipelined"), "{}", written(&report));
        let report = measured(&short(scenario, &server));
        // In `steady` all have come before the clock started.
        let shown = written(&report).contains("login, pipelined") || scenario == Scenario::Steady;
        assert!(report.pipelined && shown, "{}", written(&report));
    }
    // A server that says Hello late hears nothing until then.
    let (listener, address) = listen();
    let early = Arc::new(AtomicUsize::new(0));
    let shared = Arc::clone(&early);
    thread::spawn(move || {
        let small = Small::default();
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            stream.set_nonblocking(true).unwrap();
            thread::sleep(Duration::from_millis(20));
            shared.fetch_add(stream.peek(&mut [0]).unwrap_or_default(), Ordering::SeqCst);
            stream.set_nonblocking(false).unwrap();
            small.receive(&stream, Manner::Echo).unwrap();
        }
    });
    let flags = ["--clients", "5", "--messages", "2"];
    let (code, ..) = finish(start(address, &[&flags[..], &["--no-pipelining"]].concat()));
    assert_eq!((code, early.load(Ordering::SeqCst)), (0, 0));
    let (code, ..) = finish(start(address, &flags));
    assert_eq!((code, early.load(Ordering::SeqCst)), (0, 5), "but for the one that registers");
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
    assert!(back.all_back_seconds > 0.0 && written(&report).contains("20 came back"));

    // Not the real server without a window: one that comes late to it finds the end of a connection and the resume of its
    // session together, and takes the session over.
    let (listener, address) = listen();
    serve(listener, |_| Manner::ForgetsSessions);
    let plan = Plan { clients: 20, ..Plan::canonical(Scenario::Reconnect) };
    let report = load::run(&Plan { servers: vec![address], ..plan }, &mut |_| {}).unwrap();
    assert_eq!(report.failures["NoSuchSession"].count, 20, "{:?}", report.failures);
}

#[test]
fn knocks_are_compared_with_visits_in_turn() {
    let server = Server::start(&[]);
    let report = measured(&Plan { against_knock: true, clients: 50, ..short(Scenario::Sequential, &server) });
    assert_eq!((report.clients, report.message_us.count), (50, 50));
    let against = report.against_knock.as_ref().unwrap();
    assert!(against.blocks == 5 && against.us_per_knock > 0.0, "{against:?}");
    assert!(against.ratio > 0.0 && written(&report).contains("knock"), "{against:?}");
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
        ["--scenario", "chat", "--messages", "2"],
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
