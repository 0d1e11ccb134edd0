//! What a handler may do, done.

use super::fan_out::Author;
use super::registry::Registry;
use crate::auth::{Name, Session, SessionId};
use crate::handler::Context;
use crate::protocol::{Code, Reply};
use crate::slots::Key;
use crate::text::escaped;
use std::net::SocketAddr;
use std::time::Duration;

/// Sessions of one name that are written to at once; more are a crowd.
const FEW: usize = 32;

/// Carries a handler's texts to connections and console.
pub(super) struct Delivery<'a> {
    pub(super) registry: &'a mut Registry,
    /// On whose behalf.
    pub(super) author: Author,
    /// Other servers have heard of it already.
    pub(super) is_known_elsewhere: bool,
}

impl Delivery<'_> {
    fn connection(&self, session: SessionId) -> Option<Key> {
        self.registry.sessions.session(session)?.connection()
    }

    /// To how many of this server's sessions, at least.
    fn send_to_name_here(&mut self, to: &Name, sender: Option<&Name>, text: &str) -> usize {
        let sessions = &self.registry.sessions;
        let connection = |session| sessions.session(session).and_then(Session::connection);
        // Delivering may end a session (a slow consumer's), so the list is made first.
        let recipients: Vec<Key> = sessions.of(to).filter_map(connection).take(FEW + 1).collect();
        if recipients.len() > FEW {
            self.registry.post_to_name(self.author, to, sender, text);
            return recipients.len();
        }
        if self.registry.has_posts(self.author) {
            recipients.iter().for_each(|conn| self.registry.post_to_one(self.author, *conn, sender, text));
            return recipients.len();
        }
        let reply = Reply::Message { sender: sender.map_or("", Name::as_str), text };
        recipients.iter().filter(|conn| self.registry.send(**conn, &reply)).count()
    }
}

impl Registry {
    /// Whether a name has a session, here or elsewhere.
    pub(super) fn is_here(&self, name: &Name) -> bool {
        self.sessions.has_any(name) || self.presence.has(name)
    }

    /// Whether what is sent to a name has to be handed out as what is for all.
    pub(super) fn is_crowd(&self, name: &Name) -> bool {
        self.sessions.of(name).take(FEW + 1).count() > FEW
    }

    /// Shows the person at the console what somebody has said.
    pub(super) fn show(&mut self, sender: &Name, text: &str) {
        self.console.push(format!("{sender}: {}", escaped(text)));
    }
}

impl Context for Delivery<'_> {
    fn send(&mut self, to: SessionId, sender: Option<&Name>, text: &str) -> bool {
        let Some(conn) = self.connection(to) else { return false };
        if self.registry.has_posts(self.author) {
            self.registry.post_to_one(self.author, conn, sender, text);
            return true;
        }
        self.registry.send(conn, &Reply::Message { sender: sender.map_or("", Name::as_str), text })
    }

    fn is_here(&self, name: &Name) -> bool {
        self.registry.is_here(name)
    }

    fn send_to_name(&mut self, to: &Name, sender: Option<&Name>, text: &str) -> usize {
        let here = self.send_to_name_here(to, sender, text);
        if self.is_known_elsewhere || !self.registry.presence.is_online(to) {
            return here;
        }
        self.registry.say_elsewhere(Some(to), sender, text);
        here.max(1)
    }

    fn send_to_others(&mut self, but: Option<SessionId>, sender: Option<&Name>, text: &str) {
        if !self.is_known_elsewhere {
            self.registry.say_elsewhere(None, sender, text);
        }
        self.registry.post_to_others(self.author, but, sender, text);
    }

    fn refuse(&mut self, to: SessionId, code: Code, explanation: &str) {
        let Some(conn) = self.connection(to) else { return };
        if self.registry.has_posts(self.author) {
            self.registry.post_refusal(self.author, conn, code, explanation);
        } else {
            self.registry.refuse(conn, code, explanation);
        }
    }

    fn peer(&self, of: SessionId) -> Option<SocketAddr> {
        let connection = self.registry.connections.get(self.connection(of)?)?;
        Some(connection.peer().into())
    }

    fn end(&mut self, session: SessionId, reason: &str) {
        if self.registry.has_posts(self.author) {
            self.registry.post_end(self.author, session, reason);
        } else {
            self.registry.end_by_handler(session, reason);
        }
    }

    fn set_timer(&mut self, after: Duration) {
        self.registry.handler_timer = Some(self.registry.now + after);
    }

    fn show(&mut self, sender: &Name, text: &str) {
        self.registry.show(sender, text);
    }

    fn notice(&mut self, text: &str) {
        self.registry.console.push(text.to_owned());
    }
}
