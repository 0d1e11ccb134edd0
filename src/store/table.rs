//! The users in memory: made for a million of them.
//!
//! Names lie end to end in one text, users in one row; an open-addressing index finds them. Some 90 bytes a user, and no
//! memory of its own for each, which a map of names to hashes would take twice over. Nobody is ever taken out.
//!
//! The index hashes skeletons, not names: so it also finds who looks like somebody, without an index of its own.

use super::stamp::Stamp;
use crate::auth::{BadName, Letters, PasswordHash, skeleton};
use crate::limits::NAME_BYTES;
use std::hash::{BuildHasher, Hasher, RandomState};

/// A free place of the index. No user has this number: see [`Table::has_room`].
const FREE: u64 = u64::MAX;

struct User {
    password: PasswordHash,
    name_start: u32,
    name_bytes: u8,
    registered: Stamp,
}

/// Users by name.
pub(super) struct Table<S = RandomState> {
    users: Vec<User>,
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
            users: Vec::new(),
            names: String::new(),
            index: vec![FREE; 16],
            letters: Letters::new(),
            hasher,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.users.len()
    }

    /// The rounds of the password of the user with this number.
    pub(super) fn rounds(&self, number: usize) -> Option<u32> {
        self.users.get(number).map(|user| user.password.rounds)
    }

    /// Whether so many more users can be numbered.
    pub(super) fn has_room(&self, count: usize) -> bool {
        let names_bytes = self.names.len().saturating_add(count.saturating_mul(NAME_BYTES));
        u32::try_from(names_bytes).is_ok() && u32::try_from(self.users.len().saturating_add(count)).is_ok()
    }

    /// Checks a name from a file.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub(super) fn check_name(&mut self, name: &str) -> Result<(), BadName> {
        self.letters.check_stored(name)
    }

    /// A user's password and time of registration.
    pub(super) fn find(&self, name: &str) -> Option<(&PasswordHash, Stamp)> {
        let number = self.search(self.hash(name), name).ok()?;
        Some((&self.users[number].password, self.users[number].registered))
    }

    /// Whether somebody has this name, or one that looks like it.
    pub(super) fn has_look_alike(&self, name: &str) -> bool {
        let hash = self.hash(name);
        let mut place = hash as usize & (self.index.len() - 1);
        while self.index[place] != FREE {
            let (number, other) = (self.index[place] as u32, (self.index[place] >> 32) as u32);
            if other == hash && skeleton(self.name(number as usize)) == skeleton(name) {
                return true;
            }
            place = (place + 1) & (self.index.len() - 1);
        }
        false
    }

    /// Puts a user in, or in place of the one with this name. There must be room.
    pub(super) fn put(&mut self, name: &str, password: PasswordHash, registered: Stamp) {
        // Before the search, so that one is enough.
        if (self.users.len() + 1) * 4 > self.index.len() * 3 {
            self.grow();
        }
        self.letters.learn(name);
        let hash = self.hash(name);
        match self.search(hash, name) {
            Ok(number) => {
                let user = &mut self.users[number];
                (user.password, user.registered) = (password, registered);
            }
            Err(place) => {
                debug_assert!(self.has_room(1) && name.len() <= NAME_BYTES);
                self.index[place] = u64::from(hash) << 32 | self.users.len() as u64;
                let (name_start, name_bytes) = (self.names.len() as u32, name.len() as u8);
                self.names.push_str(name);
                self.users.push(User { password, name_start, name_bytes, registered });
            }
        }
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
        let User { name_start, name_bytes, .. } = self.users[number];
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
    use std::collections::HashMap;
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

    /// Puts users into both, and asks both for these and for names that were never put in.
    fn compare<S: BuildHasher>(mut table: Table<S>, puts: &[(u16, u32)]) {
        let registered =
            |rounds| Stamp::of(time::OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(rounds));
        let mut map = HashMap::new();
        for (number, rounds) in puts {
            // Some names begin others.
            let name = format!("user{number}");
            let password = PasswordHash { rounds: *rounds, salt: [1; 16], hash: [2; 16] };
            table.put(&name, password.clone(), registered((*rounds).into()));
            map.insert(name, (password, registered((*rounds).into())));
            assert_eq!(table.len(), map.len());
        }
        for name in (0..=u16::MAX / 512).map(|number| format!("user{number}")).chain(map.keys().cloned()) {
            let found = table.find(&name).map(|(password, registered)| (password.clone(), registered));
            assert_eq!(found.as_ref(), map.get(&name), "{name}");
        }
        assert_eq!(table.find(""), None);
        let mut rounds: Vec<u32> = (0..map.len()).filter_map(|number| table.rounds(number)).collect();
        let mut expected: Vec<u32> = map.values().map(|(password, _)| password.rounds).collect();
        rounds.sort();
        expected.sort();
        assert_eq!((rounds, table.rounds(map.len())), (expected, None));
    }

    proptest! {
        #[test]
        fn it_holds_what_a_map_would(puts in prop::collection::vec((0..u16::MAX / 512, any::<u32>()), 0..300)) {
            compare(Table::new(), &puts);
            compare(Table::with_hasher(BuildHasherDefault::<Poor>::default()), &puts);
        }
    }

    #[test]
    fn it_holds_what_a_map_would_when_it_has_grown_often() {
        // Every third comes a second time, with another hash.
        let puts: Vec<(u16, u32)> =
            (0..30_000).map(|round| (round - round % 3 / 2, u32::from(round))).collect();
        compare(Table::new(), &puts);
    }

    #[test]
    fn who_looks_like_somebody_is_found() {
        let registered = Stamp::of(time::OffsetDateTime::UNIX_EPOCH);
        let password = PasswordHash { rounds: 1, salt: [1; 16], hash: [2; 16] };
        let mut table = Table::new();
        for name in ["ann", "Анна", "user1", "userl", "น้ำ"] {
            table.put(name, password.clone(), registered);
        }
        assert_eq!(table.len(), 5, "who was there before is not asked whom they look like");
        for name in ["Ann", "\u{430}nn", "АННА", "useri", "USERL", "น\u{e49}\u{e4d}\u{e32}"] {
            assert!(table.find(name).is_none());
            assert_eq!(table.has_look_alike(name), name != "useri", "{name}");
        }
        assert!(table.find("userl").is_some() && !table.has_look_alike("anne"));
    }

    #[test]
    fn a_user_takes_little() {
        assert!(size_of::<User>() <= 48);
    }
}
