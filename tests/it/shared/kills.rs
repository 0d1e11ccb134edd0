//! Servers and store killed in the midst of registrations.
//!
//! `cargo test` kills some; `PORTER_KILLS=200 cargo test --test it shared::kills -- --nocapture` as many as one likes, and
//! shows what came of it.

use super::server;
use super::sessions::is_served;
use crate::support::{Redis, Said, Server, Visitor, eventually};
use hmac::Hmac;
use md5::Md5;
use porter::auth::PasswordHash;
use porter::protocol::Wanted;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};

/// Names that are registered in each life, each at both servers at once.
const CROWD: usize = 8;
const ROUNDS: &str = "10";

/// A number below `below`, another each time.
fn any(below: usize) -> usize {
    (RandomState::new().build_hasher().finish() % below as u64) as usize
}

fn start(redis: &Redis) -> Server {
    server(redis, &["--hash-rounds", ROUNDS, "--penalty", "0"])
}

fn is_of(record: &str, password: &str) -> bool {
    let Some(stored) = record.split(' ').next().and_then(|phc| PasswordHash::from_phc(phc).ok()) else {
        return false;
    };
    let mut hash = [0; 16];
    pbkdf2::pbkdf2::<Hmac<Md5>>(password.as_bytes(), &stored.salt, stored.rounds, &mut hash).unwrap();
    hash == stored.hash
}

#[test]
fn nobody_who_is_registered_is_lost_and_no_name_given_twice() {
    let Some(mut redis) = Redis::start() else { return };
    let kills = std::env::var("PORTER_KILLS").map_or(6, |kills| kills.parse().unwrap());
    let mut servers = [start(&redis), start(&redis)];
    let mut acknowledged: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut asked = 0;
    for life in 0..kills {
        // Each name is wanted at both, by two who have different passwords.
        let mut crowd: Vec<(String, String, Visitor)> = (0..2 * CROWD)
            .map(|n| {
                let name = format!("user{life}-{}", n / 2);
                let visitor = Visitor::introduced(&servers[n % 2], &name, Wanted::Register);
                (name, format!("the password of {n}"), visitor)
            })
            .collect();
        crowd.iter_mut().for_each(|(_, password, visitor)| visitor.register(password));
        asked += crowd.len();
        let mut hear = |(name, password, visitor): &mut (String, String, Visitor)| {
            if visitor.next_whole() == Some(Said::Wanted(Wanted::Login)) {
                acknowledged.entry(name.clone()).or_default().push(password.clone());
            }
        };
        let told = any(crowd.len() + 1);
        let (heard, unheard) = crowd.split_at_mut(told);
        heard.iter_mut().for_each(&mut hear);
        if life % 3 != 0 {
            redis.kill();
        }
        if life % 3 != 1 {
            let [one, other] = servers;
            one.kill();
            other.kill();
            unheard.iter_mut().for_each(&mut hear);
            if life % 3 != 0 {
                redis.restart();
            }
            servers = [start(&redis), start(&redis)];
        } else {
            unheard.iter_mut().for_each(&mut hear);
            redis.restart();
            for server in &servers {
                eventually("the store is back", || is_served(server).then_some(()));
            }
        }
    }
    let (mut lost, mut twice) = (Vec::new(), Vec::new());
    for (name, passwords) in &acknowledged {
        let record = redis.bulk(&["GET", &format!("porter:user:{name}")]);
        if !passwords.iter().all(|password| is_of(&record, password)) {
            lost.push(name);
        }
        if passwords.len() > 1 {
            twice.push(name);
        }
    }
    let count = redis.bulk(&["GET", "porter:users"]);
    let names = redis.command(&["EVAL", "return #redis.call('KEYS', 'porter:user:*')", "0"]);
    println!(
        "{kills} kills: {asked} asked for {} names, {} acknowledged, {} lost, {} given twice, {count} users",
        kills * CROWD,
        acknowledged.len(),
        lost.len(),
        twice.len()
    );
    assert!(lost.is_empty() && twice.is_empty(), "lost {lost:?}, given twice {twice:?}");
    assert_eq!(format!(":{count}"), names);
}
