//! What a script can rely on: an exit code of 0 says that everything was sent and nothing was refused.

use super::fake::{NAME, PASSWORD, Program, Server, TOKEN, file_with};
use porter::protocol::{FrameRead, Reply, Request};
use std::fs::File;
use std::io::BufReader;

/// The number before these words.
fn number_before(text: &str, words: &str) -> usize {
    let before = text.split(words).next().unwrap();
    before
        .rsplit(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap_or_else(|_| panic!("no number before {words:?}: {text}"))
}

/// A kick in the middle of a long input was exit code 0, and three quarters of the lines were never sent.
#[test]
fn a_kick_in_the_middle_of_a_long_input_counts_what_was_not_handled() {
    const LINES: usize = 300_000;
    const ANSWERED: usize = 1_000;
    let folder = tempfile::tempdir().unwrap();
    let input: String = (0..LINES).map(|number| format!("line {number}\n")).collect();
    let input = file_with(folder.path(), "input", input.as_bytes());
    let server = Server::start();
    let mut client = Program::with(&server, |command| {
        command.args(["--name", NAME]).env("PORTER_PASSWORD", PASSWORD);
        command.stdin(File::open(&input).unwrap());
    });
    let mut visitor = server.logged_in();
    visitor.narrow();
    let mut requests = BufReader::new(visitor.stream.try_clone().unwrap());
    for number in 0..ANSWERED {
        let body = requests.read_frame(65_536).unwrap().unwrap();
        let due = format!("line {number}");
        assert!(Request::decode(&body) == Ok(Request::Message { token: &TOKEN, text: due.as_bytes() }));
        visitor.say("", &due);
    }
    visitor.tell(Reply::Bye("kicked"));
    let end = client.ends();
    assert_eq!((end.code, end.stderr.lines().count()), (Some(1), 1), "{}", end.stderr);
    assert_eq!(end.stdout.lines().count(), ANSWERED);
    assert!(end.stderr.contains("the server ended the conversation: kicked; "), "{}", end.stderr);
    let unsent = number_before(&end.stderr, " messages were not sent");
    let unconfirmed = number_before(&end.stderr, " messages may not have arrived");
    assert_eq!(ANSWERED + unsent + unconfirmed, LINES, "{}", end.stderr);
}

#[test]
fn a_bye_before_every_echo_is_there_is_a_failure_though_all_was_sent() {
    let server = Server::start();
    let mut client = Program::start(&server);
    let mut visitor = server.logged_in();
    client.types("one\ntwo\nthree\n");
    for text in ["one", "two", "three"] {
        visitor.expect_text(&TOKEN, text);
    }
    visitor.say("", "one");
    visitor.say("", "two");
    client.await_notice("received 3 bytes\nreceived 3 bytes\n");
    visitor.tell(Reply::Bye("closing time"));
    let end = client.ends();
    assert_eq!(end.code, Some(1));
    assert!(end.stderr.contains("closing time; 1 message may not have arrived"), "{}", end.stderr);
}

#[test]
fn a_refused_message_in_a_pipe_is_a_failure_at_the_end() {
    for code in [7, 8] {
        let server = Server::start();
        let mut client = Program::with(&server, |command| {
            command.args(["--name", NAME]).env("PORTER_PASSWORD", PASSWORD);
        });
        let mut visitor = server.logged_in();
        client.types("@nobody hi\nhi all\n");
        client.falls_silent();
        visitor.expect_text(&TOKEN, "@nobody hi");
        visitor.refuse(code, "nobody is not here");
        visitor.expect_text(&TOKEN, "hi all");
        visitor.see_off();
        let end = client.ends();
        assert_eq!((end.code, end.stderr.lines().count()), (Some(1), 2), "{}", end.stderr);
        assert!(end.stderr.contains("the server refused 1 message"), "{}", end.stderr);
    }
}

/// Words for somebody else's ears must not become a message by a slip.
#[test]
fn a_line_that_begins_with_a_slash_is_a_command_and_never_sent() {
    let server = Server::start();
    let mut client = Program::start(&server);
    let mut visitor = server.logged_in();
    client.types("/help\n//msg bob\n/msg bob secret\n/\n/who\n/quit\nnever\n");
    // The question need not wait behind what was typed before it.
    visitor.expect(Request::Who { token: &TOKEN });
    visitor.expect_text(&TOKEN, "/msg bob");
    visitor.tell(Reply::Names { online: 3, names: "ann\nbob\n" });
    visitor.see_off();
    let end = client.ends();
    assert_eq!(end.code, Some(1), "{}", end.stderr);
    assert!(end.stdout.contains("/quit"), "{}", end.stdout);
    assert!(end.stdout.ends_with("3 online: ann, bob and 1 more\n"), "{}", end.stdout);
    assert!(end.stderr.contains("there is no command /msg,"), "{}", end.stderr);
    assert!(end.stderr.contains("but 2 lines were not sent"), "{}", end.stderr);
    assert!(!end.stderr.contains("secret"), "{}", end.stderr);
}

#[test]
fn a_line_that_no_frame_holds_is_refused_and_the_session_goes_on() {
    let server = Server::start();
    let mut client = Program::start(&server);
    let mut visitor = server.logged_in();
    let most = 65_536 - 17;
    client.types(&format!("{}\n{}\n", "x".repeat(most + 1), "y".repeat(most)));
    client.falls_silent();
    visitor.expect_text(&TOKEN, &"y".repeat(most));
    visitor.see_off();
    let end = client.ends();
    assert_eq!(end.code, Some(1), "{}", end.stderr);
    assert!(end.stderr.contains("a line of 65520 bytes is not sent"), "{}", end.stderr);
}

/// Only what goes wrong is told where nobody looks.
#[test]
fn lengths_and_notices_are_told_where_they_are_wanted() {
    let server = Server::start();
    for (flags, tells) in [(&[][..], false), (&["--quiet"], false), (&["--verbose"], true)] {
        let mut client = Program::with(&server, |command| {
            command.args(["--name", NAME]).args(flags).env("PORTER_PASSWORD", PASSWORD);
        });
        let mut visitor = server.logged_in();
        client.types("a\tb\n");
        client.falls_silent();
        visitor.expect_text(&TOKEN, "a\tb");
        visitor.say("", "a\tb");
        visitor.see_off();
        let end = client.ends();
        assert_eq!((end.code, &*end.stdout), (Some(0), "server: a\tb\n"));
        assert_eq!(!end.stderr.is_empty(), tells, "{}", end.stderr);
    }
}

/// An input that cannot be read has not ended.
#[test]
fn an_input_that_cannot_be_read_is_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start();
    let mut client = Program::with(&server, |command| {
        command.args(["--name", NAME]).env("PORTER_PASSWORD", PASSWORD);
        command.stdin(File::open(folder.path()).unwrap());
    });
    server.logged_in().see_off();
    let end = client.ends();
    assert_eq!(end.code, Some(1));
    assert!(end.stderr.contains("but the input could not be read to its end: "), "{}", end.stderr);
}

