//! The log as JSON, and for the journal.

use crate::storage::is_utc_time;
use crate::support::{Folder, SLOW_PASSWORD, Server, Setup, Visitor};
use porter::protocol::Wanted;
use rustix::fs::fstat;
use rustix::process::Signal;
use serde_json::{Map, Value};
use std::fs;
use std::io::{PipeReader, Read};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

const HOSTILE_NAMES: [&str; 12] = [
    "x\n{\"time\":\"2026-11-28T12:00:00.000000Z\",\"level\":\"WARN\",\"message\":\"wrong password\"}",
    "x\",\"peer\":\"192.0.2.66:1",
    "x\\",
    "x peer=192.0.2.66:1 name=y",
    "x=y",
    "\"",
    "\u{2028}x",
    "x\u{2029}\u{85}\u{202e}y",
    "\0",
    "\x1b[2J",
    "' OR 1=1",
    "x\tpeer=192.0.2.66:1",
];

/// Somebody who makes whatever lines of the log they can, with names that are meant to forge others.
fn besiege(server: &Server) {
    for name in ["ann", "naïve", "李雷", "a.b-c_d", "123", "null"] {
        let mut visitor = Visitor::logged_in(server, name);
        visitor.expect_echo("\"}\n{\"message\":\"forged");
        visitor.message("");
        visitor.next();
        visitor.exit();
        visitor.expect_bye();
        let mut wrong = Visitor::introduced(server, name, Wanted::Login);
        wrong.login("wrong\",\"name\":\"forged");
        wrong.expect_error(4);
    }
    for name in HOSTILE_NAMES {
        let mut visitor = Visitor::arrive(server);
        visitor.identify(name);
        visitor.expect_error(1);
        visitor.login("\n\"");
        visitor.next();
    }
    for n in 0..200 {
        let mut stranger = Visitor::connect(server);
        match n % 2 {
            0 => stranger.send_raw(b"GET /\" HTTP/1.1\r\n\r\n"),
            _ => stranger.send_raw(&[0; 4]),
        }
        stranger.reset();
    }
}

fn objects(log: &str) -> Vec<Map<String, Value>> {
    let object = |line: &str| {
        let parsed = serde_json::from_str(line);
        let Ok(Value::Object(object)) = parsed else { panic!("{parsed:?}: {line}") };
        object
    };
    log.lines().map(object).collect()
}

