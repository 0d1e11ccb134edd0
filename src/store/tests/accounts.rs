//! Users who are disabled, enabled and removed.

use super::*;
use AccountChange::{Disable, Enable, Remove};
use std::ops::ControlFlow;

/// Commits, due or not, and gives the answers with their reasons.
pub(super) fn outcomes(store: &mut DiskStore<FaultyDisk>) -> Vec<(u64, Result<(), String>)> {
    store.commit(Moment::NEVER);
    std::iter::from_fn(|| store.poll_completion())
        .map(|answer| (answer.ticket.0, answer.outcome.map_err(|failure| failure.to_string())))
        .collect()
}

/// All users with their states, in the order of their numbers.
pub(super) fn listed(store: &DiskStore<FaultyDisk>) -> Vec<(String, PasswordHash, bool)> {
    (0..store.accounts_end())
        .filter_map(|number| store.account(number))
        .map(|account| (account.name.to_string(), account.password, account.is_disabled))
        .collect()
}

fn text(disk: &FaultyDisk) -> String {
    String::from_utf8(disk.bytes(USERS).unwrap()).unwrap()
}

fn alter(store: &mut DiskStore<FaultyDisk>, who: &str, change: AccountChange) {
    assert!(store.alter(Ticket(1), name(who), change));
    assert_eq!(answers(store), [(1, true)], "{who} {change:?}");
}

#[test]
fn a_user_is_disabled_enabled_removed_and_registers_again() {
    let disk = FaultyDisk::with(USERS, users_file(3).as_bytes());
    let mut store = open(&disk);
    let find = |disk: &FaultyDisk, who| open(&disk.restarted(true)).find(&name(who));
    disk.pass(Duration::from_secs(86_400));
    alter(&mut store, "user1", Disable);
    assert_eq!(store.find(&name("user1")), Lookup::Disabled(hash(1)));
    assert_eq!(find(&disk, "user1"), Lookup::Disabled(hash(1)));
    // Another password leaves the state as it is.
    store.rehash(Ticket(2), name("user1"), hash(11));
    assert_eq!(answers(&mut store), [(2, true)]);
    assert_eq!(find(&disk, "user1"), Lookup::Disabled(hash(11)));
    assert_eq!(store.user_count(), 3);
    alter(&mut store, "user1", Enable);
    assert_eq!(find(&disk, "user1"), Lookup::Known(hash(11)));
    alter(&mut store, "user1", Remove);
    assert_eq!((store.find(&name("user1")), store.user_count()), (Lookup::Unknown, 2));
    assert_eq!((store.account(1), store.accounts_end()), (None, 3));
    let names = |text: &str, numbers| {
        let mut names = Vec::new();
        store.names_that_begin(text, numbers, &mut |name| {
            names.push(name.to_owned());
            ControlFlow::Continue(())
        });
        names
    };
    let living = [0, 2].map(|number| store.account(number).unwrap().name.to_string());
    assert_eq!(names("", 0..3), living);
    assert_eq!(names("", 1..9), living[1..]);
    assert_eq!(names(&living[0], 0..3), living[..1]);
    assert_eq!(find(&disk, "user1"), Lookup::Unknown);
    let lines = text(&disk);
    let (phc, stamp) = (hash(11).to_phc(), "2026-07-20T10:15:00Z");
    assert!(lines.ends_with(&format!("user1,!{phc},{stamp}\nuser1,{phc},{stamp}\nuser1,-,{stamp}\n")));
    // Somebody else gets the name, with a time of registration of their own.
    store.register(Ticket(3), name("user1"), hash(33));
    assert_eq!(answers(&mut store), [(3, true)]);
    let again = store.account(1).unwrap();
    assert_eq!((again.password, again.registered.to_string()), (hash(33), "2026-07-21T10:15:00Z".to_owned()));
    assert_eq!(find(&disk, "user1"), Lookup::Known(hash(33)));
    assert_eq!((store.user_count(), store.accounts_end()), (3, 3), "the dead row lives again");
}

