//! How a file that is only appended to is opened: read whole, and then, if a crash has left it so, its torn tail is cut off.
//!
//! The tail is a last line without its end, which [`lines`](super::lines) finds, or begins where a line has a
//! [hole](super::holes). It is saved beside the file first. This module must not know what the records mean.

use super::disk::Disk;
use super::holes::{Records, torn_at};
use super::journal::{Journal, write_all};
use super::lines::{Extent, Header, ReadError, header_line, read_records};
use super::report::{OpenError, Repair};
use std::io::{self, Read};

/// One block of saving what is cut off.
const SAVE_BYTES: usize = 64 * 1024;
/// A server that is started and cuts something off more often than this in a second is not helped by another copy.
const CUT_FILES_A_SECOND: u32 = 1_000;

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
        self.extent.foreign.describe()
    }

    /// Makes the file if there is none, cuts a torn tail off after it was saved beside, writes a torn header again, ends the
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
        let mut journal =
            Journal::new(disk, name, file, extent.whole_bytes).map_err(|error| failed("looked at", error))?;
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
        journal.note_state(disk).map_err(|error| failed("looked at", error))?;
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
