//! Row 11: everyone logged in reads what the others write.

use crate::support::{Said, Server, Visitor, eventually, frame};
use rustix::process::Signal;

fn chat() -> Server {
    Server::start(&["--mode", "chat"])
}

/// Visitors who have joined one after another and have read who joined.
fn joined<const N: usize>(server: &Server, names: [&str; N]) -> [Visitor; N] {
    let mut present: Vec<Visitor> = Vec::new();
    for name in names {
        let newcomer = Visitor::logged_in(server, name);
        present.iter_mut().for_each(|visitor| visitor.expect(Said::message("", &format!("{name} joined"))));
        present.push(newcomer);
    }
    present.try_into().unwrap()
}

/// All but the writer read it, in order, under the writer's name. Who is not logged in reads nothing.
#[test]
fn all_others_read_it() {
    let server = chat();
    let [mut ann, mut bob, mut cid] = joined(&server, ["ann", "bob", "cid"]);
    let mut stranger = Visitor::arrive(&server);
    for text in ["hi", "", "naïve 李雷", " hi", "bob @cid x", "\u{200b}@bob x", "＠bob x"] {
        ann.message(text);
        bob.expect(Said::message("ann", text));
        cid.expect(Said::message("ann", text));
    }
    bob.message("and hi");
    // The first thing that ann and the stranger hear: nothing came back before it.
    ann.expect(Said::message("bob", "and hi"));
    stranger.identify("-");
    stranger.expect_error(1);
}

/// Whoever closes with something unread resets the connection. What arrived before that still counts, an Exit above all.
#[test]
fn what_came_before_a_reset_is_heard() {
    let server = chat();
    let [mut ann, mut bob, mut cid] = joined(&server, ["ann", "bob", "cid"]);
    ann.message("unread by bob");
    cid.expect(Said::message("ann", "unread by bob"));
    eventually("bob has it too", || (!bob.nothing_yet()).then_some(()));
    // Stopped, so that the last words and the reset are there together when it looks.
    server.signal(Signal::STOP);
    bob.send_raw(&[bob.message_frame(b"last words"), frame(0x06, b"")].concat());
    bob.reset();
    server.signal(Signal::CONT);
    ann.expect(Said::message("bob", "last words"));
    ann.expect(Said::message("", "bob left"));
}

/// The sender's own other connections are others.
#[test]
fn a_writers_other_connection_reads_it() {
    let server = chat();
    let [mut ann] = joined(&server, ["ann"]);
    let mut ann_elsewhere = Visitor::logged_in(&server, "ann");
    ann.message("hi");
    ann_elsewhere.expect(Said::message("ann", "hi"));
    ann_elsewhere.message("me too");
    // No "ann joined" before it: a name joins once.
    ann.expect(Said::message("ann", "me too"));
}

/// `@name text` goes to every connection of that name, unchanged, and to nobody else.
#[test]
fn a_direct_message_goes_to_one_name() {
    let server = chat();
    let [mut ann, mut bob, mut cid] = joined(&server, ["ann", "bob", "cid"]);
    let mut bob_elsewhere = Visitor::logged_in(&server, "bob");
    for text in ["@bob hi there", "@bob ", "@bob  two spaces", "@bob @cid x"] {
        ann.message(text);
        bob.expect(Said::message("ann", text));
        bob_elsewhere.expect(Said::message("ann", text));
    }
    ann.message("for all");
    cid.expect(Said::message("ann", "for all"));
}

/// What begins with `@` and is not `@`, a valid name, one space and a text is told its writer, and nobody else: neither
/// the others nor the console.
#[test]
fn a_slip_in_an_address_is_shown_to_nobody() {
    let mut server = chat();
    let [mut ann, mut bob, mut cid] = joined(&server, ["ann", "bob", "cid"]);
    let slips = [
        "@bob, x",
        " @bob x",
        "@bob\tx",
        "@bob\u{a0}x",
        "@@bob x",
        "@ bob x",
        "@bob",
        "@",
        "@-b x",
        "@server x",
        "@Server x",
        "\u{3000}\n@bob x",
        "@bob\u{200b} x",
    ];
    for text in slips {
        ann.message(text);
        ann.expect_error(8);
    }
    ann.message("@bob now it is right");
    bob.expect(Said::message("ann", "@bob now it is right"));
    ann.message("for all");
    bob.expect(Said::message("ann", "for all"));
    cid.expect(Said::message("ann", "for all"));
    let first = server.stdout.wait_for_line(|line| line.starts_with("ann:"));
    assert_eq!(first, "ann: @bob now it is right");
}

/// A slip of the person at the console is as private.
#[test]
fn a_slip_at_the_console_is_sent_to_nobody() {
    let mut server = chat();
    let [mut ann] = joined(&server, ["ann"]);
    for line in [" @ann x", "@ann, x", "@ann\tx", "@@ann x", "@ ann x", "@server x", " /kick ann", "\t/quit"]
    {
        server.type_line(line);
        server.stdout.wait_for_line(|line| line.starts_with("not sent"));
    }
    server.type_line("for all");
    ann.expect(Said::message("", "for all"));
}

/// The server announces who joins with the first login of a name and who leaves with the last session, to the others.
#[test]
fn joining_and_leaving_are_announced() {
    let server = chat();
    let [mut ann, mut bob] = joined(&server, ["ann", "bob"]);
    let mut bob_elsewhere = Visitor::logged_in(&server, "bob");
    bob.exit();
    bob.expect_bye();
    ann.message("one of two has gone");
    bob_elsewhere.expect(Said::message("ann", "one of two has gone"));
    bob_elsewhere.exit();
    bob_elsewhere.expect_bye();
    ann.expect(Said::message("", "bob left"));
    let _bob = Visitor::logged_in(&server, "bob");
    ann.expect(Said::message("", "bob joined"));
}

/// A lost connection is no leaving, a resume no joining; meanwhile the name is not online, and nothing is replayed.
#[test]
fn a_lost_connection_is_not_online() {
    let server = chat();
    let [mut ann, bob, mut cid] = joined(&server, ["ann", "bob", "cid"]);
    let token = bob.token;
    bob.reset();
    server.folder.log_line(&["disconnected"]);
    ann.message("@bob are you there?");
    ann.expect_error(7);
    ann.message("anybody?");
    cid.expect(Said::message("ann", "anybody?"));
    let mut bob = server.resumed(token);
    ann.message("@bob welcome back");
    bob.expect(Said::message("ann", "@bob welcome back"));
    bob.message("thanks");
    ann.expect(Said::message("bob", "thanks"));
    cid.expect(Said::message("bob", "thanks"));
}

/// In chat mode the person's plain text goes to all from the server, `@name text` to one,
/// and what the clients write is shown.
#[test]
fn the_console_takes_part() {
    let mut server = chat();
    let [mut ann, mut bob] = joined(&server, ["ann", "bob"]);
    server.type_line("good evening");
    ann.expect(Said::message("", "good evening"));
    bob.expect(Said::message("", "good evening"));
    server.type_line("@bob psst");
    server.type_line("all again");
    ann.expect(Said::message("", "all again"));
    assert!(matches!(bob.next(), Said::Message(sender, text) if sender.is_empty() && text.ends_with("psst")));
    bob.expect(Said::message("", "all again"));
    ann.message("hello, server");
    server.stdout.wait_for_line(|line| line == "ann: hello, server");
}
