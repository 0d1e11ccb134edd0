//! One of the servers: an engine with the shared store, driven by the contract's loop, and its end of the link.

use super::link::{Lane, Link, State};
use super::store::Store;
use super::turns::{Driver, Shares, Wire};
use crate::random::Random;
use crate::recorder::{SeededEntropy, Source};
use porter::Moment;
use porter::engine::{Config, ConnId, Engine, Output, TransportEvent, Written};
use porter::handler::Chat;
use porter::store::{DirectStore, Durability, Link as _, LinkAction, SharedStore, Store as _};
use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

pub(super) const RESUME_WINDOW: Duration = Duration::from_secs(60);
pub(super) const BIRTH: &str = "00000000000000000000000000000047";
const SHARES: Shares = Shares { looks: 10_000, rounds: 10_000 };
/// From when on a reason that was told is told again.
const SETTLED: Duration = Duration::from_secs(10);

/// A client's connection.
#[derive(Default)]
pub(super) struct Pipe {
    /// Its client's address, which no other has.
    pub(super) peer: String,
    to_server: Vec<u8>,
    pub(super) to_client: Vec<u8>,
    /// By the client: it sends nothing more, or has gone.
    is_ended: bool,
    pub(super) is_broken: bool,
    /// By the server: it says nothing more, or has closed it.
    pub(super) is_shut: bool,
    pub(super) is_closed: bool,
    /// The client did something that the server has not been told of.
    pub(super) has_news: bool,
}

impl Pipe {
    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.to_server.extend_from_slice(bytes);
        self.has_news = true;
    }

    pub(super) fn end(&mut self) {
        (self.is_ended, self.has_news) = (true, true);
    }

    pub(super) fn tear(&mut self) {
        (self.is_broken, self.has_news) = (true, true);
    }
}

pub(super) struct PipeEnd(Rc<RefCell<Pipe>>);

impl Wire for PipeEnd {
    fn is_readable(&self) -> bool {
        let pipe = self.0.borrow();
        !pipe.to_server.is_empty() || pipe.is_ended || pipe.is_broken
    }

    fn read(&mut self, most: usize) -> Result<Vec<u8>, TransportEvent<'static>> {
        let mut pipe = self.0.borrow_mut();
        if pipe.is_broken {
            return Err(TransportEvent::Reset);
        }
        let count = most.min(pipe.to_server.len());
        if count == 0 && pipe.is_ended {
            return Err(TransportEvent::Ended);
        }
        Ok(pipe.to_server.drain(..count).collect())
    }

    fn write(&mut self, output: Output<'_>) -> Written {
        let bytes = output.bytes.to_vec();
        self.0.borrow_mut().to_client.extend_from_slice(&bytes);
        Written::bytes(bytes.len())
    }

    fn shut_down(&mut self) {
        self.0.borrow_mut().is_shut = true;
    }
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        self.0.borrow_mut().is_closed = true;
    }
}

pub(super) struct Server {
    pub(super) engine: Engine<SharedStore>,
    driver: Driver<PipeEnd>,
    pub(super) link: Link,
    /// What others know it by.
    pub(super) mark: String,
    /// It is about to end.
    pub(super) is_stopping: bool,
    is_told: bool,
    /// What it has logged of the store since that was there: whether it may speak TLS by now, and when.
    reasons: Vec<(bool, Moment)>,
}

/// A store that says what every store says to whoever comes first.
struct Greeting(io::Cursor<Vec<u8>>);

impl Read for Greeting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Greeting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn shared_store(mark: [u8; 8]) -> SharedStore {
    let address: porter::store::StoreAddress = "redis://127.0.0.1".parse().unwrap();
    let greeting = format!(
        "%2\r\n+version\r\n+7.0.15\r\n+role\r\n+master\r\n%2\r\n+appendonly\r\n+yes\r\n+appendfsync\r\n+always\r\n*2\r\n+0\r\n+0\r\n${}\r\n{BIRTH}\r\n",
        BIRTH.len()
    );
    let stream = Box::new(Greeting(io::Cursor::new(greeting.into_bytes())));
    let direct = DirectStore::new(address.clone(), Durability::Always, stream).unwrap();
    SharedStore::new(address, Vec::new(), &direct, mark, RESUME_WINDOW).unwrap()
}

impl Server {
    pub(super) fn start(random: &mut Random) -> Server {
        let mut mark = [0; 8];
        random.fill(&mut mark);
        let source = Source { random: Random::new(random.next()), failures: 0, drawn: Vec::new() };
        let config = Config {
            hash_rounds: 4,
            penalty: Duration::ZERO,
            hash_rounds_per_second: 1_000_000,
            max_attempts: 1_000,
            resume_window: RESUME_WINDOW,
            chat_rate: 0,
            ..Config::default()
        };
        let entropy = Box::new(SeededEntropy(Rc::new(RefCell::new(source))));
        Server {
            engine: Engine::new(config, shared_store(mark), Box::new(Chat), entropy).unwrap(),
            driver: Driver::new(),
            link: Link::new(),
            mark: format!("{:016x}", u64::from_be_bytes(mark)),
            is_stopping: false,
            is_told: true,
            reasons: Vec::new(),
        }
    }

