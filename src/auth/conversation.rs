//! How far one visitor has come.

use super::hash_queue::JobId;
use super::{Name, SessionId};
use crate::Moment;
use crate::protocol::Request;

/// The states of `protocol`, one variant each with only its own data, and the one in between: a password is being
/// seen to.
#[derive(Debug)]
pub(crate) enum State {
    /// Nobody knows yet who this is.
    Identifying,
    /// A new user, who is to choose a password.
    Registering { name: Name },
    /// A known user, who is to give the password.
    LoggingIn { name: Name },
    /// The server sees to a password; no further frame is handled meanwhile.
    Waiting(Box<Waiting>),
    /// Somebody who may speak.
    Authenticated { session: SessionId },
}

/// What a visitor waits for.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) name: Name,
    pub(crate) errand: Errand,
    /// Since when; the login timeout does not run meanwhile.
    pub(crate) since: Moment,
}

/// Who sees to the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Errand {
    /// The hash queue.
    Hash(JobId),
    /// The store, which has this visitor's registration.
    Registration,
    /// The store, which has somebody else's registration of this name.
    OthersRegistration,
}

impl State {
    /// The protocol's table: which kinds are allowed in which state.
    pub(crate) fn allows(&self, request: &Request<'_>) -> bool {
        match request {
            Request::Exit => true,
            Request::Identify(_) => {
                matches!(self, State::Identifying | State::Registering { .. } | State::LoggingIn { .. })
            }
            Request::Register(_) => matches!(self, State::Registering { .. }),
            Request::Login(_) => matches!(self, State::LoggingIn { .. }),
            Request::Resume(_) => matches!(self, State::Identifying),
            Request::Message { .. } => matches!(self, State::Authenticated { .. }),
        }
    }

    /// The state's name, for explanations and the log.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            State::Identifying => "Identifying",
            State::Registering { .. } => "Registering",
            State::LoggingIn { .. } => "LoggingIn",
            State::Waiting(_) => "Waiting",
            State::Authenticated { .. } => "Authenticated",
        }
    }
}
