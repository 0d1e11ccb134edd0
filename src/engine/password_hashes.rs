//! Passwords are hashed in shares, and what follows when a hash is done; what a wrong password costs.

use super::admission::{Admission, HashedChange, NewPassword, Purpose};
use super::connection::Connection;
use super::{ConnId, Engine, EntropyError};
use crate::Moment;
use crate::auth::conversation::PendingWork;
use crate::auth::hash_queue::Job;
use crate::auth::{Name, Origin, Password, PasswordHash};
use crate::limits::{HASH_BYTES, SALT_BYTES};
use crate::protocol::Code;
use crate::store::Store;
use log::Level;
use subtle::ConstantTimeEq;

impl Admission {
    /// Charges an origin for a wrong password. One is found by a hash that is done, by the login cache, which knew another
    /// password, or when a client leaves while its password is hashed: it will never be known to be right.
    pub(super) fn charge_wrong_password(&mut self, origin: Origin, now: Moment) {
        self.throttle.charge(origin, now);
    }
}

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
                        self.admission.charge_wrong_password(origin, self.registry.now);
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

    /// Hashes something more for a connection that waits already, and goes on waiting.
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