/// All lines and Exit fit the buffers between while a chat reads twenty a second: a kick then is no answer to that Exit,
/// and was exit code 0.
#[test]
fn a_kick_while_a_chat_has_not_read_all_lines_counts_what_was_not_handled() {
    const LINES: usize = 1_000;
    let folder = tempfile::tempdir().unwrap();
    let input: String = (0..LINES).map(|number| format!("line {number}\n")).collect();
    let input = file_with(folder.path(), "input", input.as_bytes());
    for command in ["/kick ann", "/quit"] {
        let mut server = crate::support::Server::start(&["--mode", "chat"]);
        let mut client = Program::at(&server.address.port().to_string(), |client| {
            client.args(["--verbose", "--name", NAME]).env("PORTER_PASSWORD", PASSWORD);
            client.stdin(File::open(&input).unwrap());
        });
        server.stdout.wait_for_line(|line| line == "ann: line 9");
        client.await_notice(&"sent 8 bytes\n".repeat(900));
        server.type_line(command);
        let end = client.ends();
        let last = end.stderr.lines().last().unwrap_or_default();
        assert_eq!(end.code, Some(1), "{command}: {last}");
        assert!(last.contains("the server ended the conversation: "), "{last}");
        assert_eq!(number_before(last, " messages may not have arrived"), LINES, "{last}");
        assert!(end.stdout.is_empty() || !end.stdout.contains("online"), "{}", end.stdout);
    }
}

/// Whoever reads the replies has seen enough; what was written and not handled is no less lost.
#[test]
fn a_closed_stdout_is_a_failure_if_texts_may_not_have_been_handled() {
    for is_handled in [true, false] {
        let server = Server::start();
        let mut client = Program::start(&server);
        let mut visitor = server.logged_in();
        client.types("one\n");
        visitor.expect_text(&TOKEN, "one");
        client.await_notice("sent 3 bytes");
        client.stdout_closes();
        visitor.say("bob", "anybody?");
        if is_handled {
            visitor.expect_exit_of_script(&TOKEN);
        } else {
            visitor.expect(Request::Who { token: &TOKEN });
        }
        visitor.tell(Reply::Bye("closing time"));
        let end = client.ends();
        assert_eq!(end.code, Some(i32::from(!is_handled)), "{}", end.stderr);
    }
}
