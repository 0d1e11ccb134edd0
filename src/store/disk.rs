//! The only way to files and clocks: [`Disk`]. The real one is [`OsDisk`](super::OsDisk).
//!
//! A simulated disk on the same trait can fail any call, write less than it was given, and forget at a crash what was
//! not synced. This module must not know what the files hold.

use super::report::OpenError;
use crate::Moment;
use rustix::io::Errno;
use std::io;
use time::OffsetDateTime;

/// What tells a file from another that has its name now, and from what it was itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileState {
    /// The file system that it is on.
    pub device: u64,
    /// Its number there; no other has it while it is open.
    pub inode: u64,
    /// Its length.
    pub length_bytes: u64,
    /// When it was last changed, in nanoseconds; what counts is only whether it is the same.
    pub changed: i128,
    /// Who may do what with it.
    pub mode: u32,
}

impl FileState {
    /// Whether both are of one file.
    pub(super) fn is_same_file(&self, other: &FileState) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

/// A directory of files, a wall clock, and the monotonic clock that the caller's [`Moment`]s are of.
///
/// Every call but the clocks may fail. What was written, created, truncated or renamed outlives a crash of the machine
/// only after the sync of its file, for names after the sync of the directory.
pub trait Disk {
    /// An open file, for reading and for writing at its end.
    type File;

    /// Opens a file; `None` if there is none.
    ///
    /// # Errors
    /// What the system says, or that something else than a file has the name: a link to what is not there is not nothing.
    fn open(&mut self, name: &str) -> io::Result<Option<Self::File>>;

    /// Makes a new empty file that only its owner may read.
    ///
    /// # Errors
    /// What the system says; `AlreadyExists` if anything has the name.
    fn create(&mut self, name: &str) -> io::Result<Self::File>;

    /// Removes a name, if there is one; of a link the link.
    ///
    /// # Errors
    /// What the system says.
    fn remove(&mut self, name: &str) -> io::Result<()>;

    /// Reads from an offset on; 0 bytes are the end of the file.
    ///
    /// # Errors
    /// What the system says.
    fn read(&mut self, file: &Self::File, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes at the end, perhaps only a beginning of the bytes; says how many.
    ///
    /// # Errors
    /// What the system says.
    fn append(&mut self, file: &Self::File, bytes: &[u8]) -> io::Result<usize>;

    /// Cuts the file to this many bytes.
    ///
    /// # Errors
    /// What the system says.
    fn truncate(&mut self, file: &Self::File, length_bytes: u64) -> io::Result<()>;

    /// Brings the file's contents and length to stable storage.
    ///
    /// # Errors
    /// What the system says; then it is unknown what of the file is there.
    fn sync(&mut self, file: &Self::File) -> io::Result<()>;

    /// Gives a file another's name; the other is gone. If that name is a link, what it points to is replaced.
    ///
    /// # Errors
    /// What the system says.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Brings the directory's names to stable storage.
    ///
    /// # Errors
    /// What the system says; see [`sync_names`](Disk::sync_names).
    fn sync_directory(&mut self) -> io::Result<()>;

    /// What has a name now; `None` if nothing has it.
    ///
    /// # Errors
    /// What the system says.
    fn state(&mut self, name: &str) -> io::Result<Option<FileState>>;

    /// What an open file is now, whatever its name.
    ///
    /// # Errors
    /// What the system says.
    fn state_of(&mut self, file: &Self::File) -> io::Result<FileState>;

    /// Sees to it that nobody else uses the directory, and says whether its lock had to be taken anew.
    ///
    /// # Errors
    /// If somebody else has it, or it cannot be taken.
    fn keep_locked(&mut self) -> Result<bool, OpenError> {
        Ok(false)
    }

    /// Whether the lock keeps anybody out, where there is one.
    fn is_locked(&self) -> bool {
        true
    }

    /// The monotonic clock, for measuring syncs.
    fn now(&mut self) -> Moment;

    /// The wall clock, for stamps in files.
    fn wall(&mut self) -> OffsetDateTime;

    /// A file's name as the operator knows it, for errors.
    fn place(&self, name: &str) -> String {
        name.to_owned()
    }

    /// Brings the directory's names to stable storage, or says that its file system cannot: CIFS and some in user space
    /// let no directory be synced, and whoever keeps data there has to be told once, and served.
    ///
    /// # Errors
    /// What the system says, if it is a failure.
    fn sync_names(&mut self) -> io::Result<bool> {
        match self.sync_directory() {
            Err(error) if is_unsupported(&error) => Ok(false),
            other => other.map(|()| true),
        }
    }
}

/// Whether an error says that the file system has no such thing, not that it has failed.
pub(super) fn is_unsupported(error: &io::Error) -> bool {
    // ENOTSUP and EOPNOTSUPP are two numbers on some systems.
    let unsupported = [Errno::INVAL, Errno::NOTSUP, Errno::OPNOTSUPP, Errno::NOSYS];
    Errno::from_io_error(error).is_some_and(|number| unsupported.contains(&number))
}
