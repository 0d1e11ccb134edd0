//! Output: what waits, for whom, and how much of it for many.

use super::*;
use crate::limits::{FAN_OUT_QUEUE_BYTES, SHARE_CUT_OFFS, SHARE_DUE, SHARE_TASK};

/// Code 108: nothing of its waiting output could be written for 30 s. What it took in part is not torn.
#[test]
fn a_consumer_that_takes_nothing_for_long_is_a_slow_one() {
    let mut world = world();
    let (conn, token) = world.log_in("ann");
    for _ in 0..2 {
        world.send(conn, Request::Message { token: &token, text: b"0123456789" });
    }
    world.engine.poll_output();
    world.engine.handle_writable(conn, world.now, |_| Written::bytes(6));
    world.pass(OUTPUT_STALL - Duration::from_secs(1));
    world.engine.handle_writable(conn, world.now, |_| Written::bytes(1));
    world.pass(OUTPUT_STALL - Duration::from_secs(1));
    assert_eq!(world.engine.output(conn).len(), 2 * 16 - 7, "a byte every now and then is no stall");
    world.pass(Duration::from_secs(1));
    let rest = world.engine.output(conn).to_vec();
    assert_eq!(&rest[..9], b"123456789", "the rest of the frame that it has begun to take");
    assert_eq!(rest[13..16], [0x8f, 0, 108]);
    assert_eq!(world.engine.registry.sessions.lost_count(), 1, "and can be resumed");
}

/// Of a stall and an idle timeout the one that was up first is told, whichever is longer.
#[test]
fn a_stall_is_no_idleness_while_the_idle_timeout_is_longer() {
    let second = Duration::from_secs(1);
    for (idle_timeout, code) in
        [(OUTPUT_STALL + second, Code::SlowConsumer), (OUTPUT_STALL - second, Code::TimedOut)]
    {
        let mut world = World::new(Config { idle_timeout: Some(idle_timeout), ..config() }, Box::new(Echo));
        let (conn, token) = world.log_in("ann");
        world.pass(second * 5);
        world.send(conn, Request::Message { token: &token, text: b"hi" });
        world.engine.poll_output();
        world.engine.handle_writable(conn, world.now, |_| Written::bytes(0));
        world.pass(OUTPUT_STALL);
        let said = world.said(conn).pop().unwrap();
        assert!(matches!(Reply::decode(&said), Ok(Reply::Error { code: told, .. }) if told == code.number()));
    }
}

/// What is pasted at the console or piped into it may be longer than a frame that clients take.
#[test]
fn the_console_sends_no_more_than_a_client_could() {
    let mut world = World::new(Config { max_frame_bytes: 2048, ..config() }, Box::new(Chat));
    let (ann, _) = world.log_in("ann");
    world.said(ann);
    for line in ["x".repeat(2032), format!("@ann {}", "x".repeat(2032))] {
        world.engine.handle_console_line(&line, world.now);
        assert!(world.engine.poll_console_line().unwrap().contains("not sent"));
        assert!(world.said(ann).is_empty());
    }
    world.engine.handle_console_line(&"x".repeat(2031), world.now);
    assert_eq!(world.said(ann)[0].len(), 2033);
}

fn message(sender: &str, text: &str) -> Vec<u8> {
    let mut frame = Vec::new();
    Reply::Message { sender, text }.encode(&mut frame);
    frame[4..].to_vec()
}

/// A chat in which `names` are, each once.
fn chat<const NAMES: usize>(config: Config, names: [&str; NAMES]) -> (World, [(ConnId, [u8; 16]); NAMES]) {
    let mut world = World::new(config, Box::new(Chat));
    let members = names.map(|name| world.log_in(name));
    world.write_all();
    world.unread.clear();
    (world, members)
}

impl World {
    /// Another session of a name whose password is remembered; nothing else is done on the way.
    fn log_in_again(&mut self, name: &str) -> ConnId {
        let conn = self.engine.handle_connect(([192, 0, 2, 1], 4000).into(), self.now).unwrap();
        self.send(conn, Request::Identify(name.as_bytes()));
        self.send(conn, Request::Login(PASSWORD));
        assert!(matches!(self.waits(conn).last().map(|body| body[0]), Some(0x83)));
        conn
    }

    fn say(&mut self, (conn, token): (ConnId, [u8; 16]), text: &str) {
        self.send(conn, Request::Message { token: &token, text: text.as_bytes() });
    }

