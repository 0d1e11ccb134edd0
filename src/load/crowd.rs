//! A crowd of virtual clients on one thread: one `mio` poll loop, a place for each client that may be there at once.
//!
//! A turn waits, moves the clients that something happened to, looks every now and then for those whose patience has
//! ended, and fills the places that became free. This module must not know what the clients say or why.

use super::Patience;
use super::route::{Route, out_of_ports};
use super::stats::{Mishap, Tally};
use super::visitor::{Errand, Visitor};
use crate::Moment;
use crate::limits::{MAX_FRAME_BYTES_MOST, REPLY_EXTRA_BYTES};
use crate::protocol::{Inbox, Lent, Reply};
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

/// Bytes of one read; the buffer is shared by all clients.
const READ_BYTES: usize = 256 * 1024;
/// Events taken from one wait.
const EVENTS: usize = 1_024;
/// The longest between two looks at the clients' patience and at the progress.
const SWEEP: Duration = Duration::from_millis(100);
/// Between two attempts to connect while there is no local port.
const PORT_PAUSE: Duration = Duration::from_millis(100);

/// The monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock(Instant);

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "a load tester measures real time")]
    pub(super) fn start() -> Clock {
        Clock(Instant::now())
    }

    pub(super) fn now(&self) -> Moment {
        Moment::START + self.0.elapsed()
    }
}

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
    stream: TcpStream,
    connected: bool,
    /// Whether the poll tells when the connection takes bytes again.
    tells_writable: bool,
    inbox: Inbox,
    unsent: Vec<u8>,
    sent: usize,
    /// Why nothing can be sent any more; what the server said last may tell better, so it is read first.
    unsendable: Option<Mishap>,
}

/// Whether a client goes on.
enum Course {
    Stays,
    Leaves(Result<(), Mishap>),
}

