//! A store that keeps users elsewhere: what it knows is asked for, and comes later, or not at all.

use super::*;
use crate::command::{Answer, Command};
use crate::limits::STORE_REPLY;

impl World {
    /// The store answers all that it was asked.
    fn fetch(&mut self) {
        self.engine.store_mut().answer_fetches(false);
        self.engine.handle_completions(self.now);
    }

    fn fetch_in_vain(&mut self) {
        self.engine.store_mut().answer_fetches(true);
        self.engine.handle_completions(self.now);
    }

    fn knock(&mut self) -> ConnId {
        self.engine.handle_connect(([192, 0, 2, 1], 4000).into(), self.now).unwrap()
    }

    /// All that a connection has to say, in one piece.
    fn send_all(&mut self, conn: ConnId, requests: &[Request<'_>]) {
        let mut bytes = Vec::new();
        requests.iter().for_each(|request| request.encode(&mut bytes));
        self.engine.handle_bytes(conn, &mut bytes, self.now);
        self.serve(conn);
    }

    fn serve(&mut self, conn: ConnId) {
        while self.engine.read_budget(conn) == ReadBudget::Backlog {
            self.engine.handle_bytes(conn, &mut [], self.now);
        }
    }

    /// Goes on until nobody waits for anything.
    fn go_on(&mut self, conn: ConnId) {
        while self.engine.is_storing() || self.engine.is_hashing() {
            self.fetch();
            self.hash();
            self.store(Ok(()));
            self.serve(conn);
        }
    }

    fn kinds(&mut self, conn: ConnId) -> Vec<u8> {
        self.said(conn).iter().map(|body| body[0]).collect()
    }
}

fn world_elsewhere() -> World {
    let mut world = world();
    world.log_in("ann");
    world.engine.store_mut().is_elsewhere = true;
    world
}

#[test]
fn a_conversation_in_one_write_is_answered_as_by_a_store_that_knows() {
    let mut world = world_elsewhere();
    let conn = world.knock();
    world.send_all(
        conn,
        &[
            Request::Identify(b"bob"),
            Request::Register(PASSWORD),
            Request::Login(b"not the password"),
            Request::Login(PASSWORD),
            Request::Exit,
        ],
    );
    assert!(world.said(conn).is_empty(), "Hello comes first, and its name is not known");
    world.go_on(conn);
    let said = world.said(conn);
    let kinds: Vec<u8> = said.iter().map(|body| body[0]).collect();
    assert_eq!(kinds, [0x81, 0x82, 0x82, 0x8f, 0x83, 0x85]);
    assert_eq!(said[0], b"\x81\x01ann");
    assert_eq!((&said[1][1..], &said[2][1..]), (&[Wanted::Register as u8][..], &[Wanted::Login as u8][..]));
}

/// Whatever a visitor was about to do goes on as it was when a name is refused.
#[test]
fn a_refused_name_leaves_the_state_before_it() {
    let mut world = world_elsewhere();
    let conn = world.knock();
    world.send_all(conn, &[Request::Identify(b"bob")]);
    world.go_on(conn);
    world.said(conn);
    world.send_all(conn, &[Request::Identify(b"b b"), Request::Register(PASSWORD)]);
    world.go_on(conn);
    assert_eq!(world.kinds(conn), [0x8f, 0x82]);
    world.send_all(conn, &[Request::Identify(b"")]);
    world.send_all(conn, &[Request::Login(PASSWORD)]);
    world.go_on(conn);
    assert_eq!(world.kinds(conn), [0x8f, 0x83]);
}

#[test]
fn who_needs_what_cannot_be_reached_is_told_busy_and_the_others_go_on() {
    let mut world = world_elsewhere();
    let (here, token) = {
        world.engine.store_mut().is_elsewhere = false;
        let here = world.log_in("carol");
        world.engine.store_mut().is_elsewhere = true;
        here
    };
    let conn = world.knock();
    world.fetch_in_vain();
    assert_eq!(world.said(conn), [[0x81, 1]], "nobody is kept out for a greeting");
    world.send_all(conn, &[Request::Identify(b"ann")]);
    world.fetch_in_vain();
    let said = world.expect_error(conn, Code::Busy);
    assert!(said.starts_with("1 s") && said.contains("shared store"), "{said}");
    assert!(world.engine.is_closing(conn));

    let conn = world.knock();
    world.send_all(conn, &[Request::Identify(b"ann")]);
    world.fetch();
    world.serve(conn);
    world.fetch();
    world.said(conn);
    world.pass(STORE_REPLY);
    world.send_all(conn, &[Request::Login(b"a guess")]);
    world.fetch_in_vain();
    world.expect_error(conn, Code::Busy);
    assert!(!world.engine.is_hashing() && world.engine.debt([192, 0, 2, 1].into(), world.now).is_zero());

    let conn = world.knock();
    world.send_all(conn, &[Request::Identify(b"dave"), Request::Register(PASSWORD)]);
    for _ in 0..2 {
        world.fetch();
        world.serve(conn);
    }
    world.hash();
    world.said(conn);
    world.engine.store_mut().answer(Err(Failure::Away));
    world.engine.handle_completions(world.now);
    world.expect_error(conn, Code::Busy);

    world.send(here, Request::Message { token: &token, text: b"hi" });
    assert_eq!(world.kinds(here), [0x84]);
}

/// Somebody else was first at another process: as if it had been known.
#[test]
fn a_name_that_was_taken_elsewhere_is_somebody_elses() {
    for (failure, code) in [(Failure::Taken, Code::NameTaken), (Failure::LookAlike, Code::BadName)] {
        let mut world = world_elsewhere();
        let conn = world.knock();
        world.send_all(conn, &[Request::Identify(b"bob"), Request::Register(PASSWORD)]);
        for _ in 0..2 {
            world.fetch();
            world.serve(conn);
        }
        world.hash();
        assert_eq!(world.kinds(conn), [0x81, 0x82]);
        world.engine.store_mut().answer(Err(failure));
        world.engine.handle_completions(world.now);
        world.expect_error(conn, code);
        // Whoever is told that the name is taken may log in by it, and whoever is told that it is no name may choose again.
        let next =
            if code == Code::NameTaken { Request::Login(PASSWORD) } else { Request::Register(PASSWORD) };
        world.send_all(conn, &[next]);
        assert!(!world.engine.is_closing(conn));
    }
}

/// A late answer is for whoever has asked, though the slot is somebody else's by then.
#[test]
fn an_answer_that_nobody_waits_for_any_more_reaches_nobody() {
    let mut world = world_elsewhere();
    let first = world.knock();
    world.fetch();
    world.said(first);
    world.send_all(first, &[Request::Identify(b"ann")]);
    world.engine.handle_transport(first, TransportEvent::Reset, world.now);
    while world.engine.poll_command().is_some() {}
    let second = world.knock();
    assert_eq!(second.index(), first.index());
    world.fetch();
    assert_eq!(world.said(second), [b"\x81\x01ann"], "its own greeting alone");
    assert!(!world.engine.is_storing());
}

/// Who is no longer known, or not let in any more, when the password comes; not at once, but as soon as what was fetched for
/// Identify is too old.
#[test]
fn a_login_is_judged_by_what_is_kept_when_the_password_comes() {
    for is_removed in [true, false] {
        let mut world = world_elsewhere();
        let conn = world.knock();
        world.send_all(conn, &[Request::Identify(b"ann")]);
        for _ in 0..2 {
            world.fetch();
            world.serve(conn);
        }
        assert_eq!(world.said(conn)[1], [0x82, Wanted::Login as u8]);
        let ann = Name::new("ann").unwrap();
        if is_removed {
            world.engine.store_mut().users.remove(&ann);
        } else {
            world.engine.store_mut().disabled.insert(ann);
        }
        world.pass(STORE_REPLY);
        world.send_all(conn, &[Request::Login(PASSWORD)]);
        world.go_on(conn);
        world.expect_error(conn, Code::WrongPassword);
    }
}

/// A connection that has a session waits as well, when its password is to be changed.
#[test]
fn a_change_of_the_password_waits_for_the_record() {
    let mut world = world();
    let (ann, token) = world.log_in("ann");
    world.engine.store_mut().is_elsewhere = true;
    world.send_all(
        ann,
        &[
            Request::ChangePassword { token: &token, old: PASSWORD, new: b"close sesame" },
            Request::Message { token: &token, text: b"hi" },
        ],
    );
    assert_eq!(world.engine.read_budget(ann), ReadBudget::Nothing);
    world.go_on(ann);
    assert_eq!(world.kinds(ann), [0x86, 0x84]);
}

#[test]
fn a_user_is_shown_when_the_record_is_there() {
    let mut world = world_elsewhere();
    let name = Name::new("ann").unwrap();
    let shown = world.engine.handle_command(Command::ShowUser(name.clone()), world.now);
    assert!(world.engine.poll_answer(shown).is_none());
    world.fetch();
    assert!(matches!(world.engine.poll_answer(shown), Some(Answer::Hash(_))));
    let shown = world.engine.handle_command(Command::ShowUser(name), world.now);
    world.fetch_in_vain();
    let Some(Answer::Failed(reason)) = world.engine.poll_answer(shown) else { panic!("it is away") };
    assert!(reason.contains("shared store"), "{reason}");
}
