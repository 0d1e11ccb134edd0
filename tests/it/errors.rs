//! The error codes of the protocol that a frame alone can provoke, and the order in which a frame is judged.
//! Refusals that time, load or earlier failures provoke are in `errors_refusals`.

use crate::support::{PASSWORD, Said, Server, Visitor, frame};
use porter::protocol::Wanted;

const TOKEN: [u8; 16] = [7; 16];

/// One visitor in each state, with the state's name.
fn in_state(server: &Server, state: &str) -> Visitor {
    match state {
        "Identifying" => Visitor::arrive(server),
        "Registering" => Visitor::introduced(server, "nobody", Wanted::Register),
        "LoggingIn" => Visitor::introduced(server, "ann", Wanted::Login),
        _ => Visitor::logged_in(server, "ann"),
    }
}

/// A server that knows ann.
fn with_ann() -> Server {
    let server = Server::start(&[]);
    Visitor::logged_in(&server, "ann");
    server
}

/// Code 1: a name outside the rules; the connection stays open, in its state.
#[test]
fn bad_name() {
    let server = Server::start(&[]);
    let mut visitor = Visitor::arrive(&server);
    let (long, wide, huge) = ("x".repeat(33), "李".repeat(22), "x".repeat(4095));
    for name in [
        "",
        " ",
        "-a",
        "_a",
        ".a",
        "a b",
        "a,b",
        "a\"b",
        "a\n",
        "=cmd",
        "@a",
        "a@b",
        "server",
        "Server",
        "SERVER",
        "\u{1b}[2J",
        "a\0",
        &long,
        &wide,
        &huge,
    ] {
        visitor.identify(name);
        visitor.expect_error(1);
    }
    visitor.log_in("ann", PASSWORD);
}

/// Code 2: fewer characters than `--min-password`, or more than 1024 bytes; the state stays.
#[test]
fn weak_password() {
    let server = Server::start(&["--max-attempts", "10"]);
    let mut visitor = Visitor::introduced(&server, "ann", Wanted::Register);
    for password in ["", "1234567", "ünïcöd!", &"x".repeat(1025), &"é".repeat(513)] {
        visitor.register(password);
        visitor.expect_error(2);
    }
    visitor.register("ünïcöd!!");
    visitor.expect(Said::Wanted(Wanted::Login));

    let lax = Server::start(&["--min-password", "1"]);
    Visitor::arrive(&lax).log_in("ann", "x");
    Visitor::arrive(&lax).log_in("bob", &"x".repeat(1024));
}

