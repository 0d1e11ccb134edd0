//! A file that is only appended to: opened, mended, written, and taken back to its last good length.
//!
//! This module must not know what the records mean.

use super::disk::Disk;
use super::lines::{Extent, Header, ReadError, header_line, read_records};
use super::report::{OpenError, Repair, SyncFigures};
use super::torn::{Records, torn_at};
use crate::Moment;
use crate::limits::SYNC_PAUSE_FACTOR;
use std::io::{self, Read};

/// Measures the syncs and spaces them out.
#[derive(Debug, Default)]
pub(super) struct Pace {
    figures: SyncFigures,
    due: Moment,
}

impl Pace {
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

    /// Makes the file if there is none, cuts a torn end, writes a torn header again; what is then in the file is on stable
    /// storage, and its name too once the directory is synced.
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
        let mut journal = Journal { file, good_bytes: extent.whole_bytes };
        if extent.torn_bytes > 0 {
            journal.undo(disk).map_err(|error| failed("cut", error))?;
        }
        let header_written = extent.whole_bytes == 0;
        if header_written {
            journal.append(disk, &header_line(&header)).map_err(|error| failed("written", error))?;
        }
        // A server that was killed may have left whole records that were never synced; from now on they count.
        disk.sync(&journal.file).map_err(|error| failed("synced", error))?;
        if (header_written && !file_is_new) || extent.torn_bytes > 0 {
            repairs.push(Repair { file: name.to_owned(), cut_bytes: extent.torn_bytes, header_written });
        }
        Ok(journal)
    }
}

/// An open file of whole lines.
pub(super) struct Journal<F> {
    pub(super) file: F,
    good_bytes: u64,
}

impl<F> Journal<F> {
    /// A new file with these lines, on stable storage except for its name.
    pub(super) fn create<D: Disk<File = F>>(
        disk: &mut D,
        pace: &mut Pace,
        name: &str,
        bytes: &[u8],
    ) -> io::Result<Journal<F>> {
        let mut journal = Journal { file: disk.create(name)?, good_bytes: 0 };
        journal.append(disk, bytes)?;
        pace.sync(disk, &journal.file)?;
        Ok(journal)
    }

    /// Writes whole lines at the end. After an error part of them may be there: [`undo`](Journal::undo) it.
    pub(super) fn append<D: Disk<File = F>>(&mut self, disk: &mut D, bytes: &[u8]) -> io::Result<()> {
        write_all(disk, &self.file, bytes)?;
        self.good_bytes += bytes.len() as u64;
        Ok(())
    }

    /// Writes whole lines at the end and brings them to stable storage, or takes them back.
    pub(super) fn append_durably<D: Disk<File = F>>(
        &mut self,
        disk: &mut D,
        pace: &mut Pace,
        bytes: &[u8],
    ) -> Result<(), Undurable> {
        let written = write_all(disk, &self.file, bytes);
        match written.and_then(|()| pace.sync(disk, &self.file)) {
            Ok(()) => {
                self.good_bytes += bytes.len() as u64;
                Ok(())
            }
            Err(reason) => match self.undo(disk).and_then(|()| pace.sync(disk, &self.file)) {
                Ok(()) => Err(Undurable::Undone(reason)),
                Err(undoing) => Err(Undurable::Unknown { reason, undoing }),
            },
        }
    }

    /// Cuts off what is not known to be good.
    pub(super) fn undo<D: Disk<File = F>>(&mut self, disk: &mut D) -> io::Result<()> {
        disk.truncate(&self.file, self.good_bytes)
    }
}

/// Why lines are not on stable storage.
#[derive(Debug)]
pub(super) enum Undurable {
    /// Nothing of them is in the file.
    Undone(io::Error),
    /// They could not be taken back either: nobody knows what is in the file.
    Unknown { reason: io::Error, undoing: io::Error },
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
