//! Files that other programs have written: editors, spreadsheets, file systems that can do less.

use super::*;
use crate::limits::ADDRESS_RECORDS_LEAST;

/// What an editor, a spreadsheet or both make of a file.
fn variants(file: &str) -> Vec<String> {
    let quoted =
        |line: &str| line.split(',').map(|field| format!("\"{field}\"")).collect::<Vec<_>>().join(",");
    let all_quoted: String = file.lines().map(|line| quoted(line) + "\n").collect();
    let mut variants = vec![file.to_owned(), file.replace('\n', "\r\n"), all_quoted.clone()];
    variants.push(all_quoted.replace('\n', "\r\n"));
    for plain in variants.clone() {
        variants.push(format!("\u{feff}{plain}"));
    }
    for ended in variants.clone() {
        variants.push(ended.trim_end_matches('\n').to_owned());
        variants.push(ended.trim_end_matches(['\r', '\n']).to_owned());
    }
    variants
}

#[test]
fn what_spreadsheets_and_editors_make_of_a_file_is_read_and_added_to() {
    let (users, addresses) = (users_file(3), addresses_file(3));
    for (users_variant, addresses_variant) in variants(&users).into_iter().zip(variants(&addresses)) {
        let disk = FaultyDisk::with(USERS, users_variant.as_bytes());
        disk.put(ADDRESSES, addresses_variant.as_bytes());
        let (mut store, repairs) =
            DiskStore::open(disk.clone()).unwrap_or_else(|e| panic!("{users_variant:?}: {e}"));
        let is_unended = !users_variant.ends_with('\n');
        assert_eq!(repairs.iter().filter(|repair| repair.line_ended).count(), 2 * usize::from(is_unended));
        assert!(repairs.iter().all(|repair| repair.cut_bytes == 0 && repair.saved_as.is_none()));
        let is_foreign = users_variant.trim_end() != users.trim_end() || users_variant.ends_with('\r');
        let told =
            if is_foreign || users_variant.contains('\r') { vec![log::Level::Info; 2] } else { vec![] };
        assert_eq!(notices(&mut store), told, "{users_variant:?}");
        store.register(Ticket(0), name("new"), hash(99));
        store.note_visitor(address(99), &name("new"));
        store.close();
        let added = disk.bytes(USERS).unwrap();
        let added = str::from_utf8(&added).unwrap().strip_prefix(&users_variant).expect("only added to");
        let record = format!("new,{},2026-07-20T10:15:00Z\n", hash(99).to_phc());
        assert_eq!(added, if is_unended { format!("\n{record}") } else { record });
        let (store, repairs) = DiskStore::open(disk.restarted(true)).unwrap();
        assert_eq!((store.user_count(), repairs.len()), (4, 0), "{users_variant:?}");
        for number in 0..3 {
            assert_eq!(store.find(&name(&format!("user{number}"))), Lookup::Known(hash(number)));
            assert!(store.last_visitor(address(number.into())).is_some());
        }
        assert_eq!(store.find(&name("new")), Lookup::Known(hash(99)));
        assert_eq!(store.last_visitor(address(99)), Some(name("new")));
    }
}

/// The power fails while a start gives the last line its end: the file is longer, and what it is longer by was not written.
#[test]
fn zeros_behind_a_last_line_that_is_whole_do_not_cost_it() {
    for (users, count) in [(users_file(3), 3), (USERS_HEADER.to_owned(), 0)] {
        for zeros in ["\0", "\0\0\0"] {
            let disk = FaultyDisk::with(USERS, [users.trim_end(), zeros].concat().as_bytes());
            let mut store = open(&disk);
            assert_eq!(
                (store.user_count(), cut_files(&disk, USERS)),
                (count, vec![zeros.as_bytes().to_vec()])
            );
            store.register(Ticket(1), name("ann"), hash(1));
            assert_eq!(answers(&mut store), [(1, true)]);
            assert_eq!(open(&disk.restarted(true)).user_count(), count + 1);
        }
    }
}

