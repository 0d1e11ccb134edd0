//! Passwords asked for on a terminal.

use super::{add, done_with, offline, states};
use crate::support::Terminal;
use crate::support::{Folder, PASSWORD};
use pty_process::blocking::Command;
use rustix::process::{Signal, kill_process};

fn start(folder: &Folder, words: &[&str]) -> Terminal {
    let program = Command::new(env!("CARGO_BIN_EXE_porter-admin"));
    Terminal::of(program.arg("--data").arg(folder.data()).args(words))
}

#[test]
fn a_password_is_asked_for_twice_and_not_shown() {
    let folder = offline();
    let mut person = start(&folder, &["users", "add", "ann", "--hash-rounds", "100"]);
    person.answer("New password for ann (at least 8 characters): ", "short");
    person.await_text("at least 8 characters");
    person.answer("New password for ann", PASSWORD);
    person.answer("again: ", "something else");
    person.await_text("two different passwords");
    person.answer("New password for ann", PASSWORD);
    person.answer("again: ", PASSWORD);
    person.await_text("added ann");
    assert_eq!(person.ends(), Some(0));
    assert!(!person.shown.contains(PASSWORD), "{}", person.shown);
    let verify = ["users", "verify", "ann", "--password-file", "-"];
    done_with(&folder.data(), &verify, PASSWORD);
}

/// Whatever ends the question, the terminal shows again what is typed, and nothing was done.
#[test]
fn a_question_that_is_broken_off_leaves_the_terminal_as_it_was() {
    let folder = offline();
    add(&folder.data(), "ann");
    for keys in ["\u{3}", "\u{4}", "\u{1c}"] {
        let mut person = start(&folder, &["users", "passwd", "ann"]);
        person.await_text("New password for ann (at least 8 characters): ");
        assert!(!person.is_as_before());
        person.types(keys);
        person.await_text("nothing was done");
        assert!(person.is_as_before(), "{keys:?}");
        assert_eq!(person.ends(), Some(1));
    }
    for signal in [Signal::TERM, Signal::HUP] {
        let mut person = start(&folder, &["users", "passwd", "ann"]);
        person.await_text("New password for ann");
        kill_process(person.pid(), signal).unwrap();
        person.await_text("nothing was done");
        assert!(person.is_as_before());
        assert_eq!(person.ends(), Some(1));
    }
    done_with(&folder.data(), &["users", "verify", "ann", "--password-file", "-"], PASSWORD);
    assert_eq!(states(&folder.data()).len(), 1);
}

/// Who thinks of a password has nothing that others wait for, and may take as long as that takes.
#[test]
fn nobody_waits_for_whoever_is_asked() {
    let folder = offline();
    add(&folder.data(), "ann");
    let mut person = start(&folder, &["users", "add", "cem", "--hash-rounds", "100"]);
    person.await_text("New password for cem");
    add(&folder.data(), "bob");
    person.types(&format!("{PASSWORD}\n"));
    person.answer("again: ", PASSWORD);
    person.await_text("added cem");
    assert_eq!(person.ends(), Some(0));
    assert_eq!(states(&folder.data()).len(), 3);
}
