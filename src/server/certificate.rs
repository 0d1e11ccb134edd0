//! The certificate that the server shows: the operator's, or one of its own making, kept in the data directory.
//!
//! This module must not know connections.

use crate::store::{Disk, OsDisk};
use crate::tls::{ALPN, Fingerprint, Identity as ShownIdentity, VERSIONS, is_out_of_date, provider};
use crate::whole_file::read_whole;
use log::Level;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, RootCertStore, ServerConfig};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;
use zeroize::Zeroizing;

/// The server's own certificate in the data directory.
const OWN_CERTIFICATE: &str = "tls-cert.pem";
/// Its key.
const OWN_KEY: &str = "tls-key.pem";

/// Where a certificate and its key are, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, and those between it and its authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Why a certificate cannot be shown. One line, with the way out where there is one.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum CertificateFileError {
    /// One of its files cannot be used.
    #[error("cannot use {}: {reason}", file.display())]
    Unusable {
        /// Which.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The files cannot be used together.
    #[error("cannot use {}: {error} with the key {}", files.certificate.display(), files.key.display())]
    Mismatch {
        /// Which.
        files: CertificateFiles,
        /// What is wrong with both.
        #[source]
        error: rustls::Error,
    },
    /// The server's own has lost its key.
    #[error(
        "{} is there without its key {}; bring that back, or remove the certificate for a new one that no client knows yet",
        .0.certificate.display(), .0.key.display()
    )]
    KeyMissing(CertificateFiles),
    /// The server's own cannot be made.
    #[error("cannot make {}: {reason}", file.display())]
    NotMade {
        /// Where it would be.
        file: PathBuf,
        /// What keeps it from being made.
        reason: String,
    },
    /// The server has no place for one of its own.
    #[error("there is no data directory for a certificate of the server's own; give one")]
    NoDirectory,
}

impl CertificateFileError {
    fn unusable(file: &Path, reason: impl ToString) -> CertificateFileError {
        CertificateFileError::Unusable { file: file.to_owned(), reason: reason.to_string() }
    }
}

/// What a TLS connection begins with, as long as the files stay as they are.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) config: Arc<ServerConfig>,
    pub(super) fingerprint: Fingerprint,
}

impl CertificateFiles {
    /// The server's own, made now if the data directory has none yet. `host` is one of the names in a new one.
    ///
    /// # Errors
    /// [`CertificateFileError`].
    pub(super) fn own(disk: &mut OsDisk, hosts: &[IpAddr]) -> Result<CertificateFiles, CertificateFileError> {
        let [certificate, key] = [OWN_CERTIFICATE, OWN_KEY].map(|name| PathBuf::from(disk.place(name)));
        let files = CertificateFiles { certificate, key };
        let exists = |disk: &mut OsDisk, name: &str, file: &Path| {
            let opened = disk.open(name).map_err(|error| CertificateFileError::unusable(file, error))?;
            Ok::<_, CertificateFileError>(opened.is_some())
        };
        let has_certificate = exists(disk, OWN_CERTIFICATE, &files.certificate)?;
        match (has_certificate, exists(disk, OWN_KEY, &files.key)?) {
            (true, true) => {}
            (true, false) => return Err(CertificateFileError::KeyMissing(files)),
            // A key alone is what a crash left of making both: nobody has seen it.
            (false, _) => {
                let file = &files.certificate;
                make_own(disk, hosts)
                    .map_err(|reason| CertificateFileError::NotMade { file: file.clone(), reason })?;
                log_event!(Level::Info, "certificate made", file = ?file.display().to_string());
            }
        }
        Ok(files)
    }

    /// What is wrong though both files can be used, a line each: whoever else may read the key can pass for this server,
    /// and a certificate out of its dates convinces only those who look at its fingerprint alone.
    pub(super) fn weaknesses(&self) -> Vec<String> {
        let mode = std::fs::metadata(&self.key).map_or(0, |metadata| metadata.permissions().mode());
        let key = self.key.display();
        // Its group may well be one that is made for keys.
        let open = (mode & 0o007 != 0)
            .then(|| format!("the key {key} is open to every user of this machine; chmod o= {key}"));
        let leaf =
            read_whole(&self.certificate).ok().and_then(|text| CertificateDer::from_pem_slice(&text).ok());
        let dates = leaf.and_then(|leaf| dates_fault(&leaf));
        let dates = dates.map(|fault| {
            let certificate = self.certificate.display();
            format!("the certificate {certificate} {fault}; renew it (SIGHUP takes the new one)")
        });
        open.into_iter().chain(dates).collect()
    }

    /// Whether both files can be used, now.
    ///
    /// # Errors
    /// [`CertificateFileError`].
    pub fn check(&self) -> Result<(), CertificateFileError> {
        self.read().map(drop)
    }

    /// Reads both files.
    ///
    /// # Errors
    /// [`CertificateFileError`].
    pub(super) fn read(&self) -> Result<Identity, CertificateFileError> {
        let (chain, key) = self.read_identity()?;
        let fingerprint = Fingerprint::of(chain.first().map_or(&[], |leaf| leaf.as_ref()));
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(VERSIONS)
            .map(|builder| builder.with_no_client_auth())
            .and_then(|builder| builder.with_single_cert(chain, key))
            .map_err(|error| self.mismatch(&error))?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        // Most clients would have another first, and any suite of TLS 1.3 will do.
        config.ignore_client_order = true;
        // Each connection is verified anew; no ticket outlives one.
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Identity { config: Arc::new(config), fingerprint })
    }
}

