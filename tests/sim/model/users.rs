//! Who is registered, and who was last seen where.

use hmac::Hmac;
use md5::Md5;
use porter::Moment;
use porter::auth::PasswordHash;
use porter::engine::ConnId;
use porter::store::Lookup;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// A user, or somebody who is about to be one.
#[derive(Debug)]
struct User {
    password: Vec<u8>,
    /// The store has said that it has them.
    kept: bool,
}

#[derive(Default, Debug)]
struct Visitor {
    /// Who was last there; `None` if a crash has made that uncertain.
    last: Option<String>,
    /// Who that was when the file was last known to be synced.
    durable: Option<String>,
    /// All since then.
    since: BTreeSet<String>,
}

/// What the store was asked about a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Registration(ConnId),
    Rehash,
    /// The new password, and the session that wants it.
    Change(Vec<u8>, ConnId, u64),
}

/// To what the store has answered.
pub(crate) enum Answered {
    /// The name, its password, and for which connection.
    Registration(String, Vec<u8>, ConnId),
    Rehash(String),
    Change(String, ConnId, u64),
}

/// All of them.
#[derive(Default)]
pub(crate) struct Users {
    users: BTreeMap<String, User>,
    /// Registrations of which a restart decides what has become.
    unsure: Vec<(String, Vec<u8>)>,
    visitors: BTreeMap<IpAddr, Visitor>,
    /// Passwords that users may have instead: of each a restart decides.
    unsure_changes: Vec<(String, Vec<u8>)>,
    /// What the store was asked and has not answered.
    pub(crate) requests: BTreeMap<u64, (String, Request)>,
    pub(crate) rehashes_possible: bool,
    /// Whose password is remembered, and how long.
    recognised: BTreeMap<String, Moment>,
    /// Whose password may have been seen to be right since the start, at a time that nobody knows.
    maybe_recognised: BTreeSet<String>,
    /// The store takes no registrations until a restart, so no name is taken by one.
    pub(crate) none_is_stored: bool,
}

impl Users {
    pub(crate) fn is_taken(&self, name: &str) -> bool {
        self.users.contains_key(name)
    }

    /// Whether it looks like the name of somebody else: in a run, because it differs from it in case alone.
    pub(crate) fn is_look_alike(&self, name: &str) -> bool {
        self.users.keys().any(|other| other != name && other.eq_ignore_ascii_case(name))
    }

    /// Whether this is the user's password; `None` if the store has not yet said whether there is such a user.
    pub(crate) fn is_right(&self, name: &str, password: &[u8]) -> Option<bool> {
        match self.users.get(name) {
            None => Some(false),
            Some(user) => user.kept.then_some(user.password == password),
        }
    }

    /// The password of a user was seen to be right, and is recognised until then.
    pub(crate) fn verified(&mut self, name: &str, until: Moment) {
        self.recognised.insert(name.to_owned(), until);
    }

    /// Whether the password of this user was verified lately enough for another one to be known as wrong at once.
    pub(crate) fn is_recognised(&self, name: &str, now: Moment) -> bool {
        let is_kept = self.users.get(name).is_some_and(|user| user.kept);
        is_kept && self.recognised.get(name).is_some_and(|until| now < *until)
    }

    pub(crate) fn verified_at_some_time(&mut self, name: &str) {
        self.maybe_recognised.insert(name.to_owned());
    }

    pub(crate) fn may_be_recognised(&self, name: &str) -> bool {
        self.maybe_recognised.contains(name)
    }

    pub(crate) fn has_users(&self) -> bool {
        !self.users.is_empty()
    }

    /// A user that was there before the run.
    pub(crate) fn add(&mut self, name: &str, password: &str) {
        self.users.insert(name.to_owned(), User { password: password.as_bytes().to_vec(), kept: true });
    }

    pub(crate) fn ask(&mut self, ticket: u64, name: String, password: Vec<u8>, conn: ConnId) {
        assert!(!self.is_look_alike(&name), "{name} was registered, and looks like somebody else's name");
        if !self.none_is_stored {
            let before = self.users.insert(name.clone(), User { password, kept: false });
            assert!(before.is_none(), "{name} was registered twice");
        }
        assert!(self.requests.insert(ticket, (name, Request::Registration(conn))).is_none());
    }

