//! The clients of a scenario in which they stay: how each comes in, what it says there, what it does after that,
//! and what is measured.
//!
//! This module must not know sockets: frames and times are handed in, requests are appended to a buffer.

use super::parcel::Parcel;
use super::stats::{FailuresByKind, Latencies, Latency, Mishap, count_failure};
use super::visitor::{ECHO_WANTED, PASSWORD, refusal};
use super::wire::{Course, garbled};
use super::{Patience, timeline::Timeline};
use crate::Moment;
use crate::auth::Token;
use crate::protocol::{Reply, Request, VERSION, Wanted};
use std::collections::VecDeque;

/// What a client does once it is welcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Habit {
    /// It stays.
    Stays,
    /// It exits, and comes again with its password.
    Returns,
    /// Its connection breaks, and it comes again with its token.
    Resumes,
}

/// Where a client stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stand {
    Outside,
    /// For the connection.
    Connecting,
    /// For Hello.
    Knocking,
    /// For the answer to Identify.
    Identifying,
    /// For Welcome.
    LoggingIn,
    Inside,
    /// For Bye.
    Leaving,
    /// For the server's close.
    Parting,
    /// It will not come again by itself.
    Failed,
}

/// One client.
#[derive(Debug)]
pub(super) struct Part {
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
    sent: u64,
    echoed: u64,
    /// When each message whose echo is to come was sent, or should have been.
    waiting: VecDeque<Moment>,
    parcel: Parcel,
}

/// What was measured in a part of the run.
#[derive(Debug)]
pub(super) struct Window {
    /// Its beginning and its end.
    pub(super) from: Moment,
    pub(super) until: Moment,
    /// By the beginning of each, so that the end of a window cuts nothing off but what never came to its end.
    pub(super) latencies: Latencies,
    /// From the beginning of the way in, or the loss of the last connection, until Welcome.
    pub(super) absence: Latency,
}

impl Window {
    pub(super) fn new(from: Moment, until: Moment) -> Window {
        Window { from, until, latencies: Latencies::default(), absence: Latency::default() }
    }

    fn holds(&self, moment: Moment) -> bool {
        self.from <= moment && moment < self.until
    }
}

