//! `addresses.csv`: who was last seen where. A courtesy, so that a failing disk is reported and nobody waits for it.

use super::disk::Disk;
use super::holes::Records;
use super::journal::{Astray, CommitSpacing, Journal};
use super::lines::{Batch, Header};
use super::report::{Notice, OpenError, Repair};
use super::stamp::Stamp;
use super::torn_tail::Scanned;
use super::visitors::Visitors;
use crate::Moment;
use crate::auth::Name;
use crate::limits::{ADDRESS_COMPACTION_PAUSE, ADDRESS_RECORDS_LEAST, ADDRESS_RETRY, ADDRESSES};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;

pub(super) const FILE: &str = "addresses.csv";
/// Where a compacted file grows until it takes the place of the old one.
const NEW_FILE: &str = "addresses.csv.new";
const HEADER: Header = ["address", "name", "seen"];

/// The visitors and their file.
pub(super) struct Addresses<F> {
    journal: Journal<F>,
    visitors: Visitors,
    /// Records in the file.
    records: u64,
    /// Not to be compacted with fewer records: raised when it failed.
    compact_at_least: u64,
    /// Not to be compacted before.
    compaction_due: Moment,
    /// After a failed write, not to be written before.
    due: Moment,
    /// The end of the file may hold part of a failed write, now or after a crash.
    unsure: bool,
    /// The file is not there, or not whole: all is to be written anew.
    lost: bool,
    append_fails: bool,
    compaction_fails: bool,
}

/// An `addresses.csv` that was read and found good.
pub(super) struct ScannedAddresses<F> {
    file: Scanned<F>,
    visitors: Visitors,
}

impl<F> ScannedAddresses<F> {
    /// What porter does not write but reads, in words.
    pub(super) fn foreign(&self) -> Option<String> {
        self.file.foreign()
    }

    pub(super) fn new<D: Disk<File = F>>(disk: &mut D) -> Result<ScannedAddresses<F>, OpenError> {
        let mut visitors = Visitors::new(ADDRESSES);
        let file = Scanned::new(disk, FILE, HEADER, &mut visitors)?;
        visitors.written();
        Ok(ScannedAddresses { file, visitors })
    }

    pub(super) fn mend<D: Disk<File = F>>(
        self,
        disk: &mut D,
        repairs: &mut Vec<Repair>,
    ) -> Result<Addresses<F>, OpenError> {
        let records = self.file.records();
        Ok(Addresses {
            journal: self.file.mend(disk, repairs)?,
            visitors: self.visitors,
            records,
            compact_at_least: ADDRESS_RECORDS_LEAST,
            compaction_due: Moment::START,
            due: Moment::START,
            unsure: false,
            lost: false,
            append_fails: false,
            compaction_fails: false,
        })
    }
}

impl Records for Visitors {
    fn take(&mut self, fields: [&str; 3]) -> Result<(), String> {
        let (address, name, seen) = parse(fields)?;
        self.note(address, name, seen);
        Ok(())
    }

    /// Visits are written without a sync, so many may stand behind a hole; and nobody is ever told that one is kept.
    fn may_be_lost(&mut self, fields: [&str; 3]) -> bool {
        parse(fields).is_ok()
    }
}

fn parse([spelt, name, seen]: [&str; 3]) -> Result<(IpAddr, Name, Stamp), String> {
    let address: IpAddr = spelt.parse().map_err(|_| "the address is no IP address")?;
    if address.to_canonical() != address || address.to_string() != spelt {
        return Err("the address is not in its canonical form".into());
    }
    let name = Name::stored(name).map_err(|error| error.to_string())?;
    let seen = Stamp::parse(seen).map_err(|error| error.to_string())?;
    Ok((address, name, seen))
}

impl<F> Addresses<F> {
    pub(super) fn find(&self, address: IpAddr) -> Option<Name> {
        self.visitors.find(address.to_canonical()).cloned()
    }

    pub(super) fn note<D: Disk<File = F>>(&mut self, disk: &mut D, address: IpAddr, name: &Name) {
        self.visitors.note(address.to_canonical(), name.clone(), Stamp::of(disk.wall()));
    }

    /// Who was seen and when, by number: see [`Visitors::by_number`].
    pub(super) fn visit(&self, number: usize) -> Option<(Name, Stamp)> {
        self.visitors.by_number(number).map(|(name, seen)| (name.clone(), seen))
    }

    /// Above the number of every visit.
    pub(super) fn visits_end(&self) -> usize {
        self.visitors.len()
    }