    pub(crate) fn ask_rehash(&mut self, ticket: u64, name: String, hash: &PasswordHash) {
        let user = self.users.get(&name).unwrap_or_else(|| panic!("{name} is rehashed, and unknown"));
        assert!(user.kept && is_hash_of(hash, &user.password), "{name} is rehashed with another password");
        assert!(self.requests.insert(ticket, (name, Request::Rehash)).is_none());
    }

    pub(crate) fn ask_change(&mut self, ticket: u64, name: &str, new: Vec<u8>, conn: ConnId, serial: u64) {
        let is_first =
            |(other, request): &(String, Request)| other != name || !matches!(request, Request::Change(..));
        assert!(self.requests.values().all(is_first), "two changes of {name} are at the store");
        let request = Request::Change(new, conn, serial);
        assert!(self.requests.insert(ticket, (name.to_owned(), request)).is_none());
    }

    /// The password that counts.
    pub(crate) fn password(&self, name: &str) -> Option<String> {
        self.users.get(name).map(|user| String::from_utf8_lossy(&user.password).into_owned())
    }

    /// What the store was asked for one connection it was asked for another.
    pub(crate) fn pass_on(&mut self, name: &str, from: ConnId, to: ConnId) {
        for (asked, conn) in self.requests.values_mut() {
            if asked == name && *conn == Request::Registration(from) {
                *conn = Request::Registration(to);
            }
        }
    }

    /// The store has answered: whose registration that was, and for which connection. A new user's password is
    /// recognised until `verified`.
    pub(crate) fn answered(&mut self, ticket: u64, kept: bool, verified: Moment) -> Answered {
        let (name, request) =
            self.requests.remove(&ticket).unwrap_or_else(|| panic!("an answer that nobody asked for"));
        match request {
            Request::Rehash => {
                if kept {
                    self.recognised.remove(&name);
                }
                Answered::Rehash(name)
            }
            Request::Registration(conn) => {
                let password = self.users.get(&name).map(|user| user.password.clone()).unwrap_or_default();
                if kept {
                    if let Some(user) = self.users.get_mut(&name) {
                        user.kept = true;
                    }
                    self.verified(&name, verified);
                } else {
                    self.users.remove(&name);
                }
                Answered::Registration(name, password, conn)
            }
            Request::Change(new, conn, serial) => {
                if let Some(user) = self.users.get_mut(&name).filter(|_| kept) {
                    user.password = new;
                }
                Answered::Change(name, conn, serial)
            }
        }
    }

    /// The store could not take back what it could not store: a restart will tell.
    pub(crate) fn stop_storing(&mut self) {
        self.doubt_waiting();
        self.none_is_stored = true;
    }

    fn doubt_waiting(&mut self) {
        for (name, user) in self.users.iter().filter(|(_, user)| !user.kept) {
            self.unsure.push((name.clone(), user.password.clone()));
        }
        self.unsure_changes.extend(changes(&self.requests).map(|(name, new)| (name.clone(), new.clone())));
    }

    pub(crate) fn forget_requests(&mut self) {
        self.doubt_waiting();
        self.users.retain(|_, user| user.kept);
        self.requests.clear();
        self.recognised.clear();
        self.maybe_recognised.clear();
        self.none_is_stored = false;
    }

    /// After a restart: whoever was told that they are registered is, with that password, and nobody else.
    pub(crate) fn check(&mut self, count: usize, find: impl Fn(&str) -> Lookup) {
        for (name, password) in std::mem::take(&mut self.unsure) {
            if let Lookup::Known(hash) = find(&name)
                && is_hash_of(&hash, &password)
            {
                self.users.insert(name, User { password, kept: true });
            }
        }
        for (name, new) in std::mem::take(&mut self.unsure_changes) {
            if let Lookup::Known(hash) = find(&name)
                && is_hash_of(&hash, &new)
                && let Some(user) = self.users.get_mut(&name)
            {
                user.password = new;
            }
        }
        self.check_acknowledged(count, find);
    }

