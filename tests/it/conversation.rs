//! Rows 1 to 3, 8 and 9 of the design: who says what when, to the byte.

use crate::support::{FOREVER_ROUNDS, Folder, PASSWORD, Said, Server, Setup, Visitor, frame};
use porter::protocol::Wanted;
use std::io::Read;
use std::rc::Rc;

fn with_ann() -> Server {
    Setup::new(&[]).folder(Rc::new(Folder::with_user("ann", PASSWORD, 1000))).start()
}

/// protocol.md, "Example": byte for byte, except for the greeting's words, which are the server's choice.
#[test]
fn the_example_of_the_protocol() {
    let server = with_ann();
    let mut visitor = Visitor::connect(&server);
    let exactly = |visitor: &mut Visitor, expected: &[u8]| {
        let mut bytes = vec![0; expected.len()];
        visitor.stream.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes, expected);
    };
    exactly(&mut visitor, b"\x00\x00\x00\x02\x81\x01");
    visitor.send_raw(b"\x00\x00\x00\x04\x01ann");
    exactly(&mut visitor, b"\x00\x00\x00\x02\x82\x01");
    visitor.send_raw(b"\x00\x00\x00\x0c\x03open sesame");
    let Said::Welcome(token, greeting) = visitor.next() else { panic!("no Welcome") };
    assert!(greeting.starts_with("Hello"), "{greeting}");
    visitor.send_raw(&[b"\x00\x00\x00\x13\x05", &token[..], b"hi"].concat());
    exactly(&mut visitor, b"\x00\x00\x00\x04\x84\x00hi");
    visitor.send_raw(b"\x00\x00\x00\x01\x06");
    exactly(&mut visitor, b"\x00\x00\x00\x04\x85bye");
    visitor.expect_closed();
}

/// protocol.md, "Conversation": a new user chooses a password, is asked to log in with it, and is known from then on.
#[test]
fn a_new_user_registers_and_then_logs_in() {
    let server = Server::start(&[]);
    let mut visitor = Visitor::introduced(&server, "ann", Wanted::Register);
    visitor.register(PASSWORD);
    visitor.expect(Said::Wanted(Wanted::Login));
    visitor.login(PASSWORD);
    visitor.expect_welcome();
    visitor.expect_echo("first");
    Visitor::introduced(&server, "ann", Wanted::Login);
}

/// protocol.md, "Conversation": the next frame may be sent before the last is answered.
#[test]
fn a_whole_login_in_one_write() {
    let server = Server::start(&[]);
    let (identify, login) = (frame(0x01, b"ann"), frame(0x03, PASSWORD.as_bytes()));
    let mut new = Visitor::arrive(&server);
    new.send_raw(&[&identify[..], &frame(0x02, PASSWORD.as_bytes()), &login].concat());
    new.expect(Said::Wanted(Wanted::Register));
    new.expect(Said::Wanted(Wanted::Login));
    new.expect_welcome();
    let messages: Vec<u8> = (0..300).flat_map(|n| new.message_frame(format!("{n}").as_bytes())).collect();
    new.send_raw(&messages);
    for n in 0..300 {
        new.expect(Said::message("", &n.to_string()));
    }
    // Even before Hello.
    let mut known = Visitor::connect(&server);
    known.send_raw(&[identify, login].concat());
    known.expect_hello();
    known.expect(Said::Wanted(Wanted::Login));
    known.expect_welcome();
}

/// Row 9: frames are found in the bytes, whatever portions they come in.
#[test]
fn one_byte_at_a_time() {
    let server = with_ann();
    let mut visitor = Visitor::arrive(&server);
    let slowly = |visitor: &mut Visitor, bytes: Vec<u8>| {
        bytes.iter().for_each(|byte| visitor.send_raw(&[*byte]));
    };
    slowly(&mut visitor, frame(0x01, b"ann"));
    visitor.expect(Said::Wanted(Wanted::Login));
    slowly(&mut visitor, frame(0x03, PASSWORD.as_bytes()));
    visitor.expect_welcome();
    let message = visitor.message_frame("naïve".as_bytes());
    slowly(&mut visitor, message);
    visitor.expect(Said::message("", "naïve"));
}

/// Echo, whatever the text: empty, long up to the limit, many scripts, control characters.
#[test]
fn echo_gives_every_text_back() {
    let server = Server::start(&[]);
    let mut visitor = Visitor::logged_in(&server, "ann");
    let longest = "x".repeat(65_536 - 17);
    for text in ["", " ", "@bob hi", "李雷 \u{1f600}", "\0\r\n\u{1b}[2J", &longest] {
        visitor.expect_echo(text);
    }
}

