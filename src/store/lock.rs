//! Keeps a second server out of a data directory.

use super::report::OpenError;
use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// An exclusive lock on the file `lock` of a data directory; given back when dropped, or when the process dies.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock of a directory.
    ///
    /// # Errors
    /// [`OpenError`] if another process has it, or the file cannot be opened or locked.
    pub(super) fn take(directory: &Path) -> Result<Lock, OpenError> {
        let path = directory.join("lock");
        let failed = |action, error| OpenError::File { file: path.display().to_string(), action, error };
        let file = open_or_create(&path).map_err(|error| failed("opened", error))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { file }),
            Err(TryLockError::WouldBlock) => Err(OpenError::Locked { directory: directory.to_owned() }),
            Err(TryLockError::Error(error)) => Err(failed("locked", error)),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing would do, but for a child process that was forked just now and has not yet closed its copy. If it
        // fails, closing is what is left.
        let _ = self.file.unlock();
    }
}

fn open_or_create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    match options.create_new(true).open(path) {
        Ok(file) => file.set_permissions(Permissions::from_mode(0o600)).map(|()| file),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => options.create_new(false).open(path),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_server_is_told_which_directory_is_in_use() {
        let directory = tempfile::tempdir().unwrap();
        let first = Lock::take(directory.path()).unwrap();
        let error = Lock::take(directory.path()).unwrap_err();
        assert!(matches!(&error, OpenError::Locked { directory: named } if named == directory.path()));
        let text = error.to_string();
        assert!(text.contains(&*directory.path().to_string_lossy()) && !text.contains('\n'), "{text}");
        drop(first);
        Lock::take(directory.path()).unwrap();
    }
}
