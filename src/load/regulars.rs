//! The regulars: clients that stay, or come again and again. How each comes in, what it says there, what it does after
//! that, and what is measured.
//!
//! This module must not know sockets: frames and times are handed in, requests are appended to a buffer.

use super::client_state::{Habit, Stand};
use super::mishap::{ECHO_WANTED, FailuresByKind, Mishap, count_failure, garbled, refusal};
use super::stats::Latency;
use super::template::Template;
use super::visitor::PASSWORD;
use super::window::{Window, window_of};
use super::wire::Course;
use super::{Patience, timeline::Timeline};
use crate::Moment;
use crate::auth::Token;
use crate::protocol::{Reply, Request, VERSION, Wanted};
use std::collections::VecDeque;
use std::time::Duration;

/// One client.
#[derive(Debug)]
pub(super) struct Regular {
    name: String,
    habit: Habit,
    stand: Stand,
    /// What it comes back with; without one it needs its password.
    token: Option<Token>,
    /// When it lost its last connection, or began to connect if it had none.
    lost: Moment,
    /// When it began to connect.
    began: Moment,
    /// When it said who it is.
    identified: Moment,
    /// When it began to wait for Bye, or for the close after it.
    leaving: Moment,
    sent: u64,
    echoed: u64,
    /// When each message whose echo is to come was sent, or should have been.
    waiting: VecDeque<Moment>,
    template: Template,
}

/// All clients, and what they measure.
#[derive(Debug)]
pub(super) struct Regulars {
    all: Vec<Regular>,
    size_bytes: usize,
    /// Whether they say who they are before Hello.
    pipelined: bool,
    /// Clients inside.
    pub(super) inside: usize,
    /// What failed.
    pub(super) failed: u64,
    pub(super) failures: FailuresByKind,
    /// Until when an echo is answered with the next message.
    pub(super) talks_until: Moment,
    pub(super) windows: Vec<Window>,
    pub(super) timeline: Option<Timeline>,
    /// Messages whose echo is to come.
    pub(super) messages_waiting: u64,
}

impl Regulars {
    /// Clients outside, who will send messages of this size, and say who they are before Hello if they are `pipelined`.
    pub(super) fn new(size_bytes: usize, pipelined: bool) -> Regulars {
        Regulars {
            all: Vec::new(),
            size_bytes,
            pipelined,
            inside: 0,
            failed: 0,
            failures: FailuresByKind::new(),
            talks_until: Moment::START,
            windows: Vec::new(),
            timeline: None,
            messages_waiting: 0,
        }
    }

