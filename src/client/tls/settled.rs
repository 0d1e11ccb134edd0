//! Whom to trust at a server to which many connections are to be made, settled once.
//!
//! This module must not know what the connections are for.

use super::secured;
use super::trust::Trust;
use crate::client::ClientError;
use crate::tls::{Connector, Fingerprint};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// What all connections to a host at an address begin with, once it is settled whom to trust there.
///
/// # Errors
/// As [`secured`].
pub(crate) fn settled(
    host: &str,
    server: SocketAddr,
    trust: &Trust,
    timeout: Duration,
) -> Result<Connector, ClientError> {
    if let Trust::Known { .. } = trust {
        let mut socket = TcpStream::connect_timeout(&server, timeout)?;
        let (mut channel, warning) = secured(&mut socket, host, server.port(), trust, timeout)?;
        if let Some(warning) = warning {
            log::warn!("{warning}");
        }
        channel.finish();
        // It has served its purpose, whether that reaches the server or not.
        let _ = channel.flush(&mut socket);
        if let Some(certificate) = channel.peer_certificate() {
            let pinned = Trust::Fingerprint(Fingerprint::of(certificate));
            return Ok(pinned.handshakes(host, server.port(), server.ip())?.connector());
        }
    }
    Ok(trust.handshakes(host, server.port(), server.ip())?.connector())
}
