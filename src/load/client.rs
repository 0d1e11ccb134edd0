//! All clients of a load, each a state machine: it connects, logs in, sends, leaves, and perhaps comes again.
//!
//! This module must not know sockets or the clock, nor the protocol: messages and times are handed in, requests are
//! appended to a buffer.

mod reading;
mod waiting;

use super::dialect::{Dialect, Exchange, LoginStep, Other, Role, User};
use super::error::LoadError;
use super::metrics::{Latencies, Latency, Metrics};
use crate::Moment;
use std::collections::VecDeque;

/// What a client does once it is inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Policy {
    /// It stays.
    #[default]
    Stays,
    /// It sends its messages, leaves, and comes again as the next user.
    Returns,
    /// Its connection breaks, and it comes again with what its login knows.
    Resumes,
}

/// How far a client is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    /// It has not come yet, or its visit is over and its connection is to end.
    #[default]
    Outside,
    Connecting,
    LoggingIn,
    Inside,
    /// It has said its farewell.
    Leaving,
    /// The server has said its own, and is to close. Who closes first keeps the port for a minute; that must not be the
    /// client, or a long run has no ports left.
    Parting,
    /// It failed, and does not come again by itself.
    Failed,
}

#[derive(Debug, Default)]
pub(super) struct Client<L> {
    name: String,
    number: u64,
    pub(super) policy: Policy,
    /// What it does in a chat, if this is one.
    role: Option<Role>,
    /// Changed by [`Clients::set_state`] alone.
    pub(super) state: State,
    login: L,
    /// When it lost its last connection, or first tried to connect.
    lost: Moment,
    began: Moment,
    /// When it said who it is, if it is to say so.
    asked: Option<Moment>,
    /// When it began to wait for what it waits for.
    since: Moment,
    exchange: Exchange,
    next_request: u64,
    /// Requests that are still to follow an answer.
    budget: u64,
    said_farewell: bool,
    /// Requests, from the oldest on, whose answer is to come.
    waiting: VecDeque<Text>,
    /// Those who read what it writes.
    readers: usize,
    /// Whose texts it reads, mostly its own, and the number of the next.
    reads: Option<usize>,
    next_text: u64,
}

/// A request on its way to those who read it.
#[derive(Clone, Copy, Debug)]
struct Text {
    /// When it was sent, or should have been.
    since: Moment,
    /// Readers that do not have it yet.
    missing: usize,
}

/// All clients, and what they measure.
pub(super) struct Clients<D: Dialect> {
    pub(super) dialect: D,
    pub(super) all: Vec<Client<D::Login>>,
    size_bytes: usize,
    /// Messages of each visit of those who return.
    messages: u64,
    /// The number of the next client that is another user.
    pub(super) next_number: u64,
    pub(super) metrics: Metrics,
    pub(super) entering: usize,
    pub(super) inside: usize,
    /// Until when an answer is followed by another request.
    pub(super) talks_until: Moment,
    /// Requests whose answer is to come.
    pub(super) requests_waiting: u64,
    /// Texts of a chat's room that readers have got.
    pub(super) deliveries: u64,
    /// Texts that the room's writer is to send now.
    pub(super) owed: usize,
}

/// What the requests of a client are measured as, by its role in a chat.
fn sort(role: Option<Role>) -> fn(&mut Latencies) -> &mut Latency {
    match role {
        Some(Role::Whisperer) => |latencies| &mut latencies.whisper,
        _ => |latencies| &mut latencies.message,
    }
}

impl<L> Client<L> {
    /// As the dialect sees it, beside its login.
    fn as_user(&mut self, messages: u64) -> (User<'_>, &mut L) {
        let role = self.role;
        let talks = self.policy == Policy::Stays || (self.policy == Policy::Returns && messages > 0);
        (User { name: &self.name, number: self.number, talks, role }, &mut self.login)
    }

    /// Where a text is among those that wait; beyond the end if it is not.
    fn place(&self, text: u64) -> usize {
        text.wrapping_sub(self.next_request.wrapping_sub(self.waiting.len() as u64)) as usize
    }
}

