//! Row 5: service messages go to a log file, and no secret does.

use crate::storage::is_utc_time;
use crate::support::{Folder, PASSWORD, Said, Server, Setup, Visitor, eventually, frame};
use porter::protocol::Wanted;
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use rustix::process::Signal;
use std::fs;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::rc::Rc;

/// Whether a line is of this level.
fn is_of(line: &str, level: &str) -> bool {
    line.split_whitespace()
        .nth(1)
        .is_some_and(|word| word.trim_matches(['[', ']']).eq_ignore_ascii_case(level))
}

/// The events of a visit are all there, at info, in their order; each line begins with a time and a level.
#[test]
fn every_event_of_a_visit() {
    let server = Server::start(&[]);
    let address = server.address;
    let mut ann = Visitor::logged_in(&server, "ann");
    ann.expect_echo("hi");
    ann.exit();
    ann.expect_bye();
    drop(ann);
    server.folder.log_line(&["disconnected"]);
    let mut refused = Visitor::introduced(&server, "ann", Wanted::Login);
    refused.login("wrong password");
    refused.expect_error(4);
    refused.send_raw(&frame(0x05, &[0; 16]));
    refused.expect_last_error(102);
    drop(refused);
    server.folder.log_lines(&["disconnected"], 2);
    let folder = server.terminate();
    let log = folder.log_text();
    for line in log.lines() {
        let time = line.split_whitespace().next().unwrap();
        assert!(is_utc_time(time) && time.len() == "2026-11-28T17:03:09.123456Z".len(), "{line}");
        assert!(["error", "warn", "info"].iter().any(|level| is_of(line, level)), "{line}");
    }
    let info: Vec<_> = log.lines().filter(|line| is_of(line, "info")).collect();
    let mut rest = &info[..];
    for event in [
        "start",
        "listening",
        "connected",
        "registered",
        "logged in",
        "disconnected",
        "connected",
        "refused",
        "disconnected",
        "stopped",
    ] {
        let at = rest.iter().position(|line| line.contains(event));
        let at = at.unwrap_or_else(|| panic!("no {event} in its place:\n{log}"));
        rest = &rest[at + 1..];
    }
    let listening = log.lines().find(|line| line.contains("listening")).unwrap();
    assert!(listening.contains(&address.to_string()), "{listening}");
}

/// `disconnected` says why, and bytes and messages both ways.
#[test]
fn what_a_connection_carried() {
    let server = Server::start(&[]);
    let mut ann = Visitor::logged_in(&server, "ann");
    for _ in 0..3 {
        ann.expect_echo("hi");
    }
    ann.exit();
    ann.expect_bye();
    drop(ann);
    let line = server.folder.log_line(&["disconnected"]);
    let numbers = line.split_whitespace().filter_map(|word| word.split_once('=')?.1.parse::<u64>().ok());
    let numbers: Vec<_> = numbers.collect();
    assert!(numbers.iter().filter(|number| **number == 3).count() >= 2, "three messages each way: {line}");
    assert!(numbers.iter().filter(|number| **number > 30).count() >= 2, "bytes each way: {line}");
}

/// Every message received and sent is logged with its length, at debug and not at info.
#[test]
fn lengths_at_debug() {
    for (level, shown) in [("debug", true), ("info", false)] {
        let server = Server::start(&["--log-level", level]);
        let mut ann = Visitor::logged_in(&server, "ann");
        ann.expect_echo(&"x".repeat(7777));
        ann.exit();
        ann.expect_bye();
        drop(ann);
        server.folder.log_line(&["disconnected"]);
        let log = server.folder.log_text();
        // The length of the text, of the body, or of the frame, both ways.
        let lengths = [7777, 7777 + 17, 7777 + 21, 7777 + 2, 7777 + 6].map(|length| length.to_string());
        for event in ["received", "sent"] {
            let found = log.lines().any(|line| {
                is_of(line, "debug")
                    && line.contains(event)
                    && lengths.iter().any(|length| line.contains(length))
            });
            assert_eq!(found, shown, "{level}, {event}:\n{log}");
        }
    }
}

