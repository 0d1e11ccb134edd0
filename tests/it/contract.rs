//! The server's loop is the contract's: whatever is said, both answer with the same bytes, and connections end alike.
//!
//! An engine that is driven by `src/engine/driver.rs` over wires in memory says what each client must read after each
//! step of a random conversation; a server on a thread of its own must have sent exactly that.

#[path = "../../src/engine/driver.rs"]
mod driver;
mod memory;

use driver::{Driver, Shares};
use memory::{Counter, MemoryStore, Shared};
use porter::Moment;
use porter::auth::Name;
use porter::engine::{Config, ConnId, Engine, TransportEvent};
use porter::handler::{Chat, Echo, Handler};
use porter::protocol::Request;
use porter::server::{Options, Server, ServerThread};
use porter::store::{Lookup, Store};
use socket2::SockRef;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::rc::Rc;
use std::time::Duration;

const SEEDS: u64 = 60;
/// The longest that any wait may take: what is waited for comes at once, or never.
const CEILING: Duration = Duration::from_secs(30);
const STEPS: usize = 40;
const NAMES: [&str; 4] = ["ann", "bob", "cid", "D\u{f6}rte"];
const PASSWORDS: [&str; 2] = ["open sesame", "something else"];
/// It never misbehaves.
const OBSERVER: usize = 0;
const HELLO: u8 = 0x81;
const WELCOME: u8 = 0x83;
const MESSAGE: u8 = 0x84;
const ERROR: u8 = 0x8f;

/// One who speaks in both worlds.
struct Client {
    conn: ConnId,
    pipe: Shared,
    /// Gone once the connection is over.
    stream: Option<TcpStream>,
    /// Which of the tokens is its own; 0 is nobody's.
    token: usize,
}

/// The same bytes for the contract's engine and for the server, but for tokens.
type Both = [Vec<u8>; 2];

struct Worlds {
    engine: Engine<MemoryStore>,
    driver: Driver<Shared>,
    now: Moment,
    server: ServerThread,
    clients: Vec<Client>,
    /// What the contract's engine has given out, and the server in its place.
    tokens: Vec<[[u8; 16]; 2]>,
    is_chat: bool,
    random: u64,
    /// What it is all about, for whoever reads of a failure.
    story: String,
    /// Replies by kind.
    heard: [u32; 256],
}

fn handler(is_chat: bool) -> Box<dyn Handler> {
    if is_chat { Box::new(Chat) } else { Box::new(Echo) }
}

impl Worlds {
    fn new(seed: u64) -> Worlds {
        let is_chat = seed % 2 == 1;
        let config = Config {
            hash_rounds: 3,
            penalty: Duration::ZERO,
            chat_rate: 0,
            login_timeout: Duration::from_secs(3_600),
            resume_window: Duration::from_secs(3_600),
            ..Config::default()
        };
        let engine =
            Engine::new(config.clone(), MemoryStore::default(), handler(is_chat), Box::new(Counter(seed)));
        let options = Options { port: 0, config, ..Options::default() };
        let server = move || Server::with_store(options, MemoryStore::default(), handler(is_chat));
        let server = ServerThread::spawn(server).unwrap();
        Worlds {
            engine: engine.unwrap(),
            driver: Driver::new(),
            now: Moment::START,
            server,
            clients: Vec::new(),
            tokens: vec![[[0; 16]; 2]],
            is_chat,
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            story: format!("seed {seed}"),
            heard: [0; 256],
        }
    }

