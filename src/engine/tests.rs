//! The engine alone: what needs a clock, a store or a source of randomness that do as they are told.

use super::*;
use crate::auth::{Name, PasswordHash};
use crate::handler::{Chat, Echo};
use crate::limits::{OUTPUT_STALL, REFUSALS_AT_ONCE};
use crate::protocol::{Code, FrameRead, Reply, Request, Wanted};
use crate::store::{Account, Completion, Failure, Fetched, Found, Lookup, Stamp, Ticket};
use slow_store::SlowStore;
use std::cell::Cell;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;
use time::OffsetDateTime;

mod chat_rate;
mod costs;
mod crowds;
mod directory;
mod disabled;
mod elsewhere;
mod figures;
mod full_room;
mod guesses;
mod hashing;
mod leftovers;
mod lists;
mod output;
mod output_total;
mod password_change;
mod reload;
mod slow_store;
mod timers;
mod transport;
mod who;

const PASSWORD: &[u8] = b"open sesame";
const ROUNDS: u32 = 1000;

/// Goes from number to number; dries up when it is told to.
struct Counter {
    next: u64,
    dry: Rc<Cell<bool>>,
}

impl Entropy for Counter {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        if self.dry.get() {
            return Err(EntropyError("dried up".to_owned()));
        }
        for byte in bytes {
            self.next =
                self.next.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (self.next >> 56) as u8;
        }
        Ok(())
    }
}

struct World {
    engine: Engine<SlowStore>,
    now: Moment,
    dry: Rc<Cell<bool>>,
    /// What a connection was sent and no test has looked at.
    unread: HashMap<ConnId, Vec<u8>>,
}

impl World {
    fn new(config: Config, handler: Box<dyn Handler>) -> World {
        let dry = Rc::new(Cell::new(false));
        let entropy = Box::new(Counter { next: 1, dry: Rc::clone(&dry) });
        let engine = Engine::new(config, SlowStore::default(), handler, entropy).unwrap();
        World { engine, now: Moment::START, dry, unread: HashMap::new() }
    }

    fn connect(&mut self) -> ConnId {
        let conn = self.engine.handle_connect(([192, 0, 2, 1], 4000).into(), self.now).unwrap();
        assert_eq!(self.said(conn)[0][0], 0x81);
        conn
    }

    fn send(&mut self, conn: ConnId, request: Request<'_>) {
        let mut bytes = Vec::new();
        request.encode(&mut bytes);
        self.engine.handle_bytes(conn, &mut bytes, self.now);
    }

    /// Hashes all there is to hash, and says how many rounds that took.
    fn hash(&mut self) -> u32 {
        let mut rounds = 0;
        while self.engine.is_hashing() {
            rounds += self.engine.handle_hashing(100, self.now);
        }
        rounds
    }

    fn store(&mut self, outcome: Result<(), String>) {
        self.engine.store_mut().answer(outcome.map_err(Failure::Other));
        self.engine.handle_completions(self.now);
    }

    fn pass(&mut self, span: Duration) {
        self.now = self.now + span;
        self.engine.handle_time(self.now);
        self.try_in_vain();
    }

    /// Sockets of which it must be tried take nothing still.
    fn try_in_vain(&mut self) {
        let connections = &self.engine.registry.connections;
        let tried = connections.iter().filter(|(_, connection)| connection.must_try());
        for (conn, backlog_bytes) in
            tried.map(|(id, it)| (id, it.transport_backlog_bytes())).collect::<Vec<_>>()
        {
            let written = Written { bytes: 0, backlog_bytes, is_blocked: true };
            self.engine.handle_writable(conn, self.now, |output| {
                assert!(output.must_try);
                written
            });
        }
    }

    fn write_all(&mut self) {
        loop {
            let looked = self.engine.handle_work(1_000, self.now);
            let conn = self.engine.poll_output().or_else(|| self.engine.poll_output_for_many());
            if let Some(conn) = conn {
                let bytes = self.engine.output(conn).to_vec();
                self.engine.handle_writable(conn, self.now, |_| Written::bytes(bytes.len()));
                self.unread.entry(conn).or_default().extend(bytes);
            } else if looked == 0 {
                return;
            }
        }
    }

