//! What a reload of the store means for those who are here, and for those on their way.

use super::*;
use crate::auth::{Password, hash_password};

/// A record of a password, at some cost.
fn record(password: &[u8], rounds: u32) -> PasswordHash {
    hash_password(&Password::new(password), [7; 16], rounds)
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// A world whose store has ann with this record.
fn world_with_ann(record: PasswordHash) -> World {
    let mut world = world();
    world.engine.store_mut().users.insert(name("ann"), record);
    world
}

/// The store's file has another record of ann now, and is reloaded.
fn change_ann(world: &mut World, record: PasswordHash) {
    let store = world.engine.store_mut();
    let mut users = store.users.clone();
    users.insert(name("ann"), record);
    store.changed = Some(users);
    world.engine.handle_reload(world.now);
}

/// Asks to be let in; whether that took a hash.
fn log_in_again(world: &mut World, name: &str, password: &[u8]) -> (ConnId, bool) {
    let conn = world.connect();
    world.send(conn, Request::Identify(name.as_bytes()));
    world.send(conn, Request::Login(password));
    (conn, world.hash() > 0)
}

#[test]
fn a_password_is_remembered_only_as_long_as_its_record_is_there() {
    let mut world = world();
    let (ann, token) = world.log_in("ann");
    world.log_in("bob");
    change_ann(&mut world, record(b"another password", ROUNDS));
    assert!(!log_in_again(&mut world, "bob", PASSWORD).1, "bob's is as it was");
    let (conn, hashed) = log_in_again(&mut world, "ann", PASSWORD);
    assert!(hashed);
    assert!(world.said(conn).iter().any(|body| body.starts_with(&[
        0x8f,
        0,
        Code::WrongPassword.number() as u8
    ])));
    let (conn, _) = log_in_again(&mut world, "ann", b"another password");
    assert_eq!(world.said(conn).pop().unwrap()[0], 0x83);
    world.send(ann, Request::Message { token: &token, text: b"still here" });
    assert_eq!(world.said(ann).len(), 1);
}

/// The rehash of a password that is no longer the right one would put it back.
#[test]
fn a_new_hash_of_an_old_password_does_not_overwrite_a_new_one() {
    for reloaded_while_logging_in in [true, false] {
        let mut world = world_with_ann(record(PASSWORD, ROUNDS / 2));
        let conn = world.connect();
        world.send(conn, Request::Identify(b"ann"));
        world.send(conn, Request::Login(PASSWORD));
        if !reloaded_while_logging_in {
            world.engine.handle_hashing(ROUNDS / 2 + 10, world.now);
            assert!(world.engine.is_hashing(), "the new hash is under way");
        }
        change_ann(&mut world, record(b"another password", ROUNDS));
        world.hash();
        assert!(world.engine.store_mut().waiting.is_empty());
        assert_eq!(world.engine.statistics().rehashes, 0);
        let (conn, _) = log_in_again(&mut world, "ann", b"another password");
        assert_eq!(world.said(conn).pop().unwrap()[0], 0x83);
    }
}

/// Whoever was removed or disabled in the files by hand and has lost the connection does not come back by a token, and whoever
/// takes a removed name is nobody's twin.
#[test]
fn who_is_gone_or_disabled_resumes_nothing() {
    let mut world = world();
    let ann = name("ann");
    for is_removed in [false, true] {
        let (conn, token) = if is_removed { world.log_in_to_known("ann") } else { world.log_in("ann") };
        world.engine.handle_transport(conn, TransportEvent::Reset, world.now);
        let kept = world.engine.store_mut().users.clone();
        if is_removed {
            world.engine.store_mut().changed = Some(HashMap::new());
        } else {
            world.engine.store_mut().disabled.insert(ann.clone());
        }
        world.engine.handle_reload(world.now);
        let again = world.connect();
        world.send(again, Request::Resume(&token));
        world.expect_error(again, Code::NoSuchSession);
        world.engine.store_mut().disabled.clear();
        world.engine.store_mut().users = kept;
    }
    let (old, _) = world.log_in_to_known("ann");
    world.engine.store_mut().changed = Some(HashMap::new());
    world.engine.handle_reload(world.now);
    world.said(old);
    world.log_in("ann");
    assert_eq!(world.said(old)[0][0], 0x85, "whoever had the name before is told Bye");
}

impl World {
    fn log_in_to_known(&mut self, name: &str) -> (ConnId, [u8; 16]) {
        let conn = self.connect();
        self.send(conn, Request::Identify(name.as_bytes()));
        self.send(conn, Request::Login(PASSWORD));
        self.hash();
        match Reply::decode(&self.said(conn).pop().unwrap()).unwrap() {
            Reply::Welcome { token, .. } => (conn, *token),
            other => panic!("Welcome expected, not {other:?}"),
        }
    }
}
