//! Signals end a conversation with Exit, and leave the terminal as it was.

use super::fake::{NAME, PASSWORD, Program, Server, TOKEN};
use crate::support::Terminal;
use crate::support::{eventually, is_stopped};
use porter::protocol::{Reply, Request, Wanted};
use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::process::ExitStatusExt;

const LEAVING: [Signal; 4] = [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT];

fn await_stop(pid: Pid) {
    eventually("the client has stopped", || is_stopped(pid).then_some(()));
}

/// The others saw a ghost until the resume window had passed.
#[test]
fn a_signal_says_exit_and_is_what_the_process_ends_by() {
    let server = Server::start();
    for signal in LEAVING {
        let mut client = Program::start(&server);
        let mut visitor = server.logged_in();
        client.types("hi\n");
        visitor.expect_text(&TOKEN, "hi");
        // Unread words must not turn the farewell into a reset.
        visitor.say("bob", &"x".repeat(60_000));
        kill_process(client.pid(), signal).unwrap();
        visitor.see_off();
        assert_eq!(client.signal(), Some(signal.as_raw()));
    }
}

#[test]
fn a_second_signal_ends_a_client_that_waits_for_a_silent_server() {
    let server = Server::start();
    let mut client = Program::start(&server);
    let mut visitor = server.logged_in();
    client.await_notice("Hello, ann");
    kill_process(client.pid(), Signal::TERM).unwrap();
    visitor.expect(Request::Exit);
    kill_process(client.pid(), Signal::INT).unwrap();
    let ended_by = client.signal();
    assert!(ended_by == Some(2) || ended_by == Some(15), "{ended_by:?}");
}

#[test]
fn what_a_process_was_told_to_ignore_it_ignores() {
    let server = Server::start();
    let mut client = Program::at("1", |command| {
        let program = env!("CARGO_BIN_EXE_porter-client");
        *command = std::process::Command::new("setsid");
        command.args(["sh", "-c", "trap '' HUP; exec \"$0\" \"$@\"", program, "--verbose", "--name", NAME]);
        command.args(["--port", &server.port()]).env("PORTER_PASSWORD", PASSWORD);
        let pipe = std::process::Stdio::piped;
        command.stdin(pipe()).stdout(pipe()).stderr(pipe());
    });
    let mut visitor = server.logged_in();
    client.await_notice("Hello, ann");
    kill_process(client.pid(), Signal::HUP).unwrap();
    client.types("still here\n");
    visitor.expect_text(&TOKEN, "still here");
    client.falls_silent();
    visitor.see_off();
    assert_eq!(client.ends().code, Some(0));
}

#[test]
fn a_signal_puts_the_terminal_back_in_the_conversation_and_at_the_password() {
    let server = Server::start();
    for signal in LEAVING {
        let (mut person, visitor) = Terminal::logged_in(&server, &[]);
        assert!(!person.is_as_before(), "keys are read one by one");
        kill_process(person.pid(), signal).unwrap();
        visitor.see_off();
        assert_eq!(person.ends(), None);
        assert_eq!(person.child.wait().unwrap().signal(), Some(signal.as_raw()));
        assert!(person.is_as_before(), "{signal:?}");

        let mut person = Terminal::with(&server, &["--name", NAME]);
        let mut visitor = server.greeted("");
        visitor.expect(Request::Identify(NAME.as_bytes()));
        visitor.tell(Reply::PasswordWanted(Wanted::Login));
        person.await_text("Password for ann: ");
        kill_process(person.pid(), signal).unwrap();
        visitor.expect(Request::Exit);
        assert_eq!(person.ends(), None);
        assert_eq!(person.child.wait().unwrap().signal(), Some(signal.as_raw()));
        assert!(person.is_as_before(), "{signal:?}");
    }
}

#[test]
fn a_client_that_is_stopped_gives_the_terminal_back_and_goes_on_where_it_was() {
    let server = Server::start();
    let mut person = Terminal::with(&server, &["--name", NAME]);
    let mut visitor = server.greeted("");
    visitor.expect(Request::Identify(NAME.as_bytes()));
    visitor.tell(Reply::PasswordWanted(Wanted::Login));
    person.await_text("Password for ann: ");
    person.types("open ");
    for stop in [Signal::TSTP, Signal::STOP] {
        kill_process(person.pid(), stop).unwrap();
        await_stop(person.pid());
        assert_eq!(person.is_as_before(), stop == Signal::TSTP);
        kill_process(person.pid(), Signal::CONT).unwrap();
        person.await_text("Password for ann: ");
        eventually("the echo is off again", || (!person.is_as_before()).then_some(()));
    }
    person.types("sesame 93\r");
    visitor.expect(Request::Login(PASSWORD.as_bytes()));
    visitor.welcome(&TOKEN);
    person.await_text("> ");
    person.types("half a ");
    person.await_text("half a ");
    kill_process(person.pid(), Signal::TSTP).unwrap();
    await_stop(person.pid());
    kill_process(person.pid(), Signal::CONT).unwrap();
    person.await_text("> half a ");
    // The key does nothing to the first process of a terminal: nobody could continue it.
    person.types("\x1amessage\r");
    visitor.expect_text(&TOKEN, "half a message");
    person.types("\x03");
    visitor.see_off();
    assert_eq!(person.ends(), None);
    assert!(!person.shown.contains("sesame"), "{}", person.shown);
}
