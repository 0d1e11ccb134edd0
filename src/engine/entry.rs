//! The way in: identify, register, log in, resume; what the hash and the store have to say about it.

use super::connection::{Stage, Why};
use super::gate::{EarlyLogin, Purpose, Storing};
use super::lobby::Change;
use super::{ConnId, Engine};
use crate::auth::conversation::{Errand, Step, Visit};
use crate::auth::hash_queue::{Job, JobId};
use crate::auth::{Name, Origin, Password, PasswordHash, Token};
use crate::limits::{HASH_BYTES, SALT_BYTES, TOKEN_BYTES};
use crate::protocol::{Code, Reply, Wanted};
use crate::store::{Lookup, Store};
use std::time::Duration;
use subtle::ConstantTimeEq;

impl<S: Store> Engine<S> {
    pub(super) fn identify(&mut self, id: ConnId, name: &str) {
        let name = match Name::new(name) {
            Ok(name) => name,
            Err(rule) => return self.lobby.refuse(id, Code::BadName, &rule.to_string()),
        };
        let wanted = match self.store.find(&name) {
            Lookup::Unknown if self.lobby.config.registration_open => Wanted::Register,
            _ => Wanted::Login,
        };
        if let Some(visit) = self.visit(id) {
            visit.step = match wanted {
                Wanted::Register => Step::Registering { name },
                Wanted::Login => Step::LoggingIn { name },
            };
        }
        self.lobby.send(id, &Reply::PasswordWanted(wanted));
    }

    pub(super) fn register(&mut self, id: ConnId, password: &str) {
        let max_attempts = self.lobby.config.max_attempts;
        let Some(visit) = self.visit(id) else { return };
        let Step::Registering { name } = &visit.step else { return };
        let name = name.clone();
        visit.registrations += 1;
        if visit.registrations > max_attempts {
            return self.lobby.refuse(id, Code::TooManyAttempts, "too many registrations in one connection");
        }
        if let Err(rule) = Password::check_new(password, self.lobby.config.min_password_characters) {
            return self.lobby.refuse(id, Code::WeakPassword, &rule.to_string());
        }
        if self.store.find(&name) != Lookup::Unknown {
            return self.refuse_taken(id, name);
        }
        let mut salt = [0; SALT_BYTES];
        if !self.random(id, &mut salt) {
            return;
        }
        let rounds = self.lobby.config.hash_rounds;
        let purpose = Purpose::Register { conn: id, name: name.clone() };
        self.hash(id, name, Password::new(password.as_bytes()), salt, rounds, purpose);
    }

    pub(super) fn log_in(&mut self, id: ConnId, password: Password) {
        let Some(visit) = self.visit(id) else { return };
        let Step::LoggingIn { name } = &visit.step else { return };
        let name = name.clone();
        if self.refuse_throttled(id) {
            return;
        }
        let stored = match self.store.find(&name) {
            Lookup::Pending => return self.await_store(id, name, password),
            Lookup::Known(stored) => Some(stored),
            Lookup::Unknown => None,
        };
        if let Some(stored) = &stored
            && self.gate.cache.recognises(&name, stored, &password, self.lobby.now)
        {
            return self.authenticate(id, name);
        }
        // A name that nobody has costs the same rounds, so that the time does not tell.
        let salt = stored.as_ref().map_or([0; SALT_BYTES], |stored| stored.salt);
        let rounds = stored.as_ref().map_or(self.lobby.config.hash_rounds, |stored| stored.rounds);
        let purpose = Purpose::Login { conn: id, name: name.clone(), stored };
        self.hash(id, name, password, salt, rounds, purpose);
    }

