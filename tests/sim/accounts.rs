//! Accounts, administered while clients come, the disk fails and the power too: a world of its own for each seed.
//!
//! What was acknowledged is so, for whoever is here and after any crash; what was refused is not, and what was neither may
//! be either. Unlike the other world this one has no network: what it looks at is who may log in, with which password.

mod model;

use crate::disk::{Clock, Fault, SimDisk};
use crate::each_seed;
use crate::random::Random;
use crate::recorder::{SeededEntropy, Source};
use crate::wire::{Said, take_reply};
use model::{NAMES, Request, State, Users, password};
use porter::Moment;
use porter::auth::Name;
use porter::command::Answer;
use porter::engine::{CommandId, Config, ConnId, Engine, SocketCommand, TransportEvent, Written};
use porter::handler::Echo;
use porter::protocol::Request as Frame;
use porter::store::{DiskStore, Store};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// Rounds of new hashes of clients. Those of the administrator's have others.
const ROUNDS: u32 = 4;

struct World {
    random: Random,
    clock: Clock,
    disk: SimDisk,
    entropy: SeededEntropy,
    engine: Option<Engine<DiskStore<SimDisk>>>,
    users: Users,
    /// Commands that are not answered, in the order in which they were given.
    asked: Vec<(CommandId, Request)>,
    sessions: Vec<Session>,
    /// What was said to each connection and not looked at.
    said: BTreeMap<ConnId, Vec<u8>>,
    closed: Vec<ConnId>,
    next_password: u32,
    /// Since the last start nothing has gone wrong.
    is_calm: bool,
}

struct Session {
    name: &'static str,
    token: [u8; 16],
    conn: ConnId,
}

/// The process, or the machine, has died in the midst of what was to be done.
struct Died;

impl World {
    fn new(seed: u64) -> World {
        let mut random = Random::new(seed ^ 0x0acc_0047);
        let clock: Clock = Rc::new(Cell::new(Moment::START));
        let disk = SimDisk::new(clock.clone(), Random::new(random.next()), Duration::from_millis(3));
        let source = Source { random: Random::new(random.next()), failures: 0, drawn: Vec::new() };
        let mut world = World {
            random,
            clock,
            disk,
            entropy: SeededEntropy(Rc::new(RefCell::new(source))),
            engine: None,
            users: Users::default(),
            asked: Vec::new(),
            sessions: Vec::new(),
            said: BTreeMap::new(),
            closed: Vec::new(),
            next_password: 0,
            is_calm: true,
        };
        world.boot();
        world
    }

    fn engine(&mut self) -> &mut Engine<DiskStore<SimDisk>> {
        self.engine.as_mut().unwrap()
    }

    fn now(&mut self) -> Moment {
        self.clock.set(self.clock.get() + Duration::from_nanos(1));
        self.clock.get()
    }

    fn boot(&mut self) {
        let opened = DiskStore::open(self.disk.clone()).or_else(|_| {
            self.disk.heal();
            DiskStore::open(self.disk.clone())
        });
        let (store, _) = opened.unwrap_or_else(|error| panic!("the server does not start again: {error}"));
        self.users.check_start(&store);
        let config = Config {
            hash_rounds: ROUNDS,
            penalty: Duration::ZERO,
            hash_rounds_per_second: 1_000_000,
            max_attempts: 1_000,
            resume_window: Duration::from_secs(3_600),
            ..Config::default()
        };
        let entropy = Box::new(self.entropy.clone());
        self.engine = Some(Engine::new(config, store, Box::new(Echo), entropy).unwrap());
        self.is_calm = true;
    }

    /// The process or the machine dies; what was asked for may have been done or not.
    fn crash(&mut self, is_machine: bool) {
        let asked = std::mem::take(&mut self.asked);
        self.users.doubt(asked.iter().map(|(_, request)| request));
        self.engine = None;
        self.sessions.clear();
        self.said.clear();
        self.closed.clear();
        let salt = self.random.next();
        self.disk.crash(is_machine, salt);
        self.boot();
    }

    fn crash_somehow(&mut self) {
        let is_machine = !self.random.one_in(3);
        self.crash(is_machine);
    }

    /// Turns of the server until it has nothing more to do; the rounds that it has hashed.
    fn settle(&mut self) -> Result<u32, Died> {
        let mut rounds = 0;
        for _ in 0..1_000 {
            let now = self.now();
            let engine = self.engine();
            engine.handle_time(now);
            engine.handle_work(100, now);
            rounds += engine.handle_hashing(10, now);
            let due = engine.store_mut().next_commit();
            if due.is_some_and(|due| due <= now) {
                engine.store_mut().commit(now);
            }
            if self.disk.is_dead() {
                return Err(Died);
            }
            let engine = self.engine();
            engine.handle_completions(now);
            let is_busy = engine.is_hashing() || engine.has_work();
            self.write(now);
            self.take_answers();
            match due {
                _ if is_busy => {}
                Some(due) => self.clock.set(self.clock.get().max(due)),
                None if !self.engine().is_storing() => return Ok(rounds),
                None => {}
            }
        }
        panic!("there is always something to do: {:?}", self.asked);
    }

