//! A disk in memory that fails when told to, and forgets at a crash what was not synced.

use super::disk::{Disk, FileState};
use super::report::OpenError;
use crate::Moment;
use rustix::io::Errno;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;
use time::OffsetDateTime;

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A write takes half of its bytes; no error.
    Short,
    /// A write takes half of its bytes, then fails with ENOSPC.
    NoSpace,
    /// A write, truncation, creation or rename fails with EIO and does nothing.
    Write,
    /// A sync fails with EIO and makes nothing durable.
    Sync,
    /// A sync fails with EIO though all became durable: nobody knows after a failed sync.
    SyncUnknown,
    /// No directory can be synced, as on CIFS.
    Unsyncable,
    /// A file cannot be replaced, as where it is mounted by itself.
    Mounted,
    /// Any call fails, a write after half of its bytes.
    Any,
}

/// What a disk is told to do wrong: from its `from`-th changing call on, for `calls` calls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) fault: Fault,
    pub(super) from: u64,
    pub(super) calls: u64,
}

#[derive(Clone, Default)]
struct Contents {
    bytes: Vec<u8>,
    synced: Vec<u8>,
    changes: i128,
}

#[derive(Default)]
struct World {
    contents: Vec<Contents>,
    names: BTreeMap<String, usize>,
    synced_names: BTreeMap<String, usize>,
    plan: Option<Plan>,
    /// A second one, whose calls count from when it was given.
    second: Option<Plan>,
    calls: u64,
    writes: u64,
    now: Moment,
    sync_time: Duration,
    wall_seconds: i64,
    /// Somebody puts another file in a file's place while the next sync is under way.
    swap: Option<(String, Vec<u8>)>,
    /// Somebody empties a file while the next sync is under way.
    cut: Option<String>,
    reads: u64,
    /// The mode of all files, unless it is 0600.
    mode: Option<u32>,
    /// Somebody else has the directory's lock.
    is_locked_out: bool,
}

/// A handle on one disk; clones are the same disk.
#[derive(Clone)]
pub(super) struct FaultyDisk(Rc<RefCell<World>>);

impl FaultyDisk {
    /// An empty disk that never fails, on 20 July 2026.
    pub(super) fn new() -> FaultyDisk {
        FaultyDisk(Rc::new(RefCell::new(World { wall_seconds: 1_784_542_500, ..World::default() })))
    }

    /// One with a file, durable.
    pub(super) fn with(name: &str, bytes: &[u8]) -> FaultyDisk {
        let disk = FaultyDisk::new();
        disk.put(name, bytes);
        disk
    }

    /// Puts a durable file there.
    pub(super) fn put(&self, name: &str, bytes: &[u8]) {
        let mut world = self.0.borrow_mut();
        let number = world.contents.len();
        world.contents.push(Contents { bytes: bytes.to_vec(), synced: bytes.to_vec(), changes: 0 });
        world.names.insert(name.to_owned(), number);
        world.synced_names.insert(name.to_owned(), number);
    }

    /// Somebody else takes the directory's lock, or gives it back.
    pub(super) fn lock_out(&self, is_locked_out: bool) {
        self.0.borrow_mut().is_locked_out = is_locked_out;
    }

    /// Somebody writes a file anew where it stands, without any care.
    pub(super) fn overwrite(&self, name: &str, bytes: &[u8]) {
        let mut world = self.0.borrow_mut();
        let number = world.names[name];
        let contents = &mut world.contents[number];
        contents.bytes = bytes.to_vec();
        contents.changes += 1;
    }

    /// Somebody puts another file in a file's place while the next sync is under way.
    pub(super) fn swap_at_sync(&self, name: &str, bytes: &[u8]) {
        self.0.borrow_mut().swap = Some((name.to_owned(), bytes.to_vec()));
    }

    /// Somebody empties a file while the next sync is under way.
    pub(super) fn cut_at_sync(&self, name: &str) {
        self.0.borrow_mut().cut = Some(name.to_owned());
    }

    /// Reads since the start.
    pub(super) fn reads(&self) -> u64 {
        self.0.borrow().reads
    }

