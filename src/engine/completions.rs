//! What is stored, and what follows when the store has answered.

use super::admission::Storing;
use super::{ConnId, Engine};
use crate::auth::conversation::{LoginState, PendingWork};
use crate::auth::{Name, Password, PasswordHash};
use crate::protocol::{Code, Reply, Wanted};
use crate::store::{Failure, Lookup, Store};
use log::Level;

impl<S: Store> Engine<S> {
    /// Carries out what the store has answered.
    pub(super) fn take_completions(&mut self) {
        while let Some((origin, owed)) = self.store.poll_debt() {
            self.admission.throttle.raise(origin, owed, self.registry.now);
        }
        // Before a login that has waited for the store is let in, which is sent what comes next.
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

    pub(super) fn has_record(&self, name: &Name, record: &PasswordHash) -> bool {
        match self.store.find(name) {
            Lookup::Known(stored) => stored == *record,
            // Where it is kept that is found out when it counts.
            Lookup::Elsewhere => true,
            _ => false,
        }
    }

    /// A new hash of an old password must not undo a change of it.
    pub(super) fn store_rehash(&mut self, name: Name, replaces: &PasswordHash, hash: PasswordHash) {
        if !self.has_record(&name, replaces) || self.admission.changing.contains_key(&name) {
            self.admission.rehashing.remove(&name);
            return;
        }
        let ticket = self.admission.ticket(Storing::Rehash { name: name.clone() });
        self.store.replace(ticket, name, hash, replaces);
    }

    pub(super) fn store_user(&mut self, id: ConnId, name: Name, password: Password, hash: PasswordHash) {
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

    /// A registration is stored, or not: the logins that have waited for it go on.
    pub(super) fn judge_early_logins(&mut self, name: &Name) {
        for early in self.admission.early_logins.remove(name).unwrap_or_default() {
            if self.end_waiting(early.conn) {
                self.log_in(early.conn, early.password);
            }
        }
    }
}
