//! One connection of a virtual client: it comes to be, its bytes become frames, and what is said on it goes out.
//!
//! This module must not know what the frames mean: a [`Speaker`] hears them and answers.

use super::clock::Clock;
use super::mishap::{Mishap, garbled, lost, refused, refused_transport};
use crate::Moment;
use crate::client::{Carrier, ClientError, failure};
use crate::limits::{MAX_FRAME_BYTES_MOST, REPLY_EXTRA_BYTES};
use crate::protocol::{Inbox, Lent};
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
pub(super) enum Course {
    Stays,
    Leaves(Result<(), Mishap>),
}

/// Who hears what comes on a wire. What it answers it appends to the buffer that it is given.
pub(super) trait Speaker {
    /// The connection is there.
    fn handle_connected(&mut self, now: Moment, out: &mut Vec<u8>);

    /// A frame's body came.
    ///
    /// # Errors
    /// [`Mishap`] if it is not one that belongs here: the client has failed.
    fn handle_frame(&mut self, body: &[u8], now: Moment, out: &mut Vec<u8>) -> Result<Course, Mishap>;

    /// The server closed the connection.
    ///
    /// # Errors
    /// [`Mishap`] if it came too early.
    fn handle_closed(&mut self) -> Result<(), Mishap>;
}

/// A connection.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    carrier: Carrier,
    /// The socket is connected.
    connected: bool,
    /// Frames can go through, and the speaker knows.
    introduced: bool,
    /// Whether the poll tells when the connection takes bytes again.
    tells_writable: bool,
    inbox: Inbox,
    unsent: Vec<u8>,
    sent: usize,
    /// Why nothing can be sent any more; what the server said last may tell better, so it is read first.
    unsendable: Option<Mishap>,
}

impl Wire {
    /// A connection that has begun.
    pub(super) fn new(stream: TcpStream, carrier: Carrier) -> Wire {
        Wire {
            stream,
            carrier,
            connected: false,
            introduced: false,
            tells_writable: false,
            inbox: Inbox::default(),
            unsent: Vec::new(),
            sent: 0,
            unsendable: None,
        }
    }

    /// Registers the new connection. On the loopback it is mostly there already, and the first words can go out
    /// without a wait.
    ///
    /// # Errors
    /// [`Mishap`] if there is no connection.
    pub(super) fn open(
        &mut self,
        poll: &Poll,
        place: usize,
        clock: &Clock,
        speaker: &mut impl Speaker,
    ) -> Result<(), Mishap> {
        if self.stream.peer_addr().is_ok() {
            self.connected = true;
            self.introduce(clock, speaker);
            self.flush();
        }
        self.tells_writable = !self.connected || self.has_unsent();
        let interest = interest(self.tells_writable);
        poll.registry().register(&mut self.stream, Token(place), interest).map_err(|error| lost(&error))
    }

    /// Reads, lets the speaker hear and answer, and writes, as far as goes without a wait.
    ///
    /// # Errors
    /// [`Mishap`] if the client has failed.
    pub(super) fn handle_event(
        &mut self,
        event: &Event,
        poll: &Poll,
        buffer: &mut [u8],
        clock: &Clock,
        speaker: &mut impl Speaker,
    ) -> Result<Course, Mishap> {
        if !self.connected {
            self.advance_connection(clock, speaker)?;
        }
        self.flush();
        let mut course = Course::Stays;
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            let ended = event.is_read_closed() && !event.is_error();
            course = self.read(ended, buffer, clock, speaker)?;
        }
        if let (Course::Stays, Some(mishap)) = (&course, self.unsendable.take()) {
            return Err(mishap);
        }
        self.watch_for_room(poll, event.token())?;
        Ok(course)
    }

    /// Says something of the client's own accord, on a connection that is there.
    ///
    /// # Errors
    /// [`Mishap`] if the poll cannot be told to wait for room.
    pub(super) fn say(
        &mut self,
        poll: &Poll,
        place: usize,
        words: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Mishap> {
        words(&mut self.unsent);
        self.flush();
        self.watch_for_room(poll, Token(place))
    }

    /// Ends the connection as a failure on the way would: without a farewell, and without a port that stays taken.
    pub(super) fn cut(self) {
        // Where the system does not reset, it closes, which is as good an end.
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    fn watch_for_room(&mut self, poll: &Poll, token: Token) -> Result<(), Mishap> {
        if self.has_unsent() && !self.tells_writable {
            self.tells_writable = true;
            let registered = poll.registry().reregister(&mut self.stream, token, interest(true));
            registered.map_err(|error| lost(&error))?;
        }
        Ok(())
    }

    /// Finds out whether the connection is there by now, or never will be.
    fn advance_connection(&mut self, clock: &Clock, speaker: &mut impl Speaker) -> Result<(), Mishap> {
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
                self.introduce(clock, speaker);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            Err(error) => Err(failed(&error)),
        }
    }

    /// Once frames can go through, tells the speaker.
    fn introduce(&mut self, clock: &Clock, speaker: &mut impl Speaker) {
        if !self.introduced && self.carrier.is_open() {
            self.introduced = true;
            speaker.handle_connected(clock.now(), &mut self.unsent);
        }
    }

    /// Reads until nothing more is there, and answers. A short read has emptied a plain socket; if the poll has told that
    /// the peer has `ended` what it sends, that was the last of it, and another read would only say so again.
    fn read(
        &mut self,
        ended: bool,
        buffer: &mut [u8],
        clock: &Clock,
        speaker: &mut impl Speaker,
    ) -> Result<Course, Mishap> {
        loop {
            let outcome = self.carrier.read(&mut self.stream, buffer);
            self.introduce(clock, speaker);
            let count = match outcome {
                Ok(0) => return Ok(Course::Leaves(speaker.handle_closed())),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.flush();
                    return Ok(Course::Stays);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    return Err(refused_transport(&failure(error)));
                }
                Err(error) => return Err(lost(&error)),
            };
            if let leaves @ Course::Leaves(_) =
                self.handle_bytes(&mut buffer[..count], clock.now(), speaker)?
            {
                return Ok(leaves);
            }
            self.flush();
            let is_short = count < buffer.len() && matches!(self.carrier, Carrier::Plain);
            if is_short && ended {
                return Ok(Course::Leaves(speaker.handle_closed()));
            }
            if is_short && self.unsendable.is_none() {
                return Ok(Course::Stays);
            }
        }
    }

    fn handle_bytes(
        &mut self,
        bytes: &mut [u8],
        now: Moment,
        speaker: &mut impl Speaker,
    ) -> Result<Course, Mishap> {
        let mut lent = Lent::new(bytes);
        // A text comes back with its sender's name.
        let limit_bytes = MAX_FRAME_BYTES_MOST + REPLY_EXTRA_BYTES;
        while let Some(body) =
            self.inbox.next_frame(&mut lent, limit_bytes).map_err(|bad| match ClientError::from(bad) {
                mismatch @ ClientError::Mismatch { .. } => refused_transport(&mismatch),
                _ => garbled(&bad),
            })?
        {
            let course = speaker.handle_frame(body, now, &mut self.unsent)?;
            if !matches!(course, Course::Stays) {
                return Ok(course);
            }
        }
        self.inbox.keep(&mut lent);
        Ok(Course::Stays)
    }

    fn has_unsent(&self) -> bool {
        self.sent < self.unsent.len() || self.carrier.is_holding()
    }

    fn flush(&mut self) {
        while self.connected && self.has_unsent() {
            match self.carrier.write(&mut self.stream, &self.unsent[self.sent..]) {
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
