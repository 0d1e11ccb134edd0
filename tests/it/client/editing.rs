//! The line that a person edits, and the lines of others above it.

use super::SECOND_TOKEN;
use super::fake::{Server, TOKEN};
use crate::support::Terminal;

#[test]
fn keys_edit_what_is_typed_and_bring_back_what_was() {
    let server = Server::start();
    let (mut person, mut visitor) = Terminal::logged_in(&server, &[]);
    person.types("helo\x1b[Dl\r");
    visitor.expect_text(&TOKEN, "hello");
    person.types("\x1b[A, bob\r");
    visitor.expect_text(&TOKEN, "hello, bob");
    person.types("two words\x17one\x01\x1b[3~T\r");
    visitor.expect_text(&TOKEN, "Two one");
    person.types("na\u{ef}ve \u{674e}\x7f\u{1f469}\r");
    visitor.expect_text(&TOKEN, "na\u{ef}ve \u{1f469}");
    person.types("\x1b[A\x1b[A\x1b[A\x1b[B\r");
    visitor.expect_text(&TOKEN, "Two one");
    assert!(!person.shown.contains("^["), "{}", person.shown);
    person.types("\x04");
    visitor.see_off();
    assert_eq!(person.ends(), Some(0));
}

#[test]
fn what_arrives_is_shown_above_what_is_typed() {
    let server = Server::start();
    let (mut person, mut visitor) = Terminal::logged_in(&server, &[]);
    person.types("half a ");
    person.await_text("half a ");
    visitor.say("bob", "interrupting\x1b[2J\ttwice");
    // The row is taken away, the line is whole, and the row is there again.
    person.await_text(
        "\r\x1b[K\x1b[2mreceived 22 bytes\x1b[22m\r\nbob: interrupting\\u{1b}[2J\ttwice\r\n\r\x1b[K> half a ",
    );
    person.types("message\r");
    visitor.expect_text(&TOKEN, "half a message");
    drop(visitor);
    person.types("typed mean");
    person.await_text("trying again in ");
    person.types("while\r");
    let mut visitor = server.returning(&TOKEN);
    visitor.welcome(&SECOND_TOKEN);
    visitor.expect_text(&SECOND_TOKEN, "typed meanwhile");
    person.types("/quit\r");
    visitor.see_off();
    assert_eq!(person.ends(), Some(0));
}

/// A terminal that hands over lines cuts them at 4 095 bytes without a word.
#[test]
fn long_lines_and_pastes_arrive_whole() {
    let server = Server::start();
    let (mut person, mut visitor) = Terminal::logged_in(&server, &[]);
    let long = "0123456789".repeat(3_000);
    let too_long = "x".repeat(65_536);
    let pasted: Vec<String> = (0..500).map(|number| format!("pasted line {number}")).collect();
    let keys = format!("{long}\r\r{too_long}\r{}\rexit\r", pasted.join("\r"));
    let mut typist = rustix::io::dup(&person.pty).map(std::fs::File::from).unwrap();
    let typing = std::thread::spawn(move || std::io::Write::write_all(&mut typist, keys.as_bytes()).unwrap());
    person.await_text("a line of 65536 bytes is not sent");
    visitor.expect_text(&TOKEN, &long);
    for line in &pasted {
        visitor.expect_text(&TOKEN, line);
    }
    visitor.see_off();
    assert_eq!(person.ends(), Some(0));
    typing.join().unwrap();
    assert_eq!(person.shown.matches("not sent").count(), 1, "Enter alone sends nothing, and is no error");
}

/// A question may come while a message is being written: it waits, and is there again.
#[test]
fn a_message_that_was_begun_outlives_a_question() {
    let server = Server::start();
    let (mut person, visitor) = Terminal::logged_in(&server, &[]);
    person.types("half a ");
    person.await_text("half a ");
    drop(visitor);
    let mut visitor = server.returning(&TOKEN);
    visitor.refuse(6, "no such session");
    visitor.expect(porter::protocol::Request::Identify(b"ann"));
    visitor.tell(porter::protocol::Reply::PasswordWanted(porter::protocol::Wanted::Login));
    person.answer("Password for ann: ", super::fake::PASSWORD);
    visitor.expect(porter::protocol::Request::Login(super::fake::PASSWORD.as_bytes()));
    visitor.welcome(&SECOND_TOKEN);
    person.await_text("> half a ");
    person.types("message\r");
    visitor.expect_text(&SECOND_TOKEN, "half a message");
    person.types("exit\r");
    visitor.see_off();
    assert_eq!(person.ends(), Some(0));
    assert!(!person.shown.contains(super::fake::PASSWORD));
}
