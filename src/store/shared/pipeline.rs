//! One connection to where a shared store is, without its socket: what is to be written, and whose each reply is.
//!
//! Replies come in the order of their commands. So a reply that is late is the end of its connection: were it read later, it
//! would be taken for the answer to the next command (redis-py 2624, redis-rs 1252).

use super::command::Command;
use super::frame;
use crate::Moment;
use crate::limits::{STORE_CONNECT, STORE_REPLY, STORE_REPLY_BYTES, STORE_RETRY_LEAST, STORE_RETRY_MOST};
use crate::store::LinkAction;
use redis_protocol::resp3::decode::complete::decode;
use redis_protocol::resp3::types::OwnedFrame;
use std::collections::VecDeque;
use std::time::Duration;

/// What to do about a store that speaks TLS and is spoken to in the clear.
pub(super) const WRITE_REDISS: &str = "write rediss:// for redis://";

/// What to do about one that leaves without a word.
pub(super) const IF_IT_SPEAKS_TLS: &str = "if it speaks TLS at this port, write rediss:// for redis://";

/// A reply as the store sent it.
pub(super) type Reply = OwnedFrame;

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There is none; the next is tried then.
    Down { retry: Moment },
    /// It is being made, since then.
    Connecting { since: Moment },
    /// It is there, and is asked whether it leads to the right place.
    Greeting,
    /// Commands are written as they come, since then.
    Ready { since: Moment },
}

/// The connection; `R` is what a reply is for.
#[derive(Debug)]
pub(super) struct Pipeline<R> {
    state: State,
    /// How long the next pause is.
    pause: Duration,
    output: Vec<u8>,
    written: usize,
    input: Vec<u8>,
    /// Bytes of that whose replies were taken.
    taken: usize,
    /// Commands that were written, the oldest first, each with when it was, and when its reply is late.
    in_flight: VecDeque<(Moment, Moment, R)>,
    /// Commands that were not; without a moment those that the turn before has not seen.
    queued: VecDeque<(Option<Moment>, R, Command)>,
    /// How long the last reply took.
    round_trip: Duration,
    /// By how many milliseconds the store's clock, since 1970, is ahead of ours at least.
    ahead: Option<i64>,
}

/// How a command ended without a reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unanswered<R>(pub(super) R);

impl<R> Pipeline<R> {
    pub(super) fn new() -> Pipeline<R> {
        Pipeline {
            state: State::Down { retry: Moment::START },
            pause: STORE_RETRY_LEAST,
            output: Vec::new(),
            written: 0,
            input: Vec::new(),
            taken: 0,
            in_flight: VecDeque::new(),
            queued: VecDeque::new(),
            round_trip: Duration::ZERO,
            ahead: None,
        }
    }

    /// Has a command written, as soon as there is a connection.
    pub(super) fn ask(&mut self, command: Command, what: R) {
        self.queued.push_back((None, what, command));
    }

    /// Has a command written before all that wait: it is part of the greeting.
    pub(super) fn ask_first(&mut self, command: &Command, what: R, now: Moment) {
        let due = now + STORE_REPLY;
        command.encode(self.until(due), &mut self.output);
        self.in_flight.push_back((now, due, what));
    }

    /// Has a command written that has no reply of its own: what follows from it is pushed.
    pub(super) fn say_first(&mut self, command: &Command) {
        command.encode(None, &mut self.output);
    }

