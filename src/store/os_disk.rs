//! The real [`Disk`]: a directory of the operating system.

use super::disk::{Disk, FileState, is_unsupported};
use super::files;
use super::lock::Lock;
use super::report::OpenError;
use crate::Clock;
use crate::Moment;
use rustix::process::geteuid;
use std::fs::{DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use time::OffsetDateTime;

/// A data directory of the operating system, locked against other servers while this value lives.
#[derive(Debug)]
pub struct OsDisk {
    directory: PathBuf,
    clock: Clock,
    lock: Lock,
    /// Other directories with a name that was given through a link, and may not be on stable storage yet.
    unsynced: Vec<PathBuf>,
}

impl OsDisk {
    /// Opens a data directory and locks it; makes it, and the directories above it, with mode 0700 where they are missing.
    ///
    /// `clock` is the one that the caller has its [`Moment`]s from.
    ///
    /// # Errors
    /// [`OpenError`] if the directory cannot be made, or another server uses it.
    pub fn open(directory: &Path, clock: Clock) -> Result<OsDisk, OpenError> {
        make_directory(directory)
            .map_err(|error| OpenError::Directory { directory: directory.to_owned(), error })?;
        let lock = Lock::take(directory)?;
        Ok(OsDisk { directory: directory.to_owned(), clock, lock, unsynced: Vec::new() })
    }
}

impl Disk for OsDisk {
    type File = File;

    fn open(&mut self, name: &str) -> io::Result<Option<File>> {
        files::open(&self.directory.join(name), OpenOptions::new().read(true).append(true))
    }

    fn create(&mut self, name: &str) -> io::Result<File> {
        let mut options = OpenOptions::new();
        let options = options.read(true).append(true).create_new(true).mode(0o600);
        let file = options.open(self.directory.join(name))?;
        make_ours(&self.directory, &file)?;
        Ok(file)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        match std::fs::remove_file(self.directory.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
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
        let (from, mut to) = (self.directory.join(from), self.directory.join(to));
        if to.is_symlink() {
            to = to.canonicalize()?;
            let directory = to.parent().unwrap_or(Path::new("/")).to_owned();
            if !self.unsynced.contains(&directory) {
                self.unsynced.push(directory);
            }
        }
        std::fs::rename(from, to)
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        sync_directory(&self.directory)?;
        while let Some(directory) = self.unsynced.last() {
            sync_directory(directory)?;
            self.unsynced.pop();
        }
        Ok(())
    }

    fn state(&mut self, name: &str) -> io::Result<Option<FileState>> {
        match std::fs::metadata(self.directory.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other.map(|found| Some(state(&found))),
        }
    }

    fn state_of(&mut self, file: &File) -> io::Result<FileState> {
        file.metadata().map(|found| state(&found))
    }

    fn keep_locked(&mut self) -> Result<bool, OpenError> {
        self.lock.keep()
    }

    fn is_locked(&self) -> bool {
        self.lock.is_effective()
    }

    fn now(&mut self) -> Moment {
        self.clock.now()
    }

    fn wall(&mut self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }

    fn place(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }
}

fn state(found: &Metadata) -> FileState {
    FileState {
        device: found.dev(),
        inode: found.ino(),
        length_bytes: found.len(),
        changed: i128::from(found.ctime()) * 1_000_000_000 + i128::from(found.ctime_nsec()),
        mode: found.mode() & 0o7777,
    }
}

/// Gives a new file the mode that it was asked for, since the umask may have taken away the owner's own rights, and the
/// directory's owner, since root may administer the files of another user's server. Not every file system has modes; where
/// others may read what is there, that is [told](super::DiskStore::open).
pub(super) fn make_ours(directory: &Path, file: &File) -> io::Result<()> {
    let found = file.metadata()?;
    if found.mode() & 0o777 != 0o600 {
        forgive_modes(file.set_permissions(Permissions::from_mode(0o600)))?;
    }
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let owner = std::fs::metadata(directory)?;
    if !geteuid().is_root() || (owner.uid(), owner.gid()) == (found.uid(), found.gid()) {
        return Ok(());
    }
    forgive_modes(std::os::unix::fs::fchown(file, Some(owner.uid()), Some(owner.gid())))
}

fn forgive_modes(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied || is_unsupported(&error) => Ok(()),
        other => other,
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path)?.sync_all()
}

/// Makes what is missing of a path, from the top down, each directory durable before something is put into it.
fn make_directory(path: &Path) -> io::Result<()> {
    if let Some(link) = files::dangling_link(path) {
        return Err(io::Error::new(io::ErrorKind::NotFound, link));
    }
    let missing = |path: &Path| !path.as_os_str().is_empty() && !path.exists();
    let mut wanted: Vec<&Path> = path.ancestors().take_while(|path| missing(path)).collect();
    while let Some(path) = wanted.pop() {
        match DirBuilder::new().mode(0o700).create(path) {
            // The umask may have taken away the owner's own rights.
            Ok(()) => forgive_modes(std::fs::set_permissions(path, Permissions::from_mode(0o700)))?,
            // Another server starting at once; the lock will tell them apart.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        match sync_directory(path.parent().unwrap_or(Path::new(""))) {
            // Told when the store is opened.
            Err(error) if is_unsupported(&error) => {}
            other => other?,
        }
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

    fn open(directory: &Path) -> Result<OsDisk, OpenError> {
        OsDisk::open(directory, Clock::new())
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

    /// Root adds a user, and the server, which is somebody else's, must be able to start afterwards.
    #[test]
    fn what_root_makes_belongs_to_whom_the_directory_belongs() {
        if !geteuid().is_root() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(directory.path(), Some(65_534), Some(65_533)).unwrap();
        let mut disk = open(directory.path()).unwrap();
        disk.create("file").unwrap();
        let files = std::fs::read_dir(directory.path()).unwrap();
        let owners: Vec<_> = files.map(|file| file.unwrap().metadata().unwrap()).collect();
        assert_eq!(owners.len(), 2, "the file and the lock");
        assert!(owners.iter().all(|file| (file.uid(), file.gid()) == (65_534, 65_533)), "{owners:?}");
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
        assert!(disk.state_of(&file).unwrap().is_same_file(&disk.state("other").unwrap().unwrap()));
        assert_eq!(disk.create("other").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(disk.state_of(&file).unwrap().length_bytes, 4);
        disk.remove("other").unwrap();
        disk.remove("other").unwrap();
        assert_eq!(disk.state("other").unwrap(), None);
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
                    "umask $1; exec \"$2\" --exact store::os_disk::tests::makes_a_store_below_a_umask",
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
