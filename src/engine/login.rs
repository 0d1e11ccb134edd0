//! The way in: identify, register, log in.

use super::admission::{EarlyLogin, NewPassword, Purpose};
use super::close_reason::CloseReason;
use super::connection::Connection;
use super::fetches::{Fetch, is_somebodys};
use super::registry::Registry;
use super::{ConnId, Engine, EntropyError};
use crate::auth::conversation::{FetchedRecord, LoginState, PendingWork, Unauthenticated};
use crate::auth::hash_queue::{Job, JobId};
use crate::auth::{Name, Password};
use crate::limits::{SALT_BYTES, STORE_REPLY};
use crate::protocol::{Code, Reply, Wanted};
use crate::store::{Lookup, Store};
use log::Level;
use std::time::Duration;

impl<S: Store> Engine<S> {
    pub(super) fn identify(&mut self, id: ConnId, name: &str) {
        let name = match Name::meant(name, |name| is_somebodys(&self.store.find(name))) {
            Ok(name) => name,
            Err(rule) => return self.registry.refuse(id, Code::BadName, &rule.to_string()),
        };
        match self.store.find(&name) {
            Lookup::Elsewhere => self.fetch(&name.clone(), Fetch::Identify { conn: id, name }),
            found => self.want_password(id, name, &found, None),
        }
    }

    /// Answers Identify by what was fetched of its name. That serves for the login as well if it comes at once: a round
    /// trip less, and no more is missed than while a reply is under way. The session is opened only if it is still so. Names
    /// that nobody has spare the trip too, so that the time does not tell.
    pub(super) fn want_fetched_password(&mut self, id: ConnId, name: Name, found: &Lookup) {
        let (password, is_disabled) = match found {
            Lookup::Known(password) => (Some(password.clone()), false),
            Lookup::Disabled(password) => (Some(password.clone()), true),
            Lookup::Unknown | Lookup::LookAlike | Lookup::Pending | Lookup::Elsewhere => (None, false),
        };
        let good_until = self.registry.now + STORE_REPLY;
        self.want_password(id, name, found, Some(FetchedRecord { password, is_disabled, good_until }));
    }

    /// Answers Identify by what is known of its name.
    fn want_password(&mut self, id: ConnId, name: Name, found: &Lookup, fetched: Option<FetchedRecord>) {
        let wanted = match found {
            Lookup::Unknown if self.registry.config.registration_open => Wanted::Register,
            Lookup::LookAlike if self.registry.config.registration_open => {
                return self.registry.refuse(id, Code::BadName, &look_alike(&name));
            }
            _ => Wanted::Login,
        };
        if let Some(unauthenticated) = self.unauthenticated(id) {
            unauthenticated.login = match wanted {
                Wanted::Register => LoginState::Registering { name },
                Wanted::Login => LoginState::LoggingIn { name, fetched: fetched.map(Box::new) },
            };
        }
        self.registry.send(id, &Reply::PasswordWanted(wanted));
    }

    pub(super) fn register(&mut self, id: ConnId, password: &str) {
        let max_attempts = self.registry.config.max_attempts;
        let Some(unauthenticated) = self.unauthenticated(id) else { return };
        let LoginState::Registering { name } = &unauthenticated.login else { return };
        let name = name.clone();
        unauthenticated.registrations += 1;
        if unauthenticated.registrations > max_attempts {
            return self.registry.refuse(
                id,
                Code::TooManyAttempts,
                "too many registrations in one connection",
            );
        }
        let password = match Password::chosen(password, self.registry.config.min_password_characters) {
            Ok(password) => password,
            Err(rule) => return self.registry.refuse(id, Code::WeakPassword, &rule.to_string()),
        };
        match self.store.find(&name) {
            // Where it is kept that is found out when it is stored.
            Lookup::Unknown | Lookup::Elsewhere => {}
            Lookup::LookAlike => return self.refuse_look_alike(id, name),
            Lookup::Pending | Lookup::Known(_) | Lookup::Disabled(_) => return self.refuse_taken(id, name),
        }
        let mut salt = [0; SALT_BYTES];
        if self.refuse_throttled(id) || !self.random(id, &mut salt) {
            return;
        }
        let rounds = self.registry.config.hash_rounds;
        let purpose = Purpose::Register { conn: id, name: name.clone() };
        self.hash(id, name, password, salt, rounds, purpose);
    }

