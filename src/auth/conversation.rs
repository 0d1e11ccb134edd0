//! How far one visitor has come on the way to being somebody who may speak.

use super::Name;
use super::hash_queue::JobId;
use crate::Moment;
use crate::protocol::Request;

/// Somebody who is not yet authenticated.
#[derive(Debug)]
pub(crate) struct Unauthenticated {
    pub(crate) login: LoginState,
    /// Registrations tried in this connection, weak ones too.
    pub(crate) registrations: u32,
    /// Wrong passwords in this connection.
    pub(crate) wrong_passwords: u32,
    /// When the visitor must be authenticated; moved on by what the server itself keeps them waiting.
    pub(crate) login_deadline: Moment,
}

/// The states of the protocol before Authenticated, one variant each with only its own data, and the one in between: a
/// password is being seen to.
#[derive(Debug)]
pub(crate) enum LoginState {
    /// Nobody knows yet who this is.
    Identifying,
    /// A new user, who is to choose a password.
    Registering { name: Name },
    /// A known user, who is to give the password.
    LoggingIn { name: Name },
    /// The server sees to a password; no further frame is handled meanwhile.
    Waiting(Waiting),
}

/// What a visitor waits for.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) name: Name,
    pub(crate) pending: PendingWork,
    pub(crate) since: Moment,
}

/// Who sees to the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PendingWork {
    /// The hash queue.
    Hash(JobId),
    /// The store, which has this visitor's registration or somebody else's of the same name.
    Store,
}

impl Unauthenticated {
    /// Somebody has just come in.
    pub(crate) fn new(login_deadline: Moment) -> Unauthenticated {
        Unauthenticated {
            login: LoginState::Identifying,
            registrations: 0,
            wrong_passwords: 0,
            login_deadline,
        }
    }

    /// The protocol's table: which kinds are allowed in which state.
    pub(crate) fn allows(&self, request: &Request<'_>) -> bool {
        match request {
            Request::Exit => true,
            Request::Identify(_) => !matches!(self.login, LoginState::Waiting(_)),
            Request::Register(_) => matches!(self.login, LoginState::Registering { .. }),
            Request::Login(_) => matches!(self.login, LoginState::LoggingIn { .. }),
            Request::Resume(_) => matches!(self.login, LoginState::Identifying),
            Request::Message { .. } | Request::Who { .. } | Request::ChangePassword { .. } => false,
        }
    }

    /// The server sees to a password from now on.
    pub(crate) fn begin_waiting(&mut self, name: Name, pending: PendingWork, now: Moment) {
        self.login = LoginState::Waiting(Waiting { name, pending, since: now });
    }

    /// The server has seen to it; what it took is not the visitor's time. The visitor is left logging in.
    pub(crate) fn end_waiting(&mut self, now: Moment) {
        if let LoginState::Waiting(waiting) = &self.login {
            self.login_deadline = self.login_deadline + now.since(waiting.since);
            self.login = LoginState::LoggingIn { name: waiting.name.clone() };
        }
    }

    /// The state's name in the protocol.
    pub(crate) fn state_name(&self) -> &'static str {
        match self.login {
            LoginState::Identifying => "Identifying",
            LoginState::Registering { .. } => "Registering",
            LoginState::LoggingIn { .. } | LoginState::Waiting(_) => "LoggingIn",
        }
    }
}