    /// Adds a client and gives its place.
    pub(super) fn add(&mut self, name: String, habit: Habit) -> usize {
        self.all.push(Regular {
            name,
            habit,
            stand: Stand::Outside,
            token: None,
            lost: Moment::START,
            began: Moment::START,
            identified: Moment::START,
            leaving: Moment::START,
            sent: 0,
            echoed: 0,
            waiting: VecDeque::new(),
            template: Template::default(),
        });
        self.all.len() - 1
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn stand(&self, place: usize) -> Stand {
        self.all[place].stand
    }

    /// The clients on their way in.
    pub(super) fn entering(&self) -> usize {
        self.all.iter().filter(|regular| regular.is_entering()).count()
    }

    /// A client begins to connect; `lost` is when it lost its last connection, or now.
    pub(super) fn begin(&mut self, place: usize, lost: Moment, now: Moment) {
        let regular = &mut self.all[place];
        regular.stand = Stand::Connecting;
        regular.lost = lost;
        regular.began = now;
    }

    /// The client's connection is there: who does not wait for Hello says who it is.
    pub(super) fn handle_connected(&mut self, place: usize, now: Moment, out: &mut Vec<u8>) {
        let regular = &mut self.all[place];
        if self.pipelined {
            regular.identify(out);
            if regular.token.is_none() {
                Request::Login(PASSWORD.as_bytes()).encode(out);
            }
        }
        regular.stand = Stand::Knocking;
        regular.identified = now;
        let waited = now.since(regular.began);
        if let Some(window) = window_of(&mut self.windows, regular.began) {
            window.latencies.connect.record(waited);
        }
    }

    /// A frame came: mostly an echo, and the next message goes out.
    ///
    /// # Errors
    /// [`Mishap`] if it is not one that belongs here: the client has failed.
    pub(super) fn handle_frame(
        &mut self,
        place: usize,
        body: &[u8],
        now: Moment,
        out: &mut Vec<u8>,
    ) -> Result<Course, Mishap> {
        let regular = &mut self.all[place];
        if regular.stand == Stand::Inside
            && let Some(&began) = regular.waiting.front()
            && regular.template.is_echo(regular.echoed, body)
        {
            regular.waiting.pop_front();
            regular.echoed += 1;
            self.messages_waiting -= 1;
            self.record_message(began, now, Latency::record);
            if now < self.talks_until {
                self.send(place, now, out);
            }
            return Ok(Course::Stays);
        }
        let reply = Reply::decode(body).map_err(|error| garbled(&error))?;
        self.handle_reply(place, &reply, now, out)
    }

    /// Sends a client's next message; its latency counts from `since`.
    pub(super) fn send(&mut self, place: usize, since: Moment, out: &mut Vec<u8>) {
        let regular = &mut self.all[place];
        regular.template.append(regular.sent, out);
        regular.sent += 1;
        regular.waiting.push_back(since);
        self.messages_waiting += 1;
    }

    /// Counts a message that was due at `began` and whose wait has ended.
    fn record_message(&mut self, began: Moment, now: Moment, record: fn(&mut Latency, Duration)) {
        let latency = now.since(began);
        if let Some(window) = self.windows.iter_mut().find(|window| window.has_message(began, now)) {
            record(&mut window.latencies.message, latency);
        }
        if let Some(timeline) = &mut self.timeline {
            timeline.record(began, latency);
        }
    }

    /// Nobody waits any more for what this client still waits for: it counts with the time waited.
    pub(super) fn give_up(&mut self, place: usize, now: Moment) {
        self.give_up_messages(place, now);
        let regular = &self.all[place];
        let Some(window) = window_of(&mut self.windows, regular.began) else { return };
        match regular.stand {
            Stand::Connecting => window.latencies.connect.record_unfinished(now.since(regular.began)),
            Stand::Knocking | Stand::Identifying | Stand::LoggingIn => {
                window.latencies.login.record_unfinished(now.since(regular.identified));
            }
            _ => return,
        }
        window.absence.record_unfinished(now.since(regular.lost));
    }

    fn give_up_messages(&mut self, place: usize, now: Moment) {
        let waiting = std::mem::take(&mut self.all[place].waiting);
        self.messages_waiting -= waiting.len() as u64;
        for began in waiting {
            self.record_message(began, now, Latency::record_unfinished);
        }
    }

    fn handle_reply(
        &mut self,
        place: usize,
        reply: &Reply<'_>,
        now: Moment,
        out: &mut Vec<u8>,
    ) -> Result<Course, Mishap> {
        let regular = &mut self.all[place];
        let resumes = regular.token.is_some();
        if !self.pipelined {
            match (regular.stand, reply) {
                (Stand::Knocking, Reply::Hello { version: VERSION, .. }) => {
                    regular.identify(out);
                    regular.identified = now;
                }
                (Stand::Identifying, Reply::PasswordWanted(Wanted::Login)) => {
                    Request::Login(PASSWORD.as_bytes()).encode(out);
                }
                _ => {}
            }
        }
        regular.stand = match (regular.stand, reply) {
            (_, Reply::Error { code, explanation }) => return Err(refusal(*code, explanation)),
            (Stand::Knocking, Reply::Hello { version: VERSION, .. }) if resumes => Stand::LoggingIn,
            (Stand::Knocking, Reply::Hello { version: VERSION, .. }) => Stand::Identifying,
            (Stand::Identifying, Reply::PasswordWanted(Wanted::Login)) => Stand::LoggingIn,
            (Stand::LoggingIn, Reply::Welcome { token, .. }) => {
                return Ok(self.welcome(place, Token::new(**token), now, out));
            }
            (Stand::Leaving, Reply::Bye(_)) => {
                regular.leaving = now;
                Stand::Parting
            }
            // An echo that was under way when Exit went out.
            (Stand::Leaving, Reply::Message { .. }) => Stand::Leaving,
            (Stand::Inside, Reply::Message { .. }) => {
                let reason = format!("what came is not the echo of the message that was sent; {ECHO_WANTED}");
                return Err(Mishap::new("wrong_echo", reason));
            }
            (_, Reply::Bye(reason)) => {
                let reason = format!("the server said Bye: {}", reason.escape_debug());
                return Err(Mishap::new("sent_away", reason));
            }
            (stand, reply) => {
                let reason = format!("{} came {}", reply.name(), stand.awaited());
                return Err(Mishap::new("unexpected_reply", reason));
            }
        };
        Ok(Course::Stays)
    }

    fn welcome(&mut self, place: usize, token: Token, now: Moment, out: &mut Vec<u8>) -> Course {
        let regular = &mut self.all[place];
        if let Some(window) = window_of(&mut self.windows, regular.began) {
            window.latencies.login.record(now.since(regular.identified));
            window.absence.record(now.since(regular.lost));
        }
        match regular.habit {
            Habit::Stays => {
                regular.stand = Stand::Inside;
                regular.token = Some(token);
                self.inside += 1;
                Course::Stays
            }
            Habit::Returns => {
                regular.stand = Stand::Leaving;
                regular.leaving = now;
                Request::Exit.encode(out);
                Course::Stays
            }
            Habit::Resumes => {
                regular.token = Some(token);
                Course::Leaves(Ok(()))
            }
        }
    }

    /// Makes ready the messages of all clients inside, which costs memory that those who only stay do not need.
    pub(super) fn prepare_messages(&mut self, in_flight: usize) {
        for (client, regular) in (0..).zip(&mut self.all) {
            if let (Stand::Inside, Some(token)) = (regular.stand, &regular.token) {
                regular.template = Template::new(token, client, self.size_bytes);
                regular.waiting.reserve(in_flight);
            }
        }
    }

    /// The client says that it goes.
    pub(super) fn exit(&mut self, place: usize, now: Moment, out: &mut Vec<u8>) {
        let regular = &mut self.all[place];
        regular.stand = Stand::Leaving;
        regular.leaving = now;
        self.inside -= 1;
        Request::Exit.encode(out);
    }

    /// The server closed the client's connection.
    ///
    /// # Errors
    /// [`Mishap`] if it came too early.
    pub(super) fn handle_closed(&self, place: usize) -> Result<(), Mishap> {
        match self.all[place].stand {
            Stand::Parting => Ok(()),
            stand => {
                let reason = format!("the server closed the connection {}", stand.awaited());
                Err(Mishap::new("connection_lost", reason))
            }
        }
    }

    /// The client has no connection any more: as it should be, by its own choice or the tester's, or by a mishap.
    /// Messages whose echo is to come never will.
    pub(super) fn handle_left(&mut self, place: usize, now: Moment, outcome: Result<(), Mishap>) {
        self.give_up_messages(place, now);
        let regular = &mut self.all[place];
        if regular.stand == Stand::Inside {
            self.inside -= 1;
        }
        regular.stand = if outcome.is_ok() { Stand::Outside } else { Stand::Failed };
        if let Err(mishap) = outcome {
            self.failed += 1;
            count_failure(&mut self.failures, mishap);
        }
    }

    /// Whether the client comes again by itself: at once, or after a mishap when everybody is looked after.
    pub(super) fn comes_again(&self, place: usize) -> bool {
        let regular = &self.all[place];
        regular.habit != Habit::Stays && regular.stand == Stand::Outside
    }

    /// Lets those who come again forget their mishap, so that a server which refused one for once is tried again.
    pub(super) fn forgive(&mut self, place: usize) -> bool {
        let regular = &mut self.all[place];
        let forgiven = regular.habit != Habit::Stays && regular.stand == Stand::Failed;
        if forgiven {
            regular.stand = Stand::Outside;
        }
        forgiven
    }

    /// What a client has waited for in vain, if it has.
    pub(super) fn overdue(&self, place: usize, now: Moment, patience: &Patience) -> Option<Mishap> {
        let regular = &self.all[place];
        if regular.stand == Stand::Connecting && regular.began + patience.connect <= now {
            let waited = patience.connect;
            return Some(Mishap::new("connect_timeout", format!("no connection within {waited:?}")));
        }
        if regular.is_entering() && regular.began + patience.login <= now {
            let reason = format!("nothing came for {:?} {}", patience.login, regular.stand.awaited());
            return Some(Mishap::new("no_answer", reason));
        }
        if regular.waiting.front().is_some_and(|sent| *sent + patience.echo <= now) {
            let waited = patience.echo;
            let reason = format!("no echo of a message within {waited:?}; {ECHO_WANTED}");
            return Some(Mishap::new("no_echo", reason));
        }
        let is_leaving = matches!(regular.stand, Stand::Leaving | Stand::Parting);
        if is_leaving && regular.leaving + patience.bye <= now {
            let reason = format!("nothing came for {:?} {}", patience.bye, regular.stand.awaited());
            return Some(Mishap::new("no_bye", reason));
        }
        None
    }
}

impl Regular {
    /// Says who it is, by its token if it has one.
    fn identify(&self, out: &mut Vec<u8>) {
        match &self.token {
            Some(token) => Request::Resume(token.expose()).encode(out),
            None => Request::Identify(self.name.as_bytes()).encode(out),
        }
    }

    fn is_entering(&self) -> bool {
        matches!(self.stand, Stand::Connecting | Stand::Knocking | Stand::Identifying | Stand::LoggingIn)
    }
}

#[cfg(test)]
mod tests;
