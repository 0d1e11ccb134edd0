//! What a store keeps elsewhere: asked for when somebody needs it, and gone on with when it is there.

use super::admission::NewPassword;
use super::answers::CommandId;
use super::arrival::COME_BACK;
use super::connection::ConnectionState;
use super::login::seconds_first;
use super::strangers::StrangerState;
use super::{ConnId, Engine};
use crate::auth::conversation::{LoginState, PendingWork};
use crate::auth::{Name, Password};
use crate::protocol::Code;
use crate::store::{AWAY, Fetched, Found, Lookup, Store};
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
}

impl Fetch {
    /// The connection that waits for it.
    fn connection(&self) -> Option<ConnId> {
        match self {
            Fetch::Greeting { conn } | Fetch::Identify { conn, .. } | Fetch::Password { conn, .. } => {
                Some(*conn)
            }
            Fetch::ShowUser { .. } => None,
        }
    }
}

impl<S: Store> Engine<S> {
    /// Has what is known of a name fetched. Nothing more of the connection is handled until it is there.
    pub(super) fn fetch(&mut self, name: &Name, what: Fetch) {
        if let Some(conn) = what.connection() {
            self.await_fetch(conn);
            let origin = self.origin(conn).filter(|_| !self.is_exempt(conn));
            origin.into_iter().for_each(|origin| self.store.fetch_debt(origin));
        }
        let ticket = self.admission.next_ticket();
        self.admission.fetching.insert(ticket, what);
        self.store.fetch(ticket, name);
    }

    /// Has the name fetched that a connection is greeted with; false if the store knows it at once.
    pub(super) fn fetch_visitor(&mut self, conn: ConnId, address: IpAddr) -> bool {
        let ticket = self.admission.next_ticket();
        let is_elsewhere = self.store.fetch_visitor(ticket, address);
        if is_elsewhere {
            self.await_fetch(conn);
            self.admission.fetching.insert(ticket, Fetch::Greeting { conn });
        }
        is_elsewhere
    }

    fn await_fetch(&mut self, id: ConnId) {
        let now = self.registry.now;
        match self.registry.connections.get_mut(id).map(|connection| &mut connection.state) {
            Some(ConnectionState::Unauthenticated(unauthenticated)) => {
                let then = std::mem::replace(&mut unauthenticated.login, LoginState::Identifying);
                unauthenticated.begin_waiting(then, PendingWork::Fetch, now);
                self.registry.note_stranger(id, Some(StrangerState::Waiting));
            }
            Some(ConnectionState::Authenticated { is_waiting, .. }) => *is_waiting = true,
            _ => {}
        }
        self.registry.arm(id);
    }

    /// Goes on with what was fetched. An answer finds the connection that has asked, or nobody.
    pub(super) fn take_fetched(&mut self) {
        while let Some(Fetched { ticket, answer }) = self.store.poll_fetched() {
            let Some(what) = self.admission.fetching.remove(&ticket) else { continue };
            if what.connection().is_some_and(|conn| !self.end_waiting(conn)) {
                continue;
            }
            match (what, answer) {
                (Fetch::Greeting { conn }, Some(Found::Visitor(last))) => self.say_hello(conn, last.as_ref()),
                // It is no reason to keep anybody out.
                (Fetch::Greeting { conn }, _) => self.say_hello(conn, None),
                (Fetch::Identify { conn, name }, Some(Found::Name(found))) => {
                    self.want_password(conn, name, &found);
                }
                (Fetch::Password { conn, name, password, change }, Some(Found::Name(found))) => {
                    self.check_against(conn, name, password, change, found);
                }
                (Fetch::ShowUser { command, name }, Some(Found::Name(found))) => {
                    self.show_found_user(command, &name, found);
                }
                (Fetch::ShowUser { command, .. }, _) => self.registry.answers.failed(command, AWAY),
                (Fetch::Identify { conn, .. } | Fetch::Password { conn, .. }, _) => self.refuse_away(conn),
            }
        }
    }

    /// What a connection needs is kept where nobody can reach it.
    pub(super) fn refuse_away(&mut self, id: ConnId) {
        let explanation = format!("or more: {AWAY}");
        self.registry.refuse(id, Code::Busy, &seconds_first(COME_BACK, &explanation));
    }
}

/// A name is somebody's, whatever becomes of it.
pub(super) fn is_somebodys(found: &Lookup) -> bool {
    matches!(found, Lookup::Pending | Lookup::Known(_) | Lookup::Disabled(_))
}
