//! All users of a shared store, for whoever administers them.

use super::command::Command;
use super::direct::DirectStore;
use super::error::StoreError;
use super::greeting::{refused, text};
use super::keys::USER;
use super::pipeline::Reply;
use super::record;
use crate::auth::Name;
use crate::store::Account;
use crate::store::record::User;
use crate::store::table::Table;
use crate::store::users::rewrite::check;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Characters of a key that is nobody's that are shown of it.
const SHOWN_CHARACTERS: usize = 80;

/// What there is under users' keys.
#[derive(Debug, Default)]
pub struct StoredUsers {
    /// The users, by their names.
    pub accounts: Vec<Account>,
    /// What others have put there, or have spoilt.
    pub bad: Vec<BadRecord>,
}

/// Something under a user's key that is no user. Its text names the key, on one line, but not what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRecord {
    /// Whose it would be, if the key has a name.
    pub name: Option<Name>,
    key: String,
    reason: String,
}

impl BadRecord {
    fn new(name: Option<Name>, key: &[u8], reason: impl Into<String>) -> BadRecord {
        let key = String::from_utf8_lossy(key);
        let mut shown: String = key.chars().take(SHOWN_CHARACTERS).collect();
        if shown.len() < key.len() {
            shown.push('…');
        }
        BadRecord { name, key: shown, reason: reason.into() }
    }
}

impl fmt::Display for BadRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is left out: it has {}", self.key, self.reason)
    }
}

impl DirectStore {
    /// All users, and what is not one where they are.
    ///
    /// # Errors
    /// If the store does not answer.
    pub fn users(&mut self) -> Result<StoredUsers, StoreError> {
        self.birth_known()?;
        let mut found = BTreeMap::new();
        self.each_page(|store, keys| store.take_records(keys, &mut found))?;
        let mut users = StoredUsers::default();
        for record in found.into_values() {
            match record {
                Ok(account) => users.accounts.push(account),
                Err(bad) => users.bad.push(bad),
            }
        }
        Ok(users)
    }

    /// How many keys of users there are, initialised or not.
    ///
    /// # Errors
    /// If the store does not answer.
    pub fn count_users(&mut self) -> Result<usize, StoreError> {
        let mut found = BTreeSet::new();
        self.each_page(|_, keys| {
            found.extend(keys.iter().map(|key| key.to_vec()));
            Ok(())
        })?;
        Ok(found.len())
    }

    /// The keys of users, some at a time. One may be there twice.
    fn each_page(
        &mut self,
        mut take: impl FnMut(&mut DirectStore, &[&[u8]]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut cursor = "0".to_owned();
        loop {
            let scan = Command::new(&["SCAN", &cursor, "MATCH", &format!("{USER}*"), "COUNT", "1000"]);
            let reply = self.ask(&scan)?;
            let Reply::Array { data, .. } = &reply else { return Err(self.failed(refused(&reply))) };
            let [next, Reply::Array { data: keys, .. }] = data.as_slice() else {
                return Err(self.failed(refused(&reply)));
            };
            text(next).unwrap_or("0").clone_into(&mut cursor);
            take(self, &keys.iter().filter_map(bytes).collect::<Vec<_>>())?;
            if cursor == "0" {
                return Ok(());
            }
        }
    }

    fn take_records(
        &mut self,
        keys: &[&[u8]],
        found: &mut BTreeMap<Vec<u8>, Result<Account, BadRecord>>,
    ) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        let command = keys.iter().fold(Command::new(&["MGET"]), |command, key| command.with(key));
        let reply = self.ask(&command)?;
        let Reply::Array { data, .. } = &reply else { return Err(self.failed(refused(&reply))) };
        for (key, record) in keys.iter().zip(data) {
            let record = match (bytes(record), record) {
                (Some(record), _) => account(key, record),
                // It may have been removed since.
                (None, Reply::Null) => match self.kind(key)?.as_str() {
                    "none" => continue,
                    kind => Err(BadRecord::new(None, key, format!("a {kind} where a string is expected"))),
                },
                (None, other) => return Err(self.failed(refused(other))),
            };
            found.insert(key.to_vec(), record);
        }
        Ok(())
    }

    /// Of what kind is what is kept there.
    fn kind(&mut self, key: &[u8]) -> Result<String, StoreError> {
        let reply = self.ask(&Command::new(&["TYPE"]).with(key))?;
        text(&reply).map(str::to_owned).ok_or_else(|| self.failed(refused(&reply)))
    }
}

fn bytes(reply: &Reply) -> Option<&[u8]> {
    match reply {
        Reply::BlobString { data, .. } | Reply::SimpleString { data, .. } => Some(data),
        _ => None,
    }
}

/// The user that a key and its record come to.
fn account(key: &[u8], record: &[u8]) -> Result<Account, BadRecord> {
    let name = key.strip_prefix(USER.as_bytes()).and_then(|name| std::str::from_utf8(name).ok());
    let name = match name.map(Name::stored) {
        Some(Ok(name)) => name,
        Some(Err(rule)) => return Err(BadRecord::new(None, key, format!("no name: {rule}"))),
        None => return Err(BadRecord::new(None, key, "a name that is not UTF-8")),
    };
    let account = match std::str::from_utf8(record) {
        Ok(record) => record::parse_named(&name, record),
        Err(_) => Err("a record that is not UTF-8".to_owned()),
    };
    account.map_err(|reason| BadRecord::new(Some(name), key, reason))
}

/// Those of new users who are not there just so, if all of them can be added.
///
/// # Errors
/// [`StoreError::BadUser`].
pub fn check_new(there: &[Account], new: &[Account]) -> Result<Vec<Account>, StoreError> {
    let mut table = Table::new();
    there.iter().for_each(|account| table.put(account.name.as_str(), User::of(account)));
    let is_there = |account: &&Account| table.find(account.name.as_str()) == Some(User::of(account));
    let new: Vec<Account> = new.iter().filter(|account| !is_there(account)).cloned().collect();
    check(&table, &new).map(|()| new).map_err(StoreError::BadUser)
}
