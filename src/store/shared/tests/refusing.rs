//! A store that refuses, or is wrong in one way after the other: what the log has of it, and when it is over.

use super::*;

const FULL: &[u8] =
    b"-OOM command not allowed when used memory > 'maxmemory'. script: 0123, on @user_script:1.\r\n";
const PROBED: &str = "Whether it takes what servers write";

fn lines(world: &mut World) -> Vec<String> {
    std::iter::from_fn(|| world.store.poll_notice()).map(|notice| notice.text).collect()
}

/// Something is refused, and so is what it is tried with.
fn refuse(world: &mut World, reason: &[u8]) {
    world.store.ask_until_answered(Retry::End { entry: EntryId([1; 16]) });
    world.written();
    world.say(reason);
    world.pass(STORE_LOOK);
    assert!(world.written().contains(PROBED));
    world.say(reason);
}

/// The story: a store that refused every write was well by all that was told, for nothing but a lost connection was trouble.
#[test]
fn a_store_that_refuses_is_in_trouble_until_it_takes_what_it_is_told() {
    let mut world = World::new();
    refuse(&mut world, FULL);
    let trouble = world.store.trouble(world.now).unwrap().to_owned();
    for part in ["refuses", "raise maxmemory", "OOM command not allowed"] {
        assert!(trouble.contains(part), "{trouble}");
    }
    assert!(!trouble.contains("127.0.0.1") && !trouble.contains("script:"), "{trouble}");
    assert!(world.store.excuse().contains("refuses"));
    let said = lines(&mut world);
    assert!(said.len() == 1 && said[0].contains("redis://127.0.0.1:6379 refuses"), "{said:?}");
    // Nobody asks for anything: it is looked at each second, and one more word of it is no line.
    for _ in 0..30 {
        let due = world.store.next_commit().unwrap();
        assert!(world.now < due && due <= world.now + STORE_LOOK, "it is not looked at all the time either");
        world.pass(STORE_LOOK);
        while world.store.pipeline.waiting() > 0 {
            world.written();
            world.say(FULL);
        }
    }
    assert!(lines(&mut world).is_empty() && world.store.trouble(world.now).is_some());
    world.pass(STORE_LOOK);
    world.written();
    world.say(b"+done\r\n");
    assert_eq!(world.store.trouble(world.now), None);
    let said = lines(&mut world);
    assert!(said.len() == 1 && said[0].contains("takes again what it is told, after 31."), "{said:?}");
    // What was refused meanwhile must not be left.
    assert!(world.written().contains("A session is over"));
}

/// Another reason is another line; two that take turns are a line each.
#[test]
fn a_store_that_refuses_for_reasons_in_turn_has_a_line_for_each() {
    let mut world = World::new();
    let reasons = [FULL, b"-NOREPLICAS Not enough good replicas to write.\r\n"];
    refuse(&mut world, reasons[0]);
    for n in 1..120 {
        world.pass(STORE_LOOK);
        while world.store.pipeline.waiting() > 0 {
            world.written();
            world.say(reasons[n % 2]);
        }
    }
    let said = lines(&mut world);
    assert!(said.len() == 2 && said[1].contains("min-replicas-to-write"), "{said:?}");
    assert!(world.store.trouble(world.now).unwrap().contains("min-replicas-to-write"));
}

/// Refusing, and not refusing, and refusing again: no line each second.
#[test]
fn a_store_that_refuses_now_and_then_does_not_fill_the_log() {
    let mut world = World::new();
    refuse(&mut world, FULL);
    for n in 1..60 {
        world.pass(STORE_LOOK);
        while world.store.pipeline.waiting() > 0 {
            world.written();
            world.say(if n % 2 == 0 { FULL } else { b"+done\r\n" });
        }
        if n % 2 == 1 {
            world.store.charge(Origin::of([192, 0, 2, 1].into()), Duration::from_secs(1));
        }
    }
    let said = lines(&mut world);
    assert!((2..=14).contains(&said.len()), "{said:?}");
}

