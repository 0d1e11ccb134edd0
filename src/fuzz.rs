//! What a fuzzer calls: each target is an ordinary function of any bytes, and panics only if porter is wrong.
//!
//! `tests/fuzz` runs them under libFuzzer (`tests/fuzz.sh`); `cargo test` replays the corpora that it kept on any
//! toolchain. This module must not know anything that the targets do not need.

#![expect(clippy::panic, reason = "a target panics when porter is wrong: that is how a fuzzer hears of it")]

mod environment;
mod lines;
mod memory;

#[cfg(feature = "programs")]
pub use environment::configuration;
#[cfg(any(feature = "admin", feature = "fuzz"))]
pub use environment::http;
pub use environment::{phc, proxy_header};
pub use lines::{console, control};

use crate::Moment;
use crate::engine::driver::{Driver, Shares, Wire};
use crate::engine::{Config, ConnId, Engine, Entropy, EntropyError, Output, TransportEvent, Written};
use crate::handler::{Chat, Echo, Handler, Operator};
use crate::limits::HEADER_BYTES;
use crate::protocol::{FrameRead, Inbox, Lent, Reply, Request};
use crate::store::{Account, AccountChange, DiskStore, Store, Ticket};
use memory::Memory;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// Takes any bytes, and panics if porter does wrong with them.
pub type Target = fn(&[u8]);

/// The targets by name.
pub const TARGETS: &[(&str, Target)] = &[
    ("frames", frames),
    ("messages", messages),
    ("conversation", conversation),
    ("users", users),
    ("addresses", addresses),
    ("console", console),
    ("control", control),
    ("phc", phc),
    ("proxy_header", proxy_header),
    #[cfg(any(feature = "admin", feature = "fuzz"))]
    ("http", http),
    #[cfg(feature = "programs")]
    ("configuration", configuration),
];

/// Any split of the bytes gives the same frames, and nothing is kept when all are handled.
///
/// The first byte is the limit, the second the length of the portions; the rest is the stream.
pub fn frames(input: &[u8]) {
    let [limit, portion, stream @ ..] = input else { return };
    let limit_bytes = u32::from(*limit) + 1;
    let whole = bodies(stream, stream.len().max(1), limit_bytes);
    let split = bodies(stream, usize::from(*portion) % 16 + 1, limit_bytes);
    assert_eq!(whole, split);
}

/// Whatever is a message is written again as it was read.
pub fn messages(body: &[u8]) {
    let mut written = Vec::new();
    if let Ok(request) = Request::decode(body) {
        request.encode(&mut written);
        assert_eq!(&written[HEADER_BYTES..], body);
    }
    written.clear();
    if let Ok(reply) = Reply::decode(body) {
        reply.encode(&mut written);
        assert_eq!(&written[HEADER_BYTES..], body);
    }
}

/// Any bytes as `users.csv`.
pub fn users(file: &[u8]) {
    load("users.csv", file);
}

/// Any bytes as `addresses.csv`.
pub fn addresses(file: &[u8]) {
    load("addresses.csv", file);
}

/// A file is refused and left alone, or loaded; and what was loaded and mended loads again, unmended.
fn load(name: &str, file: &[u8]) {
    let disk = Memory::default();
    disk.put(name, file);
    match DiskStore::open(disk.clone()) {
        Err(_) => assert_eq!(disk.bytes(name).as_deref(), Some(file), "a refused file was changed"),
        Ok((store, _)) => {
            let users = accounts(&store);
            assert_eq!(users.len(), store.user_count());
            match DiskStore::open(disk.clone()) {
                Ok((again, repairs)) => {
                    assert!(accounts(&again) == users && repairs.is_empty());
                    alter(again, disk);
                }
                Err(error) => panic!("what was mended does not load: {error}"),
            }
        }
    }
}

/// Who was loaded can be removed, disabled and enabled, and a restart finds them so.
fn alter(mut store: DiskStore<Memory>, disk: Memory) {
    let mut users = accounts(&store);
    let changes = [AccountChange::Remove, AccountChange::Disable, AccountChange::Enable];
    for (user, change) in users.iter_mut().zip(changes) {
        assert!(store.alter(Ticket(0), user.name.clone(), change));
        user.is_disabled = change == AccountChange::Disable;
    }
    store.close();
    while let Some(completion) = store.poll_completion() {
        assert_eq!(completion.outcome, Ok(()));
    }
    users.splice(..users.len().min(1), []);
    assert_eq!(accounts(&store), users);
    match DiskStore::open(disk) {
        Ok((again, repairs)) => assert!(accounts(&again) == users && repairs.is_empty()),
        Err(error) => panic!("what was changed does not load: {error}"),
    }
}

fn accounts(store: &DiskStore<Memory>) -> Vec<Account> {
    (0..store.accounts_end()).filter_map(|number| store.account(number)).collect()
}

