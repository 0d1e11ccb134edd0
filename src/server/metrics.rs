//! Figures and health over HTTP, for monitoring systems.
//!
#![doc = include_str!("metrics.md")]
//!
//! This module must not know what the figures are.

mod exposition;

use super::error::{PortChoice, ServerError};
use super::listener::Listener;
use super::listeners::listen_at;
use super::places::{Occupant, Places};
use crate::Moment;
use crate::auth::Origin;
use crate::engine::Engine;
use crate::http::{HttpRequest, Wanted};
use crate::limits::{
    METRICS_CONNECTIONS, METRICS_REQUEST_BYTES, METRICS_SILENCE, METRICS_STALL, METRICS_TIME,
};
use crate::store::Store;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::fd::AsRawFd;

/// Tokens from here on are these. Those of the control socket are smaller, and those of clients greater.
const FIRST_TOKEN: usize = 1 << 17;

const PLAIN: &str = "text/plain; charset=utf-8";

/// What listens, and those who ask.
pub(super) struct Metrics {
    listeners: Vec<Listener>,
    /// Which of them is asked first.
    turn: usize,
    connections: Places<Asking>,
}

/// One connection, which asks once.
struct Asking {
    stream: TcpStream,
    origin: Origin,
    is_ready: bool,
    /// It may have sent all, and was not looked at since another had its answer in that turn.
    is_passed_over: bool,
    request: Vec<u8>,
    answer: Vec<u8>,
    written: usize,
    state: State,
    /// Since when it is in this state.
    since: Moment,
    deadline: Moment,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Reading,
    Writing,
    /// All is said; what the peer still sends is discarded until it closes, or the answer could be lost by a reset.
    Discarding,
}

impl Metrics {
    /// Listens at all addresses of a name, as the server does for clients.
    ///
    /// # Errors
    /// [`ServerError`].
    pub(super) fn bind(name: &[SocketAddr], registry: &Registry) -> Result<Metrics, ServerError> {
        Metrics::of(listen_at(name, false, PortChoice::Metrics)?, registry)
    }

    /// Takes over a socket that listens already.
    ///
    /// # Errors
    /// [`ServerError`].
    pub(super) fn adopt(socket: &TcpListener, registry: &Registry) -> Result<Metrics, ServerError> {
        let fd = socket.as_raw_fd();
        let listener = Listener::adopt(socket).map_err(|error| ServerError::Socket { fd, error })?;
        Metrics::of(vec![listener], registry)
    }

    fn of(mut listeners: Vec<Listener>, registry: &Registry) -> Result<Metrics, ServerError> {
        // Whichever it is that somebody comes to, all are asked.
        for listener in &mut listeners {
            let registered = registry.register(listener.source(), Token(FIRST_TOKEN), Interest::READABLE);
            registered.map_err(ServerError::Events)?;
        }
        Ok(Metrics { listeners, turn: 0, connections: Places::new(FIRST_TOKEN, METRICS_CONNECTIONS) })
    }

    pub(super) fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.listeners.iter().map(Listener::address).collect()
    }

    /// Whether an event is one of these; it is noted.
    pub(super) fn take_event(&mut self, token: Token) -> bool {
        self.connections.take_event(token, |asking| asking.is_ready = true)
    }

    /// Does a share of what there is to be done.
    pub(super) fn serve<S: Store>(&mut self, engine: &Engine<S>, registry: &Registry, now: Moment) {
        // Nobody gives way for another before what came from it was looked at.
        let had_room = self.connections.has_room();
        if had_room {
            self.accept(registry, now);
        }
        let mut may_answer = true;
        self.connections.serve(|asking| asking.serve(engine, &mut may_answer, now));
        if !had_room {
            self.accept(registry, now);
        }
    }

    fn accept(&mut self, registry: &Registry, now: Moment) {
        let (listeners, turn) = (&mut self.listeners, &mut self.turn);
        let accept = || {
            for _ in 0..listeners.len() {
                *turn = (*turn + 1) % listeners.len();
                if let Some(accepted) = listeners[*turn].accept()? {
                    return Ok(Some(accepted));
                }
            }
            Err(io::ErrorKind::WouldBlock.into())
        };
        self.connections.accept(registry, now, accept, |stream, peer| Asking::new(stream, peer, now));
    }

    /// Whether nobody is connected, nor about to be.
    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        self.connections.is_idle()
    }

    /// Whether there is more to be done though nothing happens.
    pub(super) fn has_work(&self) -> bool {
        self.connections.iter().any(|asking| asking.is_ready)
    }

    /// When somebody has had all its time, or somebody who waits can be given a place.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        let deadlines = self.connections.iter().map(|asking| asking.deadline);
        deadlines.chain(self.connections.next_accept()).min()
    }
}

