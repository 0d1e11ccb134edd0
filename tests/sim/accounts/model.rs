//! What is known of the accounts: what each is, and what else it may be after a crash.

use super::name;
use crate::disk::SimDisk;
use crate::model::users::is_hash_of;
use porter::auth::{Password, PasswordHash, hash_password};
use porter::command::Command;
use porter::store::{Account, DiskStore, Lookup, Stamp, Store};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const NAMES: [&str; 4] = ["ann", "bob", "eve", "zoe"];

/// An account, with the number of its password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    Absent,
    Active(u32),
    Disabled(u32),
}

/// Something that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Add(&'static str, u32),
    Password(&'static str, u32),
    Disable(&'static str),
    Enable(&'static str),
    Remove(&'static str),
    Import(Vec<(&'static str, u32)>),
}

pub(crate) fn password(number: u32) -> String {
    format!("password number {number}")
}

/// Rounds and salt tell hashes of one password apart.
pub(crate) fn hash(number: u32, salt: u64) -> PasswordHash {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&salt.to_le_bytes());
    hash_password(&Password::new(password(number).as_bytes()), bytes, 1 + number % 7)
}

impl Request {
    pub(crate) fn command(&self, salt: u64) -> Command {
        match self {
            Request::Add(who, new) => Command::AddUser(name(who), hash(*new, salt)),
            Request::Password(who, new) => Command::SetPassword(name(who), hash(*new, salt)),
            Request::Disable(who) => Command::DisableUser(name(who)),
            Request::Enable(who) => Command::EnableUser(name(who)),
            Request::Remove(who) => Command::RemoveUser(name(who)),
            Request::Import(users) => Command::ImportUsers(
                users
                    .iter()
                    .map(|(who, new)| Account {
                        name: name(who),
                        password: hash(*new, salt),
                        is_disabled: false,
                        registered: Stamp::of(time::OffsetDateTime::UNIX_EPOCH),
                    })
                    .collect(),
            ),
        }
    }

    /// What becomes of an account by it; none if it is refused.
    fn applied(&self, who: &str, state: State) -> Option<State> {
        match (self, state) {
            (Request::Add(name, new), State::Absent) if *name == who => Some(State::Active(*new)),
            (Request::Password(name, new), State::Active(_)) if *name == who => Some(State::Active(*new)),
            (Request::Password(name, new), State::Disabled(_)) if *name == who => Some(State::Disabled(*new)),
            (Request::Disable(name), State::Active(old) | State::Disabled(old)) if *name == who => {
                Some(State::Disabled(old))
            }
            (Request::Enable(name), State::Active(old) | State::Disabled(old)) if *name == who => {
                Some(State::Active(old))
            }
            (Request::Remove(name), State::Active(_) | State::Disabled(_)) if *name == who => {
                Some(State::Absent)
            }
            (Request::Import(users), State::Absent) => {
                users.iter().find(|(name, _)| *name == who).map(|(_, new)| State::Active(*new))
            }
            _ => None,
        }
    }

    fn names(&self) -> Vec<&'static str> {
        match self {
            Request::Add(name, _)
            | Request::Password(name, _)
            | Request::Disable(name)
            | Request::Enable(name)
            | Request::Remove(name) => vec![name],
            Request::Import(users) => users.iter().map(|(name, _)| *name).collect(),
        }
    }
}

/// What a login of somebody costs, by the record that is stored.
pub(crate) fn rounds(who: &str, store: &DiskStore<SimDisk>) -> u32 {
    match store.find(&name(who)) {
        Lookup::Known(hash) | Lookup::Disabled(hash) => hash.rounds,
        _ => 0,
    }
}

#[derive(Default)]
pub(crate) struct Users {
    states: BTreeMap<&'static str, State>,
    /// What each may also be found to be at the next start.
    doubts: BTreeMap<&'static str, BTreeSet<State>>,
    /// Imports of which the next start shows all or nothing.
    imports: Vec<Vec<(&'static str, u32)>>,
    /// Every password that an account has ever had.
    passwords: BTreeMap<&'static str, Vec<u32>>,
    /// Names whose sessions are to have ended.
    ended: BTreeSet<&'static str>,
}

impl Users {
    pub(crate) fn state(&self, name: &str) -> State {
        self.states.get(name).copied().unwrap_or(State::Absent)
    }

    pub(crate) fn passwords(&self, name: &str) -> Vec<u32> {
        let had = self.passwords.get(name).cloned().unwrap_or_default();
        let latest = had.iter().rev().take(3).copied();
        latest.chain([0]).collect()
    }

    pub(crate) fn may_be_done(&self, request: &Request) -> bool {
        request.names().iter().all(|name| request.applied(name, self.state(name)).is_some())
    }

    pub(crate) fn done(&mut self, request: &Request) {
        for name in request.names() {
            let state = self.state(name);
            let new = request.applied(name, state);
            self.set(name, new.unwrap_or_else(|| panic!("{request:?} was done, and {name} was {state:?}")));
            if !matches!(request, Request::Add(..) | Request::Enable(_) | Request::Import(_))
                && new != Some(state)
            {
                self.ended.insert(name);
            }
        }
    }

    /// A user's own change of the password was done, and so before whatever the administrator has done to the account at the
    /// same time: behind that the old password would not have been right.
    pub(crate) fn done_first(&mut self, name: &'static str, before: u32, new: u32) {
        self.passwords.entry(name).or_default().push(new);
        match self.state(name) {
            State::Active(old) if old == before => self.set(name, State::Active(new)),
            State::Disabled(old) if old == before => self.set(name, State::Disabled(new)),
            _ => {}
        }
    }

    pub(crate) fn failed(&mut self, request: &Request, reason: &str) {
        // What could not be taken back a restart decides; and a file whose new name could not be synced has it or not.
        if reason.contains("nor taken back") || matches!(request, Request::Import(_)) {
            self.doubt([request].into_iter());
        }
    }

    /// Any of these may be found done at the next start, in this order, or imports after the rest.
    pub(crate) fn doubt<'a>(&mut self, requests: impl Iterator<Item = &'a Request> + Clone) {
        for request in requests.clone().chain(requests.clone()) {
            for name in request.names() {
                let now = self.state(name);
                let doubts = self.doubts.entry(name).or_default();
                let further: Vec<State> =
                    doubts.iter().chain([&now]).filter_map(|state| request.applied(name, *state)).collect();
                doubts.extend(further);
            }
        }
        for request in requests {
            if let Request::Import(users) = request {
                self.imports.push(users.clone());
            }
        }
    }

    /// What a start has found is what was acknowledged, or what may be.
    pub(crate) fn check_start(&mut self, store: &DiskStore<SimDisk>) {
        let doubts = std::mem::take(&mut self.doubts);
        for who in NAMES {
            let before = self.state(who);
            let possible: BTreeSet<State> =
                doubts.get(who).into_iter().flatten().copied().chain([before]).collect();
            let found = store.find(&name(who));
            let fits = |state: &State| match (state, &found) {
                (State::Absent, Lookup::Unknown) => true,
                (State::Active(number), Lookup::Known(hash))
                | (State::Disabled(number), Lookup::Disabled(hash)) => {
                    is_hash_of(hash, password(*number).as_bytes())
                }
                _ => false,
            };
            let is = possible.iter().find(|state| fits(state));
            let is = *is
                .unwrap_or_else(|| panic!("{who} is {found:?} after a start, and not one of {possible:?}"));
            self.set(who, is);
        }
        for users in std::mem::take(&mut self.imports) {
            let imported = users.iter().filter(|(name, new)| self.state(name) == State::Active(*new)).count();
            let is_alone = |(name, new): &(&'static str, u32)| {
                doubts.get(name).is_some_and(|all| all.iter().eq([&State::Active(*new)]))
            };
            let count = users.len();
            let is_half = imported > 0 && imported < count && users.iter().all(is_alone);
            assert!(!is_half, "{imported} of {count} users of an import are there");
        }
        let living = self.states.values().filter(|state| **state != State::Absent).count();
        assert_eq!(store.user_count(), living, "users after a start");
        self.ended.clear();
    }

    pub(crate) fn has_ended(&self, name: &str) -> bool {
        self.ended.contains(name)
    }

    pub(crate) fn sessions_are_checked(&mut self) {
        self.ended.clear();
    }

    fn set(&mut self, name: &'static str, state: State) {
        if let State::Active(number) | State::Disabled(number) = state {
            self.passwords.entry(name).or_default().push(number);
        }
        self.states.insert(name, state);
    }
}
