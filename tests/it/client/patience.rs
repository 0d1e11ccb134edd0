//! Nothing waits for ever for a server, and a server's patience is not a person's.

use super::SECOND_TOKEN;
use super::fake::{NAME, PASSWORD, Program, Server, TOKEN};
use crate::support::Terminal;
use porter::protocol::{Reply, Request, Wanted};

/// Peers that freeze, each at another point; all at once, since each takes as long as the client waits.
#[test]
fn a_server_that_falls_silent_is_given_up() {
    let (before_hello, before_wanted, before_bye, full, returning) =
        (Server::start(), Server::start(), Server::start(), Server::start(), Server::start());
    let mut greets_nobody = Program::start(&before_hello);
    let _one = before_hello.visitor();
    let mut asks_nothing = Program::start(&before_wanted);
    let mut two = before_wanted.greeted("");
    let mut says_no_goodbye = Program::start(&before_bye);
    let mut three = before_bye.logged_in();
    let mut takes_nothing = Program::start(&full);
    let four = full.logged_in();
    let mut comes_back = Program::start(&returning);
    drop(returning.logged_in());
    let _silent = returning.visitor();

    two.expect(Request::Identify(NAME.as_bytes()));
    says_no_goodbye.types("hi\n");
    says_no_goodbye.falls_silent();
    three.expect_text(&TOKEN, "hi");
    three.expect_exit_of_script(&TOKEN);
    four.narrow();
    takes_nothing.types("hi\n");
    takes_nothing.falls_silent();

    // The silent one counted as a lost connection: it is tried again.
    let mut five = returning.returning(&TOKEN);
    five.welcome(&SECOND_TOKEN);
    comes_back.await_notice("resumed");
    comes_back.falls_silent();
    five.see_off();
    let end = comes_back.ends();
    let reason = "no connection (the connection failed: the server has said nothing for ";
    assert!(end.code == Some(0) && end.stderr.contains(reason), "{}", end.stderr);
    for client in [&mut greets_nobody, &mut asks_nothing, &mut says_no_goodbye, &mut takes_nothing] {
        let end = client.ends();
        assert_eq!(end.code, Some(1), "{}", end.stderr);
        assert!(end.stderr.contains("the server has said nothing for "), "{}", end.stderr);
    }
}

/// The server's login timeout passed while a password was typed, and the login was refused.
#[test]
fn typing_takes_as_long_as_it_takes_and_nothing_is_asked_twice() {
    let server = Server::start();
    let mut person = Terminal::with(&server, &[]);
    let mut visitor = server.greeted("");
    person.await_text("Name: ");
    visitor.refuse(107, "not logged in within 30 s");
    drop(visitor);
    person.types("ann\r");
    let mut visitor = server.greeted("");
    visitor.expect(Request::Identify(NAME.as_bytes()));
    visitor.tell(Reply::PasswordWanted(Wanted::Register));
    person.answer("Choose a password for ann (at least 8 characters): ", PASSWORD);
    person.await_text("The same password again: ");
    visitor.refuse(107, "not logged in within 30 s");
    drop(visitor);
    person.types(&format!("{PASSWORD}\r"));
    let mut visitor = server.greeted("");
    visitor.expect(Request::Identify(NAME.as_bytes()));
    visitor.tell(Reply::PasswordWanted(Wanted::Register));
    visitor.expect(Request::Register(PASSWORD.as_bytes()));
    // It was a little too late.
    visitor.refuse(107, "not logged in within 30 s");
    drop(visitor);
    let end = person.ends();
    assert_eq!(end, Some(1), "what was not asked on this connection is no reason for another");

    let mut person = Terminal::with(&server, &["--name", NAME]);
    let mut visitor = server.greeted("");
    visitor.expect(Request::Identify(NAME.as_bytes()));
    visitor.tell(Reply::PasswordWanted(Wanted::Login));
    person.answer("Password for ann: ", PASSWORD);
    visitor.expect(Request::Login(PASSWORD.as_bytes()));
    drop(visitor);
    let mut visitor = server.logged_in();
    person.await_text("Hello, ann");
    person.types("exit\r");
    visitor.expect(Request::Exit);
    visitor.tell(Reply::Bye("bye"));
    assert_eq!(person.ends(), Some(0));
    assert_eq!(person.shown.matches("Password for").count(), 1, "{}", person.shown);
}

/// The password of piped messages is asked for where the person is.
#[test]
fn with_messages_in_a_pipe_the_password_is_asked_for_at_the_terminal() {
    let server = Server::start();
    let script = format!(
        "printf 'one\\ntwo\\n' | {} --host 127.0.0.1 --port {} --name ann",
        env!("CARGO_BIN_EXE_porter-client"),
        server.port()
    );
    let mut person = Terminal::of(pty_process::blocking::Command::new("sh").args(["-c", &script]));
    let mut visitor = person.log_in(&server);
    visitor.expect_text(&TOKEN, "one");
    visitor.expect_text(&TOKEN, "two");
    visitor.see_off();
    assert_eq!(person.ends(), Some(0));
    assert!(!person.shown.contains(PASSWORD), "{}", person.shown);
}
