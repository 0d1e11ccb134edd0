//! The server killed in the midst of registrations: nobody who was told that they are registered is ever lost.
//!
//! `cargo test` kills it some times; `PORTER_KILLS=200 cargo test --test it kill -- --nocapture` as often as one likes,
//! and shows what came of it.

use crate::support::{Folder, PASSWORD, Said, Setup, Visitor};
use hmac::Hmac;
use md5::Md5;
use porter::auth::PasswordHash;
use porter::protocol::Wanted;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::rc::Rc;

/// Visitors who register at once in each life of the server.
const CROWD: u64 = 8;
const ROUNDS: &str = "10";

/// A number below `below`, another each time.
fn any(below: u64) -> u64 {
    RandomState::new().build_hasher().finish() % below
}

/// Users in the file whose record is of the password.
fn stored(folder: &Folder) -> BTreeSet<String> {
    let users = folder.read("users.csv");
    let last: BTreeMap<_, _> = users.lines().skip(1).filter_map(|line| line.split_once(',')).collect();
    let is_right = |record: &str| {
        let stored = PasswordHash::from_phc(record.split(',').next().unwrap()).unwrap();
        let mut hash = [0; 16];
        pbkdf2::pbkdf2::<Hmac<Md5>>(PASSWORD.as_bytes(), &stored.salt, stored.rounds, &mut hash).unwrap();
        hash == stored.hash
    };
    last.into_iter().filter(|(_, record)| is_right(record)).map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn nobody_who_is_registered_is_lost() {
    let kills = std::env::var("PORTER_KILLS").map_or(10, |kills| kills.parse().unwrap());
    let mut folder = Rc::new(Folder::new());
    let (mut acknowledged, mut asked) = (BTreeSet::new(), 0);
    for life in 0..kills {
        let server = Setup::new(&["--hash-rounds", ROUNDS]).folder(folder).start();
        let mut crowd: Vec<(String, Visitor)> = (0..CROWD)
            .map(|n| {
                let name = format!("user{life}-{n}");
                (name.clone(), Visitor::introduced(&server, &name, Wanted::Register))
            })
            .collect();
        crowd.iter_mut().for_each(|(_, visitor)| visitor.register(PASSWORD));
        asked += crowd.len();
        // Killed when so many have been told, the rest being hashed, written, synced or told.
        let told = any(CROWD + 1) as usize;
        let (heard, unheard) = crowd.split_at_mut(told);
        for (name, visitor) in heard {
            visitor.expect(Said::Wanted(Wanted::Login));
            acknowledged.insert(name.clone());
        }
        folder = server.kill();
        for (name, visitor) in unheard {
            if visitor.next() == Said::Wanted(Wanted::Login) {
                acknowledged.insert(name.clone());
            }
        }
    }
    let server = Setup::new(&["--hash-rounds", ROUNDS]).folder(folder).start();
    for name in acknowledged.iter().rev().take(20) {
        Visitor::arrive(&server).log_in(name, PASSWORD);
    }
    let stored = stored(&server.folder);
    let lost: Vec<_> = acknowledged.difference(&stored).collect();
    println!("{kills} kills: {asked} asked, {} acknowledged, {} lost", acknowledged.len(), lost.len());
    assert!(lost.is_empty(), "{lost:?}");
}