    pub(super) fn resume(&mut self, id: ConnId, presented: &[u8; TOKEN_BYTES]) {
        let Some(session) = self.lobby.sessions.resumable(presented) else {
            return self.lobby.refuse(id, Code::NoSuchSession, "no session has this token, or not any more");
        };
        let Some(token) = self.draw_token(id) else { return };
        let welcome = *token.expose();
        let before = self.lobby.sessions.resume(session, presented, token, id);
        if let Some(before) = before {
            self.lobby.bye(before, "the session goes on in another connection", Why::TakenOver);
        }
        let Some(name) = self.lobby.sessions.session(session).map(|session| session.name().clone()) else {
            return;
        };
        self.admit(id, session);
        self.log_entry("resumed", id, &name);
        self.lobby.send(id, &Reply::Welcome { token: &welcome, greeting: &format!("Hello again, {name}") });
    }

    /// Advances the hash whose turn it is, or starts the next; gives up after `most` rounds and says how many it did.
    pub(super) fn hash_rounds(&mut self, most: u32) -> u32 {
        let mut done = 0;
        while done < most {
            if !self.gate.hashing.is_running() && !self.start_next_hash() {
                break;
            }
            let (rounds, finished) = self.gate.hashing.advance(most - done);
            done += rounds;
            if let Some((job, hash)) = finished {
                self.finish_hash(job, hash);
            }
        }
        done
    }

    /// Carries out what the store has answered.
    pub(super) fn take_completions(&mut self) {
        while let Some(completion) = self.store.poll_completion() {
            let Some(storing) = self.gate.storing.remove(&completion.ticket) else { continue };
            match storing {
                Storing::Registration { conn, name, password, hash } => {
                    let stored = completion.outcome.map(|()| hash);
                    self.finish_registration(conn, &name, &password, stored);
                }
                Storing::Rehash { name } => {
                    self.gate.rehashing.remove(&name);
                    match completion.outcome {
                        // The record that the cache vouched for is no more.
                        Ok(()) => self.gate.cache.forget(&name),
                        Err(reason) => log::error!("rehash not stored name={name} reason={reason:?}"),
                    }
                }
            }
        }
    }

    /// The visit of a connection that is not yet authenticated.
    pub(super) fn visit(&mut self, id: ConnId) -> Option<&mut Visit> {
        match &mut self.lobby.connections.get_mut(id)?.stage {
            Stage::Visiting(visit) => Some(visit),
            _ => None,
        }
    }

    fn origin(&self, id: ConnId) -> Option<Origin> {
        self.lobby.connections.get(id).map(|connection| Origin::of(connection.peer.ip()))
    }

    /// Puts a hash into the queue, unless the address owes too much, the wait would be too long, or nobody will be
    /// there to hear of it.
    fn hash(
        &mut self,
        id: ConnId,
        name: Name,
        password: Password,
        salt: [u8; SALT_BYTES],
        rounds: u32,
        purpose: Purpose,
    ) {
        if self.refuse_throttled(id) || self.leave_finished(id) {
            return;
        }
        let Some(origin) = self.origin(id) else { return };
        let wait = self.gate.wait(origin);
        if wait > self.lobby.config.hash_wait {
            let explanation =
                seconds_first(wait, "until the passwords before this one are hashed; come back then");
            return self.lobby.refuse(id, Code::Busy, &explanation);
        }
        let job = self.push_job(Job { origin, password, salt, rounds, purpose });
        self.begin_waiting(id, name, Errand::Hash(job));
    }

    fn push_job(&mut self, job: Job<Purpose>) -> JobId {
        if self.gate.hashing.is_empty() {
            self.gate.pace.begin(self.lobby.now);
        }
        self.gate.hashing.push(job)
    }

    fn begin_waiting(&mut self, id: ConnId, name: Name, errand: Errand) {
        let now = self.lobby.now;
        if let Some(visit) = self.visit(id) {
            visit.begin_waiting(name, errand, now);
        }
        self.lobby.arm(id);
    }

    fn end_waiting(&mut self, id: ConnId) -> Option<Name> {
        let now = self.lobby.now;
        let name = self.visit(id)?.end_waiting(now);
        self.lobby.wake(id);
        name
    }

    /// The peer has closed its sending side before a frame that needs waiting: the frame and all after it are dropped.
    fn leave_finished(&mut self, id: ConnId) -> bool {
        let finished = self.lobby.connections.get(id).is_none_or(|connection| connection.peer_finished);
        if finished {
            self.lobby.begin_close(id, Why::ClosedByPeer);
        }
        finished
    }

