//! Frames, judged in the page's order.

use super::{Charge, Conn, Model, PendingWork, State, Waiting};
use crate::plan::Mode;
use crate::recorder::Told;
use crate::wire::{Said, begins_with_at, is_name, recipient};
use porter::engine::ConnId;
use std::collections::BTreeSet;

/// What is at the front of a connection's input.
enum Front {
    Nothing,
    Zero,
    TooLong,
    Frame(Vec<u8>),
}

impl Model {
    fn front(&self, conn: &Conn) -> Front {
        let limit = match conn.state {
            State::Authenticated(_) => self.settings.config.max_frame_bytes,
            _ => self.settings.config.max_frame_bytes.min(4_096),
        };
        let Some(header) = conn.input.first_chunk::<4>() else { return Front::Nothing };
        match u32::from_be_bytes(*header) {
            0 => Front::Zero,
            length if length > limit => Front::TooLong,
            length => {
                conn.input.get(4..4 + length as usize).map_or(Front::Nothing, |b| Front::Frame(b.to_vec()))
            }
        }
    }

    pub(crate) fn has_frame(&self, conn: &Conn) -> bool {
        !matches!(self.front(conn), Front::Nothing)
    }

    /// Follows a connection's frames as far as they were handled.
    pub(crate) fn serve(&mut self, id: ConnId, unserved: bool) {
        self.has_posted = false;
        loop {
            self.hear(id);
            let conn = &self.conns[&id];
            if conn.closing.is_some() {
                return;
            }
            if matches!(conn.state, State::Waiting(_)) {
                if self.resolve(id) { continue } else { return }
            }
            if conn.paused_until.is_some() && self.has_frame(conn) {
                return;
            }
            let handled = match self.front(conn) {
                Front::Nothing => break,
                Front::Zero => self.refused(id, 100),
                Front::TooLong => self.refused(id, 101),
                Front::Frame(body) => {
                    let handled = self.judge(id, &body, unserved);
                    if handled && self.conns[&id].closing.is_none() {
                        self.conn(id).input.drain(..4 + body.len());
                        self.conn(id).last_frame = self.now;
                    }
                    handled
                }
            };
            if !handled {
                return;
            }
        }
        self.finish(id);
    }

    /// Those whose last texts are handed out now, and who have no more to say.
    pub(crate) fn finish_all(&mut self) {
        let is_done = |conn: &Conn| conn.ended && conn.closing.is_none() && !self.has_frame(conn);
        let done: Vec<ConnId> =
            self.conns.iter().filter(|(_, conn)| is_done(conn)).map(|(id, _)| *id).collect();
        done.into_iter().for_each(|id| self.finish(id));
    }

    /// Who has ended its input, all of which is handled, is closed, as soon as what it wrote is handed out.
    fn finish(&mut self, id: ConnId) {
        let is_held = self.fanning_out && !self.closing_now.contains(&id);
        let conn = self.conn(id);
        if conn.ended && conn.said.is_empty() && !is_held {
            let own = conn.owed(Some(id));
            assert!(own.is_none(), "{id:?} is closed, but was not told {own:?}");
            self.close(id, false);
        }
    }

    /// The next word to this connection, if it is the one that is looked for; `None` if the frame was not handled yet, or
    /// what was said is lost with a slow consumer's output.
    pub(crate) fn expect(&mut self, id: ConnId, what: &str, fits: impl Fn(&Said) -> bool) -> Option<Said> {
        let conn = self.conn(id);
        match conn.said.front() {
            None | Some(Said::Error(108, _)) => None,
            Some(said) if fits(said) => conn.said.pop_front(),
            Some(said) => panic!("{id:?} should be told {what}, but hears {said:?}: {conn:?}"),
        }
    }

