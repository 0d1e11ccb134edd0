//! What a handler may do, done.

use super::connection::Why;
use super::fan_out::Author;
use super::lobby::Lobby;
use crate::auth::{Name, Session, SessionId};
use crate::handler::Post;
use crate::protocol::Code;
use crate::slots::Key;
use crate::text::escaped;
use std::net::SocketAddr;
use std::time::Duration;

/// Sessions of one name that are written to at once; more are a crowd.
const FEW: usize = 32;

/// Carries a handler's texts to connections and console.
pub(super) struct Courier<'a> {
    pub(super) lobby: &'a mut Lobby,
    /// On whose behalf.
    pub(super) author: Author,
}

impl Courier<'_> {
    fn connection(&self, session: SessionId) -> Option<Key> {
        self.lobby.sessions.session(session)?.connection()
    }
}

impl Post for Courier<'_> {
    fn send(&mut self, to: SessionId, sender: Option<&Name>, text: &str) -> bool {
        let Some(conn) = self.connection(to) else { return false };
        if self.lobby.has_posts(self.author) {
            self.lobby.post_to_one(self.author, conn, sender, text);
            return true;
        }
        self.lobby.send_message(conn, sender, text)
    }

    fn is_here(&self, name: &Name) -> bool {
        self.lobby.sessions.has_any(name)
    }

    fn send_to_name(&mut self, to: &Name, sender: Option<&Name>, text: &str) -> usize {
        let sessions = &self.lobby.sessions;
        let connection = |session| sessions.session(session).and_then(Session::connection);
        // Delivering may end a session (a slow consumer's), so the list is made first.
        let recipients: Vec<Key> = sessions.of(to).filter_map(connection).take(FEW + 1).collect();
        if !recipients.is_empty() && (recipients.len() > FEW || self.lobby.has_posts(self.author)) {
            self.lobby.post_to_name(self.author, to, sender, text);
            return recipients.len();
        }
        recipients.iter().filter(|conn| self.lobby.send_message(**conn, sender, text)).count()
    }

    fn send_to_others(&mut self, but: Option<SessionId>, sender: Option<&Name>, text: &str) {
        self.lobby.post_to_others(self.author, but, sender, text);
    }

    fn refuse(&mut self, to: SessionId, code: Code, explanation: &str) {
        let Some(conn) = self.connection(to) else { return };
        if self.lobby.has_posts(self.author) {
            self.lobby.post_refusal(self.author, conn, code, explanation);
        } else {
            self.lobby.refuse(conn, code, explanation);
        }
    }

    fn peer(&self, of: SessionId) -> Option<SocketAddr> {
        let connection = self.lobby.connections.get(self.connection(of)?)?;
        Some(connection.peer.into())
    }

    fn end(&mut self, session: SessionId, reason: &str) {
        match self.connection(session) {
            Some(conn) => self.lobby.bye(conn, reason, Why::Handler),
            None => self.lobby.end_session(session),
        }
    }

    fn set_timer(&mut self, after: Duration) {
        self.lobby.handler_timer = Some(self.lobby.now + after);
    }

    fn show(&mut self, sender: &Name, text: &str) {
        self.lobby.console.push(format!("{sender}: {}", escaped(text)));
    }

    fn notice(&mut self, text: &str) {
        self.lobby.console.push(text.to_owned());
    }
}
