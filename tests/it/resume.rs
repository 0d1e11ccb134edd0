//! Sessions that outlive their connection, and those that do not.

use crate::support::{
    Folder, PASSWORD, SLOW_PASSWORD, Said, Server, Setup, Visitor, frame, stop, stored_password,
};
use porter::protocol::Wanted;
use rustix::process::Signal;
use std::rc::Rc;

/// protocol.md: a connection that was closed or reset leaves its session, which Resume takes up with a new token.
#[test]
fn after_a_close_and_after_a_reset() {
    let server = Server::start(&[]);
    let ann = Visitor::logged_in(&server, "ann");
    let first = ann.token;
    drop(ann);
    let mut again = server.resumed(first);
    assert_ne!(again.token, first);
    again.expect_echo("after a close");
    let second = again.token;
    again.reset();
    let mut again = server.resumed(second);
    assert_ne!(again.token, second);
    again.expect_echo("after a reset");
}

/// protocol.md: the token that was presented is good only for another Resume, and only until the new one was used:
/// a Welcome that was lost costs nothing.
#[test]
fn a_lost_welcome_costs_nothing() {
    let server = Server::start(&[]);
    let first = Visitor::logged_in(&server, "ann").token;
    drop(server.resumed(first));
    let mut again = server.resumed(first);
    again.expect_echo("with the newest token");
    server.expect_no_session(first);
    again.expect_echo("nothing happened to it");
}

/// As before, with Exit in the place of the first Message: nothing is left to resume.
#[test]
fn exit_ends_the_presented_token_too() {
    let server = Server::start(&[]);
    let first = Visitor::logged_in(&server, "ann").token;
    let mut again = server.resumed(first);
    let second = again.token;
    again.exit();
    again.expect_bye();
    server.expect_no_session(first);
    server.expect_no_session(second);
}

/// protocol.md: any token older than the one presented last is dead.
#[test]
fn older_tokens_are_dead() {
    let server = Server::start(&[]);
    let first = Visitor::logged_in(&server, "ann").token;
    let second = server.resumed(first).token;
    let third = server.resumed(second);
    server.expect_no_session(first);
    assert_ne!(third.token, second);
    server.resumed(second).expect_echo("the one presented is still good");
}

/// protocol.md: a presented token is no longer good for a Message.
#[test]
fn a_presented_token_carries_no_message() {
    let server = Server::start(&[]);
    let first = Visitor::logged_in(&server, "ann").token;
    let mut again = server.resumed(first);
    again.send_raw(&frame(0x05, &[&first[..], b"hi"].concat()));
    again.expect_last_error(103);
    server.expect_no_session(first);
    server.expect_no_session(again.token);
}

/// protocol.md: Resume takes a session over from a connection that is still open, which gets Bye and is closed.
#[test]
fn takeover() {
    let server = Server::start(&[]);
    let mut old = Visitor::logged_in(&server, "ann");
    old.expect_echo("hi");
    let mut new = server.resumed(old.token);
    old.expect_bye();
    new.expect_echo("mine now");
    server.expect_no_session(old.token);
}

/// A name may have several sessions; each has its own token.
#[test]
fn sessions_of_one_name_are_apart() {
    let server = Server::start(&[]);
    let (first, mut second) = (Visitor::logged_in(&server, "ann"), Visitor::logged_in(&server, "ann"));
    assert_ne!(first.token, second.token);
    let token = first.token;
    drop(first);
    server.resumed(token).expect_echo("the first");
    second.expect_echo("the second");
}

/// An Exit that has arrived ends the session, though the connection broke before it was handled: what comes before it is
/// more than one turn's share, and its answers cannot be written any more.
#[test]
fn not_after_an_exit_behind_answers_that_nobody_takes() {
    let server = Server::start(&[]);
    let mut ann = Visitor::logged_in(&server, "ann");
    let token = ann.token;
    stop(server.pid());
    let crowd = ann.message_frame(b"").repeat(500);
    ann.send_raw(&[crowd, frame(0x06, b"")].concat());
    ann.reset();
    server.signal(Signal::CONT);
    server.folder.log_line(&["disconnected", "why=exit", "messages_in=500"]);
    server.expect_no_session(token);
}

