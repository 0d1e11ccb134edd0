//! What comes behind texts for many: their authors' refusals, and ends.

use super::Author;
use crate::auth::{Session, SessionId};
use crate::engine::ConnId;
use crate::engine::close_reason::CloseReason;
use crate::engine::registry::Registry;
use crate::protocol::Code;

/// What its author is answered, or comes to, behind what it wrote.
#[derive(Debug)]
pub(super) enum Then {
    Refusal { author: Author, to: ConnId, code: Code, explanation: String },
    End { author: Author, session: SessionId, reason: String },
}

impl Then {
    pub(super) fn text_bytes(&self) -> usize {
        match self {
            Then::Refusal { explanation: text, .. } | Then::End { reason: text, .. } => text.len(),
        }
    }
}

impl Registry {
    /// Queues a refusal behind what its author wrote before.
    pub(in crate::engine) fn post_refusal(
        &mut self,
        author: Author,
        to: ConnId,
        code: Code,
        explanation: &str,
    ) {
        let author = self.note_post(author);
        self.post_then(Then::Refusal { author, to, code, explanation: explanation.to_owned() });
    }

    /// Queues the end of a session behind what was posted before.
    pub(in crate::engine) fn post_end(&mut self, author: Author, session: SessionId, reason: &str) {
        let author = self.note_post(author);
        // What it has sent and was not handled yet comes to nothing.
        let connection = self.sessions.session(session).and_then(Session::connection);
        if let Some(connection) = connection.and_then(|conn| self.connections.get_mut(conn)) {
            connection.stop_handling();
        }
        self.post_then(Then::End { author, session, reason: reason.to_owned() });
    }

    /// What waits for texts for all does not keep others from being gathered with them that their authors do not read: only
    /// they could tell.
    fn post_then(&mut self, then: Then) {
        let Some(texts) = self.fan_out.jobs.back_mut() else { return self.do_then(then) };
        let bytes = size_of::<Then>() + then.text_bytes();
        texts.then.push_back(then);
        texts.beside_bytes += bytes;
        self.fan_out.queued_bytes += bytes;
    }

    pub(super) fn do_then(&mut self, then: Then) {
        let author = match then {
            Then::Refusal { author, to, code, explanation } => {
                self.refuse(to, code, &explanation);
                author
            }
            Then::End { author, session, reason } => {
                self.end_by_handler(session, &reason);
                author
            }
        };
        self.handed_out(author);
    }

    /// Ends a session because a handler wants it.
    pub(in crate::engine) fn end_by_handler(&mut self, session: SessionId, reason: &str) {
        match self.sessions.session(session).and_then(Session::connection) {
            Some(conn) => self.bye(conn, reason, CloseReason::Handler),
            None => self.end_session(session),
        }
    }
}