    fn write(&mut self, now: Moment) {
        let engine = self.engine.as_mut().unwrap();
        while let Some(conn) = engine.poll_output().or_else(|| engine.poll_output_for_many()) {
            let said = self.said.entry(conn).or_default();
            engine.handle_writable(conn, now, |output| {
                let bytes = output.bytes.to_vec();
                said.extend_from_slice(&bytes);
                Written::bytes(bytes.len())
            });
        }
        while engine.poll_unblocked().is_some() {}
        while let Some((conn, command)) = engine.poll_command() {
            match command {
                SocketCommand::ShutDown => engine.handle_transport(conn, TransportEvent::Ended, now),
                SocketCommand::Close => self.closed.push(conn),
            }
        }
        while engine.poll_console_line().is_some() {}
    }

    /// Looks whether commands are answered: then what they asked for is in force.
    fn take_answers(&mut self) {
        let mut asked = std::mem::take(&mut self.asked);
        let is_alone = asked.len() == 1;
        let (mut done, mut failed) = (Vec::new(), Vec::new());
        asked.retain(|(id, request)| {
            let Some(answer) = self.engine.as_mut().unwrap().poll_answer(*id) else { return true };
            match answer {
                Answer::Done(_) => done.push(request.clone()),
                Answer::Failed(reason) => {
                    if self.is_calm && is_alone {
                        assert!(!self.users.may_be_done(request), "{request:?} was refused: {reason}");
                    }
                    failed.push((request.clone(), reason));
                }
                other => panic!("{request:?} was answered with {other:?}"),
            }
            false
        });
        self.asked = asked;
        // An import that was asked for first comes behind what else the store was asked meanwhile.
        while !done.is_empty() {
            let next = done.iter().position(|request| self.users.may_be_done(request)).unwrap_or(0);
            self.users.done(&done.remove(next));
        }
        failed.iter().for_each(|(request, reason)| self.users.failed(request, reason));
    }

    fn connect(&mut self) -> ConnId {
        let now = self.now();
        self.engine().handle_connect("192.0.2.1:5000".parse().unwrap(), now).unwrap()
    }

    fn send(&mut self, conn: ConnId, frame: &Frame<'_>) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        let now = self.now();
        self.engine().handle_bytes(conn, &mut bytes, now);
        self.write(now);
    }

    fn said(&mut self, conn: ConnId) -> Vec<Said> {
        let bytes = self.said.entry(conn).or_default();
        std::iter::from_fn(|| take_reply(bytes)).collect()
    }

    /// Identifies somebody: whether a password is wanted for a login, or for a registration.
    fn identify(&mut self, name: &str) -> (ConnId, bool) {
        let conn = self.connect();
        self.send(conn, &Frame::Identify(name.as_bytes()));
        match self.said(conn).pop() {
            Some(Said::Wanted(wanted)) => (conn, wanted == 1),
            other => panic!("{name} was told {other:?}"),
        }
    }

    /// Somebody tries to log in, and is let in if the account says so.
    fn log_in(&mut self, name: &'static str, guess: u32) -> Result<(), Died> {
        if !self.asked.is_empty() {
            return Ok(());
        }
        let state = self.users.state(name);
        let (conn, is_known) = self.identify(name);
        assert_eq!(is_known, state != State::Absent, "{name} is {state:?}");
        if !is_known {
            return Ok(());
        }
        let expected_rounds = model::rounds(name, self.engine().store_mut());
        self.send(conn, &Frame::Login(password(guess).as_bytes()));
        let rounds = self.settle()?;
        match (self.said(conn).pop(), state) {
            (Some(Said::Welcome(token, _)), State::Active(right)) if right == guess => {
                self.sessions.push(Session { name, token, conn });
            }
            (Some(Said::Error(4, _)), State::Active(right)) if right != guess => {}
            (Some(Said::Error(4, _)), State::Disabled(_)) => {
                assert_eq!(rounds, expected_rounds, "{name} is disabled, which the time of a login tells");
            }
            (said, _) => panic!("{name} is {state:?}, tried password {guess} and was told {said:?}"),
        }
        Ok(())
    }

    /// Somebody registers, which may be in the midst of what else is asked for.
    fn register(&mut self, name: &'static str) -> Result<(), Died> {
        let chosen = self.new_password();
        let (conn, is_known) = self.identify(name);
        if is_known || !self.asked.is_empty() {
            return Ok(());
        }
        let request = Request::Add(name, chosen);
        self.send(conn, &Frame::Register(password(chosen).as_bytes()));
        if let Err(died) = self.settle() {
            self.users.doubt([&request].into_iter());
            return Err(died);
        }
        match self.said(conn).pop() {
            Some(Said::Wanted(1)) => self.users.done(&request),
            Some(Said::Error(5, _)) if !self.is_calm => self.users.doubt([&request].into_iter()),
            said => panic!("{name} registered and was told {said:?}"),
        }
        Ok(())
    }

