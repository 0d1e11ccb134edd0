//! A whole world: one porter, its disk, clock and random source, a network, and the clients.

use crate::agent::Agent;
use crate::disk::{Clock, SimDisk};
use crate::driver::Socket;
use crate::model::{Cause, FLUSH, Facts, Model};
use crate::net::Link;
use crate::plan::{Mode, Settings};
use crate::random::Random;
use crate::recorder::{SeededEntropy, Source, TellTale, WatchedHandler, WatchedStore};
use porter::Moment;
use porter::auth::{Name, Password, hash_password};
use porter::engine::{ConnId, Engine, ReadBudget, TransportEvent};
use porter::handler::{Chat, Echo, Handler, Operator};
use porter::store::{DiskStore, Store, Ticket};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::time::Duration;

/// Everything.
pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    pub(crate) disk: SimDisk,
    pub(crate) entropy: SeededEntropy,
    told: TellTale,
    pub(crate) engine: Option<Engine<WatchedStore>>,
    pub(crate) model: Model,
    pub(crate) links: Vec<Link>,
    /// Links that the server has not accepted yet.
    pub(crate) knocking: VecDeque<usize>,
    pub(crate) sockets: BTreeMap<ConnId, Socket>,
    pub(crate) ready: Vec<ConnId>,
    /// Those that can be written again.
    pub(crate) unblocked: VecDeque<ConnId>,
    /// Connections that are no more.
    pub(crate) gone: Vec<ConnId>,
    pub(crate) agents: Vec<Agent>,
    /// What dies in the middle of a call to the disk is the machine, not the process alone.
    pub(crate) machine_dies: bool,
    /// Before the next start somebody's editor leaves the users' file without its last line end.
    pub(crate) is_edited: bool,
    /// Memory that the engine's output took after the last call.
    held_bytes: usize,
    trace: DefaultHasher,
}

impl World {
    pub(crate) fn new(seed: u64, settings: &Settings) -> World {
        let mut random = Random::new(seed ^ 0x000f_d157);
        let clock: Clock = Rc::new(Cell::new(Moment::START));
        let disk = SimDisk::new(clock.clone(), Random::new(random.next()), settings.sync_most);
        let source = Source { random: Random::new(random.next()), failures: 0, drawn: Vec::new() };
        let agents = (0..settings.behaviours.len()).map(|n| Agent::new(n, settings, &mut random)).collect();
        let mut world = World {
            settings: settings.clone(),
            clock,
            disk,
            entropy: SeededEntropy(Rc::new(RefCell::new(source))),
            told: TellTale::default(),
            engine: None,
            model: Model::new(settings),
            links: Vec::new(),
            knocking: VecDeque::new(),
            sockets: BTreeMap::new(),
            ready: Vec::new(),
            unblocked: VecDeque::new(),
            gone: Vec::new(),
            agents,
            machine_dies: true,
            is_edited: false,
            held_bytes: 0,
            trace: DefaultHasher::new(),
        };
        while random.one_in(3) {
            world.start_in_vain(random.next());
        }
        if !settings.config.registration_open || random.one_in(3) {
            world.register_all();
        }
        if random.one_in(3) {
            world.visit_often();
        }
        world.boot(0);
        world
    }

    /// What happened, in one number.
    pub(crate) fn trace(&self) -> u64 {
        self.trace.finish()
    }

    pub(crate) fn engine(&mut self) -> &mut Engine<WatchedStore> {
        self.engine.as_mut().unwrap()
    }

    /// Registers every client's name before the run.
    fn register_all(&mut self) {
        let (mut store, _) = DiskStore::open(self.disk.clone()).unwrap();
        let mut names: Vec<(String, String)> =
            self.agents.iter().map(|agent| (agent.name.clone(), agent.password.clone())).collect();
        names.sort_by_key(|(name, _)| name.to_lowercase());
        names.dedup_by(|one, other| one.0.eq_ignore_ascii_case(&other.0));
        for (number, (name, password)) in names.iter().enumerate() {
            let hash = hash_password(&Password::new(password.as_bytes()), [number as u8; 16], 3);
            store.register(Ticket(number as u64), Name::new(name).unwrap(), hash);
            self.model.users.add(name, password);
        }
        store.close();
    }

    /// Lets so many have been at one address that the file of visitors is about to be compacted.
    fn visit_often(&mut self) {
        let (mut store, _) = DiskStore::open(self.disk.clone()).unwrap();
        for number in 0..20 {
            let address = [10, 0, 0, 1].into();
            let name = format!("visitor{number}");
            store.note_visitor(address, &Name::new(&name).unwrap());
            store.close();
            self.model.users.note_visitor(address, &name);
        }
        self.model.users.visitors_synced();
    }