    /// The bodies of the frames that wait for a connection.
    fn waits(&self, conn: ConnId) -> Vec<Vec<u8>> {
        let bytes = self.engine.output(conn).to_vec();
        let mut stream = bytes.as_slice();
        std::iter::from_fn(|| stream.read_frame(u32::MAX).unwrap()).collect()
    }
}

/// A text for many goes out in shares, to those who were there when it was handled. What its writer says next to one
/// comes behind it, what another says to one comes at once, and the writer is not read before all have it.
#[test]
fn a_text_for_many_goes_out_in_shares() {
    let (mut world, [ann, bob, cid, dan]) = chat(config(), ["ann", "bob", "cid", "dan"]);
    world.say(ann, "to all");
    world.say(ann, "@dan to you");
    world.say(bob, "@dan at once");
    world.say(ann, "@nobody");
    world.say(ann, "@eve are you there?");
    assert_eq!(world.waits(dan.0), [message("bob", "@dan at once")]);
    assert_eq!(world.engine.read_budget(ann.0), ReadBudget::Nothing);
    assert_eq!(world.engine.handle_work(2, world.now), 2);
    assert_eq!(world.waits(bob.0), [message("ann", "to all")]);
    assert!(world.waits(cid.0).is_empty() && world.engine.is_working());
    let late = world.log_in_again("cid");
    let before = world.waits(late).len();
    while world.engine.handle_work(1, world.now) > 0 {}
    assert_eq!(world.waits(cid.0), [message("ann", "to all")]);
    let to_dan = ["@dan at once", "to all", "@dan to you"];
    let heard: Vec<Vec<u8>> = world.waits(dan.0);
    let expected: Vec<Vec<u8>> =
        to_dan.iter().zip(["bob", "ann", "ann"]).map(|(text, sender)| message(sender, text)).collect();
    assert_eq!(heard, expected);
    assert_eq!(world.waits(late).len(), before, "who came later hears nothing from before");
    let refused: Vec<u8> = world.waits(ann.0).iter().map(|body| body[0]).collect();
    assert_eq!(refused, [0x8f; 2], "behind what it wrote to all, in order");
    assert_eq!(world.engine.poll_unblocked(), Some(ann.0));
    assert!(!world.engine.is_working());
}

/// What many write before the first of it is handed out is one chunk for each reader, without what is its own.
#[test]
fn texts_that_wait_are_gathered() {
    let (mut world, [ann, bob, cid]) = chat(config(), ["ann", "bob", "cid"]);
    for (who, text) in [(ann, "one"), (bob, "two"), (ann, "three"), (bob, "four")] {
        world.say(who, text);
    }
    let looks = world.engine.handle_work(1_000, world.now);
    assert_eq!(looks, 3, "all looked at once");
    let [one, two, three, four] = [("ann", "one"), ("bob", "two"), ("ann", "three"), ("bob", "four")]
        .map(|(who, text)| message(who, text));
    assert_eq!(world.waits(cid.0), [one.clone(), two.clone(), three.clone(), four.clone()]);
    assert_eq!(world.engine.output(cid.0).slices().count(), 1);
    assert_eq!(world.waits(ann.0), [two, four]);
    assert_eq!(world.waits(bob.0), [one, three]);
    assert_eq!(world.engine.registry.totals.messages_out, 4 + 2 + 2 + 3, "three of them joined notices");
}

/// Who reads all that is written to it is not cut off because the server has more to hand out than it has yet written.
#[test]
fn who_reads_is_not_cut_off_for_the_servers_delay() {
    let limit = crate::limits::output_limit_least_bytes(2_048);
    let config = Config { max_frame_bytes: 2_048, output_limit_bytes: limit, ..config() };
    let (mut world, [ann, bob]) = chat(config, ["ann", "bob"]);
    let text = "x".repeat(1_500);
    for _ in 0..10 {
        world.say(ann, &text);
    }
    while world.engine.handle_work(1_000, world.now) > 0 {}
    assert!(
        world.engine.is_working() && world.waits(bob.0).len() == 1,
        "the second waits for the first's writing"
    );
    assert_eq!(world.said(bob.0), vec![message("ann", &text); 10]);
    // One who takes nothing although it was tried is a slow consumer.
    for _ in 0..10 {
        world.say(ann, &text);
        while world.engine.handle_work(1_000, world.now) > 0 {}
        while let Some(conn) = world.engine.poll_output_for_many() {
            world.engine.handle_writable(conn, world.now, |_| Written::bytes(0));
        }
    }
    assert_eq!(world.waits(bob.0).last().map(|body| body[..3].to_vec()), Some(vec![0x8f, 0, 108]));
}