/// All clients, and what they measure.
#[derive(Debug)]
pub(super) struct Cast {
    parts: Vec<Part>,
    size_bytes: usize,
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

impl Cast {
    /// Clients outside, who will send messages of this size.
    pub(super) fn new(size_bytes: usize) -> Cast {
        Cast {
            parts: Vec::new(),
            size_bytes,
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
        self.parts.push(Part {
            name,
            habit,
            stand: Stand::Outside,
            token: None,
            lost: Moment::START,
            began: Moment::START,
            identified: Moment::START,
            sent: 0,
            echoed: 0,
            waiting: VecDeque::new(),
            parcel: Parcel::default(),
        });
        self.parts.len() - 1
    }

    pub(super) fn len(&self) -> usize {
        self.parts.len()
    }

    pub(super) fn stand(&self, place: usize) -> Stand {
        self.parts[place].stand
    }

    /// The clients on their way in.
    pub(super) fn entering(&self) -> usize {
        self.parts.iter().filter(|part| part.is_entering()).count()
    }

    /// A client begins to connect; `lost` is when it lost its last connection, or now.
    pub(super) fn begin(&mut self, place: usize, lost: Moment, now: Moment) {
        let part = &mut self.parts[place];
        part.stand = Stand::Connecting;
        part.lost = lost;
        part.began = now;
    }

    /// The client's connection is there: it says who it is.
    pub(super) fn handle_connected(&mut self, place: usize, now: Moment, out: &mut Vec<u8>) {
        let part = &mut self.parts[place];
        match &part.token {
            Some(token) => Request::Resume(token.expose()).encode(out),
            None => {
                Request::Identify(part.name.as_bytes()).encode(out);
                Request::Login(PASSWORD.as_bytes()).encode(out);
            }
        }
        part.stand = Stand::Knocking;
        part.identified = now;
        let waited = now.since(part.began);
        if let Some(window) = window_of(&mut self.windows, part.began) {
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
        let part = &mut self.parts[place];
        if part.stand == Stand::Inside
            && let Some(&began) = part.waiting.front()
            && part.parcel.is_echo(part.echoed, body)
        {
            part.waiting.pop_front();
            part.echoed += 1;
            self.messages_waiting -= 1;
            let latency = now.since(began);
            if let Some(window) = window_of(&mut self.windows, began) {
                window.latencies.message.record(latency);
            }
            if let Some(timeline) = &mut self.timeline {
                timeline.record(began, latency);
            }
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
        let part = &mut self.parts[place];
        part.parcel.append(part.sent, out);
        part.sent += 1;
        part.waiting.push_back(since);
        self.messages_waiting += 1;
    }

    fn handle_reply(
        &mut self,
        place: usize,
        reply: &Reply<'_>,
        now: Moment,
        out: &mut Vec<u8>,
    ) -> Result<Course, Mishap> {
        let part = &mut self.parts[place];
        let resumes = part.token.is_some();
        part.stand = match (part.stand, reply) {
            (_, Reply::Error { code, explanation }) => return Err(refusal(*code, explanation)),
            (Stand::Knocking, Reply::Hello { version: VERSION, .. }) if resumes => Stand::LoggingIn,
            (Stand::Knocking, Reply::Hello { version: VERSION, .. }) => Stand::Identifying,
            (Stand::Identifying, Reply::PasswordWanted(Wanted::Login)) => Stand::LoggingIn,
            (Stand::LoggingIn, Reply::Welcome { token, .. }) => {
                return Ok(self.welcome(place, Token::new(**token), now, out));
            }
            (Stand::Leaving, Reply::Bye(_)) => Stand::Parting,
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
        let part = &mut self.parts[place];
        if let Some(window) = window_of(&mut self.windows, part.began) {
            window.latencies.login.record(now.since(part.identified));
            window.absence.record(now.since(part.lost));
        }
        match part.habit {
            Habit::Stays => {
                part.stand = Stand::Inside;
                part.token = Some(token);
                self.inside += 1;
                Course::Stays
            }
            Habit::Returns => {
                part.stand = Stand::Leaving;
                Request::Exit.encode(out);
                Course::Stays
            }
            Habit::Resumes => {
                part.token = Some(token);
                Course::Leaves(Ok(()))
            }
        }
    }

    /// Makes ready the messages of all clients inside, which costs memory that those who only stay do not need.
    pub(super) fn prepare_messages(&mut self, in_flight: usize) {
        for (client, part) in (0..).zip(&mut self.parts) {
            if let (Stand::Inside, Some(token)) = (part.stand, &part.token) {
                part.parcel = Parcel::new(token, client, self.size_bytes);
                part.waiting.reserve(in_flight);
            }
        }
    }

    /// The client says that it goes.
    pub(super) fn exit(&mut self, place: usize, out: &mut Vec<u8>) {
        self.parts[place].stand = Stand::Leaving;
        self.inside -= 1;
        Request::Exit.encode(out);
    }

    /// The server closed the client's connection.
    ///
    /// # Errors
    /// [`Mishap`] if it came too early.
    pub(super) fn handle_closed(&self, place: usize) -> Result<(), Mishap> {
        match self.parts[place].stand {
            Stand::Parting => Ok(()),
            stand => {
                let reason = format!("the server closed the connection {}", stand.awaited());
                Err(Mishap::new("connection_lost", reason))
            }
        }
    }

    /// The client has no connection any more: as it should be, by its own choice or the tester's, or by a mishap.
    pub(super) fn handle_left(&mut self, place: usize, outcome: Result<(), Mishap>) {
        let part = &mut self.parts[place];
        self.messages_waiting -= part.waiting.len() as u64;
        part.waiting.clear();
        if part.stand == Stand::Inside {
            self.inside -= 1;
        }
        part.stand = if outcome.is_ok() { Stand::Outside } else { Stand::Failed };
        if let Err(mishap) = outcome {
            self.failed += 1;
            count_failure(&mut self.failures, mishap);
        }
    }

    /// Whether the client comes again by itself: at once, or after a mishap when everybody is looked after.
    pub(super) fn comes_again(&self, place: usize) -> bool {
        let part = &self.parts[place];
        part.habit != Habit::Stays && part.stand == Stand::Outside
    }

    /// Lets those who come again forget their mishap, so that a server which refused one for once is tried again.
    pub(super) fn forgive(&mut self, place: usize) -> bool {
        let part = &mut self.parts[place];
        let forgiven = part.habit != Habit::Stays && part.stand == Stand::Failed;
        if forgiven {
            part.stand = Stand::Outside;
        }
        forgiven
    }

    /// What a client has waited for in vain, if it has.
    pub(super) fn overdue(&self, place: usize, now: Moment, patience: &Patience) -> Option<Mishap> {
        let part = &self.parts[place];
        if part.stand == Stand::Connecting && part.began + patience.connect <= now {
            let waited = patience.connect;
            return Some(Mishap::new("connect_timeout", format!("no connection within {waited:?}")));
        }
        if part.is_entering() && part.began + patience.login <= now {
            let reason = format!("nothing came for {:?} {}", patience.login, part.stand.awaited());
            return Some(Mishap::new("no_answer", reason));
        }
        if part.waiting.front().is_some_and(|sent| *sent + patience.echo <= now) {
            let waited = patience.echo;
            let reason = format!("no echo of a message within {waited:?}; {ECHO_WANTED}");
            return Some(Mishap::new("no_echo", reason));
        }
        None
    }
}

impl Part {
    fn is_entering(&self) -> bool {
        matches!(self.stand, Stand::Connecting | Stand::Knocking | Stand::Identifying | Stand::LoggingIn)
    }
}

impl Stand {
    fn awaited(self) -> &'static str {
        match self {
            Stand::Outside | Stand::Connecting | Stand::Failed => "before the connection was there",
            Stand::Knocking => "where Hello was due",
            Stand::Identifying => "where the answer to Identify was due",
            Stand::LoggingIn => "where Welcome was due",
            Stand::Inside => "while the client stayed",
            Stand::Leaving => "where Bye was due",
            Stand::Parting => "where the close after Bye was due",
        }
    }
}

/// The windows of a run are few.
fn window_of(windows: &mut [Window], moment: Moment) -> Option<&mut Window> {
    windows.iter_mut().find(|window| window.holds(moment))
}

#[cfg(test)]
mod tests;
