//! Connections inside TLS for the blocking [`Client`], and whom they trust.
//!
//! ```no_run
//! use porter::client::tls::{Trust, connect};
//! use std::time::Duration;
//!
//! let fingerprint = "SHA256:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0";
//! let trust = Trust::Fingerprint(fingerprint.parse()?);
//! let mut client = connect("porter.example.org", 9090, &trust, Duration::from_secs(10))?;
//! client.identify("ann")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod known_servers;
#[cfg(feature = "load")]
mod settled;
mod trust;

#[cfg(feature = "load")]
pub(crate) use settled::settled;
pub use trust::Trust;

use super::{Client, ClientError, connected};
use crate::tls::{Channel, NotTls};
use rustls::{CertificateError, Error};
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A blocking stream inside TLS. Dropping it says `close_notify`.
#[derive(Debug)]
pub struct TlsStream {
    socket: TcpStream,
    channel: Channel,
}

/// Connects, verifies the server, and waits for its Hello, each wait for at most `timeout`.
///
/// # Errors
/// [`ClientError::Untrusted`] and [`ClientError::UnknownServer`] if the server is not who is wanted,
/// [`ClientError::Mismatch`] if it does not speak TLS, and those of [`Client::connect`].
pub fn connect(
    host: &str,
    port: u16,
    trust: &Trust,
    timeout: Duration,
) -> Result<Client<TlsStream>, ClientError> {
    let mut socket = connected((host, port), timeout)?;
    let (channel, warning) = secured(&mut socket, host, port, trust, timeout)?;
    if let Some(warning) = warning {
        log::warn!("{warning}");
    }
    let client = Client::over(TlsStream { socket, channel })?;
    client.stream.get_ref().set_timeout(None)?;
    Ok(client)
}

/// Shakes hands over a connection to a host, each wait for at most `timeout`, and judges the server. The timeout stays
/// set. With the channel comes what a person should be warned of.
pub(crate) fn secured(
    socket: &mut TcpStream,
    host: &str,
    port: u16,
    trust: &Trust,
    timeout: Duration,
) -> Result<(Channel, Option<String>), ClientError> {
    let handshakes = trust.handshakes(host, port, socket.peer_addr()?.ip())?;
    socket.set_read_timeout(Some(timeout))?;
    socket.set_write_timeout(Some(timeout))?;
    let mut channel = handshakes.begin()?;
    let outcome = channel.shake_hands(socket).map_err(failure).and_then(|()| handshakes.judge(&channel));
    if outcome.is_err() {
        channel.finish();
        // The server may be gone; it is left in any case.
        let _ = channel.flush(socket);
    }
    outcome.map(|warning| (channel, warning))
}

/// What a failure of a channel's means to a client.
pub(crate) fn failure(error: io::Error) -> ClientError {
    match error.kind() {
        ErrorKind::UnexpectedEof => return ClientError::Closed,
        ErrorKind::WouldBlock => {
            let reason = "the server did not complete the TLS handshake in time";
            return ClientError::Io(io::Error::new(ErrorKind::TimedOut, reason));
        }
        _ => {}
    }
    let Some(inner) = error.get_ref() else { return ClientError::Io(error) };
    if inner.is::<NotTls>() {
        return ClientError::Mismatch { server_speaks_tls: false };
    }
    match inner.downcast_ref() {
        Some(Error::InvalidCertificate(CertificateError::Other(reason))) => {
            ClientError::Untrusted(reason.0.to_string())
        }
        Some(Error::InvalidCertificate(reason)) => {
            ClientError::Untrusted(format!("the server's certificate does not hold: {reason}"))
        }
        _ => ClientError::Io(error),
    }
}

impl TlsStream {
    /// How long each wait for the server may last; `None` is for ever.
    ///
    /// # Errors
    /// For a timeout of zero.
    pub fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.set_read_timeout(timeout)?;
        self.socket.set_write_timeout(timeout)
    }
}

impl Read for TlsStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.channel.read(&mut self.socket, into)
    }
}

impl Write for TlsStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.channel.write(&mut self.socket, bytes)?;
        // On a socket that blocks what is still held has met a timeout.
        if self.channel.has_backlog() { Err(ErrorKind::TimedOut.into()) } else { Ok(count) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.channel.flush(&mut self.socket)
    }
}

impl Drop for TlsStream {
    fn drop(&mut self) {
        self.channel.finish();
        // A server that is gone takes no close_notify.
        let _ = self.channel.flush(&mut self.socket);
    }
}

#[cfg(test)]
mod tests;
