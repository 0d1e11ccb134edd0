//! The only door to files and clocks: [`Disk`], and the real one, [`OsDisk`].
//!
//! A simulated disk on the same trait can fail any call, write less than it was given, and forget at a crash what was
//! not synced. This module must not know what the files hold.

use super::lock::Lock;
use super::report::OpenError;
use crate::Moment;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;
use time::OffsetDateTime;

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
    /// What the system says.
    fn open(&mut self, name: &str) -> io::Result<Option<Self::File>>;

    /// Makes a new empty file that only its owner may read, in place of any old one.
    ///
    /// # Errors
    /// What the system says.
    fn create(&mut self, name: &str) -> io::Result<Self::File>;

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

    /// Gives a file another's name; the other is gone.
    ///
    /// # Errors
    /// What the system says.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Brings the directory's names to stable storage.
    ///
    /// # Errors
    /// What the system says.
    fn sync_directory(&mut self) -> io::Result<()>;

    /// The monotonic clock, for measuring syncs.
    fn now(&mut self) -> Moment;

    /// The wall clock, for stamps in files.
    fn wall(&mut self) -> OffsetDateTime;

    /// A file's name as the operator knows it, for errors.
    fn place(&self, name: &str) -> String {
        name.to_owned()
    }
}

/// A data directory of the operating system, locked against other servers while this value lives.
#[derive(Debug)]
pub struct OsDisk {
    directory: PathBuf,
    clock_start: Instant,
    _lock: Lock,
}

impl OsDisk {
    /// Opens a data directory and locks it; makes it, and the directories above it, with mode 0700 where they are missing.
    ///
    /// `clock_start` is the instant that the caller counts its [`Moment`]s from.
    ///
    /// # Errors
    /// [`OpenError`] if the directory cannot be made, or another server uses it.
    pub fn open(directory: &Path, clock_start: Instant) -> Result<OsDisk, OpenError> {
        make_directory(directory)
            .map_err(|error| OpenError::Directory { directory: directory.to_owned(), error })?;
        let lock = Lock::take(directory)?;
        Ok(OsDisk { directory: directory.to_owned(), clock_start, _lock: lock })
    }
}

impl Disk for OsDisk {
    type File = File;

