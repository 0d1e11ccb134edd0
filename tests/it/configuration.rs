//! The configuration file: what it may say, what is said about it, and reading it anew beside clients who are there.

use crate::support::{Folder, PASSWORD, Said, Server, Setup, Visitor};
use porter::protocol::Wanted;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::Signal;
use std::fs;
use std::process::{Command, Output, Stdio};
use std::rc::Rc;

/// Runs the server in a folder of its own, where `porter.toml` is the file, until it ends by itself.
fn run(folder: &Folder, text: &[u8], flags: &[&str]) -> Output {
    fs::write(folder.path().join("porter.toml"), text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_porter-server"));
    command.current_dir(folder.path()).args(["--config", "porter.toml"]).args(flags).output().unwrap()
}

/// What `--check-config` shows.
fn checked(text: &str, flags: &[&str]) -> String {
    let folder = Folder::new();
    let output = run(&folder, text.as_bytes(), &[&["--check-config"], flags].concat());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.is_empty(), "{said}");
    let names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["porter.toml"], "no data directory, no log");
    String::from_utf8(output.stdout).unwrap()
}

/// One line on stderr, exit code 2, and nothing made, whether it is to be checked or used.
fn refused(text: &[u8], flags: &[&str]) -> String {
    let folder = Folder::new();
    let [used, checked] = [&[][..], &["--check-config"]].map(|check| {
        let output = run(&folder, text, &[flags, check].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text:?} {said}");
        assert_eq!((said.lines().count(), output.stdout.len()), (1, 0), "{text:?} {said}");
        said
    });
    assert_eq!(used, checked);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something was made");
    used
}

/// Each kind of mistake is named with file, line and key.
#[test]
fn mistakes_are_named_with_file_line_and_key() {
    let nested = format!("data = {}", "[".repeat(100_000));
    for (text, line, parts) in [
        ("\nprot = 9090\n", 2, &["prot", "no such setting"][..]),
        ("strict_port = true", 1, &["strict_port"]),
        ("# comment\r\n\r\n\"host\\u000aname\" = 1\r\n", 3, &["no such setting"]),
        ("config = 'other.toml'", 1, &["config"]),
        ("check-config = true", 1, &["check-config"]),
        ("help = true", 1, &["help"]),
        ("[limits]\nmax-frame = 4096", 1, &["limits"]),
        ("max.frame = 4096", 1, &["max"]),
        ("port = '9090'", 1, &["port", "a number", "a text"]),
        ("port = 90.5", 1, &["port", "a number with a fraction"]),
        ("port = 65536", 1, &["port", "65535"]),
        ("listen = ['127.0.0.1:9', '127.0.0.1:9']", 1, &["listen", "127.0.0.1:9", "already"]),
        ("listen = ['127.0.0.1:9']\nmetrics = '127.0.0.1:9'", 2, &["metrics", "already"]),
        ("port = -1", 1, &["port", "-1"]),
        ("port = [1, 2]", 1, &["port", "array"]),
        ("max-connections = 340282366920938463463374607431768211456", 1, &["max-connections", "too large"]),
        ("max-frame = 2047", 1, &["max-frame", "2048"]),
        ("mode = 'shout'", 1, &["mode", "chat"]),
        ("mode = 'a\tb'", 1, &["mode"]),
        ("mode = \"\"\"\n\n\nx\"\"\"", 1, &["mode"]),
        ("plaintext = 1", 1, &["plaintext", "true or false"]),
        ("data = {}", 1, &["data", "a table"]),
        ("data = 2026-01-01", 1, &["data", "a date"]),
        ("data = false", 1, &["data", "in quotes"]),
        ("penalty = 5\npenalty = 6", 2, &["duplicate"]),
        ("penalty = 5\nlog-level = 'loud'", 2, &["log-level", "debug"]),
        ("penalty =", 1, &[]),
        ("penalty 5", 1, &[]),
        ("\n\n\u{0}", 3, &[]),
        (nested.as_str(), 1, &[]),
        ("max-frame = 16777216\noutput-limit = 1048576", 2, &["output-limit", "33554572"]),
        ("output-limit = 200000\noutput-total = 199999", 2, &["output-total", "200000"]),
    ] {
        let said = refused(text.as_bytes(), &[]);
        let place = format!("porter.toml:{line}: ");
        assert!(said.contains(&place) && parts.iter().all(|part| said.contains(part)), "{text:.60} {said}");
    }
    let said = refused(b"penalty = 5\n# na\xefve\n", &[]);
    assert!(said.contains("porter.toml:2: ") && said.contains("UTF-8"), "{said}");
    let said = refused(&[b' '; 1024 * 1024 + 1], &[]);
    assert!(said.contains("porter.toml") && said.contains("1 MiB"), "{said}");
}

