//! Pictures of measurements, as SVG documents: a page with lines, bars and texts, and logarithmic axes.
//!
//! Light or dark is the reader's choice; colours are those of Okabe and Ito, which the colour-blind can tell apart, and
//! no colour says anything that is not also written. A class gives each thing its colour.
//!
//! This module must not know what was measured.

use std::ops::RangeInclusive;
use svg::node::element::{Circle, Line, Polyline, Rectangle, Style, Text, Title};
use svg::{Document, Node};

const STYLE: &str = "
text { font-family: system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif; font-size: 13px; fill: #3d434b; }
.page { fill: #ffffff; }
.title { font-size: 19px; font-weight: 600; fill: #15181c; }
.subtitle { font-size: 14px; }
.note { font-size: 11.5px; fill: #6d7680; }
.grid { stroke: #dfe3e8; stroke-width: 1; }
.axis { stroke: #8b929b; stroke-width: 1; }
.band { fill: #eef1f5; }
.name { font-size: 15px; font-weight: 600; }
.curve { fill: none; stroke-width: 2.5; stroke-linejoin: round; stroke-linecap: round; }
.thin { fill: none; stroke-width: 1.6; stroke-linejoin: round; }
.leader { stroke-width: 1; stroke-dasharray: 1 3; }
.reference { fill: none; stroke: #8b929b; stroke-width: 1.5; stroke-dasharray: 4 4; }
.curve.green { stroke-dasharray: 2 6; }
.curve.orange { stroke-dasharray: 11 6; }
.curve.purple { stroke-dasharray: 14 5 2 5; }
.span { stroke: #15181c; stroke-width: 1.2; }
.green { stroke: #00795a; } .orange { stroke: #c65100; } .blue { stroke: #0067a8; }
.purple { stroke: #a0357f; } .black { stroke: #15181c; } .gray { stroke: #8b929b; }
text.green, circle.green, rect.green { fill: #00795a; stroke: none; } text.orange, circle.orange { fill: #c65100; stroke: none; }
text.blue, circle.blue, rect.blue { fill: #0067a8; stroke: none; } text.purple, circle.purple { fill: #a0357f; stroke: none; }
text.black { fill: #15181c; stroke: none; } text.gray { fill: #5d646d; stroke: none; } rect.gray { fill: #a7afb9; stroke: none; }
@media (prefers-color-scheme: dark) {
text { fill: #b9c0c9; }
.page { fill: #14171b; }
.title { fill: #f2f4f6; }
.note { fill: #8b929b; }
.grid { stroke: #2b3138; }
.axis, .reference { stroke: #6d7680; }
.band { fill: #1e2329; }
.span { stroke: #f2f4f6; }
.green { stroke: #2fc498; } .orange { stroke: #f0a030; } .blue { stroke: #62bdf2; }
.purple { stroke: #e58cc5; } .black { stroke: #f2f4f6; } .gray { stroke: #6d7680; }
text.green, circle.green, rect.green { fill: #2fc498; } text.orange, circle.orange { fill: #f0a030; }
text.blue, circle.blue, rect.blue { fill: #62bdf2; } text.purple, circle.purple { fill: #e58cc5; }
text.black { fill: #f2f4f6; } text.gray { fill: #98a1ab; } rect.gray { fill: #59626c; }
}
";

/// Where a text lies at its point.
#[derive(Clone, Copy, Debug)]
pub enum Anchor {
    /// Its left end is there.
    Start,
    /// Its middle is there.
    Middle,
    /// Its right end is there.
    End,
}

/// A page that is being drawn, in pixels from its left upper corner.
#[derive(Clone, Debug)]
pub struct Page {
    document: Document,
}

impl Page {
    /// A page with a title, what it is about below that, and at the foot under what conditions it was measured, a line each.
    pub fn new((width, height): (f64, f64), title: &str, subtitle: &str, conditions: &[&str]) -> Page {
        let background = Rectangle::new().set("class", "page").set("width", width).set("height", height);
        let document = Document::new()
            .set("viewBox", (0.0, 0.0, width, height))
            .set("width", width)
            .set("height", height)
            .set("role", "img")
            .add(Title::new(format!("{title}: {subtitle}")))
            .add(Style::new(STYLE))
            .add(background);
        let mut page = Page { document };
        page.text(title, (24.0, 36.0), Anchor::Start, "title");
        page.text(subtitle, (24.0, 60.0), Anchor::Start, "subtitle");
        for (condition, line) in conditions.iter().rev().zip(0..) {
            let y = height - 14.0 - 16.0 * f64::from(line);
            page.text(condition, (24.0, y), Anchor::Start, "note");
        }
        page
    }

    fn add(&mut self, node: impl Into<Box<dyn Node>>) {
        self.document.append(node);
    }

    /// Writes a text at a point.
    pub fn text(&mut self, content: &str, (x, y): (f64, f64), anchor: Anchor, class: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = Text::new(content).set("x", tenth(x)).set("y", tenth(y));
        self.add(text.set("text-anchor", anchor).set("class", class));
    }

    /// Draws a line from one point to another.
    pub fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), class: &str) {
        let line = Line::new().set("x1", tenth(x1)).set("y1", tenth(y1));
        self.add(line.set("x2", tenth(x2)).set("y2", tenth(y2)).set("class", class));
    }

    /// Draws a line through points.
    pub fn curve(&mut self, points: &[(f64, f64)], class: &str) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.add(Polyline::new().set("class", class).set("points", points.join(" ")));
    }

    /// Draws a filled rectangle with its left upper corner at a point.
    pub fn bar(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), class: &str) {
        let bar = Rectangle::new().set("class", class).set("x", tenth(x)).set("y", tenth(y));
        self.add(bar.set("width", tenth(width)).set("height", tenth(height)));
    }

    /// Draws a dot around a point.
    pub fn dot(&mut self, (x, y): (f64, f64), class: &str) {
        let dot = Circle::new().set("cx", tenth(x)).set("cy", tenth(y)).set("r", 3.5);
        self.add(dot.set("class", class));
    }

    /// The SVG document.
    pub fn finished(self) -> String {
        format!("{}\n", self.document)
    }
}

/// A logarithmic axis: each decade has as much room as any other.
#[derive(Clone, Debug)]
pub struct LogAxis {
    range: RangeInclusive<f64>,
    /// Pixels of the lower and of the upper end.
    pixels: [f64; 2],
}

impl LogAxis {
    /// From a round figure to a round figure, with all values between them; whole decades, if there are many.
    pub fn around(values: impl Iterator<Item = f64>, pixels: [f64; 2]) -> LogAxis {
        let (least, most) = values
            .filter(|value| *value > 0.0)
            .fold((f64::INFINITY, 0.0_f64), |(least, most), value| (least.min(value), most.max(value)));
        let (least, most) = if least <= most { (least, most) } else { (1.0, 10.0) };
        let lower = round_figures().take_while(|figure| *figure <= least).last().unwrap_or(1e-6);
        let upper = round_figures().find(|figure| *figure >= most && *figure > lower * 9.0);
        let upper = upper.unwrap_or(lower * 10.0);
        let mut axis = LogAxis { range: lower..=upper, pixels };
        if axis.is_long() {
            let decade = |exponent: f64| 10_f64.powf(exponent);
            axis.range = decade(lower.log10().floor())..=decade(upper.log10().ceil());
        }
        axis
    }

    /// Whether there are so many decades that ticks between them would run into each other.
    fn is_long(&self) -> bool {
        self.range.end() / self.range.start() > 2_000.0
    }

    /// The pixel at which a value lies; what is below the axis lies at its lower end.
    pub fn at(&self, value: f64) -> f64 {
        let (lower, upper) = (self.range.start().log10(), self.range.end().log10());
        let part = (value.max(*self.range.start()).log10() - lower) / (upper - lower);
        self.pixels[0] + (self.pixels[1] - self.pixels[0]) * part
    }

    /// The values that have a tick: whole decades, and those between them if there is room.
    pub fn ticks(&self) -> impl Iterator<Item = f64> + use<> {
        let (range, is_long) = (self.range.clone(), self.is_long());
        let length = (self.pixels[1] - self.pixels[0]).abs();
        let has_room = !is_long && length / (range.end() / range.start()).log10() > 85.0;
        round_figures().filter(move |figure| {
            let slack = *figure * 1e-9;
            let is_decade = (figure.log10() - figure.log10().round()).abs() < 1e-9;
            (range.start() - slack..=range.end() + slack).contains(figure) && (has_room || is_decade)
        })
    }

    /// The lowest value.
    pub fn lowest(&self) -> f64 {
        *self.range.start()
    }

    /// The highest value.
    pub fn highest(&self) -> f64 {
        *self.range.end()
    }
}

/// 1, 2, 5, 10, 20 and so on, from a millionth to 500 000 millions.
pub fn round_figures() -> impl Iterator<Item = f64> {
    (-6..=11).flat_map(|decade| [1.0, 2.0, 5.0].map(|figure| figure * 10_f64.powi(decade)))
}

/// Three digits and a unit: `850 ns`, `21.3 µs`, `1.05 ms`, `2 s`.
pub fn duration_shown(nanoseconds: f64) -> String {
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

/// Heights for labels as near as can be to the wanted ones, never closer than `pitch`, and within these bounds.
pub fn spread(wanted: &[f64], pitch: f64, [top, bottom]: [f64; 2]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]));
    let mut heights = wanted.to_vec();
    let mut least = top;
    for index in &order {
        heights[*index] = heights[*index].max(least);
        least = heights[*index] + pitch;
    }
    let mut most = bottom;
    for index in order.iter().rev() {
        heights[*index] = heights[*index].min(most);
        most = heights[*index] - pitch;
    }
    heights
}

/// To a tenth of a pixel.
fn tenth(length: f64) -> f64 {
    (length * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_shown_with_three_digits_and_a_unit() {
        let shown = [850.0, 21_340.0, 999_000.0, 1_054_000.0, 20e6, 2e9, 100.0].map(duration_shown);
        assert_eq!(shown, ["850 ns", "21.3 µs", "999 µs", "1.05 ms", "20 ms", "2 s", "100 ns"]);
    }

    #[test]
    fn labels_never_overlap_nor_leave_their_bounds() {
        for wanted in [[100.0; 3], [400.0; 3], [200.0, 201.0, 199.0], [400.0, 100.0, 150.0]] {
            let heights = spread(&wanted, 64.0, [100.0, 366.0]);
            for (first, second) in [(0, 1), (0, 2), (1, 2)] {
                assert!((heights[first] - heights[second]).abs() > 63.9, "{wanted:?} {heights:?}");
            }
            assert!(heights.iter().all(|height| (99.9..=366.1).contains(height)), "{heights:?}");
        }
    }

    #[test]
    fn all_values_lie_on_their_axis_and_its_ticks_are_round() {
        let cases = [&[60e3, 90e3, 20e3][..], &[1.0, 60e9], &[7.0], &[0.009, 1.4], &[]];
        for values in cases {
            let axis = LogAxis::around(values.iter().copied(), [400.0, 100.0]);
            for value in values {
                assert!((99.9..=400.1).contains(&axis.at(*value)), "{value} {axis:?}");
            }
            assert!(axis.ticks().count() >= 2, "{values:?} {axis:?}");
        }
        let axis = LogAxis::around([20e3, 90e3].into_iter(), [0.0, 300.0]);
        assert_eq!(
            axis.ticks().map(duration_shown).collect::<Vec<_>>(),
            ["20 µs", "50 µs", "100 µs", "200 µs"]
        );
    }

    #[test]
    fn texts_are_escaped() {
        let page = Page::new((100.0, 100.0), "a < b", "", &["c & d"]).finished();
        assert!(page.contains("a &lt; b") && page.contains("c &amp; d"), "{page}");
    }
}
