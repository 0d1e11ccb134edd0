//! `users.csv`: who the users are. A user is acknowledged only from stable storage, one sync for all that wait.

mod look;
mod requests;
pub(super) mod rewrite;
mod scan;

use super::disk::Disk;
use super::journal::{Astray, CommitSpacing, Journal, Undurable};
use super::lines::{Batch, Header};
use super::record::{Record, User};
use super::report::{Notice, OpenError};
use super::stamp::Stamp;
use super::table::Table;
use super::{Account, AccountChange, Completion, Failure, Lookup, Ticket};
use crate::Moment;
use crate::auth::{Name, PasswordHash};
use requests::{Requests, changed};
use rewrite::NEW_FILE;
pub(super) use scan::ScannedUsers;
use std::collections::VecDeque;
use std::io;
use std::ops::{ControlFlow, Range};

pub(super) const FILE: &str = "users.csv";
const HEADER: Header = ["name", "password", "registered"];

/// The users, and those who wait to become some or other ones.
pub(super) struct Users<F> {
    journal: Journal<F>,
    table: Table,
    requests: Requests,
    answered: VecDeque<Completion>,
    /// Why nothing more can be stored until a restart.
    broken: Option<String>,
    /// Somebody else is at the file, or at the directory's lock, and that has been said.
    astray: bool,
    /// When and why something could not be stored, if that was the last that was tried.
    failed: Option<(Moment, String)>,
}

impl<F> Users<F> {
    fn new(journal: Journal<F>, table: Table) -> Users<F> {
        let (requests, answered) = (Requests::default(), VecDeque::new());
        Users { journal, table, requests, answered, broken: None, astray: false, failed: None }
    }

    pub(super) fn find(&self, name: &Name) -> Lookup {
        match self.table.find(name.as_str()) {
            Some(User { password, is_disabled: true, .. }) => return Lookup::Disabled(password),
            Some(User { password, .. }) => return Lookup::Known(password),
            None => {}
        }
        match self.requests.pending(name) {
            Some(pending) if pending == name => Lookup::Pending,
            Some(_) => Lookup::LookAlike,
            None if self.table.has_look_alike(name.as_str()) => Lookup::LookAlike,
            None => Lookup::Unknown,
        }
    }

    /// Why nobody can be stored now, if so: what was found when it was tried last, or [looked](Users::look) for.
    pub(super) fn trouble(&self) -> Option<&str> {
        let failed = self.failed.as_ref().map(|(_, reason)| reason);
        self.broken.as_ref().or(failed).map(String::as_str)
    }

    pub(super) fn count(&self) -> usize {
        self.table.len()
    }

    pub(super) fn rounds(&self, number: usize) -> Option<u32> {
        self.table.rounds(number)
    }

    pub(super) fn account(&self, number: usize) -> Option<Account> {
        let (name, User { password, registered, is_disabled }) = self.table.user(number)?;
        // It was checked when it was taken.
        let name = Name::stored(name).ok()?;
        Some(Account { name, password, is_disabled, registered })
    }

    pub(super) fn names_that_begin(
        &self,
        text: &str,
        numbers: Range<usize>,
        take: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) {
        let _ = self.table.names_that_begin(text, numbers).try_for_each(take);
    }

    pub(super) fn accounts_end(&self) -> usize {
        self.table.end()
    }

    pub(super) fn register(&mut self, ticket: Ticket, name: Name, password: PasswordHash) {
        let refusal = match self.find(&name) {
            _ if self.broken.is_some() => self.broken.clone().map(Failure::Other),
            Lookup::Unknown if self.table.has_room(self.requests.pending_count() + 1) => None,
            Lookup::Unknown => {
                Some(Failure::Other("there are as many users as this server can hold".to_owned()))
            }
            Lookup::LookAlike => Some(Failure::LookAlike),
            _ => Some(Failure::Taken),
        };
        match refusal {
            None => self.requests.register(ticket, name, password),
            Some(failure) => self.answered.push_back(Completion { ticket, outcome: Err(failure) }),
        }
    }

