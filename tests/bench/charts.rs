//! The picture of growth: four panels with logarithmic axes, as an SVG document for light and dark pages.
//!
//! Each has one curve and its figures beside the points, so that colour says nothing that is not also written.

use porter::chart::{Anchor, LogAxis, Page};

const TITLE: &str = "porter: what grows, and what does not";
const SUBTITLE: &str = "the dashed lines are what would be if it grew as the size does";
/// The left upper corners of the panels' axes, row by row.
const CORNERS: [(f64, f64); 4] = [(76.0, 118.0), (506.0, 118.0), (76.0, 402.0), (506.0, 402.0)];
const PANEL_WIDTH: f64 = 320.0;
const PANEL_HEIGHT: f64 = 180.0;

/// How one figure grows with one size.
pub(crate) struct Panel {
    pub(crate) title: &'static str,
    pub(crate) unit: &'static str,
    /// What the sizes are of.
    pub(crate) across: &'static str,
    /// Sizes and figures, sizes rising.
    pub(crate) points: Vec<(f64, f64)>,
}

/// Draws them all; `conditions` say how, when and where it was measured, a line each.
pub(crate) fn draw(panels: &[Panel; 4], conditions: &[&str]) -> String {
    let mut page = Page::new((860.0, 694.0), TITLE, SUBTITLE, conditions);
    for (panel, corner) in panels.iter().zip(CORNERS) {
        draw_panel(&mut page, panel, corner);
    }
    page.finished()
}

fn draw_panel(page: &mut Page, panel: &Panel, (left, top): (f64, f64)) {
    let (right, bottom) = (left + PANEL_WIDTH, top + PANEL_HEIGHT);
    let across = LogAxis::around(panel.points.iter().map(|point| point.0), [left, right]);
    let up = LogAxis::around(panel.points.iter().map(|point| point.1), [bottom, top]);
    page.text(&format!("{}, {}", panel.title, panel.unit), (left, top - 14.0), Anchor::Start, "name blue");
    for tick in up.ticks() {
        page.line((left, up.at(tick)), (right, up.at(tick)), "grid");
        page.text(&short(tick), (left - 10.0, up.at(tick) + 4.5), Anchor::End, "");
    }
    for tick in across.ticks() {
        page.line((across.at(tick), bottom), (across.at(tick), bottom + 5.0), "axis");
        page.text(&short(tick), (across.at(tick), bottom + 20.0), Anchor::Middle, "");
    }
    page.line((left, bottom), (right, bottom), "axis");
    page.text(panel.across, ((left + right) / 2.0, bottom + 42.0), Anchor::Middle, "");
    if let (Some(first), Some(last)) = (panel.points.first(), panel.points.last()) {
        // Up from the first point where little grows, down from the last where much does; as far as the panel goes.
        let grows = last.1 > first.1 * 4.0;
        let part = (up.lowest() / last.1).max(first.0 / last.0);
        let times = (up.highest() / first.1).min(last.0 / first.0);
        let (from, factor) = if grows { (last, part) } else { (first, times) };
        let ends = [1.0, factor].map(|factor| (across.at(from.0 * factor), up.at(from.1 * factor)));
        page.line(ends[0], ends[1], "reference");
    }
    let at = |(size, figure): &(f64, f64)| (across.at(*size), up.at(*figure));
    page.curve(&panel.points.iter().map(at).collect::<Vec<_>>(), "curve blue");
    for (place, point) in panel.points.iter().enumerate() {
        // Beside a rising curve, not on it, and within the panel at both ends.
        let anchor = match panel.points.get(place + 1) {
            _ if place == 0 => Anchor::Start,
            Some((_, next)) if *next <= point.1 => Anchor::Start,
            _ => Anchor::End,
        };
        let (x, y) = at(point);
        page.dot((x, y), "blue");
        page.text(&shown(point.1), (x, y - 9.0), anchor, "");
    }
}

/// Three digits where there are as many, and never more than three after the point.
pub(crate) fn shown(figure: f64) -> String {
    let decimals = match figure {
        f if f >= 100.0 => 0,
        f if f >= 10.0 => 1,
        f if f >= 1.0 => 2,
        _ => 3,
    };
    format!("{figure:.decimals$}")
}

/// A round figure, short enough for the axis.
fn short(figure: f64) -> String {
    match figure {
        d if d >= 1e6 => format!("{}M", d / 1e6),
        d if d >= 1e3 => format!("{}k", d / 1e3),
        d => format!("{}", (d * 1e6).round() / 1e6),
    }
}