    /// Whether anything is to be written, now or later.
    #[inline]
    pub(super) fn has_work(&self) -> bool {
        self.visitors.unwritten_count() > 0 || self.is_bloated()
    }

    /// When to write what waits, or to compact the file, if there is something to do.
    pub(super) fn due(&self, spacing: &CommitSpacing) -> Option<Moment> {
        let write = (self.visitors.unwritten_count() > 0).then_some(self.due);
        let compact = self.is_bloated().then(|| self.compaction_due(spacing));
        write.into_iter().chain(compact).min()
    }

    /// When the file may be compacted, a pause after the last time. It syncs, and so keeps to the spacing of syncs as well.
    fn compaction_due(&self, spacing: &CommitSpacing) -> Moment {
        self.compaction_due.max(spacing.due())
    }

    /// Whether most of the file would be records that no longer count.
    fn is_bloated(&self) -> bool {
        self.records_to_be() >= self.compact_at_least.max(2 * self.visitors.len() as u64)
    }

    fn records_to_be(&self) -> u64 {
        self.records + self.visitors.unwritten_count() as u64
    }

    /// Writes what waits, in a compacted file if it is time for one.
    pub(super) fn commit<D: Disk<File = F>>(
        &mut self,
        disk: &mut D,
        now: Moment,
        spacing: &mut CommitSpacing,
        notices: &mut VecDeque<Notice>,
    ) {
        if let Err(astray) = self.look_after(disk, notices) {
            let outcome = Err(io::Error::other(astray));
            change(&mut self.append_fails, &outcome, "written", notices);
            self.due = now + ADDRESS_RETRY;
            return;
        }
        if self.lost {
            let outcome = self.compact(disk, spacing);
            change(&mut self.append_fails, &outcome, "written", notices);
            if outcome.is_err() {
                self.due = now + ADDRESS_RETRY;
            }
            return;
        }
        if self.is_bloated() && self.compaction_due(spacing) <= now {
            self.compaction_due = now + ADDRESS_COMPACTION_PAUSE;
            let outcome = self.compact(disk, spacing);
            change(&mut self.compaction_fails, &outcome, "compacted", notices);
            match outcome {
                Ok(()) => return change(&mut self.append_fails, &outcome, "written", notices),
                // Not at once again: it is the dearest thing that is done here.
                Err(_) => {
                    let live = self.visitors.len() as u64;
                    self.compact_at_least = self.records_to_be() + live.max(ADDRESS_RECORDS_LEAST);
                }
            }
        }
        let outcome = self.append(disk, spacing);
        change(&mut self.append_fails, &outcome, "written", notices);
        if outcome.is_err() {
            self.due = now + ADDRESS_RETRY;
        }
    }

    /// Looks whether somebody else has been at the file. One that was removed or emptied is made again; any other is taken
    /// as it is, with the visits that were not written yet.
    fn look_after<D: Disk<File = F>>(
        &mut self,
        disk: &mut D,
        notices: &mut VecDeque<Notice>,
    ) -> Result<(), String> {
        // What follows a failed write is part of it.
        let astray = match self.journal.check(disk) {
            Ok(()) => return Ok(()),
            Err(Astray::Resized { .. }) if self.unsure => return Ok(()),
            Err(_) if self.lost => return Ok(()),
            Err(Astray::Unseen(error)) => return Err(format!("it cannot be looked at: {error}")),
            Err(astray) => astray,
        };
        let scanned = ScannedAddresses::new(disk).map_err(|error| error.finding())?;
        self.lost = scanned.file.is_blank();
        if !self.lost {
            self.take_anew(disk, scanned).map_err(|error| error.finding())?;
        }
        let done = if self.lost { "made again" } else { "read anew" };
        notices
            .push_back(Notice::new(log::Level::Warn, format!("{FILE}: {astray}; it is {done}")).about(FILE));
        Ok(())
    }

    fn take_anew<D: Disk<File = F>>(
        &mut self,
        disk: &mut D,
        scanned: ScannedAddresses<F>,
    ) -> Result<(), OpenError> {
        let file = scanned.file.insist_whole(disk)?;
        let mut new = ScannedAddresses { file, visitors: scanned.visitors }.mend(disk, &mut Vec::new())?;
        for (address, name, seen) in self.visitors.unwritten() {
            new.visitors.note(address, name.clone(), seen);
        }
        (self.journal, self.visitors, self.records) = (new.journal, new.visitors, new.records);
        self.unsure = false;
        Ok(())
    }

