//! Which server carries which session, where several share their users.
//!
//! The server that carries a session's connection, or lost it last, decides about it; what others know of it stands in the
//! directory, which it keeps up to date.

use super::Ticket;
use crate::auth::{Name, PasswordHash, SessionId};
use crate::limits::TOKEN_BYTES;
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
    /// As this server knows it, if it does.
    pub here: Option<SessionId>,
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

/// What happened elsewhere to a session of this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// It goes on at another server.
    Moved(SessionId),
    /// It was ended.
    Ended(SessionId, EndReason),
}

/// What a server asks of, and tells, the others. Answers to what has a ticket are [fetched](super::Store::poll_fetched).
pub trait Directory {
    /// Enters a session that a login is about to open, if the record is still the one that was verified.
    fn open(&mut self, ticket: Ticket, name: &Name, verified: &PasswordHash, token: &[u8; TOKEN_BYTES]);

    /// Looks for the session that this token is good for a Resume of, and gives it the new one.
    fn resume(&mut self, ticket: Ticket, presented: &[u8; TOKEN_BYTES], token: &[u8; TOKEN_BYTES]);

    /// Ends what others have of a name's sessions; the answer is how many.
    fn end_all(&mut self, ticket: Ticket, name: &Name, why: EndReason);

    /// An entry that was opened or resumed is this session; without one there is nobody there any more.
    fn carry(&mut self, entry: EntryId, session: Option<SessionId>);

    /// A session was resumed here while nobody could be asked.
    fn resumed_here(&mut self, session: SessionId, presented: &[u8; TOKEN_BYTES], token: &[u8; TOKEN_BYTES]);

    /// A session's token was used: the one before it is dead.
    fn confirm(&mut self, session: SessionId);

    /// A session's connection is lost, and it may be resumed for so long.
    fn lose(&mut self, session: SessionId, window: Duration);

    /// A session has ended.
    fn end(&mut self, session: SessionId);

    /// Something that happened since the last call.
    fn poll_news(&mut self) -> Option<News>;
}
