//! The one `mio` poll loop of a load, with a slot for each client, in which it connects, stays, is cut off and comes again.
//!
//! This module must not know what the clients say, nor which scenario this is.

mod ending;

use super::Timeouts;
use super::client::{Clients, Flow, Policy, State};
use super::connection::{Connection, Connector, Read};
use super::dialect::Dialect;
use super::error::{LoadError, OUT_OF_PORTS, no_poll};
use super::sampler::Clock;
use super::schedule::{Schedule, Timer};
use super::watchdog::{Cut, PROBE, Watchdog};
use crate::Moment;
use mio::event::Event;
use mio::{Events, Poll, Token};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Events taken from one wait.
const EVENTS: usize = 1_024;
/// Bytes of one read; all connections share the buffer.
const READ_BYTES: usize = 256 * 1024;
/// The longest between two looks at the clients' timeouts and at the progress.
const SWEEP: Duration = Duration::from_millis(100);
/// Clients that begin to connect in one turn: none shall wait for its answer until all others have connected.
const CONNECTING_A_TURN: usize = 16;
const TIMER: Token = Token(usize::MAX - 1);

/// A poll loop with a slot for each client.
pub(super) struct EventLoop<'a, D: Dialect> {
    pub(super) connector: &'a mut Connector,
    pub(super) clock: Clock,
    timeouts: Timeouts,
    watchdog: Watchdog,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    connections: Vec<Option<Connection>>,
    pub(super) clients: Clients<D>,
    /// Clients that are to connect, each with when it lost its last connection, if that is not when it connects.
    queue: VecDeque<(usize, Option<Moment>)>,
    /// How many may be on their way in at once.
    pub(super) entering_most: usize,
    /// Clients for which there was no local port.
    without_port: Vec<usize>,
    /// Until when those who come again do, and how many more times.
    pub(super) returns_until: Moment,
    pub(super) visits_left: u64,
    /// Whether one who failed comes again at once, and not at the next sweep.
    pub(super) retries_at_once: bool,
    next_sweep: Moment,
    schedule: Option<(Schedule, Timer)>,
}

/// Looks at how far a load is.
pub(super) type Look<'w, D> = &'w mut dyn FnMut(&Clients<D>);

