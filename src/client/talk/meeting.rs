//! Meeting a server: connecting to it, and knowing that it is the one.
//!
//! This module must not know what is said afterwards.

use super::connection::Connection;
use super::terminal::{Person, failed};
use crate::cli::Failure;
use crate::client::{ClientError, Protection};
use std::time::{Duration, Instant};

/// How long a server may be silent before the person is told what may be the matter.
const GREETING_PATIENCE: Duration = Duration::from_secs(5);

/// A connection to a server that is trusted, if need be because the person says so.
pub(super) fn met(
    host: &str,
    port: u16,
    protection: &Protection,
    person: &Person,
) -> Result<Connection, Failure> {
    loop {
        match Connection::open(host, port, protection) {
            Ok(connection) => return Ok(connection),
            Err(ClientError::UnknownServer { server, fingerprint, key }) if person.can_be_asked() => {
                if !person.trusts(&server, &fingerprint)? {
                    return Err(failed(format_args!("{server} is not trusted")));
                }
                // By the time that somebody has answered the server may have given up: it is met anew.
                protection.remember(&server, &key).map_err(failed)?;
            }
            Err(ClientError::Io(error)) => {
                return Err(failed(format_args!("cannot connect to {host}, port {port}: {error}")));
            }
            Err(error) => return Err(failed(error)),
        }
    }
}

/// When a person is told that the server says nothing: it may wait for a TLS handshake.
pub(super) fn greeting_due(connection: &Connection) -> Option<Instant> {
    connection.is_plain().then(|| now() + GREETING_PATIENCE)
}

#[expect(clippy::disallowed_methods, reason = "the client waits between its tries to connect")]
pub(super) fn now() -> Instant {
    Instant::now()
}