    /// Somebody moves a file, or removes it.
    pub(super) fn take_away(&self, name: &str, to: Option<&str>) {
        let mut world = self.0.borrow_mut();
        let number = world.names.remove(name).unwrap();
        if let Some(to) = to {
            world.names.insert(to.to_owned(), number);
        }
    }

    /// The names of all files.
    pub(super) fn names(&self) -> Vec<String> {
        self.0.borrow().names.keys().cloned().collect()
    }

    /// From now on files have this mode.
    pub(super) fn set_mode(&self, mode: u32) {
        self.0.borrow_mut().mode = Some(mode);
    }

    /// What a file holds, as a process sees it.
    pub(super) fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let world = self.0.borrow();
        world.names.get(name).map(|number| world.contents[*number].bytes.clone())
    }

    /// From now on fails by plan.
    pub(super) fn fail(&self, plan: Option<Plan>) {
        let mut world = self.0.borrow_mut();
        (world.plan, world.calls) = (plan, 0);
    }

    /// Fails by a second plan as well, from now on.
    pub(super) fn fail_also(&self, plan: Plan) {
        let mut world = self.0.borrow_mut();
        world.second = Some(Plan { from: world.calls + plan.from, ..plan });
    }

    /// Changing calls since the last plan.
    pub(super) fn calls(&self) -> u64 {
        self.0.borrow().calls
    }

    /// Writes since the start.
    pub(super) fn writes(&self) -> u64 {
        self.0.borrow().writes
    }

    /// A disk as a restart finds it: after a crash of the machine with only what was synced.
    pub(super) fn restarted(&self, machine_crashed: bool) -> FaultyDisk {
        let world = self.0.borrow();
        let disk = FaultyDisk::new();
        let names = if machine_crashed { &world.synced_names } else { &world.names };
        for (name, number) in names {
            let contents = &world.contents[*number];
            disk.put(name, if machine_crashed { &contents.synced } else { &contents.bytes });
        }
        disk
    }

    /// A disk as a restart finds it after a crash of the machine, if the names that were not synced came to the disk by
    /// themselves: of the files only what was synced.
    pub(super) fn restarted_with_names(&self) -> FaultyDisk {
        let world = self.0.borrow();
        let disk = FaultyDisk::new();
        for (name, number) in &world.names {
            disk.put(name, &world.contents[*number].synced);
        }
        disk
    }

    /// How long each sync takes from now on.
    pub(super) fn set_sync_time(&self, time: Duration) {
        self.0.borrow_mut().sync_time = time;
    }

    /// Lets both clocks run.
    pub(super) fn pass(&self, time: Duration) {
        let mut world = self.0.borrow_mut();
        world.now = world.now + time;
        world.wall_seconds += i64::try_from(time.as_secs()).unwrap();
    }

    /// Counts a changing call and says whether it fails in one of these ways.
    fn fault(&self, ways: &[Fault]) -> Option<Fault> {
        let mut world = self.0.borrow_mut();
        let call = world.calls;
        world.calls += 1;
        let is_due = |plan: &Plan| {
            (plan.from..plan.from.saturating_add(plan.calls)).contains(&call) && ways.contains(&plan.fault)
        };
        [world.second, world.plan].into_iter().flatten().find(is_due).map(|plan| plan.fault)
    }

    fn fails(&self, way: Fault) -> io::Result<()> {
        self.fault(&[way, Fault::Any]).map_or(Ok(()), |_| Err(eio()))
    }
}

fn errno(number: Errno) -> io::Error {
    io::Error::from_raw_os_error(number.raw_os_error())
}

fn eio() -> io::Error {
    errno(Errno::IO)
}

impl Disk for FaultyDisk {
    type File = usize;

    fn keep_locked(&mut self) -> Result<bool, OpenError> {
        match self.0.borrow().is_locked_out {
            true => Err(OpenError::Locked { directory: "data".into(), holder: None }),
            false => Ok(false),
        }
    }

