//! A file that is only appended to: written, and taken back to its last good length.
//!
//! This module must not know what the records mean.

mod probe;
mod replacement;

use super::disk::{Disk, FileState};
use super::report::SyncFigures;
use crate::Moment;
use crate::limits::SYNC_PAUSE_FACTOR;
use std::fmt;
use std::io;

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

/// An open file of whole lines.
pub(super) struct Journal<F> {
    name: &'static str,
    pub(super) file: F,
    good_bytes: u64,
    /// What the file was when it was last known to be as it is to be.
    left: FileState,
}

impl<F> Journal<F> {
    /// The file of this name, of which so many bytes are good.
    pub(super) fn new<D: Disk<File = F>>(
        disk: &mut D,
        name: &'static str,
        file: F,
        good_bytes: u64,
    ) -> io::Result<Journal<F>> {
        let left = disk.state_of(&file)?;
        Ok(Journal { name, file, good_bytes, left })
    }

    /// What it is now it was left as.
    pub(super) fn note_state<D: Disk<File = F>>(&mut self, disk: &mut D) -> io::Result<()> {
        self.left = disk.state_of(&self.file)?;
        Ok(())
    }

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
        self.note_state(disk)
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

/// Appends all of it.
pub(super) fn write_all<D: Disk>(disk: &mut D, file: &D::File, mut bytes: &[u8]) -> io::Result<()> {
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