    pub(super) fn rehash(&mut self, ticket: Ticket, name: Name, password: PasswordHash) {
        self.change(ticket, name, |user| Record::User(User { password, ..user }));
    }

    pub(super) fn alter(&mut self, ticket: Ticket, name: Name, change: AccountChange) {
        self.change(ticket, name, |user| changed(user, change));
    }

    /// Has a user's record replaced by one that is made of what it will be when all before is written.
    fn change(&mut self, ticket: Ticket, name: Name, change: impl FnOnce(User) -> Record) {
        let user = match self.requests.last(&name) {
            Some(Record::User(user)) => Some(user.clone()),
            Some(Record::Removal(_)) => None,
            None => self.table.find(name.as_str()),
        };
        match (&self.broken, user) {
            (Some(reason), _) => self.answer(ticket, Err(reason.clone())),
            (None, Some(user)) => self.requests.change(ticket, name, change(user)),
            (None, None) if self.requests.pending(&name) == Some(&name) => {
                self.answer(ticket, Err("the registration of this user is not stored yet".to_owned()));
            }
            (None, None) => self.answer(ticket, Err("there is no such user".to_owned())),
        }
    }

    /// Takes new users, all of them or none.
    pub(super) fn import(&mut self, ticket: Ticket, accounts: Vec<Account>) {
        match &self.broken {
            Some(reason) => self.answer(ticket, Err(reason.clone())),
            None => self.requests.import(ticket, accounts),
        }
    }

    pub(super) fn poll_completion(&mut self) -> Option<Completion> {
        self.answered.pop_front()
    }

    /// What is to be told of the file as it is.
    pub(super) fn exposure<D: Disk<File = F>>(&self, disk: &D) -> Option<String> {
        self.journal.exposure(disk)
    }

    /// Whether there is something to commit.
    pub(super) fn waits(&self) -> bool {
        !self.requests.is_empty()
    }

    /// Whether an answer waits to be taken: a refusal needs no commit.
    pub(super) fn has_answered(&self) -> bool {
        !self.answered.is_empty()
    }

    /// Stores all that waits, with one write and one sync, then imports one by one, and answers it.
    pub(super) fn commit<D: Disk<File = F>>(
        &mut self,
        disk: &mut D,
        spacing: &mut CommitSpacing,
        notices: &mut VecDeque<Notice>,
    ) {
        let records = self.requests.take_records(Stamp::of(disk.wall()));
        if !records.is_empty() {
            let outcome = self.write(disk, notices, |users, disk| {
                let bytes = encode(&records).map_err(Undurable::Undone)?;
                users.journal.append_durably(disk, spacing, &bytes)
            });
            for (ticket, name, record) in records {
                match record {
                    _ if outcome.is_err() => {}
                    Record::User(user) => self.table.put(name.as_str(), user),
                    Record::Removal(_) => self.table.remove(name.as_str()),
                }
                self.answer(ticket, outcome.clone());
            }
        }
        for (ticket, accounts) in self.requests.take_imports() {
            let outcome = self.store_import(disk, spacing, notices, &accounts);
            self.answer(ticket, outcome);
        }
    }

    /// Puts a new file in the old one's place, in which there are all users and the new ones.
    fn store_import<D: Disk<File = F>>(
        &mut self,
        disk: &mut D,
        spacing: &mut CommitSpacing,
        notices: &mut VecDeque<Notice>,
        accounts: &[Account],
    ) -> Result<(), String> {
        if let Some(reason) = &self.broken {
            return Err(reason.clone());
        }
        rewrite::check(&self.table, accounts)?;
        if accounts.is_empty() {
            return Ok(());
        }
        self.write(disk, notices, |users, disk| {
            let blocks = rewrite::blocks(&users.table, accounts);
            users.journal.replace_durably(disk, spacing, NEW_FILE, blocks)
        })?;
        accounts.iter().for_each(|account| self.table.put(account.name.as_str(), User::of(account)));
        Ok(())
    }