/// A whole conversation of up to eight visitors, some of whom know the protocol and none of whom keeps to it.
pub fn conversation(script: &[u8]) {
    let mut script = Script(script);
    let handler: Box<dyn Handler> = match script.byte() % 3 {
        0 => Box::new(Echo),
        1 => Box::new(Chat),
        _ => Box::new(Operator::default()),
    };
    let mut play = Play::new(handler);
    while !script.0.is_empty() {
        let rounds = play.act(&mut script);
        play.turn(rounds);
    }
    play.end();
}

fn bodies(stream: &[u8], portion: usize, limit_bytes: u32) -> (Vec<Vec<u8>>, bool) {
    let mut inbox = Inbox::default();
    let mut bodies = Vec::new();
    for portion in stream.chunks(portion) {
        let mut portion = portion.to_vec();
        let mut lent = Lent::new(&mut portion);
        loop {
            match inbox.next_frame(&mut lent, limit_bytes) {
                Ok(Some(body)) => bodies.push(body.to_vec()),
                Ok(None) => break,
                Err(_) => return (bodies, true),
            }
        }
        inbox.keep(&mut lent);
        assert!(inbox.len() < HEADER_BYTES + limit_bytes as usize);
    }
    (bodies, false)
}

/// The input, as decisions.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let (bytes, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        bytes.to_vec()
    }
}

/// A visitor's end of a wire, and what lies on it.
#[derive(Default)]
struct Peer {
    /// What it has sent and the engine has not read.
    sent: Vec<u8>,
    /// How nothing more comes from it, once that is so.
    end: Option<TransportEvent<'static>>,
    /// The engine has heard of the end.
    is_over: bool,
    /// So many bytes it takes now.
    takes: usize,
    received: Vec<u8>,
}

type Shared = Rc<RefCell<Peer>>;

impl Wire for Shared {
    fn is_readable(&self) -> bool {
        let peer = self.borrow();
        !peer.sent.is_empty() || (peer.end.is_some() && !peer.is_over)
    }

    fn read(&mut self, most: usize) -> Result<Vec<u8>, TransportEvent<'static>> {
        let mut peer = self.borrow_mut();
        match peer.end {
            Some(end) if peer.sent.is_empty() => {
                peer.is_over = true;
                Err(end)
            }
            _ => {
                let count = peer.sent.len().min(most);
                Ok(peer.sent.drain(..count).collect())
            }
        }
    }

    fn write(&mut self, output: Output<'_>) -> Written {
        let mut peer = self.borrow_mut();
        let mut taken = output.bytes.to_vec();
        taken.truncate(std::mem::take(&mut peer.takes));
        peer.received.extend_from_slice(&taken);
        Written::bytes(taken.len())
    }

    fn shut_down(&mut self) {}
}

struct Play {
    engine: Engine<DiskStore<Memory>>,
    driver: Driver<Shared>,
    now: Moment,
    here: Vec<(ConnId, Shared)>,
    tokens: Vec<[u8; 16]>,
}

impl Play {
    fn new(handler: Box<dyn Handler>) -> Play {
        let config = Config {
            hash_rounds: 3,
            max_connections: 6,
            output_limit_bytes: 4_400,
            max_frame_bytes: 2_048,
            idle_timeout: Some(Duration::from_secs(20)),
            ..Config::default()
        };
        let store = DiskStore::open(Memory::default()).unwrap_or_else(|error| panic!("{error}")).0;
        let engine = Engine::new(config, store, handler, Box::new(Counter(0)));
        Play {
            engine: engine.unwrap_or_else(|error| panic!("{error}")),
            driver: Driver::new(),
            now: Moment::START,
            here: Vec::new(),
            tokens: vec![[0; 16]],
        }
    }

