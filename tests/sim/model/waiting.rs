//! What may come of a password that was being seen to.

use super::crowd::is_for_all;
use super::frames::{is_error, is_error_next};
use super::users::Answered;
use super::{Charge, Model, PendingWork, State, Waiting, check_seconds};
use crate::recorder::Stored;
use crate::wire::Said;
use porter::engine::ConnId;

impl Model {
    /// All that wait and were told something, in the order in which their tokens were drawn; last those who were
    /// throttled, which may be for what the others were charged in this very call.
    pub(crate) fn resolve_all(&mut self, drawn: &[[u8; 16]]) {
        let waiting = |conn: &super::Conn| matches!(conn.state, State::Waiting(_)) && !conn.said.is_empty();
        let mut ids: Vec<ConnId> =
            self.conns.iter().filter(|(_, conn)| waiting(conn)).map(|(id, _)| *id).collect();
        ids.sort_by_key(|id| match self.conns[id].said.front() {
            Some(Said::Welcome(token, _)) => (false, drawn.iter().position(|other| other == token)),
            said => (said.is_some_and(|said| is_error(said, 105)), None),
        });
        for id in ids {
            self.resolve(id);
        }
    }

    /// Follows one that waits; false if it waits on.
    pub(crate) fn resolve(&mut self, id: ConnId) -> bool {
        let conn = &self.conns[&id];
        let State::Waiting(waiting) = conn.state.clone() else { return false };
        let Some(said) = conn.said.front().cloned() else { return false };
        if waiting.change.is_some() && !matches!(said, Said::PasswordChanged | Said::Error(..)) {
            return false;
        }
        let origin = conn.peer.ip();
        if self.hashing
            && waiting.change.as_ref().is_none_or(|change| !change.asked)
            && let PendingWork::Login { right: Some(right), .. } = waiting.pending
        {
            let is_done = match &said {
                Said::Error(105, _) => false,
                said if is_for_all(said) => right && self.sessions_now > self.sessions.len(),
                _ => true,
            };
            if is_done {
                self.hashed(id, &waiting.name, right);
            }
        }
        match &said {
            Said::Error(108, _) if self.is_written => return false,
            // Cut off for the sake of all, it waits to its end, unless there is a session of which nobody knows.
            said if is_for_all(said) && self.sessions_now <= self.sessions.len() => return false,
            Said::Error(108, _) => {
                if let PendingWork::Login { right: Some(true), .. } = waiting.pending
                    && waiting.change.is_none()
                {
                    // Its Welcome was dropped with the rest: a session whose token nobody knows.
                    self.stop_waiting(id, &waiting);
                    self.open_session(id, waiting.name, None);
                    return true;
                }
                return false;
            }
            Said::Error(105, text) => {
                check_seconds(text);
                assert!(self.throttle.may_refuse(origin, self.now), "{id:?} was throttled for no debt");
                self.set_charge(id, Charge::Done);
                return self.refused(id, 105);
            }
            Said::Error(106, text) => {
                check_seconds(text);
                assert!(self.may_be_busy(id), "{id:?} was told Busy with nobody before it");
                self.set_charge(id, Charge::Done);
                return self.refused(id, 106);
            }
            Said::Error(109, _) if self.dry => return self.refused(id, 109),
            _ => {}
        }
        self.stop_waiting(id, &waiting);
        if let (Some(change), PendingWork::Login { right, .. }) = (&waiting.change, waiting.pending) {
            return self.resolve_change(id, change, right.unwrap_or(false));
        }
        match waiting.pending {
            PendingWork::Register { asked, kept } => {
                if asked && is_error(&said, 3) {
                    self.pass_to_twin(id, &waiting);
                }
                let kept = kept.or_else(|| self.swap_with_twin(id, &waiting));
                self.resolve_register(id, waiting.name, kept)
            }
            PendingWork::Login { right, .. } => self.resolve_login(id, waiting.name, right.unwrap_or(false)),
        }
    }

    /// What the server took is not the client's time.
    fn stop_waiting(&mut self, id: ConnId, waiting: &Waiting) {
        let now = self.now;
        let conn = self.conn(id);
        if let Some(change) = &waiting.change {
            conn.state = State::Authenticated(change.serial);
            conn.last_frame = now;
            return;
        }
        conn.login_due = conn.login_due + now.since(waiting.since);
        conn.state = State::LoggingIn(waiting.name.clone());
    }