    fn open(&mut self, name: &str) -> io::Result<Option<usize>> {
        Ok(self.0.borrow().names.get(name).copied())
    }

    fn create(&mut self, name: &str) -> io::Result<usize> {
        self.fails(Fault::Write)?;
        let mut world = self.0.borrow_mut();
        if world.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let number = world.contents.len();
        world.contents.push(Contents::default());
        world.names.insert(name.to_owned(), number);
        Ok(number)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.fails(Fault::Write)?;
        self.0.borrow_mut().names.remove(name);
        Ok(())
    }

    fn read(&mut self, file: &usize, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut world = self.0.borrow_mut();
        world.reads += 1;
        let rest = world.contents[*file].bytes.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn append(&mut self, file: &usize, bytes: &[u8]) -> io::Result<usize> {
        let fault = self.fault(&[Fault::Short, Fault::NoSpace, Fault::Write, Fault::Any]);
        let mut world = self.0.borrow_mut();
        world.writes += 1;
        let taken = match fault {
            None => bytes,
            Some(Fault::Write) => return Err(eio()),
            Some(_) => &bytes[..bytes.len().div_ceil(2)],
        };
        world.contents[*file].bytes.extend_from_slice(taken);
        world.contents[*file].changes += 1;
        match fault {
            Some(Fault::NoSpace) => Err(errno(Errno::NOSPC)),
            Some(Fault::Any) => Err(eio()),
            _ => Ok(taken.len()),
        }
    }

    fn truncate(&mut self, file: &usize, length_bytes: u64) -> io::Result<()> {
        self.fails(Fault::Write)?;
        let contents = &mut self.0.borrow_mut().contents[*file];
        contents.bytes.resize(usize::try_from(length_bytes).unwrap(), 0);
        contents.changes += 1;
        Ok(())
    }

    fn sync(&mut self, file: &usize) -> io::Result<()> {
        let time = self.0.borrow().sync_time;
        self.pass(time);
        let swap = self.0.borrow_mut().swap.take();
        if let Some((name, bytes)) = swap {
            self.put(&name, &bytes);
        }
        let cut = self.0.borrow_mut().cut.take();
        if let Some(name) = cut {
            self.overwrite(&name, b"");
        }
        let fault = self.fault(&[Fault::Sync, Fault::SyncUnknown, Fault::Any]);
        if matches!(fault, None | Some(Fault::SyncUnknown)) {
            let contents = &mut self.0.borrow_mut().contents[*file];
            contents.synced.clone_from(&contents.bytes);
        }
        fault.map_or(Ok(()), |_| Err(eio()))
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        match self.fault(&[Fault::Write, Fault::Mounted, Fault::Any]) {
            None => {}
            Some(Fault::Mounted) => return Err(errno(Errno::BUSY)),
            Some(_) => return Err(eio()),
        }
        let mut world = self.0.borrow_mut();
        let number = world.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        world.names.insert(to.to_owned(), number);
        // As file systems do.
        world.contents[number].changes += 1;
        Ok(())
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        match self.fault(&[Fault::Sync, Fault::Unsyncable, Fault::Any]) {
            None => {}
            Some(Fault::Unsyncable) => return Err(errno(Errno::INVAL)),
            Some(_) => return Err(eio()),
        }
        let mut world = self.0.borrow_mut();
        world.synced_names = world.names.clone();
        Ok(())
    }

    fn state(&mut self, name: &str) -> io::Result<Option<FileState>> {
        let number = self.0.borrow().names.get(name).copied();
        number.map(|number| self.state_of(&number)).transpose()
    }

    fn state_of(&mut self, file: &usize) -> io::Result<FileState> {
        let world = self.0.borrow();
        let contents = &world.contents[*file];
        Ok(FileState {
            device: 1,
            inode: *file as u64,
            length_bytes: contents.bytes.len() as u64,
            changed: contents.changes,
            mode: world.mode.unwrap_or(0o600),
        })
    }

    fn now(&mut self) -> Moment {
        self.0.borrow().now
    }

    fn wall(&mut self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(self.0.borrow().wall_seconds).unwrap()
    }
}
