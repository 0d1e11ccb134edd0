//! What outlives a restart: who the users are, and who was last seen at which address.
//!
//! The engine sees only the [`Store`] trait: looking up is immediate, storing is a request that is answered
//! later by a completion, so that a store that takes longer, or lives elsewhere, changes nothing above it.
//!
//! This module must not know about connections, tokens or frames.
//!
//! # The files
//!
#![doc = include_str!("files.md")]

mod addresses;
#[cfg(feature = "shared")]
mod any;
mod csv_store;
mod directory;
mod disk;
mod files;
mod holes;
mod journal;
mod lines;
mod link;
mod lock;
mod os_disk;
mod record;
mod report;
#[cfg(feature = "shared")]
mod shared;
mod stamp;
mod table;
mod torn_tail;
mod users;
mod visitors;

#[cfg(test)]
mod faulty;
#[cfg(test)]
mod tests;

#[cfg(feature = "shared")]
pub use any::AnyStore;
pub use csv_store::DiskStore;
pub use directory::{Became, Directory, EndReason, EntryId, News, RemoteSession, Resumed};
pub use disk::{Disk, FileState};
#[cfg(feature = "programs")]
pub(crate) use files::dangling_link;
pub use link::{Link, LinkAction, LinkFigures};
pub use lock::holder_of;
pub use os_disk::OsDisk;
pub use report::{Notice, OpenError, Repair, SyncFigures};
#[cfg(feature = "shared")]
pub use shared::{
    BadDurability, BadRecord, BadStoreAddress, DirectStore, Durability, SharedStore, StoreAddress,
    StoreError, StoredUsers, check_new,
};
pub use stamp::{BadStamp, Stamp};

use crate::Moment;
use crate::auth::{Name, Origin, PasswordHash};
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::ops::{ControlFlow, Range};
use std::time::Duration;

/// Names a request to the store; the engine draws them and they come back with the completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What the store knows of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Nobody has it.
    Unknown,
    /// Nobody has it, nor may anybody: it can be taken for the name of somebody else.
    LookAlike,
    /// Its registration is accepted but not yet on stable storage.
    Pending,
    /// Somebody has it, with this password.
    Known(PasswordHash),
    /// Somebody has it, with this password, and is not let in.
    Disabled(PasswordHash),
    /// This is kept elsewhere, and is known only when it was [fetched](Store::fetch).
    Elsewhere,
}

/// What becomes of a known user's account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountChange {
    /// The user is let in again; nothing changes for one who was not disabled.
    Enable,
    /// The user is not let in any more, and the name and its password are kept.
    Disable,
    /// There is no such user any more, and the name is free.
    Remove,
}

/// A user as lists and exports show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Who it is.
    pub name: Name,
    /// The stored password.
    pub password: PasswordHash,
    /// Whether the user is not let in.
    pub is_disabled: bool,
    /// When the user registered.
    pub registered: Stamp,
}

/// The answer to one request.
#[derive(Debug)]
pub struct Completion {
    /// Which request.
    pub ticket: Ticket,
    /// Whether it is on stable storage; if not, nothing of it remains.
    pub outcome: Result<(), Failure>,
}

/// Why something was not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Somebody else has the name meanwhile.
    Taken,
    /// Somebody has a name meanwhile that the new one can be taken for.
    LookAlike,
    /// The record is another than the one that was to be replaced.
    Changed,
    /// Nobody has the name.
    Unknown,
    /// What is kept elsewhere cannot be reached.
    Away,
    /// For another reason.
    Other(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Failure::Taken => "the name is taken",
            Failure::LookAlike => "the name looks like one that is taken",
            Failure::Changed => "the record was changed meanwhile",
            Failure::Unknown => "there is no such user",
            Failure::Away => AWAY,
            Failure::Other(reason) => reason,
        })
    }
}

/// What was fetched from elsewhere for one ticket.
#[derive(Debug)]
pub struct Fetched {
    /// What was asked.
    pub ticket: Ticket,
    /// The answer to that; `None` if elsewhere cannot be reached.
    pub answer: Option<Found>,
}

