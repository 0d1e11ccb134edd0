//! The way in: identify, register, log in, resume.

use super::connection::{Connection, Input, Stage, Why};
use super::gate::{EarlyLogin, NewPassword, Purpose};
use super::lobby::Change;
use super::strangers::StrangerState;
use super::{ConnId, Engine, EntropyError};
use crate::auth::conversation::{Errand, Step, Visit};
use crate::auth::hash_queue::{Job, JobId};
use crate::auth::{Name, Password, Token};
use crate::limits::{SALT_BYTES, TOKEN_BYTES};
use crate::protocol::{Code, Reply, Wanted};
use crate::store::{Lookup, Store};
use std::time::Duration;
use zeroize::Zeroizing;

impl<S: Store> Engine<S> {
    pub(super) fn identify(&mut self, id: ConnId, name: &str) {
        let is_known = |name: &Name| !matches!(self.store.find(name), Lookup::Unknown | Lookup::LookAlike);
        let name = match Name::meant(name, is_known) {
            Ok(name) => name,
            Err(rule) => return self.lobby.refuse(id, Code::BadName, &rule.to_string()),
        };
        let wanted = match self.store.find(&name) {
            Lookup::Unknown if self.lobby.config.registration_open => Wanted::Register,
            Lookup::LookAlike if self.lobby.config.registration_open => {
                return self.lobby.refuse(id, Code::BadName, &look_alike(&name));
            }
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
        let password = match Password::chosen(password, self.lobby.config.min_password_characters) {
            Ok(password) => password,
            Err(rule) => return self.lobby.refuse(id, Code::WeakPassword, &rule.to_string()),
        };
        match self.store.find(&name) {
            Lookup::Unknown => {}
            Lookup::LookAlike => return self.refuse_look_alike(id, name),
            Lookup::Pending | Lookup::Known(_) => return self.refuse_taken(id, name),
        }
        let mut salt = [0; SALT_BYTES];
        if self.refuse_throttled(id) || !self.random(id, &mut salt) {
            return;
        }
        let rounds = self.lobby.config.hash_rounds;
        let purpose = Purpose::Register { conn: id, name: name.clone() };
        self.hash(id, name, password, salt, rounds, purpose);
    }

    pub(super) fn log_in(&mut self, id: ConnId, password: Password) {
        let Some(visit) = self.visit(id) else { return };
        let Step::LoggingIn { name } = &visit.step else { return };
        let name = name.clone();
        self.check_password(id, name, password, None);
    }

    /// Compares a password with what is stored, for a login or before a change of it.
    pub(super) fn check_password(
        &mut self,
        id: ConnId,
        name: Name,
        password: Password,
        change: Option<Box<NewPassword>>,
    ) {
        let Some(origin) = self.origin(id) else { return };
        if self.refuse_throttled(id) {
            return;
        }
        let stored = match self.store.find(&name) {
            Lookup::Known(stored) => Some(stored),
            Lookup::Pending if change.is_none() => return self.await_store(id, name, password),
            Lookup::Unknown | Lookup::LookAlike | Lookup::Pending => None,
        };
        let recognised = stored
            .as_ref()
            .and_then(|stored| self.gate.recognises(origin, &name, stored, &password, self.lobby.now));
        if recognised == Some(true) {
            return match (change, stored) {
                (Some(new), Some(verified)) => self.hash_new_password(id, name, password, verified, *new),
                _ => self.authenticate(id, name),
            };
        }
        let is_charged = recognised == Some(false);
        // A name that nobody has costs as many rounds as somebody's, so that the time does not tell; how many, is found
        // out for every name.
        let decoy = self.decoy_rounds(&name);
        let salt = stored.as_ref().map_or([0; SALT_BYTES], |stored| stored.salt);
        let rounds = stored.as_ref().map_or(decoy, |stored| stored.rounds);
        let purpose =
            Purpose::Login { conn: id, name: name.clone(), stored, is_charged, prepared: None, change };
        self.hash(id, name, password, salt, rounds, purpose);
    }

    fn decoy_rounds(&self, name: &Name) -> u32 {
        let number = self.gate.decoys.number(name, self.store.user_count());
        number.and_then(|number| self.store.rounds(number)).unwrap_or(self.lobby.config.hash_rounds)
    }

    pub(super) fn resume(&mut self, id: ConnId, presented: &[u8; TOKEN_BYTES]) {
        let Some(session) = self.lobby.sessions.resumable(presented) else {
            return self.lobby.refuse(id, Code::NoSuchSession, "no session has this token, or not any more");
        };
        let Some(token) = self.draw_token(id) else { return };
        let welcome = Zeroizing::new(*token.expose());
        let before = self.lobby.sessions.resume(session, presented, token, id);
        if let Some(before) = before {
            self.lobby.bye(before, "the session goes on in another connection", Why::TakenOver);
        }
        let Some(name) = self.lobby.sessions.session(session).map(|session| session.name().clone()) else {
            return;
        };
        self.admit(id, session);
        self.lobby.log_login("resumed", id, &name);
        self.lobby.send(id, &Reply::Welcome { token: &welcome, greeting: &format!("Hello again, {name}") });
    }

    /// The visit of a connection that is not yet authenticated.
    pub(super) fn visit(&mut self, id: ConnId) -> Option<&mut Visit> {
        match &mut self.lobby.connections.get_mut(id)?.stage {
            Stage::Visiting(visit) => Some(visit),
            _ => None,
        }
    }

    /// Puts a hash into the queue, unless the wait would be too long, or nobody will be there to hear of it.
    pub(super) fn hash(
        &mut self,
        id: ConnId,
        name: Name,
        password: Password,
        salt: [u8; SALT_BYTES],
        rounds: u32,
        purpose: Purpose,
    ) {
        if self.leave_finished(id) {
            return;
        }
        let Some(origin) = self.origin(id) else { return };
        let wait = self.gate.wait(origin, self.lobby.now);
        if wait > self.lobby.config.hash_wait {
            let explanation =
                seconds_first(wait, "until the passwords before this one are hashed; come back then");
            return self.lobby.refuse(id, Code::Busy, &explanation);
        }
        let job = self.push_job(Job { origin, password, salt, rounds, purpose });
        self.begin_waiting(id, name, Errand::Hash(job));
    }

    pub(super) fn push_job(&mut self, job: Job<Purpose>) -> JobId {
        if self.gate.hashing.is_empty() {
            self.gate.pace.begin(self.lobby.now);
        }
        self.gate.hashing.push(job)
    }

    fn begin_waiting(&mut self, id: ConnId, name: Name, errand: Errand) {
        let now = self.lobby.now;
        match self.lobby.connections.get_mut(id).map(|connection| &mut connection.stage) {
            Some(Stage::Visiting(visit)) => {
                visit.begin_waiting(name, errand, now);
                self.lobby.note_stranger(id, Some(StrangerState::Waiting));
            }
            Some(Stage::Authenticated { is_waiting, .. }) => {
                *is_waiting = true;
                if let Errand::Hash(job) = errand {
                    self.gate.change_jobs.insert(id, job);
                }
            }
            _ => {}
        }
        self.lobby.arm(id);
    }

    /// The password is seen to; false if nobody has waited.
    pub(super) fn end_waiting(&mut self, id: ConnId) -> bool {
        let now = self.lobby.now;
        let Some(connection) =
            self.lobby.connections.get_mut(id).filter(|connection| connection.is_waiting())
        else {
            return false;
        };
        match &mut connection.stage {
            Stage::Visiting(visit) => {
                visit.end_waiting(now);
                self.lobby.note_stranger(id, Some(StrangerState::Idle));
            }
            Stage::Authenticated { is_waiting, last_frame, .. } => {
                *is_waiting = false;
                *last_frame = now;
            }
            _ => {}
        }
        self.lobby.wake(id);
        true
    }

    pub(super) fn is_waiting(&self, id: ConnId) -> bool {
        self.lobby.connections.get(id).is_some_and(Connection::is_waiting)
    }

    /// The peer has closed its sending side before a frame that needs waiting: the frame and all after it are dropped.
    fn leave_finished(&mut self, id: ConnId) -> bool {
        let finished =
            self.lobby.connections.get(id).is_none_or(|connection| connection.input != Input::Open);
        if finished {
            self.lobby.begin_close(id, Why::ClosedByPeer);
        }
        finished
    }

    pub(super) fn refuse_throttled(&mut self, id: ConnId) -> bool {
        self.refuse_throttled_but(id, 0)
    }

    /// Refuses a connection whose origin owes too much, so many of its charges not counted; false if it does not.
    pub(super) fn refuse_throttled_but(&mut self, id: ConnId, charges: u32) -> bool {
        let Some(origin) = self.origin(id) else { return true };
        let Some(wait) = self.gate.throttle.wait_but(origin, charges, self.lobby.now) else { return false };
        let explanation =
            seconds_first(wait, "until this address may try again: too many wrong passwords came from it");
        self.lobby.refuse(id, Code::Throttled, &explanation);
        true
    }

    pub(super) fn refuse_taken(&mut self, id: ConnId, name: Name) {
        let explanation =
            format!("{name} was registered by somebody else meanwhile; log in with its password");
        self.lobby.refuse(id, Code::NameTaken, &explanation);
        if let Some(visit) = self.visit(id) {
            visit.step = Step::LoggingIn { name };
        }
        self.lobby.send(id, &Reply::PasswordWanted(Wanted::Login));
    }

    /// Another name with the same look was registered meanwhile.
    pub(super) fn refuse_look_alike(&mut self, id: ConnId, name: Name) {
        self.lobby.refuse(id, Code::BadName, &look_alike(&name));
        if let Some(visit) = self.visit(id) {
            visit.step = Step::Registering { name };
        }
    }

    fn await_store(&mut self, id: ConnId, name: Name, password: Password) {
        if self.leave_finished(id) {
            return;
        }
        self.begin_waiting(id, name.clone(), Errand::Store);
        self.gate.early_logins.entry(name).or_default().push(EarlyLogin { conn: id, password });
    }

    pub(super) fn authenticate(&mut self, id: ConnId, name: Name) {
        let Some(token) = self.draw_token(id) else { return };
        let Some(peer) = self.lobby.connections.get(id).map(|connection| connection.peer) else { return };
        let welcome = Zeroizing::new(*token.expose());
        let first = !self.lobby.sessions.has_any(&name);
        let session = self.lobby.sessions.open(name.clone(), token, id);
        self.admit(id, session);
        self.lobby.totals.logins += 1;
        self.lobby.log_login("logged in", id, &name);
        self.store.note_visitor(peer.ip(), &name);
        self.lobby.send(id, &Reply::Welcome { token: &welcome, greeting: &format!("Hello, {name}") });
        if first {
            self.lobby.changes.push_back(Change::Joined { session, name });
        }
    }

    fn admit(&mut self, id: ConnId, session: crate::auth::SessionId) {
        let last_frame = self.lobby.now;
        let admitted = self.lobby.fan_out.admit();
        self.lobby.note_stranger(id, None);
        if let Some(connection) = self.lobby.connections.get_mut(id) {
            let wrong_passwords = match &connection.stage {
                Stage::Visiting(visit) => visit.wrong_passwords,
                _ => 0,
            };
            let (is_paused, is_waiting, posts) = (false, false, 0);
            connection.stage = Stage::Authenticated {
                session,
                last_frame,
                is_paused,
                is_waiting,
                wrong_passwords,
                admitted,
                posts,
            };
        }
        self.lobby.pause_if_full(id, session);
        self.lobby.arm(id);
    }

    fn draw_token(&mut self, id: ConnId) -> Option<Token> {
        loop {
            let mut bytes = Zeroizing::new([0; TOKEN_BYTES]);
            if !self.random(id, &mut *bytes) {
                return None;
            }
            let token = Token::new(*bytes);
            if !self.lobby.sessions.is_taken(&token) {
                return Some(token);
            }
        }
    }

    /// Fills with random bytes; without them the connection cannot be served.
    pub(super) fn random(&mut self, id: ConnId, bytes: &mut [u8]) -> bool {
        let filled = self.entropy.fill(bytes);
        if let Err(EntropyError(reason)) = &filled {
            log::error!("no random bytes reason={reason:?}");
            self.lobby.refuse(id, Code::Internal, "the server has no random bytes");
        }
        filled.is_ok()
    }
}

fn look_alike(name: &Name) -> String {
    format!("{name} can be taken for the name of somebody else; choose another")
}

/// An explanation that begins with the seconds to wait, as Throttled and Busy do; at least one.
pub(super) fn seconds_first(wait: Duration, explanation: &str) -> String {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    format!("{} s {explanation}", seconds.max(1))
}
