//! The users in memory: made for a million of them.
//!
//! Names lie end to end in one text, users in one row; an open-addressing index finds them. Some 90 bytes a user, and no
//! memory of its own for each, which a map of names to hashes would take twice over. Nobody is ever taken out.

use super::stamp::Stamp;
use crate::auth::PasswordHash;
use crate::limits::NAME_BYTES;
use std::hash::{BuildHasher, RandomState};

/// A free place of the index. No user has this number: see [`Table::has_room`].
const FREE: u64 = u64::MAX;

struct User {
    password: PasswordHash,
    name_start: u32,
    name_bytes: u8,
    registered: Stamp,
}

/// Users by name.
pub(super) struct Table {
    users: Vec<User>,
    names: String,
    /// A power of two of places, at most three quarters taken: the user's number, above it 32 bits of the name's hash.
    index: Vec<u64>,
    /// With a secret of its own, since strangers choose the names.
    hasher: RandomState,
}

impl Table {
    pub(super) fn new() -> Table {
        Table { users: Vec::new(), names: String::new(), index: vec![FREE; 16], hasher: RandomState::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether so many more users can be numbered.
    pub(super) fn has_room(&self, count: usize) -> bool {
        let names_bytes = self.names.len().saturating_add(count.saturating_mul(NAME_BYTES));
        u32::try_from(names_bytes).is_ok() && u32::try_from(self.users.len().saturating_add(count)).is_ok()
    }

    /// A user's password and time of registration.
    pub(super) fn find(&self, name: &str) -> Option<(&PasswordHash, Stamp)> {
        let (_, number) = self.search(name);
        number.map(|number| (&self.users[number].password, self.users[number].registered))
    }

    /// Puts a user in, or in place of the one with this name. There must be room.
    pub(super) fn put(&mut self, name: &str, password: PasswordHash, registered: Stamp) {
        if let (_, Some(number)) = self.search(name) {
            let user = &mut self.users[number];
            (user.password, user.registered) = (password, registered);
            return;
        }
        if (self.users.len() + 1) * 4 > self.index.len() * 3 {
            self.grow();
        }
        let (place, _) = self.search(name);
        self.index[place] = u64::from(self.hash(name)) << 32 | self.users.len() as u64;
        debug_assert!(self.has_room(1) && name.len() <= NAME_BYTES);
        let (name_start, name_bytes) = (self.names.len() as u32, name.len() as u8);
        self.names.push_str(name);
        self.users.push(User { password, name_start, name_bytes, registered });
    }

    fn hash(&self, name: &str) -> u32 {
        self.hasher.hash_one(name) as u32
    }

    /// The place where a name is, with its user's number, or the free one where it would be.
    fn search(&self, name: &str) -> (usize, Option<usize>) {
        let hash = self.hash(name);
        let mut place = hash as usize & (self.index.len() - 1);
        loop {
            let entry = self.index[place];
            if entry == FREE {
                return (place, None);
            }
            let number = (entry as u32) as usize;
            if (entry >> 32) as u32 == hash && self.name(number) == name {
                return (place, Some(number));
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
    use std::collections::HashMap;

    #[test]
    fn it_holds_what_a_map_would() {
        let registered = Stamp::parse("2026-07-20T10:15:00Z").unwrap();
        let mut table = Table::new();
        let mut map = HashMap::new();
        for round in 0..3000_u32 {
            // Every third comes a second time, with another hash.
            let name = format!("user{}", round - round % 3 / 2);
            let password = PasswordHash { rounds: round + 1, salt: [1; 16], hash: [2; 16] };
            table.put(&name, password.clone(), registered);
            map.insert(name, password);
        }
        assert_eq!(table.len(), map.len());
        for (name, password) in &map {
            assert_eq!(table.find(name), Some((password, registered)));
        }
        assert_eq!(table.find("user"), None);
        assert_eq!(table.find(""), None);
    }

    #[test]
    fn a_user_takes_little() {
        assert!(size_of::<User>() <= 48);
    }
}