/// Files beside one, with what they hold.
fn cut_files(disk: &FaultyDisk, file: &str) -> Vec<Vec<u8>> {
    let prefix = format!("{file}.cut-20260720T101500Z");
    disk.names()
        .iter()
        .filter(|name| name.starts_with(&prefix))
        .map(|name| disk.bytes(name).unwrap())
        .collect()
}

#[test]
fn what_is_cut_off_is_in_a_file_of_its_own() {
    for (file, good) in [(USERS, users_file(2)), (ADDRESSES, addresses_file(2))] {
        for torn in ["x", "a line that an editor was not done with", "\0\0\0\nuser9,", "a\0\n"] {
            let disk = FaultyDisk::with(file, (good.clone() + torn).as_bytes());
            for times in 1..3 {
                let (_, repairs) = DiskStore::open(disk.clone()).unwrap();
                assert_eq!(disk.bytes(file).unwrap(), good.as_bytes());
                assert_eq!(cut_files(&disk, file), vec![torn.as_bytes(); times], "in the same second too");
                let saved_as = repairs[0].saved_as.clone().unwrap();
                assert!(disk.bytes(&saved_as).is_some() && repairs[0].to_string().contains(&saved_as));
                // What was cut off is there after a power cut, if it is not in the file any more.
                assert_eq!(cut_files(&disk.restarted(true), file).len(), times);
                disk.overwrite(file, (good.clone() + torn).as_bytes());
            }
        }
    }
}

#[test]
fn whatever_call_fails_at_a_start_nothing_is_cut_that_is_not_saved() {
    let (good, torn) = (users_file(2), "user9,$pbkdf2-md5$i=10$AAAA");
    for calls in [1, u64::MAX] {
        for fault in [Fault::Short, Fault::NoSpace, Fault::Write, Fault::Sync, Fault::Any] {
            for from in 0..12 {
                let disk = FaultyDisk::with(USERS, (good.clone() + torn).as_bytes());
                disk.fail(Some(Plan { fault, from, calls }));
                let _ = DiskStore::open(disk.clone());
                for machine_crashed in [false, true] {
                    let disk = disk.restarted(machine_crashed);
                    let is_cut = disk.bytes(USERS).unwrap().len() < good.len() + torn.len();
                    let is_saved = cut_files(&disk, USERS).contains(&torn.as_bytes().to_vec());
                    assert!(is_saved || !is_cut, "{fault:?} at {from} for {calls}");
                    assert_eq!(open(&disk).user_count(), 2);
                    assert!(cut_files(&disk, USERS).contains(&torn.as_bytes().to_vec()));
                }
            }
        }
    }
}

#[test]
fn a_directory_that_cannot_be_synced_is_told_once_and_served() {
    let disk = FaultyDisk::new();
    disk.fail(Some(Plan { fault: Fault::Unsyncable, from: 0, calls: u64::MAX }));
    let mut store = open(&disk);
    assert_eq!(notices(&mut store), [log::Level::Warn]);
    store.register(Ticket(1), name("ann"), hash(1));
    assert_eq!(answers(&mut store), [(1, true)]);
    for visit in 0..5 * ADDRESS_RECORDS_LEAST {
        store.note_visitor(address(1), &name(&format!("user{visit}")));
        store.commit(Moment::NEVER);
    }
    store.reload();
    assert!(notices(&mut store).iter().all(|level| *level == log::Level::Info));
    assert!(disk.bytes(ADDRESSES).unwrap().len() < 2_000, "compacted");
    assert_eq!(open(&disk.restarted(false)).user_count(), 1);
}

#[test]
fn files_that_everybody_may_read_are_told_with_the_way_out() {
    for (mode, expected) in [(0o600, 0), (0o640, 0), (0o644, 2), (0o606, 2)] {
        let disk = FaultyDisk::with(USERS, users_file(1).as_bytes());
        disk.set_mode(mode);
        let mut store = open(&disk);
        let texts: Vec<_> = std::iter::from_fn(|| store.poll_notice()).map(|notice| notice.text).collect();
        assert_eq!(texts.len(), expected, "{mode:o}: {texts:?}");
        assert!(texts.iter().all(|text| text.contains("chmod 600")), "{texts:?}");
    }
}
