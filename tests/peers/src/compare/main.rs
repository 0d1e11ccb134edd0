//! porter beside its peers, in one run: each row of work for each peer in turn, and again, round after round; medians,
//! and ratios within a round.
//!
//! Every server runs pinned to one processor, as its users would start it, on a free port of the loopback and with
//! files in a folder that goes away; the load generator, this program, to another. What counts is the server's
//! processor time: messages a second are also those that the load generator manages.
#![allow(
    clippy::disallowed_methods,
    reason = "a measurement has a clock and waits; it lives outside of the core"
)]

mod crowd;
mod dialect;
mod idle;
mod ledger;
mod link;
mod machine;
mod meter;
mod passwords;
mod peers;
mod picture;
mod sequential;
mod server;
mod start;
mod steady;
mod storm;
mod syscalls;
mod table;
mod visits;

use clap::{Parser, ValueEnum};
use ledger::Ledger;
use machine::Machine;
use peers::{PEERS, Peer, Stable};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use storm::STORMS;
use syscalls::Counter;

/// A row of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Row {
    /// Messages echoed, on 50 and 500 connections, 1 and 16 in flight.
    Steady,
    /// System calls for each message.
    Syscalls,
    /// Clients one after another.
    Sequential,
    /// Memory of 15 000 idle connections.
    Idle,
    /// Echoes beside logins.
    Storm,
    /// Start with a million users; porter alone.
    Start,
}

/// Compares porter with its peers: server's processor time, system calls, memory, latency beside logins.
#[derive(Debug, Parser)]
struct Flags {
    /// Rows to measure; all if none is named.
    rows: Vec<Row>,
    /// porter-server's program.
    #[arg(long)]
    porter: PathBuf,
    /// Rounds; each figure is the median of so many.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Peers to measure, by the first word of their names; all if none is named.
    #[arg(long, value_delimiter = ',')]
    peers: Vec<String>,
    /// Also writes every round's figures, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Also draws the row `steady`, as SVG.
    #[arg(long)]
    picture: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Flags::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("compare: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: &Flags) -> Result<(), String> {
    let machine = Machine::divided();
    let stable = Stable::find(&flags.porter, machine)?;
    let mut comparison = Comparison {
        rounds: flags.rounds,
        peers: chosen(flags, &stable)?,
        stable,
        ledger: Ledger::default(),
    };
    let place = format!("{}; {}", machine::description(), comparison.stable.versions());
    println!("{place}");
    if !machine.is_divided() {
        println!("Server and load share the one processor that there is: the figures mean little.");
    }
    let has = |row: Row| flags.rows.is_empty() || flags.rows.contains(&row);
    comparison.table_of_peers(&has)?;
    if has(Row::Storm) {
        comparison.storms()?;
    }
    if has(Row::Start) && comparison.peers.contains(&Peer::Porter) {
        // The system has the file in memory: what a start reads from a disk is not porter's.
        comparison.in_turns("start", flags.rounds, &[Peer::Porter], |stable, _, ledger| {
            start::turn(stable, ledger)
        })?;
        println!("\n{}", table::start(&comparison.ledger));
    }
    let Comparison { ledger, peers, .. } = comparison;
    print!("{}", table::disturbance(&ledger));
    if let Some(path) = &flags.json {
        let report = json!({ "machine": place, "rounds": flags.rounds, "figures": ledger.json() });
        write(path, &format!("{report:#}\n"))?;
    }
    if let Some(path) = flags.picture.as_ref().filter(|_| has(Row::Steady)) {
        write(path, &picture::draw(&ledger, &peers, &machine::description()))?;
    }
    Ok(())
}

/// The peers that were asked for and are there.
fn chosen(flags: &Flags, stable: &Stable) -> Result<Vec<Peer>, String> {
    let word = |peer: Peer| peer.name().split([' ', ',']).next().unwrap_or_default().to_lowercase();
    if let Some(unknown) = flags.peers.iter().find(|name| !PEERS.iter().any(|peer| word(*peer) == **name)) {
        let known = PEERS.map(word).join(", ");
        return Err(format!("--peers: there is no {unknown}, only {known}"));
    }
    let wanted = |peer: &Peer| flags.peers.is_empty() || flags.peers.contains(&word(*peer));
    Ok(stable.peers().filter(wanted).collect())
}

/// All that is being measured.
struct Comparison {
    rounds: u32,
    peers: Vec<Peer>,
    stable: Stable,
    ledger: Ledger,
}

impl Comparison {
    /// The rows that have a figure for each peer, printed as they come.
    fn table_of_peers(&mut self, has: &impl Fn(Row) -> bool) -> Result<(), String> {
        let peers = self.peers.clone();
        let rows = [Row::Steady, Row::Syscalls, Row::Sequential, Row::Idle];
        if rows.into_iter().any(has) {
            print!("\n{}", table::head(&peers));
        }
        if has(Row::Steady) {
            self.in_turns("steady", self.rounds, &peers, steady::turn)?;
            print!("{}", table::steady(&self.ledger, &peers));
        }
        let mut notes = String::new();
        if has(Row::Syscalls) {
            if let Some(counter) = Counter::find() {
                self.in_turns("syscalls", self.rounds, &peers, |stable, peer, ledger| {
                    syscalls::turn(stable, peer, counter, ledger)
                })?;
                print!("{}", table::syscalls(&self.ledger, &peers));
                notes = format!("System calls were counted by {}.\n", counter.name());
            } else {
                notes = "System calls were not counted: neither perf (Debian's package linux-perf) nor strace works \
                         here.\n"
                    .to_owned();
            }
        }
        if has(Row::Sequential) {
            self.in_turns("sequential", self.rounds, &peers, sequential::turn)?;
            print!("{}", table::sequential(&self.ledger, &peers));
        }
        if has(Row::Idle) {
            // Memory is the same in every round.
            self.in_turns("idle", 1, &peers, idle::turn)?;
            print!("{}", table::idle(&self.ledger, &peers));
            if peers.contains(&Peer::Blocking) {
                let (all, few) = (idle::CONNECTIONS, idle::THREADS);
                notes += &format!("Idle are {all} connections, with a thread for each {few}.\n");
            }
        }
        print!("\n{}{}", table::limits(&self.ledger, &peers), notes);
        Ok(())
    }

