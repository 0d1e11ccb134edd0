//! The scenarios in which clients come and go, `sequential` and `knock`, and the two in turn.

use super::crowd::Crowd;
use super::figures::AgainstKnock;
use super::gauge::{Gauge, Stretch, round};
use super::mishap::{Mishap, no_poll};
use super::report::{Measured, Report};
use super::route::Route;
use super::stats::Tally;
use super::visitor::{Errand, Purpose};
use super::{Plan, Progress, Scenario, user_name};
use std::time::Duration;

/// Blocks of each kind when two take turns, at least: enough for a median that one disturbance does not move.
const BLOCKS: u64 = 5;
/// The most clients of a block, so that a run that is cut short has some blocks to tell of.
const BLOCK_MOST: u64 = 1_000;

/// A stretch of clients, the stretch of knocks before it, and how many there were in each.
struct Pair {
    visits: Stretch,
    knocks: Stretch,
    clients: u64,
}

/// All clients, one after another or so many at a time.
pub(super) fn visits(
    plan: &Plan,
    gauge: Gauge,
    route: &mut Route,
    preparation: Duration,
    watch: &mut dyn FnMut(Progress),
) -> Result<Report, Mishap> {
    let purpose = if plan.scenario == Scenario::Knock { Purpose::Knocks } else { Purpose::Talks };
    let memory_before = gauge.server_memory();
    let (mut sum, mut all) = (Tally::default(), None::<Stretch>);
    let mut blocks = Vec::new();
    let mut next = 0;
    while next < plan.clients && sum.cut.is_none() {
        let length =
            if plan.against_knock { plan.clients.div_ceil(BLOCKS).min(BLOCK_MOST) } else { plan.clients };
        let clients = next..(next + length).min(plan.clients);
        let knocks = if plan.against_knock {
            let (knocks, stretch) = block(plan, gauge, route, Purpose::Knocks, clients.clone(), &mut |_| {})?;
            sum.add_failures(knocks);
            if sum.cut.is_some() {
                break;
            }
            Some(stretch)
        } else {
            None
        };
        let (before, failed) = (sum.visits, sum.failed);
        let (tally, stretch) = block(plan, gauge, route, purpose, clients.clone(), &mut |tally: &Tally| {
            let (done, failed) = (before + tally.visits, failed + tally.failed);
            watch(Progress { counted: "clients", done, total: plan.clients, failed });
        })?;
        if let (Some(knocks), None) = (knocks, sum.cut.or(tally.cut)) {
            blocks.push(Pair { visits: stretch, knocks, clients: clients.end - clients.start });
        }
        next = clients.end;
        sum.add(tally);
        all = Some(all.map_or(stretch, |all| all.and(stretch)));
    }
    let Tally { visits: clients, failed, failures, latencies, cut } = sum;
    let memory_bytes = [memory_before, gauge.server_memory()];
    let measured = Measured {
        clients,
        failed,
        failures,
        latencies,
        preparation,
        stretch: all.unwrap_or_else(|| nothing(&gauge)),
        memory_bytes,
        cut,
    };
    let mut report = Report::new(plan, &gauge, measured);
    report.against_knock = (!blocks.is_empty()).then(|| compared(&blocks));
    Ok(report)
}

fn block(
    plan: &Plan,
    gauge: Gauge,
    route: &mut Route,
    purpose: Purpose,
    clients: std::ops::Range<u64>,
    watch: &mut dyn FnMut(&Tally),
) -> Result<(Tally, Stretch), Mishap> {
    let crowd = Crowd::new(route, gauge.clock, plan.patience, &plan.interrupt, plan.places(), false)
        .map_err(|error| no_poll(&error))?;
    let began = gauge.read();
    let errands = clients.map(|client| visit(plan, purpose, client));
    let tally = crowd.run(errands, watch).map_err(|error| no_poll(&error))?;
    Ok((tally, gauge.read().since(&began)))
}

/// A stretch in which nothing happened.
fn nothing(gauge: &Gauge) -> Stretch {
    let now = gauge.read();
    now.since(&now)
}

fn visit(plan: &Plan, purpose: Purpose, client: u64) -> Errand {
    Errand {
        name: user_name(plan, client),
        purpose,
        messages: plan.messages,
        first_serial: client.wrapping_mul(u64::from(plan.messages)),
        size_bytes: plan.size_bytes,
        pipelined: plan.pipelined,
    }
}

fn compared(blocks: &[Pair]) -> AgainstKnock {
    let median = |figure: &dyn Fn(&Pair) -> Option<Duration>| {
        let mut figures: Vec<f64> = blocks
            .iter()
            .filter_map(|block| {
                figure(block).map(|time| time.as_secs_f64() * 1e6 / block.clients.max(1) as f64)
            })
            .collect();
        figures.sort_by(f64::total_cmp);
        figures.get(figures.len() / 2).map(|figure| round(*figure, 2))
    };
    let ratio = |client: f64, knock: f64| (knock > 0.0).then(|| round(client / knock, 3));
    let us_per_client = median(&|pair| Some(pair.visits.elapsed)).unwrap_or_default();
    let us_per_knock = median(&|pair| Some(pair.knocks.elapsed)).unwrap_or_default();
    let server_us_per_client = median(&|pair| pair.visits.server.map(|server| server.used));
    let server_us_per_knock = median(&|pair| pair.knocks.server.map(|server| server.used));
    AgainstKnock {
        blocks: blocks.len(),
        us_per_client,
        us_per_knock,
        ratio: ratio(us_per_client, us_per_knock).unwrap_or_default(),
        server_us_per_client,
        server_us_per_knock,
        server_ratio: server_us_per_client.zip(server_us_per_knock).and_then(|(a, b)| ratio(a, b)),
    }
}
