//! What many do at once, and what comes behind what they wrote.

use super::*;
use crate::auth::SessionId;
use crate::handler::{Context, Speaker};

/// Each gets the others' texts by reference, not in a copy of the chunk: that would be memory by the square of a crowd.
#[test]
fn writers_get_the_texts_of_others_by_reference() {
    let mut world = World::new(Config { chat_rate: 0, ..config() }, Box::new(Chat));
    let writers: Vec<_> = (0..40).map(|number| world.log_in(&format!("writer{number}"))).collect();
    world.write_all();
    let text = vec![b'x'; 1_000];
    for (conn, token) in &writers {
        world.send(*conn, Request::Message { token, text: &text });
    }
    while world.engine.is_working() {
        world.engine.handle_work(1_024, world.now);
    }
    let waiting = world.engine.output(writers[7].0).to_vec();
    assert!(waiting.len() > 39 * 1_000, "all but its own: {}", waiting.len());
    assert!(!waiting.windows(8).any(|bytes| bytes == b"writer7x"), "not its own");
    let held = world.engine.registry.held_output_bytes();
    assert!(held < 10 * 40 * 1_000, "40 readers of 40 texts of 1 kB hold {held} bytes");
}

/// What is wrong behind a refusal does not keep the refusal from being said.
#[test]
fn a_refusal_is_said_before_the_error_that_closes() {
    let mut world = World::new(config(), Box::new(Chat));
    let (ann, token) = world.log_in("ann");
    world.log_in("bob");
    world.write_all();
    let mut bytes = Vec::new();
    for text in [b"hi".as_slice(), b"@nobody psst"] {
        Request::Message { token: &token, text }.encode(&mut bytes);
    }
    bytes.extend([0; 4]);
    world.engine.handle_bytes(ann, &mut bytes, world.now);
    world.unread.remove(&ann);
    world.write_all();
    while world.engine.read_budget(ann) == ReadBudget::Backlog {
        world.engine.handle_bytes(ann, &mut [], world.now);
    }
    let said = world.said(ann);
    let codes: Vec<u8> = said.iter().filter(|body| body[0] == 0x8f).map(|body| body[2]).collect();
    assert_eq!(codes, [Code::NoSuchRecipient.number() as u8, Code::Malformed.number() as u8]);
}

/// One that waited for a registration to be stored, and left, is not waited for.
#[test]
fn a_login_that_waits_for_the_store_is_forgotten_when_it_leaves() {
    let mut world = world();
    let new = world.connect();
    world.send(new, Request::Identify(b"ann"));
    world.send(new, Request::Register(b"open sesame"));
    world.hash();
    let early = world.connect();
    world.send(early, Request::Identify(b"ann"));
    world.send(early, Request::Login(b"open sesame"));
    assert_eq!(world.engine.statistics().waiting_logins, 1);
    world.engine.handle_transport(early, TransportEvent::Reset, world.now);
    assert_eq!(world.engine.statistics().waiting_logins, 0);
    world.store(Ok(()));
}

/// Tells all, then one, then ends it.
struct Game;

impl Handler for Game {
    fn message(&mut self, from: Speaker<'_>, text: &str, context: &mut dyn Context) {
        let session: SessionId = from.session;
        context.send_to_others(None, None, text);
        context.send(session, None, "you lost");
        context.end(session, "the game is over");
    }
}

#[test]
fn a_handlers_end_comes_behind_what_it_sent() {
    let mut world = World::new(config(), Box::new(Game));
    let (ann, token) = world.log_in("ann");
    world.write_all();
    world.unread.remove(&ann);
    world.send(ann, Request::Message { token: &token, text: b"checkmate" });
    let said = world.said(ann);
    assert_eq!(said, [b"\x84\0checkmate".as_slice(), b"\x84\0you lost", b"\x85the game is over"]);
}

/// A user from before the rules for names is addressed by the name as it is.
#[test]
fn a_name_from_before_the_rules_is_spoken_to_under_its_own_spelling() {
    let mut world = World::new(config(), Box::new(Chat));
    let (bob, token) = world.log_in("bob");
    let bobs = world.engine.store_mut().users.values().next().unwrap().clone();
    world.engine.store_mut().users.insert(Name::stored("\u{24b6}nn").unwrap(), bobs);
    let old = world.connect();
    world.send(old, Request::Identify("\u{24b6}nn".as_bytes()));
    world.send(old, Request::Login(PASSWORD));
    world.hash();
    world.said(old);
    let text = "@\u{24b6}nn hi";
    world.send(bob, Request::Message { token: &token, text: text.as_bytes() });
    let said = world.said(old);
    assert!(
        matches!(Reply::decode(&said[0]), Ok(Reply::Message { sender: "bob", text: told }) if told == text)
    );
}

/// The old spelling of a user who has it, the one that the rules make for everybody else.
#[test]
fn names_in_commands_are_meant_as_those_of_clients() {
    use crate::command::{Command, Line};
    let mut world = world();
    world.log_in("\u{e5}ke");
    let ake = world.engine.store_mut().users.values().next().unwrap().clone();
    let old = Name::stored("\u{24b6}nn").unwrap();
    world.engine.store_mut().users.insert(old.clone(), ake);
    for (typed, meant) in [("a\u{30a}ke", Name::new("\u{e5}ke").unwrap()), (old.as_str(), old.clone())] {
        let line = world.engine.parse_line(&format!("users disable {typed}"));
        assert_eq!(line, Ok(Line::Command(Command::DisableUser(meant))));
    }
}
