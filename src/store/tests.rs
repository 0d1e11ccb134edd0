//! The store as a whole, on a disk that fails and crashes, and on the real one.

mod accounts;
mod addresses;
mod compaction;
mod foreign;
mod holes;
mod imports;
mod random;
mod reload;
mod trouble;

use super::faulty::{Fault, FaultyDisk, Plan};
use super::*;
use crate::Moment;
use proptest::prelude::*;
use std::time::Duration;

const USERS: &str = "users.csv";
const ADDRESSES: &str = "addresses.csv";
const USERS_HEADER: &str = "name,password,registered\n";
const ADDRESSES_HEADER: &str = "address,name,seen\n";

/// What somebody else does to a file, and its name.
type Deed = (&'static str, fn(&FaultyDisk));

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn hash(number: u8) -> PasswordHash {
    PasswordHash { rounds: 1 + u32::from(number), salt: [number; 16], hash: [!number; 16] }
}

fn address(number: u32) -> IpAddr {
    std::net::Ipv4Addr::from(0x0a00_0000 + number).into()
}

fn open(disk: &FaultyDisk) -> DiskStore<FaultyDisk> {
    DiskStore::open(disk.clone()).unwrap().0
}

fn refusal(disk: &FaultyDisk) -> OpenError {
    DiskStore::open(disk.clone()).err().unwrap()
}

/// Commits, due or not, and gives the answers.
fn answers(store: &mut DiskStore<FaultyDisk>) -> Vec<(u64, bool)> {
    store.commit(Moment::NEVER);
    let answer = |completion: Completion| (completion.ticket.0, completion.outcome.is_ok());
    std::iter::from_fn(|| store.poll_completion()).map(answer).collect()
}

fn notices<D: Disk>(store: &mut DiskStore<D>) -> Vec<log::Level> {
    std::iter::from_fn(|| store.poll_notice()).map(|notice| notice.level).collect()
}

fn users_file(count: u8) -> String {
    let line = |number| format!("user{number},{},2026-07-20T10:15:00Z\n", hash(number).to_phc());
    USERS_HEADER.to_owned() + &(0..count).map(line).collect::<String>()
}

fn addresses_file(count: u32) -> String {
    let line = |number| format!("{},user{number},2026-07-20T10:15:00Z\n", address(number));
    ADDRESSES_HEADER.to_owned() + &(0..count).map(line).collect::<String>()
}

#[test]
fn a_user_is_pending_then_known_then_there_after_a_crash() {
    let disk = FaultyDisk::new();
    let mut store = open(&disk);
    assert_eq!(store.next_commit(), None);
    assert_eq!(store.find(&name("ann")), Lookup::Unknown);
    store.register(Ticket(1), name("ann"), hash(1));
    store.register(Ticket(2), name("ann"), hash(2));
    assert_eq!(store.find(&name("ann")), Lookup::Pending);
    assert!(store.next_commit().is_some());
    assert_eq!(answers(&mut store), [(2, false), (1, true)]);
    assert_eq!(store.find(&name("ann")), Lookup::Known(hash(1)));
    store.rehash(Ticket(3), name("ann"), hash(3));
    store.rehash(Ticket(4), name("bob"), hash(4));
    assert_eq!(store.find(&name("ann")), Lookup::Known(hash(1)), "the old hash counts until the completion");
    disk.pass(Duration::from_secs(60));
    assert_eq!(answers(&mut store), [(4, false), (3, true)]);
    let store = open(&disk.restarted(true));
    assert_eq!(store.find(&name("ann")), Lookup::Known(hash(3)));
    assert_eq!((store.user_count(), store.next_commit()), (1, None));
    let text = String::from_utf8(disk.bytes(USERS).unwrap()).unwrap();
    let (first, second) = (hash(1).to_phc(), hash(3).to_phc());
    // A new hash does not change when its user registered.
    let stamp = "2026-07-20T10:15:00Z";
    assert_eq!(text, format!("{USERS_HEADER}ann,{first},{stamp}\nann,{second},{stamp}\n"));
}

#[test]
fn all_that_wait_share_one_write_and_one_sync_and_syncs_keep_their_distance() {
    let disk = FaultyDisk::new();
    let mut store = open(&disk);
    disk.set_sync_time(Duration::from_millis(10));
    let writes = disk.writes();
    for number in 0..5 {
        store.register(Ticket(number.into()), name(&format!("user{number}")), hash(number));
    }
    store.commit(Moment::START);
    assert_eq!((disk.writes() - writes, store.sync_figures().count, store.user_count()), (1, 1, 5));
    while store.poll_completion().is_some() {}
    store.register(Ticket(5), name("late"), hash(5));
    let due = store.next_commit().unwrap();
    assert_eq!(due.since_start(), Duration::from_millis(10 + 4 * 10));
    store.commit(due - Duration::from_nanos(1));
    assert_eq!(store.find(&name("late")), Lookup::Pending);
    store.commit(due);
    assert_eq!(store.find(&name("late")), Lookup::Known(hash(5)));
    store.register(Ticket(6), name("last"), hash(6));
    store.close();
    assert_eq!(store.find(&name("last")), Lookup::Known(hash(6)), "the end does not wait");
    let figures = store.sync_figures();
    assert_eq!((figures.longest, figures.total), (Duration::from_millis(10), Duration::from_millis(40)));
}

#[test]
fn a_file_cut_anywhere_loses_at_most_its_last_record() {
    let (users, addresses) = (users_file(20), addresses_file(20));
    for cut in 0..=users.len().max(addresses.len()) {
        let part = |text: &str| text.as_bytes()[..cut.min(text.len())].to_vec();
        let (users, addresses) = (part(&users), part(&addresses));
        // A last line that has only lost its end is whole.
        let left = |part: &[u8]| {
            let lines = part.split(|byte| *byte == b'\n').skip(1);
            lines.filter(|line| line.ends_with(b"Z")).count()
        };
        let disk = FaultyDisk::with(USERS, &users);
        disk.put(ADDRESSES, &addresses);
        let (mut store, repairs) = DiskStore::open(disk.clone()).unwrap();
        for (file, part) in [(USERS, &users), (ADDRESSES, &addresses)] {
            let torn = part.last() != Some(&b'\n');
            assert_eq!(repairs.iter().any(|repair| repair.file == file), torn, "{cut}");
        }
        store.register(Ticket(0), name("new"), hash(99));
        store.note_visitor(address(99), &name("new"));
        store.close();
        let (store, repairs) = DiskStore::open(disk.restarted(true)).unwrap();
        assert_eq!((repairs.len(), store.user_count()), (0, left(&users) + 1), "{cut}");
        assert_eq!(store.find(&name("new")), Lookup::Known(hash(99)));
        for number in 0..left(&users) as u8 {
            assert_eq!(store.find(&name(&format!("user{number}"))), Lookup::Known(hash(number)), "{cut}");
        }
        for number in (0..left(&addresses) as u32).chain([99]) {
            assert!(store.last_visitor(address(number)).is_some(), "{cut}");
        }
        assert_eq!(store.last_visitor(address(left(&addresses) as u32)), None, "{cut}");
    }
}

#[test]
fn a_bad_line_stops_the_start_and_changes_nothing() {
    let good = users_file(3);
    let (line, phc) = (good.lines().nth(2).unwrap(), hash(1).to_phc());
    for bad in [
        String::new(),
        "user1".to_owned(),
        line.replace("user1", "=cmd"),
        line.replace("user1", "server"),
        line.replace("user1", "\"user1"),
        line.replace("user1", "\"us\"er1\""),
        line.replace('Z', "Z\r\r"),
        line.replace("user1", "user1\r"),
        line.replace('Z', "+00:00"),
        line.replace("i=2", "i=0"),
        format!("{line},"),
    ] {
        // A torn end after it is not mended either, and the other file is not made.
        let text = good.replacen(line, &bad, 1) + "user9,$pb";
        let disk = FaultyDisk::with(USERS, text.as_bytes());
        let error = refusal(&disk);
        assert!(
            matches!(error, OpenError::Line { ref file, number: 3, .. } if file == USERS),
            "{bad}: {error}"
        );
        let shown = error.to_string();
        assert!(!shown.contains('\n') && !shown.contains(&phc[20..]), "{shown}");
        assert_eq!(disk.bytes(USERS).unwrap(), text.as_bytes());
        assert_eq!((disk.bytes(ADDRESSES), disk.calls()), (None, 0));
    }
    for bad in ["::ffff:10.0.0.1", "010.0.0.1", "2001:DB8::1", "ann"] {
        let text = format!("{ADDRESSES_HEADER}{bad},ann,2026-07-20T10:15:00Z\n");
        let disk = FaultyDisk::with(ADDRESSES, text.as_bytes());
        disk.put(USERS, b"name");
        assert!(
            matches!(refusal(&disk), OpenError::Line { file, number: 2, .. } if file == ADDRESSES),
            "{bad}"
        );
        assert_eq!((disk.bytes(USERS).unwrap(), disk.calls()), (b"name".to_vec(), 0));
    }
}

/// Runs three batches of users and some visits; gives the users that were acknowledged and those that were refused.
fn workload(disk: &FaultyDisk) -> (Vec<Name>, Vec<Name>) {
    let Ok((mut store, _)) = DiskStore::open(disk.clone()) else { return (Vec::new(), Vec::new()) };
    let (mut stored, mut refused) = (Vec::new(), Vec::new());
    let known = |number: u64| name(&format!("user{number}"));
    for batch in 0..3 {
        for ticket in batch * 3..batch * 3 + 3 {
            store.register(Ticket(ticket), known(ticket), hash(ticket as u8));
            store.note_visitor(address(ticket as u32), &known(ticket));
        }
        for (ticket, done) in answers(&mut store) {
            let after = if done { Lookup::Known(hash(ticket as u8)) } else { Lookup::Unknown };
            assert_eq!(store.find(&known(ticket)), after);
            if done { stored.push(known(ticket)) } else { refused.push(known(ticket)) }
        }
        assert_eq!(stored.len() + refused.len(), (batch as usize + 1) * 3);
    }
    store.close();
    for ticket in 0..9 {
        assert_eq!(store.last_visitor(address(ticket)), Some(known(ticket.into())), "kept in memory");
    }
    (stored, refused)
}

#[test]
fn whatever_call_fails_what_was_acknowledged_is_there_and_what_was_refused_is_not() {
    let healthy = FaultyDisk::with(USERS, users_file(0).as_bytes());
    assert_eq!(workload(&healthy).0.len(), 9);
    let total = healthy.calls();
    assert!(total > 12);
    let faults = [Fault::Short, Fault::NoSpace, Fault::Write, Fault::Sync, Fault::SyncUnknown, Fault::Any];
    let lengths = [1, 2, 3, u64::MAX];
    for (fault, calls, from) in faults
        .into_iter()
        .flat_map(|f| lengths.map(|c| (f, c)))
        .flat_map(|(f, c)| (0..total).map(move |k| (f, c, k)))
    {
        let disk = FaultyDisk::with(USERS, users_file(0).as_bytes());
        disk.fail(Some(Plan { fault, from, calls }));
        let (stored, refused) = workload(&disk);
        if fault == Fault::Short && calls == 1 {
            assert_eq!(stored.len(), 9, "a short write is no failure");
        }
        for machine_crashed in [false, true] {
            let store = open(&disk.restarted(machine_crashed));
            let what = format!("{fault:?} at {from} for {calls}, machine crashed: {machine_crashed}");
            for known in &stored {
                assert!(matches!(store.find(known), Lookup::Known(_)), "{what}: {known} is lost");
            }
            // When the undoing failed too nobody can tell; that is why nothing more is taken then.
            if calls == 1 {
                for unknown in &refused {
                    assert_eq!(store.find(unknown), Lookup::Unknown, "{what}: {unknown} is there");
                }
            }
        }
    }
}

#[test]
fn a_start_that_fails_anywhere_can_be_tried_again() {
    for (users, addresses) in [("", ""), ("name,pa", "addr"), (users_file(2).as_str(), "")] {
        for from in 0..12 {
            let disk = FaultyDisk::with(USERS, [users, "user9,"].concat()[..].as_bytes());
            if users.len() < USERS_HEADER.len() {
                disk.put(USERS, users.as_bytes());
            }
            disk.put(ADDRESSES, addresses.as_bytes());
            disk.fail(Some(Plan { fault: Fault::Any, from, calls: u64::MAX }));
            let _ = DiskStore::open(disk.clone());
            for machine_crashed in [false, true] {
                let mut store = open(&disk.restarted(machine_crashed));
                store.register(Ticket(1), name("ann"), hash(1));
                assert_eq!(answers(&mut store), [(1, true)]);
            }
        }
    }
}

#[test]
fn made_files_outlive_a_crash_of_the_machine() {
    let disk = FaultyDisk::new();
    drop(open(&disk));
    let after = disk.restarted(true);
    assert_eq!(after.bytes(USERS).unwrap(), USERS_HEADER.as_bytes());
    assert_eq!(after.bytes(ADDRESSES).unwrap(), ADDRESSES_HEADER.as_bytes());
}

#[test]
fn what_a_killed_server_left_unsynced_is_durable_once_it_is_loaded() {
    let disk = FaultyDisk::new();
    let mut killed = open(&disk);
    killed.note_visitor(address(1), &name("ann"));
    killed.commit(Moment::START);
    drop(killed);
    assert_eq!(open(&disk.restarted(true)).last_visitor(address(1)), None, "or this test proves nothing");
    drop(open(&disk));
    assert_eq!(open(&disk.restarted(true)).last_visitor(address(1)), Some(name("ann")));
}

#[test]
fn when_the_undoing_fails_nobody_registers_until_a_restart_but_all_are_found() {
    let disk = FaultyDisk::with(USERS, users_file(2).as_bytes());
    let mut store = open(&disk);
    disk.fail(Some(Plan { fault: Fault::Any, from: 0, calls: 2 }));
    store.register(Ticket(1), name("ann"), hash(1));
    store.rehash(Ticket(2), name("user1"), hash(7));
    assert_eq!(answers(&mut store), [(1, false), (2, false)]);
    assert_eq!(notices(&mut store), [log::Level::Error]);
    store.register(Ticket(3), name("bob"), hash(2));
    store.rehash(Ticket(4), name("user1"), hash(7));
    // Or their clients would wait until somebody else has something stored.
    assert_eq!(store.next_commit(), Some(Moment::START));
    assert_eq!(answers(&mut store), [(3, false), (4, false)]);
    assert_eq!(store.next_commit(), None);
    assert_eq!(store.find(&name("bob")), Lookup::Unknown);
    assert_eq!(store.find(&name("user1")), Lookup::Known(hash(1)));
    let mut store = open(&disk.restarted(false));
    store.register(Ticket(5), name("bob"), hash(2));
    assert_eq!(answers(&mut store), [(5, true)]);
}

proptest! {
    #[test]
    fn what_is_registered_is_loaded(
        users in prop::collection::btree_map("\\PC{1,33}", (1..=100_000_000_u32, any::<[u8; 16]>()), 0..20),
        visits in prop::collection::vec((any::<IpAddr>(), "[a-zé][a-z0-9._-]{0,9}"), 0..20),
    ) {
        let disk = FaultyDisk::new();
        let mut store = open(&disk);
        let hash = |(rounds, salt)| PasswordHash { rounds, salt, hash: salt };
        let mut users: Vec<_> = users
            .into_iter()
            .filter_map(|(text, seed)| Some((Name::new(&text).ok()?, hash(seed))))
            .collect();
        // Of names that can be taken for each other only the first is anybody's.
        users.retain(|(name, password)| {
            let is_free = store.find(name) == Lookup::Unknown;
            if is_free {
                store.register(Ticket(0), name.clone(), password.clone());
            }
            is_free
        });
        for (address, visitor) in &visits {
            if let Ok(visitor) = Name::new(visitor) {
                store.note_visitor(*address, &visitor);
            }
        }
        store.close();
        let (after, repairs) = DiskStore::open(disk.restarted(true)).unwrap();
        prop_assert_eq!((after.user_count(), repairs.len()), (users.len(), 0));
        for (name, password) in users {
            prop_assert_eq!(after.find(&name), Lookup::Known(password));
        }
        for (address, _) in visits {
            prop_assert_eq!(after.last_visitor(address), store.last_visitor(address));
        }
    }

    #[test]
    fn no_bytes_make_the_loaders_panic(bytes: Vec<u8>, behind_header: bool, cut in 0..2000_usize, at in 0..2000_usize) {
        let users = if behind_header { [users_file(0).as_bytes(), &bytes].concat() } else { bytes.clone() };
        let disk = FaultyDisk::with(USERS, &users);
        let _ = DiskStore::open(disk.clone());
        // The bytes in the middle of a good file, in place of some of it.
        let mut middle = addresses_file(20).into_bytes();
        let at = at.min(middle.len());
        middle.splice(at..(at + cut % 20).min(middle.len()), bytes);
        let disk = FaultyDisk::with(ADDRESSES, &middle);
        if DiskStore::open(disk.clone()).is_ok() {
            prop_assert!(DiskStore::open(disk.restarted(true)).unwrap().1.is_empty());
        }
    }
}
