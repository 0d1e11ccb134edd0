//! Many users at once: all of them or none.

use super::accounts::{listed, outcomes};
use super::*;

const NEW_FILE: &str = "users.csv.new";

fn account(who: &str, number: u8, is_disabled: bool) -> Account {
    let registered = "2001-02-03T04:05:06Z".parse().unwrap();
    Account { name: name(who), password: hash(number), is_disabled, registered }
}

/// Three of them, one of whom is disabled.
fn accounts() -> Vec<Account> {
    vec![account("ann", 101, false), account("bob", 102, true), account("cid", 103, false)]
}

fn expect_imported(store: &DiskStore<FaultyDisk>, is_imported: bool, what: &str) {
    let expected = match is_imported {
        true => [Lookup::Known(hash(101)), Lookup::Disabled(hash(102)), Lookup::Known(hash(103))],
        false => [Lookup::Unknown, Lookup::Unknown, Lookup::Unknown],
    };
    assert_eq!(["ann", "bob", "cid"].map(|who| store.find(&name(who))), expected, "{what}");
}

#[test]
fn an_import_is_there_with_states_and_times() {
    let disk = FaultyDisk::with(USERS, users_file(3).as_bytes());
    let mut store = open(&disk);
    store.alter(Ticket(1), name("user1"), AccountChange::Remove);
    store.alter(Ticket(2), name("user2"), AccountChange::Disable);
    store.register(Ticket(3), name("dan"), hash(4));
    assert!(store.import(Ticket(4), accounts()));
    store.import(Ticket(5), vec![account("eve", 105, false)]);
    store.import(Ticket(6), Vec::new());
    // Who was removed in the same batch is free for the import.
    store.import(Ticket(7), vec![account("user1", 77, false)]);
    expect_imported(&store, false, "before the commit");
    assert!(store.next_commit().is_some());
    assert_eq!(answers(&mut store), [1, 2, 3, 4, 5, 6, 7].map(|ticket| (ticket, true)));
    for store in [store, open(&disk.restarted(true))] {
        expect_imported(&store, true, "after the commit");
        let find = |who| store.find(&name(who));
        assert_eq!([find("user1"), find("user2")], [Lookup::Known(hash(77)), Lookup::Disabled(hash(2))]);
        assert_eq!([find("dan"), find("eve")], [Lookup::Known(hash(4)), Lookup::Known(hash(105))]);
        assert_eq!(store.user_count(), 8);
        let ann = (0..store.accounts_end())
            .find_map(|number| store.account(number).filter(|a| a.name == name("ann")));
        assert_eq!(ann, Some(account("ann", 101, false)));
    }
    let after = disk.restarted(true);
    assert_eq!((after.bytes(NEW_FILE), disk.bytes(NEW_FILE)), (None, None));
    // It is our file that is in the place: a reload finds nothing to do, and what is added is there.
    let mut store = open(&disk);
    let reads = disk.reads();
    store.reload();
    store.register(Ticket(9), name("fay"), hash(9));
    assert_eq!((answers(&mut store), disk.reads()), (vec![(9, true)], reads));
    assert_eq!(open(&disk.restarted(true)).user_count(), 9);
}

#[test]
fn an_import_leaves_the_file_known_as_it_is() {
    let disk = FaultyDisk::with(USERS, users_file(3).as_bytes());
    let mut store = open(&disk);
    store.import(Ticket(1), accounts());
    answers(&mut store);
    let reads = disk.reads();
    store.reload();
    assert_eq!((disk.reads(), store.user_count()), (reads, 6), "nobody else has touched it");
    store.register(Ticket(2), name("fay"), hash(9));
    store.alter(Ticket(3), name("bob"), AccountChange::Enable);
    assert_eq!(answers(&mut store), [(2, true), (3, true)]);
    let after = open(&disk.restarted(true));
    assert_eq!(after.find(&name("bob")), Lookup::Known(hash(102)));
    assert_eq!(after.user_count(), 7);
}