/// A name with many sessions is kicked in shares, and those that it has later are not; so are all told Bye.
#[test]
fn many_are_seen_off_in_shares() {
    let (mut world, _) = chat(Config { penalty: Duration::ZERO, ..config() }, ["ann", "bob"]);
    let crowd: Vec<ConnId> = (0..600).map(|_| world.log_in_again("bob")).collect();
    world.engine.handle_console_line("/kick bob", world.now);
    let here = |world: &World| world.engine.registry.sessions.of(&Name::new("bob").unwrap()).count();
    assert_eq!(here(&world), 601 - SHARE_TASK);
    assert_eq!(world.engine.poll_console_line(), None);
    let late = world.log_in_again("bob");
    while world.engine.is_working() {
        assert!(world.engine.handle_work(1_000, world.now) > 0);
    }
    assert_eq!((here(&world), world.engine.is_closing(late)), (1, false));
    assert!(crowd.iter().all(|conn| world.engine.is_closing(*conn)));
    assert_eq!(world.engine.poll_console_line().as_deref(), Some("kicked bob, 601 sessions"));

    let crowd: Vec<ConnId> = (0..600).map(|_| world.log_in_again("ann")).collect();
    world.engine.handle_console_line("/who", world.now);
    world.engine.handle_shutdown(world.now);
    assert!(crowd.iter().any(|conn| !world.engine.is_closing(*conn)));
    while world.engine.is_working() {
        assert!(world.engine.handle_work(1_000, world.now) > 0);
    }
    let lines: Vec<String> = std::iter::from_fn(|| world.engine.poll_console_line()).collect();
    assert_eq!(lines.len(), 602 + 1, "a line each, and the sum: {:?}", lines.last());
    assert!(crowd.iter().all(|conn| world.engine.is_closing(*conn)));
    assert_eq!(world.engine.statistics().sessions, 0);
}

/// Windows that end together end in shares, and the rest is still due.
#[test]
fn many_windows_end_in_shares() {
    let config = Config { resume_window: Duration::from_secs(1), penalty: Duration::ZERO, ..config() };
    let (mut world, [ann, _]) = chat(config, ["ann", "bob"]);
    let crowd: Vec<ConnId> = (0..600).map(|_| world.log_in_again("bob")).collect();
    for conn in crowd {
        world.engine.handle_transport(conn, TransportEvent::Reset, world.now);
    }
    world.pass(Duration::from_secs(1));
    assert_eq!(world.engine.statistics().lost_sessions, 600 - SHARE_DUE);
    let mut lost = 600 - SHARE_DUE;
    while lost > 0 {
        assert!(world.engine.next_deadline().is_some_and(|due| due <= world.now));
        world.engine.handle_time(world.now);
        lost = lost.saturating_sub(SHARE_DUE);
        assert_eq!(world.engine.statistics().lost_sessions, lost);
    }
    assert!(world.said(ann.0).is_empty(), "bob is still here once");
}

/// The story: when too much waited for all of ten thousand, one call looked at each of them and cut off more than a
/// thousand.
#[test]
fn a_crowd_is_cut_off_in_shares_and_those_with_the_most_first() {
    const CROWD: usize = 800;
    let total = CROWD * 5_000;
    let config = Config { penalty: Duration::ZERO, output_total_bytes: total, ..config() };
    let mut world = World::new(config, Box::new(Echo));
    world.log_in("ann");
    let crowd: Vec<ConnId> = (0..CROWD).map(|_| world.log_in_again("ann")).collect();
    let closing = |world: &World| crowd.iter().filter(|conn| world.engine.is_closing(**conn)).count();
    for (number, conn) in crowd.iter().enumerate() {
        // Those who come later have more waiting.
        let text = vec![b'x'; if number < CROWD / 2 { 3_000 } else { 7_500 }];
        let token = world.waits(*conn).last().map(|body| <[u8; 16]>::try_from(&body[1..17]).unwrap());
        world.send(*conn, Request::Message { token: &token.unwrap(), text: &text });
    }
    assert_eq!(closing(&world), 0, "nothing is done at once");
    assert!(world.engine.is_working());
    let mut gone = 0;
    while world.engine.is_working() {
        assert!(world.engine.handle_work(1_000, world.now) > 0);
        let now = closing(&world);
        assert!(now - gone <= SHARE_CUT_OFFS, "{} in one share", now - gone);
        gone = now;
    }
    let held = world.engine.statistics().output_held_bytes;
    assert!((total / 2..=total).contains(&held), "{held} of {total}");
    assert!(gone > 2 * SHARE_CUT_OFFS && gone < CROWD / 2, "{gone}");
    assert!(crowd[..CROWD / 2].iter().all(|conn| !world.engine.is_closing(*conn)), "they have less");
}

