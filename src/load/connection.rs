//! One connection of a virtual client: it comes to be, its bytes become messages, and what is said on it goes out.
//!
//! This module must not know what the messages mean, nor where one ends: a [`Handler`] does.

use super::error::{LoadError, lost, refused, refused_transport};
use super::sampler::Clock;
use crate::Moment;
use crate::client::{Transport, failure};
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Poll, Token};
use socket2::SockRef;
use std::io;
use std::time::Duration;

/// Bytes of one read; one buffer is shared by all connections of a loop.
pub(super) const READ_BYTES: usize = 256 * 1024;

/// Whether a client goes on.
#[derive(Debug)]
pub(super) enum Flow {
    Continue,
    End(Result<(), LoadError>),
}

/// Who takes what comes on a connection. What it answers it appends to the buffer that it is given.
pub(super) trait Handler {
    /// Messages can go through.
    fn handle_connected(&mut self, now: Moment, out: &mut Vec<u8>) -> Flow;

    /// The length of the first message among these bytes, if it is all there.
    ///
    /// # Errors
    /// [`LoadError`] if they are not the protocol.
    fn message_bytes(&self, bytes: &[u8]) -> Result<Option<usize>, LoadError>;

    /// A message came.
    ///
    /// # Errors
    /// [`LoadError`] if it is not one that belongs here: the client has failed.
    fn handle_message(&mut self, message: &[u8], now: Moment, out: &mut Vec<u8>) -> Result<Flow, LoadError>;

    /// The server closed the connection.
    ///
    /// # Errors
    /// [`LoadError`] if it came too early.
    fn handle_closed(&mut self) -> Result<(), LoadError>;
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    transport: Transport,
    /// The socket is connected.
    connected: bool,
    /// Messages can go through, and the handler knows.
    is_open: bool,
    /// Whether the poll tells when the connection takes bytes again.
    watches_writable: bool,
    /// The beginning of a message whose rest is to come.
    partial: Vec<u8>,
    unsent: Vec<u8>,
    sent: usize,
    /// Why nothing can be sent any more; what the server said last may tell better, so it is read first.
    unsendable: Option<LoadError>,
}

impl Connection {
    /// A connection that has begun.
    pub(super) fn new(stream: TcpStream, transport: Transport) -> Connection {
        Connection {
            stream,
            transport,
            connected: false,
            is_open: false,
            watches_writable: false,
            partial: Vec::new(),
            unsent: Vec::new(),
            sent: 0,
            unsendable: None,
        }
    }

    /// Registers the new connection. On the loopback it is mostly there already, and the first messages can go out
    /// without a wait.
    ///
    /// # Errors
    /// [`LoadError`] if there is no connection.
    pub(super) fn open(
        &mut self,
        poll: &Poll,
        slot: usize,
        clock: &Clock,
        handler: &mut impl Handler,
    ) -> Result<Flow, LoadError> {
        let mut flow = Flow::Continue;
        if self.stream.peer_addr().is_ok() {
            self.connected = true;
            flow = self.introduce(clock, handler);
            self.flush();
        }
        self.watches_writable = !self.connected || self.has_unsent();
        let interest = interest(self.watches_writable);
        poll.registry().register(&mut self.stream, Token(slot), interest).map_err(|error| lost(&error))?;
        Ok(flow)
    }

