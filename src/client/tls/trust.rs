//! Whom to trust: an authority, a fingerprint, or what was trusted before.

use super::known_servers::{find, remember, server_name};
use crate::client::ClientError;
use crate::tls::{ALPN, BadFingerprint, Channel, Connector, Fingerprint, Known, Pinned, authority};
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::ServerName;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// Whom a client takes for the server that it wants.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Whoever has a certificate for the host's name from an authority in this file (PEM).
    Authority(PathBuf),
    /// Whoever has the certificate with this fingerprint.
    Fingerprint(Fingerprint),
    /// Whoever was trusted before.
    Known {
        /// The file that remembers; without one nobody is known.
        file: Option<PathBuf>,
        /// Whether a server that is met for the first time is trusted, and remembered.
        accept_new: bool,
    },
}

/// How connections to one server begin.
#[derive(Clone, Debug)]
pub(crate) struct Handshakes {
    connector: Connector,
    /// Whom to ask about a certificate that nothing is known of.
    unknown: Option<Stranger>,
}

/// A server that is met for the first time.
#[derive(Clone, Debug)]
struct Stranger {
    server: String,
    /// Where it would be remembered.
    file: Option<PathBuf>,
    accept_new: bool,
}

impl Trust {
    /// How connections to a host begin, which was found at this address.
    ///
    /// # Errors
    /// [`ClientError::Untrusted`] if what the trust rests on cannot be read.
    pub(crate) fn handshakes(
        &self,
        host: &str,
        port: u16,
        address: IpAddr,
    ) -> Result<Handshakes, ClientError> {
        let name = ServerName::try_from(host.to_owned());
        if let Trust::Authority(file) = self {
            let name =
                name.map_err(|_| untrusted(format!("{host:?} cannot be the name in a certificate")))?;
            return Handshakes::new(authority(file).map_err(untrusted)?, name, None);
        }
        // A fingerprint names no host: the name is only what the server is sent.
        let name = name.unwrap_or(ServerName::IpAddress(address.into()));
        let (expected, unknown) = match self {
            Trust::Known { file: None, accept_new: false } => return Err(untrusted(NO_FILE)),
            Trust::Known { file, accept_new } => {
                let server = server_name(host, port);
                let known = file.as_ref().map(|file| find(file, &server)).transpose().map_err(untrusted)?;
                let expected = known.unwrap_or_default();
                let stranger = Stranger { server, file: file.clone(), accept_new: *accept_new };
                let unknown = expected.is_empty().then_some(stranger);
                (expected, unknown)
            }
            Trust::Fingerprint(fingerprint) => (vec![Known::Certificate(*fingerprint)], None),
            Trust::Authority(_) => (Vec::new(), None),
        };
        let file = if let Trust::Known { file, .. } = self { file.clone() } else { None };
        Handshakes::new(Pinned::verifier(expected, server_name(host, port), file), name, unknown)
    }

    /// Remembers a server that a person has accepted, by the fingerprint of its key.
    ///
    /// # Errors
    /// [`ClientError::Untrusted`] if that cannot be written, or this trust remembers nobody.
    pub fn remember(&self, server: &str, key: &str) -> Result<(), ClientError> {
        let Trust::Known { file: Some(file), .. } = self else {
            return Err(untrusted("this trust remembers no servers"));
        };
        let key = key.parse().map_err(|error: BadFingerprint| untrusted(error.to_string()))?;
        remember(file, server, key).map_err(untrusted)
    }
}

impl Handshakes {
    fn new(
        verifier: Arc<dyn ServerCertVerifier>,
        name: ServerName<'static>,
        unknown: Option<Stranger>,
    ) -> Result<Handshakes, ClientError> {
        let connector = Connector::new(verifier, name, &[ALPN], None);
        let connector = connector.map_err(|error| untrusted(error.to_string()))?;
        Ok(Handshakes { connector, unknown })
    }

    /// A channel that has not said anything yet.
    pub(crate) fn begin(&self) -> Result<Channel, ClientError> {
        self.connector.begin().map_err(|error| untrusted(error.to_string()))
    }

    /// What connections begin with to a server that needs no judging.
    #[cfg(feature = "load")]
    pub(crate) fn connector(self) -> Connector {
        self.connector
    }

    /// Judges a server once its handshake has proved that it has its certificate's key. Before that nothing is to be
    /// sent. What a person should know of it nevertheless is a warning.
    pub(super) fn judge(&self, channel: &Channel) -> Result<Option<String>, ClientError> {
        let Some(Stranger { server, file, accept_new }) = &self.unknown else { return Ok(None) };
        let certificate =
            channel.peer_certificate().ok_or_else(|| untrusted("the server has no certificate"))?;
        let key = Fingerprint::of_key(&certificate.into())
            .map_err(|error| untrusted(format!("the certificate cannot be read: {error}")))?;
        if !accept_new {
            let (server, fingerprint) = (server.clone(), Fingerprint::of(certificate).to_string());
            return Err(ClientError::UnknownServer { server, fingerprint, key: key.to_string() });
        }
        // The person has asked to trust whatever is met: that it cannot be remembered stops nothing now.
        let outcome = match file {
            Some(file) => remember(file, server, key),
            None => Err(NO_FILE.to_owned()),
        };
        Ok(outcome.err().map(|reason| format!("{reason}; the next time {server} will be as unknown as now")))
    }
}

const NO_FILE: &str =
    "there is no place for known servers: set HOME or XDG_CONFIG_HOME, or give --fingerprint";

pub(super) fn untrusted(reason: impl Into<String>) -> ClientError {
    ClientError::Untrusted(reason.into())
}
