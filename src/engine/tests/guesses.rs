//! No guess is free: whatever a connection does next, a login that was judged wrong is charged by then.

use super::*;

const PENALTY: Duration = Duration::from_secs(5);
const WRONG: &[u8] = b"not the password";

impl World {
    /// Somebody at another address than the users', who has said to be ann.
    fn guesser(&mut self) -> ConnId {
        let conn = self.engine.handle_connect(([192, 0, 2, 9], 4000).into(), self.now).unwrap();
        self.send(conn, Request::Identify(b"ann"));
        self.said(conn);
        conn
    }

    fn debt(&self) -> Duration {
        self.engine.debt([192, 0, 2, 9].into(), self.now)
    }
}

/// Whether a login that was judged by its hash is still under way when its client leaves, or was judged at once.
fn worlds() -> [World; 2] {
    let mut cached = World::new(config(), Box::new(Echo));
    cached.log_in("ann");
    let mut hashed = World::new(Config { login_cache: Duration::ZERO, ..config() }, Box::new(Echo));
    hashed.log_in("ann");
    [cached, hashed]
}

/// The story: `Identify(ann) Login(guess)` and the end of the stream in one packet was answered with Welcome if the
/// guess was right, and with nothing and for nothing if not.
#[test]
fn a_guess_in_one_packet_with_the_end_is_charged() {
    for at_its_end in [false, true] {
        let [mut world, _] = worlds();
        let right = world.guesser();
        world.engine.handle_transport(right, TransportEvent::HalfClosed, world.now);
        world.send(right, Request::Login(PASSWORD));
        assert_eq!((world.said(right)[0][0], world.debt()), (0x83, Duration::ZERO));
        let wrong = world.guesser();
        match at_its_end {
            false => world.engine.handle_transport(wrong, TransportEvent::HalfClosed, world.now),
            true => world.engine.handle_transport(wrong, TransportEvent::WriteClosed, world.now),
        }
        world.send(wrong, Request::Login(WRONG));
        assert!(world.said(wrong).is_empty() && world.engine.is_closing(wrong));
        assert_eq!(world.debt(), PENALTY);
    }
}

#[test]
fn every_way_of_leaving_after_a_guess_leaves_its_charge() {
    type Leave = fn(&mut World, ConnId);
    let ways: [(&str, Leave); 7] = [
        ("half-close", |world, conn| {
            world.engine.handle_transport(conn, TransportEvent::HalfClosed, world.now)
        }),
        ("end", |world, conn| world.engine.handle_transport(conn, TransportEvent::Ended, world.now)),
        ("reset", |world, conn| world.engine.handle_transport(conn, TransportEvent::Reset, world.now)),
        ("no way back", |world, conn| {
            world.engine.handle_transport(conn, TransportEvent::WriteClosed, world.now)
        }),
        ("a broken transport", |world, conn| {
            world.engine.handle_transport(conn, TransportEvent::Failed("broken"), world.now)
        }),
        ("Exit", |world, conn| {
            world.send(conn, Request::Exit);
            world.hash();
            world.engine.handle_bytes(conn, &mut [], world.now);
            assert!(world.engine.is_closing(conn));
        }),
        ("a stop of the server", |world, _| world.engine.handle_shutdown(world.now)),
    ];
    for (way, leave) in ways {
        for mut world in worlds() {
            let wrong = world.guesser();
            world.send(wrong, Request::Login(WRONG));
            world.engine.handle_hashing(10, world.now);
            leave(&mut world, wrong);
            assert_eq!(world.debt(), PENALTY, "after {way}");
            world.hash();
            assert_eq!(world.debt(), PENALTY, "after {way}, later");
        }
    }
}

/// An exempt address is not charged, however its login ends, nor does it pay for what others of its network owe; and one
/// that is exempt no more is charged again.
#[test]
fn an_exempt_address_is_neither_charged_nor_refused() {
    let exempt: Vec<_> = ["198.51.100.0/24", "192.0.2.8/31"].map(|network| network.parse().unwrap()).to_vec();
    for mut world in worlds() {
        let settings = world.engine.registry.config.clone();
        world.engine.handle_config(Config { exempt: exempt.clone(), ..settings.clone() }, world.now);
        for _ in 0..10 {
            let wrong = world.guesser();
            world.send(wrong, Request::Login(WRONG));
            world.hash();
            world.expect_error(wrong, Code::WrongPassword);
            world.send(wrong, Request::Login(WRONG));
            world.engine.handle_hashing(10, world.now);
            world.engine.handle_transport(wrong, TransportEvent::Reset, world.now);
        }
        assert_eq!(world.debt(), Duration::ZERO);
        world.engine.handle_config(settings, world.now);
        let wrong = world.guesser();
        world.send(wrong, Request::Login(WRONG));
        world.hash();
        assert_eq!(world.debt(), PENALTY);
    }
}

