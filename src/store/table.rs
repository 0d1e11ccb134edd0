//! The users in memory: made for a million of them.
//!
//! Names lie end to end in one text, users in one row; an open-addressing index finds them. Some 90 bytes a user, and no
//! memory of its own for each, which a map of names to hashes would take twice over. Nobody is ever taken out: who is
//! removed leaves a dead row, which a new registration of the name revives.
//!
//! The index hashes skeletons, not names: so it also finds who looks like somebody, without an index of its own.

use super::record::User;
use super::stamp::Stamp;
use crate::auth::{BadName, Letters, PasswordHash, skeleton};
use crate::limits::{HASH_BYTES, NAME_BYTES, SALT_BYTES};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::Range;

/// A free place of the index. No user has this number: see [`Table::has_room`].
const FREE: u64 = u64::MAX;

struct Row {
    password: PasswordHash,
    name_start: u32,
    name_bytes: u8,
    state: State,
    registered: Stamp,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Active,
    Disabled,
    Removed,
}

impl Row {
    /// The user; `None` if it was removed.
    fn user(&self) -> Option<User> {
        let is_disabled = match self.state {
            State::Active => false,
            State::Disabled => true,
            State::Removed => return None,
        };
        Some(User { password: self.password.clone(), registered: self.registered, is_disabled })
    }
}

/// Users by name.
pub(super) struct Table<S = RandomState> {
    rows: Vec<Row>,
    /// How many rows are of users that were not removed.
    living: usize,
    names: String,
    /// A power of two of places, at most three quarters taken: the user's number, above it 32 bits of the hash of the
    /// name's skeleton.
    index: Vec<u64>,
    letters: Letters,
    /// With a secret of its own, since strangers choose the names.
    hasher: S,
}

impl Table {
    pub(super) fn new() -> Table {
        Table::with_hasher(RandomState::new())
    }
}

impl<S: BuildHasher> Table<S> {
    fn with_hasher(hasher: S) -> Table<S> {
        Table {
            rows: Vec::new(),
            living: 0,
            names: String::new(),
            index: vec![FREE; 16],
            letters: Letters::new(),
            hasher,
        }
    }

    /// How many users there are.
    pub(super) fn len(&self) -> usize {
        self.living
    }

    /// Above every user's number.
    pub(super) fn end(&self) -> usize {
        self.rows.len()
    }

    /// The rounds of the password of the user with this number, or that it had before it was removed.
    pub(super) fn rounds(&self, number: usize) -> Option<u32> {
        self.rows.get(number).map(|row| row.password.rounds)
    }

    /// The user with this number; `None` if it was removed.
    pub(super) fn user(&self, number: usize) -> Option<(&str, User)> {
        let user = self.rows.get(number)?.user()?;
        Some((self.name(number), user))
    }

    /// All users, by number.
    pub(super) fn users(&self) -> impl Iterator<Item = (&str, User)> {
        (0..self.end()).filter_map(|number| self.user(number))
    }

    /// The names that begin with a text, of the users with these numbers.
    pub(super) fn names_that_begin(&self, text: &str, numbers: Range<usize>) -> impl Iterator<Item = &str> {
        let is_there = |number: &usize| self.rows.get(*number).is_some_and(|row| row.state != State::Removed);
        let names = numbers.filter(is_there).map(|number| self.name(number));
        names.filter(move |name| name.starts_with(text))
    }

    /// Whether so many more users can be numbered.
    pub(super) fn has_room(&self, count: usize) -> bool {
        let names_bytes = self.names.len().saturating_add(count.saturating_mul(NAME_BYTES));
        u32::try_from(names_bytes).is_ok() && u32::try_from(self.rows.len().saturating_add(count)).is_ok()
    }

