//! Sessions, and what those who are online owe each other.

use super::conn::Due;
use super::frames::is_error;
use super::rate::Bucket;
use super::{Cause, Charge, Conn, Model, PendingWork, STALL, Session, State, Waiting};
use crate::plan::Mode;
use crate::recorder::Told;
use crate::wire::{Said, begins_with_at, is_name, recipient};
use porter::engine::ConnId;
use porter::limits::TRANSPORT_HOLDS_BYTES;

/// What one call may add to what waits for the connection that it is for.
const CALL_BYTES: usize = 70_000;

/// Whether a slow consumer is told that it was cut off for the sake of all.
pub(crate) fn is_for_all(said: &Said) -> bool {
    matches!(said, Said::Error(108, text) if text.contains("of all"))
}

/// Texts that one call may hand to everyone: a connection's share of frames in a turn.
const TEXTS_OF_A_CALL: usize = 64;
/// What a reference to a text for many takes in a list that has grown to twice what it needs.
const REFERENCE_BYTES: usize = 64;

/// Whether this is of the kind that is due.
fn is_due(said: &Said) -> bool {
    matches!(said, Said::Message(..) | Said::Error(7 | 8, _))
}

impl Model {
    /// Connections of the sessions that are asked for.
    pub(crate) fn online(&self, which: impl Fn(u64, &Session) -> bool) -> Vec<ConnId> {
        let wanted = self.sessions.iter().filter(|(serial, session)| which(**serial, session));
        wanted.filter_map(|(_, session)| session.conn).collect()
    }

    /// A text that these connections must be sent, as soon as it is handed out.
    pub(crate) fn owe_many(&mut self, ids: Vec<ConnId>, author: Option<ConnId>, sender: &str, text: &str) {
        for id in ids {
            let said = Said::Message(sender.to_owned(), text.to_owned());
            self.owe(id, Due { said, author, for_many: true, optional: false });
        }
    }

    /// A text that this connection must be sent in this call, or behind what its author wrote to many.
    pub(crate) fn owe_text(&mut self, id: ConnId, author: Option<ConnId>, sender: &str, text: &str) {
        let said = Said::Message(sender.to_owned(), text.to_owned());
        self.owe(id, Due { said, author, for_many: false, optional: false });
    }

    /// A refusal of what a connection wrote, behind what it wrote to many, that begins with these words.
    pub(crate) fn owe_refusal(&mut self, id: ConnId, code: u16, words: String, optional: bool) {
        self.owe(id, Due { said: Said::Error(code, words), author: Some(id), for_many: false, optional });
    }

    fn owe(&mut self, id: ConnId, due: Due) {
        let conn = self.conn(id);
        if conn.closing.is_none() {
            conn.due.push_back(due);
        }
    }

