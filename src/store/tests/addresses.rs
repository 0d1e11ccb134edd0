//! What becomes of `addresses.csv` in good times and bad.

use super::*;
use crate::limits::{ADDRESS_COMPACTION_PAUSE, ADDRESS_RECORDS_LEAST, ADDRESS_RETRY};

#[test]
fn a_failed_note_is_kept_reported_once_and_written_later() {
    let disk = FaultyDisk::new();
    let mut store = open(&disk);
    disk.fail(Some(Plan { fault: Fault::NoSpace, from: 0, calls: u64::MAX }));
    for number in 0..3 {
        store.note_visitor(address(number), &name("ann"));
        store.commit(store.next_commit().unwrap());
    }
    assert_eq!(notices(&mut store), [log::Level::Warn]);
    assert_eq!(disk.bytes(ADDRESSES).unwrap(), ADDRESSES_HEADER.as_bytes());
    // A turn that comes too early does not try again: a full disk must not make the server spin.
    let (due, writes) = (store.next_commit().unwrap(), disk.writes());
    assert!(due >= Moment::START + ADDRESS_RETRY);
    store.commit(due - Duration::from_nanos(1));
    assert_eq!(disk.writes(), writes);
    disk.fail(None);
    store.commit(due);
    assert_eq!((notices(&mut store), store.next_commit()), (vec![log::Level::Info], None));
    let store = open(&disk.restarted(false));
    assert!((0..3).all(|number| store.last_visitor(address(number)) == Some(name("ann"))));
}

#[test]
fn nothing_is_written_behind_half_a_note_that_could_not_be_cut_off() {
    // The write and its undoing fail, then the second undoing too, then the second write.
    for calls in 2..6 {
        let disk = FaultyDisk::new();
        let mut store = open(&disk);
        disk.fail(Some(Plan { fault: Fault::Any, from: 0, calls }));
        store.note_visitor(address(1), &name("ann"));
        store.commit(Moment::NEVER);
        assert_ne!(disk.bytes(ADDRESSES).unwrap().last(), Some(&b'\n'), "half a note is there");
        for number in 2..6 {
            store.note_visitor(address(number), &name("bob"));
            store.commit(Moment::NEVER);
            open(&disk.restarted(false));
        }
        assert_eq!(notices(&mut store), [log::Level::Warn, log::Level::Info]);
        let store = open(&disk.restarted(false));
        assert!((1..6).all(|number| store.last_visitor(address(number)).is_some()));
    }
}

#[test]
fn the_file_is_compacted_when_most_of_it_is_old() {
    let disk = FaultyDisk::new();
    let mut store = open(&disk);
    let lines = || disk.bytes(ADDRESSES).unwrap().iter().filter(|byte| **byte == b'\n').count() as u64 - 1;
    let mut most = 0;
    for visit in 0..5 * ADDRESS_RECORDS_LEAST {
        store.note_visitor(address((visit % 3) as u32), &name(&format!("user{visit}")));
        store.commit(Moment::NEVER);
        most = most.max(lines());
    }
    assert_eq!(most, ADDRESS_RECORDS_LEAST - 1);
    assert!(store.sync_figures().count >= 4);
    for machine_crashed in [false, true] {
        let store = open(&disk.restarted(machine_crashed));
        assert!((0..3).all(|number| store.last_visitor(address(number)).is_some()));
    }
    assert_eq!(disk.restarted(true).bytes("addresses.csv.new"), None);
}

#[test]
fn the_file_is_compacted_once_a_second_at_most() {
    let disk = FaultyDisk::new();
    let mut store = open(&disk);
    let mut take_turns = |now| {
        for visit in 0..4 * ADDRESS_RECORDS_LEAST {
            store.note_visitor(address(1), &name(&format!("user{visit}")));
            store.commit(now);
        }
        (store.sync_figures().count, store.next_commit())
    };
    let first = Moment::START + Duration::from_secs(3);
    let (syncs, due) = take_turns(first);
    assert_eq!(due, Some(first + ADDRESS_COMPACTION_PAUSE));
    assert_eq!(take_turns(first + ADDRESS_COMPACTION_PAUSE - Duration::from_nanos(1)).0, syncs);
    assert_eq!(take_turns(first + ADDRESS_COMPACTION_PAUSE).0, syncs + 1);
}

#[test]
fn a_failed_compaction_keeps_the_old_file() {
    for from in 0..6 {
        for fault in [Fault::NoSpace, Fault::Write, Fault::Sync] {
            let disk = FaultyDisk::with(ADDRESSES, addresses_file(3).as_bytes());
            let mut store = open(&disk);
            for visit in 3..ADDRESS_RECORDS_LEAST {
                if visit + 1 == ADDRESS_RECORDS_LEAST {
                    disk.fail(Some(Plan { fault, from, calls: 1 }));
                }
                store.note_visitor(address((visit % 3) as u32), &name(&format!("user{visit}")));
                store.commit(Moment::NEVER);
            }
            let last = |number| name(&format!("user{}", ADDRESS_RECORDS_LEAST - 3 + number));
            assert_eq!(store.next_commit(), None, "{fault:?} {from}");
            let after = open(&disk.restarted(false));
            for slot in 0..3 {
                let expected = Some(last((slot + 3 - (ADDRESS_RECORDS_LEAST - 3) % 3) % 3));
                assert_eq!(after.last_visitor(address(slot as u32)), expected, "{fault:?} {from}");
            }
            assert!(open(&disk.restarted(true)).last_visitor(address(0)).is_some());
        }
    }
}