/// While others wait for a place, only who has just come, or is being served, keeps it.
impl Occupant for Asking {
    fn gives_way(&self) -> Option<(Origin, Moment)> {
        let kept = match self.state {
            State::Reading if self.is_passed_over => return None,
            State::Reading | State::Discarding => METRICS_SILENCE,
            State::Writing => METRICS_STALL,
        };
        Some((self.origin, self.since + kept))
    }
}

impl Asking {
    fn new(stream: TcpStream, peer: SocketAddr, now: Moment) -> Asking {
        Asking {
            stream,
            origin: Origin::of(peer.ip()),
            is_ready: true,
            is_passed_over: false,
            request: Vec::new(),
            answer: Vec::new(),
            written: 0,
            state: State::Reading,
            since: now,
            deadline: now + METRICS_TIME,
        }
    }

    /// Whether it goes on. One is answered in a turn: what that takes is a share of the turn for one alone.
    fn serve<S: Store>(&mut self, engine: &Engine<S>, may_answer: &mut bool, now: Moment) -> bool {
        if self.deadline <= now {
            return false;
        }
        self.is_passed_over = self.is_ready && self.state == State::Reading && !*may_answer;
        if !self.is_ready || self.is_passed_over {
            return true;
        }
        let went_on = match self.state {
            State::Reading => self.read(engine, may_answer, now),
            State::Writing => self.write(now),
            State::Discarding => self.discard(),
        };
        match went_on {
            Ok(goes_on) => goes_on,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.is_ready = false;
                true
            }
            Err(error) => error.kind() == io::ErrorKind::Interrupted,
        }
    }

    fn read<S: Store>(&mut self, engine: &Engine<S>, may_answer: &mut bool, now: Moment) -> io::Result<bool> {
        let mut buffer = [0; METRICS_REQUEST_BYTES + 1];
        let room = METRICS_REQUEST_BYTES + 1 - self.request.len();
        let count = self.stream.read(&mut buffer[..room])?;
        self.request.extend_from_slice(&buffer[..count]);
        let Some(request) = HttpRequest::of(&self.request) else {
            // Unless it ends in the middle.
            return Ok(count > 0);
        };
        self.answer = answer(engine, request, now);
        (self.state, self.since) = (State::Writing, now);
        *may_answer = false;
        Ok(true)
    }

    fn write(&mut self, now: Moment) -> io::Result<bool> {
        self.written += self.stream.write(&self.answer[self.written..])?;
        if self.written == self.answer.len() {
            (self.state, self.since) = (State::Discarding, now);
            self.stream.shutdown(Shutdown::Write)?;
        }
        Ok(true)
    }

    fn discard(&mut self) -> io::Result<bool> {
        Ok(self.stream.read(&mut [0; METRICS_REQUEST_BYTES])? > 0)
    }
}

/// The whole answer, head and body.
fn answer<S: Store>(engine: &Engine<S>, request: HttpRequest, now: Moment) -> Vec<u8> {
    match request.wanted {
        Wanted::Metrics(format) => match exposition::written(engine.figures(now).values, format) {
            Ok(text) => request.answer("200 OK", format.media_type(), &text),
            Err(_) => request.answer("500 Internal Server Error", PLAIN, "no figures\n"),
        },
        Wanted::Health => match engine.health(now) {
            Ok(()) => request.answer("200 OK", PLAIN, "ok\n"),
            Err(reason) => request.answer("503 Service Unavailable", PLAIN, &format!("{reason}\n")),
        },
        Wanted::Refused(status) => request.answer(status, PLAIN, &format!("{status}\n")),
    }
}
