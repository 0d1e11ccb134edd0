//! A password is changed, and what may happen meanwhile.

use super::*;
use crate::auth::{Password, hash_password};
use crate::limits::{DEBT_TOLERATED, SALT_BYTES};

const NEW: &[u8] = b"close sesame";

impl World {
    fn change(&mut self, conn: ConnId, token: &[u8; 16], old: &[u8], new: &[u8]) {
        self.send(conn, Request::ChangePassword { token, old, new });
    }

    /// Another session of a name that is known, by what the server does with this password.
    fn log_in_with(&mut self, name: &str, password: &[u8]) -> ConnId {
        let conn = self.connect();
        self.send(conn, Request::Identify(name.as_bytes()));
        self.said(conn);
        self.send(conn, Request::Login(password));
        conn
    }

    fn token(&mut self, conn: ConnId) -> [u8; 16] {
        let welcome = self.said(conn).pop().unwrap();
        match Reply::decode(&welcome).unwrap() {
            Reply::Welcome { token, .. } => *token,
            other => panic!("Welcome expected, not {other:?}"),
        }
    }

    fn expect_changed(&mut self, conn: ConnId) {
        assert_eq!(self.said(conn), [[0x86]]);
    }

    fn expect_bye(&mut self, conn: ConnId) {
        assert_eq!(self.said(conn).last().unwrap()[0], 0x85);
        assert!(self.engine.is_closing(conn));
    }
}

#[test]
fn the_new_password_counts_once_it_is_stored_and_other_sessions_end() {
    let mut world = world();
    let (ann, token) = world.log_in("ann");
    let elsewhere = world.log_in_with("ann", PASSWORD);
    let lost = world.log_in_with("ann", PASSWORD);
    let lost_token = world.token(lost);
    world.engine.handle_transport(lost, TransportEvent::Reset, world.now);
    let (bob, _) = world.log_in("bob");
    world.change(ann, &token, PASSWORD, NEW);
    world.hash();
    assert!(world.said(ann).is_empty(), "it is not stored yet");
    let late = world.log_in_with("ann", PASSWORD);
    world.token(late);
    world.store(Ok(()));
    world.expect_changed(ann);
    world.expect_bye(elsewhere);
    world.expect_bye(late);
    assert!(!world.engine.is_closing(bob));
    let back = world.connect();
    world.send(back, Request::Resume(&lost_token));
    world.expect_error(back, Code::NoSuchSession);
    // The new one is recognised, the old one costs its hash and is wrong.
    let new = world.log_in_with("ann", NEW);
    assert!(!world.engine.is_hashing());
    world.token(new);
    let old = world.log_in_with("ann", PASSWORD);
    assert!(world.hash() >= ROUNDS - 1);
    world.expect_error(old, Code::WrongPassword);
    // The session that changed it goes on.
    world.send(ann, Request::Message { token: &token, text: b"hi" });
    assert_eq!(world.said(ann).len(), 1);
}

#[test]
fn a_wrong_old_password_is_charged_and_counted_as_a_wrong_login_is() {
    let mut world = world();
    let (ann, token) = world.log_in("ann");
    for code in [Code::WrongPassword, Code::WrongPassword, Code::TooManyAttempts] {
        world.change(ann, &token, b"not the password", NEW);
        assert!(world.said(ann).is_empty() && world.engine.is_hashing());
        world.hash();
        world.expect_error(ann, code);
    }
    let address = [192, 0, 2, 1].into();
    assert_eq!(world.engine.debt(address, world.now), Duration::from_secs(15));
    let ann = world.log_in_with("ann", PASSWORD);
    let token = world.token(ann);
    // A guess that the cache knows to be wrong is charged whatever follows.
    let mut bytes = Vec::new();
    Request::ChangePassword { token: &token, old: b"a guess", new: NEW }.encode(&mut bytes);
    world.engine.handle_transport(ann, TransportEvent::HalfClosed, world.now);
    world.engine.handle_bytes(ann, &mut bytes, world.now);
    assert!(world.engine.is_closing(ann));
    assert_eq!(world.engine.debt(address, world.now), DEBT_TOLERATED + Duration::from_secs(5));
    let ann = world.connect();
    world.send(ann, Request::Resume(&token));
    let token = world.token(ann);
    world.change(ann, &token, PASSWORD, NEW);
    world.expect_error(ann, Code::Throttled);
}

