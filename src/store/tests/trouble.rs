//! Whether users can be stored, as others are told who are to send newcomers here.

use super::*;
use crate::limits::STORE_TROUBLE;

fn now(disk: &FaultyDisk) -> Moment {
    disk.clone().now()
}

fn is_stored(store: &mut DiskStore<FaultyDisk>, who: &str) -> bool {
    store.register(Ticket(1), name(who), hash(1));
    answers(store) == [(1, true)]
}

/// A disk was full: nobody is sent here, nobody registers, and nobody finds out that there is room again.
#[test]
fn a_full_disk_is_trouble_until_it_takes_a_user_or_for_a_minute() {
    let disk = FaultyDisk::with(USERS, users_file(3).as_bytes());
    let mut store = open(&disk);
    disk.pass(Duration::from_secs(500));
    assert_eq!(store.trouble(now(&disk)), None);
    disk.fail(Some(Plan { fault: Fault::NoSpace, from: 0, calls: u64::MAX }));
    assert!(!is_stored(&mut store, "ann"));
    let failed = now(&disk);
    assert!(store.trouble(failed).is_some_and(|reason| reason.contains(USERS)));
    disk.pass(STORE_TROUBLE - Duration::from_secs(1));
    assert!(store.trouble(now(&disk)).is_some());
    assert!(!is_stored(&mut store, "ann"));
    disk.pass(Duration::from_secs(1));
    assert!(store.trouble(now(&disk)).is_some(), "it has refused somebody else since");
    disk.pass(STORE_TROUBLE);
    assert_eq!(store.trouble(now(&disk)), None);
    disk.fail(None);
    assert!(is_stored(&mut store, "ann"));
    assert_eq!(store.trouble(failed), None);
}

/// That does not mend itself.
#[test]
fn a_file_that_is_gone_is_trouble_until_it_is_back() {
    let disk = FaultyDisk::with(USERS, users_file(3).as_bytes());
    let mut store = open(&disk);
    disk.take_away(USERS, Some("away"));
    assert!(!is_stored(&mut store, "ann"));
    disk.pass(Duration::from_secs(86_400));
    store.reload();
    assert!(store.trouble(now(&disk)).is_some());
    disk.put(USERS, users_file(3).as_bytes());
    store.reload();
    assert_eq!(store.trouble(now(&disk)), None);
    assert!(is_stored(&mut store, "ann"));
}

/// The users' file is as it was left, and yet nobody can be stored.
#[test]
fn a_lock_that_another_has_is_trouble_until_it_is_given_back() {
    let disk = FaultyDisk::with(USERS, users_file(3).as_bytes());
    let mut store = open(&disk);
    disk.lock_out(true);
    assert!(!is_stored(&mut store, "ann"));
    store.reload();
    assert!(store.trouble(now(&disk)).is_some());
    disk.lock_out(false);
    store.reload();
    assert_eq!(store.trouble(now(&disk)), None);
    assert!(is_stored(&mut store, "ann"));
}
