//! A disk in memory: it fails when told to, and at a crash of the machine any part of what was not synced is there.

use crate::inode::Inode;
use crate::random::Random;
use porter::Moment;
use porter::store::{Disk, FileState};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;
use time::OffsetDateTime;

/// The world's clock, which a sync moves on.
pub(crate) type Clock = Rc<Cell<Moment>>;

/// How a call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A write takes a part of its bytes; no error.
    Short,
    /// A write takes a part of its bytes, the next fails with ENOSPC.
    NoSpace,
    /// A write, truncation, creation or rename fails with EIO and does nothing.
    Write,
    /// A sync fails; what it was to keep may still come to the disk by itself, or not.
    Sync,
    /// A sync fails though it kept all.
    SyncKept,
    /// A sync fails, and what it was to keep is never written, though a later sync says that all is well.
    SyncLost,
}

#[derive(Clone, Debug)]
enum Naming {
    Create(String, usize),
    Rename(String, String, usize),
    Remove(String),
}

impl Naming {
    fn make(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Naming::Create(name, inode) => names.insert(name.clone(), *inode),
            Naming::Remove(name) => names.remove(name),
            Naming::Rename(from, to, inode) => {
                names.remove(from);
                names.insert(to.clone(), *inode)
            }
        };
    }
}

#[derive(Clone)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    unsynced_names: Vec<Naming>,
    fault: Option<(Fault, u32, u32)>,
    fuse: Option<u32>,
    dead: bool,
    random: Random,
    clock: Clock,
    sync_most: Duration,
    /// The disk as it was at each sync before that took effect, since somebody looked.
    at_syncs: Vec<State>,
}

/// A handle on one disk; clones are the same disk.
#[derive(Clone)]
pub(crate) struct SimDisk(Rc<RefCell<State>>);

impl SimDisk {
    pub(crate) fn new(clock: Clock, random: Random, sync_most: Duration) -> SimDisk {
        SimDisk(Rc::new(RefCell::new(State {
            inodes: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            unsynced_names: Vec::new(),
            fault: None,
            fuse: None,
            dead: false,
            random,
            clock,
            sync_most,
            at_syncs: Vec::new(),
        })))
    }

    /// After `skip` more changing calls that it applies to, this fault happens `times` times.
    pub(crate) fn fail(&self, fault: Fault, skip: u32, times: u32) {
        self.0.borrow_mut().fault = Some((fault, skip, times));
    }

    /// After so many more changing calls the machine dies in the middle of one.
    pub(crate) fn set_fuse(&self, calls: u32) {
        self.0.borrow_mut().fuse = Some(calls);
    }

    /// What a file holds, as a process sees it.
    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        let state = self.0.borrow();
        state.names.get(name).map(|number| state.inodes[*number].bytes.clone()).unwrap_or_default()
    }

    /// Whether all of a file is on the disk.
    pub(crate) fn is_synced(&self, name: &str) -> bool {
        let state = self.0.borrow();
        state.names.get(name).is_none_or(|number| state.inodes[*number].is_synced())
    }

    /// Whether a file whose name begins so ends with these bytes.
    pub(crate) fn keeps(&self, prefix: &str, end: &[u8]) -> bool {
        let state = self.0.borrow();
        let mut files = state.names.iter().filter(|(name, _)| name.starts_with(prefix));
        files.any(|(_, number)| state.inodes[*number].bytes.ends_with(end))
    }

    /// Somebody puts a file with these bytes in a file's place, for good.
    pub(crate) fn replace(&self, name: &str, bytes: Vec<u8>) {
        let state = &mut *self.0.borrow_mut();
        let number = state.inodes.len();
        let mut inode = Inode::default();
        inode.append(&bytes);
        inode.sync();
        state.inodes.push(inode);
        state.names.insert(name.to_owned(), number);
        state.durable_names.insert(name.to_owned(), number);
    }

    /// All works again.
    pub(crate) fn heal(&self) {
        let mut state = self.0.borrow_mut();
        state.fault = None;
        state.fuse = None;
        state.dead = false;
    }

    /// Whether the machine has died.
    pub(crate) fn is_dead(&self) -> bool {
        self.0.borrow().dead
    }

    /// What a restart finds. If only the process died all that was written is there; if the machine did, what was
    /// synced, and of each file and of the directory any part of what was not.
    ///
    /// A process that dies between a sync that dropped something and its undoing takes the machine with it here: its
    /// successor would read what is not on the disk, sync it without an error, and have no way to know better.
    pub(crate) fn crash(&self, machine: bool, salt: u64) {
        self.heal();
        let state = &mut *self.0.borrow_mut();
        if !machine && !state.inodes.iter().any(Inode::has_dropped) {
            return;
        }
        let mut random = Random::new(salt);
        for naming in state.unsynced_names.drain(..) {
            if random.one_in(2) {
                naming.make(&mut state.durable_names);
            }
        }
        state.names = state.durable_names.clone();
        state.inodes.iter_mut().for_each(|inode| inode.crash(&mut random));
    }

    /// The same disk in another world, to see what would become of it there.
    pub(crate) fn copy(&self) -> SimDisk {
        SimDisk(Rc::new(RefCell::new(self.0.borrow().copy())))
    }

    /// Copies of what the disk was in the middle of each sync since the last call.
    pub(crate) fn take_syncs(&self) -> Vec<SimDisk> {
        let states = std::mem::take(&mut self.0.borrow_mut().at_syncs);
        states.into_iter().map(|state| SimDisk(Rc::new(RefCell::new(state)))).collect()
    }
}

fn broken() -> io::Error {
    io::Error::other("Input/output error (simulated)")
}

