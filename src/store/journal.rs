//! A file that is only appended to: opened, mended, written, and taken back to its last good length.
//!
//! This module must not know what the records mean.

mod probe;
mod replacement;

use super::disk::{Disk, FileState};
use super::lines::{Extent, Header, ReadError, header_line, read_records};
use super::report::{OpenError, Repair, SyncFigures};
use super::torn::{Records, torn_at};
use crate::Moment;
use crate::limits::SYNC_PAUSE_FACTOR;
use std::fmt;
use std::io::{self, Read};

/// One block of saving what is cut off.
const SAVE_BYTES: usize = 64 * 1024;
/// A server that is started and cuts something off more often than this in a second is not helped by another copy.
const CUT_FILES_A_SECOND: u32 = 1_000;

/// Measures the syncs and spaces them out.
#[derive(Debug, Default)]
pub(super) struct CommitSpacing {
    figures: SyncFigures,
    due: Moment,
}

impl CommitSpacing {
    pub(super) fn figures(&self) -> SyncFigures {
        self.figures
    }

    /// When the next sync may be.
    pub(super) fn due(&self) -> Moment {
        self.due
    }

    /// Syncs a file; however it ends, its time counts.
    pub(super) fn sync<D: Disk>(&mut self, disk: &mut D, file: &D::File) -> io::Result<()> {
        let start = disk.now();
        let outcome = disk.sync(file);
        let end = disk.now();
        let taken = end.since(start);
        self.figures.count += 1;
        self.figures.total += taken;
        self.figures.longest = self.figures.longest.max(taken);
        self.due = self.due.max(end + taken.saturating_mul(SYNC_PAUSE_FACTOR));
        outcome
    }
}

/// A file that was read and found good, but not yet touched.
pub(super) struct Scanned<F> {
    name: &'static str,
    header: Header,
    file: Option<F>,
    extent: Extent,
}

impl<F> Scanned<F> {
    /// Reads a file's records, changing nothing.
    pub(super) fn new<D: Disk<File = F>>(
        disk: &mut D,
        name: &'static str,
        header: Header,
        records: &mut impl Records,
    ) -> Result<Scanned<F>, OpenError> {
        let place = disk.place(name);
        let failed = |action, error| OpenError::File { file: place.clone(), action, error };
        let Some(file) = disk.open(name).map_err(|error| failed("opened", error))? else {
            return Ok(Scanned { name, header, file: None, extent: Extent::NOTHING });
        };
        let contents = Contents { disk, file: &file, offset: 0 };
        let extent = match read_records(contents, &header, |fields| records.take(fields)) {
            Ok(extent) => extent,
            Err(ReadError::Io(error)) => return Err(failed("read", error)),
            Err(ReadError::Line { number, start_bytes, reason }) => {
                let rest = Contents { disk, file: &file, offset: start_bytes };
                torn_at(rest, number, start_bytes, &header, records)
                    .map_err(|error| failed("read", error))?
                    .ok_or_else(|| OpenError::Line { file: place.clone(), number, reason })?
            }
        };
        Ok(Scanned { name, header, file: Some(file), extent })
    }

    pub(super) fn records(&self) -> u64 {
        self.extent.records
    }

    /// Whether there is a file with anything in it.
    pub(super) fn is_blank(&self) -> bool {
        self.extent.whole_bytes + self.extent.torn_bytes == 0
    }

    /// What is there, unless a start would have something to make or to cut. While the server runs a file that is not
    /// there, or not whole, is one that somebody is not done with.
    pub(super) fn insist_whole<D: Disk<File = F>>(self, disk: &D) -> Result<Scanned<F>, OpenError> {
        let file = disk.place(self.name);
        if self.file.is_none() {
            return Err(OpenError::File { file, action: "found", error: io::ErrorKind::NotFound.into() });
        }
        if self.extent.whole_bytes == 0 || self.extent.torn_bytes > 0 {
            let number = if self.extent.whole_bytes == 0 { 1 } else { self.extent.records + 2 };
            return Err(OpenError::Line { file, number, reason: "the line is incomplete".to_owned() });
        }
        Ok(self)
    }

    /// What porter does not write but reads, in words.
    pub(super) fn foreign(&self) -> Option<String> {
        self.extent.foreign.told()
    }