/// Code 3: someone else registered the name first; PasswordWanted(1) follows, and the first one's password counts.
#[test]
fn name_taken() {
    let server = Server::start(&[]);
    let mut rivals = ["rival the first", "rival the second"]
        .map(|password| (Visitor::introduced(&server, "ann", Wanted::Register), password));
    rivals.iter_mut().for_each(|(visitor, password)| visitor.register(password));
    let mut winners = Vec::new();
    for (visitor, password) in &mut rivals {
        match visitor.next() {
            Said::Wanted(Wanted::Login) => winners.push(*password),
            Said::Error(3, _) => visitor.expect(Said::Wanted(Wanted::Login)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(winners.len(), 1);
    for (visitor, password) in &mut rivals {
        if *password != winners[0] {
            visitor.login(password);
            visitor.expect_error(4);
        }
        visitor.login(winners[0]);
        visitor.expect_welcome();
    }
}

/// Code 3, later: the name was taken while this visitor thought about a password.
#[test]
fn name_taken_meanwhile() {
    let server = Server::start(&[]);
    let mut late = Visitor::introduced(&server, "ann", Wanted::Register);
    Visitor::logged_in(&server, "ann");
    late.register("too late for this");
    late.expect_error(3);
    late.expect(Said::Wanted(Wanted::Login));
    late.login(PASSWORD);
    late.expect_welcome();
}

/// Code 4: a wrong password; the connection stays open.
#[test]
fn wrong_password() {
    let server = with_ann();
    let mut visitor = in_state(&server, "LoggingIn");
    for wrong in ["", "open sesamE"] {
        visitor.login(wrong);
        visitor.expect_error(4);
    }
    visitor.login(PASSWORD);
    visitor.expect_welcome();
}

/// Code 6: a token of no session; the state stays Identifying.
#[test]
fn no_such_session() {
    let server = with_ann();
    let mut visitor = Visitor::arrive(&server);
    for token in [TOKEN, [0; 16]] {
        visitor.resume(token);
        visitor.expect_error(6);
    }
    visitor.log_in("ann", PASSWORD);
}

/// Code 7: a message to a name that is not online; the session goes on.
#[test]
fn no_such_recipient() {
    let server = Server::start(&["--mode", "chat"]);
    let mut ann = Visitor::logged_in(&server, "ann");
    for _ in 0..2 {
        ann.message("@nobody x");
        ann.expect_error(7);
    }
}

/// Code 100: each fault of structure, in every state; it is judged before the state.
#[test]
fn malformed_structure_in_every_state() {
    let server = with_ann();
    let faults = [
        vec![0, 0, 0, 0],
        frame(0x00, b""),
        frame(0x07, b""),
        frame(0xff, b"x"),
        frame(0x81, b"\x01"),
        frame(0x84, b"\x00hi"),
        frame(0x04, &TOKEN[..15]),
        frame(0x04, &[&TOKEN[..], &[0]].concat()),
        frame(0x04, b""),
        frame(0x05, &TOKEN[..15]),
        frame(0x05, b""),
        frame(0x06, b"x"),
        frame(0x03, &[b'x'; 1025]),
    ];
    for state in ["Identifying", "Registering", "LoggingIn", "Authenticated"] {
        for fault in &faults {
            let mut visitor = in_state(&server, state);
            visitor.send_raw(fault);
            visitor.expect_last_error(100);
        }
    }
}

/// Code 100: text that is not UTF-8, wherever a text may stand.
#[test]
fn text_that_is_not_utf8() {
    let server = with_ann();
    for (state, kind) in [("Identifying", 0x01), ("Registering", 0x02), ("LoggingIn", 0x03)] {
        for bytes in [&b"\xff"[..], b"open sesame\xc3", b"\xed\xa0\x80xxxxxxxxxx"] {
            let mut visitor = in_state(&server, state);
            visitor.send_raw(&frame(kind, bytes));
            visitor.expect_last_error(100);
        }
    }
    let mut ann = in_state(&server, "Authenticated");
    let message = ann.message_frame(b"hi\xff");
    ann.send_raw(&message);
    ann.expect_last_error(100);
}

/// Code 101 before login: above 4096 bytes, as soon as the header is there; 4096 bytes are let in.
#[test]
fn frame_too_large_for_a_stranger() {
    let server = with_ann();
    for state in ["Identifying", "Registering", "LoggingIn"] {
        for length in [4097u32, 65_536, u32::MAX] {
            let mut visitor = in_state(&server, state);
            visitor.send_raw(&length.to_be_bytes());
            visitor.expect_last_error(101);
        }
        let mut visitor = in_state(&server, state);
        visitor.send_raw(&frame(0x01, &[b'x'; 4095]));
        visitor.expect_error(1);
    }
    let narrow = Server::start(&["--max-frame", "2048"]);
    let mut visitor = Visitor::arrive(&narrow);
    visitor.send_raw(&2049u32.to_be_bytes());
    visitor.expect_last_error(101);
}

/// Code 101 after login: above `--max-frame`, whose longest message still comes back.
#[test]
fn frame_too_large_for_a_friend() {
    for limit in [2048u32, 65_536, 1_000_000] {
        let server = Server::start(&["--max-frame", &limit.to_string()]);
        let mut ann = Visitor::logged_in(&server, "ann");
        ann.expect_echo(&"x".repeat(limit as usize - 17));
        ann.send_raw(&(limit + 1).to_be_bytes());
        ann.expect_last_error(101);
    }
}

/// Code 102: every kind in every state that does not allow it, by the protocol's table.
#[test]
fn unexpected_frames() {
    let server = with_ann();
    let message = [&TOKEN[..], b"hi"].concat();
    let kinds: [(u8, &[u8], &[&str]); 5] = [
        (0x01, b"ann", &["Authenticated"]),
        (0x02, b"open sesame", &["Identifying", "LoggingIn", "Authenticated"]),
        (0x03, b"open sesame", &["Identifying", "Registering", "Authenticated"]),
        (0x04, &TOKEN, &["Registering", "LoggingIn", "Authenticated"]),
        (0x05, &message, &["Identifying", "Registering", "LoggingIn"]),
    ];
    for (kind, payload, forbidden) in kinds {
        for state in forbidden {
            let mut visitor = in_state(&server, state);
            visitor.send_raw(&frame(kind, payload));
            visitor.expect_last_error(102);
        }
    }
}

/// Code 103: the text of a message with a wrong token reaches nobody, and the session ends.
#[test]
fn bad_token() {
    let server = Server::start(&["--mode", "chat"]);
    let mut ann = Visitor::logged_in(&server, "ann");
    let mut bob = Visitor::logged_in(&server, "bob");
    ann.expect(Said::message("", "bob joined"));
    let mut wrong = bob.token;
    wrong[15] ^= 1;
    bob.send_raw(&frame(0x05, &[&wrong[..], b"forged"].concat()));
    bob.expect_last_error(103);
    ann.expect(Said::message("", "bob left"));
    server.expect_no_session(bob.token);
    // Another session's token is as wrong as any.
    let mut eve = Visitor::logged_in(&server, "eve");
    eve.send_raw(&ann.message_frame(b"forged"));
    eve.expect_last_error(103);
}

/// protocol.md: "A frame is judged in this order": state before token and UTF-8, token before UTF-8, UTF-8 before rules.
/// Structure before state is `malformed_structure_in_every_state`.
#[test]
fn the_order_of_judging() {
    let server = with_ann();
    let expect = |state: &str, bytes: Vec<u8>, code: u16| {
        let mut visitor = in_state(&server, state);
        visitor.send_raw(&bytes);
        visitor.expect_last_error(code);
    };
    let forged = [&TOKEN[..], b"\xff"].concat();
    expect("LoggingIn", frame(0x05, &forged), 102);
    expect("Identifying", frame(0x02, b"\xff"), 102);
    expect("Registering", frame(0x03, b"\xff"), 102);
    expect("Authenticated", frame(0x01, b"\xff"), 102);
    expect("Authenticated", frame(0x05, &forged), 103);
    expect("Identifying", frame(0x01, &[0xff; 100]), 100);
    expect("Registering", frame(0x02, &[0xff; 2000]), 100);
    expect("Registering", frame(0x02, b"\xff"), 100);
}

/// issue, "Bad input": whatever bytes a stranger sends, nobody else notices.
#[test]
fn nobody_notices_anothers_fault() {
    let server = Server::start(&[]);
    let mut ann = Visitor::logged_in(&server, "ann");
    for fault in [frame(0x00, b""), vec![0; 4], vec![0xff; 100], b"GET / HTTP/1.1\r\n\r\n".to_vec()] {
        let mut stranger = Visitor::arrive(&server);
        stranger.send_raw(&fault);
        assert!(matches!(stranger.next(), Said::Error(100.., _)));
        stranger.expect_closed();
        ann.expect_echo("still here");
    }
}