impl State {
    fn copy(&self) -> State {
        let clock = Rc::new(Cell::new(self.clock.get()));
        State { clock, at_syncs: Vec::new(), ..self.clone() }
    }

    fn name(&mut self, naming: Naming) {
        naming.make(&mut self.names);
        self.unsynced_names.push(naming);
    }

    /// Counts a changing call and says how it goes wrong, if it does.
    fn fate(&mut self, ways: &[Fault]) -> io::Result<Option<Fault>> {
        if self.dead {
            return Err(broken());
        }
        if let Some(calls) = &mut self.fuse {
            if *calls == 0 {
                self.dead = true;
                return Err(broken());
            }
            *calls -= 1;
        }
        let Some((fault, skip, times)) = &mut self.fault else { return Ok(None) };
        let fault = *fault;
        if !ways.contains(&fault) {
            return Ok(None);
        }
        if *skip > 0 {
            *skip -= 1;
            return Ok(None);
        }
        *times -= 1;
        if *times == 0 {
            self.fault = None;
        }
        Ok(Some(fault))
    }
}

impl Disk for SimDisk {
    type File = usize;

    fn open(&mut self, name: &str) -> io::Result<Option<usize>> {
        let state = self.0.borrow();
        if state.dead { Err(broken()) } else { Ok(state.names.get(name).copied()) }
    }

    fn create(&mut self, name: &str) -> io::Result<usize> {
        let state = &mut *self.0.borrow_mut();
        if state.fate(&[Fault::Write])?.is_some() {
            return Err(broken());
        }
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let number = state.inodes.len();
        state.inodes.push(Inode::default());
        state.name(Naming::Create(name.to_owned(), number));
        Ok(number)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let state = &mut *self.0.borrow_mut();
        if !state.names.contains_key(name) {
            return if state.dead { Err(broken()) } else { Ok(()) };
        }
        if state.fate(&[Fault::Write])?.is_some() {
            return Err(broken());
        }
        state.name(Naming::Remove(name.to_owned()));
        Ok(())
    }

    fn state(&mut self, name: &str) -> io::Result<Option<FileState>> {
        let number = self.0.borrow().names.get(name).copied();
        number.map(|number| self.state_of(&number)).transpose()
    }

    fn state_of(&mut self, file: &usize) -> io::Result<FileState> {
        let length_bytes = self.0.borrow().inodes[*file].bytes.len() as u64;
        Ok(FileState { device: 1, inode: *file as u64, length_bytes, changed: 0, mode: 0o600 })
    }

    fn read(&mut self, file: &usize, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let state = self.0.borrow();
        let bytes = state.inodes[*file].bytes.get(offset as usize..).unwrap_or_default();
        let count = bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn append(&mut self, file: &usize, bytes: &[u8]) -> io::Result<usize> {
        let state = &mut *self.0.borrow_mut();
        let fate = state.fate(&[Fault::Short, Fault::NoSpace, Fault::Write]);
        let dying = state.dead && fate.is_err() && state.fuse.take().is_some();
        let fault = if dying { Some(Fault::NoSpace) } else { fate? };
        let count = match fault {
            None => bytes.len(),
            Some(Fault::Short) if bytes.len() > 1 => 1 + state.random.below(bytes.len() - 1),
            Some(Fault::NoSpace) => state.random.below(bytes.len() + 1),
            _ => return Err(broken()),
        };
        state.inodes[*file].append(&bytes[..count]);
        match fault {
            Some(Fault::NoSpace) => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(count),
        }
    }

    fn truncate(&mut self, file: &usize, length_bytes: u64) -> io::Result<()> {
        let state = &mut *self.0.borrow_mut();
        if state.fate(&[Fault::Write])?.is_some() {
            return Err(broken());
        }
        state.inodes[*file].truncate(length_bytes as usize);
        Ok(())
    }

    fn sync(&mut self, file: &usize) -> io::Result<()> {
        let state = &mut *self.0.borrow_mut();
        let copy = state.copy();
        state.at_syncs.push(copy);
        let taken = state.sync_most.mul_f64(state.random.below(1000) as f64 / 1000.0);
        state.clock.set(state.clock.get() + taken);
        // Nobody could find out that what a courtesy's sync dropped is not there, so only users' syncs drop things.
        let is_users = state.names.get("users.csv") == Some(file);
        let ways = [Fault::Sync, Fault::SyncKept, Fault::SyncLost];
        match state.fate(if is_users { &ways } else { &ways[..2] })? {
            None => {
                state.inodes[*file].sync();
                Ok(())
            }
            Some(Fault::SyncKept) => {
                state.inodes[*file].sync();
                Err(broken())
            }
            Some(Fault::SyncLost) => {
                state.inodes[*file].drop_unsynced();
                Err(broken())
            }
            Some(_) => Err(broken()),
        }
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let state = &mut *self.0.borrow_mut();
        if state.fate(&[Fault::Write])?.is_some() {
            return Err(broken());
        }
        let Some(inode) = state.names.get(from).copied() else { return Err(io::ErrorKind::NotFound.into()) };
        state.name(Naming::Rename(from.to_owned(), to.to_owned(), inode));
        Ok(())
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        let state = &mut *self.0.borrow_mut();
        if state.fate(&[Fault::Sync])?.is_some() {
            return Err(broken());
        }
        state.unsynced_names.clear();
        state.durable_names = state.names.clone();
        Ok(())
    }

    fn now(&mut self) -> Moment {
        self.0.borrow().clock.get()
    }

    fn wall(&mut self) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + Duration::from_secs(1_784_542_500) + self.now().since_start()
    }
}
