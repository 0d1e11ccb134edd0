//! Row 10: the person at the server's console and the clients write to each other; and the console's commands.

use crate::support::{Said, Server, Visitor};

fn operator() -> Server {
    Server::start(&["--mode", "operator"])
}

/// Writes to the console and waits until it is shown there.
fn write_to_console(server: &mut Server, visitor: &mut Visitor, name: &str, text: &str) {
    visitor.message(text);
    server.stdout.wait_for_line(|line| line == format!("{name}: {text}"));
}

/// Many messages, in turn and not; what is typed goes to whoever wrote last; when one goes the server waits for the next.
#[test]
fn a_conversation() {
    let mut server = operator();
    for name in ["ann", "bob"] {
        let mut visitor = Visitor::logged_in(&server, name);
        for n in 0..3 {
            write_to_console(&mut server, &mut visitor, name, &format!("question {n}"));
            server.type_line(&format!("answer {n}"));
            visitor.expect(Said::message("", &format!("answer {n}")));
        }
        server.type_line("one more");
        server.type_line("and another");
        visitor.expect(Said::message("", "one more"));
        visitor.expect(Said::message("", "and another"));
        visitor.exit();
        visitor.expect_bye();
    }
}

/// The answer goes to the one who wrote last, not to another; `@name text` to a chosen one.
#[test]
fn whoever_wrote_last() {
    let mut server = operator();
    let (mut ann, mut bob) = (Visitor::logged_in(&server, "ann"), Visitor::logged_in(&server, "bob"));
    write_to_console(&mut server, &mut bob, "bob", "me first");
    write_to_console(&mut server, &mut ann, "ann", "me last");
    server.type_line("to ann");
    ann.expect(Said::message("", "to ann"));
    server.type_line("@bob to bob");
    // The first that bob gets.
    let Said::Message(sender, text) = bob.next() else { panic!("no message") };
    assert!(sender.is_empty() && text.ends_with("to bob"), "{text}");
    server.type_line("still to ann");
    ann.expect(Said::message("", "still to ann"));
}

/// "Wrote last" is a session, and outlives its resume.
#[test]
fn the_last_writers_session_is_resumed() {
    let mut server = operator();
    let mut ann = Visitor::logged_in(&server, "ann");
    write_to_console(&mut server, &mut ann, "ann", "hi");
    let token = ann.token;
    ann.reset();
    let mut ann = server.resumed(token);
    server.type_line("still there?");
    ann.expect(Said::message("", "still there?"));
}

/// When nobody has written, or the last writer has gone, the operator is told.
#[test]
fn nobody_to_answer() {
    let mut server = operator();
    server.type_line("hello?");
    let told = server.stdout.wait_for_line(|_| true);
    assert!(!told.is_empty());
    let mut ann = Visitor::logged_in(&server, "ann");
    let mut bob = Visitor::logged_in(&server, "bob");
    write_to_console(&mut server, &mut ann, "ann", "hi");
    ann.exit();
    ann.expect_bye();
    server.type_line("an answer that nobody reads");
    server.stdout.wait_for_line(|_| true);
    server.type_line("@ann nor this");
    server.stdout.wait_for_line(|_| true);
    server.type_line("@bob but this");
    assert!(matches!(bob.next(), Said::Message(_, text) if text.ends_with("but this")));
}

/// A client is not answered by the server itself in operator mode: what it hears first is the operator.
#[test]
fn no_echo() {
    let mut server = operator();
    let mut ann = Visitor::logged_in(&server, "ann");
    for text in ["one", "@nobody two", ""] {
        write_to_console(&mut server, &mut ann, "ann", text);
    }
    server.type_line("three");
    ann.expect(Said::message("", "three"));
}

