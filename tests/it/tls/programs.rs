//! `porter-client` and `porter-load` against the real server: whom they trust, and what they say.

use super::fingerprint;
use crate::support::{CEILING, Folder, PASSWORD, Server, Setup};
use pty_process::blocking::{Command as PtyCommand, open};
use rustix::event::{PollFd, PollFlags, poll};
use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::rc::Rc;

const OTHER: &str = "SHA256:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0";

/// A client with one line to say and a home of its own, which ends by itself.
fn client(server: &Server, home: &Path, flags: &[&str]) -> (Option<i32>, String) {
    let port = server.address.port().to_string();
    let mut child = Command::new(env!("CARGO_BIN_EXE_porter-client"))
        .args(["--port", &port, "--name", "ann"])
        .args(flags)
        .env("PORTER_PASSWORD", PASSWORD)
        .env("XDG_CONFIG_HOME", home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(b"hi\n");
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    if status.code() == Some(0) {
        assert_eq!(String::from_utf8(stdout).unwrap(), "server: hi\n");
    } else {
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(stdout.is_empty());
    }
    (status.code(), stderr)
}

#[track_caller]
fn expect_refusal(outcome: (Option<i32>, String), part: &str) {
    assert!(outcome.0 == Some(1) && outcome.1.contains(part), "{outcome:?}");
}

#[test]
fn without_a_terminal_a_server_is_trusted_by_flag_or_because_it_is_known() {
    let folder = Rc::new(Folder::new());
    let home = folder.path().join("home");
    let mut server = Setup::new(&["--tls"]).folder(Rc::clone(&folder)).start();
    let (told, port) = (fingerprint(&mut server), server.address.port().to_string());
    let own = folder.data().join("tls-cert.pem");
    expect_refusal(client(&server, &home, &["--tls"]), &told);
    assert!(!home.exists(), "nothing is remembered that nobody accepted");
    assert_eq!(client(&server, &home, &["--fingerprint", &told]).0, Some(0));
    expect_refusal(client(&server, &home, &["--fingerprint", OTHER]), &told);
    for host in ["127.0.0.1", "localhost"] {
        assert_eq!(client(&server, &home, &["--host", host, "--tls-ca", own.to_str().unwrap()]).0, Some(0));
    }
    expect_refusal(client(&server, &home, &["--tls-ca", "/dev/null"]), "/dev/null");

    assert_eq!(client(&server, &home, &["--tls", "--accept-new"]).0, Some(0));
    let known = home.join("porter/known_servers");
    let line = fs::read_to_string(&known).unwrap();
    let key = line.split_whitespace().last().unwrap().to_owned();
    assert!(
        line.starts_with(&format!("127.0.0.1:{port} key:SHA256:")) && line.lines().count() == 1,
        "{line}"
    );
    assert_eq!(client(&server, &home, &["--tls"]).0, Some(0));
    server.terminate();

    // Another certificate at the same place; not even --accept-new takes it.
    fs::remove_file(folder.data().join("tls-cert.pem")).unwrap();
    let mut server = Setup::new(&["--tls", "--port", &port, "--strict-port"]).folder(folder).start();
    let new = fingerprint(&mut server);
    for flags in [&["--tls"][..], &["--tls", "--accept-new"]] {
        let (code, said) = client(&server, &home, flags);
        assert_eq!(code, Some(1));
        for part in ["HAS CHANGED", &key, &new, "known_servers"] {
            assert!(said.contains(part), "{said}");
        }
    }
    server.folder.log_lines(&["refused", "why=Tls"], 2);
    assert_eq!(fs::read_to_string(&known).unwrap().lines().count(), 1);
    assert!(!server.folder.log_text().rsplit("stopped").next().unwrap().contains("logged in"));
}

#[test]
fn each_side_is_told_when_the_other_speaks_otherwise() {
    let home = Folder::new();
    let plain = Server::start(&[]);
    expect_refusal(
        client(&plain, home.path(), &["--tls"]),
        "does not speak TLS: leave out --tls, or use --plaintext",
    );
    plain.folder.log_line(&["refused", "looks like TLS"]);
    let encrypted = Server::start(&["--tls", "--login-timeout", "1"]);
    expect_refusal(client(&encrypted, home.path(), &[]), "the server speaks TLS; use --tls");
    encrypted.folder.log_line(&["refused", "why=TimedOut"]);
}

#[test]
fn a_person_is_asked_about_a_new_server_once() {
    let folder = Folder::new();
    let mut server = Server::start(&["--tls"]);
    let (told, port) = (fingerprint(&mut server), server.address.port().to_string());
    for (answers, code) in [(&["maybe\r", "no\r"][..], 1), (&["yes\r"], 0), (&[], 0)] {
        let (mut pty, pts) = open().unwrap();
        let mut child = PtyCommand::new(env!("CARGO_BIN_EXE_porter-client"))
            .args(["--host", "127.0.0.1", "--port", &port, "--name", "ann", "--tls"])
            .env("PORTER_PASSWORD", PASSWORD)
            .env("XDG_CONFIG_HOME", folder.path())
            .spawn(pts)
            .unwrap();
        let (mut shown, mut answers) = (String::new(), answers.iter());
        let (mut asked, mut is_in) = (0, false);
        loop {
            let patience = rustix::event::Timespec { tv_sec: CEILING.as_secs() as i64, tv_nsec: 0 };
            assert!(poll(&mut [PollFd::new(&pty, PollFlags::IN)], Some(&patience)).unwrap() > 0, "{shown}");
            let mut portion = [0; 4096];
            // A terminal whose last user has gone gives an error on Linux.
            let count = pty.read(&mut portion).unwrap_or(0);
            if count == 0 {
                break;
            }
            shown.push_str(&String::from_utf8_lossy(&portion[..count]));
            while shown.matches("(yes/no)").count() > asked {
                asked += 1;
                pty.write_all(answers.next().expect("a question too many").as_bytes()).unwrap();
            }
            if !is_in && shown.contains("Hello, ann") {
                is_in = true;
                pty.write_all(b"exit\r").unwrap();
            }
        }
        assert_eq!(child.wait().unwrap().code(), Some(code), "{shown}");
        assert_eq!(answers.next(), None, "{shown}");
        assert_eq!(asked > 0, shown.contains(&format!("\n{told}\r\n")), "{shown}");
    }
}

#[cfg(feature = "load")]
#[test]
fn the_load_tester_trusts_as_the_client_does() {
    let home = Folder::new();
    let mut server = Server::start(&["--tls"]);
    let (told, port) = (fingerprint(&mut server), server.address.port().to_string());
    let load = |flags: &[&str]| {
        let flags = [&["--port", &port, "--clients", "60", "--concurrency", "40", "--json"], flags].concat();
        let mut command = Command::new(env!("CARGO_BIN_EXE_porter-load"));
        let output = command.args(flags).env("XDG_CONFIG_HOME", home.path()).output().unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    expect_refusal(load(&["--tls"]), &told);
    expect_refusal(load(&["--fingerprint", OTHER]), &told);
    expect_refusal(load(&[]), "use --tls");
    for flags in [&["--tls", "--accept-new"][..], &["--tls"], &["--fingerprint", &told, "--size", "60000"]] {
        let (code, said) = load(flags);
        assert!(code == Some(0) && said.contains("\"failed\":0"), "{said}");
    }
}