    /// The bodies of the frames that a connection was sent since it was last asked.
    fn said(&mut self, conn: ConnId) -> Vec<Vec<u8>> {
        self.write_all();
        let bytes = self.unread.remove(&conn).unwrap_or_default();
        let mut stream = bytes.as_slice();
        std::iter::from_fn(|| stream.read_frame(u32::MAX).unwrap()).collect()
    }

    fn expect_error(&mut self, conn: ConnId, code: Code) -> String {
        let said = self.said(conn);
        match said.first().map(|body| Reply::decode(body).unwrap()) {
            Some(Reply::Error { code: number, explanation }) if number == code.number() => {
                explanation.to_owned()
            }
            other => panic!("{code} expected, not {other:?}"),
        }
    }

    fn register(&mut self, name: &str) -> ConnId {
        let conn = self.connect();
        self.send(conn, Request::Identify(name.as_bytes()));
        self.send(conn, Request::Register(PASSWORD));
        self.hash();
        conn
    }

    fn log_in(&mut self, name: &str) -> (ConnId, [u8; 16]) {
        let conn = self.register(name);
        self.store(Ok(()));
        self.send(conn, Request::Login(PASSWORD));
        self.hash();
        let welcome = self.said(conn).pop().unwrap();
        match Reply::decode(&welcome).unwrap() {
            Reply::Welcome { token, .. } => (conn, *token),
            other => panic!("Welcome expected, not {other:?}"),
        }
    }
}

fn config() -> Config {
    Config { hash_rounds: ROUNDS, ..Config::default() }
}

fn world() -> World {
    World::new(config(), Box::new(Echo))
}

/// Nothing is acknowledged before it is stored, and a name is taken from when it is accepted for storing.
#[test]
fn a_registration_is_acknowledged_when_it_is_stored() {
    let mut world = world();
    let ann = world.register("ann");
    assert_eq!(world.said(ann).len(), 1, "PasswordWanted(Register) and no more");
    let other = world.connect();
    world.send(other, Request::Identify(b"ann"));
    assert_eq!(world.said(other), [[0x82, Wanted::Login as u8]]);
    world.send(other, Request::Login(PASSWORD));
    world.hash();
    assert!(world.said(other).is_empty(), "a Login waits for the sync");
    world.store(Ok(()));
    assert_eq!(world.said(ann), [[0x82, Wanted::Login as u8]]);
    assert_eq!(world.said(other)[0][0], 0x83);
}

#[test]
fn a_failed_store_registers_nobody_and_asks_again() {
    let mut world = world();
    let ann = world.register("ann");
    world.said(ann);
    world.store(Err("the disk is full".to_owned()));
    world.expect_error(ann, Code::StorageFailed);
    world.send(ann, Request::Register(PASSWORD));
    world.hash();
    world.store(Ok(()));
    assert_eq!(world.said(ann), [[0x82, Wanted::Login as u8]]);
}

/// With registration closed, a name that nobody has costs the same rounds as a wrong password, and is
/// answered with the same bytes.
#[test]
fn an_unknown_name_costs_what_a_wrong_password_costs() {
    let mut world = world();
    world.log_in("ann");
    world.engine.registry.config.registration_open = false;
    let mut answers = Vec::new();
    for name in ["ann", "nobody"] {
        let conn = world.connect();
        world.send(conn, Request::Identify(name.as_bytes()));
        world.send(conn, Request::Login(b"not the password"));
        answers.push((world.hash(), world.said(conn)));
    }
    assert_eq!(answers[0], answers[1]);
    assert!(answers[0].0 >= ROUNDS - 1);
}