    /// Of two who register the same name with the same password, the store's request does not tell whose it is: if this
    /// one hears what is due to the other, it was this one's.
    fn swap_with_twin(&mut self, id: ConnId, waiting: &Waiting) -> Option<bool> {
        if self.conns[&id].said.front().is_some_and(|said| is_error(said, 3)) {
            return None;
        }
        let is_twin = |(name, password, _): &(String, Vec<u8>, bool)| {
            (name, password) == (&waiting.name, &waiting.password)
        };
        if let Some(place) = self.answered_nobody.iter().position(is_twin) {
            return Some(self.answered_nobody.swap_remove(place).2);
        }
        self.conns.iter_mut().find_map(|(other, conn)| match &mut conn.state {
            State::Waiting(twin)
                if *other != id && twin.name == waiting.name && twin.password == waiting.password =>
            {
                match &mut twin.pending {
                    PendingWork::Register { asked, kept } if kept.is_some() => {
                        *asked = false;
                        kept.take()
                    }
                    _ => None,
                }
            }
            _ => None,
        })
    }

    /// This one's name was taken, so it was for a twin of it that the store was asked.
    fn pass_to_twin(&mut self, id: ConnId, waiting: &Waiting) {
        let twin = self.conns.iter_mut().find_map(|(other, conn)| match &mut conn.state {
            State::Waiting(twin)
                if *other != id
                    && (&twin.name, &twin.password) == (&waiting.name, &waiting.password)
                    && matches!(twin.pending, PendingWork::Register { asked: false, .. }) =>
            {
                Some((*other, twin))
            }
            _ => None,
        });
        if let Some((other, twin)) = twin {
            twin.pending = waiting.pending;
            self.users.pass_on(&waiting.name, id, other);
        }
    }

    fn resolve_register(&mut self, id: ConnId, name: String, kept: Option<bool>) -> bool {
        match kept {
            Some(true) => {
                self.expect(id, "PasswordWanted(1)", |said| *said == Said::Wanted(1));
            }
            Some(false) => {
                self.expect(id, "StorageFailed", |said| is_error(said, 5));
                self.conn(id).state = State::Registering(name);
            }
            None if self.users.is_look_alike(&name) => {
                self.expect(id, "BadName", |said| is_error(said, 1));
                self.conn(id).state = State::Registering(name);
            }
            None => {
                assert!(self.users.is_taken(&name), "{id:?} was answered before the store was asked");
                self.name_taken(id, name);
                self.conn(id).registers -= 1;
            }
        }
        true
    }

    fn resolve_login(&mut self, id: ConnId, name: String, right: bool) -> bool {
        if right {
            let said = self.expect(id, "Welcome", |said| matches!(said, Said::Welcome(..)));
            let Some(Said::Welcome(token, _)) = said else { panic!("no Welcome") };
            let token = self.fresh(token);
            self.open_session(id, name, Some(token));
            return true;
        }
        self.wrong_password(id)
    }

    pub(super) fn wrong_password(&mut self, id: ConnId) -> bool {
        let max_attempts = self.settings.config.max_attempts;
        let conn = self.conn(id);
        conn.wrong += 1;
        if conn.wrong >= max_attempts {
            return self.refused(id, 104);
        }
        self.expect(id, "WrongPassword", |said| is_error(said, 4)).is_some()
    }

    /// A login's hash is done.
    fn hashed(&mut self, id: ConnId, name: &str, right: bool) {
        if right {
            self.users.verified(name, self.now + self.settings.config.login_cache);
        } else {
            self.charge(id);
        }
        self.set_charge(id, Charge::Done);
    }

    /// Whether a login that was handed in was known to be wrong at once, since the right password was verified lately:
    /// then it is charged, whatever comes next.
    pub(crate) fn judge_at_once(&mut self, id: ConnId) -> bool {
        let State::Waiting(Waiting { name, pending: PendingWork::Login { right: Some(false), .. }, .. }) =
            &self.conns[&id].state
        else {
            return false;
        };
        let is_known = self.users.is_recognised(name, self.now);
        if !is_known && self.users.may_be_recognised(name) {
            let peer = self.conns[&id].peer.ip();
            self.throttle.maybe_guessed(peer, self.now);
        }
        if is_known {
            self.charge(id);
            self.set_charge(id, Charge::Done);
        }
        is_known
    }

    /// Puts the penalty of a wrong login on its origin, unless it is there already.
    fn charge(&mut self, id: ConnId) {
        let conn = &self.conns[&id];
        if let State::Waiting(Waiting { pending: PendingWork::Login { charge, .. }, .. }) = &conn.state
            && *charge != Charge::Done
        {
            self.throttle.guessed(conn.peer.ip(), self.now);
        }
    }

