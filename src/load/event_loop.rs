//! The one `mio` poll loop of a load, with a slot for each client, in which it connects, stays, is cut off and comes again.
//!
//! This module must not know what the clients say, nor which scenario this is.

mod ending;
mod polls;

use super::client::{Clients, Policy, State};
use super::connection::{Connection, Connector};
use super::dialect::{Dialect, Role};
use super::error::{LoadError, OUT_OF_PORTS, no_poll};
use super::metrics::Latency;
use super::schedule::Schedule;
use super::watchdog::{PROBE, Watchdog};
use super::{Plan, Timeouts};
use crate::Clock;
use crate::Moment;
use mio::event::Event;
use mio::{Events, Token};
use polls::Polls;
use std::collections::VecDeque;
use std::io;
use std::time::Duration;

const EVENTS: usize = 1_024;
/// Events of others between two looks at those who whisper.
const EVENTS_BETWEEN_WHISPERS: usize = 32;
/// Bytes of one read; all connections share the buffer.
const READ_BYTES: usize = 256 * 1024;
/// The longest between two looks at the clients' timeouts and at the progress.
const SWEEP: Duration = Duration::from_millis(100);
/// Clients that begin to connect in one turn: none shall wait for its answer until all others have connected.
const CONNECTING_A_TURN: usize = 16;

/// A poll loop with a slot for each client.
pub(super) struct EventLoop<D: Dialect> {
    pub(super) connector: Connector,
    clock: Clock,
    pub(super) timeouts: Timeouts,
    pub(super) watchdog: Watchdog,
    polls: Polls,
    events: Events,
    whisper_events: Events,
    buffer: Vec<u8>,
    connections: Vec<Option<Connection>>,
    pub(super) clients: Clients<D>,
    /// Clients that are to connect, each with when it lost its last connection, if that is not when it connects.
    queue: VecDeque<(usize, Option<Moment>)>,
    /// Whether there was no local port for the first of them; the next sweep tries again.
    lacks_ports: bool,
    /// How many may be on their way in at once.
    pub(super) entering_most: usize,
    /// Until when those who come again do.
    pub(super) returns_until: Moment,
    /// How many more visits there are to be, if they are counted. Then who failed makes room for the next at once; else it
    /// tries again at the next sweep.
    visits_left: Option<u64>,
    next_sweep: Moment,
    /// When those who are inside send, if they do so by the clock.
    pub(super) schedules: Vec<Schedule>,
}

impl<D: Dialect> EventLoop<D> {
    /// A loop with a slot for each of these clients; nobody is connected yet.
    pub(super) fn new(
        connector: Connector,
        clock: Clock,
        plan: &Plan,
        clients: Clients<D>,
    ) -> Result<EventLoop<D>, LoadError> {
        let now = clock.now();
        Ok(EventLoop {
            connector,
            clock,
            timeouts: plan.timeouts,
            watchdog: Watchdog::new(&plan.interrupt, clients.dialect.greets(), now),
            polls: Polls::new().map_err(|error| no_poll(&error))?,
            events: Events::with_capacity(EVENTS),
            whisper_events: Events::with_capacity(EVENTS_BETWEEN_WHISPERS),
            buffer: vec![0; READ_BYTES],
            connections: (0..clients.all.len()).map(|_| None).collect(),
            clients,
            queue: VecDeque::new(),
            lacks_ports: false,
            entering_most: usize::MAX,
            returns_until: Moment::START,
            visits_left: None,
            next_sweep: now,
            schedules: Vec::new(),
        })
    }

    /// From now on the pair of a chat that whispers is looked at between every few of the others.
    pub(super) fn put_whispers_first(&mut self) -> Result<(), LoadError> {
        self.polls.add_whispers().map_err(|error| no_poll(&error))
    }

    /// Has other clients in the place of those who were there, who are cut off. They make so many visits more than one each,
    /// or come again as long as they are let.
    pub(super) fn replace(&mut self, clients: Clients<D>, visits_left: Option<u64>) {
        self.visits_left = visits_left;
        self.returns_until = if visits_left.is_some() { Moment::NEVER } else { Moment::START };
        self.queue.clear();
        self.connections.clear();
        self.connections.resize_with(clients.all.len(), || None);
        self.clients = clients;
        self.watchdog.last_message = self.clock.now();
    }

    /// Whether the run is to end now: it is cut short, or none of those who stay is there any more.
    pub(super) fn is_to_end(&mut self) -> bool {
        if self.clients.inside == 0 {
            let reason = "every client has failed or lost its connection";
            self.watchdog.cut.get_or_insert_with(|| LoadError::new("nobody_left", reason));
        }
        self.watchdog.cut.is_some()
    }

    /// Lets these clients connect soon; `lost` is when they lost their last connections, if they did.
    pub(super) fn enter(&mut self, slots: impl IntoIterator<Item = usize>, lost: Option<Moment>) {
        self.queue.extend(slots.into_iter().map(|slot| (slot, lost)));
    }

    /// Whether somebody is on the way in, or is to be.
    pub(super) fn is_entering(&self) -> bool {
        self.clients.entering > 0 || !self.queue.is_empty()
    }