/// No password, token, hash or text reaches any log line at any level.
#[test]
fn no_secrets() {
    for (level, mode) in [("trace", "echo"), ("debug", "echo"), ("trace", "operator"), ("trace", "chat")] {
        let mut server = Server::start(&["--log-level", level, "--mode", mode, "--login-cache", "0"]);
        let mut secrets = secrets_spoken(&mut server);
        let users = server.folder.read("users.csv");
        let stored = users.lines().last().unwrap().split(['$', ',']).skip(4).take(2);
        secrets.extend(stored.map(|part| part.as_bytes().to_vec()));
        let log = fs::read(server.terminate().log()).unwrap();
        assert!(!log.is_empty());
        for secret in secrets {
            let found = log.windows(secret.len()).any(|window| window == secret);
            assert!(!found, "{level}, {mode}: {} is in the log", String::from_utf8_lossy(&secret));
        }
    }
}

/// Lets a user go all the ways on which something secret is said, and gives what was said.
fn secrets_spoken(server: &mut Server) -> Vec<Vec<u8>> {
    let mut visitor = Visitor::introduced(server, "ann", Wanted::Register);
    visitor.register("weakpw!");
    visitor.expect_error(2);
    visitor.register("xyzzy the password");
    visitor.expect(Said::Wanted(Wanted::Login));
    visitor.login("plugh wrong password");
    visitor.expect_error(4);
    visitor.login("xyzzy the password");
    let mut tokens = vec![visitor.expect_welcome(), [0x5a; 16]];
    visitor.message("frotz the text");
    visitor.message("@ann frotz the text");
    visitor.message("@grault frotz the text");
    server.type_line("grue typed");
    let token = visitor.token;
    visitor.reset();
    let mut visitor = server.resumed(token);
    tokens.push(visitor.token);
    visitor.message("frotz the text");
    // A wrong token, and a password in the wrong place.
    visitor.send_raw(&frame(0x05, &[&[0x5a; 16], &b"frotz the text"[..]].concat()));
    loop {
        match visitor.next() {
            Said::Message(..) => {}
            Said::Error(103, _) => break,
            other => panic!("{other:?}"),
        }
    }
    visitor.expect_closed();
    let mut misplaced = Visitor::arrive(server);
    misplaced.send_raw(&frame(0x03, b"xyzzy the password"));
    misplaced.expect_last_error(102);

    let texts =
        ["xyzzy the password", "plugh wrong password", "frotz the text", "weakpw!", "grue typed", "grault"];
    let mut secrets: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    for token in tokens {
        let hex: String = token.iter().map(|byte| format!("{byte:02x}")).collect();
        secrets.push(token.to_vec());
        secrets.extend([hex.to_uppercase(), hex, format!("{token:?}")].map(String::into_bytes));
    }
    secrets
}

/// What clients that are not logged in cause is logged in full for the first few of an address, and summed up after that:
/// a flood does not fill the disk, and hides neither how large it was nor what others do meanwhile.
#[test]
fn a_flood_of_strangers_is_summed_up() {
    let server = Server::start(&["--penalty", "0"]);
    Visitor::logged_in(&server, "ann").exit();
    for n in 0..1_000 {
        let mut stranger = Visitor::connect(&server);
        match n % 3 {
            0 => stranger.identify(""),
            1 => stranger.send_raw(b"GET / HTTP/1.1\r\n\r\n"),
            _ => stranger.send_raw(&[0; 4]),
        }
        stranger.reset();
    }
    let mut guesser = Visitor::connect_from("127.0.0.2", &server).greeted();
    guesser.identify("ann");
    guesser.expect(Said::Wanted(Wanted::Login));
    for _ in 0..2 {
        guesser.login("not the password");
        guesser.expect_error(4);
    }
    guesser.exit();
    guesser.expect_bye();
    drop(guesser);
    server.folder.log_line(&["disconnected", "peer=127.0.0.2"]);
    let log = server.terminate().log_text();
    assert!(log.lines().count() < 50, "{log}");
    let summary = log.lines().find(|line| line.contains("summed up")).unwrap();
    for part in
        ["connected=", "refused_Malformed=", "refused_FrameTooLarge=", "disconnected=", " most=127.0.0.1 "]
    {
        assert!(summary.contains(part), "{part} in {summary}");
    }
    let wrong: Vec<_> = log.lines().filter(|line| line.contains("wrong password conn=")).collect();
    assert_eq!(wrong.len(), 2, "{log}");
    assert!(wrong.iter().all(|line| line.contains(" peer=127.0.0.2:") && line.ends_with(" name=ann")));
}

