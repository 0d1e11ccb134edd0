//! Whom the client takes for its server, and whom not.

use super::*;
use crate::tls::{ALPN, VERSIONS, provider};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign;
use rustls::{ServerConfig, ServerConnection};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::thread;

/// Shows a certificate, whoever has its key.
#[derive(Debug)]
struct Shown(Arc<sign::CertifiedKey>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<sign::CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

fn made() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(["localhost".to_owned()]).unwrap()
}

/// What a client with this trust thinks of a server that shows a certificate and signs with a key.
fn met(
    certificate: &CertifiedKey<KeyPair>,
    key: &KeyPair,
    host: &str,
    trust: &Trust,
) -> Result<(), ClientError> {
    let key = any_supported_type(&PrivateKeyDer::try_from(key.serialize_der()).unwrap()).unwrap();
    let shown = sign::CertifiedKey::new(vec![certificate.cert.der().clone()], key);
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(VERSIONS).unwrap();
    let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(Shown(Arc::new(shown))));
    config.alpn_protocols = vec![ALPN.to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let (mut socket, _) = listener.accept().unwrap();
            let mut channel = Channel::new(ServerConnection::new(Arc::new(config)).unwrap());
            // A client that does not trust it leaves.
            let _ = channel.shake_hands(&mut socket);
        });
        let mut socket = TcpStream::connect(address).unwrap();
        secured(&mut socket, host, address.port(), trust, Duration::from_secs(30)).map(|_| ())
    })
}

fn authority(folder: &Path, certificate: &CertifiedKey<KeyPair>) -> Trust {
    let file = folder.join("authority.pem");
    std::fs::write(&file, certificate.cert.pem()).unwrap();
    Trust::Authority(file)
}

#[test]
fn a_certificate_is_worth_nothing_without_its_key() {
    let (right, thief) = (made(), made().signing_key);
    let folder = tempfile::tempdir().unwrap();
    let file = Some(folder.path().join("known_servers"));
    for trust in [
        Trust::Fingerprint(Fingerprint::of(right.cert.der())),
        authority(folder.path(), &right),
        Trust::Known { file, accept_new: true },
    ] {
        let refused = met(&right, &thief, "localhost", &trust);
        assert!(matches!(refused, Err(ClientError::Untrusted(_))), "{trust:?}: {refused:?}");
        met(&right, &right.signing_key, "localhost", &trust).unwrap();
    }
}

#[test]
fn an_authority_vouches_for_names() {
    let (right, other) = (made(), made());
    let folder = tempfile::tempdir().unwrap();
    let trust = authority(folder.path(), &right);
    for host in ["example.org", "127.0.0.1", "not a name"] {
        let refused = met(&right, &right.signing_key, host, &trust);
        assert!(matches!(refused, Err(ClientError::Untrusted(_))), "{host}: {refused:?}");
    }
    let refused = met(&other, &other.signing_key, "localhost", &trust);
    assert!(matches!(refused, Err(ClientError::Untrusted(_))), "{refused:?}");
}

#[test]
fn a_stranger_is_named_and_not_remembered() {
    let certificate = made();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("known_servers");
    let trust = Trust::Known { file: Some(file.clone()), accept_new: false };
    let refused = met(&certificate, &certificate.signing_key, "localhost", &trust).unwrap_err();
    let ClientError::UnknownServer { server, fingerprint } = refused else { panic!("{refused:?}") };
    assert!(server.starts_with("localhost:") && !file.exists());
    assert_eq!(fingerprint, Fingerprint::of(certificate.cert.der()).to_string());
    trust.remember(&server, &fingerprint).unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("{server} {fingerprint}\n"));
    let nowhere = Trust::Known { file: None, accept_new: true };
    let refused = met(&certificate, &certificate.signing_key, "localhost", &nowhere);
    assert!(matches!(refused, Err(ClientError::Untrusted(_))));
}
