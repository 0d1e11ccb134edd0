//! Why a server does not start, or cannot go on.

use crate::engine::EntropyError;
use crate::store::OpenError;
use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;

/// Why a server does not start, or cannot go on. One line, with the way out where there is one.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServerError {
    /// The data directory or a file in it cannot be used.
    Store(OpenError),
    /// A setting is out of its bounds, for this reason.
    Config(String),
    /// The certificate cannot be read or made, for this reason.
    Certificate(String),
    /// Nothing can listen there.
    Listen {
        /// The last address that was tried.
        address: SocketAddr,
        /// How it was chosen.
        choice: PortChoice,
        /// What the system said.
        error: io::Error,
    },
    /// A socket that it was given cannot be used.
    Socket {
        /// Its file descriptor.
        fd: RawFd,
        /// What is wrong with it.
        error: io::Error,
    },
    /// The random source gives nothing.
    Entropy(EntropyError),
    /// The system does not let the server wait for events.
    Events(io::Error),
    /// There is no thread for it.
    Thread(io::Error),
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

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerError::Store(error) => error.fmt(f),
            ServerError::Config(reason) | ServerError::Certificate(reason) => f.write_str(reason),
            ServerError::Listen { address, choice, error } => match (error.kind(), choice) {
                (io::ErrorKind::AddrInUse, PortChoice::This) => {
                    write!(f, "{address} is in use; choose another --port, or leave out --strict-port")
                }
                (io::ErrorKind::AddrInUse, PortChoice::OrNext) => {
                    write!(f, "every port up to {address} is in use; choose another --port")
                }
                (kind, PortChoice::Listed | PortChoice::Metrics) => {
                    let flag = if *choice == PortChoice::Listed { "--listen" } else { "--metrics" };
                    match kind {
                        io::ErrorKind::AddrInUse => write!(f, "{address} is in use")?,
                        _ => write!(f, "cannot listen on {address}: {error}")?,
                    }
                    write!(f, "; choose another address for {flag}")
                }
                _ => write!(f, "cannot listen on {address}: {error}; choose another --host or --port"),
            },
            ServerError::Socket { fd, error } => {
                write!(f, "file descriptor {fd} cannot be used: {error}; pass a TCP socket that listens")
            }
            ServerError::Entropy(error) => error.fmt(f),
            ServerError::Events(error) => {
                write!(f, "cannot wait for events: {error}; the system is short of something")
            }
            ServerError::Thread(error) => {
                write!(f, "cannot run the server on a thread of its own: {error}; see `ulimit -u`")
            }
        }
    }
}

impl Error for ServerError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            ServerError::Store(error) => Some(error),
            ServerError::Entropy(error) => Some(error),
            ServerError::Listen { error, .. }
            | ServerError::Socket { error, .. }
            | ServerError::Events(error)
            | ServerError::Thread(error) => Some(error),
            ServerError::Config(_) | ServerError::Certificate(_) => None,
        }
    }
}

impl From<OpenError> for ServerError {
    fn from(error: OpenError) -> ServerError {
        ServerError::Store(error)
    }
}

impl From<EntropyError> for ServerError {
    fn from(error: EntropyError) -> ServerError {
        ServerError::Entropy(error)
    }
}
