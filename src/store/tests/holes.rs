//! Files that a power cut has left with holes.

use super::*;

/// A line of `users.csv`, of somebody who registered at so many minutes past.
fn user(number: u8, minute: u8) -> String {
    format!("user{number},{},2026-07-20T10:{minute:02}:00Z\n", hash(number).to_phc())
}

/// The file with zeros from here to there.
fn with_hole(file: &str, from: usize, to: usize) -> Vec<u8> {
    let mut bytes = file.as_bytes().to_vec();
    bytes[from..to].fill(0);
    bytes
}

/// Opens what a crash left, and sees that it can be gone on with.
fn mended(file: &str, bytes: &[u8]) -> (DiskStore<FaultyDisk>, FaultyDisk) {
    let disk = FaultyDisk::with(file, bytes);
    let (mut store, repairs) = DiskStore::open(disk.clone()).unwrap_or_else(|error| panic!("{error}"));
    assert!(repairs.iter().any(|repair| repair.file == file), "a hole was mended without a word");
    let users = store.user_count();
    store.register(Ticket(0), name("new"), hash(99));
    store.note_visitor(address(99), &name("new"));
    store.close();
    let disk = disk.restarted(true);
    let (store, repairs) = DiskStore::open(disk.clone()).unwrap();
    assert_eq!((repairs.len(), store.user_count()), (0, users + 1));
    assert_eq!(store.find(&name("new")), Lookup::Known(hash(99)));
    assert_eq!(store.last_visitor(address(99)), Some(name("new")));
    (store, disk)
}

#[test]
fn a_hole_anywhere_in_the_last_batch_costs_nobody_who_was_acknowledged() {
    let acknowledged = users_file(2);
    // A new hash of somebody known may be in it too, with the old time of registration.
    let batch = [user(7, 30), user(8, 30), user(0, 15).replace("i=1", "i=5"), user(9, 30)].concat();
    let file = acknowledged.clone() + &batch;
    for from in (acknowledged.len()..file.len()).step_by(3) {
        for length in [1, 2, 64, 100, 128, 250, file.len()] {
            let to = (from + length).min(file.len());
            let (store, disk) = mended(USERS, &with_hole(&file, from, to));
            for number in 0..2 {
                let known = store.find(&name(&format!("user{number}")));
                assert!(matches!(known, Lookup::Known(_)), "{from}..{to}: user{number} is lost");
            }
            for number in 7..10 {
                let end = file.find(&user(number, 30)).unwrap() + user(number, 30).len();
                // Zeros where a line's end was to be, and nothing behind them, have not touched the line.
                let is_whole = end <= from || end - 1 == from && to == file.len();
                let expected = if is_whole { Lookup::Known(hash(number)) } else { Lookup::Unknown };
                assert_eq!(store.find(&name(&format!("user{number}"))), expected, "{from}..{to}");
            }
            assert!(disk.bytes(USERS).unwrap().starts_with(acknowledged.as_bytes()));
            assert!(!disk.bytes(USERS).unwrap().contains(&0));
        }
    }
}

#[test]
fn a_hole_longer_than_a_block_of_reading_may_have_an_end() {
    let mut bytes = users_file(2).into_bytes();
    bytes.resize(bytes.len() + 200_000, 0);
    bytes.extend_from_slice(b":00Z\n");
    bytes.extend_from_slice(user(9, 30).as_bytes());
    let (store, _) = mended(USERS, &bytes);
    assert_eq!((store.user_count(), store.find(&name("user9"))), (3, Lookup::Unknown));
}