    /// The end of sending by the clock; gives by how much messages left late. What was due by now is sent all the same:
    /// leaving it out would flatter the server.
    pub(super) fn end_schedules(&mut self) -> Latency {
        if self.watchdog.cut.is_none() {
            self.send_due();
        }
        let mut send_delay = Latency::default();
        self.schedules.drain(..).for_each(|schedule| send_delay.merge(&schedule.send_delay));
        send_delay
    }

    /// Turns until that moment at the latest and while it `goes_on`, and lets `watch` look about ten times a second.
    pub(super) fn turn_while(
        &mut self,
        end: Moment,
        watch: &mut dyn FnMut(&Clients<D>),
        mut goes_on: impl FnMut(&mut EventLoop<D>) -> bool,
    ) -> Result<(), LoadError> {
        let mut next_look = self.clock.now();
        loop {
            let now = self.clock.now();
            if now >= next_look {
                watch(&self.clients);
                next_look = now + SWEEP;
            }
            if now >= end || !goes_on(self) {
                return Ok(());
            }
            self.turn(now, end).map_err(|error| no_poll(&error))?;
        }
    }

    fn turn(&mut self, now: Moment, until: Moment) -> io::Result<()> {
        self.send_due();
        self.let_in();
        self.wait(until.min(self.next_sweep))?;
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for (number, event) in events.iter().enumerate() {
            if number % EVENTS_BETWEEN_WHISPERS == 0 {
                self.look_at_whispers()?;
            }
            self.handle_event(event);
        }
        // What has come is judged before who waited too long: after a pause of this program there may be more.
        let is_all = events.iter().count() < EVENTS;
        self.events = events;
        if now >= self.next_sweep && is_all {
            self.sweep(now);
        }
        Ok(())
    }

    /// Lets those who whisper read what has come, and send what is due by now.
    fn look_at_whispers(&mut self) -> io::Result<()> {
        if self.polls.look_at_whispers(&mut self.whisper_events)? {
            let events = std::mem::replace(&mut self.whisper_events, Events::with_capacity(0));
            events.iter().for_each(|event| self.handle_event(event));
            self.whisper_events = events;
            self.send_due();
        }
        Ok(())
    }

    fn handle_event(&mut self, event: &Event) {
        match event.token() {
            PROBE => self.watchdog.handle_event(self.clock.now()),
            Token(slot) if self.connections.get(slot).is_some_and(Option::is_some) => {
                let outcome = self.handle_ready(slot, event);
                self.settle(slot, outcome);
            }
            // Of a connection that ended within this turn, or of the whispers, which are looked at all the same.
            Token(_) => {}
        }
    }

    fn wait(&mut self, until: Moment) -> io::Result<()> {
        let until = self.schedules.iter().map(Schedule::due).fold(until, Moment::min);
        let pause = if self.can_let_in() { Duration::ZERO } else { until.since(self.clock.now()) };
        self.polls.wait(&mut self.events, pause, !self.schedules.is_empty())
    }

    /// Sends all that the schedules have due, each client in turn, and the texts that follow those that all have.
    fn send_due(&mut self) {
        let now = self.clock.now();
        let mut schedules = std::mem::take(&mut self.schedules);
        for schedule in &mut schedules {
            while let Some((slot, due)) = schedule.next(now) {
                schedule.send_delay.record(self.clock.now().since(due));
                self.send(slot, |clients, out| clients.send(slot, due, out));
            }
        }
        self.schedules = schedules;
        let owed = std::mem::take(&mut self.clients.owed);
        if owed > 0 {
            let writer = Role::Writer.slot();
            self.send(writer, |clients, out| (0..owed).for_each(|_| clients.send(writer, now, out)));
        }
    }

    /// Lets a client that is inside send something.
    pub(super) fn send(&mut self, slot: usize, write: impl FnOnce(&mut Clients<D>, &mut Vec<u8>)) {
        let (State::Inside, Some(connection)) = (self.clients.all[slot].state, &mut self.connections[slot])
        else {
            return;
        };
        write(&mut self.clients, &mut connection.unsent);
        let outcome = connection.send(self.polls.of(slot), Token(slot));
        self.settle(slot, outcome);
    }

    /// Whether one of those who are to connect may do so now. To a server that is gone nobody connects, and nobody more
    /// fails.
    fn can_let_in(&self) -> bool {
        !self.queue.is_empty()
            && !self.lacks_ports
            && self.clients.entering < self.entering_most
            && !self.watchdog.is_refused()
            && self.watchdog.cut.is_none()
    }

    fn let_in(&mut self) {
        // Who comes and goes at once shall not keep the others waiting: so many a turn, then those inside have theirs.
        for _ in 0..self.queue.len().min(CONNECTING_A_TURN) {
            if !self.can_let_in() {
                return;
            }
            let Some((slot, lost)) = self.queue.pop_front() else { return };
            let now = self.clock.now();
            if now < self.returns_until || self.clients.all[slot].policy == Policy::Stays {
                self.connect(slot, lost.unwrap_or(now), now);
            }
        }
    }

