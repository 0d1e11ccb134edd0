//! What a record of `users.csv` says of its user, and how it says it.
//!
//! The password's field tells the state, in a way that shadow(5) users know: `!` before the hash is a disabled account, `-`
//! in its place a removed one.

use super::Account;
use super::lines::Batch;
use super::stamp::Stamp;
use crate::auth::{Name, PasswordHash};
use std::io;

const DISABLED: &str = "!";
const REMOVED: &str = "-";

/// A user, but for the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) password: PasswordHash,
    pub(super) registered: Stamp,
    pub(super) is_disabled: bool,
}

/// A record, but for the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// What the user is from here on.
    User(User),
    /// There is no such user any more; the time is that of the registration.
    Removal(Stamp),
}

impl User {
    pub(super) fn of(account: &Account) -> User {
        let Account { password, is_disabled, registered, .. } = account;
        User { password: password.clone(), registered: *registered, is_disabled: *is_disabled }
    }
}

impl Record {
    pub(super) fn registered(&self) -> Stamp {
        match self {
            Record::User(user) => user.registered,
            Record::Removal(registered) => *registered,
        }
    }

    /// Adds a line to those for a write.
    pub(super) fn encode(&self, name: &str, batch: &mut Batch) -> io::Result<()> {
        let password = match self {
            Record::User(user) if user.is_disabled => format!("{DISABLED}{}", user.password.to_phc()),
            Record::User(user) => user.password.to_phc(),
            Record::Removal(_) => REMOVED.to_owned(),
        };
        batch.push([name, &password, &self.registered().to_string()])
    }
}

/// Reads a record.
pub(super) fn parse(fields: [&str; 3]) -> Result<(&str, Record), String> {
    Name::check_stored(fields[0]).map_err(|error| error.to_string())?;
    parse_checked(fields)
}

/// Reads a record whose name is checked.
pub(super) fn parse_checked([name, password, registered]: [&str; 3]) -> Result<(&str, Record), String> {
    let registered = Stamp::parse(registered).map_err(|error| error.to_string())?;
    if password == REMOVED {
        return Ok((name, Record::Removal(registered)));
    }
    let enabled = password.strip_prefix(DISABLED);
    let is_disabled = enabled.is_some();
    let password = PasswordHash::from_phc(enabled.unwrap_or(password)).map_err(|error| error.to_string())?;
    Ok((name, Record::User(User { password, registered, is_disabled })))
}
