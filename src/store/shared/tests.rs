//! A shared store without a socket: what a server may say, and when.

mod refusing;
mod sessions;

use super::*;
use crate::limits::{STORE_CONNECT, STORE_LOOK, STORE_REPLY, STORE_RETRY_LEAST};
use crate::store::LinkAction;
use std::io::{self, Read, Write};

const READY: &[u8] = b"%2\r\n+version\r\n+7.0.15\r\n+role\r\n+master\r\n%2\r\n+appendonly\r\n+yes\r\n+appendfsync\r\n+always\r\n*2\r\n$1\r\n0\r\n$1\r\n0\r\n";

/// Says what it was given, whatever it is asked.
struct Script(io::Cursor<Vec<u8>>);

impl Read for Script {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Script {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct World {
    store: SharedStore,
    now: Moment,
    /// At the last connection, right after the greeting.
    written_first: String,
}

fn greeting() -> Vec<u8> {
    [READY, b"$5\r\nbirth\r\n"].concat()
}

impl World {
    fn new() -> World {
        let address: StoreAddress = "redis://127.0.0.1".parse().unwrap();
        let stream = Box::new(Script(io::Cursor::new(greeting())));
        let direct = DirectStore::new(address.clone(), Durability::Always, stream).unwrap();
        let store = SharedStore::new(address, Vec::new(), &direct, [7; 8], Duration::from_secs(60)).unwrap();
        let mut world = World { store, now: Moment::START, written_first: String::new() };
        world.connect();
        world
    }

    fn connect(&mut self) {
        assert_eq!(self.store.action(self.now), LinkAction::Connect);
        self.store.handle_connected(self.now);
        self.say(&greeting());
        assert!(self.store.is_ready());
        // What it has to say of itself, and of nobody.
        self.written_first = self.written();
        self.say(b"*2\r\n*0\r\n*0\r\n+done\r\n");
        while self.store.poll_news(true).is_some() {}
    }

    /// Connects again; this is what is said to what was asked meanwhile.
    fn reconnect(&mut self, first: &[u8]) {
        assert_eq!(self.store.action(self.now), LinkAction::Connect);
        self.store.handle_connected(self.now);
        self.say(&greeting());
        self.written_first = self.written();
        self.say(first);
    }

    fn say(&mut self, bytes: &[u8]) {
        self.store.handle_bytes(bytes, self.now);
    }

    fn written(&mut self) -> String {
        let output = String::from_utf8_lossy(self.store.output(self.now)).into_owned();
        self.store.advance(output.len());
        output
    }

    fn pass(&mut self, span: Duration) {
        self.now = self.now + span;
        self.store.commit(self.now);
    }

    /// Asks for a name, and has it written.
    fn ask(&mut self, ticket: u64, who: &str) {
        self.store.fetch(Ticket(ticket), &Name::new(who).unwrap());
        assert!(self.written().contains(&format!("porter:user:{who}")));
    }