    /// Removes a new file that a crash has left unfinished.
    pub(super) fn remove_unfinished<D: Disk<File = F>>(&self, disk: &mut D, notices: &mut VecDeque<Notice>) {
        if let Err(error) = disk.remove(NEW_FILE) {
            let text = format!("{} cannot be removed: {error}; it is not used", disk.place(NEW_FILE));
            notices.push_back(Notice::new(log::Level::Warn, text).about(FILE));
        }
    }

    /// Drops the records that no longer count. If it fails the old file stays; but a start must not go on when a crash could
    /// still exchange the two, since what is added to one is not in the other.
    pub(super) fn compact<D: Disk<File = F>>(
        &mut self,
        disk: &mut D,
        notices: &mut VecDeque<Notice>,
    ) -> Result<(), OpenError> {
        let blocks = rewrite::blocks(&self.table, &[]);
        // One sync at the start is none of those that others wait for.
        let mut spacing = CommitSpacing::default();
        let (level, text) = match self.journal.replace_durably(disk, &mut spacing, NEW_FILE, blocks) {
            Ok(()) => {
                (log::Level::Info, format!("{} is compacted: {} records", disk.place(FILE), self.count()))
            }
            Err(Undurable::Unnamed(error)) => {
                return Err(OpenError::File { file: disk.place(FILE), action: "made durable", error });
            }
            Err(reason) => {
                let text = format!("{} cannot be compacted: {reason}; it is used as it is", disk.place(FILE));
                (log::Level::Warn, text)
            }
        };
        notices.push_back(Notice::new(level, text).about(FILE));
        Ok(())
    }

    /// Writes to the file, if it and the directory are still ours, and says in words what came of it.
    fn write<D: Disk<File = F>>(
        &mut self,
        disk: &mut D,
        notices: &mut VecDeque<Notice>,
        store: impl FnOnce(&mut Users<F>, &mut D) -> Result<(), Undurable>,
    ) -> Result<(), String> {
        let outcome = self.write_if_ours(disk, notices, store);
        self.failed = outcome.clone().err().map(|reason| (disk.now(), reason));
        outcome
    }

    fn write_if_ours<D: Disk<File = F>>(
        &mut self,
        disk: &mut D,
        notices: &mut VecDeque<Notice>,
        store: impl FnOnce(&mut Users<F>, &mut D) -> Result<(), Undurable>,
    ) -> Result<(), String> {
        // Where the file has gone the lock has often gone with it, and says less.
        if self.journal.check(disk).is_ok()
            && let Err(error) = keep_locked(disk, notices)
        {
            self.go_astray(format!("{}; mend that", error.finding()), notices);
            return Err(error.finding());
        }
        let reason = match store(self, disk) {
            Ok(()) if std::mem::take(&mut self.astray) => {
                notices
                    .push_back(Notice::new(log::Level::Info, format!("{FILE} is written again")).about(FILE));
                return Ok(());
            }
            Ok(()) => return Ok(()),
            Err(Undurable::Astray(astray)) => {
                let finding = format!("{}: {astray}", disk.place(FILE));
                let way_out = match astray {
                    Astray::Removed => "bring it back, or put a new one there and reload (SIGHUP)",
                    _ => "reload (SIGHUP) or restart to take it as it is",
                };
                self.go_astray(format!("{finding}; {way_out}"), notices);
                return Err(finding);
            }
            Err(reason @ Undurable::Undone(_)) => return Err(format!("{FILE} cannot be written: {reason}")),
            Err(reason) => format!("{FILE} could not be written: {reason}"),
        };
        let text = format!("{reason}; nobody can register until a restart");
        notices.push_back(Notice::new(log::Level::Error, text).about(FILE));
        self.broken = Some(reason.clone());
        Err(reason)
    }

    /// Says once that somebody else is at the files.
    fn go_astray(&mut self, text: String, notices: &mut VecDeque<Notice>) {
        if !std::mem::replace(&mut self.astray, true) {
            let text = format!("{text}; until then nobody can register, and logins go on");
            notices.push_back(Notice::new(log::Level::Error, text).about(FILE));
        }
    }