/// Whoever guesses, and connects for each guess, is to be seen often enough to be shut out by the log, at the level of
/// warnings too; and what is summed up names the worst.
#[test]
fn a_guesser_is_seen_five_times_whatever_else_it_does() {
    let server = Server::start(&["--penalty", "0", "--log-level", "warn"]);
    Visitor::logged_in(&server, "ann").exit();
    for _ in 0..30 {
        Visitor::connect_from("127.0.0.2", &server).reset();
        let mut guesser = Visitor::connect_from("127.0.0.2", &server).greeted();
        guesser.identify("ann");
        guesser.expect(Said::Wanted(Wanted::Login));
        guesser.login("not the password");
        guesser.expect_error(4);
    }
    let log = server.terminate().log_text();
    let wrong: Vec<_> = log.lines().filter(|line| line.contains(" WARN wrong password conn=")).collect();
    assert!(wrong.len() >= 5, "{log}");
    let summed_up = log.lines().filter(|line| line.contains(" WARN summed up "));
    let summed_up: usize = summed_up
        .map(|line| {
            assert!(line.contains(" most_wrong=127.0.0.2 wrong_of_most="), "{line}");
            let count = line.split(" wrong_passwords=").nth(1).unwrap();
            count.split(' ').next().unwrap().parse::<usize>().unwrap()
        })
        .sum();
    assert_eq!(wrong.len() + summed_up, 30, "{log}");
}

/// Clients that log in cause nothing that is summed up, however many they are.
#[test]
fn visits_are_logged_in_full() {
    let server = Server::start(&[]);
    for _ in 0..150 {
        let mut ann = Visitor::logged_in(&server, "ann");
        ann.exit();
        ann.expect_bye();
    }
    server.folder.log_lines(&["disconnected", "why=exit"], 150);
    let log = server.terminate().log_text();
    assert_eq!(log.matches(" connected conn=").count(), 150, "{log}");
    assert!(!log.contains("summed up"), "{log}");
}

/// A connection that closes without a byte is how a balancer looks whether the port is open: nothing at info.
#[test]
fn a_health_check_is_at_debug() {
    for (level, lines) in [("info", 0), ("debug", 3)] {
        let server = Server::start(&["--log-level", level]);
        for _ in 0..3 {
            drop(Visitor::arrive(&server));
        }
        // Accepted behind them, so that they are seen to first.
        let mut last = Visitor::logged_in(&server, "ann");
        last.exit();
        last.expect_bye();
        drop(last);
        server.folder.log_lines(&["disconnected"], lines + 1);
        let log = server.terminate().log_text();
        for event in [" connected conn=", "disconnected conn="] {
            assert_eq!(log.matches(event).count(), lines + 1, "{level}: {log}");
        }
    }
}

/// What other programs send to a wrong port is called by its name.
#[test]
fn another_protocol_is_called_by_its_name() {
    let server = Server::start(&[]);
    for (sent, name) in [("GET / HTTP/1.1\r\n", "HTTP"), ("SSH-2.0-OpenSSH_9.2\r\n", "SSH")] {
        let mut stranger = Visitor::arrive(&server);
        stranger.send_raw(sent.as_bytes());
        let explanation = stranger.expect_last_error(101);
        assert!(explanation.contains(name) && !explanation.contains("bytes"), "{explanation}");
        server.folder.log_line(&["refused", "why=FrameTooLarge", &format!("this looks like {name}")]);
    }
}

