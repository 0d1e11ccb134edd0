//! What a store keeps elsewhere: asked for when somebody needs it, and gone on with when it is there.

use super::admission::NewPassword;
use super::answers::{CommandId, Listing};
use super::arrival::COME_BACK;
use super::login::seconds_first;
use super::tasks::Report;
use super::{ConnId, Engine};
use crate::auth::conversation::PendingWork;
use crate::auth::{Name, Password, Token};
use crate::protocol::Code;
use crate::store::{Became, EndReason, Fetched, Found, Lookup, Store, Ticket};
use std::net::IpAddr;

/// What something is fetched for.
#[derive(Debug)]
pub(super) enum Fetch {
    /// A connection's greeting.
    Greeting { conn: ConnId },
    /// Whether a password is to be chosen or given.
    Identify { conn: ConnId, name: Name },
    /// The record that a password is compared with, at a login or before a change of it.
    Password { conn: ConnId, name: Name, password: Password, change: Option<Box<NewPassword>> },
    /// Somebody who administers users.
    ShowUser { command: CommandId, name: Name },
    /// A login that others are told of, by this password, which was right for the record that was fetched.
    Open { conn: ConnId, name: Name, token: Token, password: Password, is_remembered: bool },
    /// A session that may be known elsewhere alone.
    Resume { conn: ConnId, presented: Token, token: Token },
    /// A list of who is here.
    Who { command: CommandId },
    /// A list of what addresses owe.
    Debts { command: CommandId },
    /// An end of a name's sessions, those here last.
    EndAll { name: Name, why: EndReason, report: Report },
}

impl Fetch {
    /// The connection that waits for it.
    fn connection(&self) -> Option<ConnId> {
        match self {
            Fetch::Greeting { conn }
            | Fetch::Identify { conn, .. }
            | Fetch::Password { conn, .. }
            | Fetch::Open { conn, .. }
            | Fetch::Resume { conn, .. } => Some(*conn),
            Fetch::ShowUser { .. } | Fetch::Who { .. } | Fetch::Debts { .. } | Fetch::EndAll { .. } => None,
        }
    }
}

impl<S: Store> Engine<S> {
    /// Has what is known of a name fetched. Nothing more of the connection is handled until it is there.
    pub(super) fn fetch(&mut self, name: &Name, what: Fetch) {
        if let Some(conn) = what.connection() {
            let origin = self.origin(conn).filter(|_| !self.is_exempt(conn));
            origin.into_iter().for_each(|origin| self.store.fetch_debt(origin));
        }
        let ticket = self.admission.next_ticket();
        self.await_answer(ticket, what);
        self.store.fetch(ticket, name);
    }

    /// Has the name fetched that a connection is greeted with; false if the store knows it at once.
    pub(super) fn fetch_visitor(&mut self, conn: ConnId, address: IpAddr) -> bool {
        let ticket = self.admission.next_ticket();
        let is_elsewhere = self.store.fetch_visitor(ticket, address);
        if is_elsewhere {
            self.await_answer(ticket, Fetch::Greeting { conn });
        }
        is_elsewhere
    }

    /// Goes on with this when the answer is there.
    pub(super) fn await_answer(&mut self, ticket: Ticket, what: Fetch) {
        what.connection()
            .into_iter()
            .for_each(|conn| self.registry.begin_waiting(conn, None, PendingWork::Fetch));
        self.admission.fetching.insert(ticket, what);
    }

    /// Ends every session of a name: first what other servers have of them, then those here.
    pub(super) fn end_everywhere(&mut self, name: &Name, why: EndReason, report: Report) {
        let ticket = self.admission.next_ticket();
        match self.store.directory() {
            None => self.registry.end_sessions(name, why, Some(0), report),
            Some(directory) => {
                directory.end_all(ticket, name, why);
                self.await_answer(ticket, Fetch::EndAll { name: name.clone(), why, report });
            }
        }
    }

    /// Lists who is here, at all servers.
    pub(super) fn list_who_is_here(&mut self, command: CommandId) {
        let ticket = self.admission.next_ticket();
        match self.store.directory() {
            None => self.registry.list_who_is_here(command, Some(Vec::new())),
            Some(directory) => {
                directory.list(ticket);
                self.await_answer(ticket, Fetch::Who { command });
            }
        }
    }

    /// Lists what addresses owe, at all servers.
    pub(super) fn list_debts(&mut self, command: CommandId) {
        let ticket = self.admission.next_ticket();
        match self.store.directory() {
            None => self.registry.answers.list(command, Listing::Debts { after: None, is_alone: false }),
            Some(directory) => {
                directory.list_debts(ticket);
                self.await_answer(ticket, Fetch::Debts { command });
            }
        }
    }

    /// Ends what other servers have of a name's sessions; nobody waits for that.
    pub(super) fn end_elsewhere(&mut self, name: &Name, why: EndReason) {
        let ticket = self.admission.next_ticket();
        if let Some(directory) = self.store.directory() {
            directory.end_all(ticket, name, why);
        }
    }

