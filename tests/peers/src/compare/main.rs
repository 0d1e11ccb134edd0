//! porter beside its peers, in one run: each row of work for each peer in turn, and again, round after round; medians,
//! and ratios within a round.
//!
//! Every server runs pinned to one CPU, as its users would start it but for limits that a load would meet, on a free port of
//! the loopback and with files in a folder that goes away; the load generator, which is porter-load's, to another. What counts
//! is the server's CPU time: messages a second are also those that the load generator manages.
#![allow(
    clippy::disallowed_methods,
    reason = "a measurement has a clock and waits; it lives outside of the core"
)]

mod chat;
mod comparison;
mod dialects;
mod idle;
mod many;
mod passwords;
mod peers;
mod picture;
mod results;
mod sequential;
mod server;
#[path = "../../../bench/server.rs"]
mod server_process;
mod start;
mod steady;
mod storm;
mod syscalls;
mod table;
mod tls;

use clap::{Parser, ValueEnum};
use comparison::Comparison;
use peers::{PEERS, Peer, Stable};
use porter::load::{machine_description, today};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A row of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Row {
    /// Messages echoed, on 1, 50 and 500 connections, 1 and 16 in flight.
    Steady,
    /// System calls for each message.
    Syscalls,
    /// Clients one after another.
    Sequential,
    /// Memory of 15 000 idle connections.
    Idle,
    /// A text to 1 000 and 10 000 readers, and whispers meanwhile.
    Chat,
    /// Visits, messages, memory and a room, encrypted.
    Tls,
    /// Echoes beside logins.
    Storm,
    /// Start with a million users; porter alone.
    Start,
    /// Echoes, visits and a room on 1 to 8 processes with a shared store; porter alone.
    Many,
}

/// Compares porter with its peers: server's CPU time, system calls, memory, latency beside logins.
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

/// In the order in which they are measured: first those of the table that has a column for each peer.
const ROWS: [Row; 9] = [
    Row::Steady,
    Row::Syscalls,
    Row::Sequential,
    Row::Idle,
    Row::Chat,
    Row::Tls,
    Row::Storm,
    Row::Start,
    Row::Many,
];
/// Of them, those of that table.
const WITH_ALL_PEERS: usize = 6;

impl Flags {
    /// Whether a row is to be measured.
    fn has(&self, row: Row) -> bool {
        self.rows.is_empty() || self.rows.contains(&row)
    }
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
    let limit = getrlimit(Resource::Nofile);
    // With fewer file descriptors the row that needs many says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let stable = Stable::find(&flags.porter, server_process::divided())?;
    let (date, machine, versions) = (today(), machine_description(), stable.versions());
    println!("{date}; {machine}; {}", versions.join(", "));
    println!("{}", rounds_said(flags.rounds));
    if stable.cpus.is_none() {
        println!("Server and load share the one CPU that there is: the figures mean little.");
    }
    let mut comparison = Comparison::new(flags.rounds, chosen(flags, &stable)?, stable);
    let rows = |of: &[Row]| of.iter().copied().filter(|row| flags.has(*row)).collect::<Vec<_>>();
    let (with_all_peers, others) = (rows(&ROWS[..WITH_ALL_PEERS]), rows(&ROWS[WITH_ALL_PEERS..]));
    if !with_all_peers.is_empty() {
        comparison.begin_table();
        with_all_peers.into_iter().for_each(|row| measure(&mut comparison, row));
        comparison.end_table();
    }
    others.into_iter().for_each(|row| measure(&mut comparison, row));
    let Comparison { results, peers, failures, .. } = comparison;
    print!("{}", table::disturbance(&results));
    if let Some(path) = &flags.json {
        let report = json!({ "date": date, "machine": machine, "versions": versions,
                             "rounds": flags.rounds, "figures": results.json() });
        write(path, &format!("{report:#}\n"))?;
    }
    if let Some(path) = flags.picture.as_ref().filter(|_| flags.has(Row::Steady)) {
        let rounds =
            if flags.rounds == 1 { "one round".to_owned() } else { format!("{} rounds", flags.rounds) };
        let conditions = format!("{rounds}, {date}; {machine}");
        write(path, &picture::draw(&results, &peers, &[&conditions, &versions.join(", ")]))?;
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\ncompare: ")) }
}

/// What the figures are.
fn rounds_said(rounds: u32) -> String {
    match rounds {
        1 => "One round: figures of a second one would differ, and nobody knows by how much.".to_owned(),
        rounds => format!(
            "Medians of {rounds} rounds, behind them the least and the most; system calls of {} rounds, and where there is \
             no span, of one.",
            rounds.min(comparison::COUNTED_ROUNDS)
        ),
    }
}

fn measure(comparison: &mut Comparison, row: Row) {
    match row {
        Row::Steady => comparison.steady(),
        Row::Syscalls => comparison.syscalls(),
        Row::Sequential => comparison.sequential(),
        Row::Idle => comparison.idle(),
        Row::Chat => comparison.chat(),
        Row::Tls => comparison.tls(),
        Row::Storm => comparison.storms(),
        Row::Start => comparison.start(),
        Row::Many => comparison.many(),
    }
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

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