    /// Takes the file as it is now, if it was changed and is good; else all stays as it was.
    pub(super) fn reload<D: Disk<File = F>>(&mut self, disk: &mut D, notices: &mut VecDeque<Notice>) {
        let place = disk.place(FILE);
        // What was astray may have been the lock, and then the file says nothing of that.
        let is_well = self.broken.is_none()
            && self.journal.is_untouched(disk)
            && (!self.astray || keep_locked(disk, notices).is_ok());
        let mut say = |level, text: String| notices.push_back(Notice::new(level, text).about(FILE));
        // What such a file reads like now may not be what is on the disk, and only a restart may take it for that.
        if let Some(reason) = self.broken.as_ref().filter(|_| self.journal.has_name(disk)) {
            return say(log::Level::Error, format!("{reason}; not even a reload can tell, restart"));
        }
        if self.journal.is_untouched(disk) {
            if is_well {
                self.failed = None;
            }
            return say(log::Level::Info, format!("{place} is as it was left"));
        }
        match self.read_anew(disk) {
            Ok((new, foreign)) => {
                let (before, after) = (self.count(), new.count());
                say(log::Level::Info, format!("{place} reloaded: {after} users, where {before} were known"));
                foreign
                    .into_iter()
                    .chain(new.journal.exposure(disk))
                    .for_each(|text| say(log::Level::Warn, text));
                self.succeed(new);
            }
            Err(error) => {
                let text = format!(
                    "{}; {before} users are known as before; mend that and reload (SIGHUP)",
                    error.finding(),
                    before = self.count()
                );
                say(log::Level::Error, text);
            }
        }
    }

    fn read_anew<D: Disk<File = F>>(&self, disk: &mut D) -> Result<(Users<F>, Option<String>), OpenError> {
        let scanned = ScannedUsers::new(disk)?.insist_whole(disk)?;
        let foreign =
            scanned.foreign().map(|foreign| format!("{} was read with {foreign}", disk.place(FILE)));
        let users = scanned.mend(disk, &mut Vec::new())?;
        disk.sync_names().map_err(|error| OpenError::File {
            file: disk.place(FILE),
            action: "made durable",
            error,
        })?;
        Ok((users, foreign))
    }

    /// Takes the place of what was known; who waits goes on waiting, unless the new file says otherwise.
    fn succeed(&mut self, new: Users<F>) {
        let before = std::mem::replace(&mut self.table, new.table);
        (self.journal, self.broken, self.astray, self.failed) = (new.journal, None, false, None);
        for ticket in self.requests.take_overtaken(&before, &self.table) {
            self.answer(ticket, Err(format!("{FILE} was reloaded, and says otherwise")));
        }
    }

    fn answer(&mut self, ticket: Ticket, outcome: Result<(), String>) {
        self.answered.push_back(Completion { ticket, outcome: outcome.map_err(Failure::Other) });
    }
}

/// Sees to it that the directory is locked. That it was not is told: meanwhile another server could have been started.
pub(super) fn keep_locked<D: Disk>(disk: &mut D, notices: &mut VecDeque<Notice>) -> Result<(), OpenError> {
    if disk.keep_locked()? {
        let place = disk.place("lock");
        let text = format!("{place} was removed or replaced, and is locked anew; leave it to the server");
        notices.push_back(Notice::new(log::Level::Error, text).about("lock"));
    }
    Ok(())
}

/// The line for one record.
fn encode_one(name: &str, record: &Record) -> io::Result<Vec<u8>> {
    let mut batch = Batch::new();
    record.encode(name, &mut batch)?;
    batch.into_bytes()
}

/// The lines for a batch.
fn encode(records: &[(Ticket, Name, Record)]) -> io::Result<Vec<u8>> {
    let mut batch = Batch::new();
    for (_, name, record) in records {
        record.encode(name.as_str(), &mut batch)?;
    }
    batch.into_bytes()
}
