//! A room in which more is said than is handed out: who waits for it, and for how long.

use super::*;
use crate::auth::SessionId;
use crate::handler::{Context, Speaker};
use crate::limits::{FAN_OUT_QUEUE_BYTES, STOP_TEXTS};

/// A chat in which `names` are, each once, and so much was said by the first that nothing more for all is handled.
fn full<const NAMES: usize>(names: [&str; NAMES]) -> (World, [(ConnId, [u8; 16]); NAMES]) {
    let mut world = World::new(Config { chat_rate: 0, ..config() }, Box::new(Chat));
    let members = names.map(|name| world.log_in(name));
    world.write_all();
    world.unread.clear();
    let text = vec![b'x'; 60_000];
    while world.engine.registry.fan_out.queued_bytes() < FAN_OUT_QUEUE_BYTES {
        world.send(members[0].0, Request::Message { token: &members[0].1, text: &text });
    }
    (world, members)
}

impl World {
    /// What waits for a connection, by the kinds of the frames.
    fn kinds_waiting(&self, conn: ConnId) -> Vec<u8> {
        let bytes = self.engine.output(conn).to_vec();
        let mut stream = bytes.as_slice();
        std::iter::from_fn(|| stream.read_frame(u32::MAX).unwrap()).map(|body| body[0]).collect()
    }

    fn several(&mut self, (conn, token): (ConnId, [u8; 16]), texts: &[&str]) {
        let mut bytes = Vec::new();
        for text in texts {
            Request::Message { token: &token, text: text.as_bytes() }.encode(&mut bytes);
        }
        self.engine.handle_bytes(conn, &mut bytes, self.now);
    }

    /// Hands out and writes all, with everybody served who can be.
    fn exchange_all(&mut self, members: &[(ConnId, [u8; 16])]) {
        loop {
            self.write_all();
            let has_frames =
                |(conn, _): &&(ConnId, [u8; 16])| self.engine.read_budget(*conn) == ReadBudget::Backlog;
            let Some((conn, _)) = members.iter().find(has_frames) else { return };
            self.engine.handle_bytes(*conn, &mut [], self.now);
        }
    }
}

/// The story: with much to be handed out nobody's frames were handled, and a login, a whisper or an Exit waited for what
/// it could add nothing to.
#[test]
fn only_what_is_for_many_waits_for_a_full_room() {
    let (mut world, [ann, bob, cid, dan, eve]) = full(["ann", "bob", "cid", "dan", "eve"]);
    world.several(bob, &["@dan psst"]);
    assert_eq!(world.kinds_waiting(dan.0), [0x84], "a whisper");
    world.send(cid.0, Request::Who { token: &cid.1 });
    assert_eq!(world.kinds_waiting(cid.0), [0x87]);
    let stranger = world.engine.handle_connect(([192, 0, 2, 1], 4000).into(), world.now).unwrap();
    world.send(stranger, Request::Identify(b"dan"));
    world.send(stranger, Request::Login(PASSWORD));
    assert_eq!(world.kinds_waiting(stranger).last(), Some(&0x83), "a login");
    world.several(cid, &["to all", "@dan behind it"]);
    world.send(cid.0, Request::Who { token: &cid.1 });
    assert_eq!(world.kinds_waiting(dan.0).len(), 1, "what is behind a text for all waits with it");
    assert_eq!(world.kinds_waiting(cid.0).len(), 1);
    assert_eq!(world.engine.read_budget(cid.0), ReadBudget::Backlog);
    world.send(eve.0, Request::Exit);
    assert!(world.engine.is_closing(eve.0), "an Exit");
    world.unread.clear();
    world.exchange_all(&[ann, bob, cid, dan]);
    let heard: Vec<Vec<u8>> = world.said(dan.0);
    let place = |text: &str| heard.iter().position(|body| body.ends_with(text.as_bytes()));
    assert!(place("to all").is_some() && place("to all") < place("@dan behind it"), "in order");
}

/// A whisper to a crowd is handed out as what is for all is, so it waits as well. And what adds little is bounded, too.
#[test]
fn a_whisper_to_a_crowd_waits_for_a_full_room() {
    let mut world = World::new(Config { chat_rate: 0, penalty: Duration::ZERO, ..config() }, Box::new(Chat));
    let members = ["ann", "bob"].map(|name| world.log_in(name));
    for _ in 0..40 {
        let conn = world.engine.handle_connect(([192, 0, 2, 1], 4000).into(), world.now).unwrap();
        world.send(conn, Request::Identify(b"ann"));
        world.send(conn, Request::Login(PASSWORD));
    }
    world.write_all();
    let text = "x".repeat(60_000);
    while world.engine.registry.fan_out.queued_bytes() < FAN_OUT_QUEUE_BYTES {
        world.several(members[0], &[&text]);
    }
    let queued = world.engine.registry.fan_out.queued_bytes();
    world.several(members[1], &["@ann and all of you"]);
    assert_eq!(world.engine.registry.fan_out.queued_bytes(), queued);
    assert_eq!(world.engine.read_budget(members[1].0), ReadBudget::Backlog);
}