    /// The machine dies in the middle of a start, or soon after.
    fn start_in_vain(&self, salt: u64) {
        self.disk.set_fuse((salt >> 8) as u32 % 8);
        let before = self.disk.bytes("users.csv");
        // What was not on the disk yet is the crash's to tear.
        let was_synced = self.disk.is_synced("users.csv");
        let died = DiskStore::open(self.disk.clone()).is_err();
        self.disk.crash(died, salt);
        if was_synced {
            self.check_saved(&before);
        }
    }

    /// What a start has cut off the users' file is in another.
    fn check_saved(&self, before: &[u8]) {
        let after = self.disk.bytes("users.csv");
        let (compacted, whole) = compacted(before);
        let kept = before.iter().zip(&after).take_while(|(byte, now)| byte == now).count();
        let cut = &before[if after == compacted { whole } else { kept }..];
        let is_kept = cut.is_empty() || self.disk.keeps("users.csv.cut-", cut);
        assert!(is_kept, "{} bytes of users.csv were cut off and not saved", cut.len());
    }

    /// Starts the server on what the disk has.
    fn boot(&mut self, salt: u64) {
        if std::mem::take(&mut self.is_edited) {
            let mut file = self.disk.bytes("users.csv");
            file.pop_if(|byte| *byte == b'\n');
            self.disk.replace("users.csv", file);
        }
        if salt % 4 == 1 {
            self.start_in_vain(salt);
        }
        let before = self.disk.bytes("users.csv");
        let opened = DiskStore::open(self.disk.clone()).or_else(|_| {
            self.disk.heal();
            DiskStore::open(self.disk.clone())
        });
        let (store, _) = opened.unwrap_or_else(|error| panic!("the server does not start again: {error}"));
        self.check_saved(&before);
        self.model.users.check(store.user_count(), |name| store.find(&Name::new(name).unwrap()));
        self.model.users.check_visitors(|address| {
            store.last_visitor(address).map_or_else(String::new, |name| name.as_str().to_owned())
        });
        let real: Box<dyn Handler> = match self.settings.mode {
            Mode::Echo => Box::new(Echo),
            Mode::Operator => Box::<Operator>::default(),
            Mode::Chat => Box::new(Chat),
        };
        let handler = WatchedHandler { real, log: self.told.clone() };
        self.entropy.0.borrow_mut().failures = 0;
        let mut config = self.settings.config.clone();
        if salt != 0 {
            config.hash_rounds = 1 + (salt >> 16) as u32 % 20;
        }
        self.model.users.rehashes_possible |= salt != 0 || self.model.users.has_users();
        let store = WatchedStore { real: store, log: Vec::new() };
        let entropy = Box::new(self.entropy.clone());
        self.engine = Some(Engine::new(config, store, Box::new(handler), entropy).unwrap());
        // What was unsure before the start is decided now.
        self.disk.take_syncs();
        self.rehearse();
    }

    /// The server is gone; its successor finds what the disk kept.
    pub(crate) fn fall(&mut self, machine: bool, salt: u64) {
        self.engine = None;
        self.told.borrow_mut().clear();
        self.sockets.values().for_each(|socket| self.links[socket.link].sever());
        self.knocking.drain(..).for_each(|link| self.links[link].sever());
        self.sockets.clear();
        self.ready.clear();
        self.unblocked.clear();
        self.gone.clear();
        self.disk.crash(machine, salt);
        self.model.forget_all();
        self.model.users.doubt_visitors();
        self.boot(salt);
    }

    /// Calls the engine, and lets the model explain what came of it.
    pub(crate) fn call(&mut self, cause: Cause<'_>) {
        let now = self.tick();
        let (slice, fan_out) = (self.settings.slice, self.settings.fan_out);
        let engine = self.engine();
        match cause {
            Cause::Bytes(id, bytes) => engine.handle_bytes(id, &mut bytes.to_vec(), now),
            Cause::Turn(id) => engine.handle_bytes(id, &mut [], now),
            Cause::HalfClose(id) => engine.handle_transport(id, TransportEvent::HalfClosed, now),
            Cause::End(id) => engine.handle_transport(id, TransportEvent::Ended, now),
            Cause::WriteClosed(id) => engine.handle_transport(id, TransportEvent::WriteClosed, now),
            Cause::Reset(id) => engine.handle_transport(id, TransportEvent::Reset, now),
            Cause::NeverOpened(id) => engine.handle_transport(id, TransportEvent::NeverOpened, now),
            Cause::Failed(id) => engine.handle_transport(id, TransportEvent::Failed("garbled"), now),
            Cause::Written(id, written, _) => engine.handle_writable(id, now, |_| written),
            Cause::FanOut => {
                engine.handle_work(fan_out, now);
            }
            Cause::Time => engine.handle_time(now),
            Cause::Hashing => {
                assert!(engine.handle_hashing(slice, now) <= slice);
            }
            Cause::Completions => engine.handle_completions(now),
            Cause::Line(line) => engine.handle_console_line(line, now),
            Cause::Shutdown => engine.handle_shutdown(now),
            Cause::Connect(..) | Cause::Late => {}
        }
        self.observe(cause, now);
    }