    /// A session's user wants another password, while the administrator does something to the same account.
    fn change_password(&mut self) -> Result<(), Died> {
        if self.sessions.is_empty() || !self.asked.is_empty() {
            return Ok(());
        }
        let number = self.random.below(self.sessions.len());
        let Session { name, token, conn } = self.sessions[number];
        let State::Active(before) = self.users.state(name) else { return Ok(()) };
        let new = self.new_password();
        let (old, wanted) = (password(before), password(new));
        let frame = Frame::ChangePassword { token: &token, old: old.as_bytes(), new: wanted.as_bytes() };
        self.send(conn, &frame);
        let request = Request::Password(name, new);
        if self.random.one_in(2) {
            self.ask_about(name);
        }
        let outcome = self.settle();
        if outcome.is_ok() && self.said(conn).contains(&Said::PasswordChanged) {
            self.users.done_first(name, before, new);
            // Others of hers have ended, as the other world checks.
            self.sessions.retain(|session| session.name != name || session.conn == conn);
        } else if outcome.is_err() || !self.is_calm {
            self.users.doubt([&request].into_iter());
        }
        outcome.map(|_| ())
    }

    fn new_password(&mut self) -> u32 {
        self.next_password += 1;
        self.next_password
    }

    fn ask(&mut self, request: Request) {
        let salt = self.random.next();
        let now = self.now();
        let command = request.command(salt);
        let id = self.engine().handle_command(command, now);
        self.asked.push((id, request));
    }

    fn ask_about(&mut self, name: &'static str) {
        let new = self.new_password();
        let request = match self.random.below(6) {
            0 => Request::Add(name, new),
            1 | 2 => Request::Password(name, new),
            3 => Request::Disable(name),
            4 => Request::Enable(name),
            _ => Request::Remove(name),
        };
        self.ask(request);
    }

    fn ask_something(&mut self) {
        let name = self.random.pick(&NAMES);
        if self.random.one_in(6) {
            let number = 1 + self.random.below(NAMES.len());
            let users = NAMES[..number].iter().map(|name| (*name, self.new_password())).collect();
            return self.ask(Request::Import(users));
        }
        self.ask_about(name);
    }

    /// Whoever came in by an account that is no more what it was is gone, and stays away.
    fn check_sessions(&mut self) {
        for Session { name, token, conn } in std::mem::take(&mut self.sessions) {
            let has_ended = self.users.has_ended(name);
            let was_told = self.closed.contains(&conn) || self.said(conn).contains(&Said::Bye);
            assert!(was_told || !has_ended, "{name} is {:?} and still here", self.users.state(name));
            if !has_ended {
                self.sessions.push(Session { name, token, conn });
                continue;
            }
            let again = self.connect();
            self.send(again, &Frame::Resume(&token));
            let said = self.said(again).pop();
            assert!(matches!(said, Some(Said::Error(6, _))), "{name} has resumed a session: {said:?}");
        }
        self.users.sessions_are_checked();
    }

    fn step(&mut self) -> Result<(), Died> {
        match self.random.below(16) {
            0 => {
                use Fault::*;
                let fault = self.random.pick(&[Short, NoSpace, Write, Sync, SyncKept, SyncLost]);
                let (skip, times) = (self.random.below(3) as u32, 1 + self.random.below(2) as u32);
                self.disk.fail(fault, skip, times);
                self.is_calm = false;
            }
            1 => {
                let calls = self.random.below(9) as u32;
                self.disk.set_fuse(calls);
                self.is_calm = false;
            }
            2 => self.crash_somehow(),
            3 => {
                self.engine().store_mut().close();
                self.crash_somehow();
            }
            4..7 => {
                let name = self.random.pick(&NAMES);
                let passwords = self.users.passwords(name);
                let guess = self.random.pick(&passwords);
                self.log_in(name, guess)?;
            }
            7 => {
                let name = self.random.pick(&NAMES);
                self.register(name)?;
            }
            8 | 9 => self.change_password()?,
            _ => {
                for _ in 0..1 + self.random.below(3) {
                    self.ask_something();
                }
            }
        }
        self.settle()?;
        assert!(self.asked.is_empty(), "never answered: {:?}", self.asked);
        self.check_sessions();
        Ok(())
    }
}

fn run(seed: u64) {
    let mut world = World::new(seed);
    for _ in 0..60 {
        if world.step().is_err() {
            world.crash_somehow();
        }
    }
    world.disk.heal();
    world.crash(true);
    for name in NAMES {
        if let State::Active(right) = world.users.state(name) {
            assert!(
                world.log_in(name, right).is_ok() && world.sessions.pop().is_some(),
                "{name} is not let in"
            );
        }
    }
}

#[test]
fn every_seed_holds() {
    each_seed("accounts", 1, |seed, _| run(seed));
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}