    /// Ends all sessions of a name as soon as it is known that its user's record became this.
    pub(super) fn end_if(&mut self, name: &Name, became: Became<'_>, why: EndReason) {
        if let Some(directory) = self.store.directory() {
            directory.end_if(name, became, why);
        }
    }

    /// Goes on with what was fetched. An answer finds the connection that has asked, or nobody.
    pub(super) fn take_fetched(&mut self) {
        while let Some(Fetched { ticket, answer }) = self.store.poll_fetched() {
            let Some(what) = self.admission.fetching.remove(&ticket) else { continue };
            if what.connection().is_some_and(|conn| !self.end_waiting(conn)) {
                self.leave_entry(what, answer);
                continue;
            }
            match (what, answer) {
                (Fetch::Open { conn, name, token, is_remembered, .. }, Some(Found::Opened(Some(entry)))) => {
                    self.open_session(conn, name, token, is_remembered, Some(entry));
                }
                (Fetch::Open { conn, name, password, .. }, Some(Found::Opened(None))) => {
                    self.log_in_again(conn, name, password);
                }
                (Fetch::Resume { conn, presented, token }, answer) => {
                    let found = if let Some(Found::Resumed(found)) = answer { Some(found) } else { None };
                    self.finish_resume(conn, &presented, token, found);
                }
                (Fetch::Who { command }, answer) => {
                    let elsewhere =
                        if let Some(Found::Sessions(found)) = answer { Some(found) } else { None };
                    self.registry.list_who_is_here(command, elsewhere);
                }
                (Fetch::Debts { command }, answer) => {
                    let is_alone = answer != Some(Found::Debts);
                    self.registry.answers.list(command, Listing::Debts { after: None, is_alone });
                }
                (Fetch::EndAll { name, why, report }, answer) => {
                    let elsewhere = if let Some(Found::Ended(count)) = answer { Some(count) } else { None };
                    self.registry.end_sessions(&name, why, elsewhere, report);
                }
                (Fetch::Greeting { conn }, Some(Found::Visitor(last))) => self.say_hello(conn, last.as_ref()),
                // It is no reason to keep anybody out.
                (Fetch::Greeting { conn }, _) => self.say_hello(conn, None),
                (Fetch::Identify { conn, name }, Some(Found::Name(found))) => {
                    self.want_fetched_password(conn, name, &found);
                }
                (Fetch::Password { conn, name, password, change }, Some(Found::Name(found))) => {
                    self.check_against(conn, name, password, change, found);
                }
                (Fetch::ShowUser { command, name }, Some(Found::Name(found))) => {
                    self.show_found_user(command, &name, found);
                }
                (Fetch::ShowUser { command, .. }, Some(Found::Unusable(reason))) => {
                    self.registry.answers.failed(command, reason);
                }
                (Fetch::ShowUser { command, .. }, _) => {
                    self.registry.answers.failed(command, self.store.excuse());
                }
                (
                    Fetch::Identify { conn, .. } | Fetch::Password { conn, .. } | Fetch::Open { conn, .. },
                    _,
                ) => self.refuse_away(conn),
            }
        }
    }

    /// The record was another when the session was to be opened: whoever was disabled, removed or given another password
    /// meanwhile is answered by what is there now. Once, for a record may be changed again and again.
    fn log_in_again(&mut self, id: ConnId, name: Name, password: Password) {
        let Some(unauthenticated) = self.unauthenticated(id) else { return };
        if std::mem::replace(&mut unauthenticated.is_judged_again, true) {
            let explanation = "while the record of this user is being changed";
            return self.registry.refuse(id, Code::Busy, &seconds_first(COME_BACK, explanation));
        }
        self.check_password(id, name, password, None);
    }

    /// The connection is gone that this was for. A session that it has opened ends; one that it has taken back can be resumed
    /// once more, for its token may have been lost on the way.
    fn leave_entry(&mut self, what: Fetch, answer: Option<Found>) {
        match (what, answer) {
            (Fetch::Open { .. }, Some(Found::Opened(Some(entry)))) => {
                self.store.directory().into_iter().for_each(|directory| directory.carry(entry, None));
            }
            (Fetch::Resume { conn, presented, token }, Some(Found::Resumed(Some(found)))) => {
                self.keep_lost(conn, &presented, token, found);
            }
            _ => {}
        }
    }

    /// What a connection needs is kept where nobody can reach it, or where it is refused.
    pub(super) fn refuse_away(&mut self, id: ConnId) {
        let explanation = format!("or more: {}", self.store.excuse());
        self.registry.refuse(id, Code::Busy, &seconds_first(COME_BACK, &explanation));
    }
}

/// A name is somebody's, whatever becomes of it.
pub(super) fn is_somebodys(found: &Lookup) -> bool {
    matches!(found, Lookup::Pending | Lookup::Known(_) | Lookup::Disabled(_))
}
