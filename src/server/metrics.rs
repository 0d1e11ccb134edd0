//! Figures and health over HTTP, for monitoring systems.
//!
#![doc = include_str!("metrics.md")]
//!
//! This module must not know what the figures are.

mod exposition;

use super::listener::adopt;
use super::places::Places;
use crate::Moment;
use crate::engine::Engine;
use crate::http::{HttpRequest, Wanted};
use crate::limits::{METRICS_CONNECTIONS, METRICS_REQUEST_BYTES, METRICS_TIME};
use crate::store::Store;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use std::io::{self, Read, Write};
use std::net::{self, Shutdown, SocketAddr};

/// Tokens from here on are these. Those of the control socket are smaller, and those of clients greater.
const FIRST_TOKEN: usize = 1 << 17;

const PLAIN: &str = "text/plain; charset=utf-8";

/// The listening socket and those who ask.
pub(super) struct Metrics {
    listener: TcpListener,
    connections: Places<Asking>,
}

/// One connection, which asks once.
struct Asking {
    stream: TcpStream,
    is_ready: bool,
    request: Vec<u8>,
    answer: Vec<u8>,
    written: usize,
    state: State,
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
    /// # Errors
    /// What the system says.
    pub(super) fn bind(address: SocketAddr, registry: &Registry) -> io::Result<Metrics> {
        Metrics::of(TcpListener::bind(address)?, registry)
    }

    /// Takes over a socket that listens already.
    ///
    /// # Errors
    /// What the system says, or that it does not listen.
    pub(super) fn adopt(socket: &net::TcpListener, registry: &Registry) -> io::Result<Metrics> {
        Metrics::of(adopt(socket)?, registry)
    }

    fn of(mut listener: TcpListener, registry: &Registry) -> io::Result<Metrics> {
        registry.register(&mut listener, Token(FIRST_TOKEN), Interest::READABLE)?;
        Ok(Metrics { listener, connections: Places::new(FIRST_TOKEN, METRICS_CONNECTIONS) })
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Whether an event is one of these; it is noted.
    pub(super) fn take_event(&mut self, token: Token) -> bool {
        self.connections.take_event(token, |asking| asking.is_ready = true)
    }

    /// Does a share of what there is to be done.
    pub(super) fn serve<S: Store>(&mut self, engine: &Engine<S>, registry: &Registry, now: Moment) {
        let listener = &self.listener;
        let accept = || listener.accept().map(|(stream, _)| Some(stream));
        self.connections.accept(registry, accept, |stream| Asking::new(stream, now));
        let mut may_answer = true;
        self.connections.serve(|asking| asking.serve(engine, &mut may_answer, now));
    }

    /// Whether nobody is connected, nor about to be.
    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        self.connections.is_idle()
    }

    /// Whether there is more to be done though nothing happens.
    pub(super) fn has_work(&self) -> bool {
        self.connections.may_accept() || self.connections.iter().any(|asking| asking.is_ready)
    }

    /// When somebody has had all its time.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.connections.iter().map(|asking| asking.deadline).min()
    }
}

impl Asking {
    fn new(stream: TcpStream, now: Moment) -> Asking {
        Asking {
            stream,
            is_ready: true,
            request: Vec::new(),
            answer: Vec::new(),
            written: 0,
            state: State::Reading,
            deadline: now + METRICS_TIME,
        }
    }

    /// Whether it goes on. One is answered in a turn: what that takes is a share of the turn for one alone.
    fn serve<S: Store>(&mut self, engine: &Engine<S>, may_answer: &mut bool, now: Moment) -> bool {
        if self.deadline <= now {
            return false;
        }
        if !self.is_ready {
            return true;
        }
        let went_on = match self.state {
            State::Reading if !*may_answer => return true,
            State::Reading => self.read(engine, may_answer, now),
            State::Writing => self.write(),
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
        self.state = State::Writing;
        *may_answer = false;
        Ok(true)
    }

    fn write(&mut self) -> io::Result<bool> {
        self.written += self.stream.write(&self.answer[self.written..])?;
        if self.written == self.answer.len() {
            self.state = State::Discarding;
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
