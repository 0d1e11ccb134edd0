//! The picture of a report: latency by percentile, as an SVG document.
//!
//! The percentile axis is stretched towards the end, each step to the right a tenth of the clients, so that the slow
//! ones, who matter, have room; the latency axis is logarithmic, so that microseconds and seconds fit one picture.
//! Light or dark is the reader's choice; colours are those of Okabe and Ito, which the colour-blind can tell apart,
//! and each curve carries its name and has dashes of its own.

use super::stats::Latency;
use super::timeline::Timeline;
use super::timeplot;
use std::ops::RangeInclusive;
use svg::Document;
use svg::node::element::{Circle, Group, Line, Polyline, Rectangle, Style, Text, Title};

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 460.0;
pub(super) const LEFT: f64 = 76.0;
/// Right of it are the curves' names.
pub(super) const RIGHT: f64 = 640.0;
const TOP: f64 = 100.0;
pub(super) const BOTTOM: f64 = 400.0;
/// A name and two lines of figures under it need as much.
const LABEL_PITCH: f64 = 64.0;
/// From the name to the last line under it.
const LABEL_DESCENT: f64 = 34.0;
/// Between two points of a curve on the percentile axis, in decades.
const CURVE_STEP: f64 = 0.01;

/// Decades from the left edge of the percentile axis, and the name there.
const PERCENTILES: [(f64, &str); 6] = [
    (0.0, "min"),
    (std::f64::consts::LOG10_2, "p50"),
    (1.0, "p90"),
    (2.0, "p99"),
    (3.0, "p99.9"),
    (4.0, "p99.99"),
];