/// One user's key has something else in it: they are told, a line says why, and the store is well.
#[test]
fn what_is_refused_to_one_user_alone_is_no_trouble_of_the_store() {
    let mut world = World::new();
    world.ask(1, "bob");
    world.say(b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n");
    assert_eq!(world.found(), Some((1, None)));
    assert!(!world.store.excuse().contains("reached"), "it was");
    world.pass(STORE_LOOK);
    assert!(world.written().contains(PROBED));
    world.say(b"+done\r\n");
    assert_eq!(world.store.trouble(world.now), None);
    let said = lines(&mut world);
    assert!(
        said.len() == 1 && said[0].contains("refuses something") && said[0].contains("WRONGTYPE"),
        "{said:?}"
    );
}

/// The story: the log kept the first reason, "connection reset", for as long as a store was away, though it was back behind
/// another certificate.
#[test]
fn each_reason_of_an_outage_is_a_line_and_no_two_fill_the_log() {
    let mut world = World::new();
    world.store.handle_closed("connection reset", world.now);
    // However it is called, nobody is there.
    for reason in ["connection refused", "it does not answer", "connection refused"] {
        world.pass(Duration::from_secs(20));
        world.store.handle_closed(reason, world.now);
    }
    let said = lines(&mut world);
    assert!(said.len() == 1 && said[0].contains("cannot be reached: connection reset"), "{said:?}");
    for n in 0..300 {
        world.pass(Duration::from_secs(1));
        match n % 3 {
            0 => world.store.handle_failed("its certificate has expired", world.now),
            1 => world.store.handle_failed("it speaks no TLS", world.now),
            _ => world.store.handle_closed("connection refused", world.now),
        }
        if n == 0 {
            assert!(world.store.trouble(world.now).unwrap().contains("expired"));
        }
    }
    let said = lines(&mut world);
    assert!(said.len() == 2 && said[0].contains("expired") && said[1].contains("no TLS"), "{said:?}");
    // One that has stayed is told once more.
    for _ in 0..20 {
        world.pass(Duration::from_secs(1));
        world.store.handle_failed("its certificate has expired", world.now);
    }
    let said = lines(&mut world);
    assert!(said.len() == 1 && said[0].contains("expired"), "{said:?}");
    world.pass(Duration::from_secs(1));
    world.reconnect(b"");
    let said = lines(&mut world);
    assert!(said.len() == 1 && said[0].contains("is back after 381."), "{said:?}");
}

/// Whatever is strange is a reason of its own, with its own words for clients.
#[test]
fn what_answers_and_cannot_be_used_is_not_said_to_be_out_of_reach() {
    let mut world = World::new();
    world.store.handle_closed("connection reset", world.now);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.store.action(world.now), LinkAction::Connect);
    world.store.handle_connected(world.now);
    world.say(b"-WRONGPASS invalid username-password pair or user is disabled.\r\n");
    let said = lines(&mut world);
    assert!(said.len() == 2 && said[1].contains("cannot be used: it does not take this user"), "{said:?}");
    assert_eq!(world.store.excuse(), "the shared store cannot be used");
}

/// One that speaks TLS where it spoke none leaves without a word.
#[test]
fn a_connection_that_is_dropped_before_a_word_may_be_one_for_tls() {
    let mut world = World::new();
    world.store.handle_closed("connection reset", world.now);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.store.action(world.now), LinkAction::Connect);
    world.store.handle_connected(world.now);
    world.store.handle_closed("it has closed the connection", world.now);
    let said = lines(&mut world);
    assert!(said.len() == 2 && said[1].contains("write rediss://"), "{said:?}");
}

/// The story: a probe that was carried out too late was waited for until the connection was lost, and so was the end of the
/// trouble.
#[test]
fn a_probe_that_came_too_late_is_made_again() {
    let mut world = World::new();
    refuse(&mut world, FULL);
    for _ in 0..3 {
        world.pass(STORE_LOOK);
        assert!(world.written().contains(PROBED));
        world.say(b"-LATE nobody waits for it any more\r\n");
        world.written();
        world.say(b"*2\r\n$10\r\n1800000000\r\n$1\r\n0\r\n");
    }
}

/// What comes together is asked a few at a time, and what an address is charged is one charge.
#[test]
fn a_store_that_was_away_is_not_buried() {
    let mut world = World::new();
    world.store.handle_closed("gone", world.now);
    let origin = Origin::of([192, 0, 2, 1].into());
    for number in 0_u64..1_000 {
        let entry = EntryId(u128::from(number).to_be_bytes());
        world.store.ask_until_answered(Retry::End { entry });
        world.store.charge(origin, Duration::from_millis(1));
    }
    world.pass(STORE_REPLY);
    world.reconnect(b"");
    let mut ended = world.written_first.matches("A session is over").count();
    let mut charged = String::new();
    assert!(ended <= 100, "{ended}");
    while world.store.pipeline.waiting() > 0 {
        let count = world.store.pipeline.waiting();
        assert!(count <= 102, "{count}");
        let written = world.written();
        ended += written.matches("A session is over").count();
        if written.contains("What an origin owes") {
            charged = written;
        }
        world.say(&b"+done\r\n".repeat(count));
    }
    assert_eq!(ended, 1_000);
    assert!(
        charged.matches("What an origin owes").count() == 1 && charged.contains("\r\n1000\r\n"),
        "{charged}"
    );
}
