//! A disk in memory that fails when told to, and forgets at a crash what was not synced.

use super::disk::Disk;
use crate::Moment;
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
}

#[derive(Default)]
struct World {
    contents: Vec<Contents>,
    names: BTreeMap<String, usize>,
    synced_names: BTreeMap<String, usize>,
    plan: Option<Plan>,
    calls: u64,
    writes: u64,
    now: Moment,
    sync_time: Duration,
    wall_seconds: i64,
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
        world.contents.push(Contents { bytes: bytes.to_vec(), synced: bytes.to_vec() });
        world.names.insert(name.to_owned(), number);
        world.synced_names.insert(name.to_owned(), number);
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
        let plan =
            world.plan.filter(|plan| (plan.from..plan.from.saturating_add(plan.calls)).contains(&call))?;
        ways.contains(&plan.fault).then_some(plan.fault)
    }

    fn fails(&self, way: Fault) -> io::Result<()> {
        self.fault(&[way, Fault::Any]).map_or(Ok(()), |_| Err(eio()))
    }
}

fn eio() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error())
}

impl Disk for FaultyDisk {
    type File = usize;

    fn open(&mut self, name: &str) -> io::Result<Option<usize>> {
        Ok(self.0.borrow().names.get(name).copied())
    }

    fn create(&mut self, name: &str) -> io::Result<usize> {
        self.fails(Fault::Write)?;
        let mut world = self.0.borrow_mut();
        let number = world.contents.len();
        world.contents.push(Contents::default());
        world.names.insert(name.to_owned(), number);
        Ok(number)
    }

    fn read(&mut self, file: &usize, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let world = self.0.borrow();
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
        match fault {
            Some(Fault::NoSpace) => {
                Err(io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error()))
            }
            Some(Fault::Any) => Err(eio()),
            _ => Ok(taken.len()),
        }
    }

    fn truncate(&mut self, file: &usize, length_bytes: u64) -> io::Result<()> {
        self.fails(Fault::Write)?;
        self.0.borrow_mut().contents[*file].bytes.truncate(usize::try_from(length_bytes).unwrap());
        Ok(())
    }

    fn sync(&mut self, file: &usize) -> io::Result<()> {
        let time = self.0.borrow().sync_time;
        self.pass(time);
        let fault = self.fault(&[Fault::Sync, Fault::SyncUnknown, Fault::Any]);
        if matches!(fault, None | Some(Fault::SyncUnknown)) {
            let contents = &mut self.0.borrow_mut().contents[*file];
            contents.synced.clone_from(&contents.bytes);
        }
        fault.map_or(Ok(()), |_| Err(eio()))
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.fails(Fault::Write)?;
        let mut world = self.0.borrow_mut();
        let number = world.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        world.names.insert(to.to_owned(), number);
        Ok(())
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        self.fails(Fault::Sync)?;
        let mut world = self.0.borrow_mut();
        world.synced_names = world.names.clone();
        Ok(())
    }

    fn now(&mut self) -> Moment {
        self.0.borrow().now
    }

    fn wall(&mut self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(self.0.borrow().wall_seconds).unwrap()
    }
}
