//! `users.csv`: who the users are. A user is acknowledged only from stable storage, one sync for all that wait.

use super::disk::Disk;
use super::journal::{Astray, CommitSpacing, Journal, Scanned, Undurable};
use super::lines::{Batch, Header};
use super::report::{Notice, OpenError, Repair};
use super::stamp::Stamp;
use super::table::Table;
use super::torn::Records;
use super::{Completion, Lookup, Ticket};
use crate::auth::{Name, PasswordHash, skeleton};
use std::collections::{HashMap, VecDeque};
use std::io;

pub(super) const FILE: &str = "users.csv";
const HEADER: Header = ["name", "password", "registered"];

/// A request that waits for the next write.
struct Waiting {
    ticket: Ticket,
    name: Name,
    password: PasswordHash,
    /// For a new hash, when its user registered.
    registered: Option<Stamp>,
}

/// The users, and those who wait to become some.
pub(super) struct Users<F> {
    journal: Journal<F>,
    table: Table,
    waiting: Vec<Waiting>,
    /// The names of those who wait and are new, by their skeletons.
    pending: HashMap<String, Name>,
    answered: VecDeque<Completion>,
    /// Why nothing more can be stored until a restart.
    broken: Option<String>,
    /// Somebody else is at the file, or at the directory's lock, and that has been said.
    astray: bool,
}

/// A `users.csv` that was read and found good.
pub(super) struct ScannedUsers<F> {
    file: Scanned<F>,
    table: Table,
}

impl<F> ScannedUsers<F> {
    /// What porter does not write but reads, in words.
    pub(super) fn foreign(&self) -> Option<String> {
        self.file.foreign()
    }

    pub(super) fn new<D: Disk<File = F>>(disk: &mut D) -> Result<ScannedUsers<F>, OpenError> {
        let mut reading = Reading { table: Table::new(), unacknowledged: None };
        let file = Scanned::new(disk, FILE, HEADER, &mut reading)?;
        Ok(ScannedUsers { file, table: reading.table })
    }

    pub(super) fn mend<D: Disk<File = F>>(
        self,
        disk: &mut D,
        repairs: &mut Vec<Repair>,
    ) -> Result<Users<F>, OpenError> {
        Ok(Users {
            journal: self.file.mend(disk, repairs)?,
            table: self.table,
            waiting: Vec::new(),
            pending: HashMap::new(),
            answered: VecDeque::new(),
            broken: None,
            astray: false,
        })
    }
}

/// What a file's records are read into.
struct Reading {
    table: Table,
    /// When the new users registered that stand behind a hole in the file.
    unacknowledged: Option<Stamp>,
}

impl Records for Reading {
    fn take(&mut self, fields: [&str; 3]) -> Result<(), String> {
        self.table.check_name(fields[0]).map_err(|error| error.to_string())?;
        let (name, password, registered) = parse_checked(fields)?;
        if !self.table.has_room(1) {
            return Err("there are more users than this server can hold".into());
        }
        self.table.put(name, password, registered);
        Ok(())
    }

    /// Users of one batch have one time of registration, so two times are two batches, and of the first somebody was
    /// told. A known name is another matter: its record is a new hash of the same password, and the old one still counts.
    fn may_be_lost(&mut self, fields: [&str; 3]) -> bool {
        let Ok((name, _, registered)) = parse(fields) else { return false };
        let is_known = self.table.find(name).is_some();
        is_known || *self.unacknowledged.get_or_insert(registered) == registered
    }
}

fn parse(fields: [&str; 3]) -> Result<(&str, PasswordHash, Stamp), String> {
    Name::check_stored(fields[0]).map_err(|error| error.to_string())?;
    parse_checked(fields)
}

/// The rest of a record whose name is checked.
fn parse_checked([name, password, registered]: [&str; 3]) -> Result<(&str, PasswordHash, Stamp), String> {
    let password = PasswordHash::from_phc(password).map_err(|error| error.to_string())?;
    Ok((name, password, Stamp::parse(registered)?))
}

