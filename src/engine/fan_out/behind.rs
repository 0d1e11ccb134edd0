//! What comes behind texts for many: their authors' refusals, ends, and what they write in another connection.

use super::Author;
use crate::auth::{Session, SessionId};
use crate::engine::ConnId;
use crate::engine::close_reason::CloseReason;
use crate::engine::registry::Registry;
use crate::protocol::Code;

/// What its author is answered, or comes to, behind what it wrote.
#[derive(Debug)]
pub(super) enum Then {
    Refusal {
        author: Author,
        to: ConnId,
        code: Code,
        explanation: String,
    },
    /// The session is over already.
    End {
        author: Author,
        conn: ConnId,
        reason: String,
    },
    /// The author has resumed its session.
    Resumed {
        author: Author,
    },
}

impl Then {
    pub(super) fn text_bytes(&self) -> usize {
        match self {
            Then::Refusal { explanation: text, .. } | Then::End { reason: text, .. } => text.len(),
            Then::Resumed { .. } => 0,
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

    /// Ends a session, and queues the Bye to its connection behind what was posted before.
    pub(in crate::engine) fn post_end(&mut self, author: Author, session: SessionId, reason: &str) {
        let carried = self.sessions.session(session);
        let carried =
            carried.and_then(|session| session.connection().map(|conn| (conn, session.name().clone())));
        // At once: resumed meanwhile it would go on.
        self.end_session(session);
        let Some((conn, name)) = carried else { return };
        self.fan_out.leaving.push((conn, name));
        // What it has sent and was not handled yet comes to nothing.
        if let Some(connection) = self.connections.get_mut(conn) {
            connection.stop_handling();
        }
        let author = self.note_post(author);
        self.post_then(Then::End { author, conn, reason: reason.to_owned() });
    }

    /// Has what a session writes in the connection in which it was resumed come behind what it may have written before.
    pub(in crate::engine) fn post_resumed(&mut self, conn: ConnId) {
        if !self.fan_out.is_empty() {
            let author = self.note_post(Some(conn));
            self.post_then(Then::Resumed { author });
        }
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
            Then::End { author, conn, reason } => {
                self.fan_out.leaving.retain(|(leaving, _)| *leaving != conn);
                self.bye(conn, &reason, CloseReason::Handler);
                author
            }
            Then::Resumed { author } => author,
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
