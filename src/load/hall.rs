//! Where the clients of a scenario stay: one `mio` poll loop with a place for each, at which it comes, stays, is cut
//! off and comes again.
//!
//! This module must not know what the clients say, nor which scenario this is.

use super::Patience;
use super::alarm::Alarm;
use super::client_state::Stand;
use super::clock::Clock;
use super::mishap::{Mishap, unreachable};
use super::regulars::Regulars;
use super::route::Route;
use super::watchdog::{Cut, PROBE, Watchdog};
use super::wire::{Course, READ_BYTES, Speaker, Wire};
use crate::Moment;
use mio::{Events, Poll, Token};
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Events taken from one wait.
const EVENTS: usize = 1_024;
/// Between two looks at the clients' patience.
const SWEEP: Duration = Duration::from_millis(100);
/// Clients on their way in at once while everybody enters: a full-cost login takes its time, and the server refuses
/// those who would wait too long.
const ENTERING: usize = 8;
/// How long an interrupt leaves clients for a farewell.
const FAREWELL_INTERRUPTED: Duration = Duration::from_secs(2);
const ALARM: Token = Token(usize::MAX - 1);

/// A poll loop with a place for each client.
#[derive(Debug)]
pub(super) struct Hall<'a> {
    route: &'a mut Route,
    pub(super) clock: Clock,
    patience: Patience,
    watchdog: Watchdog,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    alarm: Option<Alarm>,
    alarm_at: Moment,
    next_sweep: Moment,
    wires: Vec<Option<Wire>>,
    pub(super) regulars: Regulars,
    /// Until when those who leave and come again do come again.
    pub(super) reopens_until: Moment,
    returning: Vec<usize>,
}

/// One client at its place.
struct Seat<'a> {
    regulars: &'a mut Regulars,
    place: usize,
    heard: &'a mut Moment,
}

impl Speaker for Seat<'_> {
    fn handle_connected(&mut self, now: Moment, out: &mut Vec<u8>) {
        self.regulars.handle_connected(self.place, now, out);
    }

    fn handle_frame(&mut self, body: &[u8], now: Moment, out: &mut Vec<u8>) -> Result<Course, Mishap> {
        *self.heard = now;
        self.regulars.handle_frame(self.place, body, now, out)
    }

    fn handle_closed(&mut self) -> Result<(), Mishap> {
        self.regulars.handle_closed(self.place)
    }
}

