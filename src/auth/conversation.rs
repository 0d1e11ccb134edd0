//! How far one client is on the way to a session.

use super::hash_queue::JobId;
use super::{Name, PasswordHash};
use crate::Moment;
use crate::protocol::Request;

/// A client that is not yet authenticated.
#[derive(Debug)]
pub(crate) struct Unauthenticated {
    pub(crate) login: LoginState,
    /// Registrations tried in this connection, weak ones too.
    pub(crate) registrations: u32,
    /// Wrong passwords in this connection.
    pub(crate) wrong_passwords: u32,
    /// A right password was compared once more, since the record was changed meanwhile.
    pub(crate) is_judged_again: bool,
    /// When the client must be authenticated; moved on by what the server itself keeps it waiting.
    pub(crate) login_deadline: Moment,
}

/// The states of the protocol before Authenticated, one variant each with only its own data, and the one in between: an
/// answer is being worked out.
#[derive(Debug)]
pub(crate) enum LoginState {
    /// It has given no name yet.
    Identifying,
    /// A new user, who is to choose a password.
    Registering { name: Name },
    /// A known user, who is to give the password; with what was fetched for the answer to Identify.
    LoggingIn { name: Name, fetched: Option<Box<FetchedRecord>> },
    /// A password is hashed or stored, or the store fetches something; no further frame is handled meanwhile.
    Waiting(Waiting),
}

/// What a store elsewhere knew of a name.
#[derive(Debug)]
pub(crate) struct FetchedRecord {
    /// Its user's, if it has one.
    pub(crate) password: Option<PasswordHash>,
    pub(crate) is_disabled: bool,
    /// Until when it is new enough to be compared with.
    pub(crate) good_until: Moment,
}

/// What a client waits for.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// The state that it goes on in.
    then: Box<LoginState>,
    pending: PendingWork,
    since: Moment,
}

/// What works for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PendingWork {
    /// The hash queue.
    Hash(JobId),
    /// The store, which has this client's registration or another's of the same name.
    Store,
    /// The store, which fetches something from elsewhere.
    Fetch,
}

impl Unauthenticated {
    /// It has just connected.
    pub(crate) fn new(login_deadline: Moment) -> Unauthenticated {
        Unauthenticated {
            login: LoginState::Identifying,
            registrations: 0,
            wrong_passwords: 0,
            is_judged_again: false,
            login_deadline,
        }
    }

    /// The protocol's table: which kinds are allowed in which state.
    pub(crate) fn allows(&self, request: &Request<'_>) -> bool {
        match request {
            Request::Exit => true,
            Request::Identify(_) => !self.is_waiting(),
            Request::Register(_) => matches!(self.login, LoginState::Registering { .. }),
            Request::Login(_) => matches!(self.login, LoginState::LoggingIn { .. }),
            Request::Resume(_) => matches!(self.login, LoginState::Identifying),
            Request::Message { .. } | Request::Who { .. } | Request::ChangePassword { .. } => false,
        }
    }

    /// Whether the server works for the client, and handles no further frame meanwhile.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.login, LoginState::Waiting(_))
    }

    /// The server works for the client from now on, which goes on in the same state afterwards.
    pub(crate) fn begin_waiting(&mut self, pending: PendingWork, now: Moment) {
        let then = Box::new(std::mem::replace(&mut self.login, LoginState::Identifying));
        self.login = LoginState::Waiting(Waiting { then, pending, since: now });
    }

    /// The server works on something else for a client that waits already.
    pub(crate) fn go_on_waiting(&mut self, next: PendingWork) {
        if let LoginState::Waiting(Waiting { pending, .. }) = &mut self.login {
            *pending = next;
        }
    }

    /// What a client waits for, and the user that it is about to be.
    pub(crate) fn pending(&self) -> Option<(PendingWork, Option<&Name>)> {
        match &self.login {
            LoginState::Waiting(Waiting { then, pending, .. }) => Some((*pending, then.user())),
            _ => None,
        }
    }

    /// That is done; what it took is not the client's time.
    pub(crate) fn end_waiting(&mut self, now: Moment) {
        match std::mem::replace(&mut self.login, LoginState::Identifying) {
            LoginState::Waiting(waiting) => {
                self.login_deadline = self.login_deadline + now.since(waiting.since);
                self.login = *waiting.then;
            }
            other => self.login = other,
        }
    }

    /// The state's name in the protocol.
    pub(crate) fn state_name(&self) -> &'static str {
        self.login.name()
    }
}

impl LoginState {
    fn name(&self) -> &'static str {
        match self {
            LoginState::Identifying => "Identifying",
            LoginState::Registering { .. } => "Registering",
            LoginState::LoggingIn { .. } => "LoggingIn",
            LoginState::Waiting(waiting) => waiting.then.name(),
        }
    }

    /// The user that a client is about to be, in this state or after it.
    pub(crate) fn user(&self) -> Option<&Name> {
        match self {
            LoginState::Identifying => None,
            LoginState::Registering { name } | LoginState::LoggingIn { name, .. } => Some(name),
            LoginState::Waiting(waiting) => waiting.then.user(),
        }
    }
}
