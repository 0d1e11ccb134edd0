//! The picture of the row `steady`: a panel a load, a bar a peer, and a line where the bare loop ends.
//!
//! Light or dark is the reader's choice, as in porter-load's pictures, whose colours these are.

use crate::ledger::{Ledger, Summary};
use crate::peers::Peer;
use crate::steady::{COST, LOADS};
use crate::table::shown;
use svg::Document;
use svg::node::element::{Group, Line, Polygon, Rectangle, Style, Text, Title};

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
/// As many times the bare loop's cost are a panel's width: what is longer is cut off, and shown to be, or else the others
/// could not be told apart.
const CUT: f64 = 2.0;
/// Of the gap in a bar that is cut off.
const NOTCH: f64 = 6.0;
/// Under the last bar.
const FOOT: f64 = 80.0;
/// From one line under the bars to the next.
const LINE: f64 = 18.0;

const STYLE: &str = "
text { font-family: system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif; font-size: 13px; fill: #3d434b; }
.page { fill: #ffffff; }
.title { font-size: 19px; font-weight: 600; fill: #15181c; }
.subtitle { font-size: 14px; }
.axis { stroke: #8b929b; stroke-width: 1; }
.limit { stroke: #c65100; stroke-width: 1.5; stroke-dasharray: 4 4; }
rect.peer { fill: #a7afb9; }
.span { stroke: #15181c; stroke-width: 1.2; }
.own { fill: #0067a8; }
text.own { font-weight: 600; }
@media (prefers-color-scheme: dark) {
text { fill: #b9c0c9; }
.page { fill: #14171b; }
.title { fill: #f2f4f6; }
.axis { stroke: #6d7680; }
.limit { stroke: #f0a030; }
.span { stroke: #f2f4f6; }
rect.peer { fill: #59626c; }
.own { fill: #62bdf2; }
}
";

/// Draws it; `conditions` say how, when and where it was measured, a line each.
pub(crate) fn draw(ledger: &Ledger, peers: &[Peer], conditions: &[&str]) -> String {
    let bottom = TOP + PITCH * peers.len() as f64;
    let height = bottom + FOOT;
    let title = "What a message costs the server: processor time in µs, shorter is better";
    let subtitle =
        "64 bytes, sent and echoed; server and load on a processor each, medians of rounds in turns";
    let mut document = Document::new()
        .set("viewBox", (0.0, 0.0, WIDTH, height))
        .set("width", WIDTH)
        .set("height", height)
        .set("role", "img")
        .add(Title::new(title))
        .add(Style::new(STYLE))
        .add(Rectangle::new().set("class", "page").set("width", WIDTH).set("height", height))
        .add(text(title, 24.0, 36.0, "start").set("class", "title"))
        .add(text(subtitle, 24.0, 60.0, "start").set("class", "subtitle"));
    for (peer, y) in peers.iter().zip(rows()) {
        let name = text(peer.name(), LEFT - 14.0, y + BAR - 4.5, "end");
        document = document.add(name.set("class", class(*peer)));
    }
    for (load, x) in LOADS.iter().zip((0..).map(|panel| LEFT + f64::from(panel) * (PANEL + GAP))) {
        document = document.add(panel(ledger, peers, load.name, x, bottom));
    }
    let legend = "the dashed line is the bare loop: frames in and out, no login; cut bars are longer; thin lines: least to most";
    for (words, line) in [legend].iter().chain(conditions).zip(1..) {
        document = document.add(text(words, 24.0, bottom + 8.0 + LINE * f64::from(line), "start"));
    }
    format!("{document}\n")
}

/// The upper edges of the bars.
fn rows() -> impl Iterator<Item = f64> {
    (0..).map(|row| TOP + f64::from(row) * PITCH + (PITCH - BAR) / 2.0)
}

fn panel(ledger: &Ledger, peers: &[Peer], work: &str, x: f64, bottom: f64) -> Group {
    let cost = |peer: &Peer| ledger.median(work, peer.name(), COST);
    let longest = peers.iter().filter_map(cost).fold(f64::MIN_POSITIVE, f64::max);
    let limit = peers.contains(&Peer::Bare).then(|| cost(&Peer::Bare)).flatten();
    let most = limit.map_or(longest, |limit| longest.min(limit * CUT));
    let width = |cost: f64| cost.min(most) / most * (PANEL - FIGURE);
    // The name in two lines: connections, messages in flight.
    let (connections, in_flight) = work.split_once(", ").unwrap_or((work, ""));
    let mut group = Group::new().add(text(connections, x, TOP - 26.0, "start")).add(text(
        in_flight,
        x,
        TOP - 9.0,
        "start",
    ));
    for (peer, y) in peers.iter().zip(rows()) {
        let Some(cost) = cost(peer) else { continue };
        let bar = Rectangle::new()
            .set("class", class(*peer))
            .set("x", x)
            .set("y", y)
            .set("width", tenth(width(cost)))
            .set("height", BAR);
        // Not on the line.
        let end = width(cost).max(limit.map_or(0.0, width));
        let figure = text(&shown(Some(cost)), x + end + 6.0, y + BAR - 4.5, "start");
        group = group.add(bar).add(figure.set("class", class(*peer)));
        if let Some(Summary { least, most: longest, rounds: 2.., .. }) =
            ledger.summary(work, peer.name(), COST)
        {
            let middle = y + BAR / 2.0;
            group = group.add(line(x + width(least), middle, x + width(longest), middle, "span"));
        }
        if cost > most {
            group = group.add(notch(x + width(cost) * 0.8, y));
        }
    }
    if let Some(limit) = limit {
        let at = x + width(limit);
        group = group.add(line(at, TOP, at, bottom, "limit"));
    }
    group.add(line(x, TOP, x, bottom, "axis"))
}

/// A slanting gap in a bar.
fn notch(x: f64, y: f64) -> Polygon {
    let (top, bottom) = (y - 1.0, y + BAR + 1.0);
    let corners = [(x + NOTCH, top), (x + 2.0 * NOTCH, top), (x + NOTCH, bottom), (x, bottom)];
    let points = corners.map(|(x, y)| format!("{},{}", tenth(x), tenth(y)));
    Polygon::new().set("class", "page").set("points", points.join(" "))
}

fn class(peer: Peer) -> &'static str {
    if peer == Peer::Porter { "own" } else { "peer" }
}

fn text(content: &str, x: f64, y: f64, anchor: &str) -> Text {
    Text::new(content).set("x", tenth(x)).set("y", tenth(y)).set("text-anchor", anchor)
}

fn line(x1: f64, y1: f64, x2: f64, y2: f64, class: &str) -> Line {
    let line = Line::new().set("x1", tenth(x1)).set("y1", tenth(y1));
    line.set("x2", tenth(x2)).set("y2", tenth(y2)).set("class", class)
}

/// To a tenth of a pixel.
fn tenth(length: f64) -> f64 {
    (length * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_peer_has_a_bar_in_each_panel_and_the_long_ones_are_cut() {
        let peers = [Peer::Bare, Peer::Blocking, Peer::Porter];
        let mut ledger = Ledger::default();
        for load in LOADS {
            for (peer, cost) in peers.iter().zip([5.0, 34.0, 5.2]) {
                ledger.add(load.name, peer.name(), COST, cost);
            }
        }
        let picture = draw(&ledger, &peers, &["a < b"]);
        assert_eq!(picture.matches("<rect").count(), 1 + 3 * 3);
        assert_eq!(picture.matches("<polygon").count(), 3);
        assert!(picture.contains("a &lt; b") && !picture.contains("NaN"));
        assert_eq!(picture.matches("\"span\"").count(), 0, "one round has no span");
        for load in LOADS {
            ledger.add(load.name, Peer::Porter.name(), COST, 5.6);
        }
        assert_eq!(draw(&ledger, &peers, &[]).matches("class=\"span\"").count(), 3);
        assert!(!draw(&Ledger::default(), &peers, &[]).contains("NaN"));
    }
}
