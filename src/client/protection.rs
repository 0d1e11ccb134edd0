//! Whether a client's connection is encrypted, and whom it trusts then.
//!
//! This module must not know what the frames are about.

use super::ClientError;
#[cfg(feature = "client")]
use super::connected;
#[cfg(feature = "tls")]
use super::tls::{self, Trust};
#[cfg(not(feature = "tls"))]
use super::unencrypted::Trust;
#[cfg(feature = "client")]
use crate::transport::Transport;
#[cfg(feature = "load")]
use crate::transport::Transports;
use std::io;
use std::net::IpAddr;
#[cfg(feature = "load")]
use std::net::SocketAddr;
#[cfg(feature = "client")]
use std::net::TcpStream;
use std::time::Duration;

/// How the connections to a server are protected.
#[derive(Clone, Debug)]
pub enum Protection {
    /// Plain TCP.
    Plaintext,
    /// TLS.
    Tls(Trust),
    /// TLS, unless the server is on this machine.
    TlsBeyondLoopback(Trust),
}

#[cfg(feature = "client")]
/// A connection to a server that is the one that is wanted, and what a person should be warned of nevertheless.
pub(crate) type Connected = (TcpStream, Transport, Option<String>);

impl Protection {
    /// Whom to trust at a server's address; `None` for plain TCP.
    pub(crate) fn trust(&self, server: IpAddr) -> Option<&Trust> {
        match self {
            Protection::Tls(trust) => Some(trust),
            Protection::TlsBeyondLoopback(trust) if !server.to_canonical().is_loopback() => Some(trust),
            _ => None,
        }
    }

    /// Remembers a server that a person has accepted.
    ///
    /// # Errors
    /// [`ClientError::Untrusted`] if that cannot be written, or nobody is remembered.
    pub fn remember(&self, server: &str, key: &str) -> Result<(), ClientError> {
        match self {
            Protection::Plaintext => Ok(()),
            Protection::Tls(trust) | Protection::TlsBeyondLoopback(trust) => trust.remember(server, key),
        }
    }

    #[cfg(feature = "client")]
    /// Connects to a host and, if it is to be, shakes hands and judges the server, each wait for at most `timeout`. What a
    /// person should be warned of comes along.
    ///
    /// # Errors
    /// [`ClientError::Untrusted`], [`ClientError::UnknownServer`], [`ClientError::Mismatch`], and
    /// [`ClientError::Io`] if no address answers.
    pub(crate) fn connect(&self, host: &str, port: u16, timeout: Duration) -> Result<Connected, ClientError> {
        let mut socket = connected((host, port), timeout)?;
        let (transport, warning) = match self.trust(socket.peer_addr()?.ip()) {
            None => (Transport::Plain, None),
            Some(trust) => secured(&mut socket, host, port, trust, timeout)?,
        };
        Ok((socket, transport, warning))
    }
}

#[cfg(feature = "load")]
impl Transports {
    #[cfg_attr(not(feature = "tls"), expect(unused_variables, reason = "nothing is waited for"))]
    /// Settles whom to trust at a server's address; where that rests on what was trusted before, by a connection.
    ///
    /// # Errors
    /// Those of [`Protection::connect`].
    pub(crate) fn settled(
        protection: &Protection,
        host: &str,
        server: SocketAddr,
        timeout: Duration,
    ) -> Result<Transports, ClientError> {
        match protection.trust(server.ip()) {
            None => Ok(Transports::Plain),
            #[cfg(feature = "tls")]
            Some(trust) => tls::settled(host, server, trust, timeout).map(Transports::Tls),
            #[cfg(not(feature = "tls"))]
            Some(_) => Err(not_built(host)),
        }
    }
}

#[cfg(all(feature = "client", feature = "tls"))]
fn secured(
    socket: &mut TcpStream,
    host: &str,
    port: u16,
    trust: &Trust,
    timeout: Duration,
) -> Result<(Transport, Option<String>), ClientError> {
    let (channel, warning) = tls::secured(socket, host, port, trust, timeout)?;
    Ok((Transport::Tls(Box::new(channel)), warning))
}

#[cfg(all(feature = "client", not(feature = "tls")))]
fn secured(
    _: &mut TcpStream,
    host: &str,
    _: u16,
    _: &Trust,
    _: Duration,
) -> Result<(Transport, Option<String>), ClientError> {
    Err(not_built(host))
}

#[cfg(not(feature = "tls"))]
fn not_built(host: &str) -> ClientError {
    let reason = "this program was built without encryption; to speak with";
    ClientError::Untrusted(format!("{reason} {host} all the same give --plaintext"))
}

/// What a transport's error means to a client.
pub(crate) fn failure(error: io::Error) -> ClientError {
    #[cfg(feature = "tls")]
    return tls::failure(error);
    #[cfg(not(feature = "tls"))]
    ClientError::from(error)
}