    fn open(&mut self, name: &str) -> io::Result<Option<File>> {
        match OpenOptions::new().read(true).append(true).open(self.directory.join(name)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn create(&mut self, name: &str) -> io::Result<File> {
        let path = self.directory.join(name);
        // Removed rather than emptied: what was there may be somebody else's, or readable to others.
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new().read(true).append(true).create_new(true).mode(0o600).open(path)?;
        // The umask may have taken away the owner's own rights.
        file.set_permissions(Permissions::from_mode(0o600))?;
        Ok(file)
    }

    fn read(&mut self, file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        file.read_at(buffer, offset)
    }

    fn append(&mut self, mut file: &File, bytes: &[u8]) -> io::Result<usize> {
        file.write(bytes)
    }

    fn truncate(&mut self, file: &File, length_bytes: u64) -> io::Result<()> {
        file.set_len(length_bytes)
    }

    fn sync(&mut self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.directory.join(from), self.directory.join(to))
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        sync_directory(&self.directory)
    }

    fn now(&mut self) -> Moment {
        Moment::START + self.clock_start.elapsed()
    }

    fn wall(&mut self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }

    fn place(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path)?.sync_all()
}

/// Makes what is missing of a path, from the top down, each directory durable before something is put into it.
fn make_directory(path: &Path) -> io::Result<()> {
    let missing = |path: &Path| !path.as_os_str().is_empty() && !path.exists();
    let mut wanted: Vec<&Path> = path.ancestors().take_while(|path| missing(path)).collect();
    while let Some(path) = wanted.pop() {
        match DirBuilder::new().mode(0o700).create(path) {
            // The umask may have taken away the owner's own rights.
            Ok(()) => std::fs::set_permissions(path, Permissions::from_mode(0o700))?,
            // Another server starting at once; the lock will tell them apart.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        sync_directory(path.parent().unwrap_or(Path::new("")))?;
    }
    if path.is_dir() { Ok(()) } else { Err(io::ErrorKind::NotADirectory.into()) }
}

#[cfg(test)]
mod tests {
    use super::super::{DiskStore, Store};
    use super::*;
    use crate::auth::Name;
    use std::process::Command;

    const BELOW_UMASK: &str = "PORTER_TEST_BELOW_UMASK";

    #[expect(clippy::disallowed_methods, reason = "the real disk's clock begins somewhere")]
    fn open(directory: &Path) -> Result<OsDisk, OpenError> {
        OsDisk::open(directory, Instant::now())
    }

    #[test]
    fn what_is_written_is_read_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let (mut store, repairs) = DiskStore::open(open(directory.path()).unwrap()).unwrap();
        assert_eq!(repairs, []);
        let (ann, address) = (Name::new("ann").unwrap(), "::1".parse().unwrap());
        store.note_visitor(address, &ann);
        store.close();
        assert_eq!(store.sync_figures().count, 1);
        drop(store);
        let (store, repairs) = DiskStore::open(open(directory.path()).unwrap()).unwrap();
        assert_eq!((store.last_visitor(address), repairs.len()), (Some(ann), 0));
    }

    #[test]
    fn each_operation_does_what_it_says() {
        let directory = tempfile::tempdir().unwrap();
        let mut disk = open(directory.path()).unwrap();
        assert!(disk.open("file").unwrap().is_none());
        let file = disk.create("file").unwrap();
        assert_eq!(disk.append(&file, b"abcdef").unwrap(), 6);
        disk.truncate(&file, 2).unwrap();
        assert_eq!(disk.append(&file, b"xy").unwrap(), 2);
        disk.sync(&file).unwrap();
        disk.rename("file", "other").unwrap();
        disk.sync_directory().unwrap();
        let mut buffer = [0; 9];
        let file = disk.open("other").unwrap().unwrap();
        assert_eq!(disk.read(&file, 1, &mut buffer).unwrap(), 3);
        assert_eq!(&buffer[..3], b"bxy");
        assert_eq!(disk.create("other").and_then(|file| disk.read(&file, 0, &mut buffer)).unwrap(), 0);
        assert!(disk.now() <= disk.now());
    }

    #[test]
    fn a_directory_that_cannot_be_is_an_error_of_one_line() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "").unwrap();
        for path in [file.clone(), file.join("data")] {
            let error = open(&path).unwrap_err();
            assert!(matches!(error, OpenError::Directory { .. }));
            assert!(error.to_string().contains(&*path.to_string_lossy()), "{error}");
        }
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    /// Run by the test below in a process of its own, since the umask is the whole process's.
    #[test]
    fn makes_a_store_below_a_umask() {
        let Some(directory) = std::env::var_os(BELOW_UMASK) else { return };
        DiskStore::open(open(Path::new(&directory)).unwrap()).map(|_| ()).unwrap();
    }

    #[test]
    fn modes_are_exact_whatever_the_umask() {
        for umask in ["000", "022", "277", "777"] {
            let directory = tempfile::tempdir().unwrap();
            let data = directory.path().join("some/data");
            let test = Command::new("sh")
                .args([
                    "-c",
                    "umask $1; exec \"$2\" --exact store::disk::tests::makes_a_store_below_a_umask",
                    "sh",
                ])
                .arg(umask)
                .arg(std::env::current_exe().unwrap())
                .env(BELOW_UMASK, &data)
                .output()
                .unwrap();
            assert!(test.status.success(), "{}", String::from_utf8_lossy(&test.stdout));
            for path in [data.parent().unwrap(), &data] {
                assert_eq!(mode(path), 0o700, "{umask}");
            }
            for file in ["users.csv", "addresses.csv", "lock"] {
                assert_eq!(mode(&data.join(file)), 0o600, "{umask} {file}");
            }
        }
    }
}
