//! Requests that wait for the next write of `users.csv`, in the order in which they came.

use super::super::record::{Record, User};
use super::super::stamp::Stamp;
use super::super::table::Table;
use super::super::{Account, AccountChange, Ticket};
use crate::auth::{Name, PasswordHash, skeleton};
use std::collections::HashMap;

/// A request that waits for the next write.
pub(super) struct QueuedRequest {
    pub(super) ticket: Ticket,
    pub(super) name: Name,
    pub(super) wanted: Wanted,
}

pub(super) enum Wanted {
    /// A new user, who registers when it is written.
    Registration(PasswordHash),
    /// What is to be known of a user from then on.
    Change(Record),
}

impl Wanted {
    /// The record to write.
    fn into_record(self, now: Stamp) -> Record {
        match self {
            Wanted::Registration(password) => {
                Record::User(User { password, registered: now, is_disabled: false })
            }
            Wanted::Change(record) => record,
        }
    }
}

/// All that wait.
#[derive(Default)]
pub(super) struct Requests {
    waiting: Vec<QueuedRequest>,
    /// The names of those who wait and are new, by their skeletons.
    pending: HashMap<String, Name>,
    /// The last record that waits for a known user: later requests begin from it.
    last: HashMap<Name, Record>,
    imports: Vec<(Ticket, Vec<Account>)>,
}

impl Requests {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.imports.is_empty()
    }

    /// How many new users wait, without those of imports.
    pub(super) fn pending_count(&self) -> usize {
        self.pending.len()
    }

    /// Whose registration waits that has this name, or one that looks like it.
    pub(super) fn pending(&self, name: &Name) -> Option<&Name> {
        self.pending.get(&skeleton(name.as_str()))
    }

    /// The last that waits for a known user.
    pub(super) fn last(&self, name: &Name) -> Option<&Record> {
        self.last.get(name)
    }

    pub(super) fn register(&mut self, ticket: Ticket, name: Name, password: PasswordHash) {
        self.pending.insert(skeleton(name.as_str()), name.clone());
        self.waiting.push(QueuedRequest { ticket, name, wanted: Wanted::Registration(password) });
    }

    pub(super) fn change(&mut self, ticket: Ticket, name: Name, record: Record) {
        self.last.insert(name.clone(), record.clone());
        self.waiting.push(QueuedRequest { ticket, name, wanted: Wanted::Change(record) });
    }

    pub(super) fn import(&mut self, ticket: Ticket, accounts: Vec<Account>) {
        self.imports.push((ticket, accounts));
    }

    /// All that is to be written with one write, as it is written now.
    pub(super) fn take_records(&mut self, now: Stamp) -> Vec<(Ticket, Name, Record)> {
        self.pending.clear();
        self.last.clear();
        let record =
            |QueuedRequest { ticket, name, wanted }| (ticket, name, Wanted::into_record(wanted, now));
        self.waiting.drain(..).map(record).collect()
    }

    pub(super) fn take_imports(&mut self) -> Vec<(Ticket, Vec<Account>)> {
        std::mem::take(&mut self.imports)
    }

    /// Another file counts from now on: gives the requests that it has overtaken, and keeps the others. Imports are judged
    /// only when they are written.
    pub(super) fn take_overtaken(&mut self, before: &Table, after: &Table) -> Vec<Ticket> {
        let has_room = after.has_room(self.waiting.len());
        let is_overtaken = |waiting: &mut QueuedRequest| {
            let name = waiting.name.as_str();
            !has_room
                || match waiting.wanted {
                    Wanted::Registration(_) => after.has_look_alike(name),
                    Wanted::Change(_) => before.find(name) != after.find(name),
                }
        };
        let overtaken: Vec<QueuedRequest> = self.waiting.extract_if(.., is_overtaken).collect();
        for QueuedRequest { name, wanted, .. } in &overtaken {
            match wanted {
                Wanted::Registration(_) => self.pending.remove(&skeleton(name.as_str())).map(|_| ()),
                Wanted::Change(_) => self.last.remove(name).map(|_| ()),
            };
        }
        overtaken.into_iter().map(|waiting| waiting.ticket).collect()
    }
}

/// The record of a user after a change.
pub(super) fn changed(user: User, change: AccountChange) -> Record {
    match change {
        AccountChange::Enable => Record::User(User { is_disabled: false, ..user }),
        AccountChange::Disable => Record::User(User { is_disabled: true, ..user }),
        AccountChange::Remove => Record::Removal(user.registered),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::OffsetDateTime;

    #[test]
    fn new_users_are_counted_until_they_are_written() {
        let mut requests = Requests::default();
        let password = PasswordHash { rounds: 1, salt: [1; 16], hash: [2; 16] };
        for (number, name) in ["ann", "bob"].into_iter().enumerate() {
            assert_eq!(requests.pending_count(), number);
            requests.register(Ticket(number as u64), Name::new(name).unwrap(), password.clone());
        }
        let known = User { password, registered: Stamp::of(OffsetDateTime::UNIX_EPOCH), is_disabled: false };
        requests.change(Ticket(2), Name::new("cid").unwrap(), Record::User(known));
        assert_eq!(requests.pending_count(), 2, "who changes is not new");
        requests.take_records(Stamp::of(OffsetDateTime::UNIX_EPOCH));
        assert_eq!(requests.pending_count(), 0);
    }
}