#[test]
fn the_first_who_cannot_be_imported_fails_all_by_name() {
    let bad_rounds = |rounds| {
        let account = account("gil", 1, false);
        Account { password: PasswordHash { rounds, ..account.password.clone() }, ..account }
    };
    for (offender, reason) in [
        (
            vec![account("user1", 9, false), account("user0", 9, false)],
            "user1: the name is taken; nobody was imported",
        ),
        (vec![account("dan", 9, false)], "dan: the name is taken; nobody was imported"),
        (
            vec![account("USER1", 9, false)],
            "USER1: the name looks like one that is taken; nobody was imported",
        ),
        (vec![account("ann", 9, false)], "ann: the name is there twice; nobody was imported"),
        (
            vec![account("Ann", 9, false)],
            "Ann: the name looks like another one that is imported; nobody was imported",
        ),
        (vec![bad_rounds(0)], "gil: the password has a bad number of rounds; nobody was imported"),
        (vec![bad_rounds(100_000_001)], "gil: the password has a bad number of rounds; nobody was imported"),
    ] {
        let disk = FaultyDisk::with(USERS, users_file(3).as_bytes());
        let mut store = open(&disk);
        let calls = disk.calls();
        // It comes first, and who registers meanwhile is stored before it.
        store.import(Ticket(1), [accounts(), offender, vec![account("zoe", 7, false)]].concat());
        store.register(Ticket(2), name("dan"), hash(4));
        assert_eq!(outcomes(&mut store), [(2, Ok(())), (1, Err(reason.to_owned()))]);
        for store in [store, open(&disk.restarted(true))] {
            expect_imported(&store, false, reason);
            assert_eq!((store.user_count(), store.accounts_end()), (4, 4), "{reason}");
        }
        assert_eq!(disk.calls() - calls, 2, "{reason}: only the registration was written");
    }
}

/// Runs an import between other requests. Says whether it was acknowledged, and whether the rest was.
fn workload(disk: &FaultyDisk) -> (bool, Vec<(u64, bool)>) {
    let Ok((mut store, _)) = DiskStore::open(disk.clone()) else { return (false, Vec::new()) };
    store.register(Ticket(1), name("dan"), hash(4));
    store.alter(Ticket(2), name("user1"), AccountChange::Remove);
    store.import(Ticket(3), accounts());
    let mut done = answers(&mut store);
    store.register(Ticket(4), name("eve"), hash(5));
    store.alter(Ticket(5), name("user2"), AccountChange::Disable);
    done.extend(answers(&mut store));
    let is_imported = done.contains(&(3, true));
    expect_imported(&store, is_imported, "in memory");
    (is_imported, done)
}

#[test]
fn whatever_call_fails_all_are_imported_or_none_and_nothing_else_is_lost() {
    let users = users_file(3);
    let healthy = FaultyDisk::with(USERS, users.as_bytes());
    assert!(workload(&healthy).1.iter().all(|(_, done)| *done));
    let faults = [Fault::Short, Fault::NoSpace, Fault::Write, Fault::Sync, Fault::SyncUnknown, Fault::Any];
    for (fault, from) in faults.into_iter().flat_map(|f| (0..healthy.calls()).map(move |k| (f, k))) {
        for calls in [1, 2, 3, u64::MAX] {
            let what = format!("{fault:?} at {from} for {calls}");
            let disk = FaultyDisk::with(USERS, users.as_bytes());
            disk.fail(Some(Plan { fault, from, calls }));
            let (is_imported, done) = workload(&disk);
            for after in [disk.restarted(false), disk.restarted(true), disk.restarted_with_names()] {
                let store = open(&after);
                let count = ["ann", "bob", "cid"]
                    .iter()
                    .filter(|who| store.find(&name(who)) != Lookup::Unknown)
                    .count();
                assert!(count == 0 || count == 3, "{what}: {count} of three");
                assert!(!is_imported || count == 3, "{what}: the import is lost");
                expect_imported(&store, count == 3, &what);
                for (ticket, who, stored) in [
                    (1, "dan", Lookup::Known(hash(4))),
                    (2, "user1", Lookup::Unknown),
                    (4, "eve", Lookup::Known(hash(5))),
                    (5, "user2", Lookup::Disabled(hash(2))),
                ] {
                    let is_stored = store.find(&name(who)) == stored;
                    assert!(is_stored || !done.contains(&(ticket, true)), "{what}: {who} is lost");
                    assert!(!is_stored || calls > 1 || !done.contains(&(ticket, false)), "{what}: {who}");
                }
                assert_eq!(store.find(&name("user0")), Lookup::Known(hash(0)), "{what}");
                assert_eq!(after.bytes(NEW_FILE), None, "{what}: an unfinished file is left");
            }
        }
    }
}

