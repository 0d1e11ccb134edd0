//! Whom the client takes for its server, and whom not.

use super::*;
use crate::tls::Fingerprint;
use crate::tls::{ALPN, VERSIONS, provider};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedKey, IsCa, KeyPair, date_time_ymd,
    generate_simple_self_signed,
};
use rustls::ServerConfig;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign;
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
) -> Result<Option<String>, ClientError> {
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
            let mut channel = Channel::server(Arc::new(config)).unwrap();
            // A client that does not trust it leaves.
            let _ = channel.shake_hands(&mut socket);
        });
        let mut socket = TcpStream::connect(address).unwrap();
        // By one port, whichever it is, so that it can be met again.
        secured(&mut socket, host, 9090, trust, Duration::from_secs(30)).map(|(_, warning)| warning)
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
    let ClientError::UnknownServer { server, fingerprint, key } = refused else { panic!("{refused:?}") };
    assert!(server == "localhost:9090" && !file.exists());
    assert_eq!(fingerprint, Fingerprint::of(certificate.cert.der()).to_string());
    trust.remember(&server, &key).unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("{server} key:{key}\n"));
    let nowhere = Trust::Known { file: None, accept_new: false };
    let refused = met(&certificate, &certificate.signing_key, "localhost", &nowhere);
    assert!(matches!(refused, Err(ClientError::Untrusted(_))));
}

/// A certificate for a key, with what is different about it.
fn signed(key: KeyPair, differently: impl FnOnce(&mut CertificateParams)) -> CertifiedKey<KeyPair> {
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    differently(&mut params);
    CertifiedKey { cert: params.self_signed(&key).unwrap(), signing_key: key }
}

#[test]
fn a_certificate_renewed_with_the_same_key_is_no_surprise() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("known_servers");
    let trust = Trust::Known { file: Some(file.clone()), accept_new: true };
    let first = made();
    assert_eq!(met(&first, &first.signing_key, "localhost", &trust).unwrap(), None);
    let key = KeyPair::from_pem(&first.signing_key.serialize_pem()).unwrap();
    let renewed = signed(key, |params| params.not_after = date_time_ymd(2055, 1, 1));
    assert_ne!(first.cert.der(), renewed.cert.der());
    met(&renewed, &renewed.signing_key, "localhost", &trust).unwrap();
    let other = made();
    let refused = met(&other, &other.signing_key, "localhost", &trust).unwrap_err().to_string();
    assert!(refused.contains("HAS CHANGED") && refused.contains("known_servers"), "{refused}");
    // A line of a former version knows a certificate, not a key.
    std::fs::write(&file, format!("localhost:9090 {}\n", Fingerprint::of(first.cert.der()))).unwrap();
    met(&first, &first.signing_key, "localhost", &trust).unwrap();
    assert!(met(&renewed, &renewed.signing_key, "localhost", &trust).is_err());
}

/// A home that cannot be written does not stop who has asked to trust whatever is met.
#[test]
fn what_cannot_be_remembered_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let in_the_way = folder.path().join("file");
    std::fs::write(&in_the_way, "").unwrap();
    let certificate = made();
    for file in [Some(in_the_way.join("known_servers")), None] {
        let trust = Trust::Known { file, accept_new: true };
        let warning = met(&certificate, &certificate.signing_key, "localhost", &trust).unwrap();
        assert!(warning.is_some_and(|warning| warning.contains("as unknown as now")));
    }
}

/// As `openssl req -x509` makes it: an authority's certificate that is a server's too.
#[test]
fn a_certificate_that_is_its_own_authority_is_taken_from_its_own_bundle() {
    let own_authority = |params: &mut CertificateParams| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    };
    let certificate = signed(KeyPair::generate().unwrap(), own_authority);
    let folder = tempfile::tempdir().unwrap();
    let trust = authority(folder.path(), &certificate);
    met(&certificate, &certificate.signing_key, "localhost", &trust).unwrap();
    let impostor = signed(KeyPair::generate().unwrap(), own_authority);
    let expired = signed(KeyPair::generate().unwrap(), |params| {
        own_authority(params);
        params.not_after = date_time_ymd(2020, 1, 1);
    });
    let elsewhere = tempfile::tempdir().unwrap();
    for (certificate, host, trust) in [
        (&certificate, "example.org", &trust),
        (&impostor, "localhost", &trust),
        (&expired, "localhost", &authority(elsewhere.path(), &expired)),
    ] {
        let refused = met(certificate, &certificate.signing_key, host, trust);
        assert!(matches!(refused, Err(ClientError::Untrusted(_))), "{host}: {refused:?}");
    }
    // Renewed with the same key, or another's: the way out is said, not only the name of webpki's error.
    let renewed = signed(KeyPair::try_from(certificate.signing_key.serialize_der()).unwrap(), own_authority);
    for other in [&renewed, &impostor] {
        let refused = met(other, &other.signing_key, "localhost", &trust).unwrap_err().to_string();
        assert!(refused.contains("must be in that file itself"), "{refused}");
    }
}

#[test]
fn a_bad_certificate_does_not_spoil_its_bundle() {
    let certificate = made();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bundle.pem");
    let bad = |content: &str| format!("-----BEGIN CERTIFICATE-----\n{content}\n-----END CERTIFICATE-----\n");
    let trust = Trust::Authority(file.clone());
    for bad in [bad("AAAA"), bad("!!!!")] {
        std::fs::write(&file, format!("{bad}{}{bad}", certificate.cert.pem())).unwrap();
        met(&certificate, &certificate.signing_key, "localhost", &trust).unwrap();
        std::fs::write(&file, bad).unwrap();
        assert!(met(&certificate, &certificate.signing_key, "localhost", &trust).is_err());
    }
}
