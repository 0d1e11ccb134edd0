//! Sessions: what a login opens, and what survives a lost connection.

use super::{Name, Token};
use crate::Moment;
use crate::limits::TOKEN_BYTES;
use crate::slots::{Key, Slots};
use std::collections::{BTreeSet, HashMap};

/// Names one session for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(Key);

/// One login of one user.
#[derive(Debug)]
pub struct Session {
    name: Name,
    token: Token,
    /// The connection that carries it, by its key; none while it is lost.
    connection: Option<Key>,
    /// When a lost one ends.
    expires: Moment,
}

impl Session {
    /// Whose it is.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Its token.
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// When it ends, if it is lost.
    pub fn expires(&self) -> Moment {
        self.expires
    }

    /// The connection that carries it; none while it is lost.
    pub fn connection(&self) -> Option<Key> {
        self.connection
    }
}

/// Every session, found by its id, by a token that is good for it, or by its user's name.
#[derive(Debug, Default)]
pub struct Sessions {
    slots: Slots<Session>,
    /// By the first half of a token. The map tells by its timing no more than whether a keyed hash of that half
    /// falls in a filled place; the whole token is compared in constant time.
    by_token: HashMap<u64, SessionId>,
    by_name: HashMap<Name, Vec<SessionId>>,
    /// The tokens that were presented at the last Resume, good for another until the new one has been used.
    presented: HashMap<SessionId, Token>,
    lost: BTreeSet<(Moment, SessionId)>,
}

impl Sessions {
    /// Opens a session on a connection.
    pub fn open(&mut self, name: Name, token: Token, connection: Key) -> SessionId {
        let half = half(token.expose());
        let session =
            Session { name: name.clone(), token, connection: Some(connection), expires: Moment::NEVER };
        let id = SessionId(self.slots.insert(session));
        self.by_token.insert(half, id);
        self.by_name.entry(name).or_insert_with(|| Vec::with_capacity(1)).push(id);
        id
    }

    /// The session, unless it has ended.
    pub fn session(&self, SessionId(key): SessionId) -> Option<&Session> {
        self.slots.get(key)
    }

    /// The session that this token is good for a Resume of.
    pub fn resumable(&self, presented: &[u8; TOKEN_BYTES]) -> Option<SessionId> {
        let id = *self.by_token.get(&half(presented))?;
        let current = self.session(id)?.token.matches(presented);
        let before = self.presented.get(&id).is_some_and(|token| token.matches(presented));
        (current | before).then_some(id)
    }

    /// Gives the session a new token and a new connection; the token that was presented stays good for another
    /// Resume until [`confirm`](Sessions::confirm), any older one is dead. Returns the connection it had.
    pub fn resume(
        &mut self,
        id: SessionId,
        presented: &[u8; TOKEN_BYTES],
        token: Token,
        connection: Key,
    ) -> Option<Key> {
        let session = self.slots.get_mut(id.0)?;
        self.by_token.remove(&half(session.token.expose()));
        if let Some(before) = self.presented.remove(&id) {
            self.by_token.remove(&half(before.expose()));
        }
        self.by_token.insert(half(presented), id);
        self.by_token.insert(half(token.expose()), id);
        self.presented.insert(id, Token::new(*presented));
        self.lost.remove(&(session.expires, id));
        session.token = token;
        session.expires = Moment::NEVER;
        session.connection.replace(connection)
    }

    /// The session's own token has been used: the one presented at the last Resume is dead.
    pub fn confirm(&mut self, id: SessionId) {
        if !self.presented.is_empty()
            && let Some(before) = self.presented.remove(&id)
        {
            self.by_token.remove(&half(before.expose()));
        }
    }

    /// The session's connection is gone; it can be resumed until `expires`.
    pub fn lose(&mut self, id: SessionId, expires: Moment) {
        if let Some(session) = self.slots.get_mut(id.0) {
            session.connection = None;
            session.expires = expires;
            self.lost.insert((expires, id));
        }
    }

    /// Ends a session and says whose it was, and whether it was the last of that name.
    pub fn end(&mut self, id: SessionId) -> Option<(Session, bool)> {
        let session = self.slots.remove(id.0)?;
        self.by_token.remove(&half(session.token.expose()));
        if let Some(before) = self.presented.remove(&id) {
            self.by_token.remove(&half(before.expose()));
        }
        self.lost.remove(&(session.expires, id));
        let of_name = self.by_name.get_mut(&session.name);
        let last = of_name.is_none_or(|ids| {
            ids.retain(|other| *other != id);
            ids.is_empty()
        });
        if last {
            self.by_name.remove(&session.name);
        }
        if self.slots.is_empty() {
            // A crowd that has left must not be paid for ever after.
            *self = Sessions { slots: std::mem::take(&mut self.slots), ..Sessions::default() };
        }
        Some((session, last))
    }