/// One failed call leaves all as it was, unless it is the sync of the names.
#[test]
fn after_a_failed_import_it_can_be_tried_again_or_the_server_says_that_it_cannot() {
    let calls = {
        let disk = FaultyDisk::with(USERS, users_file(3).as_bytes());
        let mut store = open(&disk);
        disk.fail(None);
        store.import(Ticket(1), accounts());
        answers(&mut store);
        disk.calls()
    };
    let mut broken = 0;
    for from in 0..calls {
        let disk = FaultyDisk::with(USERS, users_file(3).as_bytes());
        let mut store = open(&disk);
        disk.fail(Some(Plan { fault: Fault::Any, from, calls: 1 }));
        store.import(Ticket(1), accounts());
        let [(1, Err(reason))] = &outcomes(&mut store)[..] else { panic!("{from}: it did not fail") };
        assert!(reason.contains(USERS), "{reason}");
        assert_eq!(listed(&store).len(), 3);
        store.import(Ticket(2), accounts());
        if let [(2, Err(again))] = &outcomes(&mut store)[..] {
            broken += 1;
            assert!(again == reason && again.contains("perhaps not for good"), "{from}: {again}");
            assert_eq!(notices(&mut store), [log::Level::Error]);
            // Not even a reload can tell which of the two is there.
            store.reload();
            assert_eq!((notices(&mut store), listed(&store).len()), (vec![log::Level::Error], 3));
            store.register(Ticket(3), name("dan"), hash(4));
            assert_eq!(answers(&mut store), [(3, false)]);
        } else {
            expect_imported(&store, true, "tried again");
            expect_imported(&open(&disk.restarted(true)), true, "tried again");
            assert_eq!(disk.bytes(NEW_FILE), None, "{from}");
        }
    }
    assert_eq!(broken, 1, "the sync of the names");
}

#[test]
fn an_import_replaces_no_file_of_somebody_elses() {
    // Somebody is at the file before, or while the new one is written.
    let deeds: [Deed; 3] = [
        ("replaced", |disk| disk.put(USERS, users_file(2).as_bytes())),
        ("removed", |disk| disk.take_away(USERS, Some("away"))),
        ("replaced meanwhile", |disk| disk.swap_at_sync(USERS, users_file(2).as_bytes())),
    ];
    for (what, deed) in deeds {
        let disk = FaultyDisk::with(USERS, users_file(3).as_bytes());
        let mut store = open(&disk);
        deed(&disk);
        store.import(Ticket(1), accounts());
        assert_eq!(
            (answers(&mut store), notices(&mut store)),
            (vec![(1, false)], vec![log::Level::Error]),
            "{what}"
        );
        expect_imported(&store, false, what);
        if disk.bytes(USERS).is_some() {
            assert_eq!(disk.bytes(USERS).unwrap(), users_file(2).into_bytes(), "{what}");
        } else {
            disk.take_away("away", Some(USERS));
        }
        assert_eq!(disk.bytes(NEW_FILE), None, "{what}");
        store.reload();
        store.import(Ticket(2), accounts());
        assert_eq!(answers(&mut store), [(2, true)], "{what}");
        expect_imported(&open(&disk.restarted(true)), true, what);
    }
}

#[test]
fn where_nothing_can_take_the_files_place_an_import_is_refused_and_says_so() {
    let disk = FaultyDisk::with(USERS, users_file(3).as_bytes());
    let mut store = open(&disk);
    disk.fail(Some(Plan { fault: Fault::Mounted, from: 0, calls: u64::MAX }));
    store.import(Ticket(1), accounts());
    let [(1, Err(reason))] = &outcomes(&mut store)[..] else { panic!("it was imported") };
    assert!(reason.contains("another file cannot take its place"), "{reason}");
    assert_eq!((disk.bytes(USERS).unwrap(), disk.bytes(NEW_FILE)), (users_file(3).into_bytes(), None));
    store.register(Ticket(2), name("dan"), hash(4));
    assert_eq!(answers(&mut store), [(2, true)]);
    assert_eq!(open(&disk.restarted(true)).user_count(), 4);
}

/// What the file reads like then may not be what is on the disk, so that no other is made of it.
#[test]
fn an_import_behind_a_batch_that_could_not_be_taken_back_is_refused_for_that() {
    let disk = FaultyDisk::with(USERS, users_file(3).as_bytes());
    let mut store = open(&disk);
    // The sync fails, and so does that of the undoing.
    disk.fail(Some(Plan { fault: Fault::Sync, from: 1, calls: 3 }));
    store.register(Ticket(1), name("dan"), hash(4));
    store.import(Ticket(2), accounts());
    let [(1, Err(reason)), (2, Err(again))] = &outcomes(&mut store)[..] else { panic!("stored") };
    assert_eq!((again, notices(&mut store)), (reason, vec![log::Level::Error]));
    assert_eq!(disk.bytes(USERS).unwrap(), users_file(3).into_bytes());
}
