//! The store that porter has: two CSV files in a data directory.

use super::addresses::{Addresses, ScannedAddresses};
use super::disk::Disk;
use super::journal::CommitSpacing;
use super::report::{Notice, OpenError, Repair, SyncFigures};
use super::stamp::Stamp;
use super::users::{ScannedUsers, Users, keep_locked};
use super::{Account, AccountChange, Completion, Lookup, Store, Ticket};
use crate::Moment;
use crate::auth::{Name, PasswordHash};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::ops::{ControlFlow, Range};
use std::time::Duration;

/// Users and visitors in `users.csv` and `addresses.csv` of a [`Disk`].
///
/// What is stored waits for [`commit`](Store::commit), which the shell calls when
/// [`next_commit`](Store::next_commit) has come. It blocks while it syncs: the one thing in porter that does.
pub struct DiskStore<D: Disk> {
    disk: D,
    users: Users<D::File>,
    addresses: Addresses<D::File>,
    spacing: CommitSpacing,
    notices: VecDeque<Notice>,
}

impl<D: Disk> DiskStore<D> {
    /// Reads both files, and only if both are good mends what a crash left: the repairs are to be logged, and what
    /// [`poll_notice`](Store::poll_notice) has to say.
    ///
    /// # Errors
    /// [`OpenError`] if a file cannot be used or has a bad line.
    pub fn open(mut disk: D) -> Result<(DiskStore<D>, Vec<Repair>), OpenError> {
        let users = ScannedUsers::new(&mut disk)?;
        let addresses = ScannedAddresses::new(&mut disk)?;
        let mut repairs = Vec::new();
        let foreign = [(super::users::FILE, users.foreign()), (super::addresses::FILE, addresses.foreign())];
        let is_bloated = users.is_bloated();
        let mut users = users.mend(&mut disk, &mut repairs)?;
        let addresses = addresses.mend(&mut disk, &mut repairs)?;
        // The last start may have been cut short after making a file.
        let names_are_synced = disk.sync_names().map_err(|error| OpenError::File {
            file: disk.place(super::users::FILE),
            action: "made durable",
            error,
        })?;
        let foreign = foreign.into_iter().filter_map(|(file, foreign)| {
            Some(format!("{} was read with {}; what is added is without", disk.place(file), foreign?))
        });
        let mut notices = foreign.map(|text| Notice::new(log::Level::Info, text)).collect();
        users.remove_unfinished(&mut disk, &mut notices);
        // Where no name can be synced a crash may bring the old file back later, without what is added to the new one.
        if is_bloated && names_are_synced {
            users.compact(&mut disk, &mut notices)?;
        }
        let unsynced = (!names_are_synced).then(|| {
            "the file system of the data directory cannot sync a directory: after a power cut a new file may be missing"
                .to_owned()
        });
        let unlocked = (!disk.is_locked()).then(|| {
            "the file system of the data directory has no locks: nothing keeps a second server out".to_owned()
        });
        let exposed = users.exposure(&disk).into_iter().chain(addresses.exposure(&disk));
        let warnings = unsynced.into_iter().chain(unlocked).chain(exposed);
        notices.extend(warnings.map(|text| Notice::new(log::Level::Warn, text)));
        Ok((DiskStore { disk, users, addresses, spacing: CommitSpacing::default(), notices }, repairs))
    }

    /// What the syncs cost since the start.
    pub fn sync_figures(&self) -> SyncFigures {
        self.spacing.figures()
    }
}

impl<D: Disk> DiskStore<D> {
    #[cold]
    fn next_due(&self) -> Option<Moment> {
        // Whoever was refused at once hears of it after the next commit, and must not wait for somebody else's.
        let answers = self.users.has_answered().then_some(Moment::START);
        let users = self.users.waits().then(|| self.spacing.due());
        let look = self.users.next_look().map(|look| look.max(self.spacing.due()));
        let addresses = self.addresses.due(&self.spacing);
        [answers, users, look, addresses].into_iter().flatten().min()
    }
}

impl<D: Disk> Store for DiskStore<D> {
    #[inline]
    fn next_commit(&self) -> Option<Moment> {
        // It is asked twice a turn, and there is mostly nothing.
        if self.users.is_quiet() && !self.addresses.has_work() { None } else { self.next_due() }
    }