    pub(super) fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready { .. })
    }

    /// Commands that wait for their reply, or to be written.
    pub(super) fn waiting(&self) -> usize {
        self.in_flight.len() + self.queued.len()
    }

    /// What replies are waited for.
    pub(super) fn asked(&self) -> impl Iterator<Item = &R> {
        let in_flight = self.in_flight.iter().map(|(_, _, what)| what);
        in_flight.chain(self.queued.iter().map(|(_, what, _)| what))
    }

    /// What the next reply is for.
    pub(super) fn first_asked(&self) -> Option<&R> {
        self.in_flight.front().map(|(_, _, what)| what)
    }

    /// How long the last reply took.
    pub(super) fn round_trip(&self) -> Duration {
        self.round_trip
    }

    /// The store's clock showed this, in milliseconds since 1970, some time before now. What it has not carried out when
    /// nobody waits any more it is not to carry out at all, and it knows that by its own clock.
    pub(super) fn set_clock(&mut self, shown: i64, now: Moment) {
        // Both are cut off behind the millisecond: it is never too much.
        self.ahead = Some(shown - milliseconds(now) - 1);
    }

    /// Until when a command that is due then is waited for, by the store's clock: where the oldest is late all are given up.
    fn until(&self, due: Moment) -> Option<i64> {
        let due = self.in_flight.front().map_or(due, |(_, oldest, _)| due.min(*oldest));
        self.ahead.map(|ahead| ahead + milliseconds(due))
    }

    pub(super) fn action(&mut self, now: Moment) -> LinkAction {
        match self.state {
            State::Down { retry } if retry <= now => {
                self.state = State::Connecting { since: now };
                LinkAction::Connect
            }
            State::Down { .. } => LinkAction::Close,
            _ => LinkAction::Nothing,
        }
    }

    /// There is a connection: it is to be greeted.
    pub(super) fn handle_connected(&mut self) {
        self.state = State::Greeting;
        self.begin_anew();
    }

    /// Nothing of the connection before counts for the next.
    fn begin_anew(&mut self) {
        self.output.clear();
        self.written = 0;
        self.input = Vec::new();
        self.taken = 0;
    }

    /// The greeting went well: what waits is written.
    pub(super) fn handle_greeted(&mut self, now: Moment) {
        self.state = State::Ready { since: now };
    }

    /// The connection is gone, or is not to be used any more. Gives the commands that nobody will answer; those that were
    /// not written yet wait for the next.
    pub(super) fn handle_closed(&mut self, now: Moment) -> Vec<Unanswered<R>> {
        if !matches!(self.state, State::Down { .. }) {
            // At once after one that was good for a while.
            let was_good = matches!(self.state, State::Ready { since } if since + STORE_RETRY_MOST <= now);
            let pause = if was_good { Duration::ZERO } else { self.pause };
            self.pause = (pause * 2).clamp(STORE_RETRY_LEAST, STORE_RETRY_MOST);
            // What was written may be on its way still: nothing is said anew before it is too late for that.
            let settled = self.in_flight.iter().map(|(_, due, _)| *due).max().filter(|_| self.is_ready());
            self.state = State::Down { retry: settled.unwrap_or(now).max(now + pause) };
        }
        self.begin_anew();
        self.in_flight.drain(..).map(|(_, _, what)| Unanswered(what)).collect()
    }

    /// Commands that were not written yet and are not to wait for the next connection.
    pub(super) fn take_queued(&mut self, is_taken: impl Fn(&R) -> bool) -> Vec<R> {
        let (taken, left) = std::mem::take(&mut self.queued)
            .into_iter()
            .partition::<Vec<_>, _>(|(_, what, _)| is_taken(what));
        self.queued = left.into();
        taken.into_iter().map(|(_, what, _)| what).collect()
    }

    /// Bytes have come: their replies are to be taken.
    pub(super) fn handle_bytes(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// The next reply that is there whole, and what it is for, or what is pushed; an error where it is none, or nobody has asked.
    pub(super) fn poll_reply(&mut self, now: Moment) -> Result<Option<(Option<R>, Reply)>, String> {
        if self.input.is_empty() {
            return Ok(None);
        }
        let Some((reply, length)) = first_reply(&self.input[self.taken..])? else {
            self.input.drain(..self.taken);
            self.taken = 0;
            return Ok(None);
        };
        self.taken += length;
        if let Reply::Push { .. } = reply {
            return Ok(Some((None, reply)));
        }
        let (sent, _, what) = self.in_flight.pop_front().ok_or("it answers what was not asked")?;
        self.round_trip = now.since(sent);
        Ok(Some((Some(what), reply)))
    }

    /// What is to be written now; commands that have not been seen before are due a while after this.
    pub(super) fn output(&mut self, now: Moment) -> &[u8] {
        // Behind the last that was seen, all were not.
        for (due, ..) in self.queued.iter_mut().rev().take_while(|(due, ..)| due.is_none()) {
            *due = Some(now + STORE_REPLY);
        }
        if self.is_ready() {
            // Whose time is nearly over would have the connection given up: it is left to end without an answer.
            let is_late = |due: Option<Moment>| due.is_some_and(|due| due < now + STORE_REPLY / 2);
            for (due, what, command) in std::mem::take(&mut self.queued) {
                if is_late(due) {
                    self.queued.push_back((due, what, command));
                } else {
                    let due = due.unwrap_or(now + STORE_REPLY);
                    command.encode(self.until(due), &mut self.output);
                    self.in_flight.push_back((now, due, what));
                }
            }
        }
        self.output.get(self.written..).unwrap_or_default()
    }

    /// So many bytes of the output were written.
    pub(super) fn advance(&mut self, bytes: usize) {
        self.written += bytes;
        if self.written >= self.output.len() {
            self.output.clear();
            self.written = 0;
        }
    }

    /// Whether a reply is late, or the connection: it is to be given up.
    pub(super) fn is_late(&self, now: Moment) -> bool {
        match self.state {
            State::Connecting { since } => since + STORE_CONNECT <= now,
            _ => self.in_flight.front().is_some_and(|(_, due, _)| *due <= now),
        }
    }

    /// A command that waited too long to be written.
    pub(super) fn poll_overdue(&mut self, now: Moment) -> Option<Unanswered<R>> {
        let is_due = self.queued.front().is_some_and(|(due, ..)| due.is_some_and(|due| due <= now));
        if is_due { self.queued.pop_front().map(|(_, what, _)| Unanswered(what)) } else { None }
    }

    /// When something is to be done though nothing happens.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        let state = match self.state {
            State::Down { retry } => Some(retry),
            State::Connecting { since } => Some(since + STORE_CONNECT),
            State::Greeting | State::Ready { .. } => None,
        };
        let in_flight = self.in_flight.front().map(|(_, due, _)| *due);
        let queued = self.queued.front().and_then(|(due, ..)| *due);
        [state, in_flight, queued].into_iter().flatten().min()
    }
}

fn milliseconds(moment: Moment) -> i64 {
    i64::try_from(moment.since_start().as_millis()).unwrap_or(i64::MAX)
}

/// The first reply and its length, if it is there whole.
pub(super) fn first_reply(input: &[u8]) -> Result<Option<(Reply, usize)>, String> {
    // An alert, or its own first words: no reply begins so.
    if let [0x15 | 0x16, 0x03, ..] = input {
        return Err(format!("it speaks TLS: {WRITE_REDISS}"));
    }
    let Some(length) = frame::length(input)? else {
        let is_too_long = input.len() > STORE_REPLY_BYTES;
        return if is_too_long { Err("its reply does not end".to_owned()) } else { Ok(None) };
    };
    let decoded = decode(&input[..length]).map_err(|error| format!("its reply is none: {error}"))?;
    decoded.map(Some).ok_or_else(|| "its reply is none".to_owned())
}