    /// Checks a name from a file.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub(super) fn check_name(&mut self, name: &str) -> Result<(), BadName> {
        self.letters.check_stored(name)
    }

    /// The user with this name.
    pub(super) fn find(&self, name: &str) -> Option<User> {
        let number = self.search(self.hash(name), name).ok()?;
        self.rows[number].user()
    }

    /// Whether somebody has this name, or one that looks like it.
    pub(super) fn has_look_alike(&self, name: &str) -> bool {
        let hash = self.hash(name);
        let mut place = hash as usize & (self.index.len() - 1);
        while self.index[place] != FREE {
            let (number, other) = ((self.index[place] as u32) as usize, (self.index[place] >> 32) as u32);
            let is_user = other == hash && self.rows[number].state != State::Removed;
            if is_user && skeleton(self.name(number)) == skeleton(name) {
                return true;
            }
            place = (place + 1) & (self.index.len() - 1);
        }
        false
    }

    /// Puts a user in, or in place of the one with this name. There must be room.
    pub(super) fn put(&mut self, name: &str, user: User) {
        // Before the search, so that one is enough.
        if (self.rows.len() + 1) * 4 > self.index.len() * 3 {
            self.grow();
        }
        self.letters.learn(name);
        let hash = self.hash(name);
        let User { password, registered, is_disabled } = user;
        let state = if is_disabled { State::Disabled } else { State::Active };
        match self.search(hash, name) {
            Ok(number) => {
                let row = &mut self.rows[number];
                self.living += usize::from(row.state == State::Removed);
                (row.password, row.registered, row.state) = (password, registered, state);
            }
            Err(place) => {
                debug_assert!(self.has_room(1) && name.len() <= NAME_BYTES);
                self.index[place] = u64::from(hash) << 32 | self.rows.len() as u64;
                let (name_start, name_bytes) = (self.names.len() as u32, name.len() as u8);
                self.names.push_str(name);
                self.rows.push(Row { password, name_start, name_bytes, state, registered });
                self.living += 1;
            }
        }
    }

    /// Removes the user with this name, if there is one. Of the password only the rounds are kept.
    pub(super) fn remove(&mut self, name: &str) {
        let Ok(number) = self.search(self.hash(name), name) else { return };
        let row = &mut self.rows[number];
        self.living -= usize::from(row.state != State::Removed);
        row.state = State::Removed;
        (row.password.salt, row.password.hash) = ([0; SALT_BYTES], [0; HASH_BYTES]);
    }

    fn hash(&self, name: &str) -> u32 {
        self.letters.with(name, |skeleton| {
            let mut hasher = self.hasher.build_hasher();
            hasher.write(skeleton);
            hasher.finish() as u32
        })
    }

    /// The number of the user with this name, or the free place of the index where it would be.
    fn search(&self, hash: u32, name: &str) -> Result<usize, usize> {
        let mut place = hash as usize & (self.index.len() - 1);
        loop {
            let entry = self.index[place];
            if entry == FREE {
                return Err(place);
            }
            let number = (entry as u32) as usize;
            if (entry >> 32) as u32 == hash && self.name(number) == name {
                return Ok(number);
            }
            place = (place + 1) & (self.index.len() - 1);
        }
    }

    fn name(&self, number: usize) -> &str {
        let Row { name_start, name_bytes, .. } = self.rows[number];
        &self.names[name_start as usize..name_start as usize + usize::from(name_bytes)]
    }

    /// Twice the index; the hashes in it spare another look at the names.
    fn grow(&mut self) {
        let mask = self.index.len() * 2 - 1;
        let mut index = vec![FREE; mask + 1];
        for entry in self.index.iter().filter(|entry| **entry != FREE) {
            let mut place = (entry >> 32) as usize & mask;
            while index[place] != FREE {
                place = (place + 1) & mask;
            }
            index[place] = *entry;
        }
        self.index = index;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{HashMap, HashSet};
    use std::hash::{BuildHasherDefault, Hasher};

    /// So poor a hash that most names share theirs with others, on both sides of the index's end.
    #[derive(Default)]
    struct Poor(u8);

    impl Hasher for Poor {
        fn write(&mut self, bytes: &[u8]) {
            self.0 = bytes.iter().fold(self.0, |sum, byte| sum.wrapping_add(*byte));
        }

        fn finish(&self) -> u64 {
            u64::from(self.0 % 5).wrapping_sub(2)
        }
    }

    fn user(rounds: u32, is_disabled: bool) -> User {
        let registered = Stamp::of(time::OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(rounds.into()));
        let password = PasswordHash { rounds, salt: [1; 16], hash: [2; 16] };
        User { password, registered, is_disabled }
    }

    /// Does the same to both, and asks both for these and for names that were never put in. Every third is put in as
    /// disabled, and `None` is a removal.
    fn compare<S: BuildHasher>(mut table: Table<S>, steps: &[(u16, Option<u32>)]) {
        let mut map = HashMap::new();
        let mut rows = HashSet::new();
        for (number, rounds) in steps {
            // Some names begin others.
            let name = format!("user{number}");
            match rounds.map(|rounds| user(rounds, rounds % 3 == 0)) {
                Some(user) => {
                    table.put(&name, user.clone());
                    rows.insert(name.clone());
                    map.insert(name, user);
                }
                None => {
                    table.remove(&name);
                    map.remove(&name);
                }
            }
            assert_eq!((table.len(), table.end()), (map.len(), rows.len()));
        }
        for name in (0..=u16::MAX / 512).map(|number| format!("user{number}")).chain(map.keys().cloned()) {
            assert_eq!(table.find(&name).as_ref(), map.get(&name), "{name}");
            assert_eq!(table.has_look_alike(&name), map.contains_key(&name), "{name}");
        }
        assert_eq!(table.find(""), None);
        let all: HashMap<String, User> = table.users().map(|(name, user)| (name.to_owned(), user)).collect();
        assert!(all == map && table.users().count() == map.len());
        assert!((0..table.end()).all(|number| table.rounds(number).is_some()));
        assert!(table.rounds(table.end()).is_none() && table.user(table.end()).is_none());
    }

    proptest! {
        #[test]
        fn it_holds_what_a_map_would(
            steps in prop::collection::vec((0..u16::MAX / 512, prop::option::weighted(0.7, any::<u32>())), 0..300),
        ) {
            compare(Table::new(), &steps);
            compare(Table::with_hasher(BuildHasherDefault::<Poor>::default()), &steps);
        }
    }

    #[test]
    fn it_holds_what_a_map_would_when_it_has_grown_often() {
        // Every third comes a second time, with another hash.
        let steps: Vec<(u16, Option<u32>)> =
            (0..30_000).map(|round| (round - round % 3 / 2, Some(u32::from(round)))).collect();
        compare(Table::new(), &steps);
    }

    #[test]
    fn who_looks_like_somebody_is_found() {
        let mut table = Table::new();
        for name in ["ann", "Анна", "user1", "userl", "น้ำ"] {
            table.put(name, user(1, name == "userl"));
        }
        assert_eq!(table.len(), 5, "who was there before is not asked whom they look like");
        for name in ["Ann", "\u{430}nn", "АННА", "useri", "USERL", "น\u{e49}\u{e4d}\u{e32}"] {
            assert!(table.find(name).is_none());
            assert_eq!(table.has_look_alike(name), name != "useri", "{name}");
        }
        assert!(table.find("userl").is_some() && !table.has_look_alike("anne"));
        table.remove("user1");
        assert!(table.has_look_alike("USERL") && table.has_look_alike("user1"), "userl is still there");
        table.remove("userl");
        assert!(!table.has_look_alike("USERL") && !table.has_look_alike("user1"));
    }

    #[test]
    fn a_user_takes_little_and_a_removed_one_leaves_no_hash() {
        assert!(size_of::<Row>() <= 48);
        let mut table = Table::new();
        table.put("ann", user(7, false));
        table.remove("ann");
        let left = &table.rows[0].password;
        assert_eq!((left.rounds, left.salt, left.hash), (7, [0; 16], [0; 16]));
    }
}