/// Who is cut off for the sake of all in the middle of a long frame is closed without a word: it could come only behind
/// that frame, which would be held until then.
#[test]
fn a_long_frame_that_is_begun_is_not_held() {
    let config = Config {
        max_frame_bytes: 1_000_000,
        output_limit_bytes: 3_000_000,
        output_total_bytes: 3_000_000,
        ..config()
    };
    let mut world = World::new(config, Box::new(Echo));
    let members = ["ann", "bob", "cid", "dan"].map(|name| world.log_in(name));
    let text = "x".repeat(900_000);
    for (conn, token) in members {
        world.say((conn, token), &text);
        world.engine.handle_writable(conn, world.now, |_| Written::bytes(10));
    }
    let statistics = world.engine.statistics();
    assert!(statistics.output_held_bytes <= 3_000_000, "{statistics:?}");
    let closed = std::iter::from_fn(|| world.engine.poll_command());
    assert!(closed.filter(|(_, command)| *command == SocketCommand::Close).count() > 0);
}

/// What a writer is answered comes in the order of its frames, and all of it before the Bye for its Exit, or its end.
#[test]
fn an_end_waits_for_what_was_written_before() {
    for exits in [true, false] {
        let (mut world, [ann, bob, _]) = chat(config(), ["ann", "bob", "cid"]);
        let mut bytes = Vec::new();
        for text in [&b"to all"[..], b"@nobody", b"@ann to myself"] {
            Request::Message { token: &ann.1, text }.encode(&mut bytes);
        }
        if exits {
            Request::Who { token: &ann.1 }.encode(&mut bytes);
            Request::Exit.encode(&mut bytes);
        }
        world.engine.handle_bytes(ann.0, &mut bytes, world.now);
        if !exits {
            world.engine.handle_transport(ann.0, TransportEvent::Ended, world.now);
        }
        assert!(world.waits(ann.0).is_empty() && !world.engine.is_closing(ann.0));
        while world.engine.handle_work(1, world.now) > 0 {}
        assert_eq!(world.engine.is_closing(ann.0), !exits);
        while let Some(conn) = world.engine.poll_unblocked() {
            world.engine.handle_bytes(conn, &mut [], world.now);
        }
        let kinds: Vec<u8> = world.waits(ann.0).iter().map(|body| body[0]).collect();
        let answers = [0x8f, 0x84, 0x87, 0x85];
        assert_eq!(kinds, if exits { &answers[..] } else { &answers[..2] });
        assert_eq!(world.waits(bob.0)[0], message("ann", "to all"));
        assert!(world.engine.is_closing(ann.0));
    }
}

/// What was on its way to all when the server began to stop reaches them before Bye, and nothing that comes then.
#[test]
fn a_stop_waits_for_what_is_on_its_way() {
    let (mut world, [ann, bob, cid]) = chat(config(), ["ann", "bob", "cid"]);
    world.engine.handle_console_line("the last orders, please", world.now);
    world.engine.handle_shutdown(world.now);
    world.say(ann, "one more");
    while world.engine.is_working() {
        world.engine.handle_work(1, world.now);
    }
    for (conn, _) in [ann, bob, cid] {
        let heard = world.waits(conn);
        assert_eq!((&heard[0], heard[1][0]), (&message("", "the last orders, please"), 0x85));
        assert_eq!(heard.len(), 2);
    }
}

/// A flood is bounded before it is handed out: then nobody's frames are handled, and all are once there is room.
#[test]
fn what_waits_to_be_handed_out_is_bounded() {
    let (mut world, members) = chat(Config { chat_rate: 0, ..config() }, ["ann", "bob", "cid"]);
    let text = "x".repeat(60_000);
    for _ in 0..20 {
        members.iter().for_each(|member| world.say(*member, &text));
    }
    let queued = world.engine.registry.fan_out.queued_bytes();
    assert!((FAN_OUT_QUEUE_BYTES..FAN_OUT_QUEUE_BYTES + 65_536).contains(&queued), "{queued}");
    let mut heard = 0;
    loop {
        heard += world.said(members[0].0).len();
        let has_frames = |conn: &ConnId| world.engine.read_budget(*conn) == ReadBudget::Backlog;
        let Some(conn) = members.map(|(conn, _)| conn).into_iter().find(has_frames) else { break };
        world.engine.handle_bytes(conn, &mut [], world.now);
    }
    assert_eq!(heard, 40);
}
