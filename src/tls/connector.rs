//! What all connections to one server begin with.

use super::{Channel, VERSIONS, provider};
use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, Error};
use std::sync::Arc;

/// A certificate, those between it and its authority, and its key.
pub(crate) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Whom to take for one server, and what is said and shown to it first.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Connector {
    /// Connections to the server of this name, which are offered these protocols (ALPN), and show a certificate if the server
    /// asks for one.
    ///
    /// # Errors
    /// What `rustls` has against the certificate that is to be shown.
    pub(crate) fn new(
        verifier: Arc<dyn ServerCertVerifier>,
        name: ServerName<'static>,
        protocols: &[&[u8]],
        identity: Option<Identity>,
    ) -> Result<Connector, Error> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(VERSIONS)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match identity {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        // Each connection verifies anew.
        config.resumption = Resumption::disabled();
        Ok(Connector { config: Arc::new(config), name })
    }

    /// A channel that has not said anything yet.
    ///
    /// # Errors
    /// What `rustls` has against the configuration.
    pub(crate) fn begin(&self) -> Result<Channel, Error> {
        Channel::client(Arc::clone(&self.config), self.name.clone())
    }
}