#[test]
fn a_hole_that_no_crash_has_made_stops_the_start_and_changes_nothing() {
    let lines = [user(6, 29), user(7, 30), user(8, 31), user(9, 32)];
    let start = USERS_HEADER.len() + lines[0].len();
    let file = USERS_HEADER.to_owned() + &lines.concat();
    // Behind it are two batches, so the first was written when what is a hole now was synced.
    let of_a_broken_disk = with_hole(&file, start, start + lines[1].len() - 1);
    // Behind it is a line that porter has not written.
    let edited = with_hole(&file.replace("T10:32", " 10:32"), start, start + lines[1].len() + 20);
    for bytes in [of_a_broken_disk, edited] {
        let disk = FaultyDisk::with(USERS, &bytes);
        let error = refusal(&disk);
        assert!(matches!(error, OpenError::Line { ref file, number: 3, .. } if file == USERS), "{error}");
        assert_eq!((disk.bytes(USERS).unwrap(), disk.calls()), (bytes, 0));
    }
    // With only one batch behind it, nothing speaks against a crash.
    let (store, _) = mended(USERS, &with_hole(&file, start, start + lines[1].len() + 20));
    assert_eq!(store.user_count(), 2);
}

#[test]
fn a_header_with_holes_is_written_again() {
    for (file, header) in [(USERS, USERS_HEADER), (ADDRESSES, ADDRESSES_HEADER)] {
        for length in 1..=header.len() {
            for from in 0..length {
                let mut bytes = with_hole(header, from, length.min(from + 4));
                bytes.truncate(length);
                let (_, disk) = mended(file, &bytes);
                assert!(disk.bytes(file).unwrap().starts_with(header.as_bytes()));
            }
        }
        // Nothing is ever written behind a header that was not synced.
        let bytes = [&with_hole(header, 3, 9)[..], b"x"].concat();
        let disk = FaultyDisk::with(file, &bytes);
        assert!(matches!(refusal(&disk), OpenError::Line { number: 1, .. }));
        assert_eq!(disk.bytes(file).unwrap(), bytes);
    }
}

#[test]
fn visits_behind_a_hole_are_lost_and_those_before_it_are_not() {
    let file = addresses_file(20).replace(":15:", ":16:") + &addresses_file(30)[ADDRESSES_HEADER.len()..];
    for from in (ADDRESSES_HEADER.len()..file.len()).step_by(7) {
        let (store, _) = mended(ADDRESSES, &with_hole(&file, from, (from + 16).min(file.len())));
        let whole = file[..from].matches('\n').count().saturating_sub(1) as u32;
        for number in 0..whole.min(20) {
            assert_eq!(store.last_visitor(address(number)), Some(name(&format!("user{number}"))), "{from}");
        }
    }
}

#[test]
fn what_was_cut_off_of_the_visits_is_gone_for_good_before_others_take_its_place() {
    let disk = FaultyDisk::new();
    let mut store = open(&disk);
    disk.fail(Some(Plan { fault: Fault::NoSpace, from: 0, calls: 1 }));
    store.note_visitor(address(1), &name("ann"));
    store.commit(Moment::NEVER);
    disk.fail(None);
    store.note_visitor(address(2), &name("bob"));
    store.commit(Moment::NEVER);
    assert_eq!(store.sync_figures().count, 1);
    store.note_visitor(address(3), &name("cid"));
    store.commit(Moment::NEVER);
    assert_eq!(store.sync_figures().count, 1, "one sync for one failure");
}

/// A record of a user who registered at so many minutes past, with this in the password's place.
fn record(number: u8, minute: u8, password: &str) -> String {
    format!("user{number},{password},2026-07-20T10:{minute:02}:00Z\n")
}

fn disabled(number: u8, password: u8) -> String {
    record(number, 15, &format!("!{}", hash(password).to_phc()))
}

/// What users are after a file's first lines, of which all are whole.
fn expect_states(store: &DiskStore<FaultyDisk>, lines: &str, what: &str) {
    for number in 0..10 {
        let last = lines.lines().rfind(|line| line.starts_with(&format!("user{number},")));
        let expected = match last.map(|line| line.split(',').nth(1).unwrap()) {
            None | Some("-") => Lookup::Unknown,
            Some(password) => match password.strip_prefix('!') {
                Some(password) => Lookup::Disabled(PasswordHash::from_phc(password).unwrap()),
                None => Lookup::Known(PasswordHash::from_phc(password).unwrap()),
            },
        };
        assert_eq!(store.find(&name(&format!("user{number}"))), expected, "{what}: user{number}");
    }
}

