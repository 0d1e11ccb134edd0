//! The flags. porter-admin has them too, for manual pages and completions.

use clap::{Parser, value_parser};
use porter::cli::{HostPort, server_port};
use porter::client::ProtectionFlags;
use porter::load::{self, LoginSort, Scenario};
use std::path::PathBuf;

/// Sends virtual clients to a porter server in echo mode (chat: in chat mode) and measures what they see.
///
/// The scenarios, each with a load of its own unless flags say otherwise:
///   sequential  clients one after another: connect, log in, send, check the
///               echo, exit, wait for the server's close
///   knock       connect only: clients one after another take Hello and close
///   steady      closed-loop throughput: clients that stay, each with messages
///               in flight
///   idle        clients that log in, stay, and say nothing
///   storm       mixed open-loop load: clients that send by the clock, alone,
///               then beside others that log in again and again, then alone
///   reconnect   clients that are all cut off at once and come back
///   chat        clients that read what one writes to all, while another
///               whispers to a third 100 times a second: for 2 s the whispers
///               alone, then with texts; the server must run with `--mode
///               chat --chat-rate 0`
///
/// The users load-1, load-2 ... are registered on first use, before the clock
/// starts, with a password that everybody can know: use it on test servers only.
/// Progress goes to stderr, the result to stdout; the exit code is 1 if any
/// client failed. SIGINT (Ctrl-C) or SIGTERM, a server that is gone and one that
/// is frozen end a run with the figures so far, marked as cut short, and exit
/// code 1; a second signal ends it at once. Messages that never came back are
/// among the latencies with the time waited.
#[derive(Debug, Parser)]
#[command(
    name = "porter-load",
    version,
    verbatim_doc_comment,
    after_help = "The keys of --json: --help-json"
)]
pub(crate) struct Flags {
    /// Address or name of the server, perhaps with :PORT behind it
    #[arg(long, value_name = "H", default_value = "127.0.0.1")]
    pub(crate) host: HostPort,
    /// Port of the server [default: 9090]
    #[arg(long, value_name = "P", value_parser = server_port)]
    pub(crate) port: Option<u16>,
    /// What the clients do
    #[arg(long, value_enum, value_name = "NAME", default_value = "sequential")]
    pub(crate) scenario: Scenario,
    /// Clients in all [default: 1000; steady and storm: 50; idle: 10000]; chat: those who read, beside three others
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..))]
    pub(crate) clients: Option<u64>,
    /// Users that the clients take turns to be
    #[arg(long, value_name = "U", default_value_t = 1, value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub(crate) users: u32,
    /// Bytes of text in each message
    #[arg(long, value_name = "BYTES", default_value_t = 64,
        value_parser = value_parser!(u32).range(1..=load::SIZE_BYTES_MOST as i64))]
    pub(crate) size: u32,
    /// sequential, knock: clients at once [default: 1]
    #[arg(long, value_name = "C", value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub(crate) concurrency: Option<u32>,
    /// sequential: messages of each client [default: 1]
    #[arg(long, value_name = "M")]
    pub(crate) messages: Option<u32>,
    /// sequential: take turns with knock, block by block, and print how many times as much a login and messages cost as
    /// a bare visit
    #[arg(long)]
    pub(crate) against_knock: bool,
    /// steady: messages of each client in flight; chat: texts under way until the last reader has them [default: 1]
    #[arg(long, value_name = "P", value_parser = value_parser!(u32).range(1..=10_000))]
    pub(crate) in_flight: Option<u32>,
    /// steady, chat: time measured (default: 10); idle: time held (5); storm: of each of its three parts (10)
    #[arg(long, value_name = "S", value_parser = value_parser!(u32).range(1..=86_400))]
    pub(crate) seconds: Option<u32>,
    /// storm: messages of each client each second [default: 200]; chat: texts each second instead of some in flight
    #[arg(long, value_name = "R", value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub(crate) rate: Option<u32>,
    /// storm: clients that log in again and again; 0: messages by the clock and nothing else [default: 8]
    #[arg(long, value_name = "L", value_parser = value_parser!(u32).range(..=100_000))]
    pub(crate) logins: Option<u32>,
    /// storm: how they do it; full needs a server with --login-cache 0, and is refused where logins are remembered
    /// [default: cached]
    #[arg(long, value_enum, value_name = "SORT")]
    pub(crate) login: Option<LoginSort>,
    /// Wait for each answer: for Hello before Identify, for PasswordWanted before Login, for the last echo before Exit.
    /// Otherwise Identify and Login (or Resume) go out together at once, and Exit beside the last message
    #[arg(long)]
    pub(crate) no_pipelining: bool,
    /// The server's process on this machine: report its CPU time and memory too; of several with --share-port, their sum
    #[arg(long, value_name = "PID,...", value_delimiter = ',', value_parser = value_parser!(u32).range(1..))]
    pub(crate) pid: Vec<u32>,
    /// Print one JSON object instead of the table
    #[arg(long)]
    pub(crate) json: bool,
    /// Print the keys of that object, and do nothing else
    #[arg(long)]
    pub(crate) help_json: bool,
    /// Write a picture of the latencies
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) plot: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) protection: ProtectionFlags,
}