/// What a start would find wrong before it listens is found by a check, which makes nothing: names, files, sockets.
#[test]
fn a_check_looks_at_what_a_start_looks_at() {
    for (text, line, part) in [
        ("penalty = 1\nlisten = ['127.0.0.1:0', 'no-such-host.invalid:9090']", 2, "no-such-host.invalid"),
        ("host = 'no-such-host.invalid'", 1, "no-such-host.invalid"),
        #[cfg(feature = "admin")]
        ("\nmetrics = 'no-such-host.invalid:9091'", 2, "no-such-host.invalid"),
        #[cfg(feature = "admin")]
        ("metrics = '127.0.0.1:x'", 1, "metrics"),
        #[cfg(feature = "tls")]
        ("host = '127.0.0.1'\ntls-cert = 'missing.pem'\ntls-key = 'key.pem'", 2, "missing.pem"),
        #[cfg(feature = "tls")]
        ("tls-key = 'porter.toml'\ntls-cert = 'porter.toml'\n", 2, "holds no certificate"),
    ] {
        let said = refused(text.as_bytes(), &[]);
        assert!(said.contains(&format!("porter.toml:{line}: ")) && said.contains(part), "{text} {said}");
    }
    // Of these a start says so when it makes them.
    for (text, part) in [("data = 'porter.toml'", "no directory"), ("log-file = '.'", "a directory")] {
        let folder = Folder::new();
        let output = run(&folder, text.as_bytes(), &["--check-config"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && said.contains(part), "{said}");
        assert!(said.contains("porter.toml:1: ") && said.lines().count() == 1, "{said}");
    }
}

/// A certificate and a key that do not go together.
#[cfg(feature = "tls")]
#[test]
fn a_check_finds_a_certificate_without_its_key() {
    let [one, other] = [(), ()].map(|()| {
        let server = Server::start(&["--tls"]);
        server.terminate()
    });
    let path = |folder: &Folder, name| folder.data().join(name).display().to_string();
    let (certificate, key) = (path(&one, "tls-cert.pem"), path(&other, "tls-key.pem"));
    let said = refused(b"", &["--host", "127.0.0.1", "--tls-cert", &certificate, "--tls-key", &key]);
    assert!(said.contains("--tls-cert: ") && said.contains(&certificate) && said.contains(&key), "{said}");
    checked("", &["--tls-cert", &certificate, "--tls-key", &path(&one, "tls-key.pem")]);
}

/// What was found well and cannot be shown is not well; a reader who has seen enough is no mistake.
#[test]
fn a_check_that_cannot_be_shown_fails() {
    let folder = Folder::new();
    let check = |stdout: Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_porter-server"));
        let command = command.current_dir(folder.path()).arg("--check-config").stdout(stdout);
        let output = command.stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (code, said) = check(full.into());
    assert!(code == Some(2) && said.contains("stdout") && said.lines().count() == 1, "{code:?} {said}");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(check(writer.into()), (Some(0), String::new()));
}

/// What does not go with something else is named where it stands: the last of them, or the one that lacks another.
#[cfg(feature = "tls")]
#[test]
fn what_does_not_go_together_is_named_where_it_stands() {
    for (text, flags, line) in [
        ("tls = true\npenalty = 1\nplaintext = true", &[][..], 3),
        ("penalty = 1\ntls-cert = 'c.pem'\nhash-wait = 1", &[], 2),
        ("penalty = 1\ntls-cert = 'c.pem'\nplaintext = true\ntls-key = 'k.pem'", &[], 3),
    ] {
        let said = refused(text.as_bytes(), flags);
        assert!(said.contains(&format!("porter.toml:{line}: ")), "{text} {said}");
    }
    // The command line's mistakes stay its own.
    let said = refused(b"penalty = 1", &["--tls", "--plaintext"]);
    assert!(!said.contains("porter.toml") && said.contains("--tls"), "{said}");
    let said = refused(b"penalty = 1", &["--nonsense"]);
    assert!(said.contains("--nonsense"), "{said}");
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_its_reason() {
    let folder = Folder::new();
    for (name, reason) in [("missing.toml", "No such file"), (".", "not a file"), ("/dev/zero", "not a file")]
    {
        let mut command = Command::new(env!("CARGO_BIN_EXE_porter-server"));
        let output = command.current_dir(folder.path()).args(["--config", name]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
        assert!(said.contains(name) && said.contains(reason), "{said}");
    }
}

/// Every setting is shown once with where it comes from, and what is shown can be fed back and comes to the same.
#[test]
fn what_would_be_used_is_shown_and_can_be_fed_back() {
    let text = "penalty = 0x10\nmode = \"chat\"\ndata = 'a \"quoted\" \\ folder'\nstrict-port = true\n\
                output-limit = 300_000\nidle-timeout = 90\n";
    let shown = checked(text, &["--idle-timeout", "7", "--max-frame", "70000"]);
    for line in [
        "penalty = 16  # porter.toml:1",
        "mode = \"chat\"  # porter.toml:2",
        "strict-port = true  # porter.toml:4",
        "output-limit = 300000  # porter.toml:5",
        "output-total = 268435456  # default",
        "idle-timeout = 7  # command line",
        "max-frame = 70000  # command line",
        "plaintext = false  # default",
        "port = 9090  # default",
        "host = \"127.0.0.1\"  # default",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line} in {shown}");
    }
    let values = |shown: &str| {
        let lines = shown.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        lines.map(|line| line.rsplit_once("  # ").unwrap().0.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(values(&checked(&shown, &[])), values(&shown));
    assert!(values(&shown).len() > 20 && shown.contains("\n# Limits and times\n"), "{shown}");
    let output = Command::new(env!("CARGO_BIN_EXE_porter-server")).arg("--check-config").output().unwrap();
    assert!(output.status.success(), "without a file");
}

/// What the command line says wins, and so does what cannot stand beside it.
#[cfg(feature = "tls")]
#[test]
fn the_command_line_wins() {
    let shown = checked("tls = true\nport = 1\npenalty = 1", &["--plaintext", "--port", "2"]);
    for line in ["tls = false  # default", "plaintext = true  # command line", "port = 2  # command line"] {
        assert!(shown.lines().any(|shown| shown == line), "{line} in {shown}");
    }
    let shown = checked("tls-cert = 'c.pem'\ntls-key = 'k.pem'", &["--plaintext"]);
    assert!(shown.contains("# tls-cert is not set\n# tls-key is not set\n"), "{shown}");
    let shown = checked("listen = ['[::1]:9090', 'porter.example.org']", &["--host", "127.0.0.2"]);
    assert!(
        shown.contains("host = \"127.0.0.2\"  # command line\n") && shown.contains("# listen is not set")
    );
    let shown =
        checked("host = '127.0.0.2'\nstrict-port = true", &["--listen", "[::1]:9090", "--listen", "9091"]);
    assert!(shown.contains("listen = [\"[::1]:9090\", \"9091\"]  # command line\n"), "{shown}");
    assert!(shown.contains("# host is not set\n# port is not set\n# strict-port is not set\n"), "{shown}");
}

/// A server with this configuration, in a folder where the file can be changed.
fn start(text: &str) -> (Server, Rc<Folder>) {
    let folder = Rc::new(Folder::new());
    let path = folder.path().join("porter.toml");
    fs::write(&path, text).unwrap();
    let server = Setup::new(&["--config", path.to_str().unwrap()]).folder(Rc::clone(&folder)).start();
    (server, folder)
}

/// Has the server read a new file, and waits until its log has a line with these parts.
fn reload(server: &Server, folder: &Folder, text: &str, parts: &[&str]) -> String {
    // As editors and package managers do it: another file takes the name.
    let new = folder.path().join("porter.toml.new");
    fs::write(&new, text).unwrap();
    fs::rename(&new, folder.path().join("porter.toml")).unwrap();
    server.signal(Signal::HUP);
    folder.log_line(parts)
}

/// Limits, penalties, registration and the log's level change; those who are there stay, above a lowered limit too.
#[test]
fn what_can_change_does_and_nobody_is_dropped() {
    let (server, folder) = start("max-connections = 10\nmax-attempts = 2\n");
    let mut ann = Visitor::logged_in(&server, "ann");
    let mut bob = Visitor::logged_in(&server, "bob");
    let mut stranger = Visitor::introduced(&server, "cem", Wanted::Register);
    reload(
        &server,
        &folder,
        "max-connections = 2\nmax-attempts = 1\nregistration = \"closed\"\nlog-level = \"debug\"\n",
        &["registration is \"closed\"; it was \"open\""],
    );
    // Three are there, and a fourth finds no room.
    Visitor::connect(&server).expect_last_error(106);
    ann.expect_echo("still here");
    bob.expect_echo("and here");
    folder.log_line(&["DEBUG", "message"]);
    stranger.register("short");
    stranger.expect_error(2);
    bob.exit();
    bob.expect_bye();
    stranger.exit();
    stranger.expect_bye();
    drop((bob, stranger));
    folder.log_lines(&["disconnected"], 3);
    let mut dora = Visitor::introduced(&server, "dora", Wanted::Login);
    dora.login(PASSWORD);
    dora.expect_last_error(104);
    reload(&server, &folder, "log-level = \"info\"\n", &["registration is \"open\"; it was \"closed\""]);
    drop(Visitor::logged_in(&server, "dora"));
    ann.expect_echo("to the end");
}

/// A file that is bad, or gone, changes nothing, and one line says why; a good one later is taken.
#[test]
fn a_bad_file_keeps_what_was() {
    let (server, folder) = start("registration = \"closed\"\n");
    let mut visitor = Visitor::introduced(&server, "ann", Wanted::Login);
    let line = reload(
        &server,
        &folder,
        "registration = \"open\"\nmax-attempts = 0\n",
        &["configuration not reloaded"],
    );
    assert!(line.contains("ERROR") && line.contains("porter.toml:2: max-attempts"), "{line}");
    let line = reload(&server, &folder, "registration = \"open\"\n[", &["not reloaded", "porter.toml:2: "]);
    assert!(line.contains("ERROR"), "{line}");
    let file = folder.path().join("porter.toml");
    fs::remove_file(&file).unwrap();
    server.signal(Signal::HUP);
    folder.log_line(&["configuration not reloaded", "No such file"]);
    // A pipe that nobody writes to is not waited for.
    mknodat(CWD, &file, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    server.signal(Signal::HUP);
    folder.log_line(&["configuration not reloaded", "it is not a file"]);
    fs::remove_file(&file).unwrap();
    // Closed it is still.
    drop(Visitor::introduced(&server, "bob", Wanted::Login));
    visitor.login(PASSWORD);
    visitor.expect_error(4);
    reload(&server, &folder, "registration = \"open\"\n", &["registration is \"open\""]);
    Visitor::logged_in(&server, "cem").expect_echo("hi");
    visitor.identify("dora");
    visitor.expect(Said::Wanted(Wanted::Register));
}

/// What cannot change is named, each time, and stays.
#[test]
fn what_cannot_change_is_named() {
    let (server, folder) = start("mode = \"echo\"\n");
    let text = "mode = \"chat\"\nmax-frame = 4096\npenalty = 7\n";
    let line = reload(&server, &folder, text, &["WARN", "mode is \"chat\" at "]);
    assert!(line.contains("porter.toml:1") && line.contains("stays \"echo\""), "{line}");
    folder.log_line(&["WARN", "max-frame is 4096", "stays 65536"]);
    folder.log_line(&["INFO", "penalty is 7; it was 5"]);
    Visitor::logged_in(&server, "ann").expect_echo(&"x".repeat(60_000));
    server.signal(Signal::HUP);
    folder.log_lines(&["mode is \"chat\""], 2);
    assert_eq!(folder.log_lines(&["configuration reloaded"], 2).len(), 2);
    assert_eq!(folder.log_lines(&["penalty is 7"], 1).len(), 1, "nothing new the second time");
}