    pub(super) fn log_in(&mut self, id: ConnId, password: Password) {
        let now = self.registry.now;
        let Some(unauthenticated) = self.unauthenticated(id) else { return };
        let LoginState::LoggingIn { name, fetched } = &mut unauthenticated.login else { return };
        let (name, fetched) = (name.clone(), fetched.take());
        let Some(record) = fetched.filter(|record| now < record.good_until) else {
            return self.check_password(id, name, password, None);
        };
        let found = match record.password {
            Some(stored) if record.is_disabled => Lookup::Disabled(stored),
            Some(stored) => Lookup::Known(stored),
            None => Lookup::Unknown,
        };
        self.check_against(id, name, password, None, found);
    }

    /// Compares a password with what is stored, for a login or before a change of it.
    pub(super) fn check_password(
        &mut self,
        id: ConnId,
        name: Name,
        password: Password,
        change: Option<Box<NewPassword>>,
    ) {
        match self.store.find(&name) {
            Lookup::Elsewhere if self.refuse_throttled(id) => {}
            Lookup::Elsewhere => {
                self.fetch(&name.clone(), Fetch::Password { conn: id, name, password, change });
            }
            found => self.check_against(id, name, password, change, found),
        }
    }

    /// Compares a password with what is known of the name.
    pub(super) fn check_against(
        &mut self,
        id: ConnId,
        name: Name,
        password: Password,
        change: Option<Box<NewPassword>>,
        found: Lookup,
    ) {
        let Some(origin) = self.origin(id) else { return };
        if self.refuse_throttled(id) {
            return;
        }
        let (stored, disabled) = match found {
            Lookup::Known(stored) => (Some(stored), None),
            // It is hashed like any other, and no password is right.
            Lookup::Disabled(record) => (None, Some(record)),
            Lookup::Pending if change.is_none() => return self.await_store(id, name, password),
            Lookup::Unknown | Lookup::LookAlike | Lookup::Pending | Lookup::Elsewhere => (None, None),
        };
        let is_exempt = self.is_exempt(id);
        let recognised = stored.as_ref().and_then(|stored| {
            let charged = (!is_exempt).then_some(origin);
            self.admission.recognises(charged, &name, stored, &password, self.registry.now)
        });
        if recognised == Some(true) {
            return match (change, stored) {
                (Some(new), Some(verified)) => self.hash_new_password(id, name, password, verified, *new),
                (_, Some(verified)) => self.authenticate(id, name, &verified, password, true),
                (_, None) => {}
            };
        }
        let is_charged = is_exempt || recognised == Some(false);
        // A name that nobody has costs as many rounds as somebody's, so that the time does not tell; how many, is found
        // out for every name.
        let decoy = self.decoy_rounds(&name);
        let record = stored.as_ref().or(disabled.as_ref());
        let salt = record.map_or([0; SALT_BYTES], |record| record.salt);
        let rounds = record.map_or(decoy, |record| record.rounds);
        let purpose =
            Purpose::Login { conn: id, name: name.clone(), stored, is_charged, prepared: None, change };
        self.hash(id, name, password, salt, rounds, purpose);
    }

    fn decoy_rounds(&self, name: &Name) -> u32 {
        // Removed users go on counting: the costs of unknown names must not change by a removal.
        let users = self.store.user_count().max(self.store.accounts_end());
        let number = self.admission.decoys.number(name, users);
        number.and_then(|number| self.store.rounds(number)).unwrap_or(self.registry.config.hash_rounds)
    }

    /// How far a connection's client is on the way to a session; `None` if it has one, or is going.
    pub(super) fn unauthenticated(&mut self, id: ConnId) -> Option<&mut Unauthenticated> {
        self.registry.connections.get_mut(id)?.unauthenticated()
    }

