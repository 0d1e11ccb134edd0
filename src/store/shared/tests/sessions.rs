//! Sessions, where the store carries out what it is told in another order, or too late.

use super::*;

/// What a store answers to whoever resumes that session.
fn resumed(world: &World) -> String {
    let entry = u128::from_be_bytes(world.store.carriage.by_entry.keys().next().unwrap().0);
    format!("*3\r\n$32\r\n{entry:032x}\r\n$3\r\nann\r\n:2\r\n")
}

/// The story: behind a resume the store was told of the session as it was before, and it said for twenty seconds that nobody of
/// that name is online.
#[test]
fn a_resume_is_said_again_where_an_older_word_came_behind_it() {
    let (mut world, session) = with_session([3; 16]);
    world.store.resume(Ticket(2), &[3; 16], &[4; 16], ([192, 0, 2, 1], 4001).into(), Some(session));
    let resumed = resumed(&world);
    world.store.lose(session, Duration::from_secs(60));
    world.pass(Duration::ZERO);
    let is_lost = "$5\r\n60000\r\n$0\r\n\r\n$1\r\n0\r\n";
    assert!(world.written().contains(is_lost));
    world.say(format!("{resumed}*0\r\n").as_bytes());
    let Some((2, Some(crate::store::Found::Resumed(Some(found))))) = world.found() else {
        panic!("it is resumed")
    };
    world.store.carry(found.entry, Some(session));
    world.pass(Duration::ZERO);
    let written = world.written();
    assert!(written.contains("$5\r\n80000\r\n$0\r\n\r\n$1\r\n1\r\n"), "{written}");
}

/// The story: an end was carried out too late, and said again; a resume that was asked for after it came before it.
#[test]
fn nobody_is_let_in_while_the_store_has_not_heard_of_the_end() {
    let (mut world, session) = with_session([3; 16]);
    let resumed = resumed(&world);
    world.store.end(session);
    world.written();
    world.store.resume(Ticket(2), &[3; 16], &[4; 16], ([192, 0, 2, 1], 4001).into(), None);
    world.written();
    world.say(b"-LATE nobody waits for it any more\r\n");
    world.say(resumed.as_bytes());
    assert_eq!(world.found(), Some((2, Some(crate::store::Found::Resumed(None)))));
    world.written();
    world.say(b"*2\r\n$1\r\n0\r\n$1\r\n0\r\n+done\r\n");
    assert!(world.store.carriage.ended.is_empty() && world.store.is_ready());
}

/// The story: a word on a session's connection was carried out too late, and not said again for twenty seconds.
#[test]
fn a_word_on_a_session_that_came_too_late_is_said_again() {
    let (mut world, session) = with_session([3; 16]);
    world.store.lose(session, Duration::from_secs(60));
    world.pass(Duration::ZERO);
    assert!(world.written().contains("An owner's word"));
    world.say(b"-LATE nobody waits for it any more\r\n");
    world.pass(Duration::ZERO);
    assert!(world.written().contains("An owner's word"));
}
