//! A `users.csv` that somebody else is at while the store is open.

use super::*;

/// All of them leave `user0` and `user1` in the file that has the name, if there is one.
const DEEDS: [Deed; 5] = [
    ("sed -i", |disk| disk.put(USERS, users_file(2).as_bytes())),
    ("the same, without an end", |disk| disk.put(USERS, users_file(2).trim_end().as_bytes())),
    ("a shorter one in place", |disk| disk.overwrite(USERS, users_file(2).as_bytes())),
    ("one line more", |disk| {
        disk.overwrite(USERS, (users_file(3) + users_file(4).lines().last().unwrap() + "\n").as_bytes());
    }),
    ("moved and made anew", |disk| {
        disk.take_away(USERS, Some("users.csv.bak"));
        disk.put(USERS, users_file(2).as_bytes());
    }),
];

fn told(store: &mut DiskStore<FaultyDisk>) -> Vec<String> {
    let one = |notice: Notice| format!("{}: {}", notice.level, notice.text);
    std::iter::from_fn(|| store.poll_notice()).map(one).collect()
}

#[test]
fn nobody_is_registered_into_a_file_that_is_not_ours_any_more() {
    for (what, deed) in DEEDS {
        let disk = FaultyDisk::with(USERS, users_file(3).as_bytes());
        let mut store = open(&disk);
        deed(&disk);
        let (file, writes) = (disk.bytes(USERS), disk.writes());
        for ticket in 0..3 {
            store.register(Ticket(ticket), name("ann"), hash(1));
            assert_eq!(answers(&mut store), [(ticket, false)], "{what}");
        }
        let reported = told(&mut store);
        assert!(reported.len() == 1 && reported[0].starts_with("ERROR"), "{what}: {reported:?}");
        assert!(reported[0].contains("SIGHUP"), "{what}: {reported:?}");
        assert_eq!((disk.bytes(USERS), disk.writes()), (file, writes), "{what}: nothing was written");
        assert_eq!(store.find(&name("user2")), Lookup::Known(hash(2)), "{what}: who is known can log in");
        store.reload();
        assert_eq!(notices(&mut store), [log::Level::Info], "{what}");
        store.register(Ticket(9), name("ann"), hash(1));
        assert_eq!(answers(&mut store), [(9, true)], "{what}");
        let after = open(&disk.restarted(true));
        assert_eq!(after.find(&name("ann")), Lookup::Known(hash(1)), "{what}");
        assert_eq!(after.user_count(), store.user_count(), "{what}");
    }
}

/// `rm users.csv`, or the whole directory moved away. What was known is not thrown away for a file that is not there.
#[test]
fn a_file_that_is_gone_is_not_taken_for_an_empty_one() {
    for deed in [
        |disk: &FaultyDisk| disk.take_away(USERS, Some("away")),
        |disk: &FaultyDisk| disk.overwrite(USERS, b""),
        |disk: &FaultyDisk| disk.overwrite(USERS, &USERS_HEADER.as_bytes()[..9]),
    ] {
        let disk = FaultyDisk::with(USERS, users_file(3).as_bytes());
        let mut store = open(&disk);
        deed(&disk);
        store.register(Ticket(1), name("ann"), hash(1));
        assert_eq!(answers(&mut store), [(1, false)]);
        store.reload();
        assert_eq!(notices(&mut store), [log::Level::Error; 2]);
        assert_eq!(store.user_count(), 3);
        store.register(Ticket(2), name("ann"), hash(1));
        assert_eq!(answers(&mut store), [(2, false)]);
        if disk.bytes("away").is_some() {
            disk.take_away("away", Some(USERS));
        } else {
            disk.overwrite(USERS, users_file(3).as_bytes());
        }
        // It is as it was left: no reload is needed.
        store.register(Ticket(3), name("ann"), hash(1));
        assert_eq!((answers(&mut store), notices(&mut store)), (vec![(3, true)], vec![log::Level::Info]));
    }
}

/// The file is replaced after it was looked at, and before the record in it is on the disk.
#[test]
fn a_file_that_is_replaced_in_the_midst_of_a_commit_acknowledges_nobody() {
    let disk = FaultyDisk::with(USERS, users_file(3).as_bytes());
    let mut store = open(&disk);
    disk.swap_at_sync(USERS, users_file(2).as_bytes());
    store.register(Ticket(1), name("ann"), hash(1));
    assert_eq!((answers(&mut store), notices(&mut store)), (vec![(1, false)], vec![log::Level::Error]));
    assert_eq!(store.find(&name("ann")), Lookup::Unknown);
    store.reload();
    assert_eq!((store.user_count(), store.find(&name("user2"))), (2, Lookup::Unknown));
}

/// Somebody cuts the file while the server writes: what is written is not made longer with zeros when it is taken back.
#[test]
fn undoing_never_makes_a_file_longer() {
    let disk = FaultyDisk::with(USERS, users_file(3).as_bytes());
    let mut store = open(&disk);
    store.register(Ticket(1), name("ann"), hash(1));
    disk.fail(Some(Plan { fault: Fault::Sync, from: 1, calls: 1 }));
    disk.cut_at_sync(USERS);
    assert_eq!((answers(&mut store), notices(&mut store)), (vec![(1, false)], vec![log::Level::Error]));
    assert_eq!(disk.bytes(USERS).unwrap(), b"");
}