    /// Puts a hash into the queue, unless the wait would be too long, or the peer has closed its sending side.
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
        let wait = self.admission.wait(origin, self.is_exempt(id), self.registry.now);
        if wait > self.registry.config.hash_wait {
            let explanation =
                seconds_first(wait, "until the passwords before this one are hashed; come back then");
            return self.registry.refuse(id, Code::Busy, &explanation);
        }
        let asked = self.registry.now;
        let job = self.push_job(Job { origin, password, salt, rounds, asked, purpose });
        self.registry.begin_waiting(id, Some(name), PendingWork::Hash(job));
        if self.registry.connections.get(id).and_then(Connection::session).is_some() {
            self.admission.change_jobs.insert(id, job);
        }
    }

    pub(super) fn push_job(&mut self, job: Job<Purpose>) -> JobId {
        if self.admission.hashing.is_empty() {
            self.admission.hash_rate.begin(self.registry.now);
        }
        self.admission.hashing.push(job)
    }

    /// What a connection has waited for is there; false if it has not waited, or is gone.
    pub(super) fn end_waiting(&mut self, id: ConnId) -> bool {
        self.registry.end_waiting(id)
    }

    pub(super) fn is_waiting(&self, id: ConnId) -> bool {
        self.registry.connections.get(id).is_some_and(Connection::is_waiting)
    }

    /// The peer has closed its sending side before a frame that needs waiting: the frame and all after it are dropped.
    fn leave_finished(&mut self, id: ConnId) -> bool {
        let finished = self.registry.connections.get(id).is_none_or(Connection::is_half_closed);
        if finished {
            self.registry.begin_close(id, CloseReason::ClosedByPeer);
        }
        finished
    }

    /// Whether no penalty is put on a connection's address.
    pub(super) fn is_exempt(&self, id: ConnId) -> bool {
        let Registry { connections, config, .. } = &self.registry;
        // Nearly always no network is exempt, and then the connection is not even looked up.
        !config.exempt.is_empty()
            && connections.get(id).is_some_and(|connection| config.exempts(connection.peer().ip()))
    }

    pub(super) fn refuse_throttled(&mut self, id: ConnId) -> bool {
        self.refuse_throttled_but(id, 0)
    }

    /// Refuses a connection whose origin owes too much, so many of its charges not counted; false if it does not.
    pub(super) fn refuse_throttled_but(&mut self, id: ConnId, charges: u32) -> bool {
        let Some(origin) = self.origin(id) else { return true };
        if self.is_exempt(id) {
            return false;
        }
        let Some(wait) = self.admission.throttle.wait_but(origin, charges, self.registry.now) else {
            return false;
        };
        let explanation =
            seconds_first(wait, "until this address may try again: too many wrong passwords came from it");
        self.registry.totals.throttled += 1;
        self.registry.refuse(id, Code::Throttled, &explanation);
        true
    }

    pub(super) fn refuse_taken(&mut self, id: ConnId, name: Name) {
        let explanation =
            format!("{name} was registered by somebody else meanwhile; log in with its password");
        self.registry.refuse(id, Code::NameTaken, &explanation);
        if let Some(unauthenticated) = self.unauthenticated(id) {
            unauthenticated.login = LoginState::LoggingIn { name, fetched: None };
        }
        self.registry.send(id, &Reply::PasswordWanted(Wanted::Login));
    }

    /// Another name with the same look was registered meanwhile.
    pub(super) fn refuse_look_alike(&mut self, id: ConnId, name: Name) {
        self.registry.refuse(id, Code::BadName, &look_alike(&name));
        if let Some(unauthenticated) = self.unauthenticated(id) {
            unauthenticated.login = LoginState::Registering { name };
        }
    }

    fn await_store(&mut self, id: ConnId, name: Name, password: Password) {
        if self.leave_finished(id) {
            return;
        }
        self.registry.begin_waiting(id, Some(name.clone()), PendingWork::Store);
        self.admission.early_logins.entry(name).or_default().push(EarlyLogin { conn: id, password });
    }

    /// Fills with random bytes; without them the connection cannot be served.
    pub(super) fn random(&mut self, id: ConnId, bytes: &mut [u8]) -> bool {
        let filled = self.entropy.fill(bytes);
        if let Err(EntropyError(reason)) = &filled {
            log_event!(Level::Error, "no random bytes", reason = ?reason);
            self.registry.refuse(id, Code::Internal, "the server has no random bytes");
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
