//! What names cost: the rounds of a wrong login tell nobody who is a user.

use super::*;
use std::collections::BTreeSet;

const WRONG: &[u8] = b"not the password";

impl World {
    /// The rounds that a wrong login costs, from an address of its own.
    fn cost(&mut self, name: &str, address: u16) -> u32 {
        let [high, low] = address.to_be_bytes();
        let conn = self.engine.handle_connect(([10, 9, high, low], 4000).into(), self.now).unwrap();
        self.send(conn, Request::Identify(name.as_bytes()));
        self.send(conn, Request::Login(WRONG));
        let rounds = self.hash();
        self.expect_last_error(conn, Code::WrongPassword);
        self.engine.handle_transport(conn, TransportEvent::Reset, self.now);
        while self.engine.poll_command().is_some() {}
        rounds
    }

    fn expect_last_error(&mut self, conn: ConnId, code: Code) {
        let said = self.said(conn).pop().unwrap();
        assert!(
            matches!(Reply::decode(&said), Ok(Reply::Error { code: number, .. }) if number == code.number())
        );
    }
}

/// A server whose users came under other numbers of rounds than today's, and where nobody can register.
fn grown() -> World {
    let mut world = world();
    for (rounds, names) in [(1_000, ["ann", "bob"]), (300, ["carol", "dave"])] {
        world.engine.registry.config.hash_rounds = rounds;
        for name in names {
            world.log_in(name);
        }
    }
    world.engine.registry.config.hash_rounds = 5_000;
    world.engine.registry.config.registration_open = false;
    world
}

/// The story: when `--hash-rounds` had changed, a name that cost today's rounds was nobody's, and any other somebody's.
#[test]
fn a_name_that_nobody_has_costs_what_a_users_does() {
    let mut world = grown();
    let users: BTreeSet<u32> = ["ann", "bob", "carol", "dave"].map(|name| world.cost(name, 1)).into();
    assert_eq!(users.len(), 2);
    let mut costs = Vec::new();
    for number in 0..40 {
        let name = format!("nobody{number}");
        costs.push(world.cost(&name, 100 + number));
        assert_eq!(
            world.cost(&name, 200 + number),
            costs[usize::from(number)],
            "{name} costs now this, now that"
        );
    }
    assert_eq!(costs.iter().copied().collect::<BTreeSet<u32>>(), users);
    assert!(costs.iter().filter(|cost| Some(*cost) == users.first()).count() > 5, "{costs:?}");
}

/// Who logs in is hashed anew with today's rounds. The names that take after that user follow.
#[test]
fn a_new_hash_after_a_login_does_not_tell_either() {
    let mut world = grown();
    let name = |number: u16| format!("nobody{number}");
    let before: Vec<u32> = (0..40).map(|number| world.cost(&name(number), 100 + number)).collect();
    for user in ["ann", "bob"] {
        world.engine.admission.cache.forget(&Name::new(user).unwrap());
        let conn = world.connect();
        world.send(conn, Request::Identify(user.as_bytes()));
        world.send(conn, Request::Login(PASSWORD));
        world.hash();
        world.store(Ok(()));
    }
    let users: BTreeSet<u32> = ["ann", "bob", "carol", "dave"].map(|name| world.cost(name, 1)).into();
    let after: Vec<u32> = (0..40).map(|number| world.cost(&name(number), 200 + number)).collect();
    assert_eq!(after.iter().copied().collect::<BTreeSet<u32>>(), users);
    for (before, after) in before.iter().zip(&after) {
        let is_cheap = Some(before) == users.first();
        assert_eq!(
            is_cheap,
            before == after,
            "those of ann and bob are dearer now, those of carol and dave are not"
        );
    }
}

/// Or whose cost changes at a removal would be known to be nobody.
#[test]
fn a_removal_changes_the_cost_of_no_name_but_the_removed_ones() {
    let mut world = grown();
    let name = |number: u16| format!("nobody{number}");
    let before: Vec<u32> = (0..40).map(|number| world.cost(&name(number), 100 + number)).collect();
    let store = world.engine.store_mut();
    // The others keep their numbers.
    let last = store.users.keys().last().unwrap().clone();
    let removed = store.users.remove(&last).unwrap();
    store.removed.push(removed.rounds);
    let after: Vec<u32> = (0..40).map(|number| world.cost(&name(number), 200 + number)).collect();
    assert_eq!(before, after);
}

/// Among nobody at all there is nothing to be told apart.
#[test]
fn without_users_all_names_cost_todays_rounds() {
    let mut world = world();
    world.engine.registry.config.registration_open = false;
    assert_eq!(world.cost("nobody", 1), ROUNDS);
}
