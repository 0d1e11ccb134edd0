//! One connection that never blocks: a socket with what came in and what waits to go out.
//!
//! This is the one place between frames and the network. It must not know what the frames are about.

use crate::client::protection::{Carrier, Protection, failure};
use crate::client::{ClientError, REPLY_BYTES_MOST};
use crate::limits::CONNECT_TIMEOUT;
use crate::protocol::{Inbox, Lent, Outbox, Reply, Request};
use socket2::{SockRef, TcpKeepalive};
use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// Bytes of one read.
const READ_BYTES: usize = 64 * 1024;
/// After this time in silence the system asks the other end whether it is still there.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);

pub(super) struct Connection {
    socket: TcpStream,
    carrier: Carrier,
    inbox: Inbox,
    outbox: Outbox,
    portion: Vec<u8>,
    nothing: Lent<'static>,
    written: u64,
    /// Bytes that the carrier has taken and not yet passed on whole.
    held: u64,
    /// A write failed. What the server said before is still to be read.
    deaf: bool,
}

impl Connection {
    /// Connects, waiting for it, and for the proof that the server is the one that is wanted.
    ///
    /// # Errors
    /// Those of [`Protection::connect`].
    pub(super) fn open(host: &str, port: u16, protection: &Protection) -> Result<Connection, ClientError> {
        let (socket, carrier) = protection.connect(host, port, CONNECT_TIMEOUT)?;
        socket.set_nonblocking(true)?;
        // A server that vanished without a word would otherwise be waited for for ever.
        SockRef::from(&socket).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE_AFTER))?;
        Ok(Connection {
            socket,
            carrier,
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            portion: vec![0; READ_BYTES],
            nothing: Lent::new(&mut []),
            written: 0,
            held: 0,
            deaf: false,
        })
    }

    /// Reads once what is there, without waiting.
    ///
    /// # Errors
    /// [`ClientError::Closed`] at the end of the stream, and [`ClientError::Io`].
    pub(super) fn read(&mut self) -> Result<(), ClientError> {
        match self.carrier.read(&mut self.socket, &mut self.portion) {
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
    pub(super) fn next_reply(&mut self) -> Result<Option<Reply<'_>>, ClientError> {
        match self.inbox.next_frame(&mut self.nothing, REPLY_BYTES_MOST)? {
            Some(body) => Ok(Some(Reply::decode(body)?)),
            None => Ok(None),
        }
    }

    /// Takes a request for sending, and gives the count of [`written`](Connection::written) bytes at which it is sent.
    pub(super) fn push(&mut self, request: &Request<'_>) -> u64 {
        self.outbox.push_request(request);
        self.written + self.held + self.outbox.len() as u64
    }

    /// Writes what waits and can be written without waiting. A failure shows when the rest is read.
    pub(super) fn write(&mut self) {
        while self.wants_write() {
            let frames = self.outbox.unsent().slices().next().unwrap_or_default();
            match self.carrier.write(&mut self.socket, frames) {
                Ok(count) => {
                    self.outbox.advance(count);
                    self.held += count as u64;
                    if !self.carrier.is_holding() {
                        self.written += std::mem::take(&mut self.held);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.deaf = true,
            }
        }
        if self.outbox.is_empty() {
            // Given back, it is wiped: it may have held a password.
            drop(self.outbox.reclaim());
        }
    }

    /// Whether something waits that can still be written.
    pub(super) fn wants_write(&self) -> bool {
        !self.deaf && (!self.outbox.is_empty() || self.carrier.is_holding())
    }

    /// Whether something was received that the socket does not tell of.
    pub(super) fn has_received(&self) -> bool {
        self.carrier.has_text()
    }

    /// Whether whoever is on the way can read along.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self.carrier, Carrier::Plain)
    }

    /// Bytes that wait to be written.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.outbox.len()
    }

    /// Bytes that the operating system has taken.
    pub(super) fn written(&self) -> u64 {
        self.written
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.carrier.finish(&mut self.socket);
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