/// Nobody hashes for those who have gone.
#[test]
fn hashes_of_those_who_have_gone_are_dropped() {
    let mut world = world();
    world.log_in("ann");
    let crowd: Vec<ConnId> = (0..500).map(|_| world.connect()).collect();
    for conn in &crowd {
        world.send(*conn, Request::Identify(b"ann"));
        world.send(*conn, Request::Login(b"not the password"));
    }
    world.engine.handle_hashing(10, world.now);
    for (n, conn) in crowd.into_iter().enumerate() {
        if n % 2 == 0 {
            world.engine.handle_transport(conn, TransportEvent::Reset, world.now);
        } else {
            world.engine.handle_transport(conn, TransportEvent::HalfClosed, world.now);
        }
    }
    assert_eq!(world.hash(), 0);
}

/// What the server itself keeps a visitor waiting is not the visitor's time.
#[test]
fn the_login_timeout_does_not_run_while_the_server_keeps_a_visitor_waiting() {
    let mut world = world();
    let conn = world.connect();
    world.pass(Duration::from_secs(29));
    world.send(conn, Request::Identify(b"ann"));
    world.send(conn, Request::Register(PASSWORD));
    world.pass(Duration::from_secs(500));
    world.hash();
    world.pass(Duration::from_secs(500));
    world.store(Ok(()));
    assert_eq!(world.said(conn).last().unwrap()[..], [0x82, Wanted::Login as u8]);
    world.pass(Duration::from_secs(1));
    world.expect_error(conn, Code::TimedOut);
}

#[test]
fn a_server_without_random_bytes_says_that_the_fault_is_its_own() {
    let mut world = world();
    let conn = world.connect();
    world.send(conn, Request::Identify(b"ann"));
    world.said(conn);
    world.dry.set(true);
    world.send(conn, Request::Register(PASSWORD));
    world.expect_error(conn, Code::Internal);
}

/// A connection that another one's message ends is not met again by a late event, though its slot is
/// somebody else's by then.
#[test]
fn a_late_event_does_not_reach_the_next_in_the_slot() {
    let mut world = World::new(Config { output_limit_bytes: 200, ..config() }, Box::new(Chat));
    let (ann, token) = world.log_in("ann");
    let (bob, _) = world.log_in("bob");
    world.said(ann);
    world.send(ann, Request::Message { token: &token, text: &[b'x'; 200] });
    world.said(bob);
    world.engine.handle_transport(bob, TransportEvent::Reset, world.now);
    let commands: Vec<_> = std::iter::from_fn(|| world.engine.poll_command()).collect();
    assert_eq!(commands.last(), Some(&(bob, SocketCommand::Close)));
    let carol = world.connect();
    assert_eq!(carol.index(), bob.index());
    world.send(bob, Request::Exit);
    world.engine.handle_transport(bob, TransportEvent::HalfClosed, world.now);
    world.engine.handle_transport(bob, TransportEvent::Ended, world.now);
    world.engine.handle_transport(bob, TransportEvent::Reset, world.now);
    assert_eq!((world.engine.output(bob).len(), world.engine.read_budget(bob)), (0, ReadBudget::Nothing));
    world.send(carol, Request::Identify(b"carol"));
    assert_eq!(world.said(carol), [[0x82, Wanted::Register as u8]]);
}

/// Above the limit a bounded number is told so, and the next not even that.
#[test]
fn those_above_the_limit_are_told_so_in_bounded_number() {
    let mut world = World::new(Config { max_connections: 2, ..config() }, Box::new(Echo));
    let (first, _) = (world.connect(), world.connect());
    let peer: SocketAddr = ([192, 0, 2, 1], 4000).into();
    for _ in 0..REFUSALS_AT_ONCE {
        let conn = world.engine.handle_connect(peer, world.now).unwrap();
        let said = world.expect_error(conn, Code::Busy);
        assert!(said.starts_with("1 ") && said.contains("at its connection limit"), "{said}");
    }
    assert_eq!(world.engine.handle_connect(peer, world.now), None);
    world.engine.handle_transport(first, TransportEvent::Reset, world.now);
    while world.engine.poll_command().is_some() {}
    world.connect();
}