impl CertificateFiles {
    /// Reads both files, each for itself. There is a certificate at least.
    ///
    /// # Errors
    /// [`CertificateFileError`].
    pub(super) fn read_identity(&self) -> Result<ShownIdentity, CertificateFileError> {
        let unusable = |reason: String| CertificateFileError::unusable(&self.certificate, reason);
        let text = read_whole(&self.certificate).map_err(|error| unusable(error.to_string()))?;
        let chain = CertificateDer::pem_slice_iter(&text)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| unusable(error.to_string()))?;
        if chain.is_empty() {
            return Err(unusable("it holds no certificate in PEM".to_owned()));
        }
        let key = self.read_key().map_err(|reason| CertificateFileError::unusable(&self.key, reason))?;
        Ok((chain, key))
    }

    /// What is wrong with both together.
    pub(super) fn mismatch(&self, error: &rustls::Error) -> CertificateFileError {
        CertificateFileError::Mismatch { files: self.clone(), error: error.clone() }
    }

    fn read_key(&self) -> Result<PrivateKeyDer<'static>, String> {
        let text = read_whole(&self.key).map_err(|error| error.to_string())?;
        let has = |words: &[u8]| text.windows(words.len()).any(|window| window == words);
        if has(b"BEGIN ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED") {
            let key = self.key.display();
            return Err(format!("it is encrypted; write it decrypted with openssl pkey -in {key} -out FILE"));
        }
        PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
            pem::Error::NoItemsFound => "it holds no private key in PEM".to_owned(),
            error => error.to_string(),
        })
    }
}

/// What is wrong with a certificate's dates. It is verified as its own authority, since that looks at its dates first.
fn dates_fault(leaf: &CertificateDer<'_>) -> Option<&'static str> {
    let mut roots = RootCertStore::empty();
    roots.add(leaf.clone().into_owned()).ok()?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build().ok()?;
    let name = ServerName::try_from("localhost").ok()?;
    let error = verifier.verify_server_cert(leaf, &[], &name, &[], UnixTime::now()).err()?;
    match error {
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => Some("is not valid yet"),
        error if is_out_of_date(&error) => Some("has expired"),
        _ => None,
    }
}

/// Makes a self-signed certificate. The key is in its place, for good, before the certificate appears.
fn make_own(disk: &mut OsDisk, hosts: &[IpAddr]) -> Result<(), String> {
    let names = std::iter::once("localhost".to_owned()).chain(hosts.iter().map(IpAddr::to_string));
    let (key, certificate) = self_signed(names.collect()).map_err(|error| error.to_string())?;
    write_whole(disk, OWN_KEY, key.as_bytes())
        .and_then(|()| write_whole(disk, OWN_CERTIFICATE, certificate.as_bytes()))
        .map_err(|error| error.to_string())
}

/// A new key and a certificate for it, in PEM.
fn self_signed(names: Vec<String>) -> Result<(Zeroizing<String>, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut parameters = CertificateParams::new(names)?;
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, "porter");
    let certificate = parameters.self_signed(&key)?;
    Ok((Zeroizing::new(key.serialize_pem()), certificate.pem()))
}

/// Writes a file that appears under its name only when all of it is on stable storage.
fn write_whole(disk: &mut OsDisk, name: &str, content: &[u8]) -> io::Result<()> {
    let unfinished = format!("{name}.new");
    // A crash may have left one.
    disk.remove(&unfinished)?;
    let file = disk.create(&unfinished)?;
    let mut rest = content;
    while !rest.is_empty() {
        match disk.append(&file, rest)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            count => rest = &rest[count..],
        }
    }
    disk.sync(&file)?;
    disk.rename(&unfinished, name)?;
    disk.sync_names().map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::net::Ipv4Addr;
    use std::path::Path;

    fn own(directory: &Path) -> Result<CertificateFiles, CertificateFileError> {
        let mut disk = OsDisk::open(directory, crate::Clock::new()).unwrap();
        CertificateFiles::own(&mut disk, &[Ipv4Addr::LOCALHOST.into()])
    }

    #[test]
    fn the_own_certificate_is_made_once_and_only_its_owner_may_read_the_key() {
        let directory = tempfile::tempdir().unwrap();
        let first = own(directory.path()).unwrap();
        let fingerprint = first.read().unwrap().fingerprint;
        let mode = fs::metadata(&first.key).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        assert_eq!(own(directory.path()).unwrap().read().unwrap().fingerprint, fingerprint);
        let left = fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(left, 3, "certificate, key, lock");

        // A crash between the two renames: a key that nobody has seen.
        fs::remove_file(&first.certificate).unwrap();
        assert_ne!(own(directory.path()).unwrap().read().unwrap().fingerprint, fingerprint);
        fs::remove_file(&first.key).unwrap();
        let refusal = own(directory.path()).unwrap_err().to_string();
        assert!(refusal.contains("tls-key.pem") && !refusal.contains('\n'), "{refusal}");
    }

    #[test]
    fn bad_files_are_named_with_their_reason() {
        let directory = tempfile::tempdir().unwrap();
        let good = own(directory.path()).unwrap();
        let other_directory = tempfile::tempdir().unwrap();
        let other = own(other_directory.path()).unwrap();
        let empty = directory.path().join("empty");
        fs::write(&empty, "no PEM").unwrap();
        let missing = directory.path().join("missing");
        for (certificate, key, named) in [
            (&empty, &good.key, "empty"),
            (&good.certificate, &empty, "empty"),
            (&missing, &good.key, "missing"),
            (&good.certificate, &missing, "missing"),
            (&good.certificate, &other.key, "tls-key.pem"),
            (&good.key, &good.key, "tls-key.pem"),
        ] {
            let files = CertificateFiles { certificate: certificate.clone(), key: key.clone() };
            let reason = files.read().unwrap_err().to_string();
            assert!(reason.contains(named) && !reason.contains('\n'), "{reason}");
        }
    }
}