    fn found(&mut self) -> Option<(u64, Option<crate::store::Found>)> {
        self.store.poll_fetched().map(|fetched| (fetched.ticket.0, fetched.answer))
    }
}

const NOBODY: &[u8] = b"*4\r\n$5\r\nbirth\r\n_\r\n_\r\n_\r\n";
const TWIN: &[u8] = b"*4\r\n$5\r\nbirth\r\n_\r\n$3\r\nann\r\n$1\r\n1\r\n";

fn name(lookup: Lookup) -> Option<crate::store::Found> {
    Some(crate::store::Found::Name(lookup))
}

#[test]
fn replies_are_taken_in_order_however_they_are_cut() {
    let replies = [NOBODY, b">3\r\n+message\r\n+porter:room\r\n+- joined bob\r\n", TWIN].concat();
    for cut in 0..replies.len() {
        let mut world = World::new();
        world.ask(1, "bob");
        world.ask(2, "carol");
        world.say(&replies[..cut]);
        world.say(&replies[cut..]);
        assert_eq!(world.found(), Some((1, name(Lookup::Unknown))));
        assert_eq!(world.found(), Some((2, name(Lookup::LookAlike))));
        assert_eq!(world.store.poll_news(true), Some(crate::store::News::Joined(Name::new("bob").unwrap())));
    }
}

/// A reply that is late is nobody's: its connection is given up, and the next one's replies are for what was asked there.
#[test]
fn a_late_reply_never_reaches_the_next_who_asks() {
    let mut world = World::new();
    world.ask(1, "bob");
    world.pass(STORE_REPLY);
    assert_eq!(world.found(), Some((1, None)));
    assert!(world.store.trouble(world.now).is_some());
    // It comes before the socket is closed, and then it is read no more.
    world.store.fetch(Ticket(2), &Name::new("carol").unwrap());
    world.say(TWIN);
    assert_eq!(world.found(), None);
    world.written();
    world.pass(STORE_RETRY_LEAST);
    // It was asked before the store was told of who is here.
    world.reconnect(NOBODY);
    assert_eq!(world.found(), Some((2, name(Lookup::Unknown))));
}

#[test]
fn who_waits_is_answered_in_time_though_nothing_connects() {
    let mut world = World::new();
    world.store.handle_closed("gone", world.now);
    for ticket in 0..3 {
        world.store.fetch(Ticket(ticket), &Name::new("bob").unwrap());
        let _ = world.store.action(world.now);
        world.written();
        world.pass(STORE_REPLY);
        assert_eq!(world.found(), Some((ticket, None)));
    }
    world.pass(STORE_CONNECT);
    assert!(!world.store.is_ready());
}

/// Whatever else it says, nobody waits for ever, and the connection is given up.
#[test]
fn what_is_no_answer_gives_the_connection_up() {
    for strange in [
        &b"-READONLY You can't write against a read only replica.\r\n"[..],
        b"-LOADING Redis is loading the dataset in memory\r\n",
        b"-NOAUTH Authentication required.\r\n",
        b"HTTP/1.1 400 Bad Request\r\n",
        &b"*1\r\n".repeat(100_000),
        b"*4\r\n$5\r\nother\r\n_\r\n_\r\n_\r\n",
        b"*4\r\n_\r\n_\r\n_\r\n_\r\n",
    ] {
        let mut world = World::new();
        world.ask(1, "bob");
        world.say(strange);
        assert_eq!(world.found(), Some((1, None)), "{:?}", String::from_utf8_lossy(&strange[..20]));
        assert!(!world.store.is_ready());
    }
    // One that is wrong for one user alone costs the others nothing.
    for strange in [&b"*4\r\n$5\r\nbirth\r\n$3\r\nbad\r\n_\r\n_\r\n"[..], b":1\r\n"] {
        let mut world = World::new();
        world.ask(1, "bob");
        world.say(strange);
        assert!(matches!(world.found(), Some((1, Some(crate::store::Found::Unusable(_))))));
        assert!(world.store.is_ready());
    }
    // Nor is what it refuses a reason to leave it.
    let mut world = World::new();
    world.ask(1, "bob");
    world.say(b"-OOM command not allowed\r\n");
    assert_eq!(world.found(), Some((1, None)));
    assert!(world.store.is_ready());
}

#[test]
fn a_reply_that_nobody_has_asked_for_gives_the_connection_up() {
    let mut world = World::new();
    world.say(b"+OK\r\n");
    assert!(!world.store.is_ready());
}

/// What was not heard is said again by the next connection.
#[test]
fn what_a_store_has_not_heard_it_is_told_again() {
    let mut world = World::new();
    let (ann, origin) = (Name::new("ann").unwrap(), Origin::of([192, 0, 2, 1].into()));
    world.store.end_all(Ticket(1), &ann, EndReason::Disabled);
    world.store.charge(origin, Duration::from_secs(5));
    assert!(world.written().contains("porter:debt:192.0.2.1"));
    world.store.handle_closed("gone", world.now);
    assert_eq!(world.found(), Some((1, None)));
    world.pass(Duration::from_secs(1));
    world.reconnect(b"");
    for said in ["disabled", "porter:debt:192.0.2.1"] {
        assert!(world.written_first.contains(said), "{said} in {}", world.written_first);
    }
}

/// A store that takes nothing more costs a line of the log, and no connection again and again.
#[test]
fn a_store_that_is_full_is_no_reason_to_connect_anew() {
    let (mut world, _) = with_session([3; 16]);
    while world.store.poll_notice().is_some() {}
    for _ in 0..50 {
        world.pass(Duration::from_secs(1));
        world.written();
        while world.store.pipeline.waiting() > 0 {
            world.say(b"-MISCONF Errors writing to the AOF file: No space left on device\r\n");
        }
    }
    assert!(world.store.is_ready());
    let lines = std::iter::from_fn(|| world.store.poll_notice()).count();
    assert_eq!(lines, 1);
}

/// One that takes connections and drops them at once is not asked in a row.
#[test]
fn a_store_that_drops_each_connection_is_tried_with_pauses() {
    let mut world = World::new();
    let mut tries = 0;
    for _ in 0..1_000 {
        world.store.handle_closed("gone", world.now);
        world.pass(Duration::from_millis(10));
        if world.store.action(world.now) == LinkAction::Connect {
            tries += 1;
            world.store.handle_connected(world.now);
            world.say(&greeting());
        }
    }
    assert!((8..=20).contains(&tries), "{tries} in ten seconds");
}

/// What has ended is told before anything that was asked later, whenever the connection was lost: it might end what goes on.
#[test]
fn an_end_that_was_not_heard_is_said_before_what_waits() {
    for is_in_flight in [true, false] {
        let mut world = World::new();
        let entry = EntryId([1; 16]);
        if is_in_flight {
            world.store.ask_until_answered(Retry::End { entry });
            world.written();
            world.store.handle_closed("gone", world.now);
        } else {
            // Not even written, and so old that whoever waits for an answer would not be served any more.
            world.store.handle_closed("gone", world.now);
            world.store.ask_until_answered(Retry::End { entry });
            world.written();
        }
        world.pass(STORE_REPLY - Duration::from_millis(100));
        world.store.resume(Ticket(1), &[1; 16], &[2; 16], ([192, 0, 2, 1], 4000).into(), None);
        world.written();
        world.pass(Duration::from_millis(100));
        world.reconnect(b"");
        let end = world.written_first.find("A session is over").unwrap();
        let resume = world.written_first.find("Somebody is back").unwrap();
        assert!(end < resume, "{}", world.written_first);
    }
}

/// While something that was written may still be carried out, nothing is said that it could undo.
#[test]
fn the_next_connection_waits_for_what_was_written_on_the_last() {
    let mut world = World::new();
    world.pass(Duration::from_secs(4));
    world.ask(1, "bob");
    world.store.handle_closed("gone", world.now);
    world.pass(STORE_REPLY - Duration::from_millis(1));
    assert_ne!(world.store.action(world.now), LinkAction::Connect);
    world.pass(Duration::from_millis(1));
    assert_eq!(world.store.action(world.now), LinkAction::Connect);
}

/// A clock that was set makes everything late: it is looked at anew, and what must not be left is said again.
#[test]
fn a_clock_that_was_set_is_looked_at_anew() {
    let mut world = World::new();
    world.store.ask_until_answered(Retry::End { entry: EntryId([1; 16]) });
    world.written();
    world.say(b"-LATE nobody waits for it any more\r\n");
    let written = world.written();
    assert!(written.contains("TIME") && written.contains("A session is over"), "{written}");
    world.say(b"*2\r\n$10\r\n1800000000\r\n$1\r\n0\r\n-LATE nobody waits for it any more\r\n");
    let until = (1_800_000_000_000 - 1 + STORE_REPLY.as_millis()).to_string();
    assert!(world.written().contains(&until));
    assert!(world.store.is_ready());
}

/// Where the oldest is late all are given up, and what was written after it is not to be carried out either.
#[test]
fn a_script_is_waited_for_as_long_as_what_was_asked_before_it() {
    let mut world = World::new();
    world.ask(1, "bob");
    world.pass(Duration::from_millis(300));
    world.store.ask_until_answered(Retry::End { entry: EntryId([1; 16]) });
    let written = world.written();
    let until = format!("\r\n{}\r\n", STORE_REPLY.as_millis() - 1);
    assert!(written.ends_with(&until), "{written}");
}

/// The story: two were let in at one server by one token, and a third elsewhere in between. When all of that was answered in
/// one turn the last was sent away with the first, or neither.
#[test]
fn a_word_between_two_resumes_takes_the_first_along() {
    let mut world = World::new();
    let (entry, peer) = (EntryId([7; 16]), ([192, 0, 2, 1], 4000).into());
    let mut sessions = crate::auth::Sessions::default();
    let mut carried = Vec::new();
    for number in [1, 2] {
        world.store.resume(Ticket(number), &[1; 16], &[1 + number as u8; 16], peer, None);
        let token = crate::auth::Token::new([1 + number as u8; 16]);
        let connection = crate::slots::Key::unpack(number << 32 | number).unwrap();
        carried.push(sessions.open(Name::new("ann").unwrap(), token, connection));
    }
    world.written();
    let id = "07".repeat(16);
    let resumed = |generation| format!("*3\r\n$32\r\n{id}\r\n$3\r\nann\r\n:{generation}\r\n");
    let channel = world.store.carriage.channel();
    let moved = format!(">3\r\n+message\r\n+{channel}\r\n+moved {id}\r\n");
    world.say([resumed(2), moved, resumed(4)].concat().as_bytes());
    for (ticket, session) in [1, 2].into_iter().zip(&carried) {
        assert!(
            matches!(world.found(), Some((number, Some(crate::store::Found::Resumed(Some(_))))) if number == ticket)
        );
        assert_eq!(world.store.carried(entry), None);
        world.store.carry(entry, Some(*session));
    }
    assert_eq!(world.store.poll_news(true), Some(crate::store::News::Moved(carried[0])));
    assert_eq!(world.store.poll_news(true), None);
    assert_eq!(world.store.carried(entry), Some(carried[1]));
}

/// A world in which somebody is logged in.
fn with_session(token: [u8; 16]) -> (World, SessionId) {
    let mut world = World::new();
    let session = SessionId::ELSEWHERE;
    let password = PasswordHash { rounds: 1, salt: [1; 16], hash: [2; 16] };
    let peer = ([192, 0, 2, 1], 4000).into();
    world.store.open(Ticket(1), &Name::new("ann").unwrap(), &password, &token, peer);
    world.written();
    world.say(b"+done\r\n");
    let Some((1, Some(crate::store::Found::Opened(Some(entry))))) = world.found() else {
        panic!("it is open")
    };
    world.store.carry(entry, Some(session));
    (world, session)
}