/// The two hashes that a password takes which the profile changes are one guess, at a change as at a login.
#[test]
fn a_password_from_before_the_profile_can_be_changed_and_is_charged_once() {
    let mut world = World::new(Config { login_cache: Duration::ZERO, ..config() }, Box::new(Echo));
    let (ann, token) = world.log_in("ann");
    let typed = "pa\u{30a}sswo\u{308}rter".as_bytes();
    let as_typed = Password::new(typed).as_typed().unwrap();
    let stored = hash_password(&as_typed, [7; SALT_BYTES], ROUNDS);
    world.engine.store_mut().users.insert(Name::new("ann").unwrap(), stored);
    let debt = |world: &World| world.engine.debt([192, 0, 2, 1].into(), world.now);
    world.change(ann, &token, "pa\u{30a}sswort".as_bytes(), NEW);
    assert!(world.hash() >= 2 * (ROUNDS - 1));
    world.expect_error(ann, Code::WrongPassword);
    assert_eq!(debt(&world), Duration::from_secs(5));
    world.change(ann, &token, typed, NEW);
    world.hash();
    world.store(Ok(()));
    world.expect_changed(ann);
    assert_eq!(debt(&world), Duration::from_secs(10));
    let new = world.log_in_with("ann", NEW);
    world.hash();
    world.token(new);
}

#[test]
fn wrong_passwords_at_the_login_count_too() {
    let mut world = world();
    world.log_in("ann");
    let ann = world.connect();
    world.send(ann, Request::Identify(b"ann"));
    for _ in 0..2 {
        world.send(ann, Request::Login(b"not the password"));
        world.hash();
    }
    world.send(ann, Request::Login(PASSWORD));
    let token = world.token(ann);
    world.change(ann, &token, b"not the password", NEW);
    world.hash();
    world.expect_error(ann, Code::TooManyAttempts);
}

#[test]
fn a_weak_new_password_costs_nothing_and_changes_nothing() {
    let mut world = world();
    let (ann, token) = world.log_in("ann");
    for (old, new) in
        [(PASSWORD, &b"short"[..]), (PASSWORD, b""), (b"a guess", b"short"), (PASSWORD, &[b'x'; 1_025])]
    {
        world.change(ann, &token, old, new);
        assert!(!world.engine.is_hashing());
        world.expect_error(ann, Code::WeakPassword);
    }
    assert_eq!(world.engine.debt([192, 0, 2, 1].into(), world.now), Duration::ZERO);
    world.change(ann, &[1; 16], PASSWORD, NEW);
    world.expect_error(ann, Code::BadToken);
}

#[test]
fn what_cannot_be_stored_leaves_the_old_password_and_the_sessions() {
    let mut world = world();
    let (ann, token) = world.log_in("ann");
    let elsewhere = world.log_in_with("ann", PASSWORD);
    world.change(ann, &token, PASSWORD, NEW);
    world.hash();
    world.store(Err("full".to_owned()));
    world.expect_error(ann, Code::StorageFailed);
    assert!(!world.engine.is_closing(elsewhere));
    let old = world.log_in_with("ann", PASSWORD);
    world.token(old);
    let new = world.log_in_with("ann", NEW);
    world.hash();
    world.expect_error(new, Code::WrongPassword);
    // And it may be tried again.
    world.change(ann, &token, PASSWORD, NEW);
    world.hash();
    world.store(Ok(()));
    world.expect_changed(ann);
}

#[test]
fn frames_behind_wait_and_time_spent_is_nobodys_idleness() {
    let mut world =
        World::new(Config { idle_timeout: Some(Duration::from_secs(5)), ..config() }, Box::new(Echo));
    let (ann, token) = world.log_in("ann");
    let mut bytes = Vec::new();
    Request::ChangePassword { token: &token, old: PASSWORD, new: NEW }.encode(&mut bytes);
    Request::Message { token: &token, text: b"hi" }.encode(&mut bytes);
    Request::Exit.encode(&mut bytes);
    world.engine.handle_bytes(ann, &mut bytes, world.now);
    assert_eq!(world.engine.read_budget(ann), ReadBudget::Nothing);
    world.pass(Duration::from_secs(50));
    world.hash();
    world.pass(Duration::from_secs(50));
    assert!(world.said(ann).is_empty());
    world.store(Ok(()));
    assert_eq!(world.engine.poll_unblocked(), Some(ann));
    world.engine.handle_bytes(ann, &mut [], world.now);
    let kinds: Vec<u8> = world.said(ann).iter().map(|body| body[0]).collect();
    assert_eq!(kinds, [0x86, 0x84, 0x85]);
}

