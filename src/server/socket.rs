//! One connection's socket, and what is remembered of its readiness.

use super::ConnId;
use mio::net::TcpStream;
use std::io::{self, Read, Write};
use std::net::Shutdown;

/// A socket. mio tells of readiness once: what was not used up is remembered here.
pub(super) struct Socket {
    pub(super) conn: ConnId,
    stream: TcpStream,
    /// There may be bytes to read.
    readable: bool,
    /// The peer has closed its sending side: after the bytes comes the end, and no event tells of it again.
    ending: bool,
    /// Writing may succeed.
    writable: bool,
    /// It is in the list of sockets that have a turn.
    pub(super) in_ready: bool,
}

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
}

impl Socket {
    pub(super) fn new(conn: ConnId, stream: TcpStream) -> Socket {
        Socket { conn, stream, readable: false, ending: false, writable: true, in_ready: false }
    }

    pub(super) fn source(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    pub(super) fn notice_readable(&mut self) {
        self.readable = true;
    }

    pub(super) fn notice_ending(&mut self) {
        self.readable = true;
        self.ending = true;
    }

    /// Whether this is news: the bit comes along with nearly every event.
    pub(super) fn notice_writable(&mut self) -> bool {
        !std::mem::replace(&mut self.writable, true)
    }

    pub(super) fn is_readable(&self) -> bool {
        self.readable
    }

    pub(super) fn is_writable(&self) -> bool {
        self.writable
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Outcome {
        loop {
            return match self.stream.read(buffer) {
                Ok(0) => {
                    self.readable = false;
                    Outcome::End
                }
                Ok(count) => {
                    // A short read has emptied the socket: what comes later makes a new event. The end has had its.
                    self.readable = count == buffer.len() || self.ending;
                    Outcome::Bytes(count)
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => continue,
                    io::ErrorKind::WouldBlock => {
                        self.readable = false;
                        Outcome::Nothing
                    }
                    _ => Outcome::Broken,
                },
            };
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Outcome {
        loop {
            return match self.stream.write(bytes) {
                Ok(count) => {
                    self.writable = count == bytes.len();
                    Outcome::Bytes(count)
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => continue,
                    io::ErrorKind::WouldBlock => {
                        self.writable = false;
                        Outcome::Nothing
                    }
                    _ => Outcome::Broken,
                },
            };
        }
    }

    /// Shuts the sending side. A peer that has reset the connection meanwhile is found out by reading.
    pub(super) fn shut_down(&mut self) {
        if let Err(error) = self.stream.shutdown(Shutdown::Write) {
            log::debug!("shutdown failed conn={} reason={error:?}", self.conn.generation());
        }
    }
}
