//! A start drops the records of `users.csv` that no longer count, when they are most of it.

use super::accounts::listed;
use super::*;

const NEW_FILE: &str = "users.csv.new";
const STAMP: &str = "2026-07-20T10:15:00Z";

/// Four users, of whom one is disabled and one is removed, and more dead records than others.
fn bloated_file() -> String {
    let phc = |number| hash(number).to_phc();
    users_file(4)
        + &format!("user1,{},{STAMP}\nuser1,!{},{STAMP}\n", phc(11), phc(12))
        + &format!("user2,{},{STAMP}\nuser2,-,{STAMP}\n", phc(22))
}

/// What is left of it.
fn compact_file() -> String {
    let phc = |number| hash(number).to_phc();
    let rest = format!("user1,!{},{STAMP}\nuser3,{},{STAMP}\n", phc(12), phc(3));
    users_file(1) + &rest
}

fn expect_users(store: &DiskStore<FaultyDisk>, what: &str) {
    let find = |who| store.find(&name(who));
    assert_eq!(find("user0"), Lookup::Known(hash(0)), "{what}");
    assert_eq!(find("user1"), Lookup::Disabled(hash(12)), "{what}");
    assert_eq!(find("user2"), Lookup::Unknown, "{what}");
    assert_eq!(find("user3"), Lookup::Known(hash(3)), "{what}");
    assert_eq!(store.user_count(), 3, "{what}");
}

#[test]
fn a_start_keeps_the_last_record_of_everybody_who_is_there() {
    let disk = FaultyDisk::with(USERS, bloated_file().as_bytes());
    let mut store = open(&disk);
    expect_users(&store, "after the start");
    assert_eq!(told(&mut store), ["INFO users.csv is compacted: 3 records"]);
    for disk in [disk.clone(), disk.restarted(true)] {
        assert_eq!(String::from_utf8(disk.bytes(USERS).unwrap()).unwrap(), compact_file());
        assert_eq!(disk.bytes(NEW_FILE), None);
        let mut store = open(&disk);
        assert!(told(&mut store).is_empty(), "once is enough");
        expect_users(&store, "after another start");
        // What is added now is added to the new file.
        store.register(Ticket(1), name("user2"), hash(7));
        assert_eq!(answers(&mut store), [(1, true)]);
        assert_eq!(open(&disk.restarted(true)).find(&name("user2")), Lookup::Known(hash(7)));
    }
}

fn told(store: &mut DiskStore<FaultyDisk>) -> Vec<String> {
    std::iter::from_fn(|| store.poll_notice())
        .map(|notice| format!("{} {}", notice.level, notice.text))
        .collect()
}

#[test]
fn a_file_of_which_half_counts_is_left_alone() {
    // Two of four, three of six with a torn end, and the removal of the only one.
    let twice = users_file(2) + &users_file(2)[USERS_HEADER.len()..];
    for (file, is_compacted) in [
        (twice.clone(), false),
        (twice.clone() + "user0,$pb", false),
        (twice.clone() + twice.lines().nth(1).unwrap(), true),
        (users_file(1) + &format!("user0,-,{STAMP}\n"), true),
        (USERS_HEADER.to_owned() + &format!("user0,-,{STAMP}\n"), true),
        (USERS_HEADER.to_owned(), false),
    ] {
        let disk = FaultyDisk::with(USERS, file.as_bytes());
        let mut store = open(&disk);
        let before = listed(&store);
        assert_eq!(told(&mut store).len(), usize::from(is_compacted), "{file}");
        let lines = String::from_utf8(disk.bytes(USERS).unwrap()).unwrap().lines().count();
        assert_eq!(lines - 1 == store.user_count(), is_compacted || store.user_count() == 0, "{file}");
        assert_eq!(listed(&open(&disk.restarted(true))), before, "{file}");
    }
}

