//! One connection that never blocks: a socket with what came in and what waits to go out.
//!
//! This is the one place between frames and the network. It must not know what the frames are about.

use super::protection::failure;
use super::{ClientError, REPLY_BYTES_MOST};
use crate::keepalive::set_path_timeout;
use crate::limits::{PATH_TIMEOUT, UNREAD_BYTES, UNREAD_DRAIN_BYTES_PER_SECOND as DRAIN};
use crate::protocol::{Inbox, Lent, Outbox, Reply, Request};
use crate::transport::Transport;
use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// Bytes of one read.
const READ_BYTES: usize = 64 * 1024;

/// A connection on which a client sends requests and receives replies without ever waiting.
pub struct Connection {
    socket: TcpStream,
    transport: Transport,
    inbox: Inbox,
    outbox: Outbox,
    portion: Vec<u8>,
    nothing: Lent<'static>,
    written: u64,
    /// Bytes that the transport has taken and not yet passed on whole.
    held: u64,
    opened: Instant,
    unread: Unread,
    /// A write failed. What the server said before is still to be read.
    write_closed: bool,
}

impl Connection {
    /// Takes over what was connected, and whose server is the one that is wanted.
    ///
    /// # Errors
    /// [`ClientError::Io`].
    pub(super) fn over(socket: TcpStream, transport: Transport) -> Result<Connection, ClientError> {
        socket.set_nonblocking(true)?;
        Ok(Connection {
            socket,
            transport,
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            portion: vec![0; READ_BYTES],
            nothing: Lent::new(&mut []),
            written: 0,
            held: 0,
            opened: opened(),
            unread: Unread::default(),
            write_closed: false,
        })
    }

    /// Reads once what is there, without waiting.
    ///
    /// # Errors
    /// [`ClientError::Closed`] at the end of the stream, and [`ClientError::Io`].
    pub fn read(&mut self) -> Result<(), ClientError> {
        match self.transport.read(&mut self.socket, &mut self.portion) {
            Ok(0) => Err(ClientError::Closed),
            Ok(count) => {
                self.inbox.keep(&mut Lent::new(&mut self.portion[..count]));
                Ok(())
            }
            Err(error) if is_passing(&error) => Ok(()),
            Err(error) => Err(failure(error)),
        }
    }

    /// The next reply among what was read.
    ///
    /// # Errors
    /// [`ClientError::Violation`] for bytes that are none.
    pub fn next_reply(&mut self) -> Result<Option<Reply<'_>>, ClientError> {
        match self.inbox.next_frame(&mut self.nothing, REPLY_BYTES_MOST)? {
            Some(body) => Ok(Some(Reply::decode(body)?)),
            None => Ok(None),
        }
    }

    /// Takes a request for sending, and gives the count of [`written`](Connection::written) bytes at which it is sent.
    pub fn push(&mut self, request: &Request<'_>) -> u64 {
        self.outbox.push_request(request);
        self.written + self.held + self.outbox.len() as u64
    }

    /// Writes what waits and can be written without waiting. A failure shows when the rest is read.
    pub fn write(&mut self) {
        let before = self.outbox.len();
        self.write_what_can_be();
        let taken = (before - self.outbox.len()) as u64;
        if self.unread.note(taken, self.wants_write(), self.opened.elapsed()) {
            let timeout = (!self.unread.is_much).then_some(PATH_TIMEOUT);
            // Without it a dead path is found later.
            let _ = set_path_timeout(&self.socket, timeout);
        }
    }

    fn write_what_can_be(&mut self) {
        while self.wants_write() {
            let frames = self.outbox.unsent().slices().next().unwrap_or_default();
            match self.transport.write(&mut self.socket, frames) {
                Ok(count) => {
                    self.outbox.advance(count);
                    self.held += count as u64;
                    if !self.transport.has_backlog() {
                        self.written += std::mem::take(&mut self.held);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.write_closed = true,
            }
        }
        if self.outbox.is_empty() {
            // Given back, it is wiped: it may have held a password.
            drop(self.outbox.reclaim());
        }
    }

    /// Whether something waits that can still be written.
    pub fn wants_write(&self) -> bool {
        !self.write_closed && (!self.outbox.is_empty() || self.transport.has_backlog())
    }

    /// Whether something was received of which the socket reports nothing.
    pub fn has_received(&self) -> bool {
        self.transport.has_text()
    }

    /// Whether whoever is on the way can read along.
    pub fn is_plain(&self) -> bool {
        matches!(self.transport, Transport::Plain)
    }

    /// Bytes that wait to be written.
    pub fn waiting_bytes(&self) -> usize {
        self.outbox.len()
    }

    /// Bytes that the operating system has taken.
    pub fn written(&self) -> u64 {
        self.written
    }
}

#[expect(clippy::disallowed_methods, reason = "how fast a server reads is a matter of real time")]
fn opened() -> Instant {
    Instant::now()
}

/// What the server may not have read yet, at most: a leaky bucket that does not leak while more waits.
#[derive(Debug, Default)]
struct Unread {
    bytes: u64,
    /// Until when it has leaked, from the connection's opening on.
    since: Duration,
    /// So much that the server's window may be shut, which is no sign of a dead path.
    is_much: bool,
}

impl Unread {
    /// The system has taken so many bytes more, and others wait or not; whether it is much now that was not, or the
    /// other way.
    fn note(&mut self, bytes: u64, others_wait: bool, now: Duration) -> bool {
        if others_wait || self.bytes == 0 {
            self.since = now;
        } else {
            let drained = (now - self.since).as_millis() as u64 * DRAIN / 1_000;
            self.since += Duration::from_millis(drained * 1_000 / DRAIN);
            self.bytes = self.bytes.saturating_sub(drained);
        }
        self.bytes += bytes;
        let is_much = others_wait || self.bytes > UNREAD_BYTES;
        std::mem::replace(&mut self.is_much, is_much) != is_much
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.transport.finish(&mut self.socket);
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Whether the same call may succeed later.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_slows_the_writer_down_is_not_taken_for_gone() {
        let (mut unread, start) = (Unread::default(), Duration::ZERO);
        assert!(!unread.note(1_000, false, start), "what a person types fits any buffer");
        assert!(unread.note(UNREAD_BYTES, false, start) && unread.is_much);
        let hour = Duration::from_secs(3_600);
        assert!(!unread.note(10, true, start + hour), "more waits, so nobody reads");
        assert!(!unread.note(10, false, start + hour + Duration::from_secs(1)), "it was read but now");
        assert!(unread.note(10, false, start + 2 * hour) && !unread.is_much);
    }
}
