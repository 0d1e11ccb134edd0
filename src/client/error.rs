//! Why a conversation with a server came to nothing.

use crate::protocol::{BadLength, Code, Malformed};
use crate::text::without_number;
use std::io;
use thiserror::Error;

/// Why the client could not do what was asked of it.
///
/// After any of them but [`Refused`](ClientError::Refused) with a code below 100 and
/// [`NotLoggedIn`](ClientError::NotLoggedIn) the connection is of no more use.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server said no. From code 100 on it also closes.
    #[error("the server refused: {explanation} ({})", named(*code))]
    Refused {
        /// The number of a [`Code`], or one that this version does not know.
        code: u16,
        /// The server's explanation. It may hold any characters: escape it before showing it on a terminal.
        explanation: String,
    },
    /// The server ended the conversation, with this reason.
    #[error("the server ended the conversation: {0}")]
    Bye(String),
    /// The server's bytes are not the protocol.
    #[error("this is no porter server: {0}")]
    Violation(String),
    /// The connection ended without a Bye.
    #[error("the server closed the connection without a goodbye")]
    Closed,
    /// A text or an Exit needs a session first: log in or resume.
    #[error("not logged in: log in or resume first")]
    NotLoggedIn,
    /// One side speaks TLS and the other does not.
    #[error("{}", match server_speaks_tls {
        true => "the server speaks TLS; use --tls",
        false => "the server does not speak TLS: leave out --tls, or use --plaintext if it may be so",
    })]
    Mismatch {
        /// Whether it is the server.
        server_speaks_tls: bool,
    },
    /// The server is not the one that is wanted, or that cannot be found out. Nothing was sent to it.
    #[error("{0}")]
    Untrusted(String),
    /// Nothing is known of the server. Nothing was sent to it.
    #[error(
        "{server} is not known yet; if {fingerprint} is its fingerprint, give --fingerprint {fingerprint}, or --accept-new"
    )]
    UnknownServer {
        /// `HOST:PORT`.
        server: String,
        /// The fingerprint of its certificate, to be compared with what the server shows.
        fingerprint: String,
        /// The fingerprint of its key, by which it can be remembered.
        key: String,
    },
    /// The network failed.
    #[error("the connection failed: {}", without_number(.0))]
    Io(#[source] io::Error),
}

impl ClientError {
    /// The error code, if it is a refusal with one that this version knows.
    pub fn code(&self) -> Option<Code> {
        match self {
            ClientError::Refused { code, .. } => Code::from_number(*code),
            _ => None,
        }
    }

    /// The seconds after which a server that is [`Busy`](Code::Busy) or has [`Throttled`](Code::Throttled) this
    /// address wants to be asked again.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        let (Some(Code::Busy | Code::Throttled), ClientError::Refused { explanation, .. }) =
            (self.code(), self)
        else {
            return None;
        };
        let digits = explanation.find(|c: char| !c.is_ascii_digit()).unwrap_or(explanation.len());
        explanation[..digits].parse().ok()
    }

    /// A reply that the protocol does not allow where another one was due.
    pub fn unexpected(got: &str, wanted: &str) -> ClientError {
        ClientError::Violation(format!("{got} where {wanted} was due"))
    }
}

/// A code's number, behind its name if this version knows it.
fn named(code: u16) -> String {
    Code::from_number(code).map_or(String::new(), |known| format!("{known}, ")) + &format!("code {code}")
}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> ClientError {
        if let Some(length) = error.get_ref().and_then(|inner| inner.downcast_ref::<BadLength>()) {
            return ClientError::from(*length);
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof => ClientError::Closed,
            io::ErrorKind::InvalidData => ClientError::Violation(error.to_string()),
            // So the system says that a blocking call has met its timeout.
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut if error.get_ref().is_none() => {
                ClientError::Io(io::Error::new(io::ErrorKind::TimedOut, "timed out"))
            }
            _ => ClientError::Io(error),
        }
    }
}

impl From<Malformed> for ClientError {
    fn from(error: Malformed) -> ClientError {
        ClientError::Violation(error.to_string())
    }
}

impl From<BadLength> for ClientError {
    fn from(error: BadLength) -> ClientError {
        match error {
            // Not a length: the first bytes of an alert, by which a TLS server says that it did not understand.
            BadLength::TooLarge { announced_bytes, .. } if announced_bytes >> 16 == 0x1503 => {
                ClientError::Mismatch { server_speaks_tls: true }
            }
            _ => ClientError::Violation(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_that_was_too_long_is_called_so() {
        for error in [io::ErrorKind::WouldBlock.into(), io::Error::from_raw_os_error(110)] {
            assert_eq!(ClientError::from(error).to_string(), "the connection failed: timed out");
        }
    }

    #[test]
    fn the_seconds_to_wait_are_read_from_busy_and_throttled_only() {
        let told = |code, explanation: &str| {
            ClientError::Refused { code, explanation: explanation.into() }.retry_after_seconds()
        };
        assert_eq!(told(106, "7 seconds: the server is full"), Some(7));
        assert_eq!(told(105, "12"), Some(12));
        assert_eq!(told(106, "soon"), None);
        assert_eq!(told(106, "99999999999999999999999 s"), None);
        assert_eq!(told(104, "7 seconds"), None);
    }
}