impl<D: Dialect> Clients<D> {
    /// Nobody yet; texts will be of this size, and those who return will send so many on each visit.
    pub(super) fn new(dialect: D, size_bytes: usize, messages: u64) -> Clients<D> {
        Clients {
            dialect,
            all: Vec::new(),
            size_bytes,
            messages,
            next_number: 0,
            metrics: Metrics::default(),
            entering: 0,
            inside: 0,
            talks_until: Moment::NEVER,
            requests_waiting: 0,
            deliveries: 0,
            owed: 0,
        }
    }

    /// From now on they have their roles in a chat.
    pub(super) fn chat(&mut self) {
        (0..).zip(&mut self.all).for_each(|(slot, client)| client.role = Some(Role::of(slot)));
    }

    pub(super) fn add(&mut self, count: usize, policy: Policy) {
        self.all.extend((0..count).map(|_| Client { policy, ..Client::default() }));
    }

    pub(super) fn set_state(&mut self, slot: usize, state: State, now: Moment) {
        let client = &mut self.all[slot];
        for (state, change) in [(client.state, -1), (state, 1)] {
            match state {
                State::Connecting | State::LoggingIn => {
                    self.entering = self.entering.saturating_add_signed(change);
                }
                State::Inside => self.inside = self.inside.saturating_add_signed(change),
                _ => {}
            }
        }
        (client.state, client.since) = (state, now);
    }

    /// A client begins to connect; `lost` is when it lost its last connection, or now. Who returns is another user each
    /// time.
    pub(super) fn begin(&mut self, slot: usize, lost: Moment, now: Moment) {
        let client = &mut self.all[slot];
        if client.policy == Policy::Returns || client.name.is_empty() {
            client.number = self.next_number;
            self.next_number += 1;
            client.name = self.dialect.name(client.number);
            client.login = D::Login::default();
            client.next_request = client.number.wrapping_mul(self.messages);
        }
        client.budget = if client.policy == Policy::Returns { self.messages } else { 0 };
        (client.said_farewell, client.asked) = (false, None);
        (client.lost, client.began) = (lost, now);
        self.set_state(slot, State::Connecting, now);
    }

    pub(super) fn handle_connected(&mut self, slot: usize, now: Moment, out: &mut Vec<u8>) {
        let began = self.all[slot].began;
        if let Some(latencies) = self.metrics.at(began) {
            latencies.connect.record(now.since(began));
        }
        self.set_state(slot, State::LoggingIn, now);
        let (user, login) = self.all[slot].as_user(self.messages);
        let step = self.dialect.connected(login, &user, out);
        self.advance(slot, step, now, out);
    }

    /// A message came: mostly an answer, which the next request may follow. If it does not belong here the client has failed.
    pub(super) fn handle_message(
        &mut self,
        slot: usize,
        message: &[u8],
        now: Moment,
        out: &mut Vec<u8>,
    ) -> Result<(), LoadError> {
        if self.reads(slot, message, now, out) {
            return Ok(());
        }
        let client = &mut self.all[slot];
        if client.state != State::LoggingIn {
            return self.handle_other(slot, message, now);
        }
        client.since = now;
        let (user, login) = client.as_user(self.messages);
        let step = self.dialect.handle_answer(login, &user, message, out)?;
        self.advance(slot, step, now, out);
        Ok(())
    }

    fn advance(&mut self, slot: usize, step: LoginStep, now: Moment, out: &mut Vec<u8>) {
        let client = &mut self.all[slot];
        match step {
            LoginStep::Waiting => return,
            LoginStep::Asked => return client.asked = Some(now),
            LoginStep::Inside | LoginStep::Done => {}
        }
        if let (Some(asked), Some(latencies)) = (client.asked, self.metrics.at(client.began)) {
            latencies.login.record(now.since(asked));
            latencies.resume.record(now.since(client.lost));
        }
        let (policy, has_messages) = (client.policy, client.budget > 0);
        let ends = step == LoginStep::Done || policy == Policy::Resumes;
        self.set_state(slot, if ends { State::Outside } else { State::Inside }, now);
        if !ends && policy == Policy::Returns {
            if has_messages {
                self.prepare(slot, 1);
            }
            self.follow(slot, now, out);
        }
    }

