//! Keeps a second server out of a data directory.

use super::disk::is_unsupported;
use super::files;
use super::report::OpenError;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const FILE: &str = "lock";

/// An exclusive lock on the file `lock` of a data directory; given back when dropped, or when the process dies.
///
/// The file holds the process's number, for whoever is kept out: nothing else depends on it.
#[derive(Debug)]
pub(super) struct Lock {
    directory: PathBuf,
    file: File,
    /// Whether the file system has locks at all.
    is_effective: bool,
}

impl Lock {
    /// Takes the lock of a directory.
    ///
    /// # Errors
    /// [`OpenError`] if another process has it, or the file cannot be opened or locked.
    pub(super) fn take(directory: &Path) -> Result<Lock, OpenError> {
        let path = directory.join(FILE);
        let failed = |action, error| OpenError::File { file: path.display().to_string(), action, error };
        let file = open_or_create(&path).map_err(|error| failed("opened", error))?;
        let is_effective = match file.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::Locked { directory: directory.to_owned(), holder: holder(&file) });
            }
            Err(TryLockError::Error(error)) if has_no_locks(&error) => false,
            Err(TryLockError::Error(error)) => return Err(failed("locked", error)),
        };
        // A disk that is too full for it has the lock nevertheless.
        let _ = write_number(&file);
        Ok(Lock { directory: directory.to_owned(), file, is_effective })
    }

    /// Whether it keeps anybody out: on some file systems it cannot.
    pub(super) fn is_effective(&self) -> bool {
        self.is_effective
    }

    /// Whether the file that is locked is still the one that another server would look at.
    fn is_in_place(&self) -> bool {
        let identity = |found: std::fs::Metadata| (found.dev(), found.ino());
        let here = std::fs::metadata(self.directory.join(FILE)).map(identity);
        here.is_ok_and(|here| self.file.metadata().map(identity).is_ok_and(|ours| ours == here))
    }

    /// Sees to it that the directory is locked, and says whether that was to be done: whoever removes the file, or moves
    /// the directory away, lets a second server in.
    ///
    /// # Errors
    /// As for [`take`](Lock::take).
    pub(super) fn keep(&mut self) -> Result<bool, OpenError> {
        if self.is_in_place() {
            return Ok(false);
        }
        *self = Lock::take(&self.directory)?;
        Ok(true)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing would do, but for a child process that was forked just now and has not yet closed its copy. If it
        // fails, closing is what is left.
        let _ = self.file.unlock();
    }
}

/// Which process has a data directory, in words, if one has. Nothing is made or changed for a look.
pub fn holder_of(directory: &Path) -> Option<String> {
    let file = files::open(&directory.join(FILE), OpenOptions::new().read(true)).ok().flatten()?;
    // Only where there is somebody it may be: a server that starts at this moment must not find the lock taken by a look.
    let holder = holder(&file)?;
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)).then_some(holder)
}

fn open_or_create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    if let Some(file) = files::open(path, &mut options)? {
        return Ok(file);
    }
    match options.create_new(true).open(path) {
        Ok(file) => super::os_disk::make_ours(path.parent().unwrap_or(Path::new("")), &file).map(|()| file),
        // Another server starting at once; the lock will tell them apart.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            files::open(path, options.create_new(false))?.ok_or(error)
        }
        Err(error) => Err(error),
    }
}

/// Network file systems without a lock service, and some in user space.
fn has_no_locks(error: &io::Error) -> bool {
    is_unsupported(error) || Errno::from_io_error(error) == Some(Errno::NOLCK)
}

fn write_number(mut file: &File) -> io::Result<()> {
    file.set_len(0)?;
    file.write_all(format!("{}\n", std::process::id()).as_bytes())
}

/// Which process has a lock, in words, as far as its file and the system tell. A number that no process has was left by
/// one that was killed, and whoever has the lock now has not written its own yet.
fn holder(file: &File) -> Option<String> {
    let mut bytes = [0; 20];
    let count = file.read_at(&mut bytes, 0).ok()?;
    let number: i32 = str::from_utf8(&bytes[..count]).ok()?.trim().parse().ok()?;
    let pid = Some(number).filter(|number| *number > 0).and_then(Pid::from_raw)?;
    let is_there = !matches!(test_kill_process(pid), Err(Errno::SRCH));
    let command = std::fs::read_to_string(format!("/proc/{number}/comm")).unwrap_or_default();
    // Whoever starts a program gives it its name.
    let command: String = command.trim().chars().filter(|c| !c.is_control()).collect();
    let command = if command.is_empty() { command } else { format!(", {command}") };
    is_there.then(|| format!("process {number}{command}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(directory: &Path) -> String {
        let error = Lock::take(directory).unwrap_err();
        assert!(matches!(&error, OpenError::Locked { directory: named, .. } if named == directory));
        let text = error.to_string();
        assert!(text.contains(&*directory.to_string_lossy()) && !text.contains('\n'), "{text}");
        text
    }

    #[test]
    fn a_second_server_is_told_which_directory_is_in_use_and_by_whom() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        // What a killed server has left, longer than what takes its place.
        std::fs::write(&path, "99999999999999999\n").unwrap();
        assert_eq!(holder_of(directory.path()), None);
        let first = Lock::take(directory.path()).unwrap();
        assert!(first.is_effective());
        assert_eq!(
            holder_of(directory.path()).map(|holder| refusal(directory.path()).contains(&holder)),
            Some(true)
        );
        let number = format!("process {}", std::process::id());
        assert!(refusal(directory.path()).contains(&number));
        for (content, is_named) in
            [("2147483646\n", false), ("", false), ("-1", false), ("0", false), ("1\n", true)]
        {
            std::fs::write(&path, content).unwrap();
            assert_eq!(refusal(directory.path()).contains("process"), is_named, "{content:?}");
        }
        drop(first);
        assert_eq!(holder_of(directory.path()), None, "a number that was left is nobody's");
        Lock::take(directory.path()).unwrap();
        assert_eq!(holder_of(&directory.path().join("nowhere")), None);
    }

    #[test]
    fn a_lock_whose_file_is_removed_or_replaced_is_taken_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        let mut lock = Lock::take(directory.path()).unwrap();
        assert!(!lock.keep().unwrap());
        std::fs::remove_file(&path).unwrap();
        assert!(lock.keep().unwrap() && !lock.keep().unwrap());
        refusal(directory.path());
        std::fs::remove_file(&path).unwrap();
        let second = Lock::take(directory.path()).unwrap();
        assert!(matches!(lock.keep(), Err(OpenError::Locked { .. })));
        drop(second);
        assert!(lock.keep().unwrap());
        refusal(directory.path());
        let moved = directory.path().with_extension("moved");
        std::fs::rename(directory.path(), &moved).unwrap();
        assert!(matches!(lock.keep(), Err(OpenError::File { .. })));
        std::fs::rename(&moved, directory.path()).unwrap();
        assert!(!lock.keep().unwrap());
    }

    #[test]
    fn only_what_says_that_there_are_no_locks_is_taken_for_that() {
        for (number, expected) in [(Errno::NOLCK, true), (Errno::OPNOTSUPP, true), (Errno::IO, false)] {
            assert_eq!(has_no_locks(&io::Error::from_raw_os_error(number.raw_os_error())), expected);
        }
    }
}
