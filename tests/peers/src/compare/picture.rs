//! The picture of the row `steady`: a panel a load, a bar a peer on a logarithmic axis, and a line where the bare loop ends.

use crate::peers::Peer;
use crate::results::{Results, Summary};
use crate::steady::{COST, LOADS};
use crate::table::shown;
use porter::chart::{Anchor, LogAxis, Page};

const WIDTH: f64 = 860.0;
const TOP: f64 = 122.0;
/// From one peer's bar to the next.
const PITCH: f64 = 34.0;
const BAR: f64 = 18.0;
/// Left of the first panel are the peers' names.
const LEFT: f64 = 156.0;
const PANEL: f64 = 216.0;
const GAP: f64 = 18.0;
/// Of a panel's width, for the figure behind the longest bar.
const FIGURE: f64 = 52.0;
/// Under the last bar.
const FOOT: f64 = 112.0;

/// Draws it; `conditions` say how, when and where it was measured, a line each.
pub(crate) fn draw(results: &Results, peers: &[Peer], conditions: &[&str]) -> String {
    let bottom = TOP + PITCH * peers.len() as f64;
    let title = "What a message costs the server: CPU time in µs, shorter is better";
    let subtitle = "64 bytes, sent and echoed; server and load on a CPU each, medians of rounds in turns; logarithmic axes";
    let mut page = Page::new((WIDTH, bottom + FOOT), title, subtitle, conditions);
    for (peer, y) in peers.iter().zip(rows()) {
        page.text(peer.name(), (LEFT - 14.0, y + BAR - 4.5), Anchor::End, text_class(*peer));
    }
    for (load, x) in LOADS.iter().zip((0..).map(|panel| LEFT + f64::from(panel) * (PANEL + GAP))) {
        draw_panel(&mut page, (results, peers), load.name, x, bottom);
    }
    let legend = "the dashed line is the bare loop: frames in and out, no login; thin lines: least to most";
    page.text(legend, (24.0, bottom + 44.0), Anchor::Start, "");
    page.finished()
}

/// The upper edges of the bars.
fn rows() -> impl Iterator<Item = f64> {
    (0..).map(|row| TOP + f64::from(row) * PITCH + (PITCH - BAR) / 2.0)
}

fn draw_panel(page: &mut Page, (results, peers): (&Results, &[Peer]), work: &str, x: f64, bottom: f64) {
    let cost = |peer: &Peer| results.median(work, peer.name(), COST);
    let axis = LogAxis::around(peers.iter().filter_map(cost), [x, x + PANEL - FIGURE]);
    // The name in two lines: connections, messages in flight.
    let (connections, in_flight) = work.split_once(", ").unwrap_or((work, ""));
    page.text(connections, (x, TOP - 26.0), Anchor::Start, "");
    page.text(in_flight, (x, TOP - 9.0), Anchor::Start, "");
    for tick in axis.ticks() {
        page.line((axis.at(tick), TOP), (axis.at(tick), bottom), "grid");
        page.text(&tick.to_string(), (axis.at(tick), bottom + 18.0), Anchor::Middle, "note");
    }
    let limit = peers.contains(&Peer::Bare).then(|| cost(&Peer::Bare)).flatten();
    for (peer, y) in peers.iter().zip(rows()) {
        let Some(cost) = cost(peer) else { continue };
        let class = if *peer == Peer::Porter { "blue" } else { "gray" };
        page.bar((x, y), (axis.at(cost) - x, BAR), class);
        // Not on the line.
        let end = axis.at(cost).max(limit.map_or(x, |limit| axis.at(limit)));
        page.text(&shown(Some(cost)), (end + 6.0, y + BAR - 4.5), Anchor::Start, text_class(*peer));
        if let Some(Summary { least, most, rounds: 2.., .. }) = results.summary(work, peer.name(), COST) {
            let middle = y + BAR / 2.0;
            page.line((axis.at(least), middle), (axis.at(most), middle), "span");
        }
    }
    if let Some(limit) = limit {
        page.line((axis.at(limit), TOP), (axis.at(limit), bottom), "reference");
    }
    page.line((x, TOP), (x, bottom), "axis");
}

fn text_class(peer: Peer) -> &'static str {
    if peer == Peer::Porter { "name blue" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_peer_has_a_bar_in_each_panel_and_a_longer_one_costs_more() {
        let peers = [Peer::Bare, Peer::Blocking, Peer::Porter];
        let mut results = Results::default();
        for load in LOADS {
            for (peer, cost) in peers.iter().zip([5.0, 34.0, 5.2]) {
                results.add(load.name, peer.name(), COST, cost);
            }
        }
        let picture = draw(&results, &peers, &["a < b"]);
        assert_eq!(picture.matches("<rect").count(), 1 + 3 * 3);
        assert!(picture.contains("a &lt; b") && !picture.contains("NaN"));
        assert_eq!(picture.matches("\"span\"").count(), 0, "one round has no span");
        for load in LOADS {
            results.add(load.name, Peer::Porter.name(), COST, 5.6);
        }
        assert_eq!(draw(&results, &peers, &[]).matches("class=\"span\"").count(), 3);
        assert!(!draw(&Results::default(), &peers, &[]).contains("NaN"));
    }
}