    pub(super) fn accept(&mut self, peer: SocketAddr, pipe: &Rc<RefCell<Pipe>>, now: Moment) -> ConnId {
        self.driver.accept(&mut self.engine, peer, PipeEnd(Rc::clone(pipe)), now).unwrap()
    }

    /// Something has happened to a connection.
    pub(super) fn note(&mut self, conn: ConnId, closed: Option<TransportEvent<'_>>, now: Moment) {
        self.driver.note_event(&mut self.engine, conn, closed, now);
    }

    /// The person at its console types this.
    pub(super) fn type_line(&mut self, line: &str, now: Moment) {
        self.engine.handle_console_line(line, now);
        self.is_told = true;
    }

    pub(super) fn stop(&mut self, now: Moment) {
        self.is_stopping = true;
        self.is_told = true;
        self.engine.handle_shutdown(now);
    }

    /// Whether the store knows all that this server could tell it.
    pub(super) fn has_told_all(&self) -> bool {
        self.engine.store().is_ready() && self.engine.store().is_idle()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.is_stopping && self.engine.is_empty() && self.engine.store().is_idle()
    }

    /// When it has something to do.
    pub(super) fn next(&mut self, now: Moment) -> Moment {
        if std::mem::take(&mut self.is_told) {
            return now;
        }
        let turn = self.driver.next_turn(&mut self.engine);
        turn.into_iter().chain(self.link.next()).min().unwrap_or(Moment::NEVER).max(now)
    }

    /// One turn: what the store has said, the clients, and what the store is told.
    pub(super) fn turn(&mut self, store: &mut Store, now: Moment) {
        self.hear(store, now);
        self.driver.turn(&mut self.engine, SHARES, now, drop);
        self.log(now);
        self.tell(store, now);
    }

    /// A store that cannot be reached is one line, and one that is back is another; so is one that is cut off before its first
    /// word, which may mean that it speaks TLS by now. Two that take turns have a line each, until one has stayed.
    fn log(&mut self, now: Moment) {
        while let Some(notice) = self.engine.store_mut().poll_notice() {
            if notice.text.contains("is back") {
                assert!(!self.reasons.is_empty(), "a server logs {:?}, and never logged more", notice.text);
                self.reasons.clear();
            } else {
                assert!(notice.text.contains("cannot be reached"), "a server logs {:?}", notice.text);
                let reason = notice.text.contains("if it speaks TLS");
                let is_told = |told: &(bool, Moment)| told.0 == reason && now < told.1 + SETTLED;
                let is_last = self.reasons.last().is_some_and(|last| last.0 == reason);
                assert!(
                    !is_last && !self.reasons.iter().any(is_told),
                    "a server logs twice: {:?}",
                    notice.text
                );
                self.reasons.push((reason, now));
            }
        }
    }

    fn hear(&mut self, store: &mut Store, now: Moment) {
        match self.link.state {
            State::Down => return,
            State::Connecting(due) if due > now => return,
            State::Connecting(_) if now < self.link.barred => {
                self.link.state = State::Down;
                return self.engine.store_mut().handle_closed("connection refused", now);
            }
            State::Connecting(_) => {
                self.link.state = State::Up;
                self.link.end = Some(store.connect());
                self.engine.store_mut().handle_connected(now);
            }
            State::Up => {}
        }
        while let Some(bytes) = self.link.to_server.receive(now) {
            if !self.engine.store_mut().handle_bytes(&bytes, now) {
                return self.close(store);
            }
        }
        if self.link.end.is_some_and(|end| store.is_closed(end)) && self.link.to_server.len() == 0 {
            self.close(store);
            self.engine.store_mut().handle_closed("it has closed the connection", now);
        }
    }

    fn tell(&mut self, store: &mut Store, now: Moment) {
        match self.engine.store_mut().action(now) {
            LinkAction::Nothing => {}
            LinkAction::Close => self.close(store),
            LinkAction::Connect => {
                // It may follow at once on one that was given up: what that had still to say is nobody's.
                self.close(store);
                self.link.state = State::Connecting(now + self.link.delay);
            }
        }
        let output = self.engine.store_mut().output(now).to_vec();
        if matches!(self.link.state, State::Up) && !output.is_empty() {
            self.engine.store_mut().advance(output.len());
            self.link.to_store.send(output, now + self.link.delay);
        }
    }

    /// Its own end is closed: what it has written is on its way all the same.
    pub(super) fn close(&mut self, store: &mut Store) {
        self.link.state = State::Down;
        self.link.to_server = Lane::default();
        let rest = std::mem::take(&mut self.link.to_store);
        if let Some(end) = self.link.end.take().filter(|end| !store.is_closed(*end)) {
            store.leave(end, rest);
        }
    }

    /// The way breaks: so much of what is under way is lost.
    pub(super) fn cut(&mut self, store: &mut Store, random: &mut Random, now: Moment) {
        if matches!(self.link.state, State::Down) {
            return;
        }
        let kept = random.below(self.link.to_store.len() + 1);
        self.link.to_store.lose_behind(kept);
        self.close(store);
        self.engine.store_mut().handle_closed("connection reset", now);
        self.is_told = true;
    }
}
