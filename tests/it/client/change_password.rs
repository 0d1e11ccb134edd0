//! `--change-password`, against the real server.

use crate::support::{PASSWORD, Said, Server, Terminal, Visitor};
use porter::protocol::Wanted;
use std::io::Write;
use std::process::{Command, Output, Stdio};

const NEW: &str = "another password";

fn arguments(server: &Server, name: &str) -> [String; 4] {
    [server.address.to_string(), "--name".to_owned(), name.to_owned(), "--change-password".to_owned()]
}

/// With the old password and the new one on the lines of a pipe.
fn change(server: &Server, name: &str, old: &str, new: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_porter-client"));
    command.args(arguments(server, name)).args(["--password-file", "-"]).env_remove("PORTER_PASSWORD");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may have left without reading.
    let _ = write!(child.stdin.take().unwrap(), "{old}\n{new}\n");
    child.wait_with_output().unwrap()
}

fn expect_counts(server: &Server, name: &str, password: &str, counts: bool) {
    let mut visitor = Visitor::introduced(server, name, Wanted::Login);
    visitor.login(password);
    match counts {
        true => assert!(matches!(visitor.next(), Said::Welcome(..))),
        false => drop(visitor.expect_error(4)),
    }
}

#[test]
fn the_new_one_counts_and_other_sessions_end() {
    for flags in [&[][..], &["--mode", "chat"]] {
        let server = Server::start(flags);
        let mut elsewhere = Visitor::logged_in(&server, "ann");
        let output = change(&server, "ann", PASSWORD, NEW);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(said.contains("the password is changed") && !said.contains(NEW), "{said}");
        elsewhere.expect_bye();
        expect_counts(&server, "ann", NEW, true);
        expect_counts(&server, "ann", PASSWORD, false);
        server.folder.log_line(&["why=exit"]);
    }
}

/// The old one goes on counting.
#[test]
fn what_is_refused_changes_nothing() {
    let server = Server::start(&["--penalty", "0"]);
    drop(Visitor::logged_in(&server, "ann"));
    for (name, old, new, why) in [
        ("ann", "a wrong password", NEW, "WrongPassword"),
        ("ann", PASSWORD, "short", "WeakPassword"),
        ("bob", PASSWORD, NEW, "no such user"),
    ] {
        let output = change(&server, name, old, new);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(why) && said.lines().count() == 1, "{said}");
    }
    // Who was let in has left in order, and waits for nobody.
    server.folder.log_line(&["why=exit"]);
    expect_counts(&server, "ann", PASSWORD, true);
    drop(Visitor::introduced(&server, "bob", Wanted::Register));
}

#[test]
fn a_person_is_asked_for_the_old_one_and_twice_for_the_new_one() {
    let server = Server::start(&[]);
    drop(Visitor::logged_in(&server, "ann"));
    let program = pty_process::blocking::Command::new(env!("CARGO_BIN_EXE_porter-client"));
    let mut person = Terminal::of(program.args(arguments(&server, "ann")));
    person.answer("Password for ann: ", PASSWORD);
    person.answer("New password for ann: ", NEW);
    person.answer("again: ", "something else");
    person.await_text("two different passwords");
    person.answer("New password for ann: ", NEW);
    person.answer("again: ", NEW);
    person.await_text("the password is changed");
    assert_eq!(person.ends(), Some(0));
    assert!(!person.shown.contains(NEW) && !person.shown.contains(PASSWORD), "{}", person.shown);
    expect_counts(&server, "ann", NEW, true);
}