    /// Expects an error that closes.
    pub(crate) fn refused(&mut self, id: ConnId, code: u16) -> bool {
        let refused = self.expect(id, &format!("error {code}"), |said| is_error(said, code)).is_some();
        if refused {
            self.close(id, (100..=103).contains(&code));
        }
        refused
    }

    fn judge(&mut self, id: ConnId, body: &[u8], unserved: bool) -> bool {
        let (kind, payload) = (body[0], &body[1..]);
        let structured = match kind {
            1 | 2 => true,
            3 => payload.len() <= 1_024,
            4 => payload.len() == 16,
            5 => payload.len() >= 16,
            6 => payload.is_empty(),
            7 => parts_of_change(payload).is_some_and(|(_, old, _)| old.len() <= 1_024),
            8 => payload.len() == 16,
            _ => false,
        };
        if !structured {
            return self.refused(id, 100);
        }
        let conn = &self.conns[&id];
        if kind != 5 && self.has_posted {
            // It waits behind texts that are still to be handed out.
            return false;
        }
        let state = conn.state.clone();
        match (kind, state) {
            (6, _) => self.exit(id),
            (1, State::Identifying | State::Registering(_) | State::LoggingIn(_)) => {
                self.identify(id, payload)
            }
            (2, State::Registering(name)) => self.register(id, name, payload, unserved),
            (3, State::LoggingIn(name)) => self.login(id, name, payload, unserved),
            (4, State::Identifying) => self.resume(id, payload.try_into().unwrap()),
            (5, State::Authenticated(session)) => self.message(id, session, payload),
            (7, State::Authenticated(session)) => self.change_password(id, session, payload, unserved),
            (8, State::Authenticated(session)) => self.who(id, session, payload),
            _ => self.refused(id, 102),
        }
    }

    fn exit(&mut self, id: ConnId) -> bool {
        let said = self.expect(id, "Bye", |said| *said == Said::Bye);
        if said.is_some() {
            let own = self.conns[&id].owed(Some(id));
            assert!(own.is_none(), "{id:?} was told Bye for its Exit, but not {own:?}");
            self.close(id, true);
        }
        said.is_some()
    }

    fn identify(&mut self, id: ConnId, name: &[u8]) -> bool {
        let Ok(name) = str::from_utf8(name) else { return self.refused(id, 100) };
        if !is_name(name) {
            return self.expect(id, "BadName", |said| is_error(said, 1)).is_some();
        }
        let open = self.settings.config.registration_open && !self.users.is_taken(name);
        if open && self.users.is_look_alike(name) {
            return self.expect(id, "BadName", |said| is_error(said, 1)).is_some();
        }
        let wanted = Said::Wanted(u8::from(!open));
        if self.expect(id, &format!("{wanted:?}"), |said| *said == wanted).is_none() {
            return false;
        }
        let name = name.to_owned();
        self.conn(id).state = if open { State::Registering(name) } else { State::LoggingIn(name) };
        true
    }

    fn register(&mut self, id: ConnId, name: String, password: &[u8], unserved: bool) -> bool {
        let Ok(text) = str::from_utf8(password) else { return self.refused(id, 100) };
        if self.conns[&id].registers == self.settings.config.max_attempts {
            return self.refused(id, 104);
        }
        let least = self.settings.config.min_password_characters.max(1) as usize;
        if text.len() > 1_024 || text.chars().count() < least {
            let said = self.expect(id, "WeakPassword", |said| is_error(said, 2));
            self.conn(id).registers += u32::from(said.is_some());
            return said.is_some();
        }
        if self.users.is_taken(&name) {
            return self.name_taken(id, name);
        }
        if self.users.is_look_alike(&name) {
            let said = self.expect(id, "BadName", |said| is_error(said, 1));
            self.conn(id).registers += u32::from(said.is_some());
            return said.is_some();
        }
        let pending = PendingWork::Register { asked: false, kept: None };
        let waits = self.wait(id, Waiting::new(name, password, pending, self.now), unserved);
        self.conn(id).registers += u32::from(waits);
        waits
    }