    pub(crate) fn observe(&mut self, cause: Cause<'_>, now: Moment) {
        let engine = self.engine.as_mut().unwrap();
        let mut said = Vec::new();
        for (id, socket) in &mut self.sockets {
            let output = engine.output(*id);
            let closing = self.model.conns.get(id).and_then(|conn| conn.closing);
            let has_failed = matches!(cause, Cause::Failed(other) if other == *id);
            let is_unwritable = has_failed || matches!(cause, Cause::WriteClosed(other) if other == *id);
            // What is closed at once takes it along.
            let is_kept = (has_failed && closing.is_none()) || (is_unwritable && !engine.is_closing(*id));
            assert!(!is_kept || output.is_empty(), "{id:?} keeps its output, which nobody can read");
            let is_late = closing.is_some_and(|since| since + FLUSH <= now);
            if output.is_empty() && (is_unwritable || is_late) {
                socket.forget();
            } else if output.is_empty() && socket.output_bytes() > 0 && engine.is_closing(*id) {
                // Closed already, and there was too much of all.
                self.model.cut_short(*id, self.held_bytes);
                socket.forget();
            }
            if socket.is_stale(output) {
                let new = socket.look(&output.to_vec());
                new.hash(&mut self.trace);
                said.push((*id, new));
            }
            if let Some(conn) = self.model.conns.get_mut(id) {
                (conn.output_before, conn.output) = (conn.output, output.len());
            }
        }
        let unserved = match cause {
            Cause::Bytes(id, _) | Cause::Turn(id) | Cause::End(id) => {
                engine.read_budget(id) == ReadBudget::Backlog || engine.output(id).len() >= 64 * 1024
            }
            _ => false,
        };
        let (held_before, sessions) = (self.held_bytes, engine.statistics().sessions);
        let fanning_out = engine.is_working();
        let closing = self.sockets.keys().copied().filter(|id| engine.is_closing(*id)).collect();
        let mut console = Vec::new();
        while let Some(line) = engine.poll_console_line() {
            console.push(line);
        }
        let stored = std::mem::take(&mut engine.store_mut().log);
        let told = std::mem::take(&mut *self.told.borrow_mut());
        let drawn = std::mem::take(&mut self.entropy.0.borrow_mut().drawn);
        (now.since_start().as_nanos(), &console, told.len()).hash(&mut self.trace);
        let engine = self.engine.as_ref().unwrap();
        let hash_jobs = engine.statistics().hash_jobs;
        self.model.explain(
            cause,
            Facts {
                now,
                said,
                told,
                stored,
                console,
                unserved,
                drawn,
                held_before,
                sessions,
                hash_jobs,
                fanning_out,
                closing,
            },
        );
        self.model.check_throttle(|address| engine.debt(address, now));
        self.check_statistics();
    }

    /// If the machine died now, or in the middle of a sync that has just been, its successor would find whoever was told
    /// that they are registered, and nobody who was refused.
    pub(crate) fn rehearse(&self) {
        for disk in self.disk.take_syncs().into_iter().chain([self.disk.copy()]) {
            disk.crash(true, self.trace());
            let (store, _) = DiskStore::open(disk)
                .unwrap_or_else(|error| panic!("after a crash the server would not start: {error}"));
            let find = |name: &str| store.find(&Name::new(name).unwrap());
            self.model.users.check_acknowledged(store.user_count(), find);
        }
    }

