//! The disk of the targets that need a store.

use crate::Moment;
use crate::store::{Disk, FileState};
use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use time::OffsetDateTime;

/// A disk in memory that never fails: files by name. Clones are the same disk.
#[derive(Clone, Default)]
pub(super) struct Memory(Rc<RefCell<HashMap<String, Vec<u8>>>>);

impl Disk for Memory {
    type File = String;

    fn open(&mut self, name: &str) -> io::Result<Option<String>> {
        Ok(self.0.borrow().contains_key(name).then(|| name.to_owned()))
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.0.borrow_mut().remove(name);
        Ok(())
    }

    fn create(&mut self, name: &str) -> io::Result<String> {
        self.0.borrow_mut().insert(name.to_owned(), Vec::new());
        Ok(name.to_owned())
    }

    fn read(&mut self, file: &String, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.with(file, |contents| {
            let rest = contents.get(offset as usize..).unwrap_or_default();
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            count
        })
    }

    fn append(&mut self, file: &String, bytes: &[u8]) -> io::Result<usize> {
        self.with(file, |contents| contents.extend_from_slice(bytes)).map(|()| bytes.len())
    }

    fn truncate(&mut self, file: &String, length_bytes: u64) -> io::Result<()> {
        self.with(file, |contents| contents.truncate(length_bytes as usize))
    }

    fn sync(&mut self, _: &String) -> io::Result<()> {
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let contents = self.0.borrow_mut().remove(from).ok_or(io::ErrorKind::NotFound)?;
        self.0.borrow_mut().insert(to.to_owned(), contents);
        Ok(())
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn state(&mut self, name: &str) -> io::Result<Option<FileState>> {
        Ok(self.0.borrow().get(name).map(|contents| FileState {
            device: 1,
            inode: 1,
            length_bytes: contents.len() as u64,
            changed: 0,
            mode: 0o600,
        }))
    }

    fn state_of(&mut self, file: &String) -> io::Result<FileState> {
        self.state(file)?.ok_or(io::ErrorKind::NotFound.into())
    }

    fn now(&mut self) -> Moment {
        Moment::START
    }

    fn wall(&mut self) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH
    }
}

impl Memory {
    /// Puts a file there.
    pub(super) fn put(&self, name: &str, bytes: &[u8]) {
        self.0.borrow_mut().insert(name.to_owned(), bytes.to_vec());
    }

    /// What a file holds.
    pub(super) fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        self.0.borrow().get(name).cloned()
    }

    fn with<T>(&self, file: &str, change: impl FnOnce(&mut Vec<u8>) -> T) -> io::Result<T> {
        self.0.borrow_mut().get_mut(file).map(change).ok_or(io::ErrorKind::NotFound.into())
    }
}
