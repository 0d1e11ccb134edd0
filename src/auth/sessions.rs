//! Sessions: what a login opens, and what survives a lost connection.

use super::{Name, Online, Token};
use crate::Moment;
use crate::limits::TOKEN_BYTES;
use crate::slots::{Key, Slot, Slots};
use hashbrown::HashTable;
use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use zeroize::Zeroize;

/// Names one session for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(Key);

impl SessionId {
    /// One that is at another server: nothing here has this name, for no table of sessions grows so large.
    pub(crate) const ELSEWHERE: SessionId = SessionId(Key::LAST);
}

/// One login of one user.
#[derive(Debug)]
pub struct Session {
    name: Name,
    token: Token,
    /// The connection that carries it, by its key; none while it is lost.
    connection: Option<Key>,
    /// When a lost one ends.
    expires: Moment,
    /// Those of the same name are a ring, in the order in which they were opened.
    next: Slot,
    previous: Slot,
}

/// Every idle connection has one.
const _: () = assert!(size_of::<Session>() <= 56);

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

    fn half(&self) -> Half {
        half(self.token.expose())
    }
}

/// What a token is found by: its first half, which a number hashes sooner than bytes do.
type Half = u64;

/// Every session, found by its id, by a token that is good for it, or by its user's name.
///
/// An idle client's session should cost little beside its slot: so both tables hold slots only, and look into them for
/// what they are found by.
#[derive(Debug, Default)]
pub struct Sessions {
    slots: Slots<Session>,
    /// By the first half of its own token. The table tells by its timing no more than whether a keyed hash of that half
    /// falls in a filled place; the whole token is compared in constant time.
    by_token: HashTable<Slot>,
    /// The oldest of each name.
    by_name: HashTable<Slot>,
    /// Keyed, since names are chosen by strangers.
    hasher: RandomState,
    /// The tokens that were presented at the last Resume, good for another until the new one has been used.
    ///
    /// Boxed, so that a table that grows leaves no copies behind.
    presented: HashMap<SessionId, Box<Token>>,
    /// By the first half of the presented token.
    by_presented: HashTable<SessionId>,
    lost: BTreeSet<(Moment, SessionId)>,
    online: Online,
}

impl Sessions {
    /// None yet, but with room for so many.
    pub fn with_room(room: usize) -> Sessions {
        Sessions::over(Slots::with_room(room))
    }

    /// None yet, in slots that are all free.
    fn over(slots: Slots<Session>) -> Sessions {
        let by_token = HashTable::with_capacity(slots.room());
        Sessions { slots, by_token, ..Sessions::default() }
    }

    /// Opens a session on a connection.
    pub fn open(&mut self, name: Name, token: Token, connection: Key) -> SessionId {
        let oldest = self.oldest(&name);
        self.online.connect(&name);
        let session = Session {
            name,
            token,
            connection: Some(connection),
            expires: Moment::NEVER,
            next: Slot::default(),
            previous: Slot::default(),
        };
        let key = self.slots.insert(session);
        self.join_ring(key, oldest);
        self.index_token(key);
        SessionId(key)
    }

    /// The session, unless it has ended.
    #[inline]
    pub fn session(&self, SessionId(key): SessionId) -> Option<&Session> {
        self.slots.get(key)
    }

    /// The session that this token is good for a Resume of.
    pub fn resumable(&self, presented: &[u8; TOKEN_BYTES]) -> Option<SessionId> {
        let id = self.by_half(half(presented))?;
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
        self.confirm(id);
        self.forget_token(id);
        let session = self.slots.get_mut(id.0)?;
        session.token = token;
        self.lost.remove(&(session.expires, id));
        session.expires = Moment::NEVER;
        let before = session.connection.replace(connection);
        if before.is_none() {
            self.online.connect(&session.name);
        }
        self.index_token(id.0);
        self.keep_presented(id, presented);
        before
    }

    /// Opens a session that was begun elsewhere, and was found by this token, which stays good as at a
    /// [`resume`](Sessions::resume).
    pub fn adopt(
        &mut self,
        name: Name,
        presented: &[u8; TOKEN_BYTES],
        token: Token,
        connection: Key,
    ) -> SessionId {
        let id = self.open(name, token, connection);
        self.keep_presented(id, presented);
        id
    }

    fn keep_presented(&mut self, id: SessionId, presented: &[u8; TOKEN_BYTES]) {
        self.presented.insert(id, Box::new(Token::new(*presented)));
        let rehash = |other: &SessionId| {
            self.presented.get(other).map_or(0, |token| self.hasher.hash_one(half(token.expose())))
        };
        self.by_presented.insert_unique(self.hasher.hash_one(half(presented)), id, rehash);
    }

    /// The session's own token has been used: the one presented at the last Resume is dead. Says whether there was one.
    #[inline]
    pub fn confirm(&mut self, id: SessionId) -> bool {
        // It mostly is, and then nothing is worth a hash.
        !self.presented.is_empty() && self.forget_presented(id)
    }

    /// The session's connection is gone; it can be resumed until `expires`.
    pub fn lose(&mut self, id: SessionId, expires: Moment) {
        if let Some(session) = self.slots.get_mut(id.0) {
            if session.connection.take().is_some() {
                self.online.disconnect(&session.name);
            }
            session.expires = expires;
            self.lost.insert((expires, id));
        }
    }

