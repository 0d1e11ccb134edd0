//! What the server says within a session, and what can go wrong while it is heard.
//!
//! This module must not know connections.

use super::terminal::{notice, show};
use crate::cli::Failure;
use crate::client::ClientError;
use crate::protocol::{Code, Reply};
use std::io;

/// What goes wrong, or to its end, while replies are handled.
pub(super) enum Trouble {
    Server(ClientError),
    Output(io::Error),
    Person(Failure),
}

/// Shows what the server says within a session.
pub(super) fn hear(reply: Reply<'_>) -> Result<(), Trouble> {
    match reply {
        Reply::Message { sender, text } => {
            notice(format_args!("received {} bytes", text.len()));
            show(sender, text).map_err(Trouble::Output)
        }
        Reply::Bye(reason) => Err(Trouble::Server(ClientError::Bye(reason.to_owned()))),
        Reply::Error { code, explanation } => {
            let refused = ClientError::Refused { code, explanation: explanation.to_owned() };
            if code >= Code::Malformed.number() {
                return Err(Trouble::Server(refused));
            }
            notice(refused);
            Ok(())
        }
        other => Err(Trouble::Server(ClientError::unexpected(other.name(), "Message"))),
    }
}

/// The reason, with the way out where the client knows one.
pub(super) fn with_advice(error: &ClientError) -> String {
    match error.retry_after_seconds() {
        Some(seconds) => format!("{error}; try again in {seconds} s"),
        None => error.to_string(),
    }
}

impl From<ClientError> for Trouble {
    fn from(error: ClientError) -> Trouble {
        Trouble::Server(error)
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        Trouble::Person(failure)
    }
}