    pub(crate) fn set_charge(&mut self, id: ConnId, new: Charge) {
        if let State::Waiting(Waiting { pending: PendingWork::Login { charge, .. }, .. }) =
            &mut self.conn(id).state
        {
            *charge = new;
        }
    }

    /// Logins that waited for the store are judged now that it has answered.
    pub(crate) fn judge_decided(&mut self) {
        for id in std::mem::take(&mut self.decided) {
            let conn = &self.conns[&id];
            if !is_error_next(conn, 105) {
                let origin = conn.peer.ip();
                assert!(!self.throttle.must_refuse(origin, self.now), "{id:?} should be throttled");
                self.judge_at_once(id);
            }
        }
    }

    /// If one login alone was in the hash queue before this call and is now, its hash has started.
    pub(crate) fn note_lone_login(&mut self, hash_jobs: usize) {
        let is_queued = |conn: &super::Conn| match &conn.state {
            State::Waiting(waiting) => matches!(
                waiting.pending,
                PendingWork::Login { right: Some(_), .. } | PendingWork::Register { asked: false, .. }
            ),
            _ => false,
        };
        let mut queued = self.conns.iter().filter(|(_, conn)| is_queued(conn)).map(|(id, _)| *id);
        let lone = queued.next().filter(|_| hash_jobs == 1 && queued.next().is_none());
        let before = std::mem::replace(&mut self.lone, lone);
        if let Some(id) = lone.filter(|_| self.hashing && before == lone)
            && let State::Waiting(Waiting {
                pending: PendingWork::Login { charge, .. },
                change: None,
                is_stale: false,
                ..
            }) = &mut self.conn(id).state
            && *charge == Charge::Maybe
        {
            *charge = Charge::Due;
        }
    }

    pub(crate) fn explain_store(&mut self, stored: Vec<Stored>) {
        for stored in stored {
            match stored {
                Stored::Register { ticket, name, hash } => {
                    let fits = |waiting: &Waiting| {
                        let asks = matches!(waiting.pending, PendingWork::Register { asked: false, .. });
                        asks && waiting.name == name && super::users::is_hash_of(&hash, &waiting.password)
                    };
                    let found = self.conns.iter_mut().find_map(|(id, conn)| match &mut conn.state {
                        State::Waiting(waiting) if fits(waiting) => Some((*id, waiting)),
                        _ => None,
                    });
                    let Some((id, waiting)) = found else {
                        panic!("the store was asked to keep {name} for nobody")
                    };
                    waiting.pending = PendingWork::Register { asked: true, kept: None };
                    let password = waiting.password.clone();
                    self.users.ask(ticket, name, password, id);
                }
                Stored::Rehash { ticket, name, hash } => {
                    if !self.ask_change(ticket, &name, &hash) {
                        self.users.ask_rehash(ticket, name, &hash);
                    }
                }
                Stored::Answer { ticket, kept } => self.answered(ticket, kept),
            }
        }
    }

    fn answered(&mut self, ticket: u64, kept: bool) {
        let verified = self.now + self.settings.config.login_cache;
        let (name, id) = match self.users.answered(ticket, kept, verified) {
            Answered::Registration(name, password, id) => {
                if !self.conns.contains_key(&id) {
                    self.answered_nobody.push((name.clone(), password, kept));
                }
                (name, id)
            }
            Answered::Change(name, id, serial) => return self.changed(&name, id, serial, kept),
            Answered::Rehash(name) => {
                for conn in self.conns.values_mut() {
                    if let State::Waiting(waiting) = &mut conn.state {
                        waiting.is_stale |= waiting.name == name;
                    }
                }
                return;
            }
        };
        if let Some(conn) = self.conns.get_mut(&id)
            && let State::Waiting(Waiting {
                name: waits_for,
                pending: PendingWork::Register { asked: true, kept: answer },
                ..
            }) = &mut conn.state
            && *waits_for == name
        {
            *answer = Some(kept);
        }
        for (id, conn) in &mut self.conns {
            if let State::Waiting(waiting) = &mut conn.state
                && let PendingWork::Login { right: right @ None, .. } = &mut waiting.pending
                && waiting.name == name
            {
                *right = self.users.is_right(&name, &waiting.password);
                self.decided.push(*id);
            }
        }
    }
}
