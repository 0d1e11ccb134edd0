//! What follows when a hash is done and when the store has answered.

use super::connection::Stage;
use super::gate::{HashedChange, NewPassword, Purpose, Storing};
use super::{ConnId, Engine, EntropyError};
use crate::auth::conversation::{Errand, Step};
use crate::auth::hash_queue::Job;
use crate::auth::{Name, Origin, Password, PasswordHash};
use crate::limits::{HASH_BYTES, SALT_BYTES};
use crate::protocol::{Code, Reply, Wanted};
use crate::store::{Lookup, Store};
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
            let (rounds, finished) = self.gate.hashing.advance(most - done);
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
                Storing::NewPassword(hashed) => self.finish_change(hashed, completion.outcome),
            }
        }
    }

    /// Starts the next job that is still wanted; false if there is none, or no lane for it.
    fn start_next_hash(&mut self) -> bool {
        while let Some((id, job)) = self.gate.take_next_job(self.lobby.now) {
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
                self.gate.hashing.start((id, job));
                return true;
            }
        }
        false
    }

    fn finish_hash(&mut self, job: Job<Purpose>, hash: [u8; HASH_BYTES]) {
        let Job { origin, password, salt, rounds, purpose } = job;
        let hashed = PasswordHash { rounds, salt, hash };
        match purpose {
            Purpose::Register { conn, name } => self.store_user(conn, name, password, hashed),
            Purpose::Login { conn, name, stored, is_charged, prepared, change } => {
                self.gate.change_jobs.remove(&conn);
                let right = stored.as_ref().is_some_and(|stored| stored.hash.ct_eq(&hashed.hash).into());
                if !right {
                    if !is_charged {
                        self.gate.throttle.charge(origin, self.lobby.now);
                    }
                    let Some(typed) = password.as_typed() else { return self.refuse_password(conn, &name) };
                    let prepared = Some(password);
                    // One guess, one charge, whatever it takes to judge it.
                    let purpose = Purpose::Login { conn, name, stored, is_charged: true, prepared, change };
                    return self.hash_more(conn, Job { origin, password: typed, salt, rounds, purpose });
                }
                let is_outdated = prepared.is_some() || rounds != self.lobby.config.hash_rounds;
                let password = prepared.unwrap_or(password);
                if !self.has_record(&name, &hashed) {
                    return self.check_again(conn, name, password, change);
                }
                self.gate.cache.remember(&name, &hashed, &password, self.lobby.now);
                if let Some(new) = change {
                    return self.hash_new_password(conn, name, password, hashed, *new);
                }
                self.end_waiting(conn);
                self.authenticate(conn, name.clone());
                if is_outdated {
                    self.rehash(origin, name, password, hashed);
                }
            }
            Purpose::NewPassword(change) => {
                self.gate.change_jobs.remove(&change.conn);
                self.store_new_password(HashedChange { change, new: password, hash: hashed });
            }
            Purpose::Rehash { name, replaces } => self.store_rehash(name, &replaces, hashed),
        }
    }

    pub(super) fn has_record(&self, name: &Name, record: &PasswordHash) -> bool {
        matches!(self.store.find(name), Lookup::Known(stored) if stored == *record)
    }

    /// Hashes something more for whoever waits already, and goes on waiting.
    pub(super) fn hash_more(&mut self, id: ConnId, job: Job<Purpose>) {
        if !self.is_waiting(id) {
            return;
        }
        let job = self.push_job(job);
        if let Some(visit) = self.visit(id)
            && let Step::Waiting(waiting) = &mut visit.step
        {
            waiting.errand = Errand::Hash(job);
        } else {
            self.gate.change_jobs.insert(id, job);
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
        if !self.has_record(&name, replaces) || self.gate.changing.contains_key(&name) {
            self.gate.rehashing.remove(&name);
            return;
        }
        let ticket = self.gate.ticket(Storing::Rehash { name: name.clone() });
        self.store.rehash(ticket, name, hash);
    }

    fn store_user(&mut self, id: ConnId, name: Name, password: Password, hash: PasswordHash) {
        match self.store.find(&name) {
            Lookup::Pending | Lookup::Known(_) => {
                self.end_waiting(id);
                return self.refuse_taken(id, name);
            }
            Lookup::LookAlike => {
                self.end_waiting(id);
                return self.refuse_look_alike(id, name);
            }
            Lookup::Unknown => {}
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
        let here = self.end_waiting(id);
        match stored {
            Ok(hash) => {
                self.gate.cache.remember(name, &hash, password, self.lobby.now);
                if here {
                    self.lobby.log_registration(id, name);
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
            if self.end_waiting(early.conn) {
                self.log_in(early.conn, early.password);
            }
        }
    }

    fn refuse_password(&mut self, id: ConnId, name: &Name) {
        if !self.end_waiting(id) {
            return;
        }
        self.lobby.log_wrong_password(id, name);
        let max_attempts = self.lobby.config.max_attempts;
        let wrong_passwords = match self.lobby.connections.get_mut(id).map(|connection| &mut connection.stage)
        {
            Some(Stage::Visiting(visit)) => &mut visit.wrong_passwords,
            Some(Stage::Authenticated { wrong_passwords, .. }) => wrong_passwords,
            _ => return,
        };
        *wrong_passwords += 1;
        if *wrong_passwords >= max_attempts {
            self.lobby.refuse(id, Code::TooManyAttempts, "too many wrong passwords in one connection");
        } else {
            self.lobby.refuse(id, Code::WrongPassword, "wrong password");
        }
    }

    fn rehash(&mut self, origin: Origin, name: Name, password: Password, replaces: PasswordHash) {
        let mut salt = [0; SALT_BYTES];
        let wait = self.gate.wait(origin, self.lobby.now);
        if wait > self.lobby.config.hash_wait || !self.gate.rehashing.insert(name.clone()) {
            return;
        }
        if let Err(EntropyError(reason)) = self.entropy.fill(&mut salt) {
            self.gate.rehashing.remove(&name);
            return log::error!("rehash given up name={name} reason={reason:?}");
        }
        let rounds = self.lobby.config.hash_rounds;
        self.push_job(Job { origin, password, salt, rounds, purpose: Purpose::Rehash { name, replaces } });
    }
}