impl<F> Users<F> {
    pub(super) fn find(&self, name: &Name) -> Lookup {
        if let Some((password, _)) = self.table.find(name.as_str()) {
            return Lookup::Known(password.clone());
        }
        match self.pending.get(&skeleton(name.as_str())) {
            Some(pending) if pending == name => Lookup::Pending,
            Some(_) => Lookup::LookAlike,
            None if self.table.has_look_alike(name.as_str()) => Lookup::LookAlike,
            None => Lookup::Unknown,
        }
    }

    pub(super) fn count(&self) -> usize {
        self.table.len()
    }

    pub(super) fn rounds(&self, number: usize) -> Option<u32> {
        self.table.rounds(number)
    }

    pub(super) fn register(&mut self, ticket: Ticket, name: Name, password: PasswordHash) {
        let refusal = match self.find(&name) {
            _ if self.broken.is_some() => self.broken.clone(),
            Lookup::Unknown if self.table.has_room(self.pending.len() + 1) => None,
            Lookup::Unknown => Some("there are as many users as this server can hold".to_owned()),
            Lookup::Pending | Lookup::Known(_) => Some("the name is taken".to_owned()),
            Lookup::LookAlike => Some("the name looks like one that is taken".to_owned()),
        };
        if let Some(reason) = refusal {
            return self.answer(ticket, Err(reason));
        }
        self.pending.insert(skeleton(name.as_str()), name.clone());
        self.waiting.push(Waiting { ticket, name, password, registered: None });
    }

