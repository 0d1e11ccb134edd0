//! `users.csv` as a start or a reload finds it: read, and found good or not.

use super::super::disk::Disk;
use super::super::holes::Records;
use super::super::record::{Record, parse, parse_checked};
use super::super::report::{OpenError, Repair};
use super::super::stamp::Stamp;
use super::super::table::Table;
use super::super::torn_tail::Scanned;
use super::{FILE, HEADER, Users};
use std::collections::HashSet;

/// A `users.csv` that was read and found good.
pub(in crate::store) struct ScannedUsers<F> {
    file: Scanned<F>,
    table: Table,
}

impl<F> ScannedUsers<F> {
    /// What porter does not write but reads, in words.
    pub(in crate::store) fn foreign(&self) -> Option<String> {
        self.file.foreign()
    }

    /// Whether most of its records are dead: superseded, of somebody who was removed, or the removal itself.
    pub(in crate::store) fn is_bloated(&self) -> bool {
        self.file.records() > 2 * self.table.len() as u64
    }

    pub(in crate::store) fn new<D: Disk<File = F>>(disk: &mut D) -> Result<ScannedUsers<F>, OpenError> {
        let mut reading = Reading::new();
        let file = Scanned::new(disk, FILE, HEADER, &mut reading)?;
        Ok(ScannedUsers { file, table: reading.table })
    }

    /// Refuses what a start would have to make or to cut.
    pub(super) fn insist_whole<D: Disk<File = F>>(self, disk: &D) -> Result<ScannedUsers<F>, OpenError> {
        Ok(ScannedUsers { file: self.file.insist_whole(disk)?, table: self.table })
    }

    pub(in crate::store) fn mend<D: Disk<File = F>>(
        self,
        disk: &mut D,
        repairs: &mut Vec<Repair>,
    ) -> Result<Users<F>, OpenError> {
        Ok(Users::new(self.file.mend(disk, repairs)?, self.table))
    }
}

/// What a file's records are read into.
struct Reading {
    table: Table,
    /// When the new users registered that stand behind a hole in the file.
    unacknowledged: Option<Stamp>,
    /// Names behind a hole of which the batch that they stand in has no other record: new ones, and those removed.
    finished: HashSet<String>,
}

impl Reading {
    fn new() -> Reading {
        Reading { table: Table::new(), unacknowledged: None, finished: HashSet::new() }
    }
}

impl Records for Reading {
    fn take(&mut self, fields: [&str; 3]) -> Result<(), String> {
        self.table.check_name(fields[0]).map_err(|error| error.to_string())?;
        match parse_checked(fields)? {
            (name, Record::Removal(_)) => self.table.remove(name),
            (name, Record::User(user)) => {
                if !self.table.has_room(1) {
                    return Err("there are more users than this server can hold".into());
                }
                self.table.put(name, user);
            }
        }
        Ok(())
    }

    /// A hole is in the last batch, so all that stands behind it is of that batch too, and nobody was told of it. What
    /// cannot be of one batch gives away that the disk has lost something older:
    ///
    /// - New users of one batch have one time of registration.
    /// - A request is taken only for a user who is known by then, so a new user has one record, an active one. A second,
    ///   or a removal of somebody unknown, is of a user who was acknowledged.
    /// - Nothing of the same name follows a removal: the name is free only when that is acknowledged.
    /// - A known user's record has the time of registration that is known. Another is that of somebody who registered after
    ///   a removal in the hole.
    fn may_be_lost(&mut self, fields: [&str; 3]) -> bool {
        let Ok((name, record)) = parse(fields) else { return false };
        if self.finished.contains(name) {
            return false;
        }
        match (self.table.find(name), &record) {
            (Some(known), Record::User(_)) => known.registered == record.registered(),
            (Some(known), Record::Removal(registered)) => {
                self.finished.insert(name.to_owned());
                known.registered == *registered
            }
            (None, Record::User(user)) => {
                self.finished.insert(name.to_owned());
                let first = *self.unacknowledged.get_or_insert(user.registered);
                !user.is_disabled && first == user.registered
            }
            (None, Record::Removal(_)) => false,
        }
    }
}
