//! Trust in what is known of a server: its certificate, or its public key.

use super::{Fingerprint, provider};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, PeerIncompatible, SignatureScheme};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Marks a fingerprint as that of a key.
pub(crate) const KEY: &str = "key:";

/// What a server is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// Its certificate.
    Certificate(Fingerprint),
    /// Its public key, whatever certificate it has for it.
    Key(Fingerprint),
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Known::Certificate(fingerprint) => fingerprint.fmt(f),
            Known::Key(fingerprint) => write!(f, "{KEY}{fingerprint}"),
        }
    }
}

/// Verifies that the server has the key of a certificate that is known by itself or by its key; if none is, that it has
/// the key of the certificate that it shows, whose fingerprint is judged afterwards.
#[derive(Debug)]
pub(crate) struct Pinned {
    expected: Vec<Known>,
    server: String,
    file: Option<PathBuf>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Pinned {
    /// A verifier for a server of this name, which is known by these, or not at all; a person can correct what is known in
    /// the file.
    pub(crate) fn verifier(
        expected: Vec<Known>,
        server: String,
        file: Option<PathBuf>,
    ) -> Arc<dyn ServerCertVerifier> {
        let algorithms = provider().signature_verification_algorithms;
        Arc::new(Pinned { expected, server, file, algorithms })
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = Fingerprint::of(certificate);
        let key = Fingerprint::of_key(certificate)?;
        let is_known = |known: &Known| match known {
            Known::Certificate(fingerprint) => *fingerprint == shown,
            Known::Key(fingerprint) => *fingerprint == key,
        };
        if self.expected.is_empty() || self.expected.iter().any(is_known) {
            return Ok(ServerCertVerified::assertion());
        }
        let (server, expected) = (self.server.clone(), self.expected.clone());
        let changed = Changed { server, expected, shown, key, file: self.file.clone() };
        Err(Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(changed)))))
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The server shows another certificate than it should.
#[derive(Debug, thiserror::Error)]
struct Changed {
    server: String,
    expected: Vec<Known>,
    shown: Fingerprint,
    key: Fingerprint,
    file: Option<PathBuf>,
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Changed { server, shown, key, .. } = self;
        let expected: Vec<String> = self.expected.iter().map(ToString::to_string).collect();
        let expected = expected.join(" or ");
        match &self.file {
            Some(file) => write!(
                f,
                "THE CERTIFICATE OF {server} HAS CHANGED: it is {shown} with the key {} and was {expected}; somebody may \
                 be between you and the server, so nothing was sent; if you know that the change is right, remove its \
                 line from {}",
                Known::Key(*key),
                file.display()
            ),
            None => write!(f, "the certificate of {server} is {shown}, not {expected}; nothing was sent"),
        }
    }
}