    /// Makes the file if there is none, cuts a torn end off after it was saved beside, writes a torn header again, ends the
    /// last line; what is then in the file is on stable storage, and its name too once the directory is synced.
    pub(super) fn mend<D: Disk<File = F>>(
        self,
        disk: &mut D,
        repairs: &mut Vec<Repair>,
    ) -> Result<Journal<F>, OpenError> {
        let Scanned { name, header, file, extent } = self;
        let file_is_new = file.is_none();
        let place = disk.place(name);
        let failed = |action, error| OpenError::File { file: place.clone(), action, error };
        let file = match file {
            Some(file) => file,
            None => disk.create(name).map_err(|error| failed("made", error))?,
        };
        let saved_as = (extent.torn_bytes > 0)
            .then(|| save(disk, name, &file, extent))
            .transpose()
            .map_err(|error| failed("saved where it is to be cut", error))?;
        let state = disk.state_of(&file).map_err(|error| failed("looked at", error))?;
        let mut journal = Journal { name, file, good_bytes: extent.whole_bytes, left: state };
        if extent.torn_bytes > 0 {
            journal.undo(disk).map_err(|error| failed("cut", error))?;
        }
        if extent.unended {
            // Or the next record would stand on the same line.
            journal.append(disk, b"\n").map_err(|error| failed("written", error))?;
        }
        let header_written = extent.whole_bytes == 0;
        if header_written {
            journal.append(disk, &header_line(&header)).map_err(|error| failed("written", error))?;
        }
        // A server that was killed may have left whole records that were never synced; from now on they count.
        disk.sync(&journal.file).map_err(|error| failed("synced", error))?;
        journal.left = disk.state_of(&journal.file).map_err(|error| failed("looked at", error))?;
        let line_ended = extent.unended;
        if (header_written && !file_is_new) || extent.torn_bytes > 0 || line_ended {
            let cut_bytes = extent.torn_bytes;
            repairs.push(Repair { file: name.to_owned(), cut_bytes, saved_as, header_written, line_ended });
        }
        Ok(journal)
    }
}

/// Copies what is to be cut off a file into one of its own, on stable storage, and says which.
fn save<D: Disk>(disk: &mut D, name: &str, file: &D::File, extent: Extent) -> io::Result<String> {
    let (saved_as, copy) = create_cut_file(disk, name)?;
    let mut offset = extent.whole_bytes;
    let end = extent.whole_bytes + extent.torn_bytes;
    let mut buffer = vec![0; SAVE_BYTES];
    while offset < end {
        let most = SAVE_BYTES.min(usize::try_from(end - offset).unwrap_or(SAVE_BYTES));
        let count = disk.read(file, offset, &mut buffer[..most])?;
        if count == 0 {
            break;
        }
        write_all(disk, &copy, &buffer[..count])?;
        offset += count as u64;
    }
    disk.sync(&copy)?;
    disk.sync_names()?;
    Ok(saved_as)
}

/// A new file, named for the time; several may be made in one second.
fn create_cut_file<D: Disk>(disk: &mut D, name: &str) -> io::Result<(String, D::File)> {
    let now = disk.wall();
    let (month, day) = (u8::from(now.month()), now.day());
    let (hour, minute, second) = now.to_hms();
    // No colons, which some file systems do not take.
    let stamp = format!("{}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z", now.year());
    let mut number = 1;
    loop {
        let suffix = if number == 1 { String::new() } else { format!("-{number}") };
        let saved_as = format!("{name}.cut-{stamp}{suffix}");
        match disk.create(&saved_as) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < CUT_FILES_A_SECOND => {
                number += 1;
            }
            other => return other.map(|file| (saved_as, file)),
        }
    }
}

/// An open file of whole lines.
pub(super) struct Journal<F> {
    name: &'static str,
    pub(super) file: F,
    good_bytes: u64,
    /// What the file was when it was last known to be as it is to be.
    left: FileState,
}

impl<F> Journal<F> {
    /// Whether the file still has its name, and the length that it was left with: else somebody else is at it, and what
    /// is written now may be lost with it.
    pub(super) fn check<D: Disk<File = F>>(&self, disk: &mut D) -> Result<(), Astray> {
        self.check_length(disk, self.good_bytes)
    }

    fn check_length<D: Disk<File = F>>(&self, disk: &mut D, expected: u64) -> Result<(), Astray> {
        match disk.state(self.name) {
            Err(error) => Err(Astray::Unseen(error)),
            Ok(None) => Err(Astray::Removed),
            Ok(Some(now)) if !now.is_same_file(&self.left) => Err(Astray::Replaced),
            Ok(Some(FileState { length_bytes: found, .. })) if found != expected => {
                Err(Astray::Resized { expected, found })
            }
            Ok(Some(_)) => Ok(()),
        }
    }

    /// What is wrong with a file though it can be used: whoever else may read it can try passwords, or knows who was where.
    pub(super) fn exposure<D: Disk<File = F>>(&self, disk: &D) -> Option<String> {
        let (mode, place) = (self.left.mode, disk.place(self.name));
        // Its group may well be one that is made for it.
        (mode & 0o007 != 0).then(|| {
            format!("{place} (mode {mode:o}) is open to every user of this machine; chmod 600 {place}")
        })
    }

    /// Whether nobody else has touched the file since it was last known to be good, as far as one can see.
    pub(super) fn is_untouched<D: Disk<File = F>>(&self, disk: &mut D) -> bool {
        disk.state(self.name).is_ok_and(|now| now == Some(self.left))
    }