    fn refuse_throttled(&mut self, id: ConnId) -> bool {
        let Some(origin) = self.origin(id) else { return true };
        let Some(wait) = self.gate.throttle.wait(origin, self.lobby.now) else { return false };
        let explanation =
            seconds_first(wait, "until this address may try again: too many wrong passwords came from it");
        self.lobby.refuse(id, Code::Throttled, &explanation);
        true
    }

    fn refuse_taken(&mut self, id: ConnId, name: Name) {
        let explanation =
            format!("{name} was registered by somebody else meanwhile; log in with its password");
        self.lobby.refuse(id, Code::NameTaken, &explanation);
        if let Some(visit) = self.visit(id) {
            visit.step = Step::LoggingIn { name };
        }
        self.lobby.send(id, &Reply::PasswordWanted(Wanted::Login));
    }

    fn await_store(&mut self, id: ConnId, name: Name, password: Password) {
        if self.leave_finished(id) {
            return;
        }
        self.begin_waiting(id, name.clone(), Errand::Store);
        self.gate.early_logins.entry(name).or_default().push(EarlyLogin { conn: id, password });
    }

    /// Starts the next job that is still wanted; false if there is none.
    fn start_next_hash(&mut self) -> bool {
        while let Some((id, job)) = self.gate.hashing.take_next() {
            let guess = match job.purpose {
                Purpose::Rehash { .. } => None,
                Purpose::Register { conn, .. } => Some((conn, false)),
                Purpose::Login { conn, .. } => Some((conn, true)),
            };
            if let Some((conn, costs)) = guess {
                if self.refuse_throttled(conn) {
                    continue;
                }
                if costs {
                    self.gate.throttle.charge(job.origin, self.lobby.now);
                }
            }
            self.gate.hashing.start((id, job));
            return true;
        }
        false
    }

    fn finish_hash(&mut self, job: Job<Purpose>, hash: [u8; HASH_BYTES]) {
        let Job { origin, password, salt, rounds, purpose } = job;
        let hashed = PasswordHash { rounds, salt, hash };
        match purpose {
            Purpose::Register { conn, name } => self.store_user(conn, name, password, hashed),
            Purpose::Login { conn, name, stored } => {
                let right = stored.as_ref().is_some_and(|stored| stored.hash.ct_eq(&hashed.hash).into());
                if !right {
                    return self.refuse_password(conn);
                }
                self.gate.throttle.take_back(origin);
                self.gate.cache.remember(&name, &hashed, &password, self.lobby.now);
                self.end_waiting(conn);
                self.authenticate(conn, name.clone());
                if rounds != self.lobby.config.hash_rounds {
                    self.rehash(origin, name, password);
                }
            }
            Purpose::Rehash { name } => {
                let ticket = self.gate.ticket(Storing::Rehash { name: name.clone() });
                self.store.rehash(ticket, name, hashed);
            }
        }
    }

    fn store_user(&mut self, id: ConnId, name: Name, password: Password, hash: PasswordHash) {
        if self.store.find(&name) != Lookup::Unknown {
            self.end_waiting(id);
            return self.refuse_taken(id, name);
        }
        if let Some(visit) = self.visit(id)
            && let Step::Waiting(waiting) = &mut visit.step
        {
            waiting.errand = Errand::Store;
        }
        let storing = Storing::Registration { conn: id, name: name.clone(), password, hash: hash.clone() };
        let ticket = self.gate.ticket(storing);
        self.store.register(ticket, name, hash);
    }

