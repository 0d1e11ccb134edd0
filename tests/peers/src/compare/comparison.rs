//! The order of things: which row is measured when, each peer in turn, and what is printed of it.

use crate::peers::{CHATTING, Peer, Stable};
use crate::results::Results;
use crate::storm::{self, STORMS, Storm};
use crate::syscalls::{self, Counter};
use crate::{chat, idle, many, sequential, start, steady, table, tls};

/// Rounds of system calls, at most.
pub(crate) const COUNTED_ROUNDS: u32 = 3;

/// All that is being measured.
#[derive(Debug)]
pub(crate) struct Comparison {
    pub(crate) rounds: u32,
    pub(crate) peers: Vec<Peer>,
    pub(crate) stable: Stable,
    pub(crate) results: Results,
    /// Who could not do which row, and why.
    pub(crate) failures: Vec<String>,
    /// What is to be said beneath the table of peers.
    notes: String,
}

impl Comparison {
    /// Nothing measured yet.
    pub(crate) fn new(rounds: u32, peers: Vec<Peer>, stable: Stable) -> Comparison {
        Comparison {
            rounds,
            peers,
            stable,
            results: Results::default(),
            failures: Vec::new(),
            notes: String::new(),
        }
    }

    /// Prints the head of the table that has a column for each peer.
    pub(crate) fn begin_table(&self) {
        print!("\n{}", table::head(&self.peers));
    }

    /// Prints what is beneath it.
    pub(crate) fn end_table(&mut self) {
        println!("\n{}{}", table::limits(&self.results, &self.peers), std::mem::take(&mut self.notes));
    }

    pub(crate) fn steady(&mut self) {
        self.each_peer("steady", self.rounds, steady::turn);
        print!("{}", table::steady(&self.results, &self.peers));
    }

    pub(crate) fn syscalls(&mut self) {
        let Some(counter) = Counter::find() else {
            self.notes += "System calls were not counted: neither perf (Debian's package linux-perf) nor strace works \
                           here.\n";
            return;
        };
        // Counts differ less than times.
        self.each_peer("syscalls", self.rounds.min(COUNTED_ROUNDS), |stable, peer, results| {
            syscalls::turn(stable, peer, counter, results)
        });
        self.notes += &format!("System calls were counted by {}.\n", counter.name());
        print!("{}", table::syscalls(&self.results, &self.peers));
    }

    pub(crate) fn sequential(&mut self) {
        self.each_peer("sequential", self.rounds, sequential::turn);
        print!("{}", table::sequential(&self.results, &self.peers));
    }

    pub(crate) fn chat(&mut self) {
        self.those_chatting("chat", chat::turn);
        print!("{}", table::chat(&self.results, &self.peers));
    }

    pub(crate) fn tls(&mut self) {
        self.those_chatting("tls", tls::turn);
        print!("{}", table::tls(&self.results, &self.peers));
        self.notes += &format!("With TLS there were {} idle connections.\n", tls::CONNECTIONS);
    }

    pub(crate) fn idle(&mut self) {
        // Memory is the same in every round.
        self.each_peer("idle", 1, idle::turn);
        print!("{}", table::idle(&self.results, &self.peers));
        let count = idle::CONNECTIONS;
        self.notes += &format!("There were {count} idle connections, all of one user");
        if self.peers.contains(&Peer::Blocking) {
            self.notes += &format!("; {} where each has a thread", idle::THREADS);
        }
        self.notes += ".\n";
    }

    pub(crate) fn storms(&mut self) {
        let is_there = |storm: &&Storm| self.peers.iter().any(|peer| peer.name() == storm.peer.name());
        let storms: Vec<&Storm> = STORMS.iter().filter(is_there).collect();
        let name = |storm: &Storm| format!("{}, {}", storm.peer.name(), storm.login);
        self.in_turns("storm", self.rounds, storms, name, storm::turn);
        let (talkers, logins) = (storm::TALKERS, storm::LOGINS);
        println!("Storm: {talkers} clients who talk by the clock, beside {logins} logins in flight.\n");
        println!("{}\n{}", table::storms(&self.results), table::storm_notes(&self.results));
    }

    pub(crate) fn start(&mut self) {
        if self.peers.contains(&Peer::Porter) {
            let porter = vec![Peer::Porter];
            self.in_turns(
                "start",
                self.rounds,
                porter,
                |peer| peer.name().to_owned(),
                |stable, _, results| start::turn(stable, results),
            );
            println!("{}", table::start(&self.results));
        }
    }

    pub(crate) fn many(&mut self) {
        let are_there =
            self.peers.contains(&Peer::Porter) && self.stable.peers().any(|peer| peer == Peer::Redis);
        if are_there {
            self.in_turns(
                "many",
                self.rounds,
                many::GROUPS.to_vec(),
                |group| group.name.to_owned(),
                many::turn,
            );
            println!("{}", table::many(&self.results));
        }
    }

    fn those_chatting(&mut self, row: &str, turn: fn(&Stable, Peer, &mut Results) -> Result<(), String>) {
        let those = self.peers.iter().copied().filter(|peer| CHATTING.contains(peer)).collect();
        self.in_turns(row, self.rounds, those, |peer| peer.name().to_owned(), turn);
    }

    fn each_peer(
        &mut self,
        row: &str,
        rounds: u32,
        turn: impl Fn(&Stable, Peer, &mut Results) -> Result<(), String>,
    ) {
        self.in_turns(row, rounds, self.peers.clone(), |peer| peer.name().to_owned(), turn);
    }

    /// Each one's turn, and again, so many rounds; who begins changes. One who fails has no more turns in this row.
    fn in_turns<T: Copy>(
        &mut self,
        row: &str,
        rounds: u32,
        mut ones: Vec<T>,
        name: impl Fn(T) -> String,
        turn: impl Fn(&Stable, T, &mut Results) -> Result<(), String>,
    ) {
        for round in 1..=rounds {
            self.results.begin_round(round);
            let mut failed = Vec::new();
            for (place, one) in ones.iter().enumerate() {
                let name = name(*one);
                eprintln!("{row}, round {round} of {rounds}: {name}");
                if let Err(reason) = turn(&self.stable, *one, &mut self.results) {
                    eprintln!("{row}, {name}: {reason}");
                    self.failures.push(format!("{row}, {name}: {reason}"));
                    failed.push(place);
                }
            }
            for place in failed.into_iter().rev() {
                ones.remove(place);
            }
            if !ones.is_empty() {
                ones.rotate_left(1);
            }
        }
    }
}