    /// What follows an answer, or the login of one who returns: another request, or the farewell.
    fn follow(&mut self, slot: usize, now: Moment, out: &mut Vec<u8>) {
        let client = &mut self.all[slot];
        if client.budget > 0 && now < self.talks_until {
            client.budget -= 1;
            self.send(slot, now, out);
        } else if client.policy == Policy::Returns && client.waiting.is_empty() {
            self.leave(slot, now, out);
        }
    }

    /// Makes a client's requests ready, which costs memory that one who only stays does not need.
    pub(super) fn prepare(&mut self, slot: usize, in_flight: usize) {
        let client = &mut self.all[slot];
        let (user, login) = client.as_user(self.messages);
        client.exchange = self.dialect.exchange(login, &user, self.size_bytes);
        client.waiting.reserve(in_flight);
        if client.role.is_none() {
            (client.reads, client.readers, client.next_text) = (Some(slot), 1, client.next_request);
        }
    }

    /// From now on each answer to a client that is inside is followed by another request; these are the first.
    pub(super) fn begin_requests(&mut self, slot: usize, in_flight: usize, now: Moment, out: &mut Vec<u8>) {
        self.all[slot].budget = u64::MAX;
        (0..in_flight).for_each(|_| self.send(slot, now, out));
    }

    /// Sends a client's next request; its latency counts from `since`. The farewell goes along with the last one of a
    /// visit, unless it is to wait for the answer: that saves a way there and back.
    pub(super) fn send(&mut self, slot: usize, since: Moment, out: &mut Vec<u8>) {
        let client = &mut self.all[slot];
        client.exchange.append(client.next_request, out);
        client.next_request = client.next_request.wrapping_add(1);
        client.waiting.push_back(Text { since, missing: client.readers });
        self.requests_waiting += 1;
        if client.policy == Policy::Returns
            && client.budget == 0
            && let Some(farewell) = self.dialect.farewell().filter(|farewell| farewell.is_along)
        {
            out.extend_from_slice(farewell.bytes);
            client.said_farewell = true;
        }
    }

    pub(super) fn leave(&mut self, slot: usize, now: Moment, out: &mut Vec<u8>) {
        let said = std::mem::replace(&mut self.all[slot].said_farewell, true);
        let state = match self.dialect.farewell() {
            None => State::Outside,
            Some(farewell) => {
                out.extend_from_slice(if said { &[] } else { farewell.bytes });
                if farewell.is_answered { State::Leaving } else { State::Parting }
            }
        };
        self.set_state(slot, state, now);
    }

    fn handle_other(&mut self, slot: usize, message: &[u8], now: Moment) -> Result<(), LoadError> {
        let advice = self.dialect.advice();
        let client = &mut self.all[slot];
        match (self.dialect.handle_other(&mut client.login, message)?, client.state) {
            (Other::Aside, _) | (_, State::Parting) => {}
            // An answer that was under way when the farewell went out.
            (Other::Answer, State::Leaving) => {}
            (Other::Answer, _) => {
                let reason = format!("what came is not the echo of the message that was sent; {advice}");
                return Err(LoadError::new("wrong_echo", reason));
            }
            (Other::Bye(_), State::Leaving) => self.set_state(slot, State::Parting, now),
            (Other::Bye(_), _) if client.said_farewell => {
                return Err(LoadError::new("no_echo", format!("Bye came before the echo; {advice}")));
            }
            (Other::Bye(reason), _) => return Err(LoadError::sent_away(&reason)),
        }
        Ok(())
    }

    /// The client has no connection any more: as it should be, by its own choice or the load's, or by a failure.
    pub(super) fn handle_left(&mut self, slot: usize, now: Moment, outcome: Result<(), LoadError>) {
        self.forget_reader(slot, now);
        self.give_up_requests(slot, now);
        self.set_state(slot, if outcome.is_ok() { State::Outside } else { State::Failed }, now);
        self.metrics.visited(outcome);
    }
}

#[cfg(test)]
mod tests;
