//! One connection's socket, and what is remembered of its readiness.

use super::ConnId;
use crate::engine::{Output, Unsent, Written};
use crate::keepalive::set_path_timeout;
use crate::limits::{PATH_TIMEOUT, SHARE_WRITES, SHARE_WRITTEN_BYTES};
use log::Level;
use mio::net::TcpStream;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{SendAncillaryBuffer, SendFlags, send, sendmsg};
use std::io::{self, IoSlice, Read};
use std::net::Shutdown;

/// A peer that has gone is an error, not a signal, whoever's program this is.
#[cfg(target_os = "linux")]
const ALONE: SendFlags = SendFlags::NOSIGNAL;
/// Also says that more follows at once.
#[cfg(target_os = "linux")]
const FOLLOWED: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::MORE);
/// Elsewhere Rust's own programs ignore the signal.
#[cfg(not(target_os = "linux"))]
const ALONE: SendFlags = SendFlags::empty();
/// A system that cannot be told sends the end in a packet of its own.
#[cfg(not(target_os = "linux"))]
const FOLLOWED: SendFlags = ALONE;

/// Slices that one call writes at most.
pub(super) const SLICES: usize = 64;

/// What lies between the socket and the engine.
pub(super) enum Transport {
    /// Nothing: plain TCP.
    Plain,
    /// TLS; boxed, so that a plain connection does not pay for it.
    #[cfg(feature = "tls")]
    Tls(Box<super::tls::Tls>),
}

/// A socket. mio tells of readiness once: what was not used up is remembered here.
pub(super) struct Socket {
    /// Of its connection's key; the slot is where it stands.
    pub(super) generation: u32,
    pub(super) stream: TcpStream,
    pub(super) transport: Transport,
    pub(super) reading: Reading,
    pub(super) writing: Writing,
    /// The system tells when it can be written again.
    pub(super) watches_writing: bool,
    /// Output waits for it, so that how long that may take is not the system's to decide.
    is_stalled: bool,
    /// It is in the list of sockets that have a turn.
    pub(super) in_ready: bool,
}

/// What reading would find, as far as events have told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Nothing, until the next event.
    Nothing,
    /// Perhaps bytes.
    Bytes,
    /// Perhaps bytes, and after them the end, of which no event tells again.
    End,
}

/// What writing would come to, as far as events have told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writing {
    /// Bytes may be taken.
    Open,
    /// None are, until the next event.
    Blocked,
    /// Nothing written reaches the peer any more. What it had sent may still lie here.
    Broken,
}

impl Reading {
    /// Some was read: the socket may have more, or is empty. What comes later makes a new event; the end has had its.
    #[inline]
    pub(super) fn note_read(&mut self, may_have_more: bool) {
        *self = match (*self, may_have_more) {
            (Reading::End, _) => Reading::End,
            (_, true) => Reading::Bytes,
            (_, false) => Reading::Nothing,
        };
    }
}

impl Writing {
    /// Some was written: the system has taken all, or takes no more for now.
    #[inline]
    pub(super) fn note_written(&mut self, is_all: bool) {
        if *self != Writing::Broken {
            *self = if is_all { Writing::Open } else { Writing::Blocked };
        }
    }
}

/// Every idle connection has one; in a debug build mio's part of it is larger.
const _: () = assert!(cfg!(debug_assertions) || size_of::<Option<Socket>>() <= 24);

/// What came of reading or writing.
pub(super) enum Outcome {
    /// So many bytes.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// The peer has sent all it ever will.
    End,
    /// The connection is broken.
    Broken,
    /// What came is not what the transport can go on with, for this reason.
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "plain TCP takes whatever comes"))]
    Fault(String),
}

/// Why nothing can be written any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteFailure {
    /// The connection closes before the transport was open.
    NeverOpened,
    /// The connection is broken in this direction at least.
    Broken,
}

impl Socket {
    pub(super) fn new(conn: ConnId, stream: TcpStream, transport: Transport) -> Socket {
        Socket {
            generation: conn.generation(),
            stream,
            transport,
            reading: Reading::Bytes,
            writing: Writing::Open,
            watches_writing: false,
            is_stalled: false,
            in_ready: false,
        }
    }