    fn storms(&mut self) -> Result<(), String> {
        let has_server =
            |storm: &&storm::Storm| self.peers.iter().any(|peer| peer.name() == storm.peer.name());
        let storms: Vec<_> = STORMS.iter().filter(has_server).collect();
        for round in 0..self.rounds {
            for storm in &storms {
                eprintln!(
                    "storm, round {} of {}: {}, {}",
                    round + 1,
                    self.rounds,
                    storm.peer.name(),
                    storm.login
                );
                storm::turn(&self.stable, storm, &mut self.ledger)
                    .map_err(|reason| format!("storm, {}: {reason}", storm.peer.name()))?;
            }
        }
        let (talkers, logins) = (storm::TALKERS, storm::LOGINS);
        println!("\nStorm: {talkers} clients who talk by the clock, beside {logins} logins in flight.\n");
        println!("{}\n{}", table::storms(&self.ledger), table::storm_notes(&self.ledger));
        Ok(())
    }

    /// Each peer's turn, and again, so many rounds; who begins changes.
    fn in_turns(
        &mut self,
        row: &str,
        rounds: u32,
        peers: &[Peer],
        turn: impl Fn(&Stable, Peer, &mut Ledger) -> Result<(), String>,
    ) -> Result<(), String> {
        for round in 0..rounds as usize {
            for place in 0..peers.len() {
                let peer = peers[(round + place) % peers.len()];
                eprintln!("{row}, round {} of {rounds}: {}", round + 1, peer.name());
                turn(&self.stable, peer, &mut self.ledger)
                    .map_err(|reason| format!("{row}, {}: {reason}", peer.name()))?;
            }
        }
        Ok(())
    }
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