    /// Lets the client of a slot connect now; `lost` is when it lost its last connection, or now.
    fn connect(&mut self, slot: usize, lost: Moment, now: Moment) {
        let connection = self.connector.connect();
        if let Err(error) = &connection
            && error.kind == OUT_OF_PORTS
            && now < lost + self.timeouts.ports
        {
            self.lacks_ports = true;
            return self.queue.push_front((slot, Some(lost)));
        }
        self.clients.begin(slot, lost, now);
        let outcome = connection.and_then(|mut connection| {
            self.open(slot, &mut connection);
            let registered = connection.register(self.polls.of(slot), Token(slot));
            self.connections[slot] = Some(connection);
            registered
        });
        self.settle(slot, outcome);
    }

    /// Tells the client once messages can go through.
    fn open(&mut self, slot: usize, connection: &mut Connection) {
        if connection.opens() {
            self.clients.handle_connected(slot, self.clock.now(), &mut connection.unsent);
        }
    }

    /// Reads, lets the client answer, and writes, as far as goes without a wait.
    fn handle_ready(&mut self, slot: usize, event: &Event) -> Result<(), LoadError> {
        // It is out of its slot meanwhile, where nothing looks for it.
        let Some(mut connection) = self.connections[slot].take() else { return Ok(()) };
        let outcome = self.exchange(slot, &mut connection, event);
        self.connections[slot] = Some(connection);
        outcome
    }

    fn exchange(&mut self, slot: usize, connection: &mut Connection, event: &Event) -> Result<(), LoadError> {
        connection.advance()?;
        self.open(slot, connection);
        connection.flush();
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            let ended = event.is_read_closed() && !event.is_error();
            self.receive(slot, connection, ended)?;
        }
        if self.is_over(slot) {
            return Ok(());
        }
        connection.check()?;
        connection.send(self.polls.of(slot), Token(slot))
    }

    fn is_over(&self, slot: usize) -> bool {
        self.clients.all[slot].state == State::Outside
    }

    fn receive(&mut self, slot: usize, connection: &mut Connection, ended: bool) -> Result<(), LoadError> {
        while !self.is_over(slot) {
            let kept = connection.partial.len();
            if kept == self.buffer.len() {
                self.buffer.resize(2 * kept, 0);
            }
            let read = connection.read(&mut self.buffer[kept..], ended);
            self.open(slot, connection);
            let count = match read? {
                Some(0) => return self.clients.handle_closed(slot, self.clock.now()),
                Some(count) => count,
                None => {
                    connection.flush();
                    break;
                }
            };
            let now = self.clock.now();
            self.buffer[..kept].copy_from_slice(&connection.partial);
            let mut rest = &self.buffer[..kept + count];
            while !self.is_over(slot)
                && let Some(length) = self.clients.dialect.message_bytes(rest)?
            {
                self.watchdog.last_message = now;
                let (message, after) = rest.split_at(length);
                self.clients.handle_message(slot, message, now, &mut connection.unsent)?;
                rest = after;
            }
            connection.partial.clear();
            connection.partial.extend_from_slice(rest);
            connection.flush();
        }
        Ok(())
    }

    /// Ends a client's visit if it is over, and has it come again if it is to.
    fn settle(&mut self, slot: usize, outcome: Result<(), LoadError>) {
        if outcome.is_ok() && !self.is_over(slot) {
            return;
        }
        let now = self.clock.now();
        if let Err(error) = &outcome {
            self.watchdog.handle_failure(error, now);
        }
        match self.connections[slot].take() {
            // It left with its last request unsaid: a connection that broke.
            Some(connection) if self.clients.all[slot].policy == Policy::Resumes => connection.reset(),
            // Closing the socket takes it out of the poll.
            connection => drop(connection),
        }
        let comes_again = outcome.is_ok() || self.visits_left.is_some();
        self.clients.handle_left(slot, now, outcome);
        if comes_again {
            self.come_again(slot, now);
        }
    }

    fn come_again(&mut self, slot: usize, now: Moment) {
        if self.visits_left != Some(0) && self.clients.all[slot].policy != Policy::Stays {
            self.visits_left = self.visits_left.map(|left| left - 1);
            self.clients.set_state(slot, State::Outside, now);
            self.queue.push_back((slot, None));
        }
    }

    /// Ends the visits of those who waited long enough, and lets those who failed at coming again try once more.
    fn sweep(&mut self, now: Moment) {
        // Often enough for the shortest timeout.
        let Timeouts { connect, login, echo, bye, .. } = self.timeouts;
        let shortest = connect.min(login).min(echo).min(bye);
        self.next_sweep = now + (shortest / 4).clamp(Duration::from_millis(1), SWEEP);
        self.watchdog.look(now, &mut self.connector, &self.polls.all);
        self.lacks_ports = false;
        for slot in 0..self.connections.len() {
            if let Some(error) = self.clients.overdue(slot, now, &self.timeouts) {
                self.clients.give_up(slot, now);
                self.settle(slot, Err(error));
            }
            if self.clients.all[slot].state == State::Failed {
                self.come_again(slot, now);
            }
        }
    }
}
