//! What lies between the engine and a socket holds back, fails, or never comes about.

use super::*;

#[test]
fn the_last_word_is_said_only_when_nothing_is_held() {
    let mut world = world();
    let (ann, _) = world.log_in("ann");
    world.send(ann, Request::Exit);
    let count = world.engine.output(ann).len();
    let held = Written { bytes: count, backlog_bytes: 100, is_blocked: false };
    world.engine.handle_writable(ann, world.now, |_| held);
    assert_eq!(world.engine.poll_command(), None, "Bye is still on its way");
    world.engine.handle_writable(ann, world.now, |_| Written::default());
    assert_eq!(world.engine.poll_command(), Some((ann, SocketCommand::ShutDown)));
}

#[test]
fn what_is_held_for_long_is_a_slow_consumers() {
    let mut world = world();
    let (ann, token) = world.log_in("ann");
    world.send(ann, Request::Message { token: &token, text: b"hi" });
    let count = world.engine.output(ann).len();
    let held = Written { bytes: count, backlog_bytes: 100, is_blocked: false };
    world.engine.handle_writable(ann, world.now, |_| held);
    world.pass(OUTPUT_STALL - Duration::from_secs(1));
    assert!(!world.engine.is_closing(ann));
    world.pass(Duration::from_secs(1));
    assert!(world.engine.is_closing(ann));
    // Its error waits, and the time for that is up soon.
    world.pass(crate::limits::CLOSE_FLUSH);
    assert_eq!(world.engine.poll_command(), Some((ann, SocketCommand::ShutDown)));
}

/// The fault: what a transport held was one piece, so that a peer who took it byte by byte was cut off as if it took nothing.
#[test]
fn what_is_held_and_moves_is_no_slow_consumers() {
    let mut world = world();
    let (ann, token) = world.log_in("ann");
    world.send(ann, Request::Message { token: &token, text: b"hi" });
    let mut held = Written { bytes: world.engine.output(ann).len(), backlog_bytes: 100, is_blocked: true };
    for _ in 0..10 {
        world.engine.handle_writable(ann, world.now, |_| held);
        held = Written { bytes: 0, backlog_bytes: held.backlog_bytes - 1, is_blocked: true };
        world.pass(OUTPUT_STALL - Duration::from_secs(1));
        assert!(!world.engine.is_closing(ann));
    }
    world.pass(Duration::from_secs(1));
    assert!(world.engine.is_closing(ann), "since the last that moved");
}

/// Of those with the most waiting is, too, whose transport has taken it and still holds it.
#[test]
fn what_is_held_is_its_connections_when_those_with_the_most_go() {
    let config = Config {
        max_frame_bytes: 16_000,
        output_limit_bytes: 40_000,
        output_total_bytes: 40_000,
        ..config()
    };
    let mut world = World::new(config, Box::new(Echo));
    let [ann, bob, cid] = ["ann", "bob", "cid"].map(|name| world.log_in(name));
    for (conn, _) in [ann, bob, cid] {
        world.said(conn);
    }
    world.send(ann.0, Request::Message { token: &ann.1, text: b"hi" });
    let held = Written { bytes: world.engine.output(ann.0).len(), backlog_bytes: 100, is_blocked: true };
    world.engine.handle_writable(ann.0, world.now, |_| held);
    world.send(ann.0, Request::Message { token: &ann.1, text: b"hi" });
    for (conn, token) in [bob, cid] {
        assert!(!world.engine.is_closing(ann.0));
        world.send(conn, Request::Message { token: &token, text: &[b'x'; 13_000] });
    }
    assert!(world.engine.is_closing(ann.0));
    assert!(!world.engine.is_closing(bob.0) || !world.engine.is_closing(cid.0));
}

