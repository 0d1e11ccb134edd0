//! What a handler may do, done.

use super::lobby::Lobby;
use crate::auth::{Name, Session, SessionId, Sessions};
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

    /// Delivering may end a session (a slow consumer's), so the list is made first.
    fn deliver(
        &mut self,
        list: impl FnOnce(&Sessions, &mut Vec<Key>),
        sender: Option<&Name>,
        text: &str,
    ) -> usize {
        let mut recipients = std::mem::take(&mut self.lobby.recipients);
        recipients.clear();
        list(&self.lobby.sessions, &mut recipients);
        let delivered =
            recipients.iter().filter(|conn| self.lobby.send_message(**conn, sender, text)).count();
        self.lobby.recipients = recipients;
        delivered
    }
}

impl Post for Courier<'_> {
    fn send(&mut self, to: SessionId, sender: Option<&Name>, text: &str) -> bool {
        self.connection(to).is_some_and(|conn| self.lobby.send_message(conn, sender, text))
    }

    fn is_here(&self, name: &Name) -> bool {
        self.lobby.sessions.has_any(name)
    }

    fn send_to_name(&mut self, to: &Name, sender: Option<&Name>, text: &str) -> usize {
        let of_name = |sessions: &Sessions, recipients: &mut Vec<Key>| {
            let connection = |session| sessions.session(session).and_then(Session::connection);
            recipients.extend(sessions.of(to).filter_map(connection));
        };
        self.deliver(of_name, sender, text)
    }

    fn send_to_others(&mut self, but: Option<SessionId>, sender: Option<&Name>, text: &str) {
        let others = |sessions: &Sessions, recipients: &mut Vec<Key>| {
            let others = sessions.iter().filter(|(id, _)| Some(*id) != but);
            recipients.extend(others.filter_map(|(_, session)| session.connection()));
        };
        self.deliver(others, sender, text);
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
