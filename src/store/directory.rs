//! Which server carries which session, where several share their users.
//!
//! The server that carries a session's connection, or lost it last, decides about it; what others know of it stands in the
//! directory, which it keeps up to date.

use super::Ticket;
use crate::auth::{Name, Origin, PasswordHash, SessionId};
use crate::limits::TOKEN_BYTES;
use std::net::SocketAddr;
use std::time::Duration;

/// Names a session at all servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub [u8; 16]);

/// A session that goes on at this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// Which.
    pub entry: EntryId,
    /// Whose.
    pub name: Name,
}

/// A session of another server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteSession {
    /// Whose.
    pub name: Name,
    /// Where its client is; none while its connection is lost.
    pub peer: Option<SocketAddr>,
    /// How long it waits, if it is lost.
    pub resumable: Duration,
}

/// Why sessions end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// By the operator.
    Kicked,
    /// The account was disabled.
    Disabled,
    /// The account was removed.
    Removed,
    /// The password was changed.
    PasswordChanged,
}

/// What a user's record was to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Became<'a> {
    /// One with this password.
    Password(&'a PasswordHash),
    /// That of somebody who is not let in.
    Disabled,
    /// None.
    Removed,
}

/// What happened elsewhere, or at any of the servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A session of this server goes on at another.
    Moved(SessionId),
    /// A session of this server was ended.
    Ended(SessionId, EndReason),
    /// A name has its first session.
    Joined(Name),
    /// A name has no session any more.
    Left(Name),
    /// A name is online.
    Here(Name),
    /// A name is not online any more.
    Gone(Name),
    /// An origin owes nothing any more.
    Forgiven(Origin),
    /// These names have sessions, and those of them that are online: what was known before may not be so.
    Present {
        /// With sessions.
        names: Vec<Name>,
        /// With a connection.
        online: Vec<Name>,
    },
    /// What is known of others will not be kept up to date for a while.
    Cut,
    /// Somebody at another server says something to all, or the server there does.
    Said {
        /// Who, if not the server.
        sender: Option<Name>,
        /// What.
        text: String,
    },
    /// The same to one name.
    SaidTo {
        /// Whom.
        to: Name,
        /// Who, if not the server.
        sender: Option<Name>,
        /// What.
        text: String,
    },
}

/// What a server asks of, and tells, the others. Answers to what has a ticket are [fetched](super::Store::poll_fetched).
pub trait Directory {
    /// Enters a session that a login is about to open, if the record is still the one that was verified.
    fn open(
        &mut self,
        ticket: Ticket,
        name: &Name,
        verified: &PasswordHash,
        token: &[u8; TOKEN_BYTES],
        peer: SocketAddr,
    );

    /// Looks for the session that this token is good for a Resume of, and gives it the new one. `here` is the session of this
    /// server that it is the token of, if there is one.
    fn resume(
        &mut self,
        ticket: Ticket,
        presented: &[u8; TOKEN_BYTES],
        token: &[u8; TOKEN_BYTES],
        peer: SocketAddr,
        here: Option<SessionId>,
    );

    /// Ends what others have of a name's sessions; the answer is how many.
    fn end_all(&mut self, ticket: Ticket, name: &Name, why: EndReason);

    /// Ends all sessions of a name, those of this server too, if its user's record became this: whether it did was not
    /// answered.
    fn end_if(&mut self, name: &Name, became: Became<'_>, why: EndReason);

    /// Lists the sessions of all other servers.
    fn list(&mut self, ticket: Ticket);

    /// Asks what everybody owes; [news](super::Store::poll_debt) of it come before the answer.
    fn list_debts(&mut self, ticket: Ticket);

    /// The session of this server that an entry is.
    fn carried(&self, entry: EntryId) -> Option<SessionId>;

    /// An entry that was opened or resumed is this session; without one there is nobody there any more.
    fn carry(&mut self, entry: EntryId, session: Option<SessionId>);

    /// A session was resumed here while nobody could be asked.
    fn resumed_here(
        &mut self,
        session: SessionId,
        presented: &[u8; TOKEN_BYTES],
        token: &[u8; TOKEN_BYTES],
        peer: SocketAddr,
    );

    /// A session's token was used: the one before it is dead.
    fn confirm(&mut self, session: SessionId);

    /// A session's connection is lost, and it may be resumed for so long.
    fn lose(&mut self, session: SessionId, window: Duration);

    /// A session has ended.
    fn end(&mut self, session: SessionId);

    /// Says something to all at the other servers, or to one name there.
    fn say(&mut self, to: Option<&Name>, sender: Option<&Name>, text: &str);

    /// Something that happened since the last call; nothing from a text on, unless those can be taken.
    fn poll_news(&mut self, takes_texts: bool) -> Option<News>;
}
