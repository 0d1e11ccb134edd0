//! Sessions that other servers know of: what the directory is told when an answer of it comes late.

use super::slow_store::Told;
use super::*;
use crate::auth::SessionId;
use crate::store::{EndReason, EntryId, News, Resumed};

const ENTRY: EntryId = EntryId([7; 16]);

struct Shared {
    world: World,
    conn: ConnId,
    session: SessionId,
    ticket: Ticket,
}

impl Shared {
    /// ann has a session, and another connection asks for it.
    fn resuming() -> Shared {
        let mut world = world();
        let (ann, token) = world.log_in("ann");
        let session = world.engine.registry.sessions.resumable(&token).unwrap();
        world.engine.registry.is_shared = true;
        world.engine.store_mut().told = Some(Told { here: Some(session), ..Told::default() });
        let conn = world.connect();
        world.send(conn, Request::Resume(&token));
        let ticket = world.directory().resumes.pop().unwrap();
        world.said(ann);
        Shared { world, conn, session, ticket }
    }

    fn told_that_it_has_ended(&mut self) {
        self.world.directory().news.push(News::Ended(self.session, EndReason::Kicked));
        self.world.engine.handle_completions(self.world.now);
        assert!(self.world.engine.registry.sessions.session(self.session).is_none());
    }

    /// The directory found the session before anything became of it.
    fn answer(&mut self) {
        let name = Name::new("ann").unwrap();
        let found = Found::Resumed(Some(Resumed { entry: ENTRY, name }));
        self.world.engine.store_mut().fetched.push(Fetched { ticket: self.ticket, answer: Some(found) });
        self.world.engine.handle_completions(self.world.now);
    }
}

impl World {
    fn directory(&mut self) -> &mut Told {
        self.engine.store_mut().told.as_mut().unwrap()
    }
}

#[test]
fn a_session_that_ended_while_it_was_asked_for_is_given_back() {
    let mut shared = Shared::resuming();
    shared.told_that_it_has_ended();
    shared.answer();
    assert_eq!(shared.world.directory().carried, [(ENTRY, None)]);
    shared.world.expect_error(shared.conn, Code::NoSuchSession);
}

#[test]
fn a_session_that_ended_while_its_asker_went_is_given_back() {
    let mut shared = Shared::resuming();
    shared.told_that_it_has_ended();
    shared.world.engine.handle_transport(shared.conn, TransportEvent::Reset, shared.world.now);
    shared.answer();
    assert_eq!(shared.world.directory().carried, [(ENTRY, None)]);
    assert_eq!(shared.world.directory().lost, []);
    assert!(!shared.world.engine.registry.sessions.has_any(&Name::new("ann").unwrap()));
}

/// The token may have been lost on the way: the session can be resumed once more.
#[test]
fn a_session_whose_asker_has_gone_waits_for_the_next() {
    let mut shared = Shared::resuming();
    shared.world.engine.handle_transport(shared.conn, TransportEvent::Reset, shared.world.now);
    shared.answer();
    let session = shared.session;
    assert_eq!(shared.world.directory().carried, [(ENTRY, Some(session))]);
    assert_eq!(shared.world.directory().lost, [session]);
    assert!(shared.world.engine.registry.sessions.session(session).is_some());
}

/// The story: the end of a session was published before what it had said in the same packet: at other servers it had left
/// first, and spoke then.
#[test]
fn what_a_session_has_said_is_published_before_its_end() {
    let mut world = World::new(config(), Box::new(Chat));
    let (ann, token) = world.log_in("ann");
    world.engine.registry.is_shared = true;
    world.engine.registry.shares_room = true;
    let bob = Name::new("bob").unwrap();
    let present = News::Present { names: vec![bob.clone()], online: vec![bob] };
    world.engine.store_mut().told = Some(Told { news: vec![present], ..Told::default() });
    world.engine.handle_completions(world.now);
    let mut bytes = Vec::new();
    Request::Message { token: &token, text: b"@bob bye" }.encode(&mut bytes);
    Request::Exit.encode(&mut bytes);
    world.engine.handle_bytes(ann, &mut bytes, world.now);
    assert_eq!(world.directory().published, ["say", "end"]);
}
