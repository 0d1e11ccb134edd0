//! The client with a person at a terminal. Answers are typed only when their prompt is there.

use super::SECOND_TOKEN;
use super::fake::{NAME, PASSWORD, Server, TOKEN, Visitor};
use crate::support::Terminal;
use porter::protocol::{Reply, Request, Wanted};
use pty_process::blocking::Command;

impl Terminal {
    fn start(arguments: &[&str]) -> Terminal {
        Terminal::of(Command::new(env!("CARGO_BIN_EXE_porter-client")).args(arguments))
    }

    pub(super) fn with(server: &Server, arguments: &[&str]) -> Terminal {
        Terminal::start(&[&["--host", "127.0.0.1", "--port", &server.port()], arguments].concat())
    }

    /// Logged in, with the row for the first message.
    pub(super) fn logged_in(server: &Server, arguments: &[&str]) -> (Terminal, Visitor) {
        let mut person = Terminal::with(server, &[&["--name", NAME], arguments].concat());
        let visitor = person.log_in(server);
        person.await_text("Hello, ann");
        person.await_text("> ");
        (person, visitor)
    }

    /// Ann types her password, and is let in.
    pub(super) fn log_in(&mut self, server: &Server) -> Visitor {
        let mut visitor = server.greeted("");
        visitor.expect(Request::Identify(NAME.as_bytes()));
        visitor.tell(Reply::PasswordWanted(Wanted::Login));
        self.answer("Password for ann: ", PASSWORD);
        visitor.expect(Request::Login(PASSWORD.as_bytes()));
        visitor.welcome(&TOKEN);
        visitor
    }
}

#[test]
fn host_port_and_name_are_asked_for_and_the_password_is_not_shown() {
    let server = Server::start();
    let mut person = Terminal::start(&[]);
    person.answer("Host [127.0.0.1]: ", "no host");
    person.await_text("is not the name or address of a host");
    person.answer("Host [127.0.0.1]: ", "");
    person.answer("Port [9090]: ", "99999");
    person.await_text("is not a port");
    person.answer("Port [9090]: ", &server.port());
    let mut visitor = server.greeted(NAME);
    person.answer("Name [ann]: ", "");
    visitor.expect(Request::Identify(NAME.as_bytes()));
    visitor.tell(Reply::PasswordWanted(Wanted::Login));
    person.answer("Password for ann: ", "wrong password");
    visitor.expect(Request::Login(b"wrong password"));
    visitor.refuse(4, "that is not the password");
    person.await_text("that is not the password");
    person.answer("Password for ann: ", PASSWORD);
    visitor.expect(Request::Login(PASSWORD.as_bytes()));
    visitor.welcome(&TOKEN);
    person.await_text("Hello, ann");
    person.types("hi\r");
    visitor.expect_text(&TOKEN, "hi");
    visitor.say("", "hi");
    person.await_text("server: hi");
    person.types("exit\r");
    visitor.see_off();
    assert_eq!(person.ends(), Some(0));
    assert!(!person.shown.contains("wrong password") && !person.shown.contains(PASSWORD), "{}", person.shown);
    assert!(person.shown.contains("hi\r\n"), "the echo is back after the password: {}", person.shown);
}

#[test]
fn a_refused_name_is_asked_again_and_a_new_password_twice_until_both_agree() {
    let server = Server::start();
    let mut person = Terminal::with(&server, &["--name", "a b"]);
    let mut visitor = server.greeted("\x1b[31m");
    visitor.expect(Request::Identify(b"a b"));
    visitor.refuse(1, "that is no name");
    person.await_text("that is no name");
    person.answer("Name: ", NAME);
    visitor.expect(Request::Identify(NAME.as_bytes()));
    visitor.tell(Reply::PasswordWanted(Wanted::Register));
    person.answer("Choose a password for ann (at least 8 characters): ", PASSWORD);
    person.answer("again: ", "open sesame 94");
    person.await_text("differ");
    person.answer("Choose a password for ann (at least 8 characters): ", "weak");
    person.answer("again: ", "weak");
    visitor.expect(Request::Register(b"weak"));
    visitor.refuse(2, "too short");
    person.await_text("too short");
    // What the server wants it has said itself by now.
    person.answer("Choose a password for ann: ", PASSWORD);
    person.answer("again: ", PASSWORD);
    visitor.expect(Request::Register(PASSWORD.as_bytes()));
    visitor.tell(Reply::PasswordWanted(Wanted::Login));
    visitor.expect(Request::Login(PASSWORD.as_bytes()));
    visitor.welcome(&TOKEN);
    person.await_text("Hello, ann");
    // Ctrl-D: the end of the input.
    person.types("\x04");
    visitor.see_off();
    assert_eq!(person.ends(), Some(0));
    assert!(!person.shown.contains(PASSWORD) && !person.shown.contains("[31m"), "{}", person.shown);
}

#[test]
fn the_password_is_asked_for_again_only_when_the_session_is_gone() {
    let server = Server::start();
    let mut person = Terminal::with(&server, &["--name", NAME]);
    let visitor = person.log_in(&server);
    drop(visitor);
    person.await_text("trying again in ");
    let mut visitor = server.returning(&TOKEN);
    visitor.welcome(&SECOND_TOKEN);
    person.await_text("resumed");
    drop(visitor);
    person.await_text("trying again in ");
    let mut visitor = server.returning(&SECOND_TOKEN);
    visitor.refuse(6, "no such session");
    visitor.expect(Request::Identify(NAME.as_bytes()));
    visitor.tell(Reply::PasswordWanted(Wanted::Login));
    person.answer("Password for ann: ", PASSWORD);
    visitor.expect(Request::Login(PASSWORD.as_bytes()));
    visitor.welcome(&TOKEN);
    person.await_text("Hello, ann");
    person.types("exit\r");
    visitor.see_off();
    assert_eq!(person.ends(), Some(0));
}

#[test]
fn an_interrupt_at_the_password_ends_the_client_and_gives_the_echo_back() {
    let server = Server::start();
    let mut person = Terminal::with(&server, &["--name", NAME]);
    let mut visitor = server.greeted("");
    visitor.expect(Request::Identify(NAME.as_bytes()));
    visitor.tell(Reply::PasswordWanted(Wanted::Login));
    person.await_text("Password for ann: ");
    person.types("\x03");
    assert_eq!(person.ends(), None, "ended by the signal");
    assert!(person.is_as_before());
}
