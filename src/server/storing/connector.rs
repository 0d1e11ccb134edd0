//! Where a shared store is, and how connections to it are made: its name, and whom to trust there.
//!
//! What the trust rests on is read here, once: a connection that is lost while the server serves is made anew without a file
//! being opened. Other certificates are for the next start.

use super::name_lookup::look_up;
use crate::server::Server;
#[cfg(feature = "tls")]
use crate::server::{CertificateFileError, CertificateFiles};
use crate::store::{Store, StoreAddress, StoreError};
#[cfg(feature = "tls")]
use crate::tls::{Connector, Fingerprint, Known, Pinned, authority};
use crate::transport::Transports;
#[cfg(feature = "tls")]
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
#[cfg(feature = "tls")]
use std::path::PathBuf;
use thiserror::Error;

/// Whom to take for a shared store that is spoken to through TLS, and what to show it. By default nobody and nothing.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct StoreTrust {
    /// Whoever has a certificate for the store's host from an authority in this file (PEM).
    #[cfg(feature = "tls")]
    pub authority: Option<PathBuf>,
    /// Whoever has the certificate with this fingerprint.
    #[cfg(feature = "tls")]
    pub fingerprint: Option<Fingerprint>,
    /// What the store is shown if it asks for a certificate.
    #[cfg(feature = "tls")]
    pub certificate: Option<PathBuf>,
    /// Its private key.
    #[cfg(feature = "tls")]
    pub key: Option<PathBuf>,
}

/// Why a shared store cannot be connected to as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("--{flag}: {reason}")]
pub struct StoreFlagError {
    /// The flag that is wrong, without dashes before it.
    pub flag: &'static str,
    /// What is wrong with it, and the way out, on one line.
    pub reason: String,
}

impl StoreFlagError {
    fn new(flag: &'static str, reason: impl Into<String>) -> StoreFlagError {
        StoreFlagError { flag, reason: reason.into() }
    }
}

/// How connections to a shared store are made.
#[derive(Clone, Debug)]
pub struct StoreConnector {
    address: StoreAddress,
    transports: Transports,
}

impl StoreConnector {
    /// Reads what the trust rests on. Nothing is connected to yet.
    ///
    /// # Errors
    /// [`StoreFlagError`], if a file cannot be used, or what is given does not go together.
    pub fn new(address: StoreAddress, trust: &StoreTrust) -> Result<StoreConnector, StoreFlagError> {
        let transports = match address.is_encrypted() {
            true => encrypted(&address, trust)?,
            false => match trust.first_given() {
                Some(flag) => {
                    let reason =
                        "it is for TLS, which redis:// has none of: write rediss://, or leave it out";
                    return Err(StoreFlagError::new(flag, reason));
                }
                None => Transports::Plain,
            },
        };
        Ok(StoreConnector { address, transports })
    }

    /// Where the store is.
    pub fn address(&self) -> &StoreAddress {
        &self.address
    }

    /// The addresses that its host has now. It may block.
    ///
    /// # Errors
    /// [`StoreError::NoAddress`], if it has none.
    pub fn look_up(&self) -> Result<Vec<SocketAddr>, StoreError> {
        look_up(self.address.host(), self.address.port()).map_err(StoreError::NoAddress)
    }

    pub(super) fn transports(&self) -> &Transports {
        &self.transports
    }
}

impl<S: Store> Server<S> {
    /// Has its store, which must be a shared one, be connected to by this. Without it the store's connection is plain TCP, and
    /// one that is to be encrypted is not made.
    pub fn attach_store_connector(&mut self, connector: &StoreConnector) {
        self.store_link.set_transports(connector.transports().clone());
    }
}

#[cfg(feature = "tls")]
impl StoreTrust {
    /// The first flag of it that is given, if any is.
    pub fn first_given(&self) -> Option<&'static str> {
        [
            ("store-ca", self.authority.is_some()),
            ("store-fingerprint", self.fingerprint.is_some()),
            ("store-cert", self.certificate.is_some()),
            ("store-key", self.key.is_some()),
        ]
        .into_iter()
        .find_map(|(flag, is_given)| is_given.then_some(flag))
    }

    /// The certificate that the store is shown, and its key.
    fn files(&self) -> Result<Option<CertificateFiles>, StoreFlagError> {
        match (self.certificate.clone(), self.key.clone()) {
            (Some(certificate), Some(key)) => Ok(Some(CertificateFiles { certificate, key })),
            (None, None) => Ok(None),
            (Some(_), None) => Err(StoreFlagError::new("store-cert", "its key is missing: give --store-key")),
            (None, Some(_)) => {
                Err(StoreFlagError::new("store-key", "its certificate is missing: give --store-cert"))
            }
        }
    }
}

#[cfg(not(feature = "tls"))]
impl StoreTrust {
    /// The first flag of it that is given: there is none without encryption.
    #[allow(clippy::unused_self, reason = "with encryption it is asked for more")]
    pub fn first_given(&self) -> Option<&'static str> {
        None
    }
}

#[cfg(feature = "tls")]
fn encrypted(address: &StoreAddress, trust: &StoreTrust) -> Result<Transports, StoreFlagError> {
    let name = ServerName::try_from(address.host().to_owned());
    let (verifier, name) = match (&trust.authority, trust.fingerprint) {
        (Some(_), Some(_)) => {
            let reason = "--store-ca is given too: whom to trust is said by one of them";
            return Err(StoreFlagError::new("store-fingerprint", reason));
        }
        (None, None) => {
            return Err(StoreFlagError::new(
                "store",
                "whom to trust at a rediss:// is to be said: give --store-ca FILE, with the authority of its certificate in PEM, or --store-fingerprint SHA256:...",
            ));
        }
        (Some(file), None) => {
            let name = name.map_err(|_| {
                let reason = format!("{:?} cannot be the name in a certificate", address.host());
                StoreFlagError::new("store", format!("{reason}: give --store-fingerprint for --store-ca"))
            })?;
            let verifier = authority(file).map_err(|reason| StoreFlagError::new("store-ca", reason))?;
            (verifier, name)
        }
        (None, Some(fingerprint)) => {
            let verifier = Pinned::verifier(vec![Known::Certificate(fingerprint)], address.to_string(), None);
            // A fingerprint names no host: the name is only what the store is sent, if it is one.
            let nobody = std::net::IpAddr::from([0, 0, 0, 0]);
            (verifier, name.unwrap_or(ServerName::IpAddress(nobody.into())))
        }
    };
    let unusable = |reason: CertificateFileError| StoreFlagError::new("store-cert", reason.to_string());
    let files = trust.files()?;
    let identity = files.as_ref().map(CertificateFiles::read_identity).transpose().map_err(unusable)?;
    // It offers no protocol: a store knows none by name.
    let connector = Connector::new(verifier, name, &[], identity);
    let connector = connector.map_err(|error| {
        let reason = files.as_ref().map_or(error.to_string(), |files| files.mismatch(&error).to_string());
        StoreFlagError::new("store-cert", reason)
    })?;
    Ok(Transports::Tls(connector))
}

#[cfg(not(feature = "tls"))]
fn encrypted(_: &StoreAddress, _: &StoreTrust) -> Result<Transports, StoreFlagError> {
    let reason =
        "this program was built without encryption (feature tls), which rediss:// needs: write redis://";
    Err(StoreFlagError::new("store", reason))
}
