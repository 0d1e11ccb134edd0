//! Turns with real sockets, by a clock of which each look takes a set time: what one turn does at most, and for whom.

use super::*;
use crate::engine::Config;
use crate::handler::{Chat, Echo, Handler};
use crate::limits::{OUTPUT_STALL, SHARE_WRITES};
use std::io::{Read, Write};
use std::net::TcpStream;
use tempfile::TempDir;

#[cfg(feature = "admin")]
mod control;

/// What each look at the clock takes.
const LOOK: Duration = Duration::from_micros(400);
/// So many turns are enough for anything that is waited for.
const TURNS: usize = 10_000;
/// A message of those who send as much as they can: it fits a share of any size.
const LONG: usize = 4_000;
/// Messages that each of them has sent: for several shares of the largest size.
const MESSAGES: usize = 40;

struct World {
    server: Server,
    events: Events,
    _folder: TempDir,
}

/// Somebody who is logged in.
struct Member {
    stream: TcpStream,
    token: [u8; 16],
    unread: Vec<u8>,
}

fn frame(kind: u8, payload: &[&[u8]]) -> Vec<u8> {
    let payload = payload.concat();
    [&(payload.len() as u32 + 1).to_be_bytes()[..], &[kind], &payload].concat()
}

impl World {
    fn new() -> World {
        World::hashing(1)
    }

    /// Each hash takes so many rounds.
    fn hashing(hash_rounds: u32) -> World {
        World::of(hash_rounds, Box::new(Echo))
    }

    fn of(hash_rounds: u32, handler: Box<dyn Handler>) -> World {
        let folder = tempfile::tempdir().unwrap();
        let config = Config { hash_rounds, ..Config::default() };
        let options = Options { port: 0, data: folder.path().join("data"), config, ..Options::default() };
        let server = Server::bind(options, handler).unwrap();
        World { server, events: Events::with_capacity(EVENTS), _folder: folder }
    }

    fn turn(&mut self) {
        // Whatever it would wait for, it goes on: a turn by hand must not block.
        self.server.handle.wake().unwrap();
        self.server.turn(&mut self.events).unwrap();
    }

    fn turns_until(&mut self, is_so: impl Fn(&Server) -> bool) {
        let mut turns = 0..TURNS;
        while !is_so(&self.server) {
            assert!(turns.next().is_some(), "it is never so: {:?}", self.server.engine.statistics());
            self.turn();
        }
    }

    fn connect(&mut self) -> TcpStream {
        let stream = TcpStream::connect(self.server.address().unwrap()).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream
    }

    fn log_in(&mut self, is_first: bool) -> Member {
        let mut member = Member { stream: self.connect(), token: [0; 16], unread: Vec::new() };
        member.stream.write_all(&frame(0x01, &[b"ann"])).unwrap();
        if is_first {
            member.stream.write_all(&frame(0x02, &[b"open sesame"])).unwrap();
            self.await_kind(&mut member, 0x82);
        }
        self.await_kind(&mut member, 0x82);
        member.stream.write_all(&frame(0x03, &[b"open sesame"])).unwrap();
        let answer = self.await_kind(&mut member, 0x83);
        member.token.copy_from_slice(&answer[1..17]);
        member
    }

    /// The next frame of a kind, with what came before it passed over.
    fn await_kind(&mut self, member: &mut Member, kind: u8) -> Vec<u8> {
        for _ in 0..TURNS {
            while let Some(body) = member.next_frame() {
                if body[0] == kind {
                    return body;
                }
            }
            self.turn();
        }
        panic!("no frame of kind {kind:#x}");
    }

    /// So many who are logged in, all with much to be read, and each had a share; and one who has said nothing.
    fn besieged(count: usize) -> (World, Vec<Member>, Member) {
        let mut world = World::new();
        let quiet = world.log_in(true);
        let mut members: Vec<Member> = (0..count).map(|_| world.log_in(false)).collect();
        for member in &mut members {
            let message = frame(0x05, &[&member.token, &[b'x'; LONG]]);
            member.stream.write_all(&message.repeat(MESSAGES)).unwrap();
        }
        crate::clock::slow::set(LOOK);
        (world, members, quiet)
    }
}

