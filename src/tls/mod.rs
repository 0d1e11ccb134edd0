//! What server, client and load tester share of TLS: one version, one protocol name, a [`Fingerprint`], how a server is
//! known by that or by an authority, and the [`Channel`] that carries bytes between a socket and whoever reads and writes
//! them.
//!
//! TLS 1.3 only, by `rustls` with `ring`. There is no resumption of TLS sessions: each connection shows its certificate
//! and is verified, and no key outlives it.
//!
//! This module must not know sockets, frames or which server is to be trusted for what: the socket is lent to each call.

mod authority;
mod channel;
mod client_hello;
mod connector;
mod fingerprint;
mod pinned;

pub(crate) use authority::authority;
pub(crate) use channel::GOODBYE;
pub use channel::{Channel, NotTls, RECORD_BYTES};
pub(crate) use client_hello::FirstBytes;
pub(crate) use connector::{Connector, Identity};
pub use fingerprint::{BadFingerprint, Fingerprint};
pub(crate) use pinned::{KEY, Known, Pinned};

use rustls::SupportedProtocolVersion;
use rustls::crypto::{CryptoProvider, ring};
use std::sync::Arc;

/// The name that both sides offer for what they speak inside (ALPN).
pub const ALPN: &[u8] = b"porter/1";

/// The only version of TLS.
pub(crate) const VERSIONS: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// The cryptography of every connection.
///
/// The suite that every implementation of TLS 1.3 has (RFC 8446, section 9.1) comes first: its hash, SHA-256, is the one that
/// CPUs have instructions for, and a handshake hashes much.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    use ring::cipher_suite::{
        TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
    };
    let cipher_suites =
        vec![TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256];
    Arc::new(CryptoProvider { cipher_suites, ..ring::default_provider() })
}

/// Whether it is a certificate's dates that an error is about: it has expired, or is not valid yet.
pub(crate) fn is_out_of_date(error: &rustls::Error) -> bool {
    use rustls::CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    matches!(
        error,
        rustls::Error::InvalidCertificate(
            Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. }
        )
    )
}

/// Whether these first bytes of a peer's are of a TLS record: an alert or a handshake of any 3.x version.
pub(crate) fn is_tls_record(first: &[u8]) -> bool {
    match first {
        [0x15 | 0x16] | [0x15 | 0x16, 0x03, ..] => true,
        _ => first.is_empty(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use rustls::pki_types::{PrivateKeyDer, ServerName};
    use rustls::{ClientConfig, RootCertStore, ServerConfig};
    use std::sync::LazyLock;

    static CERTIFICATE: LazyLock<rcgen::CertifiedKey<rcgen::KeyPair>> =
        LazyLock::new(|| rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap());

    /// Whom the certificate is for.
    pub(crate) fn name() -> ServerName<'static> {
        ServerName::try_from("localhost").unwrap()
    }

    pub(crate) fn client() -> Channel {
        Channel::client(client_config(), name()).unwrap()
    }

    pub(crate) fn server() -> Channel {
        Channel::server(server_config()).unwrap()
    }

    pub(crate) fn client_config() -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CERTIFICATE.cert.der().clone()).unwrap();
        let builder =
            ClientConfig::builder_with_provider(provider()).with_protocol_versions(VERSIONS).unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![ALPN.to_vec()];
        Arc::new(config)
    }

    pub(crate) fn server_config() -> Arc<ServerConfig> {
        let key = PrivateKeyDer::try_from(CERTIFICATE.signing_key.serialize_der()).unwrap();
        let builder =
            ServerConfig::builder_with_provider(provider()).with_protocol_versions(VERSIONS).unwrap();
        let config =
            builder.with_no_client_auth().with_single_cert(vec![CERTIFICATE.cert.der().clone()], key);
        let mut config = config.unwrap();
        config.alpn_protocols = vec![ALPN.to_vec()];
        Arc::new(config)
    }

    #[test]
    fn records_of_tls_are_recognised() {
        assert!(is_tls_record(b"\x15\x03\x03\0") && is_tls_record(b"\x16\x03\x01") && is_tls_record(b"\x16"));
        assert!(!is_tls_record(b"\0\0\0\x02") && !is_tls_record(b"SSH-") && !is_tls_record(b"\x16\x04"));
    }
}