/// `/who` in every mode: who is there.
#[test]
fn who() {
    for mode in ["echo", "operator", "chat"] {
        let mut server = Server::start(&["--mode", mode]);
        let _visitors = (Visitor::logged_in(&server, "ann"), Visitor::logged_in(&server, "bob"));
        server.type_line("/who");
        let shown = server.stdout.lines_until(|line| line.contains("bob"));
        let shown = if shown.iter().any(|line| line.contains("ann")) {
            shown
        } else {
            server.stdout.lines_until(|line| line.contains("ann"))
        };
        assert!(!shown.is_empty(), "{mode}");
    }
}

/// `/help` and `/stats` in every mode: the commands, and numbers.
#[test]
fn help_and_stats() {
    for mode in ["echo", "operator", "chat"] {
        let mut server = Server::start(&["--mode", mode]);
        server.type_line("/help");
        for command in ["/help", "/who", "/kick", "/stats", "/quit"] {
            // Several may share a line, so the shown lines are kept by putting one question after another.
            server.type_line("/help");
            server.stdout.wait_for_line(|line| line.contains(command));
        }
        server.type_line("/stats");
        server
            .stdout
            .wait_for_line(|line| !line.contains('/') && line.contains(|c: char| c.is_ascii_digit()));
    }
}

/// `/kick NAME` in every mode reaches every session of the name and no other.
#[test]
fn kick() {
    for mode in ["echo", "operator", "chat"] {
        let mut server = Server::start(&["--mode", mode]);
        let mut bob = Visitor::logged_in(&server, "bob");
        let mut anns = [Visitor::logged_in(&server, "ann"), Visitor::logged_in(&server, "ann")];
        server.type_line("/kick ann");
        for ann in &mut anns {
            ann.expect_bye();
        }
        server.type_line("@bob you may stay");
        loop {
            match bob.next() {
                Said::Message(_, text) if text.ends_with("you may stay") => break,
                Said::Message(_, text) => assert_eq!(mode, "chat", "{text}"),
                other => panic!("{other:?}"),
            }
        }
    }
}

/// A kick of nobody, and a command that does not exist, are answered, and nobody is sent them.
#[test]
fn commands_that_cannot_be_done() {
    let mut server = operator();
    let mut ann = Visitor::logged_in(&server, "ann");
    write_to_console(&mut server, &mut ann, "ann", "hi");
    for line in ["/kick nobody", "/frobnicate", "@nobody hi"] {
        server.type_line(line);
        server.stdout.wait_for_line(|_| true);
    }
    server.type_line("the first that ann hears");
    ann.expect(Said::message("", "the first that ann hears"));
}

/// `/quit` in every mode: Bye to all, exit code 0.
#[test]
fn quit() {
    for mode in ["echo", "operator", "chat"] {
        let mut server = Server::start(&["--mode", mode]);
        let mut ann = Visitor::logged_in(&server, "ann");
        let mut stranger = Visitor::arrive(&server);
        server.type_line("/quit");
        ann.expect_bye();
        stranger.expect_bye();
        assert_eq!(server.exit_code(), Some(0));
    }
}

/// What a client writes moves no cursor and forges no line on the console.
#[test]
fn control_characters_are_escaped() {
    for mode in ["operator", "chat"] {
        let mut server = Server::start(&["--mode", mode]);
        let mut ann = Visitor::logged_in(&server, "ann");
        ann.message("\u{1b}[2J\u{1b}]0;x\u{7}\nbob: forged\r\u{9b}1A\u{202e}\u{7f}end");
        ann.message("sentinel");
        let mut lines = server.stdout.lines_until(|line| line == "ann: sentinel");
        assert!(!lines.iter().any(|line| line.starts_with("bob: ")), "{lines:#?}");
        lines.retain(|line| line.starts_with("ann: "));
        assert_eq!(lines.len(), 2, "{lines:#?}");
        assert!(lines[0].ends_with("end"), "{lines:?}");
        assert!(!lines[0].contains(|c: char| c.is_control() || c == '\u{202e}'), "{lines:?}");
    }
}