#[test]
fn of_two_changes_at_once_one_counts_and_the_other_session_ends() {
    let mut world = world();
    let (ann, token) = world.log_in("ann");
    let other = world.log_in_with("ann", PASSWORD);
    let other_token = world.token(other);
    world.change(ann, &token, PASSWORD, NEW);
    world.change(other, &other_token, PASSWORD, b"open barley");
    world.hash();
    world.store(Ok(()));
    let (winner, loser) = if world.engine.is_closing(ann) { (other, ann) } else { (ann, other) };
    world.expect_changed(winner);
    world.expect_bye(loser);
    assert_eq!(world.engine.store_mut().waiting.len(), 0, "the other is not stored");
    let counts = if winner == ann { NEW } else { b"open barley" };
    let again = world.log_in_with("ann", counts);
    world.token(again);
    assert!(world.engine.admission.changing.is_empty() && world.engine.admission.change_jobs.is_empty());
}

#[test]
fn if_the_first_of_two_changes_fails_the_second_has_its_turn() {
    let mut world = world();
    let (ann, token) = world.log_in("ann");
    let other = world.log_in_with("ann", PASSWORD);
    let other_token = world.token(other);
    world.change(ann, &token, PASSWORD, NEW);
    world.change(other, &other_token, PASSWORD, NEW);
    world.hash();
    world.store(Err("full".to_owned()));
    world.store(Ok(()));
    let codes: Vec<u8> = [ann, other].into_iter().map(|conn| world.said(conn)[0][0]).collect();
    assert!(codes.contains(&0x8f) && codes.contains(&0x86), "{codes:02x?}");
}

#[test]
fn a_login_that_was_hashed_meanwhile_is_judged_by_the_record_that_counts() {
    let mut world = World::new(Config { login_cache: Duration::ZERO, ..config() }, Box::new(Echo));
    let (ann, token) = world.log_in("ann");
    world.change(ann, &token, PASSWORD, NEW);
    world.hash();
    let with_old = world.log_in_with("ann", PASSWORD);
    world.engine.handle_hashing(10, world.now);
    world.store(Ok(()));
    world.expect_changed(ann);
    world.hash();
    world.expect_error(with_old, Code::WrongPassword);
}

#[test]
fn a_rehash_does_not_bring_the_old_password_back() {
    let mut world = world();
    let (ann, token) = world.log_in("ann");
    world.engine.registry.config.hash_rounds = ROUNDS * 2;
    world.pass(Duration::from_secs(601));
    // The login's rehash waits behind the change's new hash.
    world.change(ann, &token, PASSWORD, NEW);
    let again = world.log_in_with("ann", PASSWORD);
    world.hash();
    world.token(again);
    world.store(Ok(()));
    world.expect_changed(ann);
    world.hash();
    world.store(Ok(()));
    let new = world.log_in_with("ann", NEW);
    world.hash();
    world.token(new);
    let old = world.log_in_with("ann", PASSWORD);
    world.hash();
    world.expect_error(old, Code::WrongPassword);
    assert_eq!(world.engine.statistics().rehashes, 0);
}

#[test]
fn whoever_leaves_takes_the_hash_along_but_not_what_is_at_the_store() {
    for leaves in [
        |world: &mut World, ann: ConnId| world.engine.handle_transport(ann, TransportEvent::Reset, world.now),
        |world: &mut World, ann: ConnId| {
            world.engine.handle_transport(ann, TransportEvent::HalfClosed, world.now)
        },
        |world: &mut World, ann: ConnId| {
            world.engine.handle_transport(ann, TransportEvent::WriteClosed, world.now)
        },
        |world: &mut World, _: ConnId| world.engine.handle_console_line("/kick ann", world.now),
    ] {
        let mut world = world();
        let (ann, token) = world.log_in("ann");
        world.change(ann, &token, PASSWORD, NEW);
        leaves(&mut world, ann);
        assert!(!world.engine.is_hashing(), "nobody waits for it");
        assert!(world.engine.admission.change_jobs.is_empty());
        let ann = world.log_in_with("ann", PASSWORD);
        let token = world.token(ann);
        world.change(ann, &token, PASSWORD, NEW);
        world.hash();
        leaves(&mut world, ann);
        world.store(Ok(()));
        let new = world.log_in_with("ann", NEW);
        world.token(new);
        assert!(world.engine.admission.changing.is_empty());
    }
}

/// The session goes on in another connection, and does not end with the others.
#[test]
fn a_session_that_was_taken_over_meanwhile_stays() {
    let mut world = world();
    let (ann, token) = world.log_in("ann");
    world.change(ann, &token, PASSWORD, NEW);
    world.hash();
    let there = world.connect();
    world.send(there, Request::Resume(&token));
    world.expect_bye(ann);
    let token = world.token(there);
    // This one is checked against the record that counts when its turn comes.
    world.change(there, &token, PASSWORD, b"open barley");
    world.hash();
    world.store(Ok(()));
    assert!(!world.engine.is_closing(there));
    world.hash();
    world.expect_error(there, Code::WrongPassword);
    let new = world.log_in_with("ann", NEW);
    world.token(new);
}
