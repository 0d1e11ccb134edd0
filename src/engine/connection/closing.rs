//! How a connection ends: flushed, then discarded, then closed; or closed at once.

use super::{Connection, ConnectionState, Input};
use crate::Moment;
use crate::auth::conversation::PendingWork;
use crate::auth::hash_queue::JobId;
use crate::auth::{Name, SessionId};
use crate::engine::SocketCommand;
use crate::engine::close_reason::CloseReason;
use crate::limits::{CLOSE_DISCARD, CLOSE_FLUSH};

/// What a connection leaves behind that is not served any more.
#[derive(Debug, PartialEq)]
pub(in crate::engine) enum Left {
    Nothing,
    /// A hash that it waited for.
    Hash(JobId),
    /// A login that waited for the registration of its name to be stored.
    EarlyLogin(Name),
    /// A session, and perhaps the change of its user's password that it waited for.
    Session {
        session: SessionId,
        was_waiting: bool,
    },
}

impl Connection {
    /// Nothing more of it is handled, and what waits is written; what that leaves behind. `None`: it is closing already.
    pub(in crate::engine) fn close(&mut self, why: CloseReason, now: Moment) -> Option<Left> {
        if self.is_closing() {
            return None;
        }
        let left = self.leaves();
        self.inbox.clear();
        self.state = ConnectionState::Flushing { until: now + CLOSE_FLUSH, why };
        Some(left)
    }

    /// Shuts its sending side, written or not, and gives the peer a moment to close; if the peer has, it is over. What is to
    /// be done with its socket, if it was about to be shut.
    pub(in crate::engine) fn shut(&mut self, now: Moment) -> Option<SocketCommand> {
        let ConnectionState::Flushing { why, .. } = self.state else { return None };
        if self.input == Input::Ended {
            self.state = ConnectionState::Closed { why };
            return Some(SocketCommand::Close);
        }
        self.state = ConnectionState::Discarding { until: now + CLOSE_DISCARD, why };
        Some(SocketCommand::ShutDown)
    }

    /// The moment that the peer was given is over, or it has closed. False if it was not given one.
    pub(in crate::engine) fn finish(&mut self) -> bool {
        let ConnectionState::Discarding { why, .. } = self.state else { return false };
        self.state = ConnectionState::Closed { why };
        true
    }

    /// It is over, without a word; what that leaves behind. `None`: it is over already.
    pub(in crate::engine) fn close_at_once(&mut self, why: CloseReason) -> Option<Left> {
        let why = match self.state {
            ConnectionState::Closed { .. } => return None,
            // What decided its end stands, whatever became of the final reply.
            ConnectionState::Flushing { why, .. } | ConnectionState::Discarding { why, .. } => why,
            _ => why,
        };
        let left = self.leaves();
        self.inbox.clear();
        self.state = ConnectionState::Closed { why };
        Some(left)
    }

    fn leaves(&self) -> Left {
        match &self.state {
            ConnectionState::Unauthenticated(unauthenticated) => match unauthenticated.pending() {
                Some((PendingWork::Hash(job), _)) => Left::Hash(job),
                Some((PendingWork::Store, Some(name))) => Left::EarlyLogin(name.clone()),
                // Its answer is dropped when it comes.
                _ => Left::Nothing,
            },
            &ConnectionState::Authenticated { session, is_waiting, .. } => {
                Left::Session { session, was_waiting: is_waiting }
            }
            _ => Left::Nothing,
        }
    }

    /// Why it was closed, when it is over.
    pub(in crate::engine) fn close_reason(&self) -> Option<CloseReason> {
        match self.state {
            ConnectionState::Closed { why } => Some(why),
            _ => None,
        }
    }
}