    /// The sessions of a name, lost ones too.
    pub fn of(&self, name: &Name) -> &[SessionId] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// Whether a token drawn at random is in use, in whole or by half: then another is to be drawn.
    pub fn is_taken(&self, token: &Token) -> bool {
        self.by_token.contains_key(&half(token.expose()))
    }

    /// The lost session that ends first, and when.
    pub fn first_lost(&self) -> Option<(Moment, SessionId)> {
        self.lost.first().copied()
    }

    /// Sessions without a connection.
    pub fn lost_count(&self) -> usize {
        self.lost.len()
    }

    /// All sessions, lost ones too.
    pub fn iter(&self) -> impl Iterator<Item = (SessionId, &Session)> {
        self.slots.iter().map(|(key, session)| (SessionId(key), session))
    }

    /// How many there are, lost ones too.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

fn half(token: &[u8; TOKEN_BYTES]) -> u64 {
    let (half, _) = token.split_at(TOKEN_BYTES / 2);
    half.iter().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn token(byte: u8) -> [u8; TOKEN_BYTES] {
        [byte; TOKEN_BYTES]
    }

    fn opened() -> (Sessions, SessionId) {
        let mut sessions = Sessions::default();
        let id = sessions.open(Name::new("ann").unwrap(), Token::new(token(1)), Key::unpack(1));
        (sessions, id)
    }

    #[test]
    fn the_presented_token_lasts_until_the_new_one_is_used() {
        let (mut sessions, id) = opened();
        assert_eq!(sessions.resumable(&token(1)), Some(id));
        assert_eq!(
            sessions.resume(id, &token(1), Token::new(token(2)), Key::unpack(2)),
            Some(Key::unpack(1))
        );
        assert_eq!((sessions.resumable(&token(1)), sessions.resumable(&token(2))), (Some(id), Some(id)));
        // The Welcome with 2 was lost: 1 is presented again, 2 was never seen by anyone and dies.
        sessions.resume(id, &token(1), Token::new(token(3)), Key::unpack(3));
        assert_eq!((sessions.resumable(&token(1)), sessions.resumable(&token(2))), (Some(id), None));
        sessions.confirm(id);
        assert_eq!((sessions.resumable(&token(1)), sessions.resumable(&token(3))), (None, Some(id)));
        assert_eq!(sessions.by_token.len(), 1);
    }

    #[test]
    fn half_a_token_is_no_token() {
        let (sessions, _) = opened();
        let mut other = token(1);
        other[15] ^= 1;
        assert_eq!(sessions.resumable(&other), None);
        assert!(sessions.is_taken(&Token::new(other)));
    }

    #[test]
    fn lost_sessions_end_in_the_order_of_their_windows() {
        let (mut sessions, ann) = opened();
        let bob = sessions.open(Name::new("bob").unwrap(), Token::new(token(5)), Key::unpack(2));
        let soon = Moment::START + Duration::from_secs(1);
        sessions.lose(bob, soon + Duration::from_secs(1));
        sessions.lose(ann, soon);
        assert_eq!(sessions.first_lost(), Some((soon, ann)));
        sessions.resume(ann, &token(1), Token::new(token(2)), Key::unpack(3));
        assert_eq!((sessions.first_lost().map(|(_, id)| id), sessions.lost_count()), (Some(bob), 1));
    }

    #[test]
    fn an_ended_session_leaves_nothing() {
        let (mut sessions, id) = opened();
        let name = Name::new("ann").unwrap();
        let second = sessions.open(name.clone(), Token::new(token(9)), Key::unpack(2));
        sessions.resume(id, &token(1), Token::new(token(2)), Key::unpack(3));
        sessions.lose(id, Moment::START);
        assert!(sessions.end(id).is_some_and(|(session, last)| session.name == name && !last));
        assert_eq!(sessions.of(&name), [second]);
        assert!(sessions.end(second).is_some_and(|(_, last)| last));
        assert!(sessions.by_token.is_empty() && sessions.by_name.is_empty());
        assert!(sessions.presented.is_empty() && sessions.lost.is_empty() && sessions.is_empty());
    }
}