    /// Stores what is due: all waiting users with one write and one sync, and all visits with one write. Completions and
    /// notices are there afterwards. If users could not be stored it looks, from time to time, whether they can be again.
    ///
    /// After a sync that took t the next is not due before another 4 t have passed.
    fn commit(&mut self, now: Moment) {
        if self.users.waits() && self.spacing.due() <= now {
            self.users.commit(&mut self.disk, &mut self.spacing, &mut self.notices);
        } else if self.users.next_look().is_some_and(|look| look.max(self.spacing.due()) <= now) {
            self.users.look(&mut self.disk, &mut self.spacing, &mut self.notices);
        }
        if self.addresses.due(&self.spacing).is_some_and(|due| due <= now) {
            self.addresses.commit(&mut self.disk, now, &mut self.spacing, &mut self.notices);
        }
    }

    /// Stores all that waits, due or not, and syncs both files. Completions and notices are there afterwards.
    fn close(&mut self) {
        self.commit(Moment::NEVER);
        self.addresses.sync(&mut self.disk, &mut self.spacing, &mut self.notices);
    }

    /// Something to be logged that happened since the last call.
    fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    fn find(&self, name: &Name) -> Lookup {
        self.users.find(name)
    }

    fn user_count(&self) -> usize {
        self.users.count()
    }

    fn rounds(&self, number: usize) -> Option<u32> {
        self.users.rounds(number)
    }

    fn account(&self, number: usize) -> Option<Account> {
        self.users.account(number)
    }

    /// Without a record's copy for each.
    fn names_that_begin(
        &self,
        text: &str,
        numbers: Range<usize>,
        take: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) {
        self.users.names_that_begin(text, numbers, take);
    }

    fn accounts_end(&self) -> usize {
        self.users.accounts_end()
    }

    fn visit(&self, number: usize) -> Option<(Name, Stamp)> {
        self.addresses.visit(number)
    }

    fn visits_end(&self) -> usize {
        self.addresses.visits_end()
    }

    fn sync_figures(&self) -> SyncFigures {
        self.spacing.figures()
    }

    fn trouble(&self, _: Moment) -> Option<&str> {
        self.users.trouble()
    }

    fn figures(&self) -> Vec<String> {
        let syncs = self.sync_figures();
        let milliseconds = |span: Duration| span.as_secs_f64() * 1e3;
        vec![format!(
            "syncs: {}, {:.1} ms together, {:.1} ms the longest",
            syncs.count,
            milliseconds(syncs.total),
            milliseconds(syncs.longest)
        )]
    }

    fn register(&mut self, ticket: Ticket, name: Name, password: PasswordHash) {
        self.users.register(ticket, name, password);
    }

    fn rehash(&mut self, ticket: Ticket, name: Name, password: PasswordHash) {
        self.users.rehash(ticket, name, password);
    }

    fn alter(&mut self, ticket: Ticket, name: Name, change: AccountChange) -> bool {
        self.users.alter(ticket, name, change);
        true
    }

    /// The next [`commit`](Store::commit) writes the whole file anew, and blocks while it does.
    fn import(&mut self, ticket: Ticket, accounts: Vec<Account>) -> bool {
        self.users.import(ticket, accounts);
        true
    }

    /// Both files and the lock may be somebody else's work by now. It blocks while it reads.
    fn reload(&mut self) {
        if let Err(error) = keep_locked(&mut self.disk, &mut self.notices) {
            let text = format!("{}; nothing is reloaded", error.finding());
            return self.notices.push_back(Notice::new(log::Level::Error, text));
        }
        self.users.reload(&mut self.disk, &mut self.notices);
        self.addresses.reload(&mut self.disk, &mut self.notices);
    }

    fn poll_completion(&mut self) -> Option<Completion> {
        self.users.poll_completion()
    }

    fn last_visitor(&self, address: IpAddr) -> Option<Name> {
        self.addresses.find(address)
    }

    fn note_visitor(&mut self, address: IpAddr, name: &Name) {
        self.addresses.note(&mut self.disk, address, name);
    }
}