impl<'a, D: Dialect> EventLoop<'a, D> {
    /// A loop with a slot for each of these clients; nobody is connected yet.
    pub(super) fn new(
        connector: &'a mut Connector,
        clock: Clock,
        timeouts: Timeouts,
        interrupt: &Arc<AtomicBool>,
        clients: Clients<D>,
    ) -> Result<EventLoop<'a, D>, LoadError> {
        let now = clock.now();
        Ok(EventLoop {
            connector,
            clock,
            timeouts,
            watchdog: Watchdog::new(interrupt, clients.dialect.greets(), now),
            poll: Poll::new().map_err(|error| no_poll(&error))?,
            events: Events::with_capacity(EVENTS),
            buffer: vec![0; READ_BYTES],
            connections: (0..clients.all.len()).map(|_| None).collect(),
            clients,
            queue: VecDeque::new(),
            entering_most: usize::MAX,
            without_port: Vec::new(),
            returns_until: Moment::START,
            visits_left: u64::MAX,
            retries_at_once: false,
            next_sweep: now,
            schedule: None,
        })
    }

    /// Why the run is to end before its time, once it is.
    pub(super) fn cut(&self) -> Option<Cut> {
        self.watchdog.cut
    }

    /// Whether the run is to end now: it is cut short, or none of those who stay is there any more.
    pub(super) fn is_to_end(&mut self) -> bool {
        if self.clients.inside == 0 {
            self.watchdog.cut.get_or_insert(Cut::NobodyLeft);
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

    /// From now on these clients send by the clock.
    pub(super) fn begin_schedule(&mut self, schedule: Schedule) -> Result<(), LoadError> {
        let timer = Timer::new(&self.poll, TIMER).map_err(|error| no_poll(&error))?;
        self.schedule = Some((schedule, timer));
        Ok(())
    }

    /// The end of sending by the clock, and by how much messages left late. What was due by now is sent all the same:
    /// leaving it out would flatter the server.
    pub(super) fn end_schedule(&mut self) -> Option<Schedule> {
        if self.cut().is_none() {
            self.send_due();
        }
        self.schedule.take().map(|(schedule, _)| schedule)
    }

    /// Turns until that moment at the latest and while it `goes_on`, and lets `watch` look about ten times a second.
    ///
    /// # Errors
    /// If the poll fails. What fails for one client is counted in the metrics.
    pub(super) fn turn_while(
        &mut self,
        end: Moment,
        watch: Look<'_, D>,
        mut goes_on: impl FnMut(&mut EventLoop<'a, D>) -> bool,
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

    /// Waits for events until that moment at the latest, and handles those that came.
    fn turn(&mut self, now: Moment, until: Moment) -> io::Result<()> {
        self.send_due();
        self.let_in();
        self.wait(until.min(self.next_sweep))?;
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            match event.token() {
                TIMER => {}
                PROBE => self.watchdog.handle_event(&mut self.buffer, self.clock.now()),
                Token(slot) => {
                    let flow = self.handle_event(slot, event);
                    self.settle(slot, flow);
                }
            }
        }
        // What has come is judged before who waited too long: after a pause of this program there may be more.
        let is_all = events.iter().count() < EVENTS;
        self.events = events;
        if now >= self.next_sweep && is_all {
            self.sweep(now);
        }
        Ok(())
    }

    fn wait(&mut self, mut until: Moment) -> io::Result<()> {
        let now = self.clock.now();
        if let Some((schedule, timer)) = &mut self.schedule {
            until = until.min(schedule.due());
            timer.set(now, until)?;
        }
        let pause = if self.can_let_in() { Duration::ZERO } else { until.since(now) };
        match self.poll.poll(&mut self.events, Some(pause)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            outcome => outcome,
        }
    }

    /// Sends all that the schedule has due, each client in turn.
    fn send_due(&mut self) {
        let Some((mut schedule, timer)) = self.schedule.take() else { return };
        let now = self.clock.now();
        while let Some((slot, due)) = schedule.next(now) {
            schedule.send_delay.record(self.clock.now().since(due));
            self.send(slot, |clients, out| clients.send(slot, due, out));
        }
        self.schedule = Some((schedule, timer));
    }

    /// Lets a client that is inside send something.
    pub(super) fn send(&mut self, slot: usize, write: impl FnOnce(&mut Clients<D>, &mut Vec<u8>)) {
        let (State::Inside, Some(connection)) = (self.clients.all[slot].state, &mut self.connections[slot])
        else {
            return;
        };
        write(&mut self.clients, &mut connection.unsent);
        if let Err(error) = connection.send(&self.poll, Token(slot)) {
            self.settle(slot, Err(error));
        }
    }

    /// Whether one of those who are to connect may do so now. To a server that is gone nobody connects, and nobody more
    /// fails.
    fn can_let_in(&self) -> bool {
        !self.queue.is_empty()
            && self.clients.entering < self.entering_most
            && !self.watchdog.is_refused()
            && self.cut().is_none()
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
        self.clients.begin(slot, lost, now);
        let flow = match self.connector.connect() {
            Err(error) if error.kind == OUT_OF_PORTS && now < lost + self.timeouts.ports => {
                return self.without_port.push(slot);
            }
            Err(error) => Err(error),
            Ok(mut connection) => {
                let flow = match connection.opens() {
                    true => self.clients.handle_connected(slot, self.clock.now(), &mut connection.unsent),
                    false => Flow::Continue,
                };
                let registered = connection.register(&self.poll, Token(slot));
                self.connections[slot] = Some(connection);
                registered.map(|()| flow)
            }
        };
        self.settle(slot, flow);
    }

    /// Reads, lets the client answer, and writes, as far as goes without a wait.
    fn handle_event(&mut self, slot: usize, event: &Event) -> Result<Flow, LoadError> {
        let Some(connection) = self.connections.get_mut(slot).and_then(Option::as_mut) else {
            return Ok(Flow::Continue);
        };
        connection.advance()?;
        if connection.opens() {
            let flow = self.clients.handle_connected(slot, self.clock.now(), &mut connection.unsent);
            if let Flow::End = flow {
                return Ok(Flow::End);
            }
        }
        connection.flush();
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            let ended = event.is_read_closed() && !event.is_error();
            if let Flow::End = self.receive(slot, ended)? {
                return Ok(Flow::End);
            }
        }
        let Some(connection) = &mut self.connections[slot] else { return Ok(Flow::Continue) };
        connection.check()?;
        connection.send(&self.poll, Token(slot))?;
        Ok(Flow::Continue)
    }

    /// Reads until nothing more is there, and answers.
    fn receive(&mut self, slot: usize, ended: bool) -> Result<Flow, LoadError> {
        let Some(connection) = &mut self.connections[slot] else { return Ok(Flow::Continue) };
        loop {
            let read = connection.read(&mut self.buffer, ended);
            if connection.opens()
                && let Flow::End =
                    self.clients.handle_connected(slot, self.clock.now(), &mut connection.unsent)
            {
                return Ok(Flow::End);
            }
            let count = match read? {
                Read::Bytes(count) => count,
                Read::Closed => return self.clients.handle_closed(slot),
                Read::Blocked => {
                    connection.flush();
                    return Ok(Flow::Continue);
                }
            };
            let now = self.clock.now();
            let mut partial = std::mem::take(&mut connection.partial);
            let is_joined = !partial.is_empty();
            if is_joined {
                partial.extend_from_slice(&self.buffer[..count]);
            }
            let all = if is_joined { partial.as_slice() } else { &self.buffer[..count] };
            let mut used = 0;
            while let Some(length) = self.clients.dialect.message_bytes(&all[used..])? {
                self.watchdog.last_message = now;
                let message = &all[used..used + length];
                let flow = self.clients.handle_message(slot, message, now, &mut connection.unsent)?;
                if let Flow::End = flow {
                    return Ok(Flow::End);
                }
                used += length;
            }
            if is_joined {
                partial.drain(..used);
            } else {
                partial.extend_from_slice(&self.buffer[used..count]);
            }
            connection.partial = partial;
            connection.flush();
        }
    }

    /// Ends a client's visit if it is over, and has it come again if it is to.
    fn settle(&mut self, slot: usize, flow: Result<Flow, LoadError>) {
        let outcome = match flow {
            Ok(Flow::Continue) => return,
            Ok(Flow::End) => Ok(()),
            Err(error) => Err(error),
        };
        let now = self.clock.now();
        if let Err(error) = &outcome {
            self.watchdog.handle_failure(error, now);
        }
        if let Some(connection) = self.connections[slot].take() {
            match (self.clients.all[slot].policy, self.clients.all[slot].state) {
                // It left with its last request unsaid: a connection that broke.
                (Policy::Resumes, State::LoggingIn) => connection.reset(),
                // Closing the socket takes it out of the poll.
                _ => drop(connection),
            }
        }
        let comes_again = outcome.is_ok() || self.retries_at_once;
        self.clients.handle_left(slot, now, outcome);
        if comes_again {
            self.come_again(slot, now);
        }
    }

    fn come_again(&mut self, slot: usize, now: Moment) {
        if self.visits_left > 0 && self.clients.all[slot].policy != Policy::Stays {
            self.visits_left -= 1;
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
        self.watchdog.look(now, self.connector, &self.poll);
        for slot in std::mem::take(&mut self.without_port) {
            self.connect(slot, self.clients.all[slot].lost, now);
        }
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
