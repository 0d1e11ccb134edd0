//! Row `storm`: clients who send by the clock, beside clients who log in again and again.
//!
//! The messages' schedule does not wait for the server, and each latency counts from when its message was due: a server
//! that stalls for a second is charged for every message of that second.

use crate::dialects::Protocol;
use crate::peers::{MOSQUITTO_ROUNDS, Peer, Stable};
use crate::results::Results;
use crate::steady::{LOAD_SHARE, WAITED};
use porter::load::{LoginSort, Plan, Scenario};
use std::time::Duration;

/// A storm.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Storm {
    pub(crate) peer: Peer,
    /// What a login costs, as tables call it.
    pub(crate) login: &'static str,
    /// Of each talker.
    messages_per_second: f64,
    span: Duration,
    /// Each login is of another user, whom the server has not seen.
    is_full_cost: bool,
}

pub(crate) const TALKERS: u32 = 50;
pub(crate) const LOGINS: usize = 8;
const FEW: f64 = 2.0;
const MANY: f64 = 200.0;

/// Those that are measured.
pub(crate) const STORMS: [Storm; 7] = [
    storm(Peer::Porter, "remembered (HMAC-MD5)", MANY),
    storm(Peer::Redis, "one SHA-256", MANY),
    storm(Peer::Mosquitto(MOSQUITTO_ROUNDS), "101 rounds of PBKDF2-SHA-512", MANY),
    storm(Peer::Blocking, "one MD5", MANY),
    Storm {
        span: Duration::from_secs(8),
        is_full_cost: true,
        ..storm(Peer::Porter, "3 100 000 rounds of PBKDF2-MD5", MANY)
    },
    storm(Peer::Mosquitto(100_000), "100 000 rounds, 2 messages/s each", FEW),
    storm(Peer::Mosquitto(100_000), "100 000 rounds of PBKDF2-SHA-512", MANY),
];

/// Milliseconds.
pub(crate) const REST_P50: &str = "echo at rest, p50 ms";
pub(crate) const REST_P99: &str = "echo at rest, p99 ms";
pub(crate) const STORM_P50: &str = "echo in the storm, p50 ms";
pub(crate) const STORM_P99: &str = "echo in the storm, p99 ms";
pub(crate) const RATE: &str = "logins/s";
/// Of what the hash alone would allow with the CPU time that the talkers leave.
pub(crate) const HASH_SHARE: &str = "share of what the hash alone allows";
/// How late the load generator itself was in sending, p99.
pub(crate) const LATENESS: &str = "sent late, p99 ms";

const fn storm(peer: Peer, login: &'static str, messages_per_second: f64) -> Storm {
    Storm { peer, login, messages_per_second, span: Duration::from_millis(2_000), is_full_cost: false }
}

/// One turn of a storm.
///
/// # Errors
/// If the peer fails.
pub(crate) fn turn(stable: &Stable, storm: &Storm, results: &mut Results) -> Result<(), String> {
    let server = stable.start(storm.peer)?;
    let mut add = |measure, figure| results.add(storm.login, storm.peer.name(), measure, figure);
    // Where each login is to pay for a hash, those who come again and again are users of their own.
    let (protocol, hash) = if storm.is_full_cost {
        let one = Plan { clients: 1, messages: 0, ..server.plan(Scenario::Sequential) };
        let report = server.protocol.load(&one, &mut |_| {})?;
        let hash = report.server.and_then(|server| server.us_per_login);
        (Protocol::Porter { shared: TALKERS }, hash)
    } else {
        (server.protocol, None)
    };
    let plan = Plan {
        clients: TALKERS.into(),
        logins: LOGINS,
        login: LoginSort::Cached,
        rate_per_second: storm.messages_per_second,
        span: storm.span,
        ..server.plan(Scenario::Storm)
    };
    let report = protocol.load(&plan, &mut |_| {})?;
    let waited = report.server.and_then(|server| server.waited_share).unwrap_or_default();
    add(WAITED, waited.max(report.tester_waited_share.unwrap_or_default()) * 100.0);
    add(LOAD_SHARE, report.tester_processor_share * 100.0);
    let measured = report.storm.ok_or("the storm was not measured")?;
    add(LATENESS, measured.lateness_us.p99 / 1e3);
    add(REST_P50, measured.before.message_us.p50 / 1e3);
    add(REST_P99, measured.before.message_us.p99 / 1e3);
    add(STORM_P50, measured.during.message_us.p50 / 1e3);
    add(STORM_P99, measured.during.message_us.p99 / 1e3);
    add(RATE, measured.during.logins_per_second);
    if let (Some(hash), Some(talk)) = (hash, measured.before.server_processor_share) {
        // What other programs took is no more the server's to use than what the talkers take.
        add(HASH_SHARE, measured.during.logins_per_second * hash / 1e6 / (1.0 - talk - waited));
    }
    Ok(())
}