/// What a stranger sends forges no line and moves no cursor in the log.
#[test]
fn nothing_is_forged() {
    let server = Server::start(&["--log-level", "trace"]);
    let mut stranger = Visitor::arrive(&server);
    stranger.identify("x\n2026-01-01T00:00:00Z INFO forged\u{1b}[2J\r\u{9b}");
    stranger.expect_error(1);
    stranger.exit();
    stranger.expect_bye();
    drop(stranger);
    let log = server.terminate().log_text();
    assert!(!log.lines().any(|line| line.starts_with("2026-01-01T00:00:00Z")), "{log}");
    assert!(!log.contains(|c: char| c.is_control() && c != '\n'), "{log:?}");
}

/// SIGHUP reopens the log, as rotation needs it, and disturbs nobody.
#[test]
fn reopened_on_sighup() {
    let server = Server::start(&[]);
    let mut ann = Visitor::logged_in(&server, "ann");
    let rotated = server.folder.path().join("server.log.1");
    for n in 0..5 {
        fs::rename(server.folder.log(), &rotated).unwrap();
        server.signal(Signal::HUP);
        eventually("a new log", || server.folder.log().exists().then_some(()));
        Visitor::logged_in(&server, &format!("user{n}"));
        server.folder.log_line(&["connected"]);
        ann.expect_echo("not disturbed");
    }
    let old = fs::read_to_string(&rotated).unwrap();
    assert!(old.contains("user3") && !old.contains("user4"), "{old}");
    assert!(server.terminate().log_text().contains("stopped"));
}

/// A log that cannot be written never stops the service; it is said on stderr, once.
#[test]
fn a_log_that_cannot_be_written() {
    let mut server = Server::start(&["--log-file", "/dev/full", "--log-level", "debug"]);
    let mut ann = Visitor::logged_in(&server, "ann");
    for n in 0..200 {
        ann.expect_echo(&n.to_string());
    }
    let about_log = |line: &str| line.contains("/dev/full") || line.contains("log");
    server.stderr.wait_for_line(about_log);
    server.signal(Signal::TERM);
    ann.expect_bye();
    assert_eq!(server.exit_code(), Some(0));
    assert!(server.stderr.wait_for_end().len() < 5, "said again and again");
}

/// The log's folder is made.
#[test]
fn the_folder_is_made() {
    let server = Setup::new(&["--log-file", "some/where/porter.log"]).start();
    Visitor::arrive(&server).log_in("ann", PASSWORD);
    let path = server.folder.path().join("some/where/porter.log");
    eventually("the log", || fs::read_to_string(&path).ok().filter(|log| log.contains("connected")));
}

/// A log that goes into a pipe which nobody reads stops nobody; what was lost is counted, and said when
/// the pipe is read again.
#[test]
fn a_log_into_a_full_pipe() {
    let folder = Rc::new(Folder::new());
    let pipe = folder.path().join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let non_blocking = OFlags::NONBLOCK.bits().cast_signed();
    let mut reader = fs::OpenOptions::new().read(true).custom_flags(non_blocking).open(&pipe).unwrap();
    let log_file = pipe.display().to_string();
    let server = Setup::new(&["--log-file", &log_file, "--log-level", "debug"]).folder(folder).start();
    let mut ann = Visitor::logged_in(&server, "ann");
    for n in 0..2000 {
        ann.expect_echo(&n.to_string());
    }
    let mut text = String::new();
    eventually("the dropped lines", || {
        let mut some = [0; 4096];
        while let Ok(count @ 1..) = reader.read(&mut some) {
            text.push_str(std::str::from_utf8(&some[..count]).unwrap());
        }
        text.contains(" WARN log lines dropped count=").then_some(())
    });
    ann.expect_echo("and on it goes");
}
