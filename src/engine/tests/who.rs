//! Who is online.

use super::*;

fn asked(world: &mut World, conn: ConnId, token: &[u8; 16]) -> (u32, String) {
    world.send(conn, Request::Who { token });
    let said = world.said(conn).pop().unwrap();
    match Reply::decode(&said) {
        Ok(Reply::Names { online, names }) => (online, names.to_owned()),
        other => panic!("no Names: {other:?}"),
    }
}

#[test]
fn who_names_each_that_has_a_connection_once_in_order() {
    let mut world = world();
    let (bob, token) = world.log_in("bob");
    let (ann, anns) = world.log_in("ann");
    let again = world.connect();
    world.send(again, Request::Identify(b"ann"));
    world.send(again, Request::Login(PASSWORD));
    world.log_in("Zoe");
    world.connect();
    assert_eq!(asked(&mut world, bob, &token), (3, "Zoe\nann\nbob\n".to_owned()));
    world.engine.handle_transport(ann, TransportEvent::Reset, world.now);
    assert_eq!(asked(&mut world, bob, &token).0, 3, "another session of hers is connected");
    world.engine.handle_transport(again, TransportEvent::Reset, world.now);
    assert_eq!(asked(&mut world, bob, &token), (2, "Zoe\nbob\n".to_owned()), "lost is not online");
    let ann = world.connect();
    world.send(ann, Request::Resume(&anns));
    assert_eq!(asked(&mut world, bob, &token).0, 3);
    world.said(ann);
    world.send(ann, Request::Exit);
    assert_eq!(asked(&mut world, bob, &token).0, 2);
}

#[test]
fn who_is_judged_as_a_message_is() {
    let mut world = world();
    let stranger = world.connect();
    world.send(stranger, Request::Who { token: &[7; 16] });
    world.expect_error(stranger, Code::UnexpectedFrame);
    let (ann, mut token) = world.log_in("ann");
    token[3] ^= 1;
    world.send(ann, Request::Who { token: &token });
    world.expect_error(ann, Code::BadToken);
}

/// The number is that of all, the names are the first ones, and whoever does not read them is not answered further.
#[test]
fn names_that_do_not_fit_a_frame_are_counted_and_left_out() {
    let mut world = world();
    let (zoe, token) = world.log_in("zoe");
    let long = |n| format!("{n:032}");
    for n in 0..9 {
        world.log_in(&long(n));
    }
    // 145 bytes of names: four of 33 bytes each.
    world.engine.registry.config.max_frame_bytes = 150;
    let (online, names) = asked(&mut world, zoe, &token);
    assert_eq!(online, 10);
    assert_eq!(names.lines().collect::<Vec<_>>(), (0..4).map(long).collect::<Vec<_>>());
    for _ in 0..1_000 {
        world.send(zoe, Request::Who { token: &token });
    }
    let waits = world.engine.output(zoe).len();
    assert!((65_536..65_536 + 150).contains(&waits), "{waits} bytes of answers wait");
}