/// What was acknowledged, and a batch with records of all kinds behind it.
fn with_changes() -> (String, String) {
    let acknowledged = users_file(5) + &disabled(3, 3) + &record(4, 15, "-");
    let batch = [
        disabled(0, 0),
        record(1, 15, "-"),
        user(7, 30),
        disabled(0, 50),
        record(3, 15, &hash(3).to_phc()),
        // Somebody who registers anew after an earlier removal is as good as new.
        user(4, 30),
        record(3, 15, "-"),
    ];
    (acknowledged, batch.concat())
}

#[test]
fn a_hole_anywhere_in_a_batch_of_changes_costs_none_that_was_acknowledged() {
    let (acknowledged, batch) = with_changes();
    let file = acknowledged.clone() + &batch;
    for from in (acknowledged.len()..file.len()).step_by(3) {
        for length in [1, 100, file.len()] {
            let to = (from + length).min(file.len());
            let bytes = with_hole(&file, from, to);
            let (store, _) = mended(USERS, &bytes);
            let whole = bytes.iter().take_while(|byte| **byte != 0).filter(|byte| **byte == b'\n').count();
            // Zeros where a line's end was to be, and nothing behind them, have not touched the line.
            let is_whole = file.as_bytes()[from] == b'\n' && to == file.len();
            let lines: String = file.split_inclusive('\n').take(whole + usize::from(is_whole)).collect();
            expect_states(&store, &lines, &format!("{from}..{to}"));
        }
    }
}

#[test]
fn a_file_of_changes_cut_anywhere_is_what_its_whole_records_say() {
    let (acknowledged, batch) = with_changes();
    let file = acknowledged + &batch;
    for cut in USERS_HEADER.len()..=file.len() {
        let store = open(&FaultyDisk::with(USERS, &file.as_bytes()[..cut]));
        // A last record that has only lost its end is whole.
        let lines: String =
            file[..cut].lines().filter(|line| line.ends_with('Z')).map(|line| format!("{line}\n")).collect();
        expect_states(&store, &lines, &format!("cut at {cut}"));
    }
}

/// Each was written after the answer to something that stands in the hole, and so the disk has lost it since.
#[test]
fn a_hole_before_what_only_an_acknowledged_user_can_have_stops_the_start() {
    let behind = [
        ("a new user who is disabled", disabled(7, 7)),
        ("the removal of somebody unknown", record(7, 30, "-")),
        ("a second record of a new user", user(7, 30) + &user(7, 30)),
        ("the removal of a new user", user(7, 30) + &record(7, 30, "-")),
        ("a removed user's new hash", record(1, 15, "-") + &user(1, 15)),
        ("a removed user's registration", record(1, 15, "-") + &user(1, 30)),
        ("a second removal", record(1, 15, "-") + &record(1, 15, "-")),
        ("somebody who has registered anew since", user(1, 30)),
        ("the removal of somebody who has registered anew since", record(1, 30, "-")),
        ("a state that porter does not write", record(1, 15, "!")),
    ];
    for (what, behind) in behind {
        let good = users_file(2);
        let bytes = with_hole(&(good.clone() + &user(6, 29) + &behind), good.len() + 5, good.len() + 20);
        let disk = FaultyDisk::with(USERS, &bytes);
        match DiskStore::open(disk.clone()) {
            Err(OpenError::Line { number: 4, .. }) => {}
            Err(error) => panic!("{what}: {error}"),
            Ok(_) => panic!("{what}: the server starts"),
        }
        assert_eq!((disk.bytes(USERS).unwrap(), disk.calls()), (bytes, 0), "{what}");
    }
}
