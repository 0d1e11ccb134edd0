//! An account that is disabled: nobody learns from a login whether the password was right.

use super::*;
use crate::command::{Answer, Command};

const WRONG: &[u8] = b"not the password";
/// Composed it is another text, which is hashed first.
const TYPED: &[u8] = "pa\u{30a}ss word".as_bytes();

/// The rounds that one login takes from an address of its own, what it is answered, and what it is charged.
fn attempt(world: &mut World, password: &[u8], address: u8) -> (u32, Vec<Vec<u8>>, Duration) {
    let peer = SocketAddr::from(([10, 9, 0, address], 4000));
    let conn = world.engine.handle_connect(peer, world.now).unwrap();
    world.send(conn, Request::Identify(b"ann"));
    world.said(conn);
    world.send(conn, Request::Login(password));
    let rounds = world.hash();
    (rounds, world.said(conn), world.engine.debt(peer.ip(), world.now))
}

fn disable(world: &mut World, name: &str) {
    world.engine.store_mut().disabled.insert(Name::new(name).unwrap());
}

#[test]
fn right_and_wrong_passwords_of_a_disabled_account_take_the_same_steps() {
    let mut world = world();
    world.log_in("ann");
    // Names that nobody has cost what one of these does.
    for number in 0..20 {
        let stored = PasswordHash { rounds: ROUNDS / 2, salt: [1; 16], hash: [2; 16] };
        world.engine.store_mut().users.insert(Name::new(&format!("user{number}")).unwrap(), stored);
    }
    let wrong = attempt(&mut world, WRONG, 1);
    // It stays in the cache of passwords that were verified lately, and costs other rounds than are usual now.
    disable(&mut world, "ann");
    world.engine.registry.config.hash_rounds = 2 * ROUNDS;
    assert_eq!(attempt(&mut world, PASSWORD, 2), wrong);
    assert_eq!(attempt(&mut world, WRONG, 3), wrong);
    let (rounds, said, charged) = wrong;
    assert_eq!((rounds, charged > Duration::ZERO), (ROUNDS, true));
    assert!(
        matches!(Reply::decode(&said[0]), Ok(Reply::Error { code, .. }) if code == Code::WrongPassword.number())
    );
    let typed = attempt(&mut world, TYPED, 4);
    world.engine.store_mut().disabled.clear();
    assert_eq!(attempt(&mut world, TYPED, 5), typed, "as with any account");
    // It is let in again with the password that it had.
    assert_eq!(attempt(&mut world, PASSWORD, 6).1[0][0], 0x83);
}

#[test]
fn a_password_that_was_hashed_while_its_account_was_disabled_lets_nobody_in() {
    let mut world = World::new(Config { login_cache: Duration::ZERO, ..config() }, Box::new(Echo));
    world.log_in("ann");
    let conn = world.connect();
    world.send(conn, Request::Identify(b"ann"));
    world.said(conn);
    world.send(conn, Request::Login(PASSWORD));
    world.engine.handle_hashing(10, world.now);
    disable(&mut world, "ann");
    world.hash();
    world.expect_error(conn, Code::WrongPassword);
}

#[test]
fn a_session_of_a_disabled_account_cannot_change_its_password() {
    let mut world = world();
    let (conn, token) = world.log_in("ann");
    disable(&mut world, "ann");
    world.send(conn, Request::ChangePassword { token: &token, old: PASSWORD, new: b"close sesame" });
    world.hash();
    world.expect_error(conn, Code::WrongPassword);
    assert!(world.engine.store_mut().waiting.is_empty());
}

#[test]
fn the_name_of_a_disabled_account_is_taken() {
    let mut world = world();
    // Both are about to register when one is stored, and disabled at once.
    let late = world.connect();
    world.send(late, Request::Identify(b"ann"));
    world.send(late, Request::Register(PASSWORD));
    let later = world.connect();
    world.send(later, Request::Identify(b"ann"));
    let stored = PasswordHash { rounds: ROUNDS, salt: [1; 16], hash: [2; 16] };
    world.engine.store_mut().users.insert(Name::new("ann").unwrap(), stored);
    disable(&mut world, "ann");
    world.hash();
    world.send(later, Request::Register(PASSWORD));
    for conn in [late, later] {
        let codes: Vec<u16> = world
            .said(conn)
            .iter()
            .filter_map(|body| match Reply::decode(body).unwrap() {
                Reply::Error { code, .. } => Some(code),
                _ => None,
            })
            .collect();
        assert_eq!(codes, [Code::NameTaken.number()]);
    }
    let asked = world.connect();
    world.send(asked, Request::Identify(b"ann"));
    assert_eq!(world.said(asked), [[0x82, Wanted::Login as u8]]);
}

/// The store is not asked for what is so already; this one would not take it.
#[test]
fn an_account_that_is_so_already_is_left_alone() {
    let mut world = world();
    world.log_in("ann");
    let name = Name::new("ann").unwrap();
    for (command, said) in [
        (Command::EnableUser(name.clone()), "ann is enabled already"),
        (Command::DisableUser(name.clone()), "ann is disabled already"),
    ] {
        let id = world.engine.handle_command(command, world.now);
        let answer = world.engine.poll_answer(id);
        assert!(matches!(&answer, Some(Answer::Done(text)) if text == said), "{answer:?}");
        disable(&mut world, "ann");
    }
}