    fn finish_registration(
        &mut self,
        id: ConnId,
        name: &Name,
        password: &Password,
        stored: Result<PasswordHash, String>,
    ) {
        let here = self.end_waiting(id).is_some();
        match stored {
            Ok(hash) => {
                self.gate.cache.remember(name, &hash, password, self.lobby.now);
                if here {
                    self.log_entry("registered", id, name);
                    self.lobby.send(id, &Reply::PasswordWanted(Wanted::Login));
                } else {
                    log::info!("registered name={name} (its client has gone)");
                }
            }
            Err(reason) => {
                log::error!("registration not stored name={name} reason={reason:?}");
                if let Some(visit) = self.visit(id).filter(|_| here) {
                    visit.step = Step::Registering { name: name.clone() };
                }
                self.lobby.refuse(
                    id,
                    Code::StorageFailed,
                    "the server could not store it; nothing was registered",
                );
            }
        }
        for early in self.gate.early_logins.remove(name).unwrap_or_default() {
            if self.end_waiting(early.conn).is_some() {
                self.log_in(early.conn, early.password);
            }
        }
    }

    fn refuse_password(&mut self, id: ConnId) {
        self.end_waiting(id);
        let max_attempts = self.lobby.config.max_attempts;
        let Some(visit) = self.visit(id) else { return };
        visit.wrong_passwords += 1;
        if visit.wrong_passwords >= max_attempts {
            self.lobby.refuse(id, Code::TooManyAttempts, "too many wrong passwords in one connection");
        } else {
            self.lobby.refuse(id, Code::WrongPassword, "wrong password");
        }
    }

    fn rehash(&mut self, origin: Origin, name: Name, password: Password) {
        let mut salt = [0; SALT_BYTES];
        if self.gate.wait(origin) > self.lobby.config.hash_wait || !self.gate.rehashing.insert(name.clone()) {
            return;
        }
        if let Err(reason) = self.entropy.fill(&mut salt) {
            self.gate.rehashing.remove(&name);
            return log::error!("rehash given up name={name} reason={reason:?}");
        }
        let rounds = self.lobby.config.hash_rounds;
        self.push_job(Job { origin, password, salt, rounds, purpose: Purpose::Rehash { name } });
    }

    fn authenticate(&mut self, id: ConnId, name: Name) {
        let Some(token) = self.draw_token(id) else { return };
        let Some(peer) = self.lobby.connections.get(id).map(|connection| connection.peer) else { return };
        let welcome = *token.expose();
        let first = self.lobby.sessions.of(&name).is_empty();
        let session = self.lobby.sessions.open(name.clone(), token, id);
        self.admit(id, session);
        self.lobby.totals.logins += 1;
        self.log_entry("logged in", id, &name);
        self.store.note_visitor(peer.ip().to_canonical(), &name);
        self.lobby.send(id, &Reply::Welcome { token: &welcome, greeting: &format!("Hello, {name}") });
        if first {
            self.lobby.changes.push_back(Change::Joined { session, name });
        }
    }

    fn admit(&mut self, id: ConnId, session: crate::auth::SessionId) {
        let last_frame = self.lobby.now;
        if let Some(connection) = self.lobby.connections.get_mut(id) {
            connection.stage = Stage::Authenticated { session, last_frame };
        }
        self.lobby.arm(id);
    }

    fn draw_token(&mut self, id: ConnId) -> Option<Token> {
        loop {
            let mut bytes = [0; TOKEN_BYTES];
            if !self.random(id, &mut bytes) {
                return None;
            }
            let token = Token::new(bytes);
            if !self.lobby.sessions.is_taken(&token) {
                return Some(token);
            }
        }
    }

    /// Fills with random bytes; without them the connection cannot be served.
    fn random(&mut self, id: ConnId, bytes: &mut [u8]) -> bool {
        let filled = self.entropy.fill(bytes);
        if let Err(reason) = &filled {
            log::error!("no random bytes reason={reason:?}");
            self.lobby.refuse(id, Code::Internal, "the server has no random bytes");
        }
        filled.is_ok()
    }

    fn log_entry(&self, event: &str, id: ConnId, name: &Name) {
        if let Some(connection) = self.lobby.connections.get(id) {
            log::info!("{event} conn={} peer={} name={name}", id.generation(), connection.peer);
        }
    }
}

/// An explanation that begins with the seconds to wait, as Throttled and Busy do; at least one.
pub(super) fn seconds_first(wait: Duration, explanation: &str) -> String {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    format!("{} s {explanation}", seconds.max(1))
}
