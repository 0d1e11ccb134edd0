//! What follows when a hash is done and when the store has answered.

use super::admission::{HashedChange, NewPassword, Purpose, Storing};
use super::connection::Connection;
use super::{ConnId, Engine, EntropyError};
use crate::auth::conversation::{LoginState, PendingWork};
use crate::auth::hash_queue::Job;
use crate::auth::{Name, Origin, Password, PasswordHash};
use crate::limits::{HASH_BYTES, SALT_BYTES};
use crate::protocol::{Code, Reply, Wanted};
use crate::store::{Failure, Lookup, Store};
use log::Level;
use subtle::ConstantTimeEq;

impl<S: Store> Engine<S> {
    /// Advances the hashes under way and starts more while there are lanes; gives up when as much was done as `most`
    /// rounds of one hash are, and says how much it was.
    pub(super) fn hash_rounds(&mut self, most: u32) -> u32 {
        let mut done = 0;
        while done < most {
            if self.start_next_hash() {
                // The first round is done at the start.
                done += 1;
                continue;
            }
            let (rounds, finished) = self.admission.hashing.advance(most - done);
            if rounds == 0 && finished.is_empty() {
                break;
            }
            done += rounds;
            for (job, hash) in finished {
                self.finish_hash(job, hash);
            }
        }
        done
    }

    /// Carries out what the store has answered.
    pub(super) fn take_completions(&mut self) {
        while let Some((origin, owed)) = self.store.poll_debt() {
            self.admission.throttle.raise(origin, owed, self.registry.now);
        }
        // Before whoever has joined is let in, and hears of it.
        self.take_news();
        self.take_fetched();
        while let Some(completion) = self.store.poll_completion() {
            let Some(storing) = self.admission.storing.remove(&completion.ticket) else { continue };
            match storing {
                Storing::Registration { conn, name, password, hash } => {
                    let stored = completion.outcome.map(|()| hash);
                    self.finish_registration(conn, &name, &password, stored);
                }
                Storing::Rehash { name } => {
                    self.admission.rehashing.remove(&name);
                    match completion.outcome {
                        // The record that the cache vouched for is no more.
                        Ok(()) => self.admission.cache.forget(&name),
                        Err(Failure::Changed) => {}
                        Err(reason) => {
                            let reason = reason.to_string();
                            log_event!(Level::Error, "rehash not stored", name = %name, reason = ?reason);
                        }
                    }
                }
                Storing::NewPassword(hashed) => self.finish_change(hashed, completion.outcome),
                Storing::NewUser { command, name } => {
                    self.finish_new_user(command, &name, completion.outcome);
                }
                Storing::Account { command, name, work } => {
                    self.finish_account(command, name, &work, completion.outcome);
                }
                Storing::Import { command, count } => self.finish_import(command, count, completion.outcome),
            }
        }
    }

    /// Starts the next job that is still wanted; false if there is none, or no lane for it.
    fn start_next_hash(&mut self) -> bool {
        while let Some((id, job)) = self.admission.take_next_job(self.registry.now) {
            let is_refused = match job.purpose {
                Purpose::Rehash { .. } => false,
                Purpose::Register { conn, .. } => self.refuse_throttled(conn),
                Purpose::NewPassword(ref change) => self.refuse_throttled(change.conn),
                // What was charged for this very login does not stand in its way.
                Purpose::Login { conn, is_charged, .. } => {
                    self.refuse_throttled_but(conn, u32::from(is_charged))
                }
            };
            if !is_refused {
                self.admission.hash_times.note_begun(&job, self.registry.now);
                self.admission.hashing.start((id, job));
                return true;
            }
        }
        false
    }

    fn finish_hash(&mut self, job: Job<Purpose>, hash: [u8; HASH_BYTES]) {
        self.admission.hash_times.note_done(&job, self.registry.now);
        let Job { origin, password, salt, rounds, purpose, .. } = job;
        self.registry.totals.hash_rounds += u64::from(rounds);
        let hashed = PasswordHash { rounds, salt, hash };
        match purpose {
            Purpose::Register { conn, name } => self.store_user(conn, name, password, hashed),
            Purpose::Login { conn, name, stored, is_charged, prepared, change } => {
                self.admission.change_jobs.remove(&conn);
                let right = stored.as_ref().is_some_and(|stored| stored.hash.ct_eq(&hashed.hash).into());
                if !right {
                    if !is_charged {
                        self.admission.throttle.charge(origin, self.registry.now);
                    }
                    let Some(typed) = password.as_typed() else { return self.refuse_password(conn, &name) };
                    let prepared = Some(password);
                    // One guess, one charge, whatever it takes to judge it.
                    let purpose = Purpose::Login { conn, name, stored, is_charged: true, prepared, change };
                    let (password, asked) = (typed, self.registry.now);
                    return self.hash_more(conn, Job { origin, password, salt, rounds, asked, purpose });
                }
                let is_outdated = prepared.is_some() || rounds != self.registry.config.hash_rounds;
                let password = prepared.unwrap_or(password);
                if !self.has_record(&name, &hashed) {
                    return self.check_again(conn, name, password, change);
                }
                self.admission.cache.remember(&name, &hashed, &password, self.registry.now);
                if let Some(new) = change {
                    return self.hash_new_password(conn, name, password, hashed, *new);
                }
                self.end_waiting(conn);
                self.authenticate(conn, name.clone(), &hashed, password.clone(), false);
                if is_outdated {
                    self.rehash(origin, name, password, hashed);
                }
            }
            Purpose::NewPassword(change) => {
                self.admission.change_jobs.remove(&change.conn);
                self.store_new_password(HashedChange { change, new: password, hash: hashed });
            }
            Purpose::Rehash { name, replaces } => self.store_rehash(name, &replaces, hashed),
        }
    }

