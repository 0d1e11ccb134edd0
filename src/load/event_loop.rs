//! Where the clients of a load are: one `mio` poll loop with a slot for each, in which it connects, stays, is cut off and
//! comes again.
//!
//! This module must not know what the clients say, nor which scenario this is.

mod ending;

use super::Timeouts;
use super::client::{Clients, State};
use super::connection::{Connection, Flow, Handler, READ_BYTES};
use super::connector::{Connector, out_of_ports};
use super::dialect::Dialect;
use super::error::{LoadError, no_poll, unreachable};
use super::sampler::Clock;
use super::timer::Timer;
use super::watchdog::{Cut, PROBE, Watchdog};
use crate::Moment;
use mio::{Events, Poll, Token};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Events taken from one wait.
const EVENTS: usize = 1_024;
/// The longest between two looks at the clients' timeouts and at the progress.
const SWEEP: Duration = Duration::from_millis(100);
/// Clients on their way in at once while everybody enters: a full-cost login takes its time, and the server refuses
/// those who would wait too long.
const ENTERING: usize = 8;
const TIMER: Token = Token(usize::MAX - 1);

/// A poll loop with a slot for each client.
pub(super) struct EventLoop<'a, D: Dialect> {
    connector: &'a mut Connector,
    pub(super) clock: Clock,
    timeouts: Timeouts,
    watchdog: Watchdog,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    timer: Option<Timer>,
    timer_at: Moment,
    next_sweep: Moment,
    connections: Vec<Option<Connection>>,
    pub(super) clients: Clients<D>,
    /// Until when those who come again do, and how many more times.
    pub(super) returns_until: Moment,
    pub(super) visits_left: u64,
    /// Whether one who failed comes again at once, and not at the next sweep.
    pub(super) returns_after_failure: bool,
    returning: Vec<usize>,
    /// Clients for whom there was no local port.
    without_port: Vec<usize>,
}

/// One client in its slot.
struct Slot<'a, D: Dialect> {
    clients: &'a mut Clients<D>,
    slot: usize,
    heard: &'a mut Moment,
}

impl<D: Dialect> Handler for Slot<'_, D> {
    fn handle_connected(&mut self, now: Moment, out: &mut Vec<u8>) -> Flow {
        self.clients.handle_connected(self.slot, now, out)
    }

    fn message_bytes(&self, bytes: &[u8]) -> Result<Option<usize>, LoadError> {
        self.clients.dialect.message_bytes(bytes)
    }

    fn handle_message(&mut self, message: &[u8], now: Moment, out: &mut Vec<u8>) -> Result<Flow, LoadError> {
        *self.heard = now;
        self.clients.handle_message(self.slot, message, now, out)
    }

    fn handle_closed(&mut self) -> Result<(), LoadError> {
        self.clients.handle_closed(self.slot)
    }
}