#[test]
fn what_an_earlier_request_of_a_batch_did_counts_for_the_later() {
    let disk = FaultyDisk::with(USERS, users_file(5).as_bytes());
    let mut store = open(&disk);
    let writes = disk.writes();
    let who = |number| name(&format!("user{number}"));
    store.alter(Ticket(1), who(0), Remove);
    store.rehash(Ticket(2), who(0), hash(9));
    store.alter(Ticket(3), who(0), Remove);
    store.alter(Ticket(4), who(0), Disable);
    store.register(Ticket(5), who(0), hash(9));
    store.alter(Ticket(6), who(1), Disable);
    store.rehash(Ticket(7), who(1), hash(11));
    store.rehash(Ticket(8), who(2), hash(12));
    store.alter(Ticket(9), who(2), Disable);
    store.alter(Ticket(10), who(3), Disable);
    store.alter(Ticket(11), who(3), Enable);
    store.alter(Ticket(12), who(3), Enable);
    assert_eq!(store.find(&who(0)), Lookup::Known(hash(0)), "until it is stored");
    assert_eq!(store.find(&who(1)), Lookup::Known(hash(1)), "until it is stored");
    let (refused, done): (Vec<_>, Vec<_>) =
        outcomes(&mut store).into_iter().partition(|(_, outcome)| outcome.is_err());
    let reason = |text: &str| Err(text.to_owned());
    let nobody = || reason("there is no such user");
    assert_eq!(refused, [(2, nobody()), (3, nobody()), (4, nobody()), (5, reason("the name is taken"))]);
    assert_eq!(done.iter().map(|(ticket, _)| *ticket).collect::<Vec<_>>(), [1, 6, 7, 8, 9, 10, 11, 12]);
    assert_eq!((disk.writes() - writes, store.sync_figures().count), (1, 1));
    for store in [store, open(&disk.restarted(true))] {
        assert_eq!(store.find(&who(0)), Lookup::Unknown);
        assert_eq!(store.find(&who(1)), Lookup::Disabled(hash(11)));
        assert_eq!(store.find(&who(2)), Lookup::Disabled(hash(12)));
        assert_eq!(store.find(&who(3)), Lookup::Known(hash(3)));
        assert_eq!((store.find(&who(4)), store.user_count()), (Lookup::Known(hash(4)), 4));
    }
}

#[test]
fn of_a_failed_batch_nothing_remains_for_the_next() {
    for fault in [Fault::NoSpace, Fault::Sync] {
        let disk = FaultyDisk::with(USERS, users_file(2).as_bytes());
        let mut store = open(&disk);
        let from = u64::from(fault == Fault::Sync);
        disk.fail(Some(Plan { fault, from, calls: 1 }));
        store.alter(Ticket(1), name("user0"), Remove);
        store.alter(Ticket(2), name("user1"), Disable);
        assert_eq!(answers(&mut store), [(1, false), (2, false)], "{fault:?}");
        assert_eq!((text(&disk), store.user_count()), (users_file(2), 2));
        // What is asked for now begins from what is stored.
        store.rehash(Ticket(3), name("user0"), hash(8));
        store.rehash(Ticket(4), name("user1"), hash(9));
        assert_eq!(answers(&mut store), [(3, true), (4, true)], "{fault:?}");
        let after = open(&disk.restarted(true));
        assert_eq!(after.find(&name("user0")), Lookup::Known(hash(8)));
        assert_eq!(after.find(&name("user1")), Lookup::Known(hash(9)));
    }
}

#[test]
fn who_cannot_be_changed_is_refused_with_a_reason() {
    let disk = FaultyDisk::with(USERS, users_file(1).as_bytes());
    let mut store = open(&disk);
    store.register(Ticket(1), name("ann"), hash(1));
    store.alter(Ticket(2), name("ann"), Disable);
    store.alter(Ticket(3), name("nobody"), Remove);
    store.rehash(Ticket(4), name("ann"), hash(2));
    let pending = || Err("the registration of this user is not stored yet".to_owned());
    let nobody = Err("there is no such user".to_owned());
    assert_eq!(outcomes(&mut store), [(2, pending()), (3, nobody), (4, pending()), (1, Ok(()))]);
    // Nobody can tell any more what is in the file.
    disk.fail(Some(Plan { fault: Fault::Any, from: 0, calls: 2 }));
    store.alter(Ticket(5), name("ann"), Remove);
    let [(5, Err(reason))] = &outcomes(&mut store)[..] else { panic!("not stored") };
    store.alter(Ticket(6), name("ann"), Remove);
    store.import(Ticket(7), Vec::new());
    assert_eq!(store.next_commit(), Some(Moment::START), "whoever was refused hears of it at once");
    assert_eq!(outcomes(&mut store), [(6, Err(reason.clone())), (7, Err(reason.clone()))]);
    assert_eq!(store.find(&name("ann")), Lookup::Known(hash(1)));
}

