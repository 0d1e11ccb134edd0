//! `porter-client` as a process, without a terminal and on one, against scripted servers.

mod change_password;
mod convenience;
mod editing;
mod fake;
mod on_terminal;
mod patience;
mod promises;
mod signals;
mod streams;

use fake::{NAME, PASSWORD, Program, Server, TOKEN, Visitor, file_with};
use porter::protocol::{FrameRead, Reply, Request, Wanted};
use std::fs::{self, File};
use std::io::{BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::thread;

const SECOND_TOKEN: [u8; 16] = *b"second-token-9c2";

#[test]
fn lines_go_out_replies_come_in_and_the_end_of_input_says_exit() {
    let server = Server::start();
    let mut client = Program::start(&server);
    let mut visitor = server.logged_in();
    client.types("hi\n\nnaïve");
    client.falls_silent();
    visitor.expect_text(&TOKEN, "hi");
    visitor.expect_text(&TOKEN, "");
    visitor.expect_text(&TOKEN, "naïve");
    visitor.expect_exit_of_script(&TOKEN);
    visitor.say("", "hi");
    visitor.say("bob", "\x1b[2J\nserver: forged\u{202e}");
    visitor.tell(Reply::Bye("see\x1b you"));
    let end = client.ends();
    assert_eq!(end.code, Some(0), "{}", end.stderr);
    assert_eq!(end.stdout, "server: hi\nbob: \\u{1b}[2J\\u{a}server: forged\\u{202e}\n");
    for notice in ["Hello, ann\n", "sent 2 bytes\n", "sent 0 bytes\n", "sent 6 bytes\n", "received 2 bytes\n"]
    {
        assert!(end.stderr.contains(notice), "{notice:?} in {}", end.stderr);
    }
    assert!(end.stderr.ends_with("goodbye: see\\u{1b} you\n"), "{}", end.stderr);
    for secret in ["token", PASSWORD, "66697273"] {
        assert!(!end.stderr.contains(secret) && !end.stdout.contains(secret), "{secret}");
    }
}

#[test]
fn exit_ends_the_conversation_and_the_lines_after_it_are_not_sent() {
    let server = Server::start();
    let mut client = Program::start(&server);
    let mut visitor = server.logged_in();
    client.types("one\nexit\ntwo\n");
    visitor.expect_text(&TOKEN, "one");
    visitor.see_off();
    assert_eq!(client.ends().code, Some(0));
}

#[test]
fn a_new_name_is_registered_with_the_first_line_of_the_password_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = file_with(folder.path(), "password", format!("{PASSWORD}\r\nsecond line\n").as_bytes());
    let server = Server::start();
    let mut client = Program::with(&server, |command| {
        command.args(["--name", NAME, "--password-file"]).arg(&path).env("PORTER_PASSWORD", "the other one");
    });
    let mut visitor = server.greeted("");
    visitor.expect(Request::Identify(NAME.as_bytes()));
    visitor.tell(Reply::PasswordWanted(Wanted::Register));
    visitor.expect(Request::Register(PASSWORD.as_bytes()));
    visitor.tell(Reply::PasswordWanted(Wanted::Login));
    visitor.expect(Request::Login(PASSWORD.as_bytes()));
    visitor.welcome(&TOKEN);
    client.falls_silent();
    visitor.see_off();
    assert_eq!(client.ends().code, Some(0));
}

/// The first line of whatever holds the password, with nothing of what a text editor puts around it, and no more: what
/// follows in the same pipe are messages.
#[test]
fn the_password_may_come_before_the_messages_or_through_a_pipe_of_its_own() {
    let dressed = format!("\u{feff}{PASSWORD}\r\n");
    let server = Server::start();
    let mut client =
        Program::with(&server, |command| _ = command.args(["--name", NAME, "--password-file", "-"]));
    client.types(&dressed);
    client.types("hi\n");
    client.falls_silent();
    let mut visitor = server.logged_in();
    visitor.expect_text(&TOKEN, "hi");
    visitor.see_off();
    assert_eq!(client.ends().code, Some(0));

    // The pipe stays open: its first line is all that is waited for.
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(dressed.as_bytes()).unwrap();
    let path = format!("/proc/{}/fd/{}", std::process::id(), reader.as_raw_fd());
    let mut client =
        Program::with(&server, |command| _ = command.args(["--name", NAME, "--password-file", &path]));
    server.logged_in().tell(Reply::Bye("that was all"));
    assert_eq!(client.ends().code, Some(0));

    let mut client = Program::with(&server, |command| {
        command.args(["--name", NAME]).env("PORTER_PASSWORD", &dressed);
    });
    server.logged_in().tell(Reply::Bye("that was all"));
    assert_eq!(client.ends().code, Some(0));
}