/// protocol.md, "Client to server": Identify is allowed until somebody is logged in, and the last one counts.
#[test]
fn identify_again_changes_the_name() {
    let server = with_ann();
    let mut visitor = Visitor::introduced(&server, "ann", Wanted::Login);
    visitor.identify("bob");
    visitor.expect(Said::Wanted(Wanted::Register));
    visitor.identify("cid");
    visitor.expect(Said::Wanted(Wanted::Register));
    visitor.register("a password of cid's");
    visitor.expect(Said::Wanted(Wanted::Login));
    visitor.identify("ann");
    visitor.expect(Said::Wanted(Wanted::Login));
    visitor.login(PASSWORD);
    visitor.expect_welcome();
    Visitor::introduced(&server, "bob", Wanted::Register);
    Visitor::introduced(&server, "cid", Wanted::Login);
}

/// protocol.md, "Names": what is a name, and that names are compared byte for byte.
#[test]
fn names_of_any_script_are_their_own() {
    let server = with_ann();
    let (longest, widest) = ("x".repeat(32), "é".repeat(32));
    for name in ["Anne", "a", "7", "a_b-c.d", "李雷", "Ægir", &longest, &widest] {
        Visitor::introduced(&server, name, Wanted::Register);
    }
    Visitor::introduced(&server, "ann", Wanted::Login);
}

/// Row 2: Exit is allowed in any state, answered by Bye, and then the server closes.
#[test]
fn exit_in_every_state() {
    let server = with_ann();
    let identifying = Visitor::arrive(&server);
    let registering = Visitor::introduced(&server, "bob", Wanted::Register);
    let logging_in = Visitor::introduced(&server, "ann", Wanted::Login);
    let authenticated = Visitor::logged_in(&server, "ann");
    for mut visitor in [identifying, registering, logging_in, authenticated] {
        visitor.exit();
        visitor.expect_bye();
    }
}

/// Row 3: many at once and one after another, each with their own answers; one who goes disturbs nobody.
#[test]
fn several_at_once_and_one_after_another() {
    let server = Server::start(&[]);
    let mut visitors: Vec<_> = (0..20).map(|n| Visitor::logged_in(&server, &format!("user{n}"))).collect();
    for round in 0..5 {
        visitors.iter_mut().for_each(|visitor| {
            let text = format!("{round} of {:?}", visitor.token);
            visitor.message(&text);
        });
        for visitor in &mut visitors {
            visitor.expect(Said::message("", &format!("{round} of {:?}", visitor.token)));
        }
        visitors.pop().unwrap().reset();
        drop(visitors.pop());
    }
    for _ in 0..20 {
        let mut visitor = Visitor::logged_in(&server, "ann");
        visitor.expect_echo("again");
        visitor.exit();
        visitor.expect_bye();
    }
}

/// protocol.md: frames that arrived whole before the client shut its sending side are handled and answered.
#[test]
fn a_half_closed_client_gets_all_its_answers() {
    let server = Server::start(&[]);
    let mut ann = Visitor::logged_in(&server, "ann");
    let messages: Vec<u8> = (0..200).flat_map(|n| ann.message_frame(format!("{n}").as_bytes())).collect();
    ann.send_raw(&[messages, frame(0x06, &[])].concat());
    ann.finish_sending();
    for n in 0..200 {
        ann.expect(Said::message("", &n.to_string()));
    }
    ann.expect_bye();

    // A login that is recognised needs no hash, so it is handled too.
    let mut again = Visitor::arrive(&server);
    let login = [frame(0x01, b"ann"), frame(0x03, PASSWORD.as_bytes()), frame(0x06, &[])].concat();
    again.send_raw(&login);
    again.finish_sending();
    again.expect(Said::Wanted(Wanted::Login));
    again.expect_welcome();
    again.expect_bye();

    // Without Exit the server closes as well, once all is answered.
    let mut quiet = Visitor::arrive(&server);
    quiet.send_raw(&[&frame(0x01, b"ann")[..], &[0, 0]].concat());
    quiet.finish_sending();
    quiet.expect(Said::Wanted(Wanted::Login));
    quiet.expect_closed();
}

/// protocol.md: of a half-closed client's frames, one that needs a hash and all after it are dropped.
#[test]
fn a_half_closed_client_is_not_hashed_for() {
    let server = Server::start(&["--hash-rounds", FOREVER_ROUNDS]);
    let mut visitor = Visitor::arrive(&server);
    visitor.send_raw(&[frame(0x01, b"ann"), frame(0x02, PASSWORD.as_bytes()), frame(0x06, &[])].concat());
    visitor.finish_sending();
    visitor.expect(Said::Wanted(Wanted::Register));
    visitor.expect_closed();
    Visitor::introduced(&server, "ann", Wanted::Register);
}

/// protocol.md: frames that come after the deciding one are ignored.
/// A registration is stored when its time has come, and not when the log or another visitor wakes the server.
#[test]
fn alone_with_nothing_logged() {
    let server = Server::start(&["--log-level", "error", "--login-timeout", "600"]);
    Visitor::logged_in(&server, "ann").expect_echo("hi");
}

#[test]
fn what_follows_exit_is_ignored() {
    let server = Server::start(&[]);
    let mut ann = Visitor::logged_in(&server, "ann");
    let bytes = [frame(0x06, &[]), ann.message_frame(b"late"), frame(0x99, b"?")].concat();
    ann.send_raw(&bytes);
    ann.expect_bye();
}