    /// Reads, lets the handler answer, and writes, as far as goes without a wait.
    ///
    /// # Errors
    /// [`LoadError`] if the client has failed.
    pub(super) fn handle_event(
        &mut self,
        event: &Event,
        poll: &Poll,
        buffer: &mut [u8],
        clock: &Clock,
        handler: &mut impl Handler,
    ) -> Result<Flow, LoadError> {
        if !self.connected
            && let end @ Flow::End(_) = self.advance_connection(clock, handler)?
        {
            return Ok(end);
        }
        self.flush();
        let mut flow = Flow::Continue;
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            let ended = event.is_read_closed() && !event.is_error();
            flow = self.read(ended, buffer, clock, handler)?;
        }
        if let (Flow::Continue, Some(error)) = (&flow, self.unsendable.take()) {
            return Err(error);
        }
        self.watch_for_writable(poll, event.token())?;
        Ok(flow)
    }

    /// Sends something of the client's own accord, on a connection that is there.
    ///
    /// # Errors
    /// [`LoadError`] if the poll cannot be told to wait for room.
    pub(super) fn send(
        &mut self,
        poll: &Poll,
        slot: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), LoadError> {
        write(&mut self.unsent);
        self.flush();
        self.watch_for_writable(poll, Token(slot))
    }

    /// Ends the connection as a failure on the way would: without a goodbye, and without a port that stays taken.
    pub(super) fn reset(self) {
        // Where the system does not reset, it closes, which is as good an end.
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    fn watch_for_writable(&mut self, poll: &Poll, token: Token) -> Result<(), LoadError> {
        if self.has_unsent() && !self.watches_writable {
            self.watches_writable = true;
            let registered = poll.registry().reregister(&mut self.stream, token, interest(true));
            registered.map_err(|error| lost(&error))?;
        }
        Ok(())
    }

    /// Finds out whether the connection is there by now, or never will be.
    fn advance_connection(&mut self, clock: &Clock, handler: &mut impl Handler) -> Result<Flow, LoadError> {
        let failed = |error: &io::Error| LoadError::new("connect_failed", format!("cannot connect: {error}"));
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
                Ok(self.introduce(clock, handler))
            }
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(Flow::Continue),
            Err(error) => Err(failed(&error)),
        }
    }

    /// Once messages can go through, lets the handler know.
    fn introduce(&mut self, clock: &Clock, handler: &mut impl Handler) -> Flow {
        if self.is_open || !self.transport.is_open() {
            return Flow::Continue;
        }
        self.is_open = true;
        handler.handle_connected(clock.now(), &mut self.unsent)
    }

    /// Reads until nothing more is there, and answers. A short read has emptied a plain socket; if the poll has told that
    /// the peer has `ended` what it sends, that was the last of it, and another read would only say so again.
    fn read(
        &mut self,
        ended: bool,
        buffer: &mut [u8],
        clock: &Clock,
        handler: &mut impl Handler,
    ) -> Result<Flow, LoadError> {
        loop {
            let outcome = self.transport.read(&mut self.stream, buffer);
            if let end @ Flow::End(_) = self.introduce(clock, handler) {
                return Ok(end);
            }
            let count = match outcome {
                Ok(0) => return Ok(Flow::End(handler.handle_closed())),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.flush();
                    return Ok(Flow::Continue);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    return Err(refused_transport(&failure(error)));
                }
                Err(error) => return Err(lost(&error)),
            };
            if let end @ Flow::End(_) = self.handle_bytes(&buffer[..count], clock.now(), handler)? {
                return Ok(end);
            }
            self.flush();
            let is_short = count < buffer.len() && matches!(self.transport, Transport::Plain);
            if is_short && ended {
                return Ok(Flow::End(handler.handle_closed()));
            }
            if is_short && self.unsendable.is_none() {
                return Ok(Flow::Continue);
            }
        }
    }

    fn handle_bytes(
        &mut self,
        bytes: &[u8],
        now: Moment,
        handler: &mut impl Handler,
    ) -> Result<Flow, LoadError> {
        let mut kept = std::mem::take(&mut self.partial);
        let is_joined = !kept.is_empty();
        if is_joined {
            kept.extend_from_slice(bytes);
        }
        let all = if is_joined { kept.as_slice() } else { bytes };
        let mut used = 0;
        while let Some(length) = handler.message_bytes(&all[used..])? {
            let message = &all[used..used + length];
            let flow = handler.handle_message(message, now, &mut self.unsent)?;
            if !matches!(flow, Flow::Continue) {
                return Ok(flow);
            }
            used += length;
        }
        self.partial = if is_joined && used == 0 { kept } else { all[used..].to_vec() };
        Ok(Flow::Continue)
    }

    fn has_unsent(&self) -> bool {
        self.sent < self.unsent.len() || self.transport.has_backlog()
    }

    fn flush(&mut self) {
        while self.connected && self.has_unsent() {
            match self.transport.write(&mut self.stream, &self.unsent[self.sent..]) {
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