    pub(crate) fn hear_all(&mut self) {
        let ids: Vec<ConnId> =
            self.conns.iter().filter(|(_, c)| !c.said.is_empty()).map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.hear(id));
        let unheard = |conn: &Conn| conn.cut_short && conn.closing.is_none() && conn.said.is_empty();
        let ids: Vec<ConnId> = self.conns.iter().filter(|(_, c)| unheard(c)).map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.close_unheard(id));
    }

    /// Those who were closed in this call and nobody knows why: what they were given in it was dropped with the error that
    /// says so, as too much waited for all.
    pub(crate) fn close_all_unheard(&mut self) {
        let is_unheard = |conn: &Conn| conn.closing.is_none() && conn.said.is_empty();
        let closing = self.closing_now.iter().copied();
        let ids: Vec<ConnId> = closing.filter(|id| self.conns.get(id).is_some_and(is_unheard)).collect();
        for id in ids {
            self.cut_short(id, self.held_before);
            self.close_unheard(id);
        }
    }

    /// The Bye for its Exit may be among what was dropped.
    fn close_unheard(&mut self, id: ConnId) {
        let name = self.conns[&id].serial().map(|serial| self.sessions[&serial].name.clone());
        let has_left =
            |told: &Told| matches!(told, Told::Left { name: left, .. } if Some(left) == name.as_ref());
        let ends_session = self.told.iter().any(has_left);
        self.close(id, ends_session);
    }

    /// What is said to a connection though it did not ask.
    pub(crate) fn hear(&mut self, id: ConnId) {
        let (in_time, serving) = (self.in_time, self.serving);
        // Who is sent away may miss what is on its way; but all have that before the server stops.
        let is_late = self.fanning_out && !self.stopping;
        loop {
            let conn = self.conn(id);
            match conn.said.front() {
                Some(said) if is_due(said) => {
                    let said = said.clone();
                    if !conn.take_due(&said) {
                        return;
                    }
                    conn.said.pop_front();
                }
                Some(Said::Bye) if conn.bye_expected && conn.closing.is_none() => {
                    assert!(
                        is_late || conn.owed(None).is_none(),
                        "{id:?} was told Bye, but not {:?}",
                        conn.due
                    );
                    conn.said.pop_front();
                    let ends_session = self.stopping;
                    self.close(id, ends_session);
                }
                Some(said) if is_error(said, 108) && conn.closing.is_none() && !serving => {
                    if is_for_all(said) {
                        self.check_cut_off(id);
                    } else {
                        self.check_slow(id);
                    }
                    self.conn(id).said.pop_front();
                    self.close(id, false);
                }
                Some(said) if is_error(said, 107) && in_time => {
                    self.check_late(id);
                    self.conn(id).said.pop_front();
                    self.close(id, false);
                }
                _ => return,
            }
        }
    }

    fn check_slow(&self, id: ConnId) {
        let conn = &self.conns[&id];
        let stalled = self.is_written && conn.stalled.is_some_and(|since| since + STALL <= self.now);
        let full = conn.output_before + conn.due_bytes() + 8_000 >= self.settings.config.output_limit_bytes;
        assert!(stalled || full, "{id:?} is no slow consumer: {conn:?}");
    }

    /// It had the most waiting, when too much waited for all.
    fn check_cut_off(&mut self, id: ConnId) {
        self.check_total(self.held_before);
        let conn = &self.conns[&id];
        let grown = if self.called == Some(id) { CALL_BYTES } else { conn.due_bytes() };
        let held = if conn.backlog { TRANSPORT_HOLDS_BYTES } else { 0 };
        let most = conn.output_before + grown + held;
        self.cut_off.push(most);
    }

    /// Whether what waits for all together can have become too much in this call.
    pub(super) fn check_total(&self, held_before: usize) {
        let total = self.settings.config.output_total_bytes;
        // One call may hand a burst of texts to everyone: each reader's references to them take more than the texts.
        let references = TEXTS_OF_A_CALL * self.conns.len() * REFERENCE_BYTES;
        // And it may handle as much again that waited for its turn.
        let may_have = held_before + 4 * CALL_BYTES + references;
        assert!(
            may_have >= total,
            "some were cut off for the sake of all, when {held_before} bytes were held"
        );
    }

    /// What waited for a connection that is closing is dropped. One that was cut off in this very call loses the error
    /// that says so.
    pub(crate) fn cut_short(&mut self, id: ConnId, held_before: usize) {
        if !self.conns[&id].reset {
            self.check_total(held_before);
            self.conn(id).cut_short = true;
        }
    }

    fn check_late(&self, id: ConnId) {
        let conn = &self.conns[&id];
        let late = match conn.state {
            State::Authenticated(_) => {
                let idle =
                    self.settings.config.idle_timeout.is_some_and(|idle| conn.last_frame + idle <= self.now);
                idle && conn.paused_until.is_none()
            }
            State::Waiting(_) | State::Closing => false,
            _ => conn.login_due <= self.now,
        };
        assert!(late, "{id:?} is told TimedOut too early: {conn:?}");
    }

    /// The server closes, or the connection is lost.
    pub(crate) fn close(&mut self, id: ConnId, ends_session: bool) {
        let now = self.now;
        let conn = self.conn(id);
        assert!(conn.closing.is_none(), "{id:?} was closed twice");
        conn.closing = Some(now);
        conn.due.clear();
        conn.input.clear();
        let peer = conn.peer.ip();
        let serial = conn.serial();
        if let State::Waiting(Waiting { pending: PendingWork::Login { right: Some(_), charge }, .. }) =
            std::mem::replace(&mut conn.state, State::Closing)
        {
            match charge {
                Charge::Done => {}
                Charge::Maybe => self.throttle.maybe_guessed(peer, now),
                Charge::Due => self.throttle.guessed(peer, now),
            }
        }
        let carries =
            |serial: &u64| self.sessions.get(serial).is_some_and(|session| session.conn == Some(id));
        let Some(serial) = serial.filter(carries) else { return };
        if ends_session || self.settings.config.resume_window.is_zero() {
            self.end_session(serial);
        } else {
            self.lose_session(serial);
        }
    }

    pub(crate) fn open_session(&mut self, id: ConnId, name: String, token: Option<[u8; 16]>) {
        let peer = self.conns[&id].peer.ip();
        self.users.note_visitor(peer, &name);
        let serial = self.next_session;
        self.next_session += 1;
        if !self.sessions.values().any(|session| session.name == name) {
            self.changes.push((Told::Joined { name: name.clone() }, Some(serial)));
        }
        let bucket = Bucket::new(self.now);
        let session = Session { name, token, presented: None, conn: Some(id), expires: self.now, bucket };
        self.sessions.insert(serial, session);
        self.admit(id, serial);
    }

    pub(crate) fn admit(&mut self, id: ConnId, serial: u64) {
        let now = self.now;
        let conn = self.conn(id);
        conn.state = State::Authenticated(serial);
        conn.was_in = true;
        conn.last_frame = now;
        self.pause(id, serial);
    }

    pub(super) fn end_session(&mut self, serial: u64) {
        let Some(session) = self.sessions.remove(&serial) else { return };
        let last = !self.sessions.values().any(|other| other.name == session.name);
        self.changes.push((Told::Left { name: session.name, last }, None));
        if self.wrote_last == Some(serial) {
            self.wrote_last = None;
        }
    }

    fn lose_session(&mut self, serial: u64) {
        let expires = self.now + self.settings.config.resume_window;
        if let Some(session) = self.sessions.get_mut(&serial) {
            (session.conn, session.expires) = (None, expires);
        }
        let lost = || self.sessions.iter().filter(|(_, session)| session.conn.is_none());
        if lost().count() <= self.settings.config.max_connections {
            return;
        }
        // Of those that were lost at the same moment the server may choose.
        let stays = |name: &String| {
            !self.told.iter().any(|told| matches!(told, Told::Left { name: left, .. } if left == name))
        };
        let oldest = lost().min_by_key(|(_, session)| (session.expires, stays(&session.name)));
        if let Some(oldest) = oldest.map(|(serial, _)| *serial) {
            self.end_session(oldest);
        }
    }

    pub(crate) fn expire_sessions(&mut self) {
        let over = |session: &Session| session.conn.is_none() && session.expires <= self.now;
        let over: Vec<u64> =
            self.sessions.iter().filter(|(_, s)| over(s)).map(|(serial, _)| *serial).collect();
        over.into_iter().for_each(|serial| self.end_session(serial));
    }

    /// The handler hears who came and went, and in chat tells the others.
    pub(crate) fn settle(&mut self) {
        let told = std::mem::take(&mut self.told);
        let (messages, told): (Vec<Told>, Vec<Told>) =
            told.into_iter().partition(|told| matches!(told, Told::Message { .. }));
        assert!(messages.is_empty(), "texts were handled that nobody had sent: {messages:?}");
        if self.stopping {
            return assert!(told.is_empty(), "announced while stopping: {told:?}");
        }
        let sorted = |changes: &mut dyn Iterator<Item = String>| {
            let mut list: Vec<String> = changes.collect();
            list.sort();
            list
        };
        let expected = sorted(&mut self.changes.iter().map(|(change, _)| format!("{change:?}")));
        assert_eq!(sorted(&mut told.iter().map(|told| format!("{told:?}"))), expected, "who came and went");
        if self.mode() != Mode::Chat {
            return;
        }
        for told in told {
            let own = self.changes.iter().find(|(change, _)| *change == told).and_then(|(_, serial)| *serial);
            let text = match &told {
                Told::Joined { name } => format!("{name} joined"),
                Told::Left { name, last: true } => format!("{name} left"),
                _ => continue,
            };
            let author = own.and_then(|serial| self.sessions.get(&serial)?.conn);
            self.owe_many(self.online(|serial, _| Some(serial) != own), author, "", &text);
        }
    }

    /// These sessions end, and those who carry them are told Bye.
    pub(super) fn end_sessions(&mut self, which: impl Fn(u64, &Session) -> bool) {
        let ended: Vec<u64> = self
            .sessions
            .iter()
            .filter(|(serial, session)| which(**serial, session))
            .map(|(n, _)| *n)
            .collect();
        for serial in ended {
            if let Some(id) = self.sessions[&serial].conn {
                self.conn(id).bye_expected = true;
            }
            self.end_session(serial);
        }
    }

    /// The person at the console typed this.
    pub(crate) fn obey(&mut self, line: &str) {
        if let Some(name) = line.strip_prefix("/kick ") {
            let of_name = |session: &Session| session.name == name && is_name(name);
            self.end_sessions(|_, session| of_name(session));
        } else if line.starts_with('/') || line.is_empty() {
        } else if let Some(name) = recipient(line) {
            let text = &line[name.len() + 2..];
            for id in self.online(|_, session| session.name == name) {
                self.owe_text(id, None, "", text);
            }
        } else if begins_with_at(line) || line.trim_start().starts_with('/') || self.mode() == Mode::Echo {
        } else if self.mode() == Mode::Chat {
            self.owe_many(self.online(|_, _| true), None, "", line);
        } else if let Some(id) = self.wrote_last.and_then(|serial| self.sessions.get(&serial)?.conn) {
            self.owe_text(id, None, "", line);
        }
    }

    pub(crate) fn shut_down(&mut self) {
        self.stopping = true;
        for conn in self.conns.values_mut() {
            conn.bye_expected = conn.closing.is_none();
        }
    }

    /// The console shows each text that was handled, under its writer's name, in order.
    pub(crate) fn explain_console(&self, cause: &Cause<'_>, lines: &[String]) {
        if self.mode() == Mode::Echo || matches!(cause, Cause::Line(_)) {
            return;
        }
        let mut lines = lines.iter();
        for told in &self.told {
            if let Told::Message { name, text } = told {
                if self.mode() == Mode::Chat && begins_with_at(text) && recipient(text).is_none() {
                    continue;
                }
                let shown = |line: &&String| line.starts_with(&format!("{name}: "));
                let line = lines.next().filter(shown);
                let line =
                    line.unwrap_or_else(|| panic!("the console did not show what {name} wrote: {text:?}"));
                assert!(!line.contains(char::is_control), "the console shows {line:?}");
            }
        }
    }
}