    pub(super) fn rehash(&mut self, ticket: Ticket, name: Name, password: PasswordHash) {
        let registered = match (&self.broken, self.table.find(name.as_str())) {
            (Some(reason), _) => Err(reason.clone()),
            (None, None) => Err("there is no such user".to_owned()),
            (None, Some((_, registered))) => Ok(Some(registered)),
        };
        match registered {
            Ok(registered) => self.waiting.push(Waiting { ticket, name, password, registered }),
            Err(reason) => self.answer(ticket, Err(reason)),
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
        !self.waiting.is_empty()
    }

    /// Whether an answer waits to be taken: a refusal needs no commit.
    pub(super) fn has_answered(&self) -> bool {
        !self.answered.is_empty()
    }

    /// Stores all that waits, with one write and one sync, and answers it.
    pub(super) fn commit<D: Disk<File = F>>(
        &mut self,
        disk: &mut D,
        spacing: &mut CommitSpacing,
        notices: &mut VecDeque<Notice>,
    ) {
        let now = Stamp::of(disk.wall());
        let outcome = self.write(disk, spacing, now, notices);
        self.pending.clear();
        for Waiting { ticket, name, password, registered } in std::mem::take(&mut self.waiting) {
            if outcome.is_ok() {
                self.table.put(name.as_str(), password, registered.unwrap_or(now));
            }
            self.answer(ticket, outcome.clone());
        }
    }

    fn write<D: Disk<File = F>>(
        &mut self,
        disk: &mut D,
        spacing: &mut CommitSpacing,
        now: Stamp,
        notices: &mut VecDeque<Notice>,
    ) -> Result<(), String> {
        // Where the file has gone the lock has often gone with it, and says less.
        if self.journal.check(disk).is_ok()
            && let Err(error) = keep_locked(disk, notices)
        {
            self.go_astray(format!("{}; mend that", error.finding()), notices);
            return Err(error.finding());
        }
        let stored = encode(&self.waiting, now)
            .map_err(Undurable::Undone)
            .and_then(|bytes| self.journal.append_durably(disk, spacing, &bytes));
        match stored {
            Ok(()) if std::mem::take(&mut self.astray) => {
                notices.push_back(Notice::new(log::Level::Info, format!("{FILE} is written again")));
                Ok(())
            }
            Ok(()) => Ok(()),
            Err(Undurable::Undone(reason)) => Err(format!("{FILE} cannot be written: {reason}")),
            Err(Undurable::Astray(astray)) => {
                let finding = format!("{}: {astray}", disk.place(FILE));
                let way_out = match astray {
                    Astray::Removed => "bring it back and reload (SIGHUP), or restart with a new one",
                    _ => "reload (SIGHUP) or restart to take it as it is",
                };
                self.go_astray(format!("{finding}; {way_out}"), notices);
                Err(finding)
            }
            Err(Undurable::Unknown { reason, undoing }) => {
                let reason = format!("{FILE} could not be written: {reason}; nor taken back: {undoing}");
                let text = format!("{reason}; nobody can register until a restart");
                notices.push_back(Notice::new(log::Level::Error, text));
                self.broken = Some(reason.clone());
                Err(reason)
            }
        }
    }

    /// Says once that somebody else is at the files.
    fn go_astray(&mut self, text: String, notices: &mut VecDeque<Notice>) {
        if !std::mem::replace(&mut self.astray, true) {
            let text = format!("{text}; until then nobody can register, and logins go on");
            notices.push_back(Notice::new(log::Level::Error, text));
        }
    }

    /// Takes the file as it is now, if it was changed and is good; else all stays as it was.
    pub(super) fn reload<D: Disk<File = F>>(&mut self, disk: &mut D, notices: &mut VecDeque<Notice>) {
        let place = disk.place(FILE);
        let mut say = |level, text: String| notices.push_back(Notice::new(level, text));
        // What such a file reads like now may not be what is on the disk, and only a restart may take it for that.
        if let Some(reason) = self.broken.as_ref().filter(|_| self.journal.has_name(disk)) {
            return say(log::Level::Error, format!("{reason}; not even a reload can tell, restart"));
        }
        if self.journal.is_untouched(disk) {
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
        let scanned = ScannedUsers::new(disk)?;
        let file = scanned.file.insist_whole(disk)?;
        let foreign = file.foreign().map(|foreign| format!("{} was read with {foreign}", disk.place(FILE)));
        let mut repairs = Vec::new();
        let users = ScannedUsers { file, table: scanned.table }.mend(disk, &mut repairs)?;
        disk.sync_names().map_err(|error| OpenError::File {
            file: disk.place(FILE),
            action: "made durable",
            error,
        })?;
        Ok((users, foreign))
    }

    /// Takes the place of what was known; who waits goes on waiting, unless the new file says otherwise.
    fn succeed(&mut self, new: Users<F>) {
        let old = std::mem::replace(&mut self.table, new.table);
        (self.journal, self.broken, self.astray) = (new.journal, None, false);
        let has_room = self.table.has_room(self.waiting.len());
        for waiting in std::mem::take(&mut self.waiting) {
            let name = waiting.name.as_str();
            let (was, is) = (old.find(name), self.table.find(name));
            let is_overtaken =
                if waiting.registered.is_some() { was != is } else { self.table.has_look_alike(name) };
            if is_overtaken || !has_room {
                self.pending.remove(&skeleton(waiting.name.as_str()));
                self.answer(waiting.ticket, Err(format!("{FILE} was reloaded, and says otherwise")));
            } else {
                self.waiting.push(waiting);
            }
        }
    }

    fn answer(&mut self, ticket: Ticket, outcome: Result<(), String>) {
        self.answered.push_back(Completion { ticket, outcome });
    }
}

/// Sees to it that the directory is locked. That it was not is told: meanwhile another server could have been started.
pub(super) fn keep_locked<D: Disk>(disk: &mut D, notices: &mut VecDeque<Notice>) -> Result<(), OpenError> {
    if disk.keep_locked()? {
        let place = disk.place("lock");
        let text = format!("{place} was removed or replaced, and is locked anew; leave it to the server");
        notices.push_back(Notice::new(log::Level::Error, text));
    }
    Ok(())
}

/// The lines for a batch.
fn encode(waiting: &[Waiting], now: Stamp) -> io::Result<Vec<u8>> {
    let mut batch = Batch::new();
    for Waiting { name, password, registered, .. } in waiting {
        batch.push([name.as_str(), &password.to_phc(), &registered.unwrap_or(now).to_text()?])?;
    }
    batch.into_bytes()
}