    /// A number below `bound`.
    fn below(&mut self, bound: usize) -> usize {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) as usize % bound
    }

    fn connect(&mut self) {
        let stream = TcpStream::connect(self.server.address()).unwrap();
        stream.set_read_timeout(Some(CEILING)).unwrap();
        stream.set_nodelay(true).unwrap();
        let (peer, pipe) = (stream.local_addr().unwrap(), Shared::default());
        let conn = self.driver.accept(&mut self.engine, peer, Rc::clone(&pipe), self.now).unwrap();
        self.clients.push(Client { conn, pipe, stream: Some(stream), token: 0 });
        self.rest();
        self.compare();
    }

    /// One turn of the contract's loop.
    fn turn(&mut self) {
        let (looks, rounds) = ([1, 3, 1_024][self.below(3)], [1, 2, 1_000][self.below(3)]);
        self.now = self.now + Duration::from_micros(10);
        self.driver.turn(&mut self.engine, Shares { looks, rounds }, self.now, drop);
    }

    /// Turns until the loop would wait.
    fn rest(&mut self) {
        let mut turns = 0..10_000;
        while self.driver.next_turn(&mut self.engine).is_some_and(|due| due <= self.now) {
            assert!(turns.next().is_some(), "{}: the loop does not come to rest", self.story);
            self.turn();
        }
    }

    fn tell(&mut self, who: usize, closed: Option<TransportEvent<'_>>) {
        self.driver.note_event(&mut self.engine, self.clients[who].conn, closed, self.now);
    }

    /// Sends one portion to both; what the contract's loop does of it at once is up to chance.
    fn send(&mut self, who: usize, portion: &Both) {
        self.clients[who].pipe.borrow_mut().sent.extend_from_slice(&portion[0]);
        self.tell(who, None);
        for _ in 0..self.below(3) {
            self.turn();
        }
        let Some(mut stream) = self.clients[who].stream.as_ref() else { return };
        if let Err(error) = stream.write_all(&portion[1]) {
            // It was closed for what came before, and discards no more.
            let is_over = matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset);
            assert!(is_over, "{}: {error}", self.story);
            self.rest();
            assert!(self.clients[who].pipe.borrow().is_shut, "{}: {error}", self.story);
        }
    }

    /// Cuts bytes in unkind places, or not, and sends the portions.
    fn send_cut(&mut self, who: usize, [mut contracts, mut servers]: Both) {
        let cuts = self.below(5);
        for _ in 0..cuts {
            let at = self.below(contracts.len().min(40) + 1);
            let rest = [contracts.split_off(at), servers.split_off(at)];
            self.send(who, &[contracts, servers]);
            [contracts, servers] = rest;
            if !self.is_chat && self.below(4) == 0 {
                self.barrier();
            }
        }
        self.send(who, &[contracts, servers]);
    }

    /// Has the server take turns: it has read what came before.
    fn barrier(&mut self) {
        let both = self.message(OBSERVER, b"are you there?");
        self.send(OBSERVER, &both);
        self.rest();
        self.compare_one(OBSERVER);
    }

    fn encoded(&self, token: usize, encode: impl Fn(&[u8; 16], &mut Vec<u8>)) -> Both {
        self.tokens[token].map(|token| {
            let mut bytes = Vec::new();
            encode(&token, &mut bytes);
            bytes
        })
    }

    fn message(&self, who: usize, text: &[u8]) -> Both {
        self.encoded(self.clients[who].token, |token, bytes| Request::Message { token, text }.encode(bytes))
    }

    fn plain(&self, request: Request<'_>) -> Both {
        self.encoded(0, |_, bytes| request.encode(bytes))
    }

    /// A frame of somebody who has logged in, mostly a legal one.
    fn member_frame(&mut self, who: usize) -> Both {
        let token = self.clients[who].token;
        let length = self.below(300);
        match self.below(60) {
            0 => self.plain(Request::Exit),
            1 => self.encoded(0, |token, bytes| Request::Message { token, text: b"not mine" }.encode(bytes)),
            2 => self.message(who, b"\xff is no text"),
            3 => self.plain(Request::Identify(b"ann")),
            4 => [vec![0; 4], vec![0; 4]],
            5 => [vec![0xff; 9], vec![0xff; 9]],
            6..12 => self.encoded(token, |token, bytes| Request::Who { token }.encode(bytes)),
            12..15 => {
                let [old, new] = [self.below(2), self.below(2)].map(|which| PASSWORDS[which].as_bytes());
                self.encoded(token, |token, bytes| Request::ChangePassword { token, old, new }.encode(bytes))
            }
            15..20 => {
                let to = NAMES[self.below(4)];
                self.message(who, format!("@{to} psst").as_bytes())
            }
            20 => self.message(who, b"@ nobody"),
            _ => self.message(who, &vec![b'x'; length]),
        }
    }

    /// Frames of somebody who is not logged in.
    fn stranger_frames(&mut self) -> Vec<Both> {
        let (name, password) = (NAMES[self.below(4)], PASSWORDS[usize::from(self.below(5) == 0)].as_bytes());
        let is_known = matches!(self.engine.store_mut().find(&Name::new(name).unwrap()), Lookup::Known(_));
        let identify = self.plain(Request::Identify(name.as_bytes()));
        let (register, login) =
            (self.plain(Request::Register(password)), self.plain(Request::Login(password)));
        match self.below(20) {
            0 => vec![self.plain(Request::Exit)],
            1 => vec![identify, self.plain(Request::Identify(b"=1"))],
            2 => vec![login],
            3 => vec![[vec![7; 30], vec![7; 30]]],
            4 => vec![identify, self.plain(Request::Register(b"short")), register],
            5..9 => {
                // The second is the observer's.
                let token = Some(self.below(self.tokens.len())).filter(|token| *token != 1).unwrap_or(0);
                vec![self.encoded(token, |token, bytes| Request::Resume(token).encode(bytes))]
            }
            9..11 => vec![identify],
            _ if is_known => vec![identify, login],
            11 => vec![identify, register],
            _ => vec![identify, register, login],
        }
    }

    /// A whole step of one who speaks.
    fn speak(&mut self, who: usize) {
        let frames = if self.clients[who].token == 0 {
            self.stranger_frames()
        } else {
            let count = [1, 1, 2, 5, 100][self.below(5)];
            (0..count).map(|_| self.member_frame(who)).collect()
        };
        let [contracts, servers] =
            [0, 1].map(|side| frames.iter().flat_map(|frame| frame[side].clone()).collect());
        self.send_cut(who, [contracts, servers]);
    }

    /// What came before an end is answered, though it comes with the end. Nothing that has to be hashed for must race with
    /// that.
    fn speak_and_half_close(&mut self, who: usize) {
        if self.clients[who].token != 0 {
            for number in 0..self.below(90) {
                let both = self.message(who, format!("{number}").as_bytes());
                self.send(who, &both);
            }
        }
        self.half_close(who);
    }

    /// Each says something before anybody is read; in echo nobody's answer depends on others.
    fn speak_at_once(&mut self) {
        for who in 0..self.clients.len() {
            if self.clients[who].token != 0 && self.clients[who].stream.is_some() {
                let text = vec![b'a' + who as u8; 1 + self.below(2_000)];
                for _ in 0..1 + self.below(80) / 70 * 70 {
                    let both = self.message(who, &text);
                    self.send(who, &both);
                }
            }
        }
    }

    fn half_close(&mut self, who: usize) {
        self.clients[who].pipe.borrow_mut().end = Some(TransportEvent::Ended);
        self.tell(who, Some(TransportEvent::HalfClosed));
        if let Some(stream) = &self.clients[who].stream {
            stream.shutdown(Shutdown::Write).unwrap();
        }
    }

    /// The connection breaks, which nobody is told: the server has noticed when it lists the same names.
    fn reset(&mut self, who: usize) {
        self.clients[who].pipe.borrow_mut().end = Some(TransportEvent::Reset);
        self.tell(who, Some(TransportEvent::WriteClosed));
        if let Some(stream) = self.clients[who].stream.take() {
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
        self.rest();
        let [contracts, servers] =
            self.encoded(self.clients[OBSERVER].token, |token, bytes| Request::Who { token }.encode(bytes));
        self.clients[OBSERVER].pipe.borrow_mut().sent.extend(contracts);
        self.tell(OBSERVER, None);
        self.rest();
        let expected = std::mem::take(&mut self.clients[OBSERVER].pipe.borrow_mut().received);
        let mut stream = self.clients[OBSERVER].stream.as_ref().unwrap();
        let mut tries = 0..100_000;
        loop {
            stream.write_all(&servers).unwrap();
            let mut frame = vec![0; 4];
            stream.read_exact(&mut frame).unwrap();
            let length = u32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]) as usize;
            frame.resize(4 + length, 0);
            stream.read_exact(&mut frame[4..]).unwrap();
            if frame == expected {
                return;
            }
            assert!(tries.next().is_some(), "{}: {expected:?} expected, not {frame:?}", self.story);
        }
    }

    /// All have read what the contract's engine has sent, and no more.
    fn compare(&mut self) {
        // A connection that has ended has others hear of it only after all have been read.
        let over: Vec<_> = (0..self.clients.len()).filter(|who| self.compare_one(*who)).collect();
        for who in over {
            self.clients[who].stream = None;
            self.clients[who].pipe.borrow_mut().end = Some(TransportEvent::Ended);
            self.tell(who, None);
        }
        self.rest();
    }

    /// Says whether the connection was over, and is so now.
    fn compare_one(&mut self, who: usize) -> bool {
        let Client { conn, pipe, .. } = &self.clients[who];
        let expected = std::mem::take(&mut pipe.borrow_mut().received);
        let is_shut = pipe.borrow().is_shut || !self.driver.wires.contains_key(conn);
        let Some(mut stream) = self.clients[who].stream.as_ref() else { return false };
        let mut got = vec![0; expected.len()];
        if let Err(error) = stream.read_exact(&mut got) {
            panic!("{}, client {who}: {error}, though {expected:?} is due", self.story);
        }
        if is_shut {
            let end = stream.read(&mut [0]);
            assert!(matches!(end, Ok(0)), "{}, client {who}: {end:?} is no end", self.story);
        }
        self.learn(who, &expected, &mut got);
        assert_eq!(got, expected, "{}, client {who}", self.story);
        is_shut
    }

    /// Takes the contract's token for the server's in each Welcome, and both for later.
    fn learn(&mut self, who: usize, expected: &[u8], got: &mut [u8]) {
        let mut at = 0;
        while let Some(head) = expected[at..].first_chunk::<5>() {
            let kind = head[4];
            self.heard[usize::from(kind)] += 1;
            if kind == WELCOME && got[at..].starts_with(head) {
                let token = at + 5..at + 21;
                let pair: [[u8; 16]; 2] =
                    [expected, &*got].map(|bytes| bytes[token.clone()].try_into().unwrap());
                got[token].copy_from_slice(&pair[0]);
                self.clients[who].token = self.tokens.len();
                self.tokens.push(pair);
            }
            at += 4 + u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        }
    }

    fn step(&mut self) {
        let here: Vec<_> =
            (1..self.clients.len()).filter(|who| self.clients[*who].stream.is_some()).collect();
        let what = self.below(20);
        if here.is_empty() || (what < 3 && here.len() < 6) {
            return self.connect();
        }
        let who = here[self.below(here.len())];
        match what {
            3 => self.speak_and_half_close(who),
            4 => self.reset(who),
            5..8 if !self.is_chat => self.speak_at_once(),
            _ => self.speak(who),
        }
        self.rest();
        self.compare();
    }

    /// Both stop, and everybody is told so.
    fn stop(mut self) -> [u32; 256] {
        self.story.push_str(", stop");
        self.engine.handle_shutdown(self.now);
        self.server.handle().stop().unwrap();
        self.rest();
        self.compare();
        assert!(self.engine.is_empty() && self.driver.wires.is_empty(), "{}", self.story);
        assert!(self.clients.iter().all(|client| client.stream.is_none()), "{}", self.story);
        self.server.join().unwrap();
        self.heard
    }
}

/// A conversation of several, from a seed.
fn conversation(seed: u64) -> [u32; 256] {
    let mut worlds = Worlds::new(seed);
    worlds.connect();
    let [name, password] = [b"observer".as_slice(), PASSWORDS[0].as_bytes()];
    for request in [Request::Identify(name), Request::Register(password), Request::Login(password)] {
        let both = worlds.plain(request);
        worlds.send(OBSERVER, &both);
    }
    worlds.rest();
    worlds.compare();
    for step in 0..STEPS {
        worlds.story = format!("seed {seed}, step {step}");
        worlds.step();
    }
    worlds.stop()
}

#[test]
fn the_server_answers_as_the_loop_of_the_contract_does() {
    let mut heard = [0; 256];
    for seed in 0..SEEDS {
        conversation(seed).iter().zip(&mut heard).for_each(|(count, sum)| *sum += count);
    }
    // It is no conversation if nobody gets in, or nobody is refused.
    let counts = [HELLO, WELCOME, MESSAGE, ERROR].map(|kind| heard[usize::from(kind)]);
    assert!(counts.iter().all(|count| *count > 100), "too little was said: {counts:?}");
}
