//! A crowd of virtual clients on one thread: one `mio` poll loop, a place for each client that may be there at once.
//!
//! A turn waits, moves the clients that something happened to, looks every now and then for those whose patience has
//! ended, and fills the places that became free. This module must not know what the clients say or why.

use super::Patience;
use super::clock::Clock;
use super::mishap::{Mishap, garbled, unreachable};
use super::route::{Route, out_of_ports};
use super::stats::{Latencies, Tally};
use super::visitor::{Errand, Visitor};
use super::watchdog::{PROBE, Watchdog};
use super::wire::{Course, READ_BYTES, Speaker, Wire};
use crate::Moment;
use crate::protocol::Reply;
use mio::event::Event;
use mio::{Events, Poll, Token};
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Events taken from one wait.
const EVENTS: usize = 1_024;
/// The longest between two looks at the clients' patience and at the progress.
const SWEEP: Duration = Duration::from_millis(100);
/// Between two attempts to connect while there is no local port.
const PORT_PAUSE: Duration = Duration::from_millis(100);

/// Where a client of the crowd is.
#[derive(Debug)]
enum Place {
    Free,
    /// It found no local port and tries again.
    Outside {
        visitor: Visitor,
        again: Moment,
        until: Moment,
    },
    Inside(Box<Guest>),
}

/// A client with a connection.
#[derive(Debug)]
struct Guest {
    visitor: Visitor,
    wire: Wire,
}

/// A visitor who speaks, and what is measured of it.
struct Voice<'a> {
    visitor: &'a mut Visitor,
    latencies: &'a mut Latencies,
    heard: &'a mut Moment,
}

impl Speaker for Voice<'_> {
    fn handle_connected(&mut self, now: Moment, out: &mut Vec<u8>) {
        self.visitor.handle_connected(now, out, self.latencies);
    }

    fn handle_frame(&mut self, body: &[u8], now: Moment, out: &mut Vec<u8>) -> Result<Course, Mishap> {
        *self.heard = now;
        let reply = Reply::decode(body).map_err(|error| garbled(&error))?;
        self.visitor.handle_reply(&reply, now, out, self.latencies)?;
        Ok(if self.visitor.is_content() { Course::Leaves(Ok(())) } else { Course::Stays })
    }

    fn handle_closed(&mut self) -> Result<(), Mishap> {
        self.visitor.handle_closed()
    }
}

/// Clients that visit one server, so many at a time.
#[derive(Debug)]
pub(super) struct Crowd<'a> {
    route: &'a mut Route,
    patience: Patience,
    stops_at_failure: bool,
    clock: Clock,
    watchdog: Watchdog,
    poll: Poll,
    places: Vec<Place>,
    free: Vec<usize>,
    buffer: Vec<u8>,
    tally: Tally,
}

