//! `users.csv` written anew: for an import, which is there as a whole or not at all, and to drop the records that no
//! longer count.

use super::super::Account;
use super::super::lines::{Batch, header_line};
use super::super::record::{Record, User};
use super::super::table::Table;
use super::HEADER;
use crate::limits::HASH_ROUNDS_MOST;
use std::io;

/// Where the new file grows until it takes the place of the old one.
pub(super) const NEW_FILE: &str = "users.csv.new";
/// Records of one write, some 128 KiB: a million users are never in memory twice.
const BLOCK_RECORDS: usize = 1_024;

/// Names the first of new users who cannot be taken, and why.
pub(in crate::store) fn check(table: &Table, accounts: &[Account]) -> Result<(), String> {
    if !table.has_room(accounts.len()) {
        return Err("there would be more users than this server can hold".to_owned());
    }
    let mut new = Table::new();
    for account in accounts {
        let name = account.name.as_str();
        let reason = if new.find(name).is_some() {
            "the name is there twice"
        } else if table.find(name).is_some() {
            "the name is taken"
        } else if new.has_look_alike(name) {
            "the name looks like another one that is imported"
        } else if table.has_look_alike(name) {
            "the name looks like one that is taken"
        } else if !(1..=HASH_ROUNDS_MOST).contains(&account.password.rounds) {
            // A file with such a record would stop the next start.
            "the password has a bad number of rounds"
        } else {
            new.put(name, User::of(account));
            continue;
        };
        return Err(format!("{name}: {reason}; nobody was imported"));
    }
    Ok(())
}

/// A whole file with the users that there are, and new ones behind them, block by block.
pub(super) fn blocks<'a>(
    table: &'a Table,
    accounts: &'a [Account],
) -> impl Iterator<Item = io::Result<Vec<u8>>> + 'a {
    let new = accounts.iter().map(|account| (account.name.as_str(), User::of(account)));
    let mut users = table.users().chain(new).peekable();
    let blocks = std::iter::from_fn(move || {
        users.peek()?;
        Some(block(users.by_ref().take(BLOCK_RECORDS)))
    });
    std::iter::once(Ok(header_line(&HEADER))).chain(blocks)
}

fn block<'a>(users: impl Iterator<Item = (&'a str, User)>) -> io::Result<Vec<u8>> {
    let mut batch = Batch::new();
    for (name, user) in users {
        Record::User(user).encode(name, &mut batch)?;
    }
    batch.into_bytes()
}