impl Member {
    fn take(&mut self) -> usize {
        let mut buffer = [0; 64 * 1024];
        let mut taken = 0;
        while let Ok(count @ 1..) = self.stream.read(&mut buffer) {
            self.unread.extend(&buffer[..count]);
            taken += count;
        }
        taken
    }

    fn next_frame(&mut self) -> Option<Vec<u8>> {
        self.take();
        let length = u32::from_be_bytes(self.unread.get(..4)?.try_into().unwrap()) as usize;
        let body = self.unread.get(4..4 + length)?.to_vec();
        self.unread.drain(..4 + length);
        Some(body)
    }

    fn say(&mut self, text: &[u8]) {
        let message = frame(0x05, &[&self.token, text]);
        self.stream.write_all(&message).unwrap();
    }
}

/// The story: the clock was looked at after eight readings, however much each of them brought, and so a turn with fifty
/// who send as much as they can took 4 ms instead of 1.5.
#[test]
fn what_is_read_counts_by_its_bytes() {
    let (mut world, mut members, _) = World::besieged(40);
    let mut served = 0;
    for turn in 1.. {
        world.turn();
        let now = members.iter_mut().filter_map(|member| (member.take() > 0).then_some(())).count();
        assert!(now <= 12, "{now} of 40 in turn {turn}");
        served += now;
        if served >= 40 {
            break;
        }
        assert!(turn < 40, "all have had a share by now");
    }
}

/// Whoever says little is read before those who have had their share and have more, and these are read, too.
#[test]
fn who_says_little_does_not_wait_for_those_who_say_much() {
    let (mut world, mut members, mut quiet) = World::besieged(60);
    world.turns_until(|server| server.ready.is_empty() && server.behind.len() > 50);
    for _ in 0..5 {
        members.iter_mut().for_each(|member| {
            member.take();
        });
        quiet.say(b"and I?");
        world.turn();
        assert!(quiet.next_frame().is_some_and(|body| body.ends_with(b"and I?")));
        assert!(members.iter_mut().any(|member| member.take() > 0));
    }
}

/// A crowd that leaves is seen off behind whoever has something to say.
#[test]
fn who_says_something_does_not_wait_for_a_crowd_that_leaves() {
    let (mut world, _, mut quiet) = World::besieged(0);
    let crowd: Vec<TcpStream> = (0..300).map(|_| world.connect()).collect();
    world.turns_until(|server| server.engine.statistics().connections == 301 && !server.has_ready());
    drop(crowd);
    quiet.say(b"wait for me");
    world.turn();
    assert!(quiet.next_frame().is_some_and(|body| body.ends_with(b"wait for me")));
    assert!(world.server.engine.statistics().connections > 200, "the crowd was not seen off before");
    world.turns_until(|server| server.engine.statistics().connections == 1);
}

/// The story: a reader had let a hundred thousand words of a room gather, a piece each, and then took them all: to find each
/// next piece all before it were passed over again, and one turn took half a second.
#[test]
fn what_is_written_to_one_at_a_time_is_bounded() {
    let mut world = World::of(1, Box::new(Chat));
    let mut reader = world.log_in(true);
    let share = SHARE_WRITES * socket::SLICES;
    for _ in 0..10 * share {
        world.server.engine.handle_console_line("x", Moment::START);
        while world.server.engine.handle_work(1_000, Moment::START) > 0 {}
    }
    let frame = frame(0x84, &[b"\0x"]);
    let all = 10 * share * frame.len();
    crate::clock::slow::set(LOOK);
    let mut taken = 0;
    for turn in 1.. {
        world.turn();
        let now = reader.take();
        assert!(now <= 4 * share * frame.len(), "{now} of {all} bytes in turn {turn}");
        taken += now;
        if taken == all {
            break;
        }
        assert!(turn < 100, "{taken} of {all} bytes");
    }
    assert_eq!(reader.unread, frame.repeat(all / frame.len()));
}

