//! Sessions are found by what they have, for as long as they have it.

use super::*;
use proptest::prelude::*;
use std::time::Duration;

fn token(byte: u8) -> [u8; TOKEN_BYTES] {
    [byte; TOKEN_BYTES]
}

fn connection(generation: u64) -> Key {
    Key::unpack(generation << 32).unwrap()
}

fn opened() -> (Sessions, SessionId) {
    let mut sessions = Sessions::default();
    let id = sessions.open(Name::new("ann").unwrap(), Token::new(token(1)), connection(1));
    (sessions, id)
}

#[test]
fn the_presented_token_lasts_until_the_new_one_is_used() {
    let (mut sessions, id) = opened();
    assert_eq!(sessions.resumable(&token(1)), Some(id));
    assert_eq!(sessions.resume(id, &token(1), Token::new(token(2)), connection(2)), Some(connection(1)));
    assert_eq!((sessions.resumable(&token(1)), sessions.resumable(&token(2))), (Some(id), Some(id)));
    // The Welcome with 2 was lost: 1 is presented again, 2 was never seen by anyone and dies.
    sessions.resume(id, &token(1), Token::new(token(3)), connection(3));
    assert_eq!((sessions.resumable(&token(1)), sessions.resumable(&token(2))), (Some(id), None));
    sessions.confirm(id);
    assert_eq!((sessions.resumable(&token(1)), sessions.resumable(&token(3))), (None, Some(id)));
    assert_eq!((sessions.by_token.len(), sessions.by_presented.len()), (1, 0));
}

#[test]
fn half_a_token_is_no_token() {
    let (sessions, _) = opened();
    let mut other = token(1);
    other[15] ^= 1;
    assert_eq!(sessions.resumable(&other), None);
    assert!(sessions.is_taken(&Token::new(other)));
}

#[test]
fn lost_sessions_end_in_the_order_of_their_windows() {
    let (mut sessions, ann) = opened();
    let bob = sessions.open(Name::new("bob").unwrap(), Token::new(token(5)), connection(2));
    let soon = Moment::START + Duration::from_secs(1);
    sessions.lose(bob, soon + Duration::from_secs(1));
    sessions.lose(ann, soon);
    assert_eq!(sessions.first_lost(), Some((soon, ann)));
    sessions.resume(ann, &token(1), Token::new(token(2)), connection(3));
    assert_eq!((sessions.first_lost().map(|(_, id)| id), sessions.lost_count()), (Some(bob), 1));
}

#[test]
fn an_ended_session_leaves_nothing() {
    let (mut sessions, id) = opened();
    let name = Name::new("ann").unwrap();
    let second = sessions.open(name.clone(), Token::new(token(9)), connection(2));
    sessions.resume(id, &token(1), Token::new(token(2)), connection(3));
    sessions.lose(id, Moment::START);
    assert!(sessions.end(id).is_some_and(|(session, last)| session.name == name && !last));
    assert!(sessions.of(&name).eq([second]));
    assert!(sessions.end(second).is_some_and(|(_, last)| last));
    assert!(sessions.by_token.is_empty() && sessions.by_name.is_empty());
    assert!(sessions.presented.is_empty() && sessions.by_presented.is_empty());
    assert!(sessions.lost.is_empty() && sessions.is_empty());
}

#[test]
fn a_crowd_leaves_no_memory_behind() {
    let mut sessions = Sessions::with_room(7);
    let room = sessions.by_token.capacity();
    assert!(room >= 7 && sessions.slots.room() >= 7, "it is made beforehand");
    let open = |number: usize| {
        let (name, mut token) = (format!("u{number}"), token(0));
        token[..8].copy_from_slice(&number.to_be_bytes());
        (Name::new(&name).unwrap(), Token::new(token))
    };
    let crowd: Vec<SessionId> = (0..=crate::slots::CROWD)
        .map(open)
        .map(|(name, token)| sessions.open(name, token, connection(1)))
        .collect();
    assert!(sessions.by_name.capacity() > crate::slots::CROWD);
    for id in crowd {
        assert!(sessions.end(id).is_some_and(|(_, last)| last));
    }
    assert_eq!((sessions.by_name.capacity(), sessions.by_token.capacity()), (0, room));
}

proptest! {
    /// A name's sessions are those opened and not ended, in order; every token finds its own.
    #[test]
    fn whatever_is_opened_and_ended_the_rest_is_found(
        steps in prop::collection::vec((any::<bool>(), 0..3usize, any::<prop::sample::Index>()), 0..60),
    ) {
        let names = ["ann", "bob", "carol"].map(|name| Name::new(name).unwrap());
        let (mut sessions, mut open) = (Sessions::default(), Vec::new());
        for (step, (ends, name, index)) in steps.into_iter().enumerate() {
            if ends && !open.is_empty() {
                let (id, name, _) = open.remove(index.index(open.len()));
                let others = open.iter().any(|(_, other, _)| *other == name);
                prop_assert!(sessions.end(id).is_some_and(|(_, last)| last != others));
                prop_assert!(sessions.end(id).is_none());
            } else {
                let id = sessions.open(names[name].clone(), Token::new(token(step as u8)), connection(1));
                open.push((id, name, token(step as u8)));
            }
            for (number, name) in names.iter().enumerate() {
                let of_name = open.iter().filter(|(_, other, _)| *other == number).map(|(id, ..)| *id);
                prop_assert!(sessions.of(name).eq(of_name.clone()));
                prop_assert_eq!(sessions.has_any(name), of_name.count() > 0);
            }
            for (id, _, token) in &open {
                prop_assert_eq!(sessions.resumable(token), Some(*id));
            }
        }
    }
}