#[test]
fn after_a_fault_nothing_waits_and_the_session_can_be_resumed() {
    let mut world = world();
    let (ann, token) = world.log_in("ann");
    world.send(ann, Request::Message { token: &token, text: b"hi" });
    world.engine.handle_transport(ann, TransportEvent::Failed("a bad record"), world.now);
    assert!(world.engine.output(ann).is_empty());
    assert_eq!(world.engine.poll_command(), Some((ann, SocketCommand::ShutDown)));
    world.engine.handle_transport(ann, TransportEvent::Ended, world.now);
    assert_eq!(world.engine.poll_command(), Some((ann, SocketCommand::Close)));
    let again = world.connect();
    world.send(again, Request::Resume(&token));
    assert_eq!(world.said(again)[0][0], 0x83);
}

#[test]
fn who_goes_before_anything_was_carried_is_forgotten_at_once() {
    let mut world = world();
    let conn = world.engine.handle_connect(([192, 0, 2, 1], 4000).into(), world.now).unwrap();
    world.engine.handle_transport(conn, TransportEvent::NeverOpened, world.now);
    assert_eq!(world.engine.poll_command(), Some((conn, SocketCommand::Close)));
    assert!(world.engine.is_empty() && world.engine.is_closing(conn));
}

/// A client that did not read its echoes, so that it was not read, has gone; its Exit was on the way.
#[test]
fn what_came_before_a_write_close_is_handled() {
    let mut world = world();
    let (ann, token) = world.log_in("ann");
    let text = [b'x'; 60_000];
    for _ in 0..3 {
        world.send(ann, Request::Message { token: &token, text: &text });
    }
    assert_eq!(world.engine.read_budget(ann), ReadBudget::Nothing);
    while world.engine.poll_unblocked().is_some() {}
    world.engine.handle_transport(ann, TransportEvent::WriteClosed, world.now);
    assert_eq!(world.engine.poll_unblocked(), Some(ann), "it is given a turn though no event comes");
    assert!(world.engine.output(ann).is_empty());
    world.engine.handle_bytes(ann, &mut [], world.now);
    world.engine.handle_transport(ann, TransportEvent::WriteClosed, world.now);
    world.send(ann, Request::Exit);
    world.engine.handle_transport(ann, TransportEvent::WriteClosed, world.now);
    assert_eq!(world.engine.poll_command(), Some((ann, SocketCommand::Close)), "nothing is flushed");
    let again = world.connect();
    world.send(again, Request::Resume(&token));
    world.expect_error(again, Code::NoSuchSession);
}

/// Neither a hash that was asked for before, nor one that is asked for after.
#[test]
fn nobody_hashes_for_the_write_closed() {
    let mut world = world();
    world.log_in("ann");
    for is_closed_before in [true, false] {
        let conn = world.connect();
        world.send(conn, Request::Identify(b"ann"));
        if is_closed_before {
            world.engine.handle_transport(conn, TransportEvent::WriteClosed, world.now);
        }
        world.send(conn, Request::Login(b"not the password"));
        assert_eq!(world.engine.is_hashing(), !is_closed_before);
        world.engine.handle_transport(conn, TransportEvent::WriteClosed, world.now);
        assert!(!world.engine.is_hashing());
        assert!(world.engine.is_closing(conn));
    }
}

/// Where it understands plain text.
#[test]
fn a_proxy_is_told_what_is_wrong_with_its_header() {
    let mut world = world();
    let proxy: SocketAddr = ([192, 0, 2, 9], 4000).into();
    let (malformed, late) = (HeaderFault::Malformed("no header"), HeaderFault::TimedOut("nothing came"));
    for (fault, code, reason) in
        [(malformed, Code::Malformed, "no header"), (late, Code::TimedOut, "nothing came")]
    {
        let conn = world.engine.handle_header_fault(proxy, fault, true, world.now).unwrap();
        assert_eq!(world.expect_error(conn, code), reason);
        assert_eq!(world.engine.connections_free(), config().max_connections, "it has no place");
    }
    assert_eq!(world.engine.handle_header_fault(proxy, malformed, false, world.now), None);
}
