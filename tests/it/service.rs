//! The server as a service: where it listens, how it ends, what it survives.

use crate::support::{
    Folder, PASSWORD, SLOW_PASSWORD, Said, Server, Setup, Visitor, allow_many_descriptors, cpu_time,
    descriptors, limit, stop, stored_password,
};
use rustix::process::{Resource, Signal};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

/// Row 6: a busy port is passed over for the next free one, and the first line says which it is.
#[test]
fn a_busy_port() {
    let first = Server::start(&[]);
    let port = first.address.port();
    let second = Server::start(&["--port", &port.to_string()]);
    assert!((port + 1..=port.saturating_add(100)).contains(&second.address.port()), "{}", second.address);
    Visitor::logged_in(&second, "ann").expect_echo("hi");
    Visitor::logged_in(&first, "bob").expect_echo("hi");
}

/// `--strict-port`: a busy port is a failure, and a free one is not.
#[test]
fn a_busy_port_that_must_be_it() {
    let first = Server::start(&[]);
    let port = first.address.port().to_string();
    let reason = Setup::new(&["--strict-port", "--port", &port]).refused(1);
    assert!(reason.contains(&port), "{reason}");
    Server::start(&["--strict-port"]);
}

/// The first line for IPv6.
#[test]
fn ipv6() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        // This machine has no IPv6.
        return;
    }
    let server = Server::start(&["--host", "::1"]);
    assert!(server.address.is_ipv6());
    Visitor::logged_in(&server, "ann").expect_echo("hi");
}

/// Wrong usage is exit code 2 and one line that names what is wrong.
#[test]
fn wrong_usage() {
    for flags in [
        &["--port", "x"][..],
        &["--port", "65536"],
        &["--mode", "shout"],
        &["--registration", "maybe"],
        &["--hash-rounds", "0"],
        &["--hash-rounds", "100000001"],
        &["--max-frame", "2047"],
        &["--max-frame", "16777217"],
        &["--output-limit", "131211"],
        &["--login-timeout", "soon"],
        &["--log-level", "loud"],
        &["--nonsense"],
        &["stray"],
    ] {
        let reason = Setup::new(flags).refused(2);
        assert!(reason.contains(flags[0]), "{reason}");
    }
    let frame = Setup::new(&["--max-frame", "16777216", "--output-limit", "1048576"]).refused(2);
    assert!(frame.contains("output-limit"), "{frame}");
}

/// The smallest legal `--output-limit`, and a default that rises with the frame limit.
#[test]
fn the_least_output_limit() {
    Server::start(&["--output-limit", "131212"]);
    let server = Server::start(&["--max-frame", "16777216"]);
    Visitor::logged_in(&server, "ann").expect_echo(&"x".repeat(16_777_216 - 17));
}

/// `--help` and `--version` are no failures.
#[test]
fn help() {
    let output = Command::new(env!("CARGO_BIN_EXE_porter-server")).arg("--help").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let shown = String::from_utf8(output.stdout).unwrap();
    for flag in [
        "--host",
        "--port",
        "--strict-port",
        "--mode",
        "--data",
        "--log-file",
        "--log-level",
        "--registration",
        "--hash-rounds",
        "--hash-wait",
        "--login-cache",
        "--penalty",
        "--min-password",
        "--max-attempts",
        "--max-connections",
        "--max-frame",
        "--output-limit",
        "--login-timeout",
        "--idle-timeout",
        "--resume-window",
    ] {
        assert!(shown.contains(flag), "{flag}");
    }
}

/// Rounds that are too few are warned of at start, in the log and on stderr.
#[test]
fn weak_rounds_are_warned_of() {
    let mut weak = Server::start(&["--hash-rounds", "99999"]);
    weak.stderr.wait_for_line(|line| line.contains("99999"));
    weak.folder.log_line(&["99999"]);
    let strong = Server::start(&["--hash-rounds", "100000"]);
    let mut log = strong.folder.log_line(&["listening"]);
    log += &strong.folder.log_text();
    assert!(!log.contains("WARN"), "{log}");
}

/// SIGTERM and SIGINT: Bye to all, in whatever state, and exit code 0.
#[test]
fn stopped_by_a_signal() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Server::start(&[]);
        let mut visitors = vec![Visitor::arrive(&server)];
        visitors.extend((0..20).map(|n| Visitor::logged_in(&server, &format!("user{n}"))));
        server.signal(signal);
        visitors.iter_mut().for_each(Visitor::expect_bye);
        assert_eq!(server.exit_code(), Some(0));
        server.folder.log_line(&["stopped"]);
    }
}

