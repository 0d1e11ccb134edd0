//! Trust in an authority: a bundle of certificates in PEM.

use super::{is_out_of_date, provider};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};
use std::path::Path;
use std::sync::Arc;

/// Verifies a server's certificate by the bundle.
///
/// A certificate that is its own authority, as `openssl req -x509` makes it, is refused by webpki, since one of an
/// authority must not be a server's. Whoever has put this very certificate into the bundle trusts it: then only its
/// dates and its name are looked at.
#[derive(Debug)]
struct Authority {
    bundle: Vec<CertificateDer<'static>>,
    webpki: Arc<WebPkiServerVerifier>,
}

/// A verifier for the certificates in a file. Those that cannot be used do not spoil the others.
///
/// # Errors
/// One line with the file and the reason, if it cannot be read, or holds no certificate that can be used.
pub(crate) fn authority(file: &Path) -> Result<Arc<dyn ServerCertVerifier>, String> {
    let cannot = |reason: &str| format!("cannot use {}: {reason}", file.display());
    let (mut bundle, mut roots, mut fault) = (Vec::new(), RootCertStore::empty(), None);
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| cannot(&error.to_string()))? {
        let added = certificate.map_err(|error| error.to_string()).and_then(|certificate| {
            roots.add(certificate.clone()).map_err(|error| error.to_string())?;
            bundle.push(certificate);
            Ok(())
        });
        fault = fault.or(added.err());
    }
    if bundle.is_empty() {
        return Err(cannot(fault.as_deref().unwrap_or("it holds no certificate in PEM")));
    }
    let webpki = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
    let webpki = webpki.map_err(|error| cannot(&error.to_string()))?;
    Ok(Arc::new(Authority { bundle, webpki }))
}

impl ServerCertVerifier for Authority {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.webpki.verify_server_cert(certificate, intermediates, name, ocsp_response, now) {
            Err(error) if self.bundle.contains(certificate) && !is_out_of_date(&error) => {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            outcome => outcome.map_err(explained),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

/// That the bundle does not vouch for a certificate, in words: webpki has but names for it.
#[derive(Debug, thiserror::Error)]
#[error(
    "the authority's file does not vouch for the server's certificate ({0}); one that is its own authority, as openssl req -x509 makes it, must be in that file itself"
)]
struct Unvouched(String);

fn explained(error: Error) -> Error {
    let why = match &error {
        Error::InvalidCertificate(CertificateError::Other(reason)) => reason.0.to_string(),
        // The second is of an authority that has the name of one in the bundle, and another key.
        Error::InvalidCertificate(
            reason @ (CertificateError::UnknownIssuer | CertificateError::BadSignature),
        ) => {
            format!("{reason:?}")
        }
        _ => return error,
    };
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(Unvouched(why)))))
}