/// The story: Bye waited until all that was on its way was written, which for a full room takes longer than a stop may.
#[test]
fn a_stop_says_bye_though_much_is_on_its_way() {
    let (mut world, members) = full(["ann", "bob", "cid"]);
    world.engine.handle_shutdown(world.now);
    world.engine.handle_work(2, world.now);
    assert!(members.iter().all(|(conn, _)| !world.engine.is_closing(*conn)));
    world.now = world.now + STOP_TEXTS;
    world.engine.handle_work(2, world.now);
    for (conn, _) in members {
        assert!(world.engine.is_closing(conn));
        assert_eq!(world.kinds_waiting(conn).last(), Some(&0x85));
    }
    assert_eq!(world.engine.registry.fan_out.queued_bytes(), 0);
    assert!(!world.engine.is_working());
}

/// Who has no session has nothing handed out: it is refused at once, however full the room is.
#[test]
fn a_message_without_a_session_does_not_wait_for_a_full_room() {
    let (mut world, _) = full(["ann"]);
    let stranger = world.engine.handle_connect(([192, 0, 2, 1], 4000).into(), world.now).unwrap();
    world.send(stranger, Request::Message { token: &[0; 16], text: b"hi" });
    assert_eq!(world.kinds_waiting(stranger), [0x81, 0x8f]);
    assert!(world.engine.is_closing(stranger));
}

/// Who waits for what it wrote has many refusals: they are said in shares.
#[test]
fn refusals_behind_a_text_are_said_in_shares() {
    let mut world = World::new(config(), Box::new(Chat));
    let (ann, bob) = (world.log_in("ann"), world.log_in("bob"));
    world.write_all();
    let texts = [&["hi"][..], &["@nobody x"; 50]].concat();
    world.several(ann, &texts);
    let mut said = 0;
    while world.engine.is_working() {
        let looked = world.engine.handle_work(10, world.now);
        let now = world.kinds_waiting(ann.0).len();
        assert!(now - said <= 10 && looked <= 10, "{} in one share", now - said);
        said = now;
    }
    assert_eq!((said, world.kinds_waiting(bob.0).len()), (50, 1));
    assert_eq!(world.engine.registry.fan_out.queued_bytes(), 0);
    assert_ne!(world.engine.read_budget(ann.0), ReadBudget::Nothing);
}

/// Whom the text tells to go is ended; what is "refuse" is refused; the rest goes to all, its author too.
struct Bouncer;

impl Handler for Bouncer {
    fn message(&mut self, from: Speaker<'_>, text: &str, context: &mut dyn Context) {
        if text == "refuse" {
            return context.refuse(from.session, Code::BadAddress, text);
        }
        context.send_to_others(None, None, text);
        if text == "go" {
            context.end(from.session, "banned");
        }
    }
}

/// The story: who was banned for a text had sent others with it, and all of them were read.
#[test]
fn who_is_ended_says_nothing_more() {
    let mut world = World::new(config(), Box::new(Bouncer));
    let (ann, bob) = (world.log_in("ann"), world.log_in("bob"));
    world.several(ann, &["hi", "go", "one more", "and one"]);
    assert_eq!(world.said(bob.0), [b"\x84\0hi".as_slice(), b"\x84\0go"]);
    assert_eq!(world.said(ann.0), [b"\x84\0hi".as_slice(), b"\x84\0go", b"\x85banned"]);
    assert!(world.engine.is_closing(ann.0));
}

/// The story: the end of a session waited behind what it had sent, and meanwhile it could be resumed and go on.
#[test]
fn who_is_ended_cannot_resume_meanwhile() {
    let mut world = World::new(config(), Box::new(Bouncer));
    let (ann, bob) = (world.log_in("ann"), world.log_in("bob"));
    world.write_all();
    world.several(ann, &["hi", "go"]);
    let again = world.engine.handle_connect(([192, 0, 2, 1], 4000).into(), world.now).unwrap();
    world.send(again, Request::Resume(&ann.1));
    assert_eq!(world.kinds_waiting(again), [0x81, 0x8f]);
    assert_eq!(world.said(bob.0), [b"\x84\0hi".as_slice(), b"\x84\0go"]);
    assert_eq!(world.said(ann.0).last().unwrap(), b"\x85banned");
}