impl<'a> Crowd<'a> {
    /// An empty crowd with `size` places.
    ///
    /// # Errors
    /// If the system gives no poll.
    pub(super) fn new(
        route: &'a mut Route,
        clock: Clock,
        patience: Patience,
        interrupt: &Arc<AtomicBool>,
        size: usize,
        stops_at_failure: bool,
    ) -> io::Result<Crowd<'a>> {
        Ok(Crowd {
            route,
            patience,
            stops_at_failure,
            clock,
            watchdog: Watchdog::new(Arc::clone(interrupt), clock.now()),
            poll: Poll::new()?,
            places: (0..size).map(|_| Place::Free).collect(),
            free: (0..size).rev().collect(),
            buffer: vec![0; READ_BYTES],
            tally: Tally::default(),
        })
    }

    /// Sends clients on all these errands, and tells `watch` now and then how far they are. If the run is cut short, the
    /// tally says why, and those under way are no part of it but for what they waited for.
    ///
    /// # Errors
    /// If the poll fails. What fails for one client is in the tally.
    pub(super) fn run(
        mut self,
        errands: impl Iterator<Item = Errand>,
        watch: &mut dyn FnMut(&Tally),
    ) -> io::Result<Tally> {
        let mut errands = errands.peekable();
        let mut events = Events::with_capacity(EVENTS);
        let mut next_sweep = self.clock.now() + self.sweep_interval();
        loop {
            self.fill_free_places(&mut errands);
            // Whoever failed at the door left a place for the next.
            let more = !self.free.is_empty() && errands.peek().is_some();
            let nobody = self.free.len() == self.places.len();
            let is_over = (nobody && !more) || (self.stops_at_failure && self.tally.failed > 0);
            if is_over || self.watchdog.cut.is_some() {
                self.give_up();
                watch(&self.tally);
                return Ok(self.tally);
            }
            let at_once = more && !self.watchdog.is_refused();
            let pause = if at_once { Duration::ZERO } else { next_sweep.since(self.clock.now()) };
            match self.poll.poll(&mut events, Some(pause)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => outcome?,
            }
            for event in &events {
                self.handle_event(event);
            }
            let now = self.clock.now();
            // What has come is judged before who waited too long: after a pause of this program there may be more.
            if now >= next_sweep && events.iter().count() < EVENTS {
                self.watchdog.look(now, self.route, &self.poll, &self.clock);
                self.sweep(now);
                watch(&self.tally);
                next_sweep = now + self.sweep_interval();
            }
        }
    }

    /// Often enough for the shortest patience.
    fn sweep_interval(&self) -> Duration {
        let Patience { connect, login, echo, bye, .. } = self.patience;
        let shortest = connect.min(login).min(echo).min(bye);
        (shortest / 4).clamp(Duration::from_millis(1), SWEEP)
    }

    fn fill_free_places(&mut self, errands: &mut impl Iterator<Item = Errand>) {
        // With nobody at the door to serve them all fail at once: so many a turn, then those inside have theirs.
        for _ in 0..self.free.len() {
            if self.watchdog.is_refused() {
                return;
            }
            let Some(errand) = errands.next() else { return };
            let Some(place) = self.free.pop() else { return };
            let now = self.clock.now();
            self.enter(place, Visitor::new(errand, now), now + self.patience.ports);
        }
    }

    /// Connects a client; while there is no local port, until that moment, it waits outside.
    fn enter(&mut self, place: usize, visitor: Visitor, until: Moment) {
        match self.route.connect() {
            Ok(stream) => {
                let carrier = match self.route.carrier() {
                    Ok(carrier) => carrier,
                    Err(mishap) => return self.settle(place, Course::Leaves(Err(mishap))),
                };
                let mut guest = Guest { visitor, wire: Wire::new(stream, carrier) };
                let mut voice = Voice {
                    visitor: &mut guest.visitor,
                    latencies: &mut self.tally.latencies,
                    heard: &mut self.watchdog.heard,
                };
                let course = match guest.wire.open(&self.poll, place, &self.clock, &mut voice) {
                    Ok(()) => Course::Stays,
                    Err(mishap) => Course::Leaves(Err(mishap)),
                };
                self.places[place] = Place::Inside(Box::new(guest));
                self.settle(place, course);
            }
            Err(error) if out_of_ports(&error) && self.clock.now() < until => {
                let again = self.clock.now() + PORT_PAUSE;
                self.places[place] = Place::Outside { visitor, again, until };
            }
            Err(error) => {
                let mishap = unreachable(self.route, &error);
                self.settle(place, Course::Leaves(Err(mishap)));
            }
        }
    }

    fn handle_event(&mut self, event: &Event) {
        if event.token() == PROBE {
            return self.watchdog.handle_event(event, &self.poll, &mut self.buffer, &self.clock);
        }
        let Token(place) = event.token();
        let Place::Inside(guest) = &mut self.places[place] else { return };
        let mut voice = Voice {
            visitor: &mut guest.visitor,
            latencies: &mut self.tally.latencies,
            heard: &mut self.watchdog.heard,
        };
        let course = guest
            .wire
            .handle_event(event, &self.poll, &mut self.buffer, &self.clock, &mut voice)
            .unwrap_or_else(|mishap| Course::Leaves(Err(mishap)));
        if let Course::Leaves(Err(_)) = course {
            guest.visitor.give_up(self.clock.now(), true, &mut self.tally.latencies);
        }
        self.settle(place, course);
    }

    /// Ends the visits of those who waited long enough; lets those outside try again.
    fn sweep(&mut self, now: Moment) {
        for place in 0..self.places.len() {
            match &self.places[place] {
                Place::Inside(guest) if guest.visitor.deadline(&self.patience) <= now => {
                    let mishap = guest.visitor.overdue(&self.patience);
                    guest.visitor.give_up(now, false, &mut self.tally.latencies);
                    self.settle(place, Course::Leaves(Err(mishap)));
                }
                Place::Outside { again, .. } if *again <= now => {
                    let outside = std::mem::replace(&mut self.places[place], Place::Free);
                    let Place::Outside { visitor, until, .. } = outside else { continue };
                    self.enter(place, Visitor::new(visitor.into_errand(), now), until);
                }
                _ => {}
            }
        }
    }

    fn settle(&mut self, place: usize, course: Course) {
        if let Course::Leaves(outcome) = course {
            if let Err(mishap) = &outcome {
                self.watchdog.handle_failure(mishap, self.clock.now());
            }
            // Closing the socket takes it out of the poll.
            self.places[place] = Place::Free;
            self.free.push(place);
            self.tally.count(outcome);
        }
    }

    /// Ends the visits of all who are still there when the run is cut short.
    fn give_up(&mut self) {
        let now = self.clock.now();
        for place in &self.places {
            if let Place::Inside(guest) = place {
                guest.visitor.give_up(now, false, &mut self.tally.latencies);
            }
        }
        self.tally.cut = self.watchdog.cut;
    }
}