/// A server whose orderly stop waits for one who does not read.
fn stopping(signal: Signal) -> (Server, Visitor) {
    let mut server = Server::start(&["--mode", "operator"]);
    let mut slow = Visitor::connect_narrow(&server).greeted();
    slow.log_in("slow", PASSWORD);
    for _ in 0..20 {
        server.type_line(&format!("@slow {}", "x".repeat(40_000)));
    }
    server.type_line("/help");
    server.stdout.wait_for_line(|line| line.contains("/kick"));
    server.signal(signal);
    server.folder.log_line(&["stopping"]);
    (server, slow)
}

/// While an orderly stop waits for one who does not read, a second signal ends it at once.
#[test]
fn a_second_signal() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let (mut server, _slow) = stopping(signal);
        server.signal(signal);
        assert_eq!(server.exit_code(), Some(code));
    }
}

/// A server that is stopped leaves its port to the next one at once, visitors or not.
#[test]
fn the_port_is_free_again() {
    let server = Server::start(&[]);
    let port = server.address.port().to_string();
    let mut ann = Visitor::logged_in(&server, "ann");
    let folder = server.terminate();
    ann.expect_bye();
    let again = Setup::new(&["--strict-port", "--port", &port]).folder(folder).start();
    Visitor::logged_in(&again, "ann").expect_echo("hi");
}

/// Signals that interrupt the wait do nobody any harm. A stop and its end interrupt any wait.
#[test]
fn a_storm_of_signals() {
    let server = Server::start(&[]);
    let mut ann = Visitor::logged_in(&server, "ann");
    for n in 0..300 {
        for signal in [Signal::WINCH, Signal::STOP, Signal::CONT, Signal::HUP] {
            server.signal(signal);
        }
        ann.expect_echo(&n.to_string());
    }
}

/// Of signals that are there together each is seen to.
#[test]
fn signals_that_come_together() {
    let mut server = Server::start(&[]);
    let mut ann = Visitor::logged_in(&server, "ann");
    stop(server.pid());
    for signal in [Signal::HUP, Signal::TERM, Signal::CONT] {
        server.signal(signal);
    }
    ann.expect_bye();
    assert_eq!(server.exit_code(), Some(0));
    server.folder.log_line(&["log reopened"]);
    server.folder.log_line(&["stopped"]);
}

/// From the signal to stop on nobody is let in, though the stop waits for one who does not read.
#[test]
fn a_server_that_stops_lets_nobody_in() {
    let (server, _slow) = stopping(Signal::TERM);
    let refused = std::net::TcpStream::connect(server.address).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}

/// Out of descriptors. Who is in goes on, the server does not spin, and when there is room again all
/// who wait are answered without having to knock again.
#[test]
fn out_of_descriptors() {
    allow_many_descriptors();
    let server = Server::start(&["--login-timeout", "3"]);
    let mut ann = Visitor::logged_in(&server, "ann");
    limit(server.pid(), Resource::Nofile, Some(descriptors(server.pid()) + 8));
    let mut waiting: Vec<_> = (0..40).map(|_| Visitor::connect(&server)).collect();
    ann.expect_echo("not disturbed");
    let mut first = waiting.remove(0).greeted();
    let before = cpu_time(server.pid());
    // Three seconds in which most of them wait.
    first.expect_last_error(107);
    let used = cpu_time(server.pid()) - before;
    assert!(used < Duration::from_millis(300), "{used:?} of CPU time");
    ann.expect_echo("nor later");
    drop(first);
    // Each that goes makes room for another; those for whom there was none may have been turned away, but none is
    // forgotten.
    for mut visitor in waiting {
        let said = visitor.next();
        assert!(
            matches!(said, Said::Hello(_) | Said::Error(106 | 107, _) | Said::Closed | Said::Reset),
            "{said:?}"
        );
    }
    limit(server.pid(), Resource::Nofile, None);
    let mut friends: Vec<_> = (0..20).map(|n| Visitor::logged_in(&server, &format!("user{n}"))).collect();
    friends.iter_mut().for_each(|friend| friend.expect_echo("room for all"));
}

/// What a login costs others. While one visitor's hash takes 20 s, others log in with
/// recognised passwords and talk.
#[test]
fn a_long_hash_stops_nobody() {
    let anns = stored_password(PASSWORD, b"sixteen bytes ok", 1000);
    let users = [("ann", anns.as_str()), ("bob", SLOW_PASSWORD)];
    let server = Setup::new(&[]).folder(Rc::new(Folder::with_users(&users))).start();
    let mut ann = Visitor::logged_in(&server, "ann");
    let mut bob = Visitor::introduced(&server, "bob", porter::protocol::Wanted::Login);
    bob.login("for the next 20 s");
    for n in 0..500 {
        ann.expect_echo(&n.to_string());
    }
    for _ in 0..20 {
        Visitor::logged_in(&server, "ann").expect_echo("recognised");
    }
    assert!(bob.nothing_yet());
}