impl<'a> Hall<'a> {
    /// A hall with a place for each of the regulars; nobody is there yet.
    ///
    /// # Errors
    /// If the system gives no poll.
    pub(super) fn new(
        route: &'a mut Route,
        clock: Clock,
        patience: Patience,
        interrupt: &Arc<AtomicBool>,
        regulars: Regulars,
    ) -> io::Result<Hall<'a>> {
        Ok(Hall {
            route,
            clock,
            patience,
            watchdog: Watchdog::new(Arc::clone(interrupt), clock.now()),
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS),
            buffer: vec![0; READ_BYTES],
            alarm: None,
            alarm_at: Moment::START,
            next_sweep: clock.now() + SWEEP,
            wires: (0..regulars.len()).map(|_| None).collect(),
            regulars,
            reopens_until: Moment::START,
            returning: Vec::new(),
        })
    }

    /// From now on waits end at the microsecond that they should.
    ///
    /// # Errors
    /// If the system does not offer that.
    pub(super) fn wait_precisely(&mut self) -> io::Result<()> {
        self.alarm = Some(Alarm::new(&self.poll, ALARM)?);
        Ok(())
    }

    /// Waits for events until that moment at the latest, and handles those that came.
    ///
    /// # Errors
    /// If the poll fails. What fails for one client is counted in the regulars.
    pub(super) fn turn(&mut self, until: Moment) -> io::Result<()> {
        let now = self.clock.now();
        let until = until.min(self.next_sweep);
        let pause = until.since(now);
        if let Some(alarm) = &self.alarm
            && self.alarm_at != until
            && !pause.is_zero()
        {
            alarm.set(pause)?;
            self.alarm_at = until;
        }
        match self.poll.poll(&mut self.events, Some(pause)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => outcome?,
        }
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            if event.token() == PROBE {
                self.watchdog.handle_event(event, &self.poll, &mut self.buffer, &self.clock);
                continue;
            }
            let Token(place) = event.token();
            let Some(wire) = self.wires.get_mut(place).and_then(Option::as_mut) else { continue };
            let mut seat = Seat { regulars: &mut self.regulars, place, heard: &mut self.watchdog.heard };
            let course = wire
                .handle_event(event, &self.poll, &mut self.buffer, &self.clock, &mut seat)
                .unwrap_or_else(|mishap| Course::Leaves(Err(mishap)));
            self.settle(place, course);
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

    /// Why the run is to end before its time, once it is.
    pub(super) fn cut(&self) -> Option<Cut> {
        self.watchdog.cut
    }

    /// Whether the run is to end now: it is cut short, or none of those who stay is there any more.
    pub(super) fn is_to_end(&mut self) -> bool {
        if self.regulars.inside == 0 {
            self.watchdog.cut.get_or_insert(Cut::NobodyLeft);
        }
        self.watchdog.cut.is_some()
    }

    /// Turns until that moment, or until the run is cut short, and tells `watch` about ten times a second.
    ///
    /// # Errors
    /// If the poll fails.
    pub(super) fn turn_until(&mut self, end: Moment, watch: &mut dyn FnMut(&Regulars)) -> io::Result<()> {
        let mut next_look = self.clock.now();
        loop {
            let now = self.clock.now();
            if now >= end || self.is_to_end() {
                return Ok(());
            }
            if now >= next_look {
                watch(&self.regulars);
                next_look = now + SWEEP;
            }
            self.turn(end)?;
        }
    }

    /// Lets the client at a place connect now; `lost` is when it lost its last connection, or now.
    pub(super) fn admit(&mut self, place: usize, lost: Moment, now: Moment) {
        self.regulars.begin(place, lost, now);
        let stream = self.route.connect().map_err(|error| unreachable(self.route, &error));
        let begun = stream.and_then(|stream| Ok(Wire::new(stream, self.route.carrier()?)));
        let mut wire = match begun {
            Ok(wire) => wire,
            Err(mishap) => return self.settle(place, Course::Leaves(Err(mishap))),
        };
        let mut seat = Seat { regulars: &mut self.regulars, place, heard: &mut self.watchdog.heard };
        let opened = wire.open(&self.poll, place, &self.clock, &mut seat);
        self.wires[place] = Some(wire);
        if let Err(mishap) = opened {
            self.settle(place, Course::Leaves(Err(mishap)));
        }
    }

    /// Lets all clients at these places in, a few at a time, until each is inside or has failed or the run is cut short.
    ///
    /// # Errors
    /// If the poll fails.
    pub(super) fn admit_all(
        &mut self,
        places: std::ops::Range<usize>,
        watch: &mut dyn FnMut(&Regulars),
    ) -> io::Result<()> {
        let mut outside = places.peekable();
        let mut next_look = self.clock.now();
        while self.cut().is_none() {
            let room = ENTERING.saturating_sub(self.regulars.entering());
            for _ in 0..room {
                // To a server that is gone nobody comes, and nobody more fails.
                let place = if self.watchdog.is_refused() { None } else { outside.next() };
                let Some(place) = place else { break };
                let now = self.clock.now();
                self.admit(place, now, now);
            }
            if self.clock.now() >= next_look {
                watch(&self.regulars);
                next_look = self.clock.now() + SWEEP;
            }
            if self.regulars.entering() == 0 && outside.peek().is_none() {
                return Ok(());
            }
            self.turn(next_look)?;
        }
        Ok(())
    }

    /// Whether the client of this place is welcome there.
    pub(super) fn is_inside(&self, place: usize) -> bool {
        self.regulars.stand(place) == Stand::Inside
    }

    /// Lets a client that is inside say something.
    pub(super) fn say(&mut self, place: usize, words: impl FnOnce(&mut Regulars, &mut Vec<u8>)) {
        let (Stand::Inside, Some(wire)) = (self.regulars.stand(place), &mut self.wires[place]) else {
            return;
        };
        let regulars = &mut self.regulars;
        if let Err(mishap) = wire.say(&self.poll, place, |out| words(regulars, out)) {
            self.settle(place, Course::Leaves(Err(mishap)));
        }
    }

    /// Cuts a client off: its connection breaks, and it knows its token.
    pub(super) fn break_off(&mut self, place: usize) {
        if let Some(wire) = self.wires[place].take() {
            wire.cut();
            let now = self.clock.now();
            self.regulars.give_up(place, now);
            self.regulars.handle_left(place, now, Ok(()));
        }
    }

    /// Waits for the echoes that are still to come, as long as patience lasts, or not for long if the run was cut short.
    /// After that nobody waits for anything: what has not come to an end counts with the time waited.
    ///
    /// # Errors
    /// If the poll fails.
    pub(super) fn await_echoes(&mut self) -> io::Result<()> {
        self.regulars.talks_until = Moment::START;
        let end = self.clock.now() + self.farewell(self.patience.echo);
        while self.regulars.messages_waiting > 0 && self.clock.now() < end && self.has_server() {
            self.turn(end)?;
        }
        let now = self.clock.now();
        for place in 0..self.regulars.len() {
            match self.regulars.stand(place) {
                Stand::Inside | Stand::Leaving | Stand::Parting => self.regulars.give_up(place, now),
                _ => self.break_off(place),
            }
        }
        Ok(())
    }

    /// Whether the server may still answer.
    fn has_server(&self) -> bool {
        self.cut().is_none_or(Cut::has_server)
    }

    /// How long to wait at the end of a run.
    fn farewell(&self, patience: Duration) -> Duration {
        if self.cut().is_some() { patience.min(FAREWELL_INTERRUPTED) } else { patience }
    }

    /// Everybody says Exit and waits for the server's close, so that no session stays behind: who waits in vain has failed.
    /// Who is still on the way in is cut off, and so is everybody if the server does not answer any more.
    ///
    /// # Errors
    /// If the poll fails.
    pub(super) fn dismiss(&mut self) -> io::Result<()> {
        self.reopens_until = Moment::START;
        for place in 0..self.wires.len() {
            let now = self.clock.now();
            match self.regulars.stand(place) {
                Stand::Inside if self.has_server() => {
                    self.say(place, |regulars, out| regulars.exit(place, now, out));
                }
                Stand::Leaving | Stand::Parting if self.has_server() => {}
                _ => self.break_off(place),
            }
        }
        // A little more than patience, so that it ends for each by itself.
        let end = self.clock.now() + self.farewell(self.patience.bye + SWEEP * 4);
        while self.clock.now() < end && self.has_server() && self.wires.iter().any(Option::is_some) {
            self.turn(self.clock.now() + SWEEP)?;
        }
        Ok(())
    }

    fn settle(&mut self, place: usize, course: Course) {
        let Course::Leaves(outcome) = course else { return };
        let now = self.clock.now();
        if let Err(mishap) = &outcome {
            self.watchdog.handle_failure(mishap, now);
        }
        if let Some(wire) = self.wires[place].take() {
            match self.regulars.stand(place) {
                // It left with its last word unsaid: a connection that broke.
                Stand::LoggingIn => wire.cut(),
                // Closing the socket takes it out of the poll.
                _ => drop(wire),
            }
        }
        self.regulars.handle_left(place, now, outcome);
        if self.regulars.comes_again(place) {
            self.returning.push(place);
        }
    }

    /// Ends the visits of those who waited long enough, and lets those who failed at coming again try once more.
    fn sweep(&mut self, now: Moment) {
        self.next_sweep = now + SWEEP;
        self.watchdog.look(now, self.route, &self.poll, &self.clock);
        for place in 0..self.wires.len() {
            if let Some(mishap) = self.regulars.overdue(place, now, &self.patience) {
                self.regulars.give_up(place, now);
                self.settle(place, Course::Leaves(Err(mishap)));
            }
            if now < self.reopens_until && self.regulars.forgive(place) {
                self.returning.push(place);
            }
        }
    }

    fn let_return(&mut self) {
        // Who comes and goes at once shall not keep the others waiting: so many a turn, then those inside have theirs.
        for _ in 0..self.returning.len() {
            let Some(place) = self.returning.pop() else { return };
            let now = self.clock.now();
            if now < self.reopens_until {
                self.admit(place, now, now);
            }
        }
    }
}
