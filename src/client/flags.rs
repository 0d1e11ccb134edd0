//! The flags about encryption that the client and the load tester share.

use super::protection::Protection;
#[cfg(feature = "tls")]
use super::tls::Trust;
#[cfg(not(feature = "tls"))]
use super::unencrypted::Trust;
use clap::Args;
#[cfg(feature = "tls")]
use std::path::PathBuf;

/// The servers that were trusted before, in the person's configuration directory.
#[cfg(feature = "tls")]
const KNOWN_SERVERS: &str = "porter/known_servers";

/// Whether to encrypt, and whom to trust.
#[derive(Args, Clone, Debug)]
pub struct ProtectionFlags {
    /// Encrypt on a loopback address too; any other is encrypted always
    #[cfg(feature = "tls")]
    #[arg(long, conflicts_with = "plaintext")]
    tls: bool,
    /// Do not encrypt, whatever the address
    #[arg(long)]
    plaintext: bool,
    /// Encrypt, and trust a certificate for the host's name from an authority in this file (PEM)
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["plaintext", "fingerprint", "accept_new"])]
    tls_ca: Option<PathBuf>,
    /// Encrypt, and trust the certificate with this fingerprint only
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "SHA256:...", conflicts_with_all = ["plaintext", "accept_new"])]
    fingerprint: Option<crate::tls::Fingerprint>,
    /// Trust a server that is met for the first time, and remember it
    #[cfg(feature = "tls")]
    #[arg(long, conflicts_with = "plaintext")]
    accept_new: bool,
}

impl ProtectionFlags {
    /// What these flags ask for.
    #[cfg(feature = "tls")]
    pub fn protection(self) -> Protection {
        let ProtectionFlags { tls, plaintext, tls_ca, fingerprint, accept_new } = self;
        match (tls_ca, fingerprint) {
            _ if plaintext => Protection::Plaintext,
            (Some(file), _) => Protection::Tls(Trust::Authority(file)),
            (None, Some(fingerprint)) => Protection::Tls(Trust::Fingerprint(fingerprint)),
            (None, None) => {
                let file = crate::cli::configuration_directory().map(|folder| folder.join(KNOWN_SERVERS));
                let trust = Trust::Known { file, accept_new };
                if tls { Protection::Tls(trust) } else { Protection::TlsBeyondLoopback(trust) }
            }
        }
    }

    /// What these flags ask for.
    #[cfg(not(feature = "tls"))]
    pub fn protection(self) -> Protection {
        if self.plaintext { Protection::Plaintext } else { Protection::TlsBeyondLoopback(Trust) }
    }
}
