//! Row `chat`: texts to a room, so many under way until the last reader has them, and whispers to one meanwhile.

use crate::dialects::Protocol;
use crate::peers::{Manner, Peer, Stable};
use crate::results::Results;
use crate::steady;
use porter::load::{Plan, Scenario, Timeouts};
use std::time::Duration;

/// A room that is written to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// As tables call it.
    pub(crate) name: &'static str,
    pub(crate) readers: u64,
    pub(crate) in_flight: usize,
}

/// The rooms.
pub(crate) const LOADS: [Load; 4] = [
    Load { name: "1 000 readers, 16 texts in flight", readers: 1_000, in_flight: 16 },
    Load { name: "1 000 readers, 1 text in flight", readers: 1_000, in_flight: 1 },
    Load { name: "10 000 readers, 16 texts in flight", readers: 10_000, in_flight: 16 },
    Load { name: "10 000 readers, 1 text in flight", readers: 10_000, in_flight: 1 },
];

/// What is told of each.
pub(crate) const MEASURES: [&str; 7] = [
    "server, ns/delivery",
    "deliveries/s",
    "until the last has it, p50 ms",
    "whisper at rest, p50 ms",
    "whisper at rest, p99 ms",
    "whisper beside texts, p50 ms",
    "whisper beside texts, p99 ms",
];

const SPAN: Duration = Duration::from_secs(3);
/// Sixteen texts to ten thousand take some servers many seconds.
const ECHO: Duration = Duration::from_secs(120);

/// One turn of a peer.
///
/// # Errors
/// If the peer fails.
pub(crate) fn turn(stable: &Stable, peer: Peer, results: &mut Results) -> Result<(), String> {
    let server = stable.start_as(peer, Manner { chat: true, tls: false })?;
    let plan = server.plan(Scenario::Chat);
    LOADS.iter().try_for_each(|load| measure(server.protocol, plan.clone(), peer.name(), *load, results))
}

/// Measures a room of a server, which is named so, by its usual load.
///
/// # Errors
/// If the server fails.
pub(crate) fn measure(
    protocol: Protocol,
    usual: Plan,
    server: &'static str,
    load: Load,
    results: &mut Results,
) -> Result<(), String> {
    let Load { name, readers: clients, in_flight } = load;
    let timeouts = Timeouts { echo: ECHO, ..Timeouts::default() };
    let plan = Plan { clients, in_flight, span: SPAN, timeouts, ..usual };
    let report = protocol.load(&plan, &mut |_| {})?;
    let chat = report.chat.ok_or("the chat was not measured")?;
    let (rest, beside) = (chat.whisper_at_rest_us, chat.whisper_us);
    let times = [report.message_us.p50, rest.p50, rest.p99, beside.p50, beside.p99];
    let costs = [chat.server_ns_per_delivery, Some(chat.deliveries_per_second)];
    let figures = costs.into_iter().chain(times.map(|us| Some(us / 1e3)));
    steady::add(results, (name, server), &report, MEASURES.into_iter().zip(figures));
    Ok(())
}
