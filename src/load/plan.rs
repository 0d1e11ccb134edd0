//! What a run is to do: scenario, amounts, timeouts.

use super::dialect::Role;
use crate::client::Protection;
use crate::limits::{MAX_FRAME_BYTES_MOST, TOKEN_BYTES};
use clap::ValueEnum;
use serde::Serialize;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// The most bytes of text that fit a frame of any legal server, beside the kind and the token.
pub const SIZE_BYTES_MOST: usize = MAX_FRAME_BYTES_MOST as usize - 1 - TOKEN_BYTES;

/// What the clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Scenario {
    /// They come one after another, log in, talk, and exit.
    Sequential,
    /// They come one after another, take Hello and close.
    Knock,
    /// They stay, and each keeps messages in flight.
    Steady,
    /// They stay and say nothing.
    Idle,
    /// They send by the clock, beside others who log in again and again.
    Storm,
    /// They are cut off and come back.
    Reconnect,
    /// They read what one writes to all, while another whispers to a third.
    Chat,
}

/// How those who log in again and again do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LoginSort {
    /// By password, which the server hashes at full cost each time: it must run with `--login-cache 0`, which is made sure
    /// of before the run.
    Full,
    /// By password, which the server remembers.
    Cached,
    /// By the token of a session whose connection broke.
    Resume,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the clients do.
    pub scenario: Scenario,
    /// Where the server may be; the first that can be reached is it.
    pub servers: Vec<SocketAddr>,
    /// The server's name, as certificates and known servers have it.
    pub host: String,
    /// Whether connections are encrypted, and whom to trust then.
    pub protection: Protection,
    /// Clients in all. In `sequential` and `knock` they come and go; in the others all are there at once. In `chat` they are
    /// those who read; beside them are a writer, and two of whom one whispers to the other.
    pub clients: u64,
    /// Clients at once in `sequential` and `knock`, at least 1.
    pub concurrency: usize,
    /// Users `load-1` to `load-U` that the clients take turns to be, at least 1.
    pub users: u32,
    /// Messages of each client in `sequential`.
    pub messages: u32,
    /// Bytes of text in each message, 1 to [`SIZE_BYTES_MOST`].
    pub size_bytes: usize,
    /// Whether `sequential` takes turns with blocks of `knock`, the bare cost of a visit, to be compared with it.
    pub against_knock: bool,
    /// Messages of each client under way at any time in `steady`, and of the writer in `chat`, at least 1.
    pub in_flight: usize,
    /// How long `steady` is measured, and `chat` with texts under way, `idle` holds its connections,
    /// and each of the three parts of `storm` takes.
    pub span: Duration,
    /// Messages of each client each second in `storm`, above 0, and of the writer in `chat`, where 0 keeps some under way: an open-loop load, whose latencies count from when a message
    /// was due (no coordinated omission).
    pub rate_per_second: f64,
    /// Clients that log in again and again in `storm`, beside the others.
    pub logins: usize,
    /// How they log in.
    pub login: LoginSort,
    /// The server's processes, if they are on this machine and what they use together is to be reported.
    pub pids: Vec<u32>,
    /// Whether clients send Identify and Login, or Resume, without waiting for Hello, and Exit without waiting for the last
    /// echo; otherwise each waits for the answer to what it sent before.
    pub pipelined: bool,
    /// How long a client waits before it fails.
    pub timeouts: Timeouts,
    /// Whoever sets it ends the run at once, with the figures so far.
    pub interrupt: Arc<AtomicBool>,
}

impl Default for Plan {
    /// The canonical load of `sequential`.
    fn default() -> Plan {
        Plan::canonical(Scenario::Sequential)
    }
}

impl Plan {
    /// The canonical load of a scenario, at a server with default flags on this machine. That of `sequential`: 1000
    /// clients, one after another, each with one message of 64 bytes.
    pub fn canonical(scenario: Scenario) -> Plan {
        let clients = match scenario {
            Scenario::Sequential | Scenario::Knock | Scenario::Reconnect | Scenario::Chat => 1_000,
            Scenario::Steady | Scenario::Storm => 50,
            Scenario::Idle => 10_000,
        };
        Plan {
            scenario,
            servers: vec![(Ipv4Addr::LOCALHOST, 9090).into()],
            host: Ipv4Addr::LOCALHOST.to_string(),
            protection: Protection::Plaintext,
            clients,
            concurrency: 1,
            users: 1,
            messages: 1,
            size_bytes: 64,
            against_knock: false,
            in_flight: 1,
            span: Duration::from_secs(if scenario == Scenario::Idle { 5 } else { 10 }),
            rate_per_second: if scenario == Scenario::Chat { 0.0 } else { 200.0 },
            logins: if scenario == Scenario::Storm { 8 } else { 0 },
            login: LoginSort::Cached,
            pids: Vec::new(),
            pipelined: true,
            timeouts: Timeouts::default(),
            interrupt: Arc::new(AtomicBool::new(false)),
        }
    }

    /// Clients that can be there at once, those who log in again and again not included.
    pub(super) fn places(&self) -> usize {
        let clients = usize::try_from(self.clients).unwrap_or(usize::MAX).max(1);
        match self.scenario {
            Scenario::Sequential | Scenario::Knock => self.concurrency.clamp(1, clients),
            Scenario::Chat => clients.saturating_add(Role::Reader.slot()),
            _ => clients,
        }
    }
}

/// How long a client waits before it fails.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For the connection to be there.
    pub connect: Duration,
    /// For each answer on the way to Welcome; the server may hash for some, and have others waiting before.
    pub login: Duration,
    /// For the echo of a message: longer than it takes to find out that a server is frozen, so that one which only stalls
    /// is measured.
    pub echo: Duration,
    /// For Bye after Exit, and for the close after Bye.
    pub bye: Duration,
    /// For a local port to become free.
    pub ports: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            connect: Duration::from_secs(10),
            login: Duration::from_secs(60),
            echo: Duration::from_secs(9),
            bye: Duration::from_secs(9),
            ports: Duration::from_secs(10),
        }
    }
}