    pub(crate) fn name_taken(&mut self, id: ConnId, name: String) -> bool {
        if self.expect(id, "NameTaken", |said| is_error(said, 3)).is_none() {
            return false;
        }
        let conn = self.conn(id);
        conn.registers += 1;
        conn.state = State::LoggingIn(name);
        self.expect(id, "PasswordWanted(1)", |said| *said == Said::Wanted(1));
        true
    }

    fn login(&mut self, id: ConnId, name: String, password: &[u8], unserved: bool) -> bool {
        if str::from_utf8(password).is_err() {
            return self.refused(id, 100);
        }
        let right = self.users.is_right(&name, password);
        let pending = PendingWork::Login { right, charge: Charge::Maybe };
        self.wait(id, Waiting::new(name, password, pending, self.now), unserved)
    }

    /// A password is seen to from now on, if its frame was handled: nothing tells of it yet.
    pub(super) fn wait(&mut self, id: ConnId, waiting: Waiting, unserved: bool) -> bool {
        let origin = self.conns[&id].peer.ip();
        let conn = self.conn(id);
        if conn.said.is_empty() && unserved {
            return false;
        }
        let leaves = conn.half_closed && conn.said.is_empty();
        let pending = waiting.pending;
        conn.state = State::Waiting(waiting);
        // A fault of the server's own may come first.
        let refused = is_error_next(conn, 105) || self.is_dry(id);
        if !refused && !leaves {
            assert!(!self.throttle.must_refuse(origin, self.now), "{id:?} should be throttled");
        }
        let judged = !refused
            && matches!(pending, PendingWork::Login { right: Some(_), .. })
            && self.judge_at_once(id);
        if leaves {
            if !judged {
                self.set_charge(id, Charge::Done);
            }
            self.close(id, false);
        }
        true
    }

    fn resume(&mut self, id: ConnId, token: [u8; 16]) -> bool {
        let fits =
            |session: &super::Session| session.token == Some(token) || session.presented == Some(token);
        let found = self.sessions.iter().find(|(_, session)| fits(session)).map(|(serial, _)| *serial);
        let Some(serial) = found else {
            return self.expect(id, "NoSuchSession", |said| is_error(said, 6)).is_some();
        };
        if self.is_dry(id) {
            return self.refused(id, 109);
        }
        let lost = matches!(self.conns[&id].said.front(), Some(Said::Error(108, _)));
        let said = self.expect(id, "Welcome", |said| matches!(said, Said::Welcome(..)));
        let new = match said {
            Some(Said::Welcome(new, _)) => Some(self.fresh(new)),
            _ if lost => None,
            _ => return false,
        };
        let Some(session) = self.sessions.get_mut(&serial) else { return false };
        session.presented = Some(token);
        session.token = new;
        if let Some(before) = session.conn.replace(id) {
            self.conn(before).bye_expected = true;
        }
        self.admit(id, serial);
        true
    }

    fn message(&mut self, id: ConnId, serial: u64, payload: &[u8]) -> bool {
        let (token, text) = payload.split_at(16);
        let Some(session) = self.sessions.get_mut(&serial) else { panic!("{id:?} has no session") };
        if session.token.as_ref().map(<[u8; 16]>::as_slice) != Some(token) {
            return self.refused(id, 103);
        }
        let Ok(text) = str::from_utf8(text) else { return self.refused(id, 100) };
        let name = session.name.clone();
        let heard = Told::Message { name: name.clone(), text: text.to_owned() };
        match self.told.front() {
            Some(told) if *told == heard => self.told.pop_front(),
            Some(told @ Told::Message { .. }) => {
                panic!("{id:?} wrote {heard:?}, but the handler was told {told:?}")
            }
            _ => return false,
        };
        if let Some(session) = self.sessions.get_mut(&serial) {
            session.presented = None;
        }
        self.note_text(id, serial);
        match self.mode() {
            Mode::Echo => self.owe_text(id, Some(id), "", text),
            Mode::Operator => self.wrote_last = Some(serial),
            Mode::Chat => self.chat(id, serial, &name, text),
        }
        true
    }

