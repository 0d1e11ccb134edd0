//! The store's part of a turn: what is due is stored, and what a store that is elsewhere says, and is to be told, is carried.

use super::{STORE, Server};
use crate::Clock;
use crate::Moment;
use crate::store::{Link, LinkAction, Store};
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry};
use std::io::{self, Read, Write};

/// How often the store's connection is read in a turn: what is left is the next turn's.
const READS: usize = 16;

/// The socket of a store's connection.
#[derive(Debug, Default)]
pub(super) struct StoreLink {
    stream: Option<TcpStream>,
    is_connected: bool,
    is_readable: bool,
    is_writable: bool,
    /// Which of its addresses is tried next.
    next_place: usize,
}

impl StoreLink {
    pub(super) fn take_event(&mut self, event: &Event) {
        self.is_readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.is_writable |= event.is_writable() || event.is_write_closed() || event.is_error();
    }

    /// Whether there is more to read than a turn's part.
    pub(super) fn has_unread(&self) -> bool {
        self.is_connected && self.is_readable
    }

    fn close(&mut self) {
        *self = StoreLink { next_place: self.next_place, ..StoreLink::default() };
    }

    /// Takes what has come. Says whether anything has.
    fn receive(&mut self, link: &mut dyn Link, buffer: &mut [u8], clock: Clock) -> bool {
        if self.stream.is_none() || !(self.is_readable || (self.is_writable && !self.is_connected)) {
            return false;
        }
        if let Err(error) = self.connect_or_read(link, buffer, clock) {
            self.close();
            link.handle_closed(&error.to_string(), clock.now());
        }
        true
    }

    fn connect_or_read(&mut self, link: &mut dyn Link, buffer: &mut [u8], clock: Clock) -> io::Result<()> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        if !self.is_connected {
            if let Some(error) = stream.take_error()? {
                return Err(error);
            }
            match stream.peer_addr() {
                Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(()),
                connected => connected?,
            };
            stream.set_nodelay(true)?;
            self.is_connected = true;
            link.handle_connected(clock.now());
        }
        for _ in 0..READS {
            let read = stream.read(buffer);
            // Not before: where the store says how late it is there it was not later than this.
            match read {
                Ok(0) => return Err(io::Error::other("it has closed the connection")),
                Ok(count) if !link.handle_bytes(&buffer[..count], clock.now()) => {
                    self.close();
                    break;
                }
                Ok(_) if link.takes_bytes() => {}
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_readable = false;
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Does what the store wants of its socket, and writes what it has to say.
    fn send(&mut self, link: &mut dyn Link, registry: &Registry, now: Moment) {
        match link.action(now) {
            LinkAction::Nothing => {}
            LinkAction::Close => self.close(),
            LinkAction::Connect => {
                if let Err(error) = self.connect(link, registry) {
                    self.close();
                    link.handle_closed(&error.to_string(), now);
                }
            }
        }
        if let Err(error) = self.write(link, now) {
            self.close();
            link.handle_closed(&error.to_string(), now);
        }
    }

    fn connect(&mut self, link: &mut dyn Link, registry: &Registry) -> io::Result<()> {
        self.close();
        let places = link.addresses();
        let place = places.get(self.next_place % places.len().max(1));
        let place = *place.ok_or_else(|| io::Error::other("it has no address"))?;
        self.next_place = self.next_place.wrapping_add(1);
        let mut stream = TcpStream::connect(place)?;
        registry.register(&mut stream, STORE, Interest::READABLE | Interest::WRITABLE)?;
        self.stream = Some(stream);
        Ok(())
    }

    fn write(&mut self, link: &mut dyn Link, now: Moment) -> io::Result<()> {
        // Asked in any case: that is when the store sees how late it is.
        let mut output = link.output(now);
        let Some(stream) = self.stream.as_mut().filter(|_| self.is_connected && self.is_writable) else {
            return Ok(());
        };
        while !output.is_empty() {
            match stream.write(output) {
                Ok(count) => {
                    link.advance(count);
                    output = link.output(now);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_writable = false;
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl<S: Store> Server<S> {
    /// Takes what a store that is elsewhere has answered, and lets any work that is due: that may block, and nothing else in
    /// a server does. Says whether there may be answers.
    pub(super) fn store(&mut self) -> bool {
        let has_received = match self.engine.store_mut().link() {
            None => false,
            // What others say waits in its socket, as it would if they were here.
            Some(link) if !link.takes_bytes() => false,
            Some(link) => self.store_link.receive(link, &mut self.buffer, self.clock),
        };
        let due = if has_received { Some(Moment::START) } else { self.engine.store_mut().next_commit() };
        let Some(due) = due else { return false };
        let now = self.clock.now();
        if due > now {
            return false;
        }
        self.engine.store_mut().commit(now);
        self.log_store_notices();
        let done = self.clock.now();
        self.unmeasured = self.unmeasured.map(|began| began + done.since(now));
        self.engine.handle_completions(done);
        true
    }

    /// Tells a store that is elsewhere all that it was asked in this turn, in one write.
    #[inline]
    pub(super) fn tell_store(&mut self) {
        if let Some(link) = self.engine.store_mut().link() {
            self.store_link.send(link, self.poll.registry(), self.clock.now());
        }
    }
}
