//! A store that does as it is told.

use super::*;
use crate::auth::SessionId;
use crate::limits::TOKEN_BYTES;
use crate::store::{Became, Directory, EndReason, EntryId, News};
use std::collections::HashSet;

/// Keeps users in memory, and answers only when a test lets it.
#[derive(Default)]
pub(super) struct SlowStore {
    pub(super) users: HashMap<Name, PasswordHash>,
    /// Those of them who are not let in.
    pub(super) disabled: HashSet<Name>,
    /// Rounds of those who were removed.
    pub(super) removed: Vec<u32>,
    pub(super) waiting: Vec<(Ticket, Name, PasswordHash)>,
    pub(super) answers: Vec<Completion>,
    /// What a reload finds.
    pub(super) changed: Option<HashMap<Name, PasswordHash>>,
    /// Nothing is known without being fetched.
    pub(super) is_elsewhere: bool,
    pub(super) asked: Vec<(Ticket, Asked)>,
    pub(super) fetched: Vec<Fetched>,
    /// What it was told of sessions, if others are to know of them.
    pub(super) told: Option<Told>,
}

/// A directory that takes down what it is told, and answers when a test does.
#[derive(Default)]
pub(super) struct Told {
    pub(super) resumes: Vec<Ticket>,
    pub(super) here: Option<SessionId>,
    pub(super) carried: Vec<(EntryId, Option<SessionId>)>,
    pub(super) lost: Vec<SessionId>,
    pub(super) news: Vec<News>,
    /// What was published, in order.
    pub(super) published: Vec<&'static str>,
}

pub(super) enum Asked {
    Name(Name),
    Visitor,
}

impl SlowStore {
    pub(super) fn known(&self, name: &Name) -> Lookup {
        match self.users.get(name) {
            Some(stored) if self.disabled.contains(name) => Lookup::Disabled(stored.clone()),
            Some(stored) => Lookup::Known(stored.clone()),
            None if self.waiting.iter().any(|(_, waiting, _)| waiting == name) => Lookup::Pending,
            None => Lookup::Unknown,
        }
    }

    /// Answers what was asked to be fetched, or that nobody knows.
    pub(super) fn answer_fetches(&mut self, is_away: bool) {
        for (ticket, asked) in std::mem::take(&mut self.asked) {
            let found = match asked {
                Asked::Name(name) => Found::Name(self.known(&name)),
                Asked::Visitor => Found::Visitor(Name::new("ann").ok()),
            };
            self.fetched.push(Fetched { ticket, answer: (!is_away).then_some(found) });
        }
    }

    pub(super) fn answer(&mut self, outcome: Result<(), Failure>) {
        for (ticket, name, password) in self.waiting.drain(..) {
            if outcome.is_ok() {
                self.users.insert(name, password);
            }
            self.answers.push(Completion { ticket, outcome: outcome.clone() });
        }
    }
}

impl Store for SlowStore {
    fn find(&self, name: &Name) -> Lookup {
        if self.is_elsewhere { Lookup::Elsewhere } else { self.known(name) }
    }

    fn fetch(&mut self, ticket: Ticket, name: &Name) {
        self.asked.push((ticket, Asked::Name(name.clone())));
    }

    fn fetch_visitor(&mut self, ticket: Ticket, _: IpAddr) -> bool {
        if self.is_elsewhere {
            self.asked.push((ticket, Asked::Visitor));
        }
        self.is_elsewhere
    }

    fn poll_fetched(&mut self) -> Option<Fetched> {
        self.fetched.pop()
    }

    fn user_count(&self) -> usize {
        self.users.len()
    }

    fn rounds(&self, number: usize) -> Option<u32> {
        let users = self.users.values().map(|stored| stored.rounds);
        users.chain(self.removed.iter().copied()).nth(number)
    }

    fn account(&self, number: usize) -> Option<Account> {
        let (name, password) = self.users.iter().nth(number)?;
        let registered = Stamp::of(OffsetDateTime::UNIX_EPOCH);
        let is_disabled = self.disabled.contains(name);
        Some(Account { name: name.clone(), password: password.clone(), is_disabled, registered })
    }

    fn accounts_end(&self) -> usize {
        self.users.len() + self.removed.len()
    }

    fn register(&mut self, ticket: Ticket, name: Name, password: PasswordHash) {
        self.waiting.push((ticket, name, password));
    }

    fn rehash(&mut self, ticket: Ticket, name: Name, password: PasswordHash) {
        self.waiting.push((ticket, name, password));
    }

    fn reload(&mut self) {
        if let Some(users) = self.changed.take() {
            self.users = users;
        }
    }

    fn poll_completion(&mut self) -> Option<Completion> {
        self.answers.pop()
    }

    fn last_visitor(&self, _: IpAddr) -> Option<Name> {
        None
    }

    fn note_visitor(&mut self, _: IpAddr, _: &Name) {}

    fn directory(&mut self) -> Option<&mut dyn Directory> {
        self.told.as_mut().map(|told| told as &mut dyn Directory)
    }
}

impl Directory for Told {
    fn open(&mut self, _: Ticket, _: &Name, _: &PasswordHash, _: &[u8; TOKEN_BYTES], _: SocketAddr) {}

    fn resume(
        &mut self,
        ticket: Ticket,
        _: &[u8; TOKEN_BYTES],
        _: &[u8; TOKEN_BYTES],
        _: SocketAddr,
        _: Option<SessionId>,
    ) {
        self.resumes.push(ticket);
    }

    fn end_all(&mut self, _: Ticket, _: &Name, _: EndReason) {}

    fn end_if(&mut self, _: &Name, _: Became<'_>, _: EndReason) {}

    fn list(&mut self, _: Ticket) {}

    fn list_debts(&mut self, _: Ticket) {}

    fn carried(&self, _: EntryId) -> Option<SessionId> {
        self.here
    }

    fn carry(&mut self, entry: EntryId, session: Option<SessionId>) {
        self.carried.push((entry, session));
    }

    fn resumed_here(&mut self, _: SessionId, _: &[u8; TOKEN_BYTES], _: &[u8; TOKEN_BYTES], _: SocketAddr) {}

    fn confirm(&mut self, _: SessionId) {}

    fn lose(&mut self, session: SessionId, _: Duration) {
        self.lost.push(session);
    }

    fn end(&mut self, _: SessionId) {
        self.published.push("end");
    }

    fn say(&mut self, _: Option<&Name>, _: Option<&Name>, _: &str) {
        self.published.push("say");
    }

    fn poll_news(&mut self, _: bool) -> Option<News> {
        self.news.pop()
    }
}