    fn chat(&mut self, id: ConnId, serial: u64, name: &str, text: &str) {
        let Some(to) = recipient(text) else {
            if begins_with_at(text) {
                return self.owe_refusal(id, 8, String::new(), false);
            }
            self.has_posted = true;
            let others = self.online(|other, _| other != serial);
            return self.owe_many(others, Some(id), name, text);
        };
        let recipients = self.online(|_, session| session.name == to);
        for recipient in &recipients {
            self.owe_text(*recipient, Some(id), name, text);
        }
        // A recipient that was a slow consumer by then is none.
        let slow = |id: &ConnId| self.conns[id].said.iter().any(|said| is_error(said, 108));
        if recipients.iter().all(slow) {
            self.owe_refusal(id, 7, format!("{to} "), !recipients.is_empty());
        }
    }

    /// All that are online are named, in the order of their bytes, as far as the frame limit goes.
    fn who(&mut self, id: ConnId, serial: u64, token: &[u8]) -> bool {
        if self.sessions[&serial].token.as_ref().map(<[u8; 16]>::as_slice) != Some(token) {
            return self.refused(id, 103);
        }
        let Some(Said::Names(count, names)) =
            self.expect(id, "Names", |said| matches!(said, Said::Names(..)))
        else {
            // A slow consumer's answer may be lost, though a text behind the question was still handled.
            let name = &self.sessions[&serial].name;
            return matches!(self.told.front(), Some(Told::Message { name: writer, .. }) if writer == name);
        };
        // A slow consumer's session may have been lost before, though the model has yet to come to that.
        let slow = |conn: &ConnId| self.conns[conn].said.iter().any(|said| is_error(said, 108));
        let online = |slow_too: bool| -> BTreeSet<String> {
            let with_conn = self.sessions.values().filter_map(|session| Some((session, session.conn?)));
            let counts = with_conn.filter(|(_, conn)| slow_too || !slow(conn));
            counts.map(|(session, _)| session.name.clone()).collect()
        };
        let (least, most) = (online(false), online(true));
        assert!((least.len()..=most.len()).contains(&(count as usize)), "{count} are online: {most:?}");
        assert!(names.is_sorted() && names.iter().all(|name| most.contains(name)), "{names:?} of {most:?}");
        let mut room = self.settings.config.max_frame_bytes as usize - 5;
        let fitting = least.iter().take_while(|name| {
            let fits = name.len() < room;
            room = room.saturating_sub(name.len() + 1);
            fits
        });
        let missing: Vec<&String> = fitting.filter(|name| !names.contains(name)).collect();
        assert!(missing.is_empty() || least != most, "{missing:?} are online and were not named");
        true
    }

    /// A token that no session ever had.
    pub(crate) fn fresh(&mut self, token: [u8; 16]) -> [u8; 16] {
        assert!(self.tokens.insert(token), "a token was given twice");
        token
    }

    /// Whether the random source failed for this connection.
    pub(crate) fn is_dry(&self, id: ConnId) -> bool {
        self.dry && is_error_next(&self.conns[&id], 109)
    }
}

/// The token, the old and the new password in a ChangePassword.
pub(super) fn parts_of_change(payload: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (token, rest) = payload.split_at_checked(16)?;
    let (length, rest) = rest.split_first_chunk()?;
    let (old, new) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
    Some((token, old, new))
}

pub(crate) fn is_error_next(conn: &Conn, code: u16) -> bool {
    conn.said.front().is_some_and(|said| is_error(said, code))
}

pub(crate) fn is_error(said: &Said, code: u16) -> bool {
    matches!(said, Said::Error(number, _) if *number == code)
}
