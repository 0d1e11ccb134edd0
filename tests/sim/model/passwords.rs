//! Passwords that are changed.

use super::conn::Change;
use super::frames::{is_error, parts_of_change};
use super::{Charge, Model, PendingWork, State, Waiting};
use crate::wire::Said;
use porter::engine::ConnId;

impl Model {
    pub(super) fn change_password(
        &mut self,
        id: ConnId,
        serial: u64,
        payload: &[u8],
        unserved: bool,
    ) -> bool {
        let Some((token, old, new)) = parts_of_change(payload) else { panic!("judged before") };
        let session = &self.sessions[&serial];
        if session.token.as_ref().map(<[u8; 16]>::as_slice) != Some(token) {
            return self.refused(id, 103);
        }
        let name = session.name.clone();
        let (Ok(_), Ok(text)) = (str::from_utf8(old), str::from_utf8(new)) else {
            return self.refused(id, 100);
        };
        let least = self.settings.config.min_password_characters.max(1) as usize;
        if new.len() > 1_024 || text.chars().count() < least {
            return self.expect(id, "WeakPassword", |said| is_error(said, 2)).is_some();
        }
        let right = self.users.is_right(&name, old);
        if right == Some(true) {
            // When exactly it is found right nobody can see.
            self.users.verified_at_some_time(&name);
        }
        let pending = PendingWork::Login { right, charge: Charge::Maybe };
        let change = Change { serial, new: new.to_vec(), asked: false, kept: None };
        let waiting = Waiting { change: Some(change), ..Waiting::new(name, old, pending, self.now) };
        self.wait(id, waiting, unserved)
    }

    /// The store was asked to keep another hash of a name: whether it is a new password's, and whose.
    pub(super) fn ask_change(&mut self, ticket: u64, name: &str, hash: &porter::auth::PasswordHash) -> bool {
        let asks = self.conns.iter_mut().find_map(|(id, conn)| match &mut conn.state {
            State::Waiting(Waiting { name: own, change: Some(change), pending, .. })
                if own == name
                    && !change.asked
                    && *pending != (PendingWork::Login { right: Some(false), charge: Charge::Done })
                    && super::users::is_hash_of(hash, &change.new) =>
            {
                Some((*id, change))
            }
            _ => None,
        });
        let Some((conn, change)) = asks else { return false };
        change.asked = true;
        let (serial, new) = (change.serial, change.new.clone());
        self.users.ask_change(ticket, name, new, conn, serial);
        true
    }

    /// The store has answered. Other sessions of the name end, and whoever is logging in with the old password is
    /// judged by the new one.
    pub(super) fn changed(&mut self, name: &str, id: ConnId, serial: u64, kept: bool) {
        if let Some(conn) = self.conns.get_mut(&id)
            && let State::Waiting(Waiting { change: Some(change), .. }) = &mut conn.state
        {
            change.kept = Some(kept);
        }
        if !kept {
            return;
        }
        self.users.verified(name, self.now + self.settings.config.login_cache);
        self.ended_by_change.push((name.to_owned(), serial));
        let mut judged_again = Vec::new();
        for (other, conn) in self.conns.iter_mut().filter(|(other, _)| **other != id) {
            if let State::Waiting(waiting) = &mut conn.state
                && waiting.name == name
                && let PendingWork::Login { right: Some(right), .. } = &mut waiting.pending
                && std::mem::replace(right, false)
            {
                waiting.is_stale = true;
                judged_again.push(*other);
            }
        }
        for other in judged_again {
            let peer = self.conns[&other].peer.ip();
            self.throttle.maybe_guessed(peer, self.now);
        }
    }

    /// Those whose password was changed in another session are told Bye.
    pub(super) fn end_changed(&mut self) {
        for (name, serial) in std::mem::take(&mut self.ended_by_change) {
            self.end_sessions(|other, session| session.name == name && other != serial);
        }
    }

    pub(super) fn resolve_change(&mut self, id: ConnId, change: &Change, right: bool) -> bool {
        match change.kept {
            Some(true) => self.expect(id, "PasswordChanged", |said| *said == Said::PasswordChanged).is_some(),
            Some(false) => self.expect(id, "StorageFailed", |said| is_error(said, 5)).is_some(),
            None => {
                assert!(!right, "{id:?} was answered before the store: {:?}", self.conns[&id]);
                self.wrong_password(id)
            }
        }
    }
}