#[test]
fn a_removed_users_name_and_its_look_alikes_are_free() {
    let disk = FaultyDisk::with(USERS, users_file(2).as_bytes());
    let mut store = open(&disk);
    alter(&mut store, "user1", Disable);
    store.register(Ticket(1), name("userl"), hash(5));
    store.register(Ticket(2), name("user1"), hash(5));
    assert_eq!(answers(&mut store), [(1, false), (2, false)], "a disabled user has the name still");
    alter(&mut store, "user1", Remove);
    assert_eq!(store.find(&name("userl")), Lookup::Unknown);
    for mut store in [store, open(&disk.restarted(true))] {
        store.register(Ticket(3), name("userl"), hash(5));
        store.register(Ticket(4), name("user1"), hash(5));
        assert_eq!(answers(&mut store), [(4, false), (3, true)]);
        assert_eq!(store.find(&name("user1")), Lookup::LookAlike);
    }
}

/// Runs batches of everything on users who were there before; gives for each user the states that a restart may find: the
/// last that was acknowledged, and behind it those of requests that failed.
fn workload(disk: &FaultyDisk) -> Vec<Vec<Lookup>> {
    let mut states: Vec<Vec<Lookup>> = (0..6).map(|number| vec![Lookup::Known(hash(number))]).collect();
    let Ok((mut store, _)) = DiskStore::open(disk.clone()) else { return states };
    let who = |number: usize| name(&format!("user{number}"));
    let batches: [&[(usize, AccountChange)]; 3] = [
        &[(0, Disable), (1, Remove)],
        &[(2, Disable), (2, Enable), (3, Disable)],
        &[(0, Enable), (3, Remove)],
    ];
    for batch in batches {
        for (number, change) in batch {
            store.alter(Ticket(*number as u64), who(*number), *change);
        }
        store.rehash(Ticket(4), who(4), hash(44));
        let mut is_stored = true;
        let outcomes = answers(&mut store);
        assert_eq!(outcomes.len(), batch.len() + 1);
        for (_, done) in outcomes {
            is_stored &= done;
        }
        let after = batch.iter().map(|(number, change)| match change {
            Enable => (*number, Lookup::Known(hash(*number as u8))),
            Disable => (*number, Lookup::Disabled(hash(*number as u8))),
            Remove => (*number, Lookup::Unknown),
        });
        for (number, state) in after.chain([(4, Lookup::Known(hash(44)))]) {
            if is_stored {
                states[number] = vec![state];
            } else {
                states[number].push(state);
            }
        }
        for (number, states) in states.iter().enumerate() {
            assert_eq!(store.find(&who(number)), states[0], "user{number}");
        }
    }
    states
}

#[test]
fn whatever_call_fails_no_acknowledged_change_is_lost_and_no_refused_one_is_there() {
    let users = users_file(6);
    let healthy = FaultyDisk::with(USERS, users.as_bytes());
    assert!(workload(&healthy).iter().all(|states| states.len() == 1));
    let faults = [Fault::Short, Fault::NoSpace, Fault::Write, Fault::Sync, Fault::SyncUnknown, Fault::Any];
    for (fault, from) in faults.into_iter().flat_map(|f| (0..healthy.calls()).map(move |k| (f, k))) {
        for calls in [1, 2, u64::MAX] {
            let disk = FaultyDisk::with(USERS, users.as_bytes());
            disk.fail(Some(Plan { fault, from, calls }));
            let states = workload(&disk);
            for after in [disk.restarted(false), disk.restarted(true), disk.restarted_with_names()] {
                let store = open(&after);
                for (number, states) in states.iter().enumerate() {
                    let found = store.find(&name(&format!("user{number}")));
                    let what = format!("{fault:?} at {from} for {calls}: user{number} is {found:?}");
                    assert!(states.contains(&found), "{what}");
                    // When the undoing failed too nobody can tell.
                    assert!(calls > 1 || found == states[0], "{what}");
                }
            }
        }
    }
}