/// protocol.md: after a kick (Bye) there is nothing to resume.
#[test]
fn not_after_a_kick() {
    let mut server = Server::start(&[]);
    let mut ann = Visitor::logged_in(&server, "ann");
    let lost = Visitor::logged_in(&server, "ann");
    let lost_token = lost.token;
    lost.reset();
    server.type_line("/kick ann");
    ann.expect_bye();
    server.expect_no_session(ann.token);
    // Every session of the name, without a connection or with one.
    server.expect_no_session(lost_token);
}

/// protocol.md: a session ends at errors 100 to 103.
#[test]
fn not_after_a_fault_of_the_clients() {
    let server = Server::start(&[]);
    let forged = frame(0x05, &[7; 18]);
    for (fault, code) in
        [(vec![0; 4], 100), (vec![0xff; 4], 101), (frame(0x03, b"open sesame"), 102), (forged, 103)]
    {
        let mut ann = Visitor::logged_in(&server, "ann");
        ann.send_raw(&fault);
        ann.expect_last_error(code);
        server.expect_no_session(ann.token);
    }
}

/// `--resume-window`: the session ends when it has passed; in chat the others are told, which is the event to wait for.
#[test]
fn not_after_the_window() {
    for window in ["1", "0"] {
        let server = Server::start(&["--mode", "chat", "--resume-window", window]);
        let mut watcher = Visitor::logged_in(&server, "watcher");
        let ann = Visitor::logged_in(&server, "ann");
        watcher.expect(Said::message("", "ann joined"));
        let token = ann.token;
        ann.reset();
        watcher.expect(Said::message("", "ann left"));
        server.expect_no_session(token);
    }
}

/// "Resume never hashes", so it is answered while somebody else's hash fills the queue.
#[test]
fn without_a_hash() {
    let anns = stored_password(PASSWORD, b"sixteen bytes ok", 1000);
    let folder = Rc::new(Folder::with_users(&[("ann", &anns), ("bob", SLOW_PASSWORD)]));
    let server = Setup::new(&["--hash-wait", "0"]).folder(folder).start();
    let ann = Visitor::logged_in(&server, "ann");
    let mut bob = Visitor::introduced(&server, "bob", Wanted::Login);
    bob.login("for the next 20 s");
    let token = ann.token;
    ann.reset();
    server.resumed(token).expect_echo("back");
    assert!(bob.nothing_yet());
}

/// Sessions without a connection are bounded by `--max-connections`; the oldest goes first.
#[test]
fn the_oldest_lost_session_goes_first() {
    let server = Server::start(&["--max-connections", "2"]);
    let mut tokens = Vec::new();
    for n in 0..3 {
        let mut visitor = Visitor::logged_in(&server, "ann");
        visitor.expect_echo("in");
        tokens.push(visitor.token);
        visitor.reset();
        server.folder.log_lines(&["disconnected"], n + 1);
    }
    let mut first = Visitor::arrive(&server);
    first.resume(tokens[0]);
    first.expect_error(6);
    first.resume(tokens[1]);
    first.expect_welcome();
    server.resumed(tokens[2]).expect_echo("the youngest");
}

/// protocol.md: a shutdown by the server ends the sessions.
#[test]
fn not_after_a_restart() {
    let server = Server::start(&[]);
    let token = Visitor::logged_in(&server, "ann").token;
    let again = Setup::new(&[]).folder(server.terminate()).start();
    again.expect_no_session(token);
}

/// Only a visitor who has not yet identified resumes; one who failed to may log in.
#[test]
fn a_failed_resume_leaves_the_door_open() {
    let server = Server::start(&[]);
    let mut visitor = Visitor::arrive(&server);
    visitor.resume([0; 16]);
    visitor.expect_error(6);
    visitor.log_in("ann", PASSWORD);
    visitor.expect_echo("in");
}