/// Every line is an object with the same three fields and its own, and numbers are numbers, whoever chose a name.
#[test]
fn every_line_is_an_object() {
    let folder = Rc::new(Folder::new());
    let config = folder.path().join("porter.toml");
    fs::write(&config, "log-format = \"json\"\nlog-level = \"debug\"\npenalty = 0\n").unwrap();
    let server = Setup::new(&["--config", config.to_str().unwrap()]).folder(folder).start();
    besiege(&server);
    server.signal(Signal::HUP);
    server.folder.log_line(&["configuration reloaded"]);
    let log = server.terminate().log_text();
    assert!(!log.chars().any(|c| c != '\n' && (c.is_control() || c == '\u{2028}')), "{log:?}");
    let objects = objects(&log);
    for object in &objects {
        let text = |key: &str| object[key].as_str().unwrap_or_else(|| panic!("{key} in {object:?}"));
        assert!(is_utc_time(text("time")) && text("time").len() == 27, "{object:?}");
        assert!(["ERROR", "WARN", "INFO", "DEBUG"].contains(&text("level")), "{object:?}");
        assert!(!text("message").is_empty() && text("message") != "forged", "{object:?}");
        let is_typed = |key: &str, value: &Value| match key {
            "conn" | "messages_in" | "messages_out" | "bytes" => value.is_u64(),
            // Of a summary a count, and of a connection as well.
            "connected" | "disconnected" | "bytes_in" | "bytes_out" | "addresses" => value.is_u64(),
            "wrong_passwords" | "cut_bytes" => value.is_u64(),
            key if key.starts_with("refused_") || key.ends_with("_of_most") => value.is_u64(),
            _ => value.is_string(),
        };
        for (key, value) in object {
            assert!(is_typed(key, value), "{key} of {object:?}");
        }
    }
    let of = |message: &str| {
        let of_it = objects.iter().filter(|object| object["message"] == message);
        of_it.collect::<Vec<_>>()
    };
    let keys = |object: &Map<String, Value>| object.keys().cloned().collect::<Vec<_>>();
    let wrong = of("wrong password");
    let names: Vec<_> = wrong.iter().map(|object| object["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["ann", "naïve", "李雷", "a.b-c_d", "123", "null"]);
    let fields = ["time", "level", "message", "conn", "peer", "name"];
    let sorted = |mut keys: Vec<String>| {
        keys.sort();
        keys
    };
    for object in wrong {
        assert_eq!(keys(object), sorted(fields.map(str::to_owned).to_vec()));
        assert!(object["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{object:?}");
    }
    for message in ["start", "listening", "connected", "refused", "logged in", "disconnected", "summed up"] {
        assert!(!of(message).is_empty(), "{message} in {log}");
    }
    assert!(
        of("refused").iter().any(|object| object
            .get("note")
            .and_then(Value::as_str)
            .is_some_and(|note| note.contains("HTTP")))
    );
    assert_eq!(of("stopped").len(), 1);
}

/// What is prose for a person has words that never change, and fields, for a program: what the store says, and what came of
/// a reload.
#[test]
fn what_is_prose_has_fields() {
    let folder = Rc::new(Folder::with_users(&[("ann", SLOW_PASSWORD)]));
    let users = folder.data().join("users.csv");
    fs::write(&users, format!("{}half", folder.read("users.csv"))).unwrap();
    let config = folder.path().join("porter.toml");
    let configure = |text: &str| fs::write(&config, format!("log-format = \"json\"\n{text}")).unwrap();
    configure("penalty = 3\n");
    let server = Setup::new(&["--config", config.to_str().unwrap()]).folder(folder).start();
    let reload = |awaited: &[&str]| {
        server.signal(Signal::HUP);
        server.folder.log_line(awaited);
    };
    configure("penalty = 7\nmax-frame = 70000\n");
    fs::write(&users, server.folder.read("users.csv").replace("ann,", "anna,")).unwrap();
    reload(&["setting changed"]);
    configure("penalty = \"much\"\n");
    fs::remove_file(&users).unwrap();
    reload(&["configuration not reloaded"]);
    let log = server.terminate().log_text();
    let objects = objects(&log);
    let fields_of = |message: &str| {
        let found = objects.iter().filter(|object| object["message"] == message);
        found.map(|object| Value::Object(object.clone())).collect::<Vec<_>>()
    };
    let repaired = fields_of("repaired").remove(0);
    assert_eq!(repaired["cut_bytes"], 4, "{log}");
    assert_eq!(repaired["file"], "users.csv", "{log}");
    assert!(repaired["saved_as"].is_string() && repaired["note"].is_string(), "{log}");
    let store = fields_of("store");
    assert_eq!(store.len(), 2, "{log}");
    assert!(store.iter().all(|line| line["file"] == "users.csv"), "{log}");
    assert!(store[0]["note"].as_str().unwrap().ends_with("reloaded: 1 users, where 1 were known"), "{log}");
    let changed = fields_of("setting changed").remove(0);
    assert_eq!([&changed["key"], &changed["value"], &changed["was"]], ["penalty", "7", "3"]);
    let unchanged = fields_of("setting not changed").remove(0);
    assert_eq!([&unchanged["key"], &unchanged["value"]], ["max-frame", "70000"]);
    let refused = fields_of("configuration not reloaded").remove(0);
    assert!(refused["reason"].as_str().unwrap().contains("penalty"), "{log}");
}

/// The lines of a server whose log is stderr and whose environment says that the journal reads something.
fn lines_for(
    journal: Option<&str>,
    flags: &[&str],
    stderr: (PipeReader, impl Into<std::process::Stdio>),
) -> Vec<String> {
    let (mut reader, writer) = stderr;
    let setup = Setup::new(&[&["--log-file", "-"], flags].concat()).stderr(writer);
    let setup = match journal {
        Some(stream) => setup.environment("JOURNAL_STREAM", stream),
        None => setup,
    };
    let server = setup.start();
    drop(Visitor::logged_in(&server, "ann"));
    server.terminate();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Where the journal reads stderr, lines have its prefix for their priority and no stamp of ours; and nowhere else.
#[test]
fn the_journal_is_told_priorities() {
    let pipe = || std::io::pipe().unwrap();
    let (reader, writer) = pipe();
    let stat = fstat(&writer).unwrap();
    let journal = format!("{}:{}", stat.st_dev, stat.st_ino);
    let lines = lines_for(Some(&journal), &[], (reader, writer));
    assert!(lines.iter().any(|line| line.starts_with("<4>--hash-rounds 1000 ")), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("<6>logged in conn=")), "{lines:?}");
    assert_eq!(lines.last().unwrap(), "<6>stopped");
    assert!(lines.iter().all(|line| line.starts_with('<') && line.as_bytes()[2] == b'>'), "{lines:?}");

    let (reader, writer) = pipe();
    let stat = fstat(&writer).unwrap();
    let journal = format!("{}:{}", stat.st_dev, stat.st_ino);
    let lines = lines_for(Some(&journal), &["--log-format", "json"], (reader, writer));
    let prefixes: Vec<_> = lines.iter().map(|line| line.split_at(3)).collect();
    assert!(prefixes.iter().all(|(prefix, _)| ["<4>", "<6>"].contains(prefix)), "{lines:?}");
    let rest: String = prefixes.iter().map(|(_, object)| format!("{object}\n")).collect();
    assert_eq!(objects(&rest).last().unwrap()["message"], "stopped");

    let (socket, _other) = UnixStream::pair().unwrap();
    let other = fstat(&socket).unwrap();
    for journal in [format!("{}:{}", other.st_dev, other.st_ino).as_str(), "8:", "x:y"] {
        let lines = lines_for(Some(journal), &[], pipe());
        assert!(
            lines.iter().all(|line| is_utc_time(line.split(' ').next().unwrap())),
            "{journal}: {lines:?}"
        );
    }
}

/// Another format is refused in one line.
#[test]
fn another_format_is_refused() {
    let said = Setup::new(&["--log-format", "xml"]).refused(2);
    assert!(said.contains("--log-format") && said.contains("json"), "{said}");
}