#[test]
fn without_a_terminal_what_is_missing_is_wrong_usage() {
    let server = Server::start();
    for given in [&[][..], &["--name", NAME]] {
        let end = Program::with(&server, |command| _ = command.args(given)).ends();
        assert_eq!(end.code, Some(2));
        assert_eq!(end.stderr.lines().count(), 1, "{}", end.stderr);
        assert!(end.stderr.contains("--name") && end.stderr.contains("--password-file"), "{}", end.stderr);
    }
    for wrong in [["--port", "0"], ["--port", "65536"], ["--host", "a b"], ["--host", ""]] {
        let end = Program::with(&server, |command| _ = command.args(wrong)).ends();
        assert_eq!((end.code, end.stderr.lines().count()), (Some(2), 1), "{}", end.stderr);
    }
}

#[test]
fn without_a_terminal_a_refusal_ends_with_its_reason() {
    let server = Server::start();
    for (wanted, code) in
        [(None, 1), (Some(Wanted::Register), 2), (Some(Wanted::Login), 4), (None, 106), (None, 105)]
    {
        let mut client = Program::start(&server);
        let mut visitor = server.greeted("");
        visitor.expect(Request::Identify(NAME.as_bytes()));
        if let Some(wanted) = wanted {
            visitor.tell(Reply::PasswordWanted(wanted));
            let password = PASSWORD.as_bytes();
            let register = wanted == Wanted::Register;
            visitor.expect(if register { Request::Register(password) } else { Request::Login(password) });
        }
        visitor.refuse(code, "7 reasons\x1b");
        let end = client.ends();
        assert_eq!((end.code, end.stderr.lines().count()), (Some(1), 1), "{}", end.stderr);
        assert!(end.stderr.contains("7 reasons\\u{1b}"), "{}", end.stderr);
        assert_eq!(end.stderr.contains("try again in 7 s"), code > 100, "{}", end.stderr);
    }
}

#[test]
fn a_server_that_is_not_there_or_is_another_is_said_so() {
    let server = Server::start();
    let mut client = Program::start(&server);
    server.visitor().stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n").unwrap();
    let end = client.ends();
    assert_eq!((end.code, end.stderr.lines().count()), (Some(1), 1), "{}", end.stderr);
    assert!(end.stderr.contains("this is no porter server"), "{}", end.stderr);

    // Bound, but it never listens.
    let stalled = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    stalled.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let port = stalled.local_addr().unwrap().as_socket().unwrap().port().to_string();
    let end = Program::at(&port, |command| {
        command.args(["--name", NAME]).env("PORTER_PASSWORD", PASSWORD);
    })
    .ends();
    assert_eq!((end.code, end.stderr.lines().count()), (Some(1), 1), "{}", end.stderr);
    assert!(end.stderr.contains("cannot connect to 127.0.0.1"), "{}", end.stderr);
    assert!(end.stderr.ends_with("Connection refused; is the server running?\n"), "{}", end.stderr);
}

#[test]
fn who_is_told_bye_does_not_come_back() {
    let server = Server::start();
    let mut client = Program::start(&server);
    server.logged_in().tell(Reply::Bye("kicked"));
    let end = client.ends();
    assert_eq!(end.code, Some(0), "{}", end.stderr);
    assert!(end.stderr.contains("ended the conversation: kicked"), "{}", end.stderr);
}

#[test]
fn errors_below_100_are_notices_and_from_100_on_the_end() {
    let server = Server::start();
    let mut client = Program::start(&server);
    let mut visitor = server.logged_in();
    client.types("@bob hi\n");
    visitor.expect_text(&TOKEN, "@bob hi");
    visitor.refuse(7, "bob is not here");
    client.await_notice("bob is not here");
    client.types("still here\n");
    visitor.expect_text(&TOKEN, "still here");
    visitor.refuse(103, "not this token");
    let end = client.ends();
    assert_eq!(end.code, Some(1));
    assert!(end.stderr.contains("not this token (BadToken, code 103)"), "{}", end.stderr);
}