    pub(super) fn source(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    pub(super) fn notice_readable(&mut self) {
        self.reading.note_read(true);
    }

    pub(super) fn notice_read_closed(&mut self) {
        self.reading = Reading::End;
    }

    /// Whether this is news. After what is left to be read the end comes, which no event need tell.
    pub(super) fn notice_write_closed(&mut self) -> bool {
        self.reading = Reading::End;
        std::mem::replace(&mut self.writing, Writing::Broken) != Writing::Broken
    }

    /// Whether nothing written reaches the peer any more.
    pub(super) fn is_write_closed(&self) -> bool {
        self.writing == Writing::Broken
    }

    /// Whether this is news: once it is asked for, the bit comes along with nearly every event.
    pub(super) fn notice_writable(&mut self) -> bool {
        let is_news = self.is_blocked();
        self.writing.note_written(true);
        is_news
    }

    pub(super) fn is_readable(&self) -> bool {
        self.reading != Reading::Nothing
    }

    /// Whether the engine's bytes can go through it.
    pub(super) fn is_open(&self) -> bool {
        match &self.transport {
            Transport::Plain => true,
            #[cfg(feature = "tls")]
            Transport::Tls(tls) => tls.is_open(),
        }
    }

    /// Bytes of what was written that have not been taken by the system.
    pub(super) fn backlog_bytes(&self) -> usize {
        match &self.transport {
            Transport::Plain => 0,
            #[cfg(feature = "tls")]
            Transport::Tls(tls) => tls.backlog_bytes(),
        }
    }

    /// Whether it was only accepted to be told that there is no room.
    pub(super) fn is_refused(&self) -> bool {
        match &self.transport {
            Transport::Plain => false,
            #[cfg(feature = "tls")]
            Transport::Tls(tls) => tls.is_refused,
        }
    }

    /// After a write: whether the system may give up on what it took depends on whether it took all.
    #[inline]
    fn note_stall(&mut self) {
        let is_stalled = self.is_blocked();
        if std::mem::replace(&mut self.is_stalled, is_stalled) != is_stalled {
            let timeout = (!is_stalled).then_some(PATH_TIMEOUT);
            if let Err(error) = set_path_timeout(&self.stream, timeout) {
                log_event!(Level::Debug, "path timeout not set", conn = #self.generation, reason = ?error);
            }
        }
    }

    /// Whether the system takes no more for now.
    pub(super) fn is_blocked(&self) -> bool {
        self.writing == Writing::Blocked
    }

    /// Once in each read of a turn: where it is not inlined, a message costs one in a hundred more.
    #[inline(always)]
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Outcome {
        #[cfg(feature = "tls")]
        if self.transport.has_channel() {
            return self.read_tls(buffer);
        }
        loop {
            return match self.stream.read(buffer) {
                Ok(0) => {
                    self.reading = Reading::Nothing;
                    Outcome::End
                }
                Ok(count) => {
                    // A short read has emptied the socket.
                    self.reading.note_read(count == buffer.len());
                    Outcome::Bytes(count)
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => continue,
                    io::ErrorKind::WouldBlock => {
                        self.reading = Reading::Nothing;
                        Outcome::Nothing
                    }
                    _ => Outcome::Broken,
                },
            };
        }
    }

    /// Writes what the transport takes of a share of a connection's output and, with nothing to be written, of what it holds itself.
    /// Says why nothing can be written any more, if that is so.
    pub(super) fn write(&mut self, output: &Output<'_>) -> (Written, Option<WriteFailure>) {
        let mut failure = None;
        let mut bytes = 0;
        if output.is_last && !self.is_open() && !self.is_refused() {
            failure = Some(WriteFailure::NeverOpened);
        } else if (self.writing == Writing::Open || output.must_try)
            && (!output.bytes.is_empty() || self.backlog_bytes() > 0)
        {
            // What is followed by a shutdown in this turn or soon after may be held back by the system until then, so that
            // the end goes along in the same packet.
            let flags = if output.is_last { FOLLOWED } else { ALONE };
            let outcome = match self.transport {
                Transport::Plain => self.write_plain(output.bytes, flags),
                #[cfg(feature = "tls")]
                Transport::Tls(_) => self.write_tls(output.bytes),
            };
            self.note_stall();
            match outcome {
                Outcome::Bytes(count) => bytes = count,
                Outcome::Nothing => {}
                Outcome::End | Outcome::Broken | Outcome::Fault(_) => failure = Some(WriteFailure::Broken),
            }
        }
        let is_blocked = failure.is_none() && (bytes > 0 || self.is_open());
        (Written { bytes, backlog_bytes: self.backlog_bytes(), is_blocked }, failure)
    }

    /// Shuts the sending side.
    pub(super) fn shut_down(&mut self) {
        match self.transport {
            Transport::Plain => self.shut_down_plain(),
            #[cfg(feature = "tls")]
            Transport::Tls(_) => self.shut_down_tls(),
        }
    }

    /// The last word of the transport's own before the socket is closed, as far as it can be said now.
    pub(super) fn say_goodbye(&mut self) {
        #[cfg(feature = "tls")]
        self.say_goodbye_tls();
    }

    /// Writes a share of the output, or what the system takes of it.
    #[inline]
    fn write_plain(&mut self, output: Unsent<'_>, flags: SendFlags) -> Outcome {
        let Some(bytes) = output.whole() else { return self.write_portions(output, flags) };
        let bytes = &bytes[..bytes.len().min(SHARE_WRITTEN_BYTES)];
        match self.note_sent(retry_on_intr(|| send(&self.stream, bytes, flags)), bytes.len()) {
            Ok(0) => Outcome::Nothing,
            Ok(count) => Outcome::Bytes(count),
            Err(_) => Outcome::Broken,
        }
    }

    fn write_portions(&mut self, output: Unsent<'_>, flags: SendFlags) -> Outcome {
        let mut portions = output.portions();
        let mut taken = 0;
        for _ in 0..SHARE_WRITES {
            let mut places = [IoSlice::new(&[]); SLICES];
            let (filled, offered) = portions.fill(SHARE_WRITTEN_BYTES - taken, &mut places);
            if filled == 0 {
                break;
            }
            let slices = &places[..filled];
            let sent =
                retry_on_intr(|| sendmsg(&self.stream, slices, &mut SendAncillaryBuffer::default(), flags));
            match self.note_sent(sent, offered) {
                Ok(count) => taken += count,
                // What went before is no news any more.
                Err(_) => return Outcome::Broken,
            }
            if self.is_blocked() {
                break;
            }
        }
        if taken == 0 { Outcome::Nothing } else { Outcome::Bytes(taken) }
    }

    /// How many bytes went of those that were offered; with fewer than all the system takes no more for now.
    #[inline]
    fn note_sent(&mut self, sent: rustix::io::Result<usize>, offered: usize) -> rustix::io::Result<usize> {
        let count = match sent {
            Err(Errno::AGAIN) => 0,
            sent => sent?,
        };
        self.writing.note_written(count == offered);
        Ok(count)
    }

    /// A peer that has reset the connection meanwhile is found out by reading.
    pub(super) fn shut_down_plain(&mut self) {
        if let Err(error) = self.stream.shutdown(Shutdown::Write) {
            log_event!(Level::Debug, "shutdown failed", conn = #self.generation, reason = ?error);
        }
    }
}
