//! Why a server does not start, or cannot go on.

#[cfg(feature = "tls")]
use super::CertificateFileError;
use crate::engine::{ConfigError, EntropyError};
use crate::store::OpenError;
use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use thiserror::Error;

/// Why a server does not start, or cannot go on. One line, with the way out where there is one.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The data directory or a file in it cannot be used.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// A setting is out of its bounds.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The certificate cannot be read or made.
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Certificate(#[from] CertificateFileError),
    /// Nothing can listen there.
    #[error("{}", not_listening(address, *choice, error))]
    Listen {
        /// The last address that was tried.
        address: SocketAddr,
        /// How it was chosen.
        choice: PortChoice,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// A socket that it was given cannot be used.
    #[error("file descriptor {fd} cannot be used: {error}; pass a TCP socket that listens")]
    Socket {
        /// Its file descriptor.
        fd: RawFd,
        /// What is wrong with it.
        #[source]
        error: io::Error,
    },
    /// The random source gives nothing.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The system does not let the server wait for events.
    #[error("cannot wait for events: {0}; the system is short of something")]
    Events(#[source] io::Error),
    /// There is no thread for it.
    #[error("cannot run the server on a thread of its own: {0}; see `ulimit -u`")]
    Thread(#[source] io::Error),
}

/// How the address was chosen that is listened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortChoice {
    /// It is this port.
    This,
    /// Ports before it were tried too, and are in use.
    OrNext,
    /// It is one of several that are listed.
    Listed,
    /// Figures are told there.
    Metrics,
}

/// Why nothing can listen at an address, and what to choose for it.
fn not_listening(address: &SocketAddr, choice: PortChoice, error: &io::Error) -> String {
    let is_in_use = error.kind() == io::ErrorKind::AddrInUse;
    let found = match (is_in_use, choice) {
        (true, PortChoice::OrNext) => format!("every port up to {address} is in use"),
        (true, _) => format!("{address} is in use"),
        (false, _) => format!("cannot listen on {address}: {error}"),
    };
    let way_out = match (is_in_use, choice) {
        (_, PortChoice::Listed) => "choose another address for --listen",
        (_, PortChoice::Metrics) => "choose another address for --metrics",
        (true, PortChoice::This) => "choose another --port, or leave out --strict-port",
        (true, PortChoice::OrNext) => "choose another --port",
        (false, _) => "choose another --host or --port",
    };
    format!("{found}; {way_out}")
}