/// The story: who had been handed a long text that nobody had yet tried to write to it was not read, as if it did not read
/// itself; its Exit waited for its place among ten thousand.
#[test]
fn who_was_not_yet_written_to_is_read() {
    let mut world = World::of(1, Box::new(Chat));
    let mut reader = world.log_in(true);
    for _ in 0..2 {
        world.server.engine.handle_console_line(&"x".repeat(40_000), Moment::START);
    }
    while world.server.engine.handle_work(1_000, Moment::START) > 0 {}
    reader.stream.write_all(&frame(0x06, &[])).unwrap();
    while !world.server.sockets.iter().flatten().any(Socket::is_readable) {
        world.server.poll.poll(&mut world.events, None).unwrap();
        world.server.take_events(&world.events, Moment::START);
    }
    world.server.read(Moment::START);
    assert_eq!(world.server.engine.statistics().sessions, 0);
    reader.take();
}

/// The story: a reader of five kilobytes a second with much in the system's buffer was cut off as if it took nothing: a system
/// says that a socket can be written to only when a third of its buffer is free. Whoever takes nothing still is.
#[test]
fn who_takes_its_bytes_slowly_is_tried_before_it_is_cut_off() {
    let mut world = World::of(1, Box::new(Chat));
    let mut reader = world.log_in(true);
    let say = |world: &mut World| {
        world.server.engine.handle_console_line(&"x".repeat(40_000), Moment::START);
        world.turn();
    };
    while !world.server.sockets.iter().flatten().any(Socket::is_blocked) {
        say(&mut world);
    }
    // More than the reader takes.
    (0..15).for_each(|_| say(&mut world));
    reader.stream.set_nonblocking(false).unwrap();
    for _ in 0..4 {
        reader.stream.read_exact(&mut [0; 64 * 1024]).unwrap();
    }
    let stalled = |world: &mut World, now: Moment| {
        world.server.engine.handle_time(now);
        world.server.write(now, now);
        world.server.engine.statistics().lost_sessions == 1
    };
    let mut now = world.server.clock.now() + OUTPUT_STALL;
    assert!(!stalled(&mut world, now), "it has taken a quarter of a megabyte");
    let mut times = 0..20;
    while !stalled(&mut world, now) {
        assert!(times.next().is_some(), "it takes nothing any more");
        now = now + OUTPUT_STALL;
    }
}

/// Who is read again since what it wrote is handed out comes behind those who have waited longer: else it would take, turn
/// for turn, the room that there is now.
#[test]
fn a_writer_is_read_again_behind_those_who_wait() {
    let mut world = World::of(1, Box::new(Chat));
    let (mut writer, _reader) = (world.log_in(true), world.log_in(false));
    world.turns_until(|server| !server.has_ready());
    writer.say(b"to all");
    world.turns_until(|server| !server.behind.is_empty());
}

impl World {
    /// How many turns a hash takes, with this done before each.
    fn turns_of_a_hash(&mut self, name: &[u8], mut before_each: impl FnMut()) -> usize {
        let mut stream = self.connect();
        stream.write_all(&[frame(0x01, &[name]), frame(0x02, &[b"open sesame"])].concat()).unwrap();
        self.turns_until(|server| server.engine.is_hashing());
        let mut turns = 0;
        while self.server.engine.is_hashing() {
            before_each();
            self.turn();
            turns += 1;
        }
        turns
    }
}

/// A hash has a shorter share of a turn in which there is something to be read, be it of one client alone.
#[test]
fn a_hash_gives_way_to_whoever_has_something_to_say() {
    let mut world = World::hashing(700);
    let mut talker = world.log_in(true);
    world.server.hash_portion_rounds = 1;
    crate::clock::slow::set(LOOK / 10);
    let alone = world.turns_of_a_hash(b"bob", || {});
    let beside = world.turns_of_a_hash(b"cid", || talker.say(b"hi"));
    assert!(beside > alone + alone / 2, "{beside} turns beside somebody who talks, {alone} alone");
}
