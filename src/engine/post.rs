//! What a handler may do, done.

use super::lobby::Lobby;
use crate::auth::{Name, SessionId};
use crate::handler::Post;
use crate::protocol::Code;
use crate::slots::Key;
use crate::text::escaped;

/// Carries a handler's texts to connections and console.
pub(super) struct Courier<'a> {
    pub(super) lobby: &'a mut Lobby,
}

impl Courier<'_> {
    fn connection(&self, session: SessionId) -> Option<Key> {
        self.lobby.sessions.session(session)?.connection()
    }

    fn deliver(&mut self, to: &[Key], sender: Option<&Name>, text: &str) -> usize {
        to.iter().filter(|conn| self.lobby.send_message(**conn, sender, text)).count()
    }
}

impl Post for Courier<'_> {
    fn send(&mut self, to: SessionId, sender: Option<&Name>, text: &str) -> bool {
        self.connection(to).is_some_and(|conn| self.lobby.send_message(conn, sender, text))
    }

    fn send_to_name(&mut self, to: &Name, sender: Option<&Name>, text: &str) -> usize {
        // Delivering may end a session (a slow consumer's), so the list is made first.
        let connections: Vec<Key> =
            self.lobby.sessions.of(to).iter().filter_map(|session| self.connection(*session)).collect();
        self.deliver(&connections, sender, text)
    }

    fn send_to_others(&mut self, but: Option<SessionId>, sender: Option<&Name>, text: &str) {
        let sessions = self.lobby.sessions.iter().filter(|(id, _)| Some(*id) != but);
        let connections: Vec<Key> = sessions.filter_map(|(_, session)| session.connection()).collect();
        self.deliver(&connections, sender, text);
    }

    fn refuse(&mut self, to: SessionId, code: Code, explanation: &str) {
        if let Some(conn) = self.connection(to) {
            self.lobby.refuse(conn, code, explanation);
        }
    }

    fn show(&mut self, sender: &Name, text: &str) {
        self.lobby.console.push(format!("{sender}: {}", escaped(text)));
    }

    fn notice(&mut self, text: &str) {
        self.lobby.console.push(text.to_owned());
    }
}