#[test]
fn no_more_addresses_than_allowed_are_kept() {
    let most = crate::limits::ADDRESSES as u32;
    let disk = FaultyDisk::with(ADDRESSES, addresses_file(most + 1).as_bytes());
    let mut store = open(&disk);
    assert_eq!(store.last_visitor(address(0)), None);
    assert!(store.last_visitor(address(1)).is_some());
    store.note_visitor(address(1), &name("ann"));
    store.note_visitor(address(most + 1), &name("ann"));
    assert_eq!(store.last_visitor(address(1)), Some(name("ann")));
    assert_eq!(store.last_visitor(address(2)), None);
    store.commit(Moment::NEVER);
    assert_eq!(open(&disk).last_visitor(address(1)), Some(name("ann")));
}

#[test]
fn a_mapped_address_is_its_ipv4_address() {
    let mut store = open(&FaultyDisk::new());
    store.note_visitor("::ffff:10.0.0.1".parse().unwrap(), &name("ann"));
    assert_eq!(store.last_visitor(address(1)), Some(name("ann")));
}

#[test]
fn a_file_that_was_removed_or_emptied_is_made_again_and_another_is_read() {
    const OTHERS: &str = "10.0.0.9,bob,2026-07-20T10:15:00Z\n";
    let deeds: [Deed; 4] = [
        ("removed", |disk| disk.take_away(ADDRESSES, None)),
        ("emptied", |disk| disk.overwrite(ADDRESSES, b"")),
        ("replaced", |disk| disk.put(ADDRESSES, [ADDRESSES_HEADER, OTHERS].concat().as_bytes())),
        ("edited", |disk| {
            disk.overwrite(ADDRESSES, [ADDRESSES_HEADER, OTHERS].concat().trim_end().as_bytes())
        }),
    ];
    for (what, deed) in deeds {
        let disk = FaultyDisk::with(ADDRESSES, addresses_file(3).as_bytes());
        let mut store = open(&disk);
        deed(&disk);
        store.note_visitor(address(5), &name("ann"));
        store.commit(Moment::NEVER);
        assert_eq!(notices(&mut store), [log::Level::Warn], "{what}");
        let made_again = what == "removed" || what == "emptied";
        store.close();
        for store in [store, open(&disk.restarted(true))] {
            assert_eq!(store.last_visitor(address(5)), Some(name("ann")), "{what}");
            assert_eq!(store.last_visitor(address(1)).is_some(), made_again, "{what}");
            assert_eq!(store.last_visitor(address(9)).is_some(), !made_again, "{what}");
        }
    }
}

#[test]
fn a_bad_file_in_the_place_of_ours_is_left_alone_until_it_is_good() {
    let disk = FaultyDisk::with(ADDRESSES, addresses_file(3).as_bytes());
    let mut store = open(&disk);
    let bad = [ADDRESSES_HEADER, "half a li"].concat();
    disk.put(ADDRESSES, bad.as_bytes());
    for number in 4..6 {
        store.note_visitor(address(number), &name("ann"));
        store.commit(store.next_commit().unwrap());
    }
    assert_eq!(
        (notices(&mut store), disk.bytes(ADDRESSES)),
        (vec![log::Level::Warn], Some(bad.into_bytes()))
    );
    assert!((0..6).filter(|number| *number != 3).all(|number| store.last_visitor(address(number)).is_some()));
    disk.put(ADDRESSES, addresses_file(1).as_bytes());
    store.commit(store.next_commit().unwrap());
    assert_eq!(notices(&mut store), [log::Level::Warn, log::Level::Info]);
    assert_eq!(open(&disk).last_visitor(address(5)), Some(name("ann")));
}

/// It is mounted by itself, as containers do with single files: nothing can take its place.
#[test]
fn a_file_that_cannot_be_replaced_is_compacted_where_it_is() {
    for failing in (0..9).map(Some).chain([None]) {
        let disk = FaultyDisk::with(ADDRESSES, addresses_file(3).as_bytes());
        let mut store = open(&disk);
        disk.fail(Some(Plan { fault: Fault::Mounted, from: 0, calls: u64::MAX }));
        for visit in 3..3 * ADDRESS_RECORDS_LEAST {
            if let Some(from) = failing.filter(|_| visit == ADDRESS_RECORDS_LEAST) {
                disk.fail_also(Plan { fault: Fault::Any, from, calls: 1 });
            }
            store.note_visitor(address((visit % 3) as u32), &name(&format!("user{visit}")));
            store.commit(Moment::NEVER);
        }
        let records = disk.bytes(ADDRESSES).unwrap().iter().filter(|byte| **byte == b'\n').count() as u64 - 1;
        assert!(records < 2 * ADDRESS_RECORDS_LEAST, "{failing:?}: {records}");
        let after = open(&disk.restarted(false));
        for slot in 0..3 {
            let expected = name(&format!("user{}", 3 * ADDRESS_RECORDS_LEAST - 3 + slot));
            assert_eq!(after.last_visitor(address(slot as u32)), Some(expected), "{failing:?}");
        }
        open(&disk.restarted(true));
    }
}