#[test]
fn whatever_call_fails_in_a_compaction_the_old_file_or_the_new_is_there() {
    let healthy = FaultyDisk::with(USERS, bloated_file().as_bytes());
    drop(open(&healthy));
    let faults = [Fault::Short, Fault::NoSpace, Fault::Write, Fault::Sync, Fault::SyncUnknown, Fault::Any];
    for (fault, from) in faults.into_iter().flat_map(|f| (0..healthy.calls()).map(move |k| (f, k))) {
        for calls in [1, 2, u64::MAX] {
            let what = format!("{fault:?} at {from} for {calls}");
            let disk = FaultyDisk::with(USERS, bloated_file().as_bytes());
            disk.fail(Some(Plan { fault, from, calls }));
            let mut acknowledged = false;
            if let Ok((mut store, _)) = DiskStore::open(disk.clone()) {
                expect_users(&store, &what);
                disk.fail(None);
                store.register(Ticket(1), name("ann"), hash(1));
                acknowledged = answers(&mut store) == [(1, true)];
                assert!(acknowledged, "{what}");
            }
            for after in [disk.restarted(false), disk.restarted(true), disk.restarted_with_names()] {
                let mut store = open(&after);
                assert_eq!(store.find(&name("ann")) == Lookup::Known(hash(1)), acknowledged, "{what}");
                store.alter(Ticket(1), name("ann"), AccountChange::Remove);
                answers(&mut store);
                expect_users(&store, &what);
                assert_eq!(after.bytes(NEW_FILE), None, "{what}: an unfinished file is left");
            }
        }
    }
}

/// The hashes in it are of no use to anybody, and a start that stops must change nothing.
#[test]
fn an_unfinished_file_is_removed_by_a_start_that_succeeds() {
    let disk = FaultyDisk::with(USERS, users_file(2).as_bytes());
    disk.put(NEW_FILE, users_file(9).as_bytes());
    assert_eq!(open(&disk).user_count(), 2);
    assert_eq!(disk.bytes(NEW_FILE), None);
    let disk = FaultyDisk::with(USERS, (users_file(2) + "no record\n").as_bytes());
    disk.put(NEW_FILE, users_file(9).as_bytes());
    refusal(&disk);
    assert!(disk.bytes(NEW_FILE).is_some());
    // What cannot be removed is told, and not used.
    let disk = FaultyDisk::with(USERS, users_file(2).as_bytes());
    disk.put(ADDRESSES, ADDRESSES_HEADER.as_bytes());
    disk.put(NEW_FILE, users_file(9).as_bytes());
    disk.fail(Some(Plan { fault: Fault::Write, from: 0, calls: u64::MAX }));
    let mut store = open(&disk);
    assert_eq!((notices(&mut store), store.user_count()), (vec![log::Level::Warn], 2));
}

#[test]
fn a_file_whose_place_cannot_be_taken_is_used_as_it_is() {
    for (fault, told) in [
        (Fault::Mounted, vec![log::Level::Warn]),
        // That no directory can be synced is told, and nothing else.
        (Fault::Unsyncable, vec![log::Level::Warn]),
    ] {
        let disk = FaultyDisk::with(USERS, bloated_file().as_bytes());
        disk.fail(Some(Plan { fault, from: 0, calls: u64::MAX }));
        let mut store = open(&disk);
        assert_eq!(notices(&mut store), told, "{fault:?}");
        assert_eq!(disk.bytes(USERS).unwrap(), bloated_file().into_bytes());
        assert_eq!(disk.bytes(NEW_FILE), None);
        store.register(Ticket(1), name("ann"), hash(1));
        assert_eq!(answers(&mut store), [(1, true)], "{fault:?}");
        assert_eq!(open(&disk.restarted(true)).find(&name("ann")), Lookup::Known(hash(1)), "{fault:?}");
    }
}

#[test]
fn a_reload_compacts_nothing() {
    let disk = FaultyDisk::with(USERS, users_file(4).as_bytes());
    let mut store = open(&disk);
    disk.put(USERS, bloated_file().as_bytes());
    store.reload();
    expect_users(&store, "after the reload");
    assert_eq!(disk.bytes(USERS).unwrap(), bloated_file().into_bytes());
}
