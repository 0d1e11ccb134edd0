//! Sessions, begun: by a password that was right, or by the token of one whose connection was lost.

use super::close_reason::CloseReason;
use super::fetches::Fetch;
use super::registry::Change;
use super::tasks::Report;
use super::{ConnId, Engine};
use crate::auth::{Name, Password, PasswordHash, SessionId, Token};
use crate::limits::TOKEN_BYTES;
use crate::protocol::{Code, Reply};
use crate::store::{EndReason, EntryId, Lookup, Resumed, Store};
use std::net::SocketAddr;
use zeroize::Zeroizing;

impl<S: Store> Engine<S> {
    /// Opens a session for whoever has proved to be this user, by this record; where several servers share their users, once
    /// they have been told. It is `remembered` if that took no hash.
    pub(super) fn authenticate(
        &mut self,
        id: ConnId,
        name: Name,
        verified: &PasswordHash,
        password: Password,
        is_remembered: bool,
    ) {
        let Some(token) = self.draw_token(id) else { return };
        let Some(peer) = self.peer(id) else { return };
        let ticket = self.admission.next_ticket();
        match self.store.directory() {
            None => self.open_session(id, name, token, is_remembered, None),
            Some(directory) => {
                directory.open(ticket, &name, verified, token.expose(), peer);
                self.await_answer(ticket, Fetch::Open { conn: id, name, token, password, is_remembered });
            }
        }
    }

    /// What there is to be said of a session is said: it begins.
    pub(super) fn open_session(
        &mut self,
        id: ConnId,
        name: Name,
        token: Token,
        is_remembered: bool,
        entry: Option<EntryId>,
    ) {
        let Some(peer) = self.peer(id) else { return };
        let welcome = Zeroizing::new(*token.expose());
        let first = !self.registry.sessions.has_any(&name);
        let session = self.registry.sessions.open(name.clone(), token, id);
        self.carry(entry, Some(session));
        self.begin_session(id, session);
        self.registry.totals.logins += 1;
        self.registry.totals.logins_remembered += u64::from(is_remembered);
        self.registry.log_login("logged in", id, &name);
        self.store.note_visitor(peer.ip(), &name);
        self.registry.send(id, &Reply::Welcome { token: &welcome, greeting: &format!("Hello, {name}") });
        if first {
            self.registry.changes.push_back(Change::Joined { session, name });
        }
    }

    fn peer(&self, id: ConnId) -> Option<SocketAddr> {
        self.registry.connections.get(id).map(|connection| connection.peer().into())
    }

    fn carry(&mut self, entry: Option<EntryId>, session: Option<SessionId>) {
        if let Some((entry, directory)) = entry.zip(self.store.directory()) {
            directory.carry(entry, session);
        }
    }

    fn begin_session(&mut self, id: ConnId, session: SessionId) {
        let admitted = self.registry.fan_out.admit();
        if let Some(connection) = self.registry.connections.get_mut(id) {
            connection.authenticate(session, admitted, self.registry.now);
        }
        self.registry.count_stranger(id);
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
        if self.registry.is_shared {
            return self.resume_anywhere(id, presented);
        }
        match self.registry.sessions.resumable(presented) {
            Some(session) if self.is_let_in(session) => {
                if let Some(token) = self.draw_token(id) {
                    self.resume_here(id, session, presented, token);
                }
            }
            _ => self.refuse_resume(id),
        }
    }

    /// Whether a session's user is one still: the files may have been changed by hand.
    fn is_let_in(&self, session: SessionId) -> bool {
        let session = self.registry.sessions.session(session);
        session.is_some_and(|session| {
            matches!(self.store.find(session.name()), Lookup::Known(_) | Lookup::Pending)
        })
    }

    /// A name is somebody's anew: whoever had it before, and was removed from the files by hand, has it no more.
    pub(super) fn end_sessions_before(&mut self, name: &Name) {
        if !self.registry.is_shared && self.registry.sessions.has_any(name) {
            self.registry.end_sessions(name, EndReason::Removed, Some(0), Report::None);
        }
    }

    /// Whatever is known of it here: it may go on elsewhere by now.
    fn resume_anywhere(&mut self, id: ConnId, presented: &[u8; TOKEN_BYTES]) {
        let Some(token) = self.draw_token(id) else { return };
        let Some(peer) = self.peer(id) else { return };
        let ticket = self.admission.next_ticket();
        let here = self.registry.sessions.resumable(presented);
        if let Some(directory) = self.store.directory() {
            directory.resume(ticket, presented, token.expose(), peer, here);
        }
        self.await_answer(ticket, Fetch::Resume { conn: id, presented: Token::new(*presented), token });
    }

