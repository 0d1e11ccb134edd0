//! What must not be left behind: input that nobody reads any more, answers that nobody takes, and passwords where they
//! were lent.

use super::*;
use crate::limits::OUTPUT_HOLDS_INPUT_BYTES;

/// The bytes of these frames, after the engine has had them.
fn lent(world: &mut World, conn: ConnId, requests: &[Request<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    requests.iter().for_each(|request| request.encode(&mut bytes));
    world.engine.handle_bytes(conn, &mut bytes, world.now);
    bytes
}

fn unblocked(world: &mut World) -> Vec<ConnId> {
    std::iter::from_fn(|| world.engine.poll_unblocked()).collect()
}

/// A connection that is not read while it waits is closed by something else: what its socket holds is to be discarded,
/// or closing would reset it and the last word be lost.
#[test]
fn a_connection_that_was_not_read_is_read_again_when_it_closes() {
    let mut world = world();
    let (held, token) = world.log_in("bob");
    let waiting = world.register("ann");
    while world.engine.read_budget(held) != ReadBudget::Nothing {
        world.send(held, Request::Message { token: &token, text: &[b'x'; 30_000] });
    }
    unblocked(&mut world);
    assert_eq!(world.engine.read_budget(waiting), ReadBudget::Nothing);
    world.engine.handle_shutdown(world.now);
    let mut unblocked = unblocked(&mut world);
    unblocked.sort();
    assert_eq!(unblocked, [held, waiting]);
}

/// The same for one whose output held its input, and is dropped because it takes nothing of it.
#[test]
fn a_slow_consumer_is_read_again_when_it_closes() {
    let mut world = world();
    let (slow, token) = world.log_in("ann");
    while world.engine.read_budget(slow) != ReadBudget::Nothing {
        world.send(slow, Request::Message { token: &token, text: &[b'x'; 30_000] });
    }
    world.engine.handle_writable(slow, world.now, |_| Written::bytes(1));
    unblocked(&mut world);
    world.pass(OUTPUT_STALL);
    assert!(world.engine.is_closing(slow));
    assert_eq!(unblocked(&mut world), [slow]);
}

/// Refusals below 100 are answers too. A stranger who sends for them and takes none is no longer read.
#[test]
fn a_stranger_who_takes_no_answer_is_not_read() {
    let mut world = world();
    let stranger = world.connect();
    let names: Vec<_> = (0..200).map(|_| Request::Identify(b"")).collect();
    for _ in 0..100 {
        lent(&mut world, stranger, &names);
        while world.engine.read_budget(stranger) == ReadBudget::Backlog {
            world.engine.handle_bytes(stranger, &mut [], world.now);
        }
    }
    let waiting = world.engine.output(stranger).len();
    assert!(waiting < OUTPUT_HOLDS_INPUT_BYTES + 100, "{waiting}");
    assert_eq!(world.engine.read_budget(stranger), ReadBudget::Nothing);
    world.write_all();
    assert_eq!(unblocked(&mut world), [stranger]);
    world.engine.handle_bytes(stranger, &mut [], world.now);
    assert!(!world.engine.output(stranger).is_empty(), "and is served again once they are taken");
}

/// The shared read buffer is wiped after a frame that held a password; after one that was refused,
/// or that has to wait its turn, too, and after one that is not even looked at.
#[test]
fn no_password_stays_where_it_was_lent() {
    let mut world = world();
    let refused = world.connect();
    let waiting = world.connect();
    let closing = world.connect();
    world.send(closing, Request::Exit);
    let too_long = [b'x'; 1025];
    for (conn, requests) in [
        (refused, &[Request::Identify(b"ann"), Request::Login(PASSWORD)][..]),
        (waiting, &[Request::Identify(b"ann"), Request::Register(PASSWORD), Request::Login(PASSWORD)]),
        (world.connect(), &[Request::Login(&too_long)]),
        // Behind a frame after which no other is handled.
        (world.connect(), &[Request::Exit, Request::Login(PASSWORD)]),
        (closing, &[Request::Login(PASSWORD)]),
    ] {
        let bytes = lent(&mut world, conn, requests);
        for secret in [PASSWORD, &too_long] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{bytes:?}");
        }
    }
    assert_eq!(world.said(refused).pop().unwrap()[..3], [0x8f, 0, 102]);
    world.hash();
    world.store(Ok(()));
    world.engine.handle_bytes(waiting, &mut [], world.now);
    assert_eq!(world.said(waiting).pop().unwrap()[0], 0x83, "what waited is whole");
}