    /// Takes the file as it is now, if somebody else has been at it.
    pub(super) fn reload<D: Disk<File = F>>(&mut self, disk: &mut D, notices: &mut VecDeque<Notice>) {
        if let Err(reason) = self.look_after(disk, notices) {
            notices.push_back(
                Notice::new(log::Level::Warn, format!("{FILE} is not reloaded: {reason}")).about(FILE),
            );
        }
    }

    /// What is to be told of the file as it is.
    pub(super) fn exposure<D: Disk<File = F>>(&self, disk: &D) -> Option<String> {
        self.journal.exposure(disk)
    }

    /// Brings what was written to stable storage.
    pub(super) fn sync<D: Disk<File = F>>(
        &mut self,
        disk: &mut D,
        spacing: &mut CommitSpacing,
        notices: &mut VecDeque<Notice>,
    ) {
        if let Err(error) = spacing.sync(disk, &self.journal.file) {
            notices.push_back(
                Notice::new(log::Level::Warn, format!("{FILE} cannot be synced: {error}")).about(FILE),
            );
        }
    }

    fn append<D: Disk<File = F>>(&mut self, disk: &mut D, spacing: &mut CommitSpacing) -> io::Result<()> {
        if self.unsure {
            // A line behind half a line would be a bad one, and stop the next start. So would one of which a crash keeps a
            // sector with the line that was cut off and the next with the line that took its place: hence the sync.
            self.journal.undo(disk)?;
            spacing.sync(disk, &self.journal.file)?;
            self.unsure = false;
        }
        let bytes = encode(Batch::new(), self.visitors.unwritten())?;
        if let Err(error) = self.journal.append(disk, &bytes) {
            self.unsure = true;
            // Whether this works is of no matter: it is done again, for good, before the next write.
            let _ = self.journal.undo(disk);
            return Err(error);
        }
        self.records += self.visitors.unwritten_count() as u64;
        self.visitors.written();
        Ok(())
    }

    /// Writes a new file with the live records only and puts it in the place of the old one.
    fn compact<D: Disk<File = F>>(&mut self, disk: &mut D, spacing: &mut CommitSpacing) -> io::Result<()> {
        let mut batch = Batch::new();
        batch.push(HEADER)?;
        let bytes = encode(batch, self.visitors.all())?;
        let journal = Journal::create(disk, spacing, [NEW_FILE, FILE], [Ok(&bytes)])?;
        match disk.rename(NEW_FILE, FILE) {
            Ok(()) => self.journal = journal,
            Err(error) if cannot_be_replaced(&error) && self.journal.has_name(disk) => {
                self.lost = true;
                self.journal.rewrite(disk, spacing, &bytes)?;
                disk.remove(NEW_FILE)?;
            }
            Err(error) => return Err(error),
        }
        (self.unsure, self.lost) = (false, false);
        self.records = self.visitors.len() as u64;
        self.compact_at_least = ADDRESS_RECORDS_LEAST;
        self.visitors.written();
        // If this fails a crash brings the old file back, whole: some visits older, nothing worse.
        disk.sync_names().map(|_| ())
    }
}

/// Whether another file cannot take a file's place, though that itself can be written: it is mounted by itself, or a link
/// leads to another file system, or to a directory that is not ours. It is then written anew where it stands, and a crash in
/// the midst of that may cost visits.
fn cannot_be_replaced(error: &io::Error) -> bool {
    let refusals = [Errno::BUSY, Errno::XDEV, Errno::ACCESS, Errno::PERM, Errno::ROFS];
    Errno::from_io_error(error).is_some_and(|number| refusals.contains(&number))
}

/// Says it once when something begins to fail, and once when it works again.
fn change(fails: &mut bool, outcome: &io::Result<()>, done: &str, notices: &mut VecDeque<Notice>) {
    match outcome {
        Err(error) if !*fails => {
            notices.push_back(
                Notice::new(log::Level::Warn, format!("{FILE} cannot be {done}: {error}")).about(FILE),
            );
        }
        Ok(()) if *fails => {
            notices.push_back(Notice::new(log::Level::Info, format!("{FILE} is {done} again")).about(FILE));
        }
        _ => {}
    }
    *fails = outcome.is_err();
}

fn encode<'a>(
    mut batch: Batch,
    visits: impl Iterator<Item = (IpAddr, &'a Name, Stamp)>,
) -> io::Result<Vec<u8>> {
    for (address, name, seen) in visits {
        batch.push([&address.to_string(), name.as_str(), &seen.to_string()])?;
    }
    batch.into_bytes()
}