    /// One thing that happens. Says how many rounds of hashes the turn after it does.
    fn act(&mut self, script: &mut Script<'_>) -> u32 {
        const NAMES: [&[u8]; 4] = [b"ann", b"bob", b"server", b"=1"];
        const PASSWORDS: [&[u8]; 3] = [b"open sesame", b"short", b"not the password"];
        let (what, which) = (script.byte(), script.byte());
        let peer = self.here.get(usize::from(which) % self.here.len().max(1)).cloned();
        let token = self.tokens[usize::from(which / 8) % self.tokens.len()];
        match (what % 13, peer) {
            (0, _) if self.here.len() < 8 => {
                let (address, peer) = (([192, 0, 2, which % 3], 4_000).into(), Shared::default());
                let conn = self.driver.accept(&mut self.engine, address, Rc::clone(&peer), self.now);
                self.here.extend(conn.map(|conn| (conn, peer)));
            }
            (1, Some(peer)) => {
                let most = usize::from(which);
                peer.1.borrow_mut().sent.append(&mut script.bytes(most));
                self.notify(peer.0, None);
            }
            (2, Some(peer)) => self.send(peer, Request::Identify(NAMES[usize::from(script.byte()) % 4])),
            (3, Some(peer)) => self.send(peer, Request::Register(PASSWORDS[usize::from(script.byte()) % 3])),
            (4, Some(peer)) => self.send(peer, Request::Login(PASSWORDS[usize::from(script.byte()) % 3])),
            (5, Some(peer)) => self.send(peer, Request::Resume(&token)),
            (6, Some(peer)) => {
                let length = usize::from(script.byte());
                let text = script.bytes(length);
                self.send(peer, Request::Message { token: &token, text: &text });
            }
            // By what else the byte says, so that inputs that were kept go on meaning what they did.
            (7, Some(peer)) if what / 13 % 4 == 2 => self.send(peer, Request::Who { token: &token }),
            (7, Some(peer)) if what / 13 % 4 == 3 => {
                let [old, new] = [script.byte(), script.byte()].map(|n| PASSWORDS[usize::from(n) % 3]);
                self.send(peer, Request::ChangePassword { token: &token, old, new });
            }
            (7, Some(peer)) => self.send(peer, Request::Exit),
            (8, Some(peer)) => self.leave(peer, script.byte()),
            (9, Some(peer)) => {
                peer.1.borrow_mut().takes = usize::from(script.byte());
                self.notify(peer.0, None);
            }
            (10, _) => return u32::from(which),
            (11, _) => self.now = self.now + Duration::from_millis(u64::from(which) * 200),
            (12, _) => {
                let length = usize::from(which);
                let line = String::from_utf8_lossy(&script.bytes(length)).into_owned();
                self.engine.handle_console_line(&line, self.now);
            }
            _ => {}
        }
        0
    }

    fn send(&mut self, (conn, peer): (ConnId, Shared), request: Request<'_>) {
        request.encode(&mut peer.borrow_mut().sent);
        self.notify(conn, None);
    }

    /// A half-close that is reported before the end is read, an end that is not, or a reset.
    fn leave(&mut self, (conn, peer): (ConnId, Shared), how: u8) {
        let (end, closed) = match how % 3 {
            0 => (TransportEvent::Ended, Some(TransportEvent::HalfClosed)),
            1 => (TransportEvent::Ended, None),
            _ => (TransportEvent::Reset, Some(TransportEvent::WriteClosed)),
        };
        peer.borrow_mut().end = Some(end);
        self.notify(conn, closed);
    }

    fn notify(&mut self, conn: ConnId, closed: Option<TransportEvent<'_>>) {
        self.driver.note_event(&mut self.engine, conn, closed, self.now);
    }

    /// One turn, and a look at what has come of it.
    fn turn(&mut self, rounds: u32) {
        let shares = Shares { looks: 8, rounds };
        self.driver.turn(&mut self.engine, shares, self.now, |line| {
            assert!(!line.chars().any(char::is_control), "{line:?}");
        });
        for (conn, peer) in std::mem::take(&mut self.here) {
            assert!(self.engine.output(conn).len() < 4_400 + 256, "beyond the limit");
            self.read(&mut peer.borrow_mut());
            if self.driver.wires.contains_key(&conn) {
                self.here.push((conn, peer));
            }
        }
    }

    /// Every whole frame that a peer was sent is a reply.
    fn read(&mut self, peer: &mut Peer) {
        let bytes = std::mem::take(&mut peer.received);
        let mut stream = bytes.as_slice();
        let mut rest = stream;
        while let Ok(Some(body)) = stream.read_frame(u32::MAX) {
            rest = stream;
            match Reply::decode(&body) {
                Ok(Reply::Welcome { token, .. }) => self.tokens.push(*token),
                Ok(_) => {}
                Err(error) => panic!("{error}"),
            }
        }
        peer.received = rest.to_vec();
    }

    /// When all have gone the loop comes to rest, and nothing is left to do.
    fn end(mut self) {
        for peer in self.here.clone() {
            self.leave(peer, 2);
        }
        let mut turns = 0..10_000;
        while self.driver.next_turn(&mut self.engine).is_some_and(|due| due <= self.now) {
            assert!(turns.next().is_some(), "it does not come to rest");
            self.turn(u32::MAX);
        }
        self.now = self.now + Duration::from_secs(10_000);
        self.turn(u32::MAX);
        assert!(self.engine.is_empty() && !self.engine.is_hashing());
        assert_eq!(self.driver.next_turn(&mut self.engine), None);
    }
}

struct Counter(u64);

impl Entropy for Counter {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (self.0 >> 56) as u8;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Replays what the fuzzer has kept.
    #[test]
    fn the_corpora_find_nothing() {
        for (name, target) in TARGETS.iter().copied() {
            let folder = format!("{}/tests/fuzz/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
            let mut replayed = 0;
            for entry in fs::read_dir(&folder).unwrap() {
                target(&fs::read(entry.unwrap().path()).unwrap());
                replayed += 1;
            }
            assert!(replayed > 0, "{folder} is empty");
        }
    }
}