#[test]
fn a_lost_connection_is_resumed_and_what_was_typed_meanwhile_is_sent() {
    let server = Server::start();
    let mut client = Program::start(&server);
    let mut visitor = server.logged_in();
    client.types("one\n");
    visitor.expect_text(&TOKEN, "one");
    drop(visitor);
    client.await_notice("connection lost; trying again in ");
    client.types("two\n");
    // The Welcome of the first return is lost: the same token is presented once more.
    drop(server.returning(&TOKEN));
    client.await_notice("trying again in ");
    let mut visitor = server.returning(&TOKEN);
    visitor.welcome(&SECOND_TOKEN);
    visitor.expect_text(&SECOND_TOKEN, "two");
    visitor.refuse(107, "idle");
    drop(visitor);
    client.await_notice("trying again in ");
    server.visitor().refuse(106, "0 seconds: full");
    client.await_notice("full (Busy, code 106)); trying again in ");
    let mut visitor = server.returning(&SECOND_TOKEN);
    visitor.welcome(&TOKEN);
    visitor.say("", "there you are");
    client.falls_silent();
    visitor.see_off();
    let end = client.ends();
    assert_eq!((end.code, &*end.stdout), (Some(1), "server: there you are\n"), "{}", end.stderr);
    assert!(end.stderr.contains("goodbye: see you; but messages may have been lost"), "{}", end.stderr);
}

#[test]
fn a_text_that_was_on_its_way_when_the_connection_broke_is_sent_again_whole() {
    let server = Server::start();
    let mut client = Program::with(&server, |command| {
        command.args(["--verbose", "--max-frame", "16777216", "--name", NAME]);
        command.env("PORTER_PASSWORD", PASSWORD);
    });
    let mut visitor = server.logged_in();
    visitor.narrow();
    let long = "x".repeat(12 << 20);
    client.types(&long);
    client.types("\nlast\n");
    // The beginning has arrived; the rest is more than all buffers between hold.
    visitor.stream.read_exact(&mut [0; 64 * 1024]).unwrap();
    drop(visitor);
    let mut visitor = server.returning(&TOKEN);
    visitor.welcome(&SECOND_TOKEN);
    visitor.expect_text(&SECOND_TOKEN, &long);
    visitor.expect_text(&SECOND_TOKEN, "last");
    client.falls_silent();
    visitor.see_off();
    let end = client.ends();
    assert_eq!(end.code, Some(0), "{}", end.stderr);
    assert_eq!(end.stderr.matches("sent 12582912 bytes").count(), 1, "{}", end.stderr);
    assert!(!end.stderr.contains("may not have arrived"), "{}", end.stderr);
}

#[test]
fn megabytes_into_a_server_that_says_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let lines: Vec<String> = (0..200).map(|number| format!("{number} {}", "x".repeat(60_000))).collect();
    let input = file_with(folder.path(), "input", lines.join("\n").as_bytes());
    let server = Server::start();
    let mut client = Program::with(&server, |command| {
        command.args(["--name", NAME]).env("PORTER_PASSWORD", PASSWORD);
        command.stdin(File::open(&input).unwrap());
    });
    let mut visitor = server.logged_in();
    visitor.narrow();
    for line in &lines {
        visitor.expect_text(&TOKEN, line);
    }
    visitor.see_off();
    assert_eq!(client.ends().code, Some(0));
}

#[test]
fn a_person_is_told_what_may_be_lost_and_that_they_are_back() {
    let server = Server::start();
    let mut client = Program::start(&server);
    let mut visitor = server.logged_in();
    client.types("one\n");
    visitor.expect_text(&TOKEN, "one");
    drop(visitor);
    client.await_notice("what was sent last may not have arrived");
    server.returning(&TOKEN).welcome(&SECOND_TOKEN);
    client.await_notice("resumed");
}

