//! What lies between a socket and whoever reads and writes: nothing, or TLS.
//!
//! This module must not know sockets, or what is carried: the socket is lent to each call.

#[cfg(feature = "tls")]
use crate::tls::{Channel, Connector};
use std::io::{self, Read, Write};

/// What carries bytes over a socket that is lent to each call.
#[derive(Debug)]
pub(crate) enum Transport {
    /// The socket alone.
    Plain,
    /// TLS.
    #[cfg(feature = "tls")]
    Tls(Box<Channel>),
}

/// What each of many connections to one server begins with.
#[derive(Clone, Debug, Default)]
pub(crate) enum Transports {
    /// Nothing.
    #[default]
    Plain,
    /// A handshake.
    #[cfg(feature = "tls")]
    #[cfg_attr(
        not(any(feature = "load", feature = "shared")),
        expect(
            dead_code,
            reason = "without them a store of a program's own is what is spoken to, in the clear"
        )
    )]
    Tls(Connector),
}

impl Transports {
    /// What carries a new connection.
    ///
    /// # Errors
    /// What TLS has against it.
    pub(crate) fn begin(&self) -> io::Result<Transport> {
        match self {
            Transports::Plain => Ok(Transport::Plain),
            #[cfg(feature = "tls")]
            Transports::Tls(connector) => {
                let channel = connector.begin().map_err(io::Error::other)?;
                Ok(Transport::Tls(Box::new(channel)))
            }
        }
    }
}

#[cfg_attr(not(feature = "tls"), allow(clippy::unused_self, reason = "the socket alone knows nothing"))]
impl Transport {
    /// Reads what came.
    ///
    /// # Errors
    /// What the socket gives, and `InvalidData` with what TLS has against it.
    pub(crate) fn read(&mut self, socket: &mut (impl Read + Write), into: &mut [u8]) -> io::Result<usize> {
        match self {
            Transport::Plain => socket.read(into),
            #[cfg(feature = "tls")]
            Transport::Tls(channel) => channel.read(socket, into),
        }
    }

    /// Writes what is taken; with no bytes, what is held.
    ///
    /// # Errors
    /// What the socket gives.
    pub(crate) fn write(&mut self, socket: &mut impl Write, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Transport::Plain => socket.write(bytes),
            #[cfg(feature = "tls")]
            Transport::Tls(channel) if bytes.is_empty() => channel.flush(socket).map(|()| 0),
            #[cfg(feature = "tls")]
            Transport::Tls(channel) => channel.write(socket, bytes),
        }
    }

    /// Whether what is read and written goes through it: there is no handshake, or it is done.
    pub(crate) fn is_open(&self) -> bool {
        match self {
            Transport::Plain => true,
            #[cfg(feature = "tls")]
            Transport::Tls(channel) => !channel.is_handshaking(),
        }
    }

    /// Whether what was written has not all been taken by the system.
    pub(crate) fn has_backlog(&self) -> bool {
        match self {
            Transport::Plain => false,
            #[cfg(feature = "tls")]
            Transport::Tls(channel) => channel.has_backlog(),
        }
    }

    /// Whether, after a read that would block, there is nothing to be read until the socket has more.
    pub(crate) fn is_exhausted(&self) -> bool {
        match self {
            Transport::Plain => true,
            #[cfg(feature = "tls")]
            Transport::Tls(channel) => channel.is_exhausted(),
        }
    }

    /// Goes on with the handshake, if there is one, on a socket that waits until it is done.
    ///
    /// # Errors
    /// As [`read`](Transport::read), and `UnexpectedEof` if the peer ends it.
    #[cfg(feature = "shared")]
    pub(crate) fn shake_hands(&mut self, _socket: &mut (impl Read + Write)) -> io::Result<()> {
        match self {
            Transport::Plain => Ok(()),
            #[cfg(feature = "tls")]
            Transport::Tls(channel) => channel.shake_hands(_socket),
        }
    }

    #[cfg(feature = "client")]
    /// Whether something can be read though the socket may have nothing.
    pub(crate) fn has_text(&self) -> bool {
        match self {
            Transport::Plain => false,
            #[cfg(feature = "tls")]
            Transport::Tls(channel) => channel.has_text(),
        }
    }

    #[cfg(feature = "client")]
    /// Says that nothing more will be sent, as far as that can be said at once.
    pub(crate) fn finish(&mut self, _socket: &mut impl Write) {
        #[cfg(feature = "tls")]
        if let Transport::Tls(channel) = self {
            channel.finish();
            // A server that is gone takes no close_notify.
            let _ = channel.flush(_socket);
        }
    }
}