    /// What others know of a session is known.
    pub(super) fn finish_resume(
        &mut self,
        id: ConnId,
        presented: &Token,
        token: Token,
        found: Option<Option<Resumed>>,
    ) {
        match found {
            Some(Some(found)) => {
                let welcome = Zeroizing::new(*token.expose());
                match self.take_back(id, presented, token, found) {
                    Some(session) => self.welcome_back(id, session, &welcome),
                    None => self.refuse_resume(id),
                }
            }
            Some(None) => self.refuse_resume(id),
            // Whom this server carries it can take back by itself; what others know of it is told them later.
            None => match self.registry.sessions.resumable(presented.expose()) {
                None => self.refuse_away(id),
                Some(session) => {
                    let peer = self.peer(id);
                    if let Some((directory, peer)) = self.store.directory().zip(peer) {
                        directory.resumed_here(session, presented.expose(), token.expose(), peer);
                    }
                    self.resume_here(id, session, presented.expose(), token);
                }
            },
        }
    }

    /// A session was resumed for a connection that is gone: it waits for the next.
    pub(super) fn keep_lost(&mut self, id: ConnId, presented: &Token, token: Token, found: Resumed) {
        if let Some(session) = self.take_back(id, presented, token, found) {
            self.registry.lose_session(session);
        }
    }

    /// A session that others know of goes on in this connection. `None`: it has ended here, and they have not heard.
    fn take_back(
        &mut self,
        id: ConnId,
        presented: &Token,
        token: Token,
        found: Resumed,
    ) -> Option<SessionId> {
        let Resumed { entry, name } = found;
        let here = self.store.directory().and_then(|directory| directory.carried(entry));
        let session = match here {
            Some(session) if self.registry.sessions.session(session).is_none() => None,
            Some(session) => {
                self.rebind(id, session, presented.expose(), token);
                Some(session)
            }
            None => {
                let first = !self.registry.sessions.has_any(&name);
                let session = self.registry.sessions.adopt(name.clone(), presented.expose(), token, id);
                if first {
                    self.registry.changes.push_back(Change::Joined { session, name });
                }
                Some(session)
            }
        };
        self.carry(Some(entry), session);
        session
    }

    /// A session of this server has another connection, and another token.
    fn rebind(&mut self, id: ConnId, session: SessionId, presented: &[u8; TOKEN_BYTES], token: Token) {
        let before = self.registry.sessions.resume(session, presented, token, id);
        self.registry.totals.sessions_resumed += u64::from(before.is_none());
        if let Some(before) = before {
            self.registry.bye(before, MOVED, CloseReason::TakenOver);
        }
    }

    fn refuse_resume(&mut self, id: ConnId) {
        self.registry.refuse(id, Code::NoSuchSession, "no session has this token, or not any more");
    }

    fn resume_here(&mut self, id: ConnId, session: SessionId, presented: &[u8; TOKEN_BYTES], token: Token) {
        let welcome = Zeroizing::new(*token.expose());
        self.rebind(id, session, presented, token);
        self.welcome_back(id, session, &welcome);
    }

    fn welcome_back(&mut self, id: ConnId, session: SessionId, token: &[u8; TOKEN_BYTES]) {
        let Some(name) = self.registry.sessions.session(session).map(|session| session.name().clone()) else {
            return;
        };
        self.begin_session(id, session);
        self.registry.post_resumed(id);
        self.registry.totals.resumed += 1;
        self.registry.log_login("resumed", id, &name);
        self.registry.send(id, &Reply::Welcome { token, greeting: &format!("Hello again, {name}") });
    }

    /// The token of a session was used for the first time: others need not know the one before any more.
    #[cold]
    pub(super) fn publish_confirmed(&mut self, session: SessionId) {
        if let Some(directory) = self.store.directory() {
            directory.confirm(session);
        }
    }

    pub(super) fn publish_lost(&mut self, session: SessionId) {
        // In the same turn it may have been resumed.
        if self.registry.sessions.session(session).is_none_or(|session| session.connection().is_some()) {
            return;
        }
        let window = self.registry.config.resume_window;
        self.store.directory().into_iter().for_each(|directory| directory.lose(session, window));
    }

    pub(super) fn publish_ended(&mut self, session: SessionId) {
        self.store.directory().into_iter().for_each(|directory| directory.end(session));
    }
}

pub(super) const MOVED: &str = "the session goes on in another connection";