    /// Ends a session and says whose it was, and whether it was the last of that name.
    pub fn end(&mut self, id: SessionId) -> Option<(Session, bool)> {
        self.confirm(id);
        self.forget_token(id);
        let last = self.leave_ring(id.0)?;
        if let Some(session) = self.slots.get_mut(id.0) {
            // Where it lies: taken out it would be copied, and the copy wiped.
            session.token.zeroize();
        }
        let is_last_of_crowd = self.slots.is_last_of_crowd();
        let session = self.slots.remove(id.0)?;
        self.lost.remove(&(session.expires, id));
        if session.connection.is_some() {
            self.online.disconnect(&session.name);
        }
        if is_last_of_crowd {
            // The slots see to themselves, the tables do not.
            let online = std::mem::take(&mut self.online);
            *self = Sessions { online, ..Sessions::over(std::mem::take(&mut self.slots)) };
        }
        Some((session, last))
    }

    /// The sessions of a name, lost ones too, the oldest first.
    pub fn of(&self, name: &Name) -> impl Iterator<Item = SessionId> {
        let oldest = self.oldest(name);
        let next = move |slot: &Slot| self.slots.at(*slot).map(|(_, session)| session.next);
        std::iter::successors(oldest, move |slot| next(slot).filter(|next| Some(*next) != oldest))
            .filter_map(|slot| self.slots.at(slot).map(|(key, _)| SessionId(key)))
    }

    /// Whether a name has a session, be it a lost one.
    pub fn has_any(&self, name: &Name) -> bool {
        self.oldest(name).is_some()
    }

    /// Whether a token drawn at random is in use, in whole or by half: then another is to be drawn.
    pub fn is_taken(&self, token: &Token) -> bool {
        self.by_half(half(token.expose())).is_some()
    }

    /// The names of those that have a connection.
    pub fn online(&self) -> &Online {
        &self.online
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

    /// The session in the slot of an index.
    pub(crate) fn at_index(&self, index: usize) -> Option<(SessionId, &Session)> {
        self.slots.at_index(index).map(|(key, session)| (SessionId(key), session))
    }

    /// All are in slots of indices below this.
    pub(crate) fn used(&self) -> usize {
        self.slots.used()
    }

    /// How many there are, lost ones too.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    fn by_half(&self, wanted: Half) -> Option<SessionId> {
        let hash = self.hasher.hash_one(wanted);
        let is_own = |slot: &Slot| self.slots.at(*slot).is_some_and(|(_, session)| session.half() == wanted);
        if let Some(slot) = self.by_token.find(hash, is_own) {
            return self.slots.at(*slot).map(|(key, _)| SessionId(key));
        }
        let was_presented =
            |id: &SessionId| self.presented.get(id).is_some_and(|token| half(token.expose()) == wanted);
        self.by_presented.find(hash, was_presented).copied()
    }

    fn index_token(&mut self, key: Key) {
        let Some(half) = self.slots.get(key).map(Session::half) else { return };
        let rehash =
            |slot: &Slot| self.slots.at(*slot).map_or(0, |(_, other)| self.hasher.hash_one(other.half()));
        self.by_token.insert_unique(self.hasher.hash_one(half), key.slot(), rehash);
    }

    fn forget_token(&mut self, id: SessionId) {
        let Some(half) = self.session(id).map(Session::half) else { return };
        let entry = self.by_token.find_entry(self.hasher.hash_one(half), |slot| *slot == id.0.slot());
        if let Ok(entry) = entry {
            entry.remove();
        }
    }

    fn forget_presented(&mut self, id: SessionId) -> bool {
        let Some(before) = self.presented.remove(&id) else { return false };
        let entry =
            self.by_presented.find_entry(self.hasher.hash_one(half(before.expose())), |other| *other == id);
        if let Ok(entry) = entry {
            entry.remove();
        }
        true
    }

    fn oldest(&self, name: &Name) -> Option<Slot> {
        let is_of = |slot: &Slot| self.slots.at(*slot).is_some_and(|(_, session)| session.name == *name);
        self.by_name.find(self.hasher.hash_one(name), is_of).copied()
    }

    /// Puts a new session behind the others of its name, or begins a ring with it.
    fn join_ring(&mut self, key: Key, oldest: Option<Slot>) {
        let own = key.slot();
        let first = oldest.unwrap_or(own);
        let last =
            self.slots.at(first).filter(|_| oldest.is_some()).map_or(own, |(_, oldest)| oldest.previous);
        self.link(last, own);
        self.link(own, first);
        if oldest.is_none()
            && let Some(session) = self.slots.get(key)
        {
            let rehash =
                |slot: &Slot| self.slots.at(*slot).map_or(0, |(_, other)| self.hasher.hash_one(&other.name));
            self.by_name.insert_unique(self.hasher.hash_one(&session.name), own, rehash);
        }
    }

    /// Takes a session out of its ring, and says whether it was alone there.
    fn leave_ring(&mut self, key: Key) -> Option<bool> {
        let own = key.slot();
        let &Session { ref name, next, previous, .. } = self.slots.get(key)?;
        let entry = self.by_name.find_entry(self.hasher.hash_one(name), |slot| *slot == own);
        let is_last = next == own;
        if let Ok(mut entry) = entry {
            *entry.get_mut() = next;
            if is_last {
                entry.remove();
            }
        }
        self.link(previous, next);
        Some(is_last)
    }

    fn link(&mut self, before: Slot, after: Slot) {
        if let Some(session) = self.slots.at_mut(before) {
            session.next = after;
        }
        if let Some(session) = self.slots.at_mut(after) {
            session.previous = before;
        }
    }
}

fn half(token: &[u8; TOKEN_BYTES]) -> Half {
    let mut half = [0; TOKEN_BYTES / 2];
    half.copy_from_slice(&token[..TOKEN_BYTES / 2]);
    Half::from_ne_bytes(half)
}

#[cfg(test)]
mod tests;
