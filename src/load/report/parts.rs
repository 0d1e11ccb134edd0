//! The parts of a report that only some runs have.

use crate::load::LoginSort;
use crate::load::metrics::Percentiles;
use crate::load::sampler::{CpuTime, Interval, round};
use serde::Serialize;

/// What the server used, where its process was named.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ServerUse {
    /// Seconds of CPU time in the measured run, in user and system mode.
    pub processor_seconds: f64,
    /// The part of one CPU that this is, 0 to 1.
    pub processor_share: f64,
    /// The part of the time that it could have run and others had the CPU; `null` where the system does not tell.
    pub waited_share: Option<f64>,
    /// All of that CPU time, in microseconds, for each connection that was made; `null` if there was none.
    pub us_per_connection: Option<f64>,
    /// The same for each login (or Resume).
    pub us_per_login: Option<f64>,
    /// The same for each message.
    pub us_per_message: Option<f64>,
    /// Bytes of memory (resident set) before the first measured connection.
    pub memory_before_bytes: u64,
    /// Bytes of memory at the end of the measured run, when all connections that stay were there; `null` if its process had
    /// ended.
    pub memory_after_bytes: Option<u64>,
}

impl ServerUse {
    pub(in crate::load) fn new(
        interval: &Interval,
        memory_bytes: [Option<u64>; 2],
        [connections, logins, messages]: [u64; 3],
    ) -> Option<ServerUse> {
        let CpuTime { used: cpu, waited } = interval.server?;
        let each = |count: u64| (count > 0).then(|| round(cpu.as_secs_f64() * 1e6 / count as f64, 3));
        Some(ServerUse {
            processor_seconds: round(cpu.as_secs_f64(), 3),
            processor_share: interval.share(cpu),
            waited_share: waited.map(|waited| interval.share(waited)),
            us_per_connection: each(connections),
            us_per_login: each(logins),
            us_per_message: each(messages),
            memory_before_bytes: memory_bytes[0].unwrap_or_default(),
            memory_after_bytes: memory_bytes[1],
        })
    }
}

/// How `sequential` compares with clients that only knock, block by block in turn: medians over the blocks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct AgainstKnock {
    /// Blocks of each.
    pub blocks: usize,
    /// Microseconds from one client to the next.
    pub us_per_client: f64,
    /// The same where each client only connects, takes Hello and closes.
    pub us_per_knock: f64,
    /// How many times as long the first takes as the second.
    pub ratio: f64,
    /// Microseconds of the server's CPU for a client; `null` without its process.
    pub server_us_per_client: Option<f64>,
    /// The same for a knock.
    pub server_us_per_knock: Option<f64>,
    /// How many times as much the first is as the second.
    pub server_ratio: Option<f64>,
}

/// What holding idle connections costs the server.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Idle {
    /// Authenticated connections that were held.
    pub held: usize,
    /// For how many seconds, after all had come in.
    pub held_seconds: f64,
    /// Bytes of the server's memory for each of them: after the last had come in less before the first, memory of the
    /// operating system's for sockets not included; `null` without its process.
    pub memory_per_connection_bytes: Option<f64>,
    /// The part of one CPU that the server used while they were held, 0 to 1; `null` without its process.
    pub server_processor_share: Option<f64>,
}

/// What logins do to others.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Storm {
    /// What the clients that come again and again come in by.
    pub login: LoginSort,
    /// Microseconds that a login takes which pays for a hash, measured before the run; `null` unless they log in by `full`.
    pub hash_us: Option<f64>,
    /// How many of them there are.
    pub logins_at_once: usize,
    /// Messages that each of the others is to send each second, whether or not the last echo has come.
    pub rate_per_client: f64,
    /// Without logins, with them, and without them again.
    pub before: Phase,
    /// With logins.
    pub during: Phase,
    /// Without logins again.
    pub after: Phase,
    /// Microseconds by which messages left later than they should have: the load tester's own part of the latency.
    pub lateness_us: Percentiles,
}

/// One part of a storm.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Phase {
    /// Its length in seconds.
    pub seconds: f64,
    /// Messages that began in it and whose echo came, each second.
    pub messages_per_second: f64,
    /// Microseconds from when a message should have been sent until its echo.
    pub message_us: Percentiles,
    /// Logins that began in it and came to their end, each second.
    pub logins_per_second: f64,
    /// Microseconds from saying who one is until Welcome.
    pub login_us: Percentiles,
    /// The part of one CPU that the server used, 0 to 1; `null` without its process.
    pub server_processor_share: Option<f64>,
    /// The part of one CPU that the load tester used, 0 to 1.
    pub tester_processor_share: f64,
    /// The part of the time that it could have run and others had the CPU; `null` where the system does not tell.
    pub tester_waited_share: Option<f64>,
}

impl Phase {
    /// The part of one CPU that the load tester used or waited for.
    pub(in crate::load) fn tester_demand(&self) -> f64 {
        self.tester_processor_share + self.tester_waited_share.unwrap_or_default()
    }
}

/// How long all take to come back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Back {
    /// Clients that were cut off at once.
    pub cut_off: usize,
    /// Those who came back.
    pub came_back: u64,
    /// Seconds from the cut until the last of them was back.
    pub all_back_seconds: f64,
    /// Microseconds from the cut until Welcome.
    pub back_us: Percentiles,
}
