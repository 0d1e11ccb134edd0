//! Servers, their store and their clients, and what goes wrong between them.

use super::client::{Awaits, Client};
use super::link::State;
use super::server::{BIRTH, Pipe, Server};
use super::store::Store;
use super::twins::Twin;
use crate::Story;
use crate::random::Random;
use porter::Moment;
use porter::engine::{ConnId, TransportEvent};
use std::cell::RefCell;
use std::fmt::Display;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

pub(super) const SERVERS: usize = 3;
const NAMES: [&str; 4] = ["ann", "bob", "carol", "dave"];
const CLIENTS: usize = 7;

pub(super) struct World {
    pub(super) random: Random,
    pub(super) now: Moment,
    pub(super) store: Store,
    /// None where a server has ended.
    pub(super) servers: Vec<Option<Server>>,
    pub(super) clients: Vec<Client>,
    pub(super) twins: Vec<Twin>,
    /// Sessions of which there were twins.
    pub(super) lines: usize,
    kicks: Vec<Kick>,
    peers: u16,
    story: Story,
}

/// A name was kicked at a server. What the store could not be told is said again, and may end sessions that began later, until
/// then: always, as long as it was not told.
struct Kick {
    name: &'static str,
    place: usize,
    until: Moment,
}

/// The longest that a word is under way, from server to store and from there to another.
const WORD: Duration = Duration::from_secs(3);

impl World {
    pub(super) fn new(seed: u64, story: Story) -> World {
        let mut random = Random::new(seed ^ 0x0511_a4ed);
        let mut store = Store::new();
        store.set_time(Moment::START);
        store.redis.run(&["SET", "porter:birth", BIRTH].map(str::to_owned));
        let servers = (0..SERVERS).map(|_| Some(Server::start(&mut random))).collect();
        let clients = (0..CLIENTS).map(|number| Client::new(number, NAMES[number % NAMES.len()])).collect();
        let (twins, kicks) = (Vec::new(), Vec::new());
        World { random, now: Moment::START, store, servers, clients, twins, lines: 0, kicks, peers: 0, story }
    }

    fn tell(&self, what: impl Display) {
        self.story.borrow_mut().push(format!("{:9.4} {what}", self.now.since_start().as_secs_f64()));
    }