#[test]
fn a_bad_file_changes_nothing_and_is_told_by_its_line() {
    for (bad, line) in [
        (users_file(2) + "no record\n", "line 4"),
        (users_file(2) + "user9,$pbk", "line 4"),
        (users_file(2).replace("name,", "nome,"), "line 1"),
        (users_file(2).replace("user0", "-user0"), "line 2"),
    ] {
        let disk = FaultyDisk::with(USERS, users_file(3).as_bytes());
        let mut store = open(&disk);
        disk.put(USERS, bad.as_bytes());
        store.reload();
        let told = told(&mut store);
        assert!(told.len() == 1 && told[0].starts_with("ERROR"), "{told:?}");
        assert!(told[0].contains("users.csv") && told[0].contains(line), "{told:?}");
        assert_eq!((store.user_count(), disk.bytes(USERS).unwrap()), (3, bad.into_bytes()));
        assert_eq!(store.find(&name("user2")), Lookup::Known(hash(2)));
    }
}

#[test]
fn who_waits_while_the_file_is_reloaded_is_stored_in_the_new_one_or_refused() {
    let disk = FaultyDisk::with(USERS, users_file(3).as_bytes());
    let mut store = open(&disk);
    store.register(Ticket(1), name("ann"), hash(1));
    store.register(Ticket(2), name("bob"), hash(2));
    // One is gone in the new file, one has another password, one is as before.
    store.rehash(Ticket(3), name("user0"), hash(50));
    store.rehash(Ticket(4), name("user1"), hash(51));
    store.rehash(Ticket(5), name("user2"), hash(52));
    let line = |who: &str, number| format!("{who},{},2026-07-20T10:15:00Z\n", hash(number).to_phc());
    let new = [USERS_HEADER.to_owned(), line("bob", 77), line("user1", 78), line("user2", 2)].concat();
    disk.put(USERS, new.as_bytes());
    store.reload();
    let mut done = answers(&mut store);
    done.sort_unstable();
    assert_eq!(done, [(1, true), (2, false), (3, false), (4, false), (5, true)]);
    for store in [store, open(&disk.restarted(true))] {
        let find = |who| store.find(&name(who));
        assert_eq!([find("ann"), find("bob")], [Lookup::Known(hash(1)), Lookup::Known(hash(77))]);
        assert_eq!([find("user1"), find("user2")], [Lookup::Known(hash(78)), Lookup::Known(hash(52))]);
        assert_eq!(find("user0"), Lookup::Unknown);
    }
}

/// A daily rotation of the log must not cost the reading of a million users.
#[test]
fn a_file_that_nobody_touched_is_not_read_again() {
    let disk = FaultyDisk::with(USERS, users_file(3).as_bytes());
    let mut store = open(&disk);
    store.register(Ticket(1), name("ann"), hash(1));
    answers(&mut store);
    let reads = disk.reads();
    store.reload();
    assert_eq!((disk.reads(), notices(&mut store)), (reads, vec![log::Level::Info]));
    // One byte is another, and the length the same.
    let edited = String::from_utf8(disk.bytes(USERS).unwrap()).unwrap().replace("ann", "bob");
    disk.overwrite(USERS, edited.as_bytes());
    store.reload();
    assert_eq!(
        (store.find(&name("ann")), store.find(&name("bob"))),
        (Lookup::Unknown, Lookup::Known(hash(1)))
    );
}

/// What a file reads like after its undoing failed may not be what is on the disk.
#[test]
fn a_reload_does_not_take_what_could_not_be_taken_back() {
    let disk = FaultyDisk::with(USERS, users_file(2).as_bytes());
    let mut store = open(&disk);
    disk.fail(Some(Plan { fault: Fault::Any, from: 0, calls: 2 }));
    store.register(Ticket(1), name("ann"), hash(1));
    assert_eq!((answers(&mut store), notices(&mut store)), (vec![(1, false)], vec![log::Level::Error]));
    store.reload();
    assert_eq!(notices(&mut store), [log::Level::Error]);
    store.register(Ticket(2), name("ann"), hash(1));
    assert_eq!(answers(&mut store), [(2, false)]);
    // Another file is another matter.
    disk.put(USERS, users_file(2).as_bytes());
    store.reload();
    store.register(Ticket(3), name("ann"), hash(1));
    assert_eq!(answers(&mut store), [(3, true)]);
}

#[test]
fn whatever_call_fails_in_a_reload_the_store_has_the_old_users_or_the_new() {
    for from in 0..8 {
        for calls in [1, u64::MAX] {
            let disk = FaultyDisk::with(USERS, users_file(3).as_bytes());
            let mut store = open(&disk);
            disk.put(USERS, users_file(2).trim_end().as_bytes());
            disk.fail(Some(Plan { fault: Fault::Any, from, calls }));
            store.reload();
            let users = store.user_count();
            assert!(users == 3 || users == 2);
            disk.fail(None);
            store.register(Ticket(1), name("ann"), hash(1));
            assert_eq!(answers(&mut store), [(1, users == 2)], "{from} {calls}");
            store.reload();
            store.register(Ticket(2), name("bob"), hash(2));
            assert_eq!(answers(&mut store), [(2, true)], "{from} {calls}");
            let after = open(&disk.restarted(true));
            assert_eq!(after.user_count(), store.user_count(), "{from} {calls}");
        }
    }
}
