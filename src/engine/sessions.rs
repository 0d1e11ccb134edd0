//! Sessions, begun: by a password that was right, or by the token of one whose connection was lost.

use super::close_reason::CloseReason;
use super::connection::ConnectionState;
use super::registry::Change;
use super::{ConnId, Engine};
use crate::auth::{Name, SessionId, Token};
use crate::limits::TOKEN_BYTES;
use crate::protocol::{Code, Reply};
use crate::store::Store;
use zeroize::Zeroizing;

impl<S: Store> Engine<S> {
    /// Opens a session for whoever has proved to be this user; false if that cannot be done.
    pub(super) fn authenticate(&mut self, id: ConnId, name: Name) -> bool {
        let Some(token) = self.draw_token(id) else { return false };
        let Some(peer) = self.registry.connections.get(id).map(|connection| connection.peer) else {
            return false;
        };
        let welcome = Zeroizing::new(*token.expose());
        let first = !self.registry.sessions.has_any(&name);
        let session = self.registry.sessions.open(name.clone(), token, id);
        self.begin_session(id, session);
        self.registry.totals.logins += 1;
        self.registry.log_login("logged in", id, &name);
        self.store.note_visitor(peer.ip(), &name);
        self.registry.send(id, &Reply::Welcome { token: &welcome, greeting: &format!("Hello, {name}") });
        if first {
            self.registry.changes.push_back(Change::Joined { session, name });
        }
        true
    }

    fn begin_session(&mut self, id: ConnId, session: SessionId) {
        let last_frame = self.registry.now;
        let admitted = self.registry.fan_out.admit();
        self.registry.note_stranger(id, None);
        if let Some(connection) = self.registry.connections.get_mut(id) {
            let wrong_passwords = match &connection.state {
                ConnectionState::Unauthenticated(unauthenticated) => unauthenticated.wrong_passwords,
                _ => 0,
            };
            let (is_paused, is_waiting, posts) = (false, false, 0);
            connection.state = ConnectionState::Authenticated {
                session,
                last_frame,
                is_paused,
                is_waiting,
                wrong_passwords,
                admitted,
                posts,
            };
        }
        self.registry.pause_if_full(id, session);
        self.registry.arm(id);
    }

    fn draw_token(&mut self, id: ConnId) -> Option<Token> {
        loop {
            let mut bytes = Zeroizing::new([0; TOKEN_BYTES]);
            if !self.random(id, &mut *bytes) {
                return None;
            }
            let token = Token::new(*bytes);
            if !self.registry.sessions.is_taken(&token) {
                return Some(token);
            }
        }
    }

    pub(super) fn resume(&mut self, id: ConnId, presented: &[u8; TOKEN_BYTES]) {
        let Some(session) = self.registry.sessions.resumable(presented) else {
            return self.registry.refuse(
                id,
                Code::NoSuchSession,
                "no session has this token, or not any more",
            );
        };
        let Some(token) = self.draw_token(id) else { return };
        let welcome = Zeroizing::new(*token.expose());
        let before = self.registry.sessions.resume(session, presented, token, id);
        self.registry.totals.sessions_resumed += u64::from(before.is_none());
        if let Some(before) = before {
            self.registry.bye(before, "the session goes on in another connection", CloseReason::TakenOver);
        }
        let Some(name) = self.registry.sessions.session(session).map(|session| session.name().clone()) else {
            return;
        };
        self.begin_session(id, session);
        self.registry.totals.resumed += 1;
        self.registry.log_login("resumed", id, &name);
        self.registry
            .send(id, &Reply::Welcome { token: &welcome, greeting: &format!("Hello again, {name}") });
    }
}