/// The answer to a question about what is kept elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// To [`fetch`](Store::fetch): never [`Lookup::Elsewhere`].
    Name(Lookup),
    /// To [`fetch`](Store::fetch): somebody is kept under the name, but not as a user is; this is what is wrong.
    Unusable(String),
    /// To [`fetch_visitor`](Store::fetch_visitor): who logged in last from the address.
    Visitor(Option<Name>),
    /// To [`open`](Directory::open): the session, unless the record is another by now.
    Opened(Option<EntryId>),
    /// To [`resume`](Directory::resume): the session, if there is one.
    Resumed(Option<Resumed>),
    /// To [`end_all`](Directory::end_all): how many there were.
    Ended(usize),
    /// To [`list`](Directory::list).
    Sessions(Vec<RemoteSession>),
    /// To [`list_debts`](Directory::list_debts): they were told before.
    Debts,
}

/// What is said where a store that is elsewhere does not answer.
pub(crate) const AWAY: &str = "the shared store cannot be reached";

/// Where users and visitors are kept.
///
/// A store that has them in memory knows at once. One that keeps them elsewhere says so, by [`Lookup::Elsewhere`] and
/// [`fetch_visitor`](Store::fetch_visitor): it is then asked to fetch them, and answers later, within a second, be it that
/// it cannot. What it cannot know when it is asked to store, as that a name is free, it finds out then.
pub trait Store {
    /// What is known of a name.
    fn find(&self, name: &Name) -> Lookup;

    /// Fetches what is known elsewhere of a name, of which [`find`](Store::find) has said [`Lookup::Elsewhere`]; an answer
    /// with this ticket [follows](Store::poll_fetched).
    fn fetch(&mut self, ticket: Ticket, name: &Name) {
        let _ = (ticket, name);
    }

    /// Fetches who logged in last from an address; an answer with this ticket follows. False: that is kept here, and
    /// [`last_visitor`](Store::last_visitor) knows.
    fn fetch_visitor(&mut self, ticket: Ticket, address: IpAddr) -> bool {
        let _ = (ticket, address);
        false
    }

    /// Something that was fetched since the last call, or could not be.
    fn poll_fetched(&mut self) -> Option<Fetched> {
        None
    }

    /// How many users are known, the disabled ones too.
    fn user_count(&self) -> usize;

    /// The rounds of one user's stored password. Users are numbered from 0 on, in any order that stays the same when one
    /// more comes; every number below their count has an answer, which may be that of somebody who was removed. This is
    /// asked at every login that is hashed, so it must not take long.
    fn rounds(&self, number: usize) -> Option<u32>;

    /// One user by number, as in [`rounds`](Store::rounds) but up to [`accounts_end`](Store::accounts_end); `None` where
    /// somebody was removed.
    fn account(&self, number: usize) -> Option<Account> {
        let _ = number;
        None
    }

    /// Whether [`account`](Store::account) knows all there are.
    fn lists_accounts(&self) -> bool {
        true
    }

    /// Above every number that [`account`](Store::account) knows.
    fn accounts_end(&self) -> usize {
        0
    }

    /// Hands over the names that begin with a text, of the users with these numbers, until it is answered that there are
    /// enough.
    fn names_that_begin(
        &self,
        text: &str,
        mut numbers: Range<usize>,
        take: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) {
        let _ = numbers.try_for_each(|number| match self.account(number) {
            Some(account) if account.name.as_str().starts_with(text) => take(account.name.as_str()),
            _ => ControlFlow::Continue(()),
        });
    }

    /// Who was seen at some address and when, by number from 0 up to [`visits_end`](Store::visits_end), in any order that
    /// holds while nothing changes. A user may be there several times, or not at all, and one may be there who was removed.
    fn visit(&self, number: usize) -> Option<(Name, Stamp)> {
        let _ = number;
        None
    }

    /// Above every number that [`visit`](Store::visit) knows.
    fn visits_end(&self) -> usize {
        0
    }

    /// Notes when users were last seen, from one visit on and at most so many. Says which is the next, if there is one.
    fn note_last_seen(&self, from: usize, most: usize, seen: &mut HashMap<Name, Stamp>) -> Option<usize> {
        let end = self.visits_end().min(from.saturating_add(most));
        for (name, stamp) in (from..end).filter_map(|number| self.visit(number)) {
            let last = seen.entry(name).or_insert(stamp);
            *last = stamp.max(*last);
        }
        (end < self.visits_end()).then_some(end)
    }

    /// What syncs cost since the start.
    fn sync_figures(&self) -> SyncFigures {
        SyncFigures::default()
    }

    /// What `--store` names it by, if it is elsewhere.
    fn place(&self) -> Option<String> {
        None
    }