/// Nobody is told Busy for nothing either, as long as what the password is was known.
#[test]
fn a_guess_for_which_there_is_no_room_is_charged_if_it_was_judged() {
    for (mut world, owed) in worlds().into_iter().zip([PENALTY, Duration::ZERO]) {
        world.engine.registry.config.hash_wait = Duration::ZERO;
        world.engine.admission.hash_rate = super::super::admission::HashRate::new(1);
        for address in 10..40 {
            let peer = ([192, 0, 2, address], 4000).into();
            let conn = world.engine.handle_connect(peer, world.now).unwrap();
            world.send(conn, Request::Identify(b"bob"));
            world.send(conn, Request::Register(PASSWORD));
        }
        let wrong = world.guesser();
        world.send(wrong, Request::Login(WRONG));
        world.expect_error(wrong, Code::Busy);
        assert_eq!(world.debt(), owed);
    }
}

/// A login that waits for its name to be stored is judged when it is, by the password that was registered.
#[test]
fn a_guess_at_a_name_that_is_being_stored_is_charged_when_it_is_judged() {
    let mut world = world();
    world.register("ann");
    let (stays, leaves) = (world.guesser(), world.guesser());
    world.send(stays, Request::Login(WRONG));
    world.send(leaves, Request::Login(WRONG));
    world.engine.handle_transport(leaves, TransportEvent::Reset, world.now);
    assert_eq!(world.debt(), Duration::ZERO, "nothing was judged");
    world.store(Ok(()));
    assert_eq!(world.debt(), PENALTY);
    world.engine.handle_transport(stays, TransportEvent::Reset, world.now);
    assert_eq!(world.debt(), PENALTY);
}

/// The story: a charge was put on an address when a hash began, and taken back when the password was right. By then time
/// had paid it off, so that it was somebody's guess that was taken back.
#[test]
fn a_right_password_takes_back_nobody_elses_charge() {
    let [mut world, _] = worlds();
    world.register("bob");
    world.store(Ok(()));
    world.engine.admission.cache.forget(&Name::new("bob").unwrap());
    let slow = world.engine.handle_connect(([192, 0, 2, 9], 4000).into(), world.now).unwrap();
    world.send(slow, Request::Identify(b"bob"));
    world.send(slow, Request::Login(PASSWORD));
    world.engine.handle_hashing(10, world.now);
    world.pass(2 * PENALTY);
    let wrong = world.guesser();
    world.send(wrong, Request::Login(WRONG));
    world.engine.handle_transport(wrong, TransportEvent::Reset, world.now);
    world.hash();
    assert_eq!(world.said(slow).pop().unwrap()[0], 0x83);
    assert_eq!(world.debt(), PENALTY);
}

/// With registration closed nobody has the name, and the guess costs as much.
#[test]
fn a_guess_at_nobodys_password_is_charged() {
    let [mut world, _] = worlds();
    world.engine.registry.config.registration_open = false;
    let conn = world.connect();
    world.send(conn, Request::Identify(b"nobody"));
    world.said(conn);
    world.send(conn, Request::Login(WRONG));
    world.hash();
    world.expect_error(conn, Code::WrongPassword);
    assert_eq!(world.engine.debt([192, 0, 2, 1].into(), world.now), PENALTY);
}

/// A wrong guess is not slowed by a second hash, nor helped by a cache: the address is refused first.
#[test]
fn a_throttled_address_is_refused_without_a_hash() {
    let mut world = world();
    world.log_in("ann");
    for _ in 0..4 {
        let conn = world.connect();
        world.send(conn, Request::Identify(b"ann"));
        world.send(conn, Request::Login(b"not the password"));
        world.hash();
    }
    let conn = world.connect();
    world.send(conn, Request::Identify(b"ann"));
    world.said(conn);
    world.send(conn, Request::Login(PASSWORD));
    assert!(!world.engine.is_hashing());
    assert!(world.expect_error(conn, Code::Throttled).starts_with("5 "));
    world.pass(Duration::from_secs(5));
    let conn = world.connect();
    world.send(conn, Request::Identify(b"ann"));
    world.send(conn, Request::Login(PASSWORD));
    assert_eq!(world.said(conn).pop().unwrap()[0], 0x83);
}
