//! The picture of growth: four panels with logarithmic axes, as an SVG document for light and dark pages.
//!
//! Each has one curve and its figures beside the points, so that colour says nothing that is not also written.

use svg::Document;
use svg::node::element::{Circle, Group, Line, Polyline, Rectangle, Style, Text, Title};

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 640.0;
const TITLE: &str = "porter: what grows, and what does not";
/// The left upper corners of the panels' axes, row by row.
const CORNERS: [(f64, f64); 4] = [(76.0, 96.0), (506.0, 96.0), (76.0, 380.0), (506.0, 380.0)];
const PANEL_WIDTH: f64 = 320.0;
const PANEL_HEIGHT: f64 = 180.0;

const STYLE: &str = "
text { font-family: system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif; font-size: 13px; fill: #3d434b; }
.page { fill: #ffffff; }
.title { font-size: 19px; font-weight: 600; fill: #15181c; }
.name { font-size: 15px; font-weight: 600; fill: #0067a8; }
.grid { stroke: #dfe3e8; stroke-width: 1; }
.axis { stroke: #8b929b; stroke-width: 1; }
.curve { fill: none; stroke: #0067a8; stroke-width: 2.5; stroke-linejoin: round; stroke-linecap: round; }
circle { fill: #0067a8; }
@media (prefers-color-scheme: dark) {
text { fill: #b9c0c9; }
.page { fill: #14171b; }
.title { fill: #f2f4f6; }
.name { fill: #62bdf2; }
.grid { stroke: #2b3138; }
.axis { stroke: #6d7680; }
.curve { stroke: #62bdf2; }
circle { fill: #62bdf2; }
}
";

/// How one figure grows with one size.
pub(crate) struct Panel {
    pub(crate) title: &'static str,
    pub(crate) unit: &'static str,
    /// What the sizes are of.
    pub(crate) across: &'static str,
    /// Sizes and figures, sizes rising.
    pub(crate) points: Vec<(f64, f64)>,
}

/// Two whole decades, and where a value lies between them.
struct Axis {
    lower: f64,
    upper: f64,
}

impl Axis {
    fn around(values: impl Iterator<Item = f64> + Clone) -> Axis {
        let lower = values.clone().fold(f64::INFINITY, f64::min).log10().floor();
        let upper = values.fold(0.0, f64::max).log10().ceil().max(lower + 1.0);
        Axis { lower, upper }
    }

    /// 0 at the lower end, 1 at the upper.
    fn part(&self, value: f64) -> f64 {
        (value.log10() - self.lower) / (self.upper - self.lower)
    }

    fn decades(&self) -> impl Iterator<Item = f64> + use<> {
        (self.lower as i32..=self.upper as i32).map(|decade| 10_f64.powi(decade))
    }
}

/// Draws them all.
pub(crate) fn draw(panels: &[Panel; 4]) -> String {
    let mut document = Document::new()
        .set("viewBox", (0.0, 0.0, WIDTH, HEIGHT))
        .set("width", WIDTH)
        .set("height", HEIGHT)
        .set("role", "img")
        .add(Title::new(TITLE))
        .add(Style::new(STYLE))
        .add(Rectangle::new().set("class", "page").set("width", WIDTH).set("height", HEIGHT))
        .add(text(TITLE, 24.0, 36.0, "start").set("class", "title"));
    for (panel, corner) in panels.iter().zip(CORNERS) {
        document = document.add(drawn(panel, corner));
    }
    format!("{document}\n")
}

fn drawn(panel: &Panel, (left, top): (f64, f64)) -> Group {
    let across = Axis::around(panel.points.iter().map(|point| point.0));
    let up = Axis::around(panel.points.iter().map(|point| point.1));
    let (right, bottom) = (left + PANEL_WIDTH, top + PANEL_HEIGHT);
    let x = |value| left + PANEL_WIDTH * across.part(value);
    let y = |value| bottom - PANEL_HEIGHT * up.part(value);
    let name = format!("{}, {}", panel.title, panel.unit);
    let mut group = Group::new().add(text(&name, left, top - 14.0, "start").set("class", "name"));
    for decade in up.decades() {
        group = group.add(line((left, y(decade)), (right, y(decade)), "grid")).add(text(
            &short(decade),
            left - 10.0,
            y(decade) + 4.5,
            "end",
        ));
    }
    for decade in across.decades() {
        group = group.add(line((x(decade), bottom), (x(decade), bottom + 5.0), "axis")).add(text(
            &short(decade),
            x(decade),
            bottom + 20.0,
            "middle",
        ));
    }
    let points: Vec<String> =
        panel.points.iter().map(|(size, figure)| format!("{:.1},{:.1}", x(*size), y(*figure))).collect();
    group = group
        .add(line((left, bottom), (right, bottom), "axis"))
        .add(text(panel.across, (left + right) / 2.0, bottom + 42.0, "middle"))
        .add(Polyline::new().set("class", "curve").set("points", points.join(" ")));
    for (place, (size, figure)) in panel.points.iter().enumerate() {
        // Beside a rising curve, not on it, and within the panel at both ends.
        let anchor = match panel.points.get(place + 1) {
            _ if place == 0 => "start",
            Some((_, next)) if next <= figure => "start",
            _ => "end",
        };
        group = group
            .add(Circle::new().set("cx", round(x(*size))).set("cy", round(y(*figure))).set("r", 3.5))
            .add(text(&shown(*figure), x(*size), y(*figure) - 9.0, anchor));
    }
    group
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

/// A power of ten, short enough for the axis.
fn short(decade: f64) -> String {
    match decade {
        d if d >= 1e6 => format!("{}M", d / 1e6),
        d if d >= 1e3 => format!("{}k", d / 1e3),
        d => format!("{d}"),
    }
}

fn text(content: &str, x: f64, y: f64, anchor: &str) -> Text {
    Text::new(content).set("x", round(x)).set("y", round(y)).set("text-anchor", anchor)
}

fn line((x1, y1): (f64, f64), (x2, y2): (f64, f64), class: &str) -> Line {
    Line::new()
        .set("x1", round(x1))
        .set("y1", round(y1))
        .set("x2", round(x2))
        .set("y2", round(y2))
        .set("class", class)
}

/// To a tenth of a pixel.
fn round(length: f64) -> f64 {
    (length * 10.0).round() / 10.0
}