    /// Whether the name is still this file's, whatever is in it.
    pub(super) fn has_name<D: Disk<File = F>>(&self, disk: &mut D) -> bool {
        disk.state(self.name).is_ok_and(|now| now.is_some_and(|now| now.is_same_file(&self.left)))
    }

    /// Writes whole lines at the end. After an error part of them may be there: [`undo`](Journal::undo) it.
    pub(super) fn append<D: Disk<File = F>>(&mut self, disk: &mut D, bytes: &[u8]) -> io::Result<()> {
        write_all(disk, &self.file, bytes)?;
        self.good_bytes += bytes.len() as u64;
        // If the system does not say, what is found later is taken for somebody else's work, and read.
        if let Ok(state) = disk.state_of(&self.file) {
            self.left = state;
        }
        Ok(())
    }

    /// Writes whole lines at the end and brings them to stable storage, or takes them back. They are in the file that has
    /// the name, before and after.
    pub(super) fn append_durably<D: Disk<File = F>>(
        &mut self,
        disk: &mut D,
        spacing: &mut CommitSpacing,
        bytes: &[u8],
    ) -> Result<(), Undurable> {
        self.check(disk).map_err(Undurable::Astray)?;
        let whole_bytes = self.good_bytes + bytes.len() as u64;
        let written = write_all(disk, &self.file, bytes).and_then(|()| spacing.sync(disk, &self.file));
        let reason = match written {
            Ok(()) => match self.check_length(disk, whole_bytes) {
                Ok(()) => {
                    self.good_bytes = whole_bytes;
                    self.left = disk.state_of(&self.file).unwrap_or(self.left);
                    return Ok(());
                }
                Err(astray) => {
                    // Nobody is told that it is there. Unless somebody else has written too, it is not.
                    if disk.state_of(&self.file).is_ok_and(|now| now.length_bytes == whole_bytes) {
                        let _ = self.undo(disk).and_then(|()| spacing.sync(disk, &self.file));
                    }
                    return Err(Undurable::Astray(astray));
                }
            },
            Err(reason) => reason,
        };
        match self.undo(disk).and_then(|()| spacing.sync(disk, &self.file)) {
            Ok(()) => Err(Undurable::Undone(reason)),
            Err(undoing) => Err(Undurable::Unknown { reason, undoing }),
        }
    }

    /// Cuts off what is not known to be good.
    pub(super) fn undo<D: Disk<File = F>>(&mut self, disk: &mut D) -> io::Result<()> {
        if disk.state_of(&self.file)?.length_bytes < self.good_bytes {
            return Err(io::Error::other("another program has cut the file shorter"));
        }
        disk.truncate(&self.file, self.good_bytes)?;
        self.left = disk.state_of(&self.file)?;
        Ok(())
    }
}

/// What somebody else has done to a file.
#[derive(Debug)]
pub(super) enum Astray {
    Removed,
    Replaced,
    Resized {
        expected: u64,
        found: u64,
    },
    /// The system does not say.
    Unseen(io::Error),
}

impl fmt::Display for Astray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Astray::Removed => write!(f, "it was removed or moved away"),
            Astray::Replaced => write!(f, "another file has taken its place"),
            Astray::Resized { expected, found } => {
                write!(f, "another program has changed it: it has {found} bytes and not {expected}")
            }
            Astray::Unseen(error) => write!(f, "it cannot be looked at: {error}"),
        }
    }
}

/// Why lines are not on stable storage.
#[derive(Debug)]
pub(super) enum Undurable {
    /// The file is not the one that was left.
    Astray(Astray),
    /// Nothing of them is in the file.
    Undone(io::Error),
    /// They could not be taken back either: nobody knows what is in the file.
    Unknown { reason: io::Error, undoing: io::Error },
    /// The file that has them has taken the old one's place, and nobody knows which of the two a crash leaves there.
    Unnamed(io::Error),
}

impl fmt::Display for Undurable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Undurable::Astray(astray) => astray.fmt(f),
            Undurable::Undone(reason) => reason.fmt(f),
            Undurable::Unknown { reason, undoing } => write!(f, "{reason}; nor taken back: {undoing}"),
            Undurable::Unnamed(reason) => {
                write!(f, "a new one is in its place, perhaps not for good: {reason}")
            }
        }
    }
}

fn write_all<D: Disk>(disk: &mut D, file: &D::File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match disk.append(file, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A file of a disk as something to read.
struct Contents<'a, D: Disk> {
    disk: &'a mut D,
    file: &'a D::File,
    offset: u64,
}

impl<D: Disk> Read for Contents<'_, D> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.disk.read(self.file, self.offset, buffer)?;
        self.offset += count as u64;
        Ok(count)
    }
}
