//! What is counted.

use super::*;
use crate::command::FigureValue;

impl World {
    fn told(&self, name: &str) -> FigureValue {
        let figures = self.engine.figures(self.now).values;
        figures.into_iter().find(|figure| figure.name == name).unwrap().value
    }

    fn logins(&self, outcome: &str) -> f64 {
        let FigureValue::Counters(_, values) = self.told("logins_total") else {
            panic!("a counter by outcome")
        };
        values.iter().find(|(label, _)| label == outcome).unwrap().1
    }

    /// How many were measured, and their sum in seconds.
    fn measured(&self, name: &str) -> (u64, f64) {
        let FigureValue::Histogram { classes, sum } = self.told(name) else { panic!("a histogram") };
        (classes.iter().map(|(_, count)| count).sum(), sum)
    }
}

#[test]
fn whoever_is_greeted_is_counted() {
    let mut world = world();
    for _ in 0..3 {
        let conn = world.connect();
        world.engine.handle_transport(conn, TransportEvent::Reset, world.now);
    }
    assert!(matches!(world.told("connections_accepted_total"), FigureValue::Counter(3.0)));
}

/// The story: a remembered login that no token could be drawn for was counted, and logins less the remembered ones were less
/// than none.
#[test]
fn a_login_that_comes_to_nothing_is_none() {
    let mut world = world();
    world.log_in("ann");
    assert_eq!((world.logins("full"), world.logins("remembered")), (0.0, 1.0));
    let again = world.connect();
    world.send(again, Request::Identify(b"ann"));
    world.said(again);
    world.dry.set(true);
    world.send(again, Request::Login(PASSWORD));
    world.expect_error(again, Code::Internal);
    assert_eq!((world.logins("full"), world.logins("remembered")), (0.0, 1.0));
}

/// A password waits from when it came, and is done when it is hashed. A new hash of a known one is waited for by nobody.
#[test]
fn a_hash_is_timed_from_when_it_was_wanted() {
    let config = Config { login_cache: Duration::ZERO, hash_wait: Duration::MAX, ..config() };
    let mut world = World::new(config.clone(), Box::new(Echo));
    let conn = world.connect();
    world.send(conn, Request::Identify(b"ann"));
    world.send(conn, Request::Register(PASSWORD));
    world.pass(Duration::from_secs(3));
    assert_eq!((world.measured("hash_wait_seconds"), world.measured("hash_seconds")), ((0, 0.0), (0, 0.0)));
    world.engine.handle_hashing(ROUNDS / 2, world.now);
    world.pass(Duration::from_secs(2));
    assert_eq!((world.measured("hash_wait_seconds"), world.measured("hash_seconds")), ((1, 3.0), (0, 0.0)));
    world.hash();
    assert_eq!((world.measured("hash_wait_seconds"), world.measured("hash_seconds")), ((1, 3.0), (1, 5.0)));

    world.store(Ok(()));
    world.engine.handle_config(Config { hash_rounds: 2 * ROUNDS, ..config }, world.now);
    world.send(conn, Request::Login(PASSWORD));
    assert_eq!(world.hash(), 3 * ROUNDS, "the login's, and a new one of the same password");
    assert_eq!((world.measured("hash_wait_seconds").0, world.measured("hash_seconds").0), (2, 2));
}