    /// What the engine holds is what the model says, and within its limits.
    fn check_statistics(&mut self) {
        let model = &self.model;
        let statistics = self.engine.as_ref().unwrap().statistics();
        assert_eq!(statistics.connections, model.conns.len(), "connections");
        let (least, most) = model.strangers_at_limit();
        assert!(
            (least..=most).contains(&statistics.strangers),
            "{statistics:?}, not {least} to {most} strangers"
        );
        assert!(statistics.strangers <= self.settings.config.max_strangers, "{statistics:?}");
        assert_eq!(statistics.sessions, model.sessions.len(), "sessions");
        let lost = model.sessions.values().filter(|session| session.conn.is_none()).count();
        assert_eq!(statistics.lost_sessions, lost, "lost sessions");
        assert!(lost <= self.settings.config.max_connections, "too many lost sessions");
        assert_eq!(statistics.store_requests, model.users.requests.len(), "requests to the store");
        let waiting = model.waiting_count();
        assert!(statistics.hash_jobs <= waiting + statistics.rehashes, "{statistics:?}, and {waiting} wait");
        assert!(statistics.deadlines <= statistics.connections, "{statistics:?}");
        let config = &self.settings.config;
        let longest = config.max_frame_bytes as usize + 70;
        let most_output = config.output_limit_bytes + longest + 200;
        for conn in model.conns.values() {
            assert!(conn.output <= most_output, "{} bytes wait for one connection: {conn:?}", conn.output);
            // One answer may go past what holds a stranger's input.
            let held = !conn.is_stranger() || conn.output < 64 * 1024 + 500;
            assert!(held, "{} bytes wait for a stranger: {conn:?}", conn.output);
        }
        // A greeting each may come on top, until somebody says something.
        let most_held = config.output_total_bytes.saturating_add(20_000);
        assert!(
            statistics.output_held_bytes <= most_held,
            "more waits for all together than may: {statistics:?}"
        );
        self.held_bytes = statistics.output_held_bytes;
        let strangers = 2 * 4_100 * model.strangers_count();
        let members = (longest + 2 * 65_540) * model.sessions.len();
        assert!(statistics.input_bytes <= strangers + members, "{statistics:?}");
    }

    pub(crate) fn turn_or_fall(&mut self, salt: u64) {
        self.turn();
        if self.disk.is_dead() {
            let salt = salt ^ self.trace();
            self.fall(self.machine_dies, salt);
        }
    }

    pub(crate) fn restart(&mut self, salt: u64) {
        self.call(Cause::Shutdown);
        let end = self.clock.get() + Duration::from_millis(6_700);
        while !self.engine().is_empty() {
            assert!(self.clock.get() < end, "the server does not come to its end");
            self.turn_or_fall(salt);
            if !self.model.stopping {
                return;
            }
            // Turns that have something to do follow at once.
            let pause = if self.engine().is_working() { 1 } else { 300 };
            self.clock.set(self.clock.get() + Duration::from_millis(pause));
        }
        self.engine().store_mut().real.close();
        let died = self.disk.is_dead();
        // A failure that goes on is told once, but what could not be written still waits.
        let all_written = self.engine().store_mut().real.next_commit().is_none();
        if !self.note_notices() && !died && all_written {
            self.model.users.visitors_synced();
        }
        self.fall(died && self.machine_dies, salt);
    }

    /// Whether the store complains. One error means that it could not take back what it could not store; others are about
    /// a file that somebody else is at, or that could not be read anew, and change nothing.
    pub(crate) fn note_notices(&mut self) -> bool {
        let mut any = false;
        while let Some(notice) = self.engine().store_mut().real.poll_notice() {
            any |= notice.level <= log::Level::Warn;
            if notice.text.ends_with("nobody can register until a restart") {
                self.model.users.stop_storing();
            }
        }
        any
    }
}

/// What a start makes of a users' file if it drops the records that no longer count, and where in the file those that a
/// crash has left whole end.
fn compacted(file: &[u8]) -> (Vec<u8>, usize) {
    let (mut users, mut whole) = (Vec::<(&[u8], &[u8])>::new(), 0);
    for line in file.split_inclusive(|byte| *byte == b'\n') {
        let record = line.strip_suffix(b"\n").unwrap_or(line);
        let is_whole = record.ends_with(b"registered") || record.ends_with(b"Z");
        if record.split(|byte| *byte == b',').count() != 3 || record.contains(&0) || !is_whole {
            break;
        }
        whole += line.len();
        let name = record.split(|byte| *byte == b',').next().unwrap();
        match users.iter_mut().find(|(known, _)| *known == name) {
            Some((_, last)) => *last = record,
            None => users.push((name, record)),
        }
    }
    users.retain(|(_, record)| record.split(|byte| *byte == b',').nth(1) != Some(b"-"));
    (users.iter().flat_map(|(_, record)| [record, &b"\n"[..]].concat()).collect(), whole)
}