const STYLE: &str = "
text { font-family: system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif; font-size: 13px; fill: #3d434b; }
.page { fill: #ffffff; }
.title { font-size: 19px; font-weight: 600; fill: #15181c; }
.subtitle { font-size: 14px; }
.grid { stroke: #dfe3e8; stroke-width: 1; }
.axis { stroke: #8b929b; stroke-width: 1; }
.name { font-size: 15px; font-weight: 600; }
.curve { fill: none; stroke-width: 2.5; stroke-linejoin: round; stroke-linecap: round; }
.leader { stroke-width: 1; stroke-dasharray: 1 3; }
.connect .curve { stroke-dasharray: 2 6; }
.login .curve { stroke-dasharray: 11 6; }
.connect .curve, .connect .leader { stroke: #00795a; }
.login .curve, .login .leader { stroke: #c65100; }
.message .curve, .message .leader { stroke: #0067a8; }
.connect circle, .connect .name { fill: #00795a; }
.login circle, .login .name { fill: #c65100; }
.message circle, .message .name { fill: #0067a8; }
.back .curve { stroke-dasharray: 14 5 2 5; }
.back .curve, .back .leader { stroke: #a0357f; }
.back circle, .back .name { fill: #a0357f; }
.tail .curve { stroke: #a0357f; }
.tail .name { fill: #a0357f; }
.half .curve { stroke: #15181c; }
.half .name { fill: #15181c; }
.most .curve { stroke: #8b929b; }
.most .name { fill: #5d646d; }
.curve.thin { stroke-width: 1.6; stroke-dasharray: none; }
.band { fill: #eef1f5; }
@media (prefers-color-scheme: dark) {
text { fill: #b9c0c9; }
.page { fill: #14171b; }
.title { fill: #f2f4f6; }
.grid { stroke: #2b3138; }
.axis { stroke: #6d7680; }
.connect .curve, .connect .leader { stroke: #2fc498; }
.login .curve, .login .leader { stroke: #f0a030; }
.message .curve, .message .leader { stroke: #62bdf2; }
.connect circle, .connect .name { fill: #2fc498; }
.login circle, .login .name { fill: #f0a030; }
.message circle, .message .name { fill: #62bdf2; }
.back .curve, .back .leader { stroke: #e58cc5; }
.back circle, .back .name { fill: #e58cc5; }
.tail .curve { stroke: #e58cc5; }
.tail .name { fill: #e58cc5; }
.half .curve { stroke: #f2f4f6; }
.half .name { fill: #f2f4f6; }
.most .curve { stroke: #6d7680; }
.most .name { fill: #98a1ab; }
.band { fill: #1e2329; }
}
";

/// Latencies of one sort, as they are to be drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Curve<'a> {
    pub(super) name: &'a str,
    /// Its colour and dashes.
    pub(super) class: &'a str,
    pub(super) latency: &'a Latency,
}

/// Where latencies and percentiles lie on the page.
struct Scale {
    /// Nanoseconds at the lower and the upper end.
    latency: RangeInclusive<f64>,
    /// Decades of the percentile axis.
    decades: f64,
}

impl Scale {
    /// Wide enough for all that was measured, between round figures.
    fn fitting(curves: &[Curve<'_>]) -> Scale {
        let latencies = || curves.iter().map(|curve| curve.latency);
        let least = latencies().map(|latency| latency.nanoseconds_at(0.0)).min().unwrap_or(1_000);
        let most = latencies().map(|latency| latency.nanoseconds_at(1.0)).max().unwrap_or(1_000_000);
        let count = latencies().map(Latency::count).max().unwrap_or(1);
        let latency = range_around(least as f64, most as f64);
        Scale { latency, decades: (count as f64).log10().ceil().clamp(2.0, 4.0) }
    }

    fn x(&self, decades: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * decades / self.decades
    }

    fn y(&self, nanoseconds: f64) -> f64 {
        let (lower, upper) = (self.latency.start().log10(), self.latency.end().log10());
        BOTTOM - (BOTTOM - TOP) * (nanoseconds.max(1.0).log10() - lower) / (upper - lower)
    }

    /// Where a curve ends: at its slowest client, or at the end of the axis.
    fn end(&self, latency: &Latency) -> f64 {
        (latency.count().max(1) as f64).log10().min(self.decades)
    }
}

/// From a round figure to a round figure, with both latencies between them.
pub(super) fn range_around(least: f64, most: f64) -> RangeInclusive<f64> {
    let lower = round_figures().take_while(|figure| *figure <= least).last().unwrap_or(1.0);
    let upper = round_figures().find(|figure| *figure >= most && *figure > lower * 9.0);
    let range = lower..=upper.unwrap_or(lower * 10.0);
    if !crowded(&range) {
        return range;
    }
    let whole_decade = |exponent: f64| 10_f64.powf(exponent);
    whole_decade(lower.log10().floor())..=whole_decade(range.end().log10().ceil())
}

/// Whether there are so many decades that labels between them would run into each other.
pub(super) fn crowded(latency: &RangeInclusive<f64>) -> bool {
    latency.end() / latency.start() > 2_000.0
}

/// 1, 2, 5, 10, 20 and so on: nanoseconds, up to 500 seconds.
pub(super) fn round_figures() -> impl Iterator<Item = f64> {
    (0..=11).flat_map(|decade| [1.0, 2.0, 5.0].map(|figure| figure * 10_f64.powi(decade)))
}

/// Draws the picture, with latency over time below if there is any.
pub(super) fn draw(title: &str, subtitle: &str, curves: &[Curve<'_>], timeline: Option<&Timeline>) -> String {
    let scale = Scale::fitting(curves);
    let height = if timeline.is_some() { HEIGHT + timeplot::HEIGHT } else { HEIGHT };
    let mut document = Document::new()
        .set("viewBox", (0.0, 0.0, WIDTH, height))
        .set("width", WIDTH)
        .set("height", height)
        .set("role", "img")
        .add(Title::new(format!("{title}: {subtitle}")))
        .add(Style::new(STYLE))
        .add(Rectangle::new().set("class", "page").set("width", WIDTH).set("height", height))
        .add(text(title, 24.0, 36.0, "start").set("class", "title"))
        .add(text(subtitle, 24.0, 60.0, "start").set("class", "subtitle"))
        .add(latency_axis(&scale))
        .add(percentile_axis(&scale));
    if curves.is_empty() {
        let middle = (LEFT + RIGHT) / 2.0;
        document = document.add(text("nothing was measured", middle, (TOP + BOTTOM) / 2.0, "middle"));
    }
    if let Some(timeline) = timeline {
        document = document.add(timeplot::panel(timeline));
    }
    let end_y = |curve: &Curve<'_>| scale.y(at(curve.latency, scale.end(curve.latency)));
    let ends: Vec<f64> = curves.iter().map(end_y).collect();
    for (one, label_y) in curves.iter().zip(spread(&ends)) {
        document = document.add(curve(one, &scale, label_y));
    }
    format!("{document}\n")
}

fn latency_axis(scale: &Scale) -> Group {
    let mut group = Group::new().add(text("latency", 24.0, TOP - 16.0, "start"));
    for figure in round_figures().filter(|figure| scale.latency.contains(figure)) {
        let whole_decade = figure.log10().fract() == 0.0;
        if crowded(&scale.latency) && !whole_decade {
            continue;
        }
        let y = scale.y(figure);
        let label = duration_shown(figure);
        group = group.add(line(LEFT, y, RIGHT, y, "grid")).add(text(&label, LEFT - 10.0, y + 4.5, "end"));
    }
    group
}

fn percentile_axis(scale: &Scale) -> Group {
    let mut group = Group::new().add(line(LEFT, BOTTOM, RIGHT, BOTTOM, "axis"));
    for (decades, name) in PERCENTILES.into_iter().filter(|(decades, _)| *decades <= scale.decades) {
        let x = scale.x(decades);
        group = group
            .add(line(x, TOP, x, BOTTOM, "grid"))
            .add(line(x, BOTTOM, x, BOTTOM + 5.0, "axis"))
            .add(text(name, x, BOTTOM + 21.0, "middle"));
    }
    group.add(text("percentile", (LEFT + RIGHT) / 2.0, BOTTOM + 44.0, "middle"))
}

fn curve(curve: &Curve<'_>, scale: &Scale, label_y: f64) -> Group {
    let Curve { name, class, latency } = *curve;
    let end = scale.end(latency);
    let steps = (end / CURVE_STEP) as u32;
    let mut points = String::new();
    for decades in (0..=steps).map(|step| f64::from(step) * CURVE_STEP).chain([end]) {
        points.push_str(&format!("{:.1},{:.1} ", scale.x(decades), scale.y(at(latency, decades))));
    }
    let (end_x, end_y) = (scale.x(end), scale.y(at(latency, end)));
    let mut group = Group::new()
        .set("class", class)
        .add(line(end_x, end_y, RIGHT + 14.0, label_y - 5.0, "leader"))
        .add(Polyline::new().set("class", "curve").set("points", points.trim_end()));
    for (decades, _) in PERCENTILES.into_iter().filter(|(decades, _)| (0.1..=end).contains(decades)) {
        group = group.add(dot(scale.x(decades), scale.y(at(latency, decades))));
    }
    let shown = |part| duration_shown(latency.nanoseconds_at(part) as f64);
    let figures = format!("p50 {} · p99 {}", shown(0.5), shown(0.99));
    let slowest = format!("max {}", shown(1.0));
    group
        .add(dot(end_x, end_y))
        .add(text(name, RIGHT + 20.0, label_y, "start").set("class", "name"))
        .add(text(&figures, RIGHT + 20.0, label_y + LABEL_DESCENT / 2.0, "start"))
        .add(text(&slowest, RIGHT + 20.0, label_y + LABEL_DESCENT, "start"))
}

/// The latency in nanoseconds so many decades along the percentile axis; beyond the last client, the slowest.
fn at(latency: &Latency, decades: f64) -> f64 {
    let slowest = decades >= (latency.count() as f64).log10();
    latency.nanoseconds_at(if slowest { 1.0 } else { 1.0 - 10_f64.powf(-decades) }) as f64
}

/// Heights for labels as near as can be to the wanted ones and never closer than a label is high.
fn spread(wanted: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]));
    let mut heights = wanted.to_vec();
    let mut least = TOP;
    for index in &order {
        heights[*index] = heights[*index].max(least);
        least = heights[*index] + LABEL_PITCH;
    }
    let mut most = BOTTOM - LABEL_DESCENT;
    for index in order.iter().rev() {
        heights[*index] = heights[*index].min(most);
        most = heights[*index] - LABEL_PITCH;
    }
    heights
}

/// Three digits and a unit: `850 ns`, `21.3 µs`, `1.05 ms`, `2 s`.
pub(super) fn duration_shown(nanoseconds: f64) -> String {
    let (value, unit) = match nanoseconds {
        n if n < 1e3 => (n, "ns"),
        n if n < 1e6 => (n / 1e3, "µs"),
        n if n < 1e9 => (n / 1e6, "ms"),
        n => (n / 1e9, "s"),
    };
    let decimals = match value {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    };
    let figure = format!("{value:.decimals$}");
    let figure = if decimals > 0 { figure.trim_end_matches('0').trim_end_matches('.') } else { &figure };
    format!("{figure} {unit}")
}

/// A text at a point: its left end (`start`), its `middle` or its right `end`.
pub(super) fn text(content: &str, x: f64, y: f64, anchor: &str) -> Text {
    Text::new(content).set("x", round(x)).set("y", round(y)).set("text-anchor", anchor)
}

/// A line of a class.
pub(super) fn line(x1: f64, y1: f64, x2: f64, y2: f64, class: &str) -> Line {
    let line = Line::new().set("x1", round(x1)).set("y1", round(y1));
    line.set("x2", round(x2)).set("y2", round(y2)).set("class", class)
}

fn dot(x: f64, y: f64) -> Circle {
    Circle::new().set("cx", round(x)).set("cy", round(y)).set("r", 3.5)
}

/// To a tenth of a pixel.
fn round(length: f64) -> f64 {
    (length * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Latencies;
    use std::time::Duration;

    fn latencies(nanoseconds: [u64; 3]) -> Latencies {
        let mut latencies = Latencies::default();
        for part in 1..=10_000_u64 {
            for (latency, most) in [&mut latencies.connect, &mut latencies.login, &mut latencies.message]
                .into_iter()
                .zip(nanoseconds)
            {
                latency.record(Duration::from_nanos(most / 10 + most * 1_000 / part.pow(2)));
            }
        }
        latencies
    }

    fn curves(latencies: &Latencies) -> [Curve<'_>; 3] {
        let Latencies { connect, login, message } = latencies;
        [("connect", connect), ("login", login), ("message", message)].map(|(name, latency)| Curve {
            name,
            class: name,
            latency,
        })
    }

    #[test]
    fn durations_are_shown_with_three_digits_and_a_unit() {
        let shown = [850.0, 21_340.0, 999_000.0, 1_054_000.0, 20e6, 2e9, 100.0].map(duration_shown);
        assert_eq!(shown, ["850 ns", "21.3 µs", "999 µs", "1.05 ms", "20 ms", "2 s", "100 ns"]);
    }

    #[test]
    fn labels_never_overlap_nor_leave_the_page() {
        for wanted in [[TOP; 3], [BOTTOM; 3], [200.0, 201.0, 199.0], [BOTTOM, TOP, 150.0]] {
            let heights = spread(&wanted);
            for (first, second) in [(0, 1), (0, 2), (1, 2)] {
                let distance = (heights[first] - heights[second]).abs();
                assert!(distance >= LABEL_PITCH - 0.001, "{wanted:?} {heights:?}");
            }
            assert!(heights.iter().all(|height| (TOP - 0.001..=BOTTOM).contains(height)), "{heights:?}");
        }
    }

    #[test]
    fn everything_measured_lies_within_the_axes() {
        for nanoseconds in [[60_000, 90_000, 20_000], [1, 60_000_000_000, 5_000], [7; 3]] {
            let latencies = latencies(nanoseconds);
            let curves = curves(&latencies);
            let scale = Scale::fitting(&curves[..2]);
            for Curve { latency, .. } in &curves[..2] {
                for decades in [0.0, 1.0, 4.0] {
                    let y = scale.y(at(latency, decades));
                    assert!((TOP - 0.001..=BOTTOM + 0.001).contains(&y), "{y}");
                }
            }
        }
    }

    #[test]
    fn a_curve_is_drawn_for_each_thing_measured() {
        let latencies = latencies([60_000, 90_000, 20_000]);
        let picture = draw("Latency", "a < b", &curves(&latencies), None);
        assert_eq!(picture.matches("<polyline").count(), 3);
        assert!(picture.contains("a &lt; b") && picture.contains("p99.99"));
        let empty = draw("Latency", "", &[], None);
        assert!(empty.contains("nothing was measured") && !empty.contains("<polyline"));
        assert!(!empty.contains("NaN") && !empty.contains("inf"));
    }
}