    /// Lets everything happen that is due until then.
    pub(super) fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            self.work();
            let next = self.next();
            if next > end {
                self.now = end;
                return;
            }
            self.now = next.max(self.now + Duration::from_nanos(1));
        }
    }

    fn next(&mut self) -> Moment {
        let now = self.now;
        let servers = self.servers.iter_mut().flatten().map(|server| server.next(now)).min();
        let links = self.servers.iter().flatten().filter_map(|server| server.link.to_store.next());
        let links = links.min().map(|due| due.max(self.store.stopped));
        let patience = self.clients.iter().filter_map(|client| client.conn.as_ref());
        let patience = patience.filter(|conn| conn.awaits != Awaits::Nothing);
        let patience = patience.map(|conn| conn.since + Duration::from_millis(1001)).min();
        let all = [servers, links, self.store.next_rest(), patience];
        all.into_iter().flatten().min().unwrap_or(Moment::NEVER)
    }

    /// All that is due now.
    fn work(&mut self) {
        self.store.set_time(self.now);
        let now = self.now;
        for _ in 0..10_000 {
            self.serve();
            let mut is_busy = self.hear();
            self.note_kicks();
            for server in self.servers.iter_mut().flatten() {
                if server.next(now) <= now {
                    server.turn(&mut self.store, now);
                    is_busy = true;
                }
            }
            for place in 0..SERVERS {
                if let Some(mut server) = self.servers[place].take_if(|server| server.has_ended()) {
                    self.forget(place);
                    server.close(&mut self.store);
                }
            }
            if !is_busy {
                self.clients.iter().for_each(|client| client.check_patience(now));
                return self.check_names();
            }
        }
        panic!("there is always something to do at {now:?}");
    }

    /// The store takes what has arrived, and what it answers is sent.
    fn serve(&mut self) {
        let (now, store) = (self.now, &mut self.store);
        if now >= store.stopped {
            store.handle_rests(now);
            for server in self.servers.iter_mut().flatten() {
                let Some(end) = server.link.end.filter(|end| !store.is_closed(*end)) else { continue };
                while let Some(bytes) = server.link.to_store.receive(now) {
                    store.handle_bytes(end, &bytes);
                }
            }
        }
        for server in self.servers.iter_mut().flatten() {
            let Some(end) = server.link.end else { continue };
            let output = store.take_output(end);
            if !output.is_empty() {
                server.link.to_server.send(output, now + server.link.delay);
            }
        }
    }

    /// Whom a kick may still reach.
    fn note_kicks(&mut self) {
        for Kick { name, place, until } in &mut self.kicks {
            let is_told = self.servers[*place].as_ref().is_none_or(Server::has_told_all);
            if is_told && *until == Moment::NEVER {
                *until = self.now + WORD;
            }
            let sessions = self.clients.iter_mut().filter(|client| client.name == *name);
            sessions
                .filter_map(|client| client.session.as_mut())
                .for_each(|session| session.may_be_over = true);
        }
        self.kicks.retain(|kick| kick.until > self.now);
    }

    /// Clients take what they were told. Says whether anybody has anything new to say.
    fn hear(&mut self) -> bool {
        let now = self.now;
        let mut is_understood = false;
        for twin in &mut self.twins {
            is_understood |= twin.hear();
        }
        for client in &mut self.clients {
            is_understood |= client.hear(now);
            // Whoever has asked already may be answered by what the store knew before.
            if client.conn.as_ref().is_some_and(|conn| conn.awaits == Awaits::Resumed) {
                continue;
            }
            let untold = client.session.as_mut().map(|session| &mut session.untold);
            if let Some(untold) = untold
                && let Some(Some(server)) = untold.and_then(|place| self.servers.get(place))
                && server.has_told_all()
            {
                *untold = None;
            }
        }
        let conns = self.clients.iter().flat_map(|client| client.conn.iter().chain(&client.before));
        let conns = conns.map(|conn| (conn.server, conn.id, &conn.pipe));
        for (place, id, pipe) in conns.chain(self.twins.iter().map(|it| (it.server, it.id, &it.pipe))) {
            let mut pipe = pipe.borrow_mut();
            let closed = if pipe.is_broken { Some(TransportEvent::Reset) } else { None };
            if !std::mem::take(&mut pipe.has_news) {
                continue;
            }
            drop(pipe);
            if let Some(server) = &mut self.servers[place] {
                server.note(id, closed, now);
                is_understood = true;
            }
        }
        self.twins.retain(|twin| !twin.is_over());
        is_understood
    }

    /// A name is given once.
    fn check_names(&self) {
        for client in self.clients.iter().filter(|client| client.is_registered) {
            let other = self.clients.iter().find(|other| {
                other.is_registered && other.name == client.name && other.number != client.number
            });
            assert!(other.is_none(), "{} was registered twice", client.name);
        }
    }

    pub(super) fn alive(&self) -> Vec<usize> {
        let is_alive =
            |number: &usize| self.servers[*number].as_ref().is_some_and(|server| !server.is_stopping);
        (0..SERVERS).filter(is_alive).collect()
    }

    /// A client connects somewhere, to log in or to go on.
    pub(super) fn connect(&mut self, number: usize) {
        let alive = self.alive();
        if alive.is_empty() {
            return;
        }
        let place = self.random.pick(&alive);
        let Some((id, pipe)) = self.reach(place, number) else { return };
        let resumes = self.clients[number].session.is_some();
        self.tell(format_args!("{number} connects to {place}{}", if resumes { " to resume" } else { "" }));
        self.clients[number].begin(place, id, pipe, resumes, self.now);
    }

    /// A connection of a client reaches a server.
    pub(super) fn reach(&mut self, place: usize, number: usize) -> Option<(ConnId, Rc<RefCell<Pipe>>)> {
        self.peers += 1;
        let peer: SocketAddr = ([198, 51, 100, number as u8], self.peers).into();
        let pipe = Rc::new(RefCell::new(Pipe::default()));
        pipe.borrow_mut().peer = peer.to_string();
        let id = self.servers[place].as_mut()?.accept(peer, &pipe, self.now);
        Some((id, pipe))
    }

    /// A client does something.
    pub(super) fn act(&mut self) {
        let number = self.random.below(CLIENTS);
        let choice = self.random.below(13);
        let now = self.now;
        let whom = self.random.pick(&NAMES);
        let client = &mut self.clients[number];
        if client.conn.is_none() {
            if client.waits <= now {
                self.connect(number);
            }
            return;
        }
        let is_in = client.is_in();
        let what = ["is cut off", "exits", "moves", "tells", "tells", "comes many times"]
            .get(choice)
            .filter(|_| choice == 0 || is_in);
        self.tell(format_args!("{number}, {whom}: {}", what.unwrap_or(&"says")));
        let client = &mut self.clients[number];
        match choice {
            0 => {
                if let Some(conn) = client.lose(now) {
                    conn.pipe.borrow_mut().tear();
                    client.before.push(conn);
                }
            }
            1 if client.is_in() => client.exit(now),
            2 if client.is_in() => self.connect(number),
            3 | 4 if client.is_in() => drop(client.say(Some(whom))),
            5 if client.is_in() => self.come_many_times(number),
            _ if client.is_in() => drop(client.say(None)),
            _ => {}
        }
    }

    /// Something goes wrong, or somebody at a console does something.
    pub(super) fn disturb(&mut self) {
        let place = self.random.below(SERVERS);
        let span = Duration::from_millis(1 + self.random.below(3_000) as u64);
        let (now, whom) = (self.now, self.random.pick(&NAMES));
        let choice = self.random.below(9);
        let what = [
            "store stops",
            "store restarts",
            "is killed",
            "is cut",
            "is barred",
            "is slow",
            "is fast",
            "is stopped",
            "kicks",
        ];
        self.tell(format_args!("server {place}, {span:?}, {whom}: {}", what[choice]));
        match choice {
            0 => self.store.stopped = now + span,
            1 => self.restart_store(),
            2 => return self.kill(place),
            _ => {}
        }
        let Some(server) = &mut self.servers[place] else { return self.start(place) };
        match choice {
            3 => server.cut(&mut self.store, &mut self.random, now),
            4 => {
                server.cut(&mut self.store, &mut self.random, now);
                server.link.barred = now + span;
            }
            5 => server.link.delay = span / 6,
            6 => server.link.delay = Duration::from_micros(200),
            7 if !server.is_stopping => server.stop(now),
            8 if !server.is_stopping => {
                server.type_line(&format!("/kick {whom}"), now);
                self.kicks.push(Kick { name: whom, place, until: Moment::NEVER });
            }
            _ => {}
        }
    }

    /// Its process ends and begins anew; what it has acknowledged is there.
    fn restart_store(&mut self) {
        self.store.restart();
        for server in self.servers.iter_mut().flatten() {
            server.cut(&mut self.store, &mut self.random, self.now);
        }
    }

    /// What a server has not told nobody will tell.
    fn forget(&mut self, place: usize) {
        for client in &mut self.clients {
            client.left = client.left.filter(|(_, server)| *server != place);
        }
        let sessions = self.clients.iter_mut().filter_map(|client| client.session.as_mut());
        sessions
            .filter(|session| session.untold == Some(place))
            .for_each(|session| session.untold = Some(SERVERS));
    }

    fn kill(&mut self, place: usize) {
        let Some(mut server) = self.servers[place].take() else { return };
        self.forget(place);
        server.cut(&mut self.store, &mut self.random, self.now);
        for client in &mut self.clients {
            let here = client.conn.iter().chain(&client.before).filter(|conn| conn.server == place);
            here.for_each(|conn| conn.pipe.borrow_mut().is_closed = true);
        }
        let here = self.twins.iter().filter(|twin| twin.server == place);
        here.for_each(|twin| twin.pipe.borrow_mut().is_closed = true);
    }

    pub(super) fn start(&mut self, place: usize) {
        self.tell(format_args!("server {place} starts"));
        if self.servers[place].is_none() {
            self.servers[place] = Some(Server::start(&mut self.random));
        }
    }

    /// All is well again, and nothing has been forgotten.
    pub(super) fn heal(&mut self) {
        self.store.stopped = self.now;
        for place in 0..SERVERS {
            self.start(place);
            if let Some(server) = &mut self.servers[place] {
                server.link.delay = Duration::from_micros(200);
                server.link.barred = self.now;
            }
        }
        self.pass(Duration::from_secs(5));
        (0..SERVERS).for_each(|place| self.start(place));
        for _ in 0..3 {
            let lost: Vec<usize> = (0..CLIENTS)
                .filter(|number| {
                    self.clients[*number].conn.is_none() && self.clients[*number].session.is_some()
                })
                .collect();
            lost.into_iter().for_each(|number| self.connect(number));
            self.pass(Duration::from_secs(2));
        }
    }

    pub(super) fn is_linked(&self, place: usize) -> bool {
        self.servers[place].as_ref().is_some_and(|server| matches!(server.link.state, State::Up))
    }
}
