//! Several hashes at once: what they do to debts and waits.

use super::*;
use crate::auth::LaneCosts;

impl World {
    fn connect_from(&mut self, last: u8) -> ConnId {
        let conn = self.engine.handle_connect(([192, 0, 2, last], 4000).into(), self.now).unwrap();
        self.said(conn);
        conn
    }

    /// Sends a login, and hashes nothing yet.
    fn try_password(&mut self, last: u8, password: &[u8]) -> ConnId {
        let conn = self.connect_from(last);
        self.send(conn, Request::Identify(b"ann"));
        self.said(conn);
        self.send(conn, Request::Login(password));
        conn
    }

    /// The kind of a connection's last answer, and the code if it is an Error.
    fn answer(&mut self, conn: ConnId) -> (u8, u16) {
        let said = self.said(conn).pop().unwrap_or_default();
        match Reply::decode(&said) {
            Ok(Reply::Error { code, .. }) => (said[0], code),
            _ => (said[0], 0),
        }
    }
}

/// A server that knows ann, and no password by heart.
fn forgetful(config: Config) -> World {
    let hash_lane_costs = LaneCosts::new([1, 1, 1, 100, 100, 100].map(Duration::from_millis));
    let config = Config { login_cache: Duration::ZERO, hash_lane_costs, ..config };
    let mut world = World::new(config, Box::new(Echo));
    world.log_in("ann");
    world
}

#[test]
fn who_log_in_together_do_not_throttle_each_other() {
    let mut world = forgetful(config());
    let crowd: Vec<ConnId> = (0..9).map(|_| world.try_password(1, PASSWORD)).collect();
    world.engine.handle_hashing(10, world.now);
    let late = world.try_password(1, PASSWORD);
    world.hash();
    for conn in crowd.into_iter().chain([late]) {
        assert_eq!(world.answer(conn), (0x83, 0));
    }
}

/// Guesses are no cheaper for coming all at once.
#[test]
fn guesses_that_come_together_are_as_few_as_in_turn() {
    let mut world = forgetful(config());
    let crowd: Vec<ConnId> = (0..20).map(|_| world.try_password(1, b"not the password")).collect();
    let stranger = world.try_password(2, PASSWORD);
    world.hash();
    let answers: Vec<(u8, u16)> = crowd.into_iter().map(|conn| world.answer(conn)).collect();
    let count = |code: Code| answers.iter().filter(|answer| **answer == (0x8f, code as u16)).count();
    assert_eq!((count(Code::WrongPassword), count(Code::Throttled)), (4, 16));
    assert_eq!(world.answer(stranger), (0x83, 0));
}

/// Who finds a lane does not wait, and a crowd makes room for somebody from elsewhere; the next of the crowd is told
/// how long it would be.
#[test]
fn busy_is_said_when_all_lanes_are_taken() {
    let lanes = 4;
    let mut world =
        forgetful(Config { hash_wait: Duration::from_millis(100), penalty: Duration::ZERO, ..config() });
    // One more than there are lanes waits for the first to be done: 999 rounds at 500 a second.
    world.engine.admission.hash_rate = super::super::admission::HashRate::new(500);
    let crowd: Vec<ConnId> = (0..lanes).map(|_| world.try_password(1, PASSWORD)).collect();
    world.engine.handle_hashing(lanes, world.now);
    let busy = world.connect_from(1);
    world.send(busy, Request::Identify(b"ann"));
    world.said(busy);
    world.send(busy, Request::Login(PASSWORD));
    assert!(world.expect_error(busy, Code::Busy).starts_with("2 "));
    let stranger = world.try_password(2, PASSWORD);
    // Whose lane one has left to the stranger, the other to the late one.
    world.engine.handle_transport(crowd[0], TransportEvent::Reset, world.now);
    world.engine.handle_transport(crowd[1], TransportEvent::Reset, world.now);
    let late = world.try_password(1, PASSWORD);
    world.hash();
    for conn in crowd[2..].iter().chain([&stranger, &late]) {
        assert_eq!(world.answer(*conn), (0x83, 0));
    }
}

/// To be let in at once, or not, tells a guesser what the slow hash would: it must cost as much, though none is done.
#[test]
fn guesses_at_a_remembered_password_are_charged_though_nobody_waits_for_the_hash() {
    let mut world = World::new(config(), Box::new(Echo));
    world.log_in("ann");
    for _ in 0..4 {
        let guesser = world.try_password(1, b"not the password");
        assert!(world.engine.is_hashing());
        world.engine.handle_transport(guesser, TransportEvent::Reset, world.now);
        assert!(!world.engine.is_hashing());
    }
    let right = world.try_password(1, PASSWORD);
    assert_eq!(world.answer(right), (0x8f, Code::Throttled as u16));
    let elsewhere = world.try_password(2, PASSWORD);
    assert_eq!(world.answer(elsewhere), (0x83, 0));
}

/// As many are hashed as of those that are charged when their hashes start.
#[test]
fn wrong_passwords_of_a_remembered_user_are_charged_once() {
    let mut world = World::new(config(), Box::new(Echo));
    world.log_in("ann");
    for guess in 0..5 {
        let conn = world.try_password(1, b"not the password");
        world.hash();
        let code = if guess < 4 { Code::WrongPassword } else { Code::Throttled };
        assert_eq!(world.answer(conn), (0x8f, code as u16), "guess {guess}");
    }
}

/// So little that more charges are left than a counter holds.
#[test]
fn a_penalty_of_next_to_nothing_stops_nobody() {
    let mut world = forgetful(Config { penalty: Duration::from_nanos(1), ..config() });
    let first = world.try_password(1, PASSWORD);
    world.engine.handle_hashing(1, world.now);
    let second = world.try_password(1, PASSWORD);
    world.hash();
    assert_eq!([first, second].map(|conn| world.answer(conn)), [(0x83, 0); 2]);
}
