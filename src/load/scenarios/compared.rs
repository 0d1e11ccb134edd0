//! Visits compared with knocks, block by block.

use crate::load::report::AgainstKnock;
use crate::load::sampler::{Sample, round};
use std::time::Duration;

/// A block of visits, the block of knocks before it, and how many there were in each.
pub(super) struct Pair {
    pub(super) visits: Sample,
    pub(super) knocks: Sample,
    pub(super) clients: u64,
}

pub(super) fn compared(blocks: &[Pair]) -> AgainstKnock {
    let median = |figure: &dyn Fn(&Pair) -> Option<Duration>| {
        let each = |pair: &Pair| Some(figure(pair)?.as_secs_f64() * 1e6 / pair.clients.max(1) as f64);
        let mut figures: Vec<f64> = blocks.iter().filter_map(each).collect();
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
