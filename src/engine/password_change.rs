//! A user's next password: the old one is checked as at a login, the new one hashed and stored, and then the user's other
//! sessions end.

use super::admission::{HashedChange, NewPassword, PasswordChange, Purpose, Storing, WaitingChange};
use super::close_reason::CloseReason;
use super::{ConnId, Engine};
use crate::auth::hash_queue::Job;
use crate::auth::{Name, Password, PasswordHash, SessionId};
use crate::limits::{SALT_BYTES, TOKEN_BYTES};
use crate::protocol::{Code, Reply};
use crate::store::{Became, EndReason, Failure, Store};
use log::Level;

impl<S: Store> Engine<S> {
    pub(super) fn change_password(
        &mut self,
        id: ConnId,
        session: Option<SessionId>,
        token: &[u8; TOKEN_BYTES],
        old: &[u8],
        new: &[u8],
    ) {
        let Some(session) = self.own_session(id, session, token) else { return };
        let Some(name) = self.registry.sessions.session(session).map(|own| own.name().clone()) else {
            return;
        };
        if self.text(id, old).is_none() {
            return;
        }
        let Some(new) = self.text(id, new) else { return };
        let new = match Password::chosen(new, self.registry.config.min_password_characters) {
            Ok(password) => NewPassword { session, password },
            Err(rule) => return self.registry.refuse(id, Code::WeakPassword, &rule.to_string()),
        };
        self.check_password(id, name, Password::new(old), Some(Box::new(new)));
    }

    /// The old password was right for this record.
    pub(super) fn hash_new_password(
        &mut self,
        conn: ConnId,
        name: Name,
        old: Password,
        verified: PasswordHash,
        new: NewPassword,
    ) {
        let Some(origin) = self.origin(conn) else { return };
        let mut salt = [0; SALT_BYTES];
        if !self.random(conn, &mut salt) {
            return;
        }
        let rounds = self.registry.config.hash_rounds;
        let NewPassword { session, password } = new;
        let change = PasswordChange { conn, session, name: name.clone(), old, verified };
        let purpose = Purpose::NewPassword(Box::new(change));
        if self.is_waiting(conn) {
            // It has waited for the old one, and is not sent away now.
            let asked = self.registry.now;
            self.hash_more(conn, Job { origin, password, salt, rounds, asked, purpose });
        } else {
            self.hash(conn, name, password, salt, rounds, purpose);
        }
    }

    /// The new password is hashed. One of a name is stored at a time: when that is done the others are judged again.
    pub(super) fn store_new_password(&mut self, hashed: HashedChange) {
        let PasswordChange { conn, session, name, verified, .. } = &*hashed.change;
        // A session that was ended has a connection until what was said before has been handed out.
        if !self.is_waiting(*conn) || self.registry.sessions.session(*session).is_none() {
            return;
        }
        if let Some(others) = self.admission.changing.get_mut(name) {
            return others.push(WaitingChange::Password(hashed));
        }
        if !self.has_record(name, verified) {
            return self.check_old_again(*hashed.change, hashed.new);
        }
        let (name, hash, verified) = (name.clone(), hashed.hash.clone(), verified.clone());
        self.admission.changing.insert(name.clone(), Vec::new());
        let ticket = self.admission.ticket(Storing::NewPassword(hashed));
        self.store.replace(ticket, name, hash, &verified);
    }

    /// The old password was right for a record that was replaced meanwhile.
    fn check_old_again(&mut self, change: PasswordChange, new: Password) {
        let PasswordChange { conn, session, name, old, .. } = change;
        if self.end_waiting(conn) {
            self.check_password(conn, name, old, Some(Box::new(NewPassword { session, password: new })));
        }
    }

    pub(super) fn finish_change(&mut self, hashed: HashedChange, stored: Result<(), Failure>) {
        let HashedChange { change, new, hash } = hashed;
        if stored == Err(Failure::Changed) {
            let name = change.name.clone();
            self.check_old_again(*change, new);
            return self.judge_waiting_changes(&name);
        }
        let PasswordChange { conn, session, name, .. } = *change;
        let is_here = self.end_waiting(conn);
        match stored {
            Ok(()) => {
                // In place of what was known of the record before.
                self.admission.cache.remember(&name, &hash, &new, self.registry.now);
                if is_here {
                    self.registry.log_login("password changed", conn, &name);
                    self.registry.send(conn, &Reply::PasswordChanged);
                } else {
                    log_event!(Level::Info, "password changed", name = %name; "its client has gone");
                }
                let reason = "the password was changed in another session";
                self.registry.end_other_sessions(&name, session, reason, CloseReason::PasswordChanged);
                self.end_elsewhere(&name, EndReason::PasswordChanged);
            }
            Err(Failure::Away) => {
                self.end_if(&name, Became::Password(&hash), EndReason::PasswordChanged);
                if is_here {
                    self.refuse_away(conn);
                }
            }
            Err(reason) => {
                log_event!(Level::Error, "password not stored", name = %name, reason = ?reason.to_string());
                if is_here {
                    let explanation = "the server could not store it; the old password stays";
                    self.registry.refuse(conn, Code::StorageFailed, explanation);
                }
            }
        }
        self.judge_waiting_changes(&name);
    }

    /// A change of a user's record is stored, or not: those that have waited for that are judged again.
    pub(super) fn judge_waiting_changes(&mut self, name: &Name) {
        for waiting in self.admission.changing.remove(name).unwrap_or_default() {
            match waiting {
                WaitingChange::Password(hashed) => self.store_new_password(hashed),
                WaitingChange::Command(id, work) => self.work_on_account(id, name.clone(), work),
            }
        }
    }
}