    /// What a store has: whoever was told that they are registered, with that password, and besides them at most those
    /// who were told nothing yet.
    pub(crate) fn check_acknowledged(&self, count: usize, find: impl Fn(&str) -> Lookup) {
        for (name, user) in self.users.iter().filter(|(_, user)| user.kept) {
            match find(name) {
                Lookup::Known(hash) if is_hash_of(&hash, &user.password) => {}
                // Its change was not acknowledged, and may be there or not.
                Lookup::Known(hash) if self.may_be_changed(name, &hash) => {}
                Lookup::Known(_) => panic!("{name} has another password after the restart"),
                other => panic!("{name} was acknowledged and is {other:?} after the restart"),
            }
        }
        let waiting = self.users.iter().filter(|(_, user)| !user.kept).map(|(name, _)| name);
        let untold: BTreeSet<&String> = waiting.chain(self.unsure.iter().map(|(name, _)| name)).collect();
        let is_there = |name: &&&String| matches!(find(name), Lookup::Known(_));
        let expected =
            self.users.values().filter(|user| user.kept).count() + untold.iter().filter(is_there).count();
        assert_eq!(count, expected, "users after the restart that nobody was told of");
    }

    fn may_be_changed(&self, name: &str, hash: &PasswordHash) -> bool {
        let unsure = self.unsure_changes.iter().map(|(name, new)| (name, new));
        changes(&self.requests).chain(unsure).any(|(other, new)| other == name && is_hash_of(hash, new))
    }

    /// After a restart: the file of visitors is as old as it may be, and no older.
    pub(crate) fn check_visitors(&mut self, find: impl Fn(IpAddr) -> String) {
        let addresses: Vec<IpAddr> = self.visitors.keys().copied().collect();
        addresses.into_iter().for_each(|address| self.check_last_visitor(address, find(address)));
    }

    pub(crate) fn check_last_visitor(&mut self, address: IpAddr, name: String) {
        let visitor = self.visitors.entry(address.to_canonical()).or_default();
        match &visitor.last {
            Some(last) => assert_eq!(*last, name, "the last visitor of {address}"),
            None => {
                let lost = name.is_empty() && visitor.durable.is_none();
                let known = lost || visitor.durable.as_ref() == Some(&name) || visitor.since.contains(&name);
                assert!(known, "the last visitor of {address} is {name:?} after a crash: {visitor:?}");
                visitor.last = Some(name);
            }
        }
    }

    pub(crate) fn note_visitor(&mut self, address: IpAddr, name: &str) {
        let visitor = self.visitors.entry(address.to_canonical()).or_default();
        visitor.last = Some(name.to_owned());
        visitor.since.insert(name.to_owned());
    }

    /// The file of visitors is synced.
    pub(crate) fn visitors_synced(&mut self) {
        for visitor in self.visitors.values_mut().filter(|visitor| visitor.last.is_some()) {
            visitor.durable = visitor.last.clone().filter(|name| !name.is_empty());
            visitor.since.clear();
        }
    }

    /// A crash may have cost the latest visits: they are a courtesy.
    pub(crate) fn doubt_visitors(&mut self) {
        self.visitors.values_mut().for_each(|visitor| visitor.last = None);
    }
}

/// The passwords that the store was asked to keep in place of others.
fn changes(requests: &BTreeMap<u64, (String, Request)>) -> impl Iterator<Item = (&String, &Vec<u8>)> {
    requests.values().filter_map(|(name, request)| match request {
        Request::Change(new, ..) => Some((name, new)),
        _ => None,
    })
}

/// Whether a stored hash is that of a password, by somebody else's PBKDF2.
pub(crate) fn is_hash_of(stored: &PasswordHash, password: &[u8]) -> bool {
    let mut hash = [0; 16];
    pbkdf2::pbkdf2::<Hmac<Md5>>(password, &stored.salt, stored.rounds, &mut hash).unwrap();
    hash == stored.hash
}