impl<'a, D: Dialect> EventLoop<'a, D> {
    /// A loop with a slot for each of these clients; nobody is connected yet.
    ///
    /// # Errors
    /// If the system gives no poll.
    pub(super) fn new(
        connector: &'a mut Connector,
        clock: Clock,
        timeouts: Timeouts,
        interrupt: &Arc<AtomicBool>,
        clients: Clients<D>,
    ) -> Result<EventLoop<'a, D>, LoadError> {
        let greets = clients.dialect.greets();
        Ok(EventLoop {
            connector,
            clock,
            timeouts,
            watchdog: Watchdog::new(Arc::clone(interrupt), greets, clock.now()),
            poll: Poll::new().map_err(|error| no_poll(&error))?,
            events: Events::with_capacity(EVENTS),
            buffer: vec![0; READ_BYTES],
            timer: None,
            timer_at: Moment::START,
            next_sweep: clock.now(),
            connections: (0..clients.len()).map(|_| None).collect(),
            clients,
            returns_until: Moment::START,
            visits_left: u64::MAX,
            returns_after_failure: false,
            returning: Vec::new(),
            without_port: Vec::new(),
        })
    }

    /// From now on waits end at the microsecond that they should.
    ///
    /// # Errors
    /// If the system does not offer that.
    pub(super) fn wait_precisely(&mut self) -> Result<(), LoadError> {
        self.timer = Some(Timer::new(&self.poll, TIMER).map_err(|error| no_poll(&error))?);
        Ok(())
    }

    /// Waits for events until that moment at the latest, and handles those that came.
    ///
    /// # Errors
    /// If the poll fails. What fails for one client is counted in the metrics.
    pub(super) fn turn(&mut self, until: Moment) -> Result<(), LoadError> {
        let now = self.clock.now();
        self.wait(until.min(self.next_sweep), now).map_err(|error| no_poll(&error))?;
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            if event.token() == PROBE {
                self.watchdog.handle_event(event, &self.poll, &mut self.buffer, &self.clock);
                continue;
            }
            let Token(slot) = event.token();
            let Some(connection) = self.connections.get_mut(slot).and_then(Option::as_mut) else { continue };
            let mut handler = Slot { clients: &mut self.clients, slot, heard: &mut self.watchdog.heard };
            let flow =
                connection.handle_event(event, &self.poll, &mut self.buffer, &self.clock, &mut handler);
            self.settle(slot, flow);
        }
        // What has come is judged before who waited too long: after a pause of this program there may be more.
        let is_all = events.iter().count() < EVENTS;
        self.events = events;
        if now >= self.next_sweep && is_all {
            self.sweep(now);
        }
        self.let_return();
        Ok(())
    }

    fn wait(&mut self, until: Moment, now: Moment) -> io::Result<()> {
        // Whoever is to come again at once does not wait for others.
        let is_free = self.returning.is_empty() || self.watchdog.is_refused();
        let pause = if is_free { until.since(now) } else { Duration::ZERO };
        if let Some(timer) = &self.timer
            && self.timer_at != until
            && !pause.is_zero()
        {
            timer.set(pause)?;
            self.timer_at = until;
        }
        match self.poll.poll(&mut self.events, Some(pause)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            outcome => outcome,
        }
    }

    pub(super) fn server(&self) -> SocketAddr {
        self.connector.server()
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

    /// Sends so many visits through the slots, one after another in each, until all came to their end, the run is cut
    /// short, or, if it `stops_at_failure`, one has failed.
    ///
    /// # Errors
    /// If the poll fails.
    pub(super) fn visit(
        &mut self,
        visits: u64,
        stops_at_failure: bool,
        watch: &mut dyn FnMut(&Clients<D>),
    ) -> Result<(), LoadError> {
        (self.visits_left, self.returns_until) = (visits, Moment::NEVER);
        self.returns_after_failure = true;
        self.returning = (0..self.clients.len()).rev().collect();
        let end = self.clients.metrics.visits + visits;
        let mut next_look = self.clock.now() + SWEEP;
        self.let_return();
        while self.clients.metrics.visits < end && self.cut().is_none() {
            if stops_at_failure && self.clients.metrics.failed > 0 {
                break;
            }
            self.turn(self.next_sweep)?;
            if self.clock.now() >= next_look {
                watch(&self.clients);
                next_look = self.clock.now() + SWEEP;
            }
        }
        watch(&self.clients);
        let now = self.clock.now();
        let under_way = (0..self.connections.len()).filter(|slot| self.connections[*slot].is_some());
        under_way.for_each(|slot| self.clients.give_up(slot, now));
        Ok(())
    }

    /// Turns until that moment, or until the run is cut short, and lets `watch` look about ten times a second.
    ///
    /// # Errors
    /// If the poll fails.
    pub(super) fn turn_until(
        &mut self,
        end: Moment,
        watch: &mut dyn FnMut(&Clients<D>),
    ) -> Result<(), LoadError> {
        let mut next_look = self.clock.now();
        loop {
            let now = self.clock.now();
            if now >= end || self.is_to_end() {
                return Ok(());
            }
            if now >= next_look {
                watch(&self.clients);
                next_look = now + SWEEP;
            }
            self.turn(end)?;
        }
    }

    /// Lets the client of a slot connect now; `lost` is when it lost its last connection, or now.
    pub(super) fn admit(&mut self, slot: usize, lost: Moment, now: Moment) {
        self.clients.begin(slot, lost, now);
        let stream = match self.connector.connect() {
            Err(error) if out_of_ports(&error) && now < lost + self.timeouts.ports => {
                return self.without_port.push(slot);
            }
            outcome => outcome.map_err(|error| unreachable(self.connector.server(), &error)),
        };
        let begun = stream.and_then(|stream| Ok(Connection::new(stream, self.connector.transport()?)));
        let mut connection = match begun {
            Ok(connection) => connection,
            Err(error) => return self.settle(slot, Err(error)),
        };
        let mut handler = Slot { clients: &mut self.clients, slot, heard: &mut self.watchdog.heard };
        let flow = connection.open(&self.poll, slot, &self.clock, &mut handler);
        self.connections[slot] = Some(connection);
        self.settle(slot, flow);
    }

    /// Lets all clients in these slots in, a few at a time, until each is inside or has failed or the run is cut short.
    ///
    /// # Errors
    /// If the poll fails.
    pub(super) fn admit_all(
        &mut self,
        slots: std::ops::Range<usize>,
        watch: &mut dyn FnMut(&Clients<D>),
    ) -> Result<(), LoadError> {
        let mut outside = slots.peekable();
        let mut next_look = self.clock.now();
        while self.cut().is_none() {
            for _ in self.clients.entering..ENTERING {
                // To a server that is gone nobody comes, and nobody more fails.
                let slot = if self.watchdog.is_refused() { None } else { outside.next() };
                let Some(slot) = slot else { break };
                let now = self.clock.now();
                self.admit(slot, now, now);
            }
            if self.clock.now() >= next_look {
                watch(&self.clients);
                next_look = self.clock.now() + SWEEP;
            }
            if self.clients.entering == 0 && outside.peek().is_none() {
                return Ok(());
            }
            self.turn(next_look)?;
        }
        Ok(())
    }

    /// Lets a client that is inside send something.
    pub(super) fn send(&mut self, slot: usize, write: impl FnOnce(&mut Clients<D>, &mut Vec<u8>)) {
        let (State::Inside, Some(connection)) = (self.clients.state(slot), &mut self.connections[slot])
        else {
            return;
        };
        let clients = &mut self.clients;
        if let Err(error) = connection.send(&self.poll, slot, |out| write(clients, out)) {
            self.settle(slot, Err(error));
        }
    }

    fn settle(&mut self, slot: usize, flow: Result<Flow, LoadError>) {
        let outcome = match flow {
            Ok(Flow::Continue) => return,
            Ok(Flow::End(outcome)) => outcome,
            Err(error) => Err(error),
        };
        let now = self.clock.now();
        if let Err(error) = &outcome {
            self.watchdog.handle_failure(error, now);
        }
        if let Some(connection) = self.connections[slot].take() {
            match self.clients.state(slot) {
                // It left with its last request unsaid: a connection that broke.
                State::LoggingIn if self.clients.resumes(slot) => connection.reset(),
                // Closing the socket takes it out of the poll.
                _ => drop(connection),
            }
        }
        self.clients.handle_left(slot, now, outcome);
        if self.returns_after_failure {
            self.clients.forgive(slot);
        }
        if self.clients.comes_again(slot) {
            self.returning.push(slot);
        }
    }

    /// Often enough for the shortest timeout.
    fn sweep_interval(&self) -> Duration {
        let Timeouts { connect, login, echo, bye, .. } = self.timeouts;
        let shortest = connect.min(login).min(echo).min(bye);
        (shortest / 4).clamp(Duration::from_millis(1), SWEEP)
    }

    /// Ends the visits of those who waited long enough, and lets those who failed at coming again try once more.
    fn sweep(&mut self, now: Moment) {
        self.next_sweep = now + self.sweep_interval();
        self.watchdog.look(now, self.connector, &self.poll, &self.clock);
        for slot in std::mem::take(&mut self.without_port) {
            self.admit(slot, self.clients.lost(slot), now);
        }
        for slot in 0..self.connections.len() {
            if let Some(error) = self.clients.overdue(slot, now, &self.timeouts) {
                self.clients.give_up(slot, now);
                self.settle(slot, Err(error));
            }
            if now < self.returns_until && self.clients.forgive(slot) {
                self.returning.push(slot);
            }
        }
    }

    fn let_return(&mut self) {
        // Who comes and goes at once shall not keep the others waiting: so many a turn, then those inside have theirs.
        for _ in 0..self.returning.len() {
            // To a server that is gone nobody comes, and nobody more fails.
            if self.watchdog.is_refused() && self.returns_after_failure {
                return;
            }
            let Some(slot) = self.returning.pop() else { return };
            let now = self.clock.now();
            if now < self.returns_until && self.visits_left > 0 {
                self.visits_left -= 1;
                self.admit(slot, now, now);
            }
        }
    }
}