/// Writes each text to all of its writer's name, then ends the writer's session.
struct Farewell;

impl Handler for Farewell {
    fn message(&mut self, from: Speaker<'_>, text: &str, context: &mut dyn Context) {
        context.send_to_name(from.name, None, text);
        context.end(from.session, "banned");
    }
}

/// A text to a crowd is for those who had the name when it was handled, be their sessions over when it is handed out.
#[test]
fn who_is_ended_reads_what_was_written_to_its_name_before() {
    let mut world = World::new(Config { penalty: Duration::ZERO, ..config() }, Box::new(Farewell));
    let ann = world.log_in("ann");
    for _ in 0..40 {
        let conn = world.engine.handle_connect(([192, 0, 2, 1], 4000).into(), world.now).unwrap();
        world.send(conn, Request::Identify(b"ann"));
        world.send(conn, Request::Login(PASSWORD));
    }
    world.write_all();
    world.unread.clear();
    world.several(ann, &["go"]);
    assert_eq!(world.said(ann.0), [b"\x84\0go".as_slice(), b"\x85banned"]);
}

/// Says every text to all, and ends the session of who came first.
#[derive(Default)]
struct Judge(Option<SessionId>);

impl Handler for Judge {
    fn joined(&mut self, who: Speaker<'_>, _: &mut dyn Context) {
        self.0.get_or_insert(who.session);
    }

    fn message(&mut self, _: Speaker<'_>, text: &str, context: &mut dyn Context) {
        context.send_to_others(None, None, text);
        if let Some(first) = self.0 {
            context.end(first, "banned");
        }
    }
}

/// The story: whoever was banned while a new password was hashed had it stored, and all other sessions of the name ended.
#[test]
fn who_is_ended_does_not_change_the_password() {
    let mut world = World::new(config(), Box::<Judge>::default());
    let (ann, bob) = (world.log_in("ann"), world.log_in("bob"));
    world.write_all();
    world.send(ann.0, Request::ChangePassword { token: &ann.1, old: PASSWORD, new: b"close sesame" });
    world.several(bob, &["out"]);
    world.hash();
    assert_eq!(world.engine.statistics().store_requests, 0);
    assert_eq!(world.said(ann.0).last().unwrap(), b"\x85banned");
}

/// The story: what a session had written to all was overtaken by what it wrote to one in another connection.
#[test]
fn who_resumes_does_not_overtake_what_it_wrote_before() {
    let mut world = World::new(config(), Box::new(Chat));
    let (ann, bob) = (world.log_in("ann"), world.log_in("bob"));
    world.write_all();
    world.unread.clear();
    world.several(ann, &["to all"]);
    world.engine.handle_transport(ann.0, TransportEvent::Reset, world.now);
    let again = world.engine.handle_connect(([192, 0, 2, 1], 4000).into(), world.now).unwrap();
    world.send(again, Request::Resume(&ann.1));
    let output = world.engine.output(again).to_vec();
    let token: [u8; 16] = output[output.len() - "Hello again, ann".len() - 16..][..16].try_into().unwrap();
    world.several((again, token), &["@bob to you"]);
    let heard = world.said(bob.0);
    let place = |text: &str| heard.iter().position(|body| body.ends_with(text.as_bytes()));
    assert!(place("to all").is_some() && place("to all") < place("to you"), "{heard:?}");
    assert_ne!(world.engine.read_budget(again), ReadBudget::Nothing);
}

/// The story: a stop that drops what is on its way dropped the end of a session with it, and whoever was banned could go on
/// with the session at another server.
#[test]
fn a_stop_ends_whom_the_handler_has_ended() {
    let mut world = World::new(config(), Box::new(Bouncer));
    let (ann, _bob) = (world.log_in("ann"), world.log_in("bob"));
    world.write_all();
    world.several(ann, &["go"]);
    world.engine.handle_shutdown(world.now);
    world.now = world.now + STOP_TEXTS;
    world.engine.handle_work(2, world.now);
    assert!(world.engine.output(ann.0).to_vec().ends_with(b"\x85banned"), "and not that the server stops");
}

/// Who reads its own texts is answered in order.
#[test]
fn a_refusal_comes_before_what_its_author_wrote_later_and_reads() {
    let mut world = World::new(config(), Box::new(Bouncer));
    let ann = world.log_in("ann");
    world.several(ann, &["first", "refuse", "third"]);
    let kinds: Vec<u8> = world.said(ann.0).iter().map(|body| body[0]).collect();
    assert_eq!(kinds, [0x84, 0x8f, 0x84]);
}