    /// What its connection is like, if it has one.
    fn link_figures(&self) -> Option<LinkFigures> {
        None
    }

    /// Why nobody can be stored now, if so.
    fn trouble(&self, now: Moment) -> Option<&str> {
        let _ = now;
        None
    }

    /// Why something that is kept elsewhere was not answered, in words for a client.
    fn excuse(&self) -> &'static str {
        AWAY
    }

    /// Figures for a person, a line each.
    fn figures(&self) -> Vec<String> {
        Vec::new()
    }

    /// Takes a new user for storing. From now on the name is [`Pending`](Lookup::Pending); a completion with this
    /// ticket follows. The name must be [`Unknown`](Lookup::Unknown), or [`Elsewhere`](Lookup::Elsewhere).
    fn register(&mut self, ticket: Ticket, name: Name, password: PasswordHash);

    /// Takes a known user's new hash for storing, be it of another password. The old one counts until the completion, and
    /// of several the last. Who is disabled stays so.
    fn rehash(&mut self, ticket: Ticket, name: Name, password: PasswordHash);

    /// The same, unless the record is another than `replaces`: then it [fails](Failure::Changed). The engine has compared
    /// it where [`find`](Store::find) knows.
    fn replace(&mut self, ticket: Ticket, name: Name, password: PasswordHash, replaces: &PasswordHash) {
        let _ = replaces;
        self.rehash(ticket, name, password);
    }

    /// Takes a change of a known user's account for storing; a completion follows. What was before counts until then, but
    /// for later requests: of a user whose removal waits nothing more is changed. False: this store cannot, and no
    /// completion follows.
    fn alter(&mut self, ticket: Ticket, name: Name, change: AccountChange) -> bool {
        let _ = (ticket, name, change);
        false
    }

    /// Takes new users for storing, all of them or none, with states and times of registration; a completion follows.
    /// Their names are free until then, and whoever registers one meanwhile makes it fail. False: this store cannot, and
    /// no completion follows.
    fn import(&mut self, ticket: Ticket, accounts: Vec<Account>) -> bool {
        let _ = (ticket, accounts);
        false
    }

    /// What is kept may have been changed by others: takes it as it is now, if it is good. Names may be gone afterwards, or
    /// have other passwords.
    fn reload(&mut self) {}

    /// When [`commit`](Store::commit) is to be called next: a moment in the past is at once, `None` is not until something
    /// is stored. A store that answers at once needs none; one that is answered from elsewhere has the server
    /// [woken](crate::server::ServerHandle::wake).
    fn next_commit(&self) -> Option<Moment> {
        None
    }

    /// Stores what is due. It may block: the one thing in a server that does.
    fn commit(&mut self, now: Moment) {
        let _ = now;
    }

    /// Stores all that waits, due or not: the server stops.
    fn close(&mut self) {}

    /// Something to be logged that happened since the last call.
    fn poll_notice(&mut self) -> Option<Notice> {
        None
    }

    /// Asks what an origin owes elsewhere; [news](Store::poll_debt) of it follow before what is fetched after this.
    fn fetch_debt(&mut self, origin: Origin) {
        let _ = origin;
    }

    /// An origin is charged; news of what it owes then follow, if others have their debts from the same place.
    fn charge(&mut self, origin: Origin, penalty: Duration) {
        let _ = (origin, penalty);
    }

    /// An origin owes nothing any more.
    fn forgive(&mut self, origin: Origin) {
        let _ = origin;
    }

    /// What an origin owes, as it was told from elsewhere since the last call.
    fn poll_debt(&mut self) -> Option<(Origin, Duration)> {
        None
    }

    /// Which server carries which session, where several have their users here.
    fn directory(&mut self) -> Option<&mut dyn Directory> {
        None
    }

    /// Whether nothing waits that is lost when the server ends.
    fn is_idle(&self) -> bool {
        true
    }

    /// The connection that this store keeps to where its things are; whoever drives the store carries its bytes.
    fn link(&mut self) -> Option<&mut dyn Link> {
        None
    }

    /// A request that was answered since the last call.
    fn poll_completion(&mut self) -> Option<Completion>;

    /// Who logged in last from this address. IPv4 addresses mapped into IPv6 are given as IPv4.
    fn last_visitor(&self, address: IpAddr) -> Option<Name>;

    /// Notes a login.
    fn note_visitor(&mut self, address: IpAddr, name: &Name);
}