#[test]
fn states_written_by_hand_are_read_at_a_start_and_at_a_reload() {
    let phc = |number| hash(number).to_phc();
    let stamp = "2026-07-20T10:15:00Z";
    let file = users_file(4)
        + &format!("user1,!{},{stamp}\nuser2,-,{stamp}\nuser2,-,{stamp}\nuser9,-,{stamp}\n", phc(1))
        + &format!("user3,!{},{stamp}\nuser3,{},{stamp}\n", phc(3), phc(30));
    let quoted =
        |line: &str| line.split(',').map(|field| format!("\"{field}\"")).collect::<Vec<_>>().join(",");
    let spreadsheet: String = file.lines().map(|line| quoted(line) + "\r\n").collect();
    for file in [file.clone(), spreadsheet, format!("\u{feff}{}", file.trim_end())] {
        let at_start = open(&FaultyDisk::with(USERS, file.as_bytes()));
        let disk = FaultyDisk::with(USERS, users_file(4).as_bytes());
        let mut reloaded = open(&disk);
        disk.put(USERS, file.as_bytes());
        reloaded.reload();
        for mut store in [at_start, reloaded] {
            assert_eq!(store.find(&name("user0")), Lookup::Known(hash(0)));
            assert_eq!(store.find(&name("user1")), Lookup::Disabled(hash(1)));
            assert_eq!(store.find(&name("user2")), Lookup::Unknown);
            assert_eq!(store.find(&name("user3")), Lookup::Known(hash(30)));
            assert_eq!((store.find(&name("user9")), store.user_count()), (Lookup::Unknown, 3));
            alter(&mut store, "user1", Enable);
            store.register(Ticket(2), name("user2"), hash(22));
            assert_eq!(answers(&mut store), [(2, true)]);
        }
    }
}

#[test]
fn a_state_that_porter_does_not_write_stops_the_start() {
    let phc = hash(0).to_phc();
    for password in ["", "!", "!!", "*", "--", "-x", "!-", "- ", &format!("!!{phc}"), &format!("-{phc}")] {
        let file = users_file(1) + &format!("user0,{password},2026-07-20T10:15:00Z\n");
        let error = refusal(&FaultyDisk::with(USERS, file.as_bytes()));
        assert!(matches!(error, OpenError::Line { number: 3, .. }), "{password}: {error}");
    }
    let file = users_file(1) + "user0,-,yesterday\n";
    assert!(matches!(refusal(&FaultyDisk::with(USERS, file.as_bytes())), OpenError::Line { number: 3, .. }));
}

#[test]
fn who_waits_to_be_changed_while_the_file_is_reloaded_is_changed_or_refused() {
    let disk = FaultyDisk::with(USERS, users_file(4).as_bytes());
    let mut store = open(&disk);
    for (ticket, who, change) in
        [(1, "user0", Disable), (2, "user1", Disable), (3, "user2", Disable), (4, "user3", Remove)]
    {
        store.alter(Ticket(ticket), name(who), change);
    }
    store.rehash(Ticket(5), name("user0"), hash(50));
    store.register(Ticket(8), name("dan"), hash(8));
    // In the new file one is disabled, one is gone, one has another password, one is as before, and one is new.
    let phc = hash(1).to_phc();
    let new = users_file(4)
        .replace(&phc, &format!("!{phc}"))
        .replace(&hash(3).to_phc(), "-")
        .replace(&hash(2).to_phc(), &hash(22).to_phc())
        + &users_file(1).lines().nth(1).unwrap().replace("user0", "Dan")
        + "\n";
    disk.put(USERS, new.as_bytes());
    store.reload();
    assert_eq!(store.find(&name("dan")), Lookup::LookAlike, "it waits no longer");
    // Who was overtaken begins anew.
    store.alter(Ticket(6), name("user2"), Disable);
    store.alter(Ticket(7), name("user3"), Disable);
    let mut done = answers(&mut store);
    done.sort_unstable();
    assert_eq!(
        done.iter().filter(|(_, done)| *done).map(|(ticket, _)| *ticket).collect::<Vec<_>>(),
        [1, 5, 6]
    );
    assert_eq!(done.len(), 8);
    for store in [store, open(&disk.restarted(true))] {
        let find = |who| store.find(&name(who));
        assert_eq!([find("user0"), find("user1")], [Lookup::Disabled(hash(50)), Lookup::Disabled(hash(1))]);
        assert_eq!([find("user2"), find("user3")], [Lookup::Disabled(hash(22)), Lookup::Unknown]);
    }
}

#[test]
fn accounts_and_visits_are_listed_by_number() {
    let disk = FaultyDisk::with(USERS, users_file(3).as_bytes());
    disk.put(ADDRESSES, addresses_file(3).as_bytes());
    let mut store = open(&disk);
    alter(&mut store, "user0", Disable);
    store.note_visitor(address(1), &name("user2"));
    let user = |number: u8| (format!("user{number}"), hash(number), number == 0);
    assert_eq!(listed(&store), [user(0), user(1), user(2)]);
    let account = store.account(0).unwrap();
    assert_eq!(account.registered, "2026-07-20T10:15:00Z".parse().unwrap());
    let mut visits: Vec<String> =
        (0..store.visits_end()).map(|number| store.visit(number).unwrap().0.to_string()).collect();
    visits.sort();
    assert_eq!((visits, store.visit(3)), (["user0", "user2", "user2"].map(str::to_owned).to_vec(), None));
}