#[test]
fn a_session_that_is_gone_is_logged_in_anew_with_the_given_password() {
    let server = Server::start();
    let mut client = Program::start(&server);
    drop(server.logged_in());
    let mut visitor = server.returning(&TOKEN);
    visitor.refuse(6, "no such session");
    visitor.log_in(&SECOND_TOKEN);
    client.types("again\nexit\n");
    visitor.expect_text(&SECOND_TOKEN, "again");
    visitor.see_off();
    assert_eq!(client.ends().code, Some(0));
}

#[test]
fn when_the_input_has_ended_a_lost_connection_is_lost_for_good() {
    let server = Server::start();
    let mut client = Program::start(&server);
    let mut visitor = server.logged_in();
    client.falls_silent();
    visitor.expect_exit_of_script(&TOKEN);
    drop(visitor);
    let end = client.ends();
    assert_eq!(end.code, Some(1));
    assert!(end.stderr.contains("lost before the server said goodbye"), "{}", end.stderr);

    let mut client = Program::start(&server);
    drop(server.logged_in());
    client.await_notice("trying again in ");
    client.types("never sent\n");
    client.falls_silent();
    let end = client.ends();
    assert_eq!(end.code, Some(1));
    assert!(end.stderr.contains("1 message was not sent"), "{}", end.stderr);
}

#[test]
fn a_closed_stdout_ends_the_client_quietly() {
    let server = Server::start();
    let mut client = Program::start(&server);
    let mut visitor = server.logged_in();
    client.await_notice("Hello, ann");
    client.stdout_closes();
    visitor.say("bob", "anybody?");
    visitor.expect_exit_of_script(&TOKEN);
    let end = client.ends();
    assert_eq!(end.code, Some(0));
    assert!(!end.stderr.contains("porter-client"), "{}", end.stderr);
}

#[test]
fn exit_waits_until_all_that_was_typed_before_it_is_sent() {
    let server = Server::start();
    let mut client = Program::start(&server);
    let mut visitor = server.logged_in();
    let long = "x".repeat(30_000);
    client.types(&format!("{long}\n{long}\nlast\nexit\n"));
    for text in [&long, &long, "last"] {
        visitor.expect_text(&TOKEN, text);
    }
    visitor.see_off();
    assert_eq!(client.ends().code, Some(0));
}

/// A client that does not read while it has something to write, or the other way round, would wait for ever: this
/// server reads only when what it says is taken. What it says first is more than all buffers between hold.
#[test]
fn megabytes_through_a_server_that_waits_for_its_reader() {
    let folder = tempfile::tempdir().unwrap();
    let lines: Vec<String> = (0..5_300).map(|number| format!("{number} {}", "x".repeat(1_000))).collect();
    let input = file_with(folder.path(), "input", (lines.join("\n") + "\n").as_bytes());
    let output = folder.path().join("output");
    let server = Server::start();
    let mut client = Program::with(&server, |command| {
        command.args(["--name", NAME]).env("PORTER_PASSWORD", PASSWORD);
        command.stdin(File::open(&input).unwrap()).stdout(File::create(&output).unwrap());
    });
    let speech = vec!["y".repeat(60_000); 600];
    let end = thread::scope(|scope| {
        scope.spawn(|| speak_and_echo(server.logged_in(), &speech));
        client.ends()
    });
    assert_eq!(end.code, Some(0), "{}", end.stderr.lines().last().unwrap_or_default());
    let mut expected = String::new();
    for text in speech.iter().chain(&lines) {
        expected.extend(["server: ", text, "\n"]);
    }
    assert!(fs::read_to_string(output).unwrap() == expected);
}

fn speak_and_echo(mut visitor: Visitor, speech: &[String]) {
    visitor.narrow();
    let mut requests = BufReader::new(visitor.stream.try_clone().unwrap());
    speech.iter().for_each(|text| visitor.say("", text));
    loop {
        let body = requests.read_frame(65_536).unwrap().unwrap();
        match Request::decode(&body).unwrap() {
            Request::Message { text, .. } => visitor.say("", std::str::from_utf8(text).unwrap()),
            Request::Who { .. } => visitor.tell(Reply::Names { online: 1, names: "ann\n" }),
            request => {
                assert!(request == Request::Exit, "{request:?}");
                return visitor.tell(Reply::Bye("see you"));
            }
        }
    }
}