    pub(super) fn has_record(&self, name: &Name, record: &PasswordHash) -> bool {
        match self.store.find(name) {
            Lookup::Known(stored) => stored == *record,
            // Where it is kept that is found out when it counts.
            Lookup::Elsewhere => true,
            _ => false,
        }
    }

    /// Hashes something more for whoever waits already, and goes on waiting.
    pub(super) fn hash_more(&mut self, id: ConnId, job: Job<Purpose>) {
        if !self.is_waiting(id) {
            return;
        }
        let job = self.push_job(job);
        match self.unauthenticated(id) {
            Some(unauthenticated) => unauthenticated.go_on_waiting(PendingWork::Hash(job)),
            None => {
                self.admission.change_jobs.insert(id, job);
            }
        }
    }

    /// The password was right for a record that was replaced while it was hashed.
    fn check_again(&mut self, id: ConnId, name: Name, password: Password, change: Option<Box<NewPassword>>) {
        if self.end_waiting(id) {
            self.check_password(id, name, password, change);
        }
    }

    /// A new hash of an old password must not undo a change of it.
    fn store_rehash(&mut self, name: Name, replaces: &PasswordHash, hash: PasswordHash) {
        if !self.has_record(&name, replaces) || self.admission.changing.contains_key(&name) {
            self.admission.rehashing.remove(&name);
            return;
        }
        let ticket = self.admission.ticket(Storing::Rehash { name: name.clone() });
        self.store.replace(ticket, name, hash, replaces);
    }

    fn store_user(&mut self, id: ConnId, name: Name, password: Password, hash: PasswordHash) {
        match self.store.find(&name) {
            Lookup::Pending | Lookup::Known(_) | Lookup::Disabled(_) => {
                self.end_waiting(id);
                return self.refuse_taken(id, name);
            }
            Lookup::LookAlike => {
                self.end_waiting(id);
                return self.refuse_look_alike(id, name);
            }
            Lookup::Unknown | Lookup::Elsewhere => {}
        }
        if let Some(unauthenticated) = self.unauthenticated(id) {
            unauthenticated.go_on_waiting(PendingWork::Store);
        }
        let storing = Storing::Registration { conn: id, name: name.clone(), password, hash: hash.clone() };
        let ticket = self.admission.ticket(storing);
        self.store.register(ticket, name, hash);
    }

    fn finish_registration(
        &mut self,
        id: ConnId,
        name: &Name,
        password: &Password,
        stored: Result<PasswordHash, Failure>,
    ) {
        let here = self.end_waiting(id);
        match stored {
            Ok(hash) => {
                self.admission.cache.remember(name, &hash, password, self.registry.now);
                self.end_sessions_before(name);
                if here {
                    self.registry.log_registration(id, name);
                    self.registry.send(id, &Reply::PasswordWanted(Wanted::Login));
                } else {
                    log_event!(Level::Info, "registered", name = %name; "its client has gone");
                }
            }
            Err(Failure::Taken) if here => self.refuse_taken(id, name.clone()),
            Err(Failure::LookAlike) if here => self.refuse_look_alike(id, name.clone()),
            Err(Failure::Away) if here => self.refuse_away(id),
            Err(reason) => {
                self.registry.log_not_stored(id, name, &reason.to_string());
                if let Some(unauthenticated) = self.unauthenticated(id).filter(|_| here) {
                    unauthenticated.login = LoginState::Registering { name: name.clone() };
                }
                self.registry.refuse(
                    id,
                    Code::StorageFailed,
                    "the server could not store it; nothing was registered",
                );
            }
        }
        self.judge_early_logins(name);
    }

    /// A registration is stored, or not: whoever wanted to log in by it meanwhile does now.
    pub(super) fn judge_early_logins(&mut self, name: &Name) {
        for early in self.admission.early_logins.remove(name).unwrap_or_default() {
            if self.end_waiting(early.conn) {
                self.log_in(early.conn, early.password);
            }
        }
    }

    fn refuse_password(&mut self, id: ConnId, name: &Name) {
        if !self.end_waiting(id) {
            return;
        }
        self.registry.totals.wrong_passwords += 1;
        self.registry.log_wrong_password(id, name);
        let max_attempts = self.registry.config.max_attempts;
        let connection = self.registry.connections.get_mut(id);
        let Some(wrong_passwords) = connection.and_then(Connection::count_wrong_password) else { return };
        if wrong_passwords >= max_attempts {
            self.registry.refuse(id, Code::TooManyAttempts, "too many wrong passwords in one connection");
        } else {
            self.registry.refuse(id, Code::WrongPassword, "wrong password");
        }
    }

    fn rehash(&mut self, origin: Origin, name: Name, password: Password, replaces: PasswordHash) {
        let mut salt = [0; SALT_BYTES];
        let wait = self.admission.wait(origin, false, self.registry.now);
        if wait > self.registry.config.hash_wait || !self.admission.rehashing.insert(name.clone()) {
            return;
        }
        if let Err(EntropyError(reason)) = self.entropy.fill(&mut salt) {
            self.admission.rehashing.remove(&name);
            log_event!(Level::Error, "rehash given up", name = %name, reason = ?reason);
            return;
        }
        let rounds = self.registry.config.hash_rounds;
        let (asked, purpose) = (self.registry.now, Purpose::Rehash { name, replaces });
        self.push_job(Job { origin, password, salt, rounds, asked, purpose });
    }
}