/// Clients that visit one server, so many at a time.
#[derive(Debug)]
pub(super) struct Crowd<'a> {
    route: &'a mut Route,
    patience: Patience,
    stops_at_failure: bool,
    clock: Clock,
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
        size: usize,
        stops_at_failure: bool,
    ) -> io::Result<Crowd<'a>> {
        Ok(Crowd {
            route,
            patience,
            stops_at_failure,
            clock,
            poll: Poll::new()?,
            places: (0..size).map(|_| Place::Free).collect(),
            free: (0..size).rev().collect(),
            buffer: vec![0; READ_BYTES],
            tally: Tally::default(),
        })
    }

    /// Sends clients on all these errands, and tells `watch` now and then how far they are.
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
            if (nobody && !more) || (self.stops_at_failure && self.tally.failed > 0) {
                watch(&self.tally);
                return Ok(self.tally);
            }
            let pause = if more { Duration::ZERO } else { next_sweep.since(self.clock.now()) };
            match self.poll.poll(&mut events, Some(pause)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => outcome?,
            }
            for event in &events {
                self.handle_event(event);
            }
            let now = self.clock.now();
            if now >= next_sweep {
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
                let mut guest = Guest::new(visitor, stream);
                let course = match guest.open(&self.poll, place, &self.clock, &mut self.tally) {
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
        let Token(place) = event.token();
        let Place::Inside(guest) = &mut self.places[place] else { return };
        let course = guest
            .handle_event(event, &self.poll, place, &mut self.buffer, &self.clock, &mut self.tally)
            .unwrap_or_else(|mishap| Course::Leaves(Err(mishap)));
        self.settle(place, course);
    }

    /// Ends the visits of those who waited long enough; lets those outside try again.
    fn sweep(&mut self, now: Moment) {
        for place in 0..self.places.len() {
            match &self.places[place] {
                Place::Inside(guest) if guest.visitor.deadline(&self.patience) <= now => {
                    let mishap = guest.visitor.overdue(&self.patience);
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
            // Closing the socket takes it out of the poll.
            self.places[place] = Place::Free;
            self.free.push(place);
            self.tally.count(outcome);
        }
    }
}

impl Guest {
    fn new(visitor: Visitor, stream: TcpStream) -> Guest {
        Guest {
            visitor,
            stream,
            connected: false,
            tells_writable: false,
            inbox: Inbox::default(),
            unsent: Vec::new(),
            sent: 0,
            unsendable: None,
        }
    }

    /// Registers the new connection. On the loopback it is mostly there already, and the first words can go out
    /// without a wait.
    fn open(&mut self, poll: &Poll, place: usize, clock: &Clock, tally: &mut Tally) -> Result<(), Mishap> {
        self.advance_connection(clock, tally)?;
        self.flush();
        self.tells_writable = !self.connected || self.has_unsent();
        let interest = interest(self.tells_writable);
        poll.registry().register(&mut self.stream, Token(place), interest).map_err(|error| lost(&error))
    }

    fn handle_event(
        &mut self,
        event: &Event,
        poll: &Poll,
        place: usize,
        buffer: &mut [u8],
        clock: &Clock,
        tally: &mut Tally,
    ) -> Result<Course, Mishap> {
        if !self.connected {
            self.advance_connection(clock, tally)?;
        }
        self.flush();
        let mut course = Course::Stays;
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            course = self.read(event.is_read_closed(), buffer, clock, tally)?;
        }
        if let (Course::Stays, Some(mishap)) = (&course, self.unsendable.take()) {
            return Err(mishap);
        }
        if self.has_unsent() && !self.tells_writable {
            self.tells_writable = true;
            let registered = poll.registry().reregister(&mut self.stream, Token(place), interest(true));
            registered.map_err(|error| lost(&error))?;
        }
        Ok(course)
    }

    /// Finds out whether the connection is there by now, or never will be.
    fn advance_connection(&mut self, clock: &Clock, tally: &mut Tally) -> Result<(), Mishap> {
        let failed = |error: &io::Error| Mishap::new("connect_failed", format!("cannot connect: {error}"));
        match self.stream.take_error() {
            Ok(None) => {}
            Ok(Some(error)) | Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                return Err(refused(&error));
            }
            Ok(Some(error)) | Err(error) => return Err(failed(&error)),
        }
        match self.stream.peer_addr() {
            Ok(_) => {
                self.connected = true;
                self.visitor.handle_connected(clock.now(), &mut self.unsent, &mut tally.latencies);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            Err(error) => Err(failed(&error)),
        }
    }

    /// Reads until nothing more is there, and answers. A short read has emptied the socket: only if the peer has
    /// closed, too, does another tell more.
    fn read(
        &mut self,
        peer_closed: bool,
        buffer: &mut [u8],
        clock: &Clock,
        tally: &mut Tally,
    ) -> Result<Course, Mishap> {
        loop {
            let count = match self.stream.read(buffer) {
                Ok(0) => return Ok(Course::Leaves(self.visitor.handle_closed())),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Course::Stays),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(lost(&error)),
            };
            self.handle_bytes(&mut buffer[..count], clock.now(), tally)?;
            self.flush();
            if count < buffer.len() && !peer_closed && self.unsendable.is_none() {
                return Ok(Course::Stays);
            }
        }
    }

    fn handle_bytes(&mut self, bytes: &mut [u8], now: Moment, tally: &mut Tally) -> Result<(), Mishap> {
        let garbled = |reason: &dyn std::fmt::Display| {
            Mishap::new("malformed_reply", format!("the server does not speak the protocol: {reason}"))
        };
        let mut lent = Lent::new(bytes);
        // A text comes back with its sender's name.
        let limit_bytes = MAX_FRAME_BYTES_MOST + REPLY_EXTRA_BYTES;
        while let Some(body) =
            self.inbox.next_frame(&mut lent, limit_bytes).map_err(|error| garbled(&error))?
        {
            let reply = Reply::decode(body).map_err(|error| garbled(&error))?;
            self.visitor.handle_reply(&reply, now, &mut self.unsent, &mut tally.latencies)?;
        }
        self.inbox.keep(&mut lent);
        Ok(())
    }

    fn has_unsent(&self) -> bool {
        self.sent < self.unsent.len()
    }

    fn flush(&mut self) {
        while self.has_unsent() {
            match self.stream.write(&self.unsent[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.unsendable.get_or_insert(lost(&error));
                    break;
                }
            }
        }
        self.unsent.clear();
        self.sent = 0;
    }
}

fn interest(writable: bool) -> Interest {
    if writable { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE }
}

fn unreachable(route: &Route, error: &io::Error) -> Mishap {
    if out_of_ports(error) {
        let reason =
            format!("ran out of local ports: no address and port here is free to connect from ({error})");
        return Mishap::new("out_of_ports", reason);
    }
    if error.kind() == io::ErrorKind::ConnectionRefused {
        return refused(error);
    }
    Mishap::new("connect_failed", format!("cannot connect to {}: {error}", route.server()))
}

fn refused(error: &io::Error) -> Mishap {
    Mishap::new("connection_refused", format!("no server listens there ({error})"))
}

fn lost(error: &io::Error) -> Mishap {
    Mishap::new("connection_lost", format!("the connection was lost: {error}"))
}
