//! Whether users can be stored, as others are told who are to send newcomers here.

use super::*;
use crate::limits::STORE_LOOK;

fn now(disk: &FaultyDisk) -> Moment {
    disk.clone().now()
}

fn is_stored(store: &mut DiskStore<FaultyDisk>, who: &str) -> bool {
    store.register(Ticket(1), name(who), hash(1));
    answers(store) == [(1, true)]
}

/// What the server does when nobody wants anything. Whether users can be stored then.
fn is_well_later(disk: &FaultyDisk, store: &mut DiskStore<FaultyDisk>) -> bool {
    let due = store.next_commit().expect("it looks again");
    assert!(due <= now(disk) + 2 * STORE_LOOK, "soon");
    disk.pass(due.since(now(disk)));
    store.commit(now(disk));
    store.trouble(now(disk)).is_none()
}

/// The story: nobody was sent here while it was so, and so nobody registered, and nobody found out that there was room again.
#[test]
fn a_full_disk_is_trouble_until_it_has_room() {
    let disk = FaultyDisk::with(USERS, users_file(3).as_bytes());
    let mut store = open(&disk);
    assert_eq!((store.trouble(now(&disk)), store.next_commit()), (None, None));
    disk.fail(Some(Plan { fault: Fault::NoSpace, from: 0, calls: u64::MAX }));
    assert!(!is_stored(&mut store, "ann"));
    assert!(store.trouble(now(&disk)).is_some_and(|reason| reason.contains(USERS)));
    for _ in 0..100 {
        assert!(!is_well_later(&disk, &mut store));
    }
    disk.fail(None);
    assert!(is_well_later(&disk, &mut store));
    assert_eq!((store.next_commit(), notices(&mut store)), (None, vec![log::Level::Info]));
    assert_eq!(disk.bytes(USERS).unwrap(), users_file(3).as_bytes(), "nothing is left of looking");
    assert!(is_stored(&mut store, "ann"));
}

/// One that was taken away and is put back is noticed; another in its place is only taken by a reload.
#[test]
fn a_file_that_is_gone_is_trouble_until_it_is_back() {
    let disk = FaultyDisk::with(USERS, users_file(3).as_bytes());
    let mut store = open(&disk);
    disk.take_away(USERS, Some("away"));
    assert!(!is_stored(&mut store, "ann"));
    assert!(!is_well_later(&disk, &mut store));
    disk.take_away("away", Some(USERS));
    assert!(is_well_later(&disk, &mut store));
    assert!(is_stored(&mut store, "ann"));
    let file = disk.bytes(USERS).unwrap();
    disk.take_away(USERS, None);
    assert!(!is_stored(&mut store, "bob"));
    disk.put(USERS, &file);
    assert!(!is_well_later(&disk, &mut store), "it may be anything");
    store.reload();
    assert_eq!(store.trouble(now(&disk)), None);
    assert!(is_stored(&mut store, "bob"));
}

/// The users' file is as it was left, and yet nobody can be stored.
#[test]
fn a_lock_that_another_has_is_trouble_until_it_is_given_back() {
    let disk = FaultyDisk::with(USERS, users_file(3).as_bytes());
    let mut store = open(&disk);
    for reloads in [false, true] {
        disk.lock_out(true);
        assert!(!is_stored(&mut store, "ann"));
        store.reload();
        assert!(!is_well_later(&disk, &mut store));
        disk.lock_out(false);
        if reloads {
            store.reload();
            assert_eq!(store.trouble(now(&disk)), None);
        } else {
            assert!(is_well_later(&disk, &mut store));
        }
    }
    assert!(is_stored(&mut store, "ann"));
}

/// However a look fails, and wherever a crash cuts it short, the file has the same users as before.
#[test]
fn a_look_loses_nobody() {
    for fault in [Fault::Short, Fault::NoSpace, Fault::Write, Fault::Sync, Fault::SyncUnknown, Fault::Any] {
        for from in 0..5 {
            for machine_crashed in [false, true] {
                let disk = FaultyDisk::with(USERS, users_file(3).as_bytes());
                let mut store = open(&disk);
                disk.lock_out(true);
                assert!(!is_stored(&mut store, "ann"));
                disk.lock_out(false);
                disk.fail(Some(Plan { fault, from, calls: u64::MAX }));
                disk.pass(STORE_LOOK);
                store.commit(now(&disk));
                let mut after = open(&disk.restarted(machine_crashed));
                assert_eq!(after.user_count(), 3, "{fault:?} {from}");
                assert!(
                    (0..3)
                        .all(|number| after.find(&name(&format!("user{number}")))
                            == Lookup::Known(hash(number)))
                );
                assert!(is_stored(&mut after, "ann"));
                // The one that looked is well when it could, and else looks again or waits for a restart.
                assert!(store.trouble(now(&disk)).is_some() || store.next_commit().is_none());
            }
        }
    }
}

/// A file without users shows only whether it is there.
#[test]
fn without_users_the_place_is_looked_at() {
    let disk = FaultyDisk::with(USERS, users_file(0).as_bytes());
    let mut store = open(&disk);
    disk.take_away(USERS, Some("away"));
    assert!(!is_stored(&mut store, "ann"));
    assert!(!is_well_later(&disk, &mut store));
    disk.take_away("away", Some(USERS));
    assert!(is_well_later(&disk, &mut store));
}
