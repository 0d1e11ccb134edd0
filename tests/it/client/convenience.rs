//! Short ways to say things to the client, and what it tells a person on the side.

use super::fake::{NAME, PASSWORD, Program, Server, TOKEN};
use crate::support::Terminal;
use porter::protocol::{Code, Reply};
use std::process::Command;

/// What a person is told of each text is dim, and of one that begins with a name also for whom it was.
#[test]
fn receipts_are_dim_and_say_for_whom() {
    let server = Server::start();
    let (mut person, mut visitor) = Terminal::logged_in(&server, &[]);
    person.types("@bob psst\r");
    visitor.expect_text(&TOKEN, "@bob psst");
    person.await_text("\x1b[2msent 9 bytes for bob\x1b[22m\r\n");
    person.types("@ bob\r");
    visitor.expect_text(&TOKEN, "@ bob");
    person.await_text("\x1b[2msent 5 bytes\x1b[22m\r\n");
    visitor.say("bob", "\x1b[2m");
    person.await_text("\x1b[2mreceived 4 bytes\x1b[22m\r\nbob: \\u{1b}[2m\r\n");
    // A server that says each text again sends none to anybody.
    for text in ["@bob psst", "@ bob"] {
        visitor.say("", text);
        person.await_text(&format!("server: {text}"));
    }
    person.types("@bob hm\r");
    visitor.expect_text(&TOKEN, "@bob hm");
    person.await_text("\x1b[2msent 7 bytes\x1b[22m\r\n");
}

#[test]
fn a_quiet_client_gives_no_receipts() {
    let server = Server::start();
    let mut person = Terminal::with(&server, &["--name", NAME, "--quiet"]);
    let mut visitor = person.log_in(&server);
    person.await_text("> ");
    person.types("@bob psst\r");
    visitor.expect_text(&TOKEN, "@bob psst");
    visitor.say("", "@bob psst");
    person.await_text("server: @bob psst");
    person.types("exit\r");
    visitor.see_off();
    assert_eq!(person.ends(), Some(0));
    assert!(!person.shown.contains("bytes"), "{}", person.shown);
}

/// A host without a flag, and flags of one letter, mean what the long ones do.
#[test]
fn short_ways_to_name_server_and_person() {
    let server = Server::start();
    let port = server.port();
    let address = format!("127.0.0.1:{port}");
    for arguments in [
        &[&*address, "-n", NAME][..],
        &["127.0.0.1", "-p", &port, "-n", NAME],
        &["-H", &address, "-n", NAME],
        &["-n", NAME, "-p", &port],
    ] {
        let mut client = Program::of(|command| {
            command.args(arguments).env("PORTER_PASSWORD", PASSWORD);
        });
        let visitor = server.logged_in();
        client.falls_silent();
        visitor.see_off();
        let end = client.ends();
        assert_eq!(end.code, Some(0), "{arguments:?}: {}", end.stderr);
    }
    for wrong in [&[&*address, "-H", "127.0.0.1"][..], &[&address, "-p", &port], &["a", "b"]] {
        let end = Program::of(|command| _ = command.args(wrong)).ends();
        assert_eq!((end.code, end.stderr.lines().count()), (Some(2), 1), "{wrong:?}: {}", end.stderr);
    }
}

#[test]
fn the_version_names_the_program() {
    for (program, name) in [
        (env!("CARGO_BIN_EXE_porter-client"), "porter-client"),
        (env!("CARGO_BIN_EXE_porter-server"), "porter-server"),
        #[cfg(feature = "load")]
        (env!("CARGO_BIN_EXE_porter-load"), "porter-load"),
    ] {
        let output = Command::new(program).arg("-V").output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(said, format!("{name} {}\n", env!("CARGO_PKG_VERSION")));
    }
}

fn one_shot(server: &Server, text: &str) -> Program {
    Program::with(server, |command| {
        command.args(["--name", NAME, "--message", text]).env("PORTER_PASSWORD", PASSWORD);
    })
}

/// One message is sent as it is, what comes before the goodbye is shown, and the input, which stays open, is not read.
#[test]
fn one_message_is_sent_and_what_comes_back_is_shown() {
    for text in ["hello", "exit", "/who", "-x", "", "two\nlines"] {
        let server = Server::start();
        let mut client = one_shot(&server, text);
        client.types("from the input\n");
        let mut visitor = server.logged_in();
        visitor.expect_text(&TOKEN, text);
        visitor.expect_exit_of_script(&TOKEN);
        visitor.say("", "late but heard");
        visitor.tell(Reply::Bye("see you"));
        let end = client.ends();
        assert_eq!((end.code, &*end.stdout), (Some(0), "server: late but heard\n"), "{}", end.stderr);
    }
}

/// The exit code promises as much as in a pipe, at a terminal too.
#[test]
fn one_message_that_is_refused_too_long_or_lost_is_exit_code_1() {
    let server = Server::start();
    let mut client = one_shot(&server, "@nobody hi");
    let mut visitor = server.logged_in();
    visitor.expect_text(&TOKEN, "@nobody hi");
    visitor.refuse(Code::NoSuchRecipient.number(), "nobody is not online");
    visitor.see_off();
    let end = client.ends();
    assert_eq!(end.code, Some(1));
    assert!(end.stderr.contains("the server refused 1 message"), "{}", end.stderr);

    let mut client = one_shot(&server, &"x".repeat(70_000));
    server.logged_in().see_off();
    let end = client.ends();
    assert_eq!(end.code, Some(1));
    assert!(end.stderr.contains("1 line was not sent"), "{}", end.stderr);

    let mut client = one_shot(&server, "lost");
    drop(server.logged_in());
    assert_eq!(client.ends().code, Some(1));

    let mut person = Terminal::with(&server, &["--name", NAME, "--message", "@nobody hi"]);
    let mut visitor = person.log_in(&server);
    visitor.expect_text(&TOKEN, "@nobody hi");
    visitor.refuse(Code::NoSuchRecipient.number(), "nobody is not online");
    visitor.see_off();
    assert_eq!(person.ends(), Some(1));
    assert!(person.is_as_before(), "the terminal is put back");
}
