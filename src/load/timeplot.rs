//! The second panel of a storm's picture: latency over time.

use super::plot::{
    BOTTOM as PANEL_ABOVE_BOTTOM, LEFT, RIGHT, crowded, duration_shown, line, range_around, round_figures,
    text,
};
use super::timeline::Timeline;
use std::ops::RangeInclusive;
use svg::node::element::{Group, Polyline, Rectangle};

/// What the panel adds to the page's height.
pub(super) const HEIGHT: f64 = 320.0;
const TOP: f64 = PANEL_ABOVE_BOTTOM + 116.0;
const BOTTOM: f64 = TOP + 200.0;
/// Names of lines are no closer than this.
const NAME_PITCH: f64 = 20.0;

/// Quantile, name, class. Their colours are not those of the panel above, where a colour is a part of the run.
const LINES: [(f64, &str, &str); 3] = [(1.0, "max", "most"), (0.99, "p99", "tail"), (0.5, "p50", "half")];

/// Draws the panel under the percentiles'.
pub(super) fn panel(timeline: &Timeline) -> Group {
    let latencies = || timeline.stretches().map(|(_, latency)| latency);
    let least = latencies().map(|latency| latency.nanoseconds_at(0.5)).min().unwrap_or(1_000);
    let most = latencies().map(|latency| latency.nanoseconds_at(1.0)).max().unwrap_or(1_000_000);
    let range = range_around(least as f64, most as f64);
    let span = timeline.span().as_secs_f64();
    let x = |seconds: f64| LEFT + (RIGHT - LEFT) * seconds / span;
    let band = Rectangle::new()
        .set("class", "band")
        .set("x", x(span / 3.0))
        .set("y", TOP)
        .set("width", x(span / 3.0) - LEFT)
        .set("height", BOTTOM - TOP);
    let mut group = Group::new().add(band).add(text("latency over time", 24.0, TOP - 32.0, "start"));
    for (third, name) in (0..).zip(["before", "during", "after"]) {
        let middle = span * (f64::from(third) + 0.5) / 3.0;
        group = group.add(text(name, x(middle), TOP - 8.0, "middle"));
    }
    group = group.add(latency_axis(&range)).add(time_axis(span));
    let mut names = Vec::new();
    for (part, name, class) in LINES {
        let points: Vec<(f64, f64)> = timeline
            .stretches()
            .map(|(middle, latency)| {
                (x(middle.as_secs_f64()), y(&range, latency.nanoseconds_at(part) as f64))
            })
            .collect();
        let shown: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let curve = Polyline::new().set("class", "curve thin").set("points", shown.join(" "));
        group = group.add(Group::new().set("class", class).add(curve));
        if let Some((_, height)) = points.last() {
            names.push((*height, name, class));
        }
    }
    named(group, names)
}

/// The names of the lines at their right ends, kept apart.
fn named(mut group: Group, mut names: Vec<(f64, &str, &str)>) -> Group {
    names.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut least = TOP;
    for (height, name, class) in names {
        let height = height.max(least);
        least = height + NAME_PITCH;
        let name = text(name, RIGHT + 20.0, height + 5.0, "start").set("class", "name");
        group = group.add(Group::new().set("class", class).add(name));
    }
    group
}

fn y(range: &RangeInclusive<f64>, nanoseconds: f64) -> f64 {
    let (lower, upper) = (range.start().log10(), range.end().log10());
    BOTTOM - (BOTTOM - TOP) * (nanoseconds.max(1.0).log10() - lower) / (upper - lower)
}

fn latency_axis(range: &RangeInclusive<f64>) -> Group {
    let mut group = Group::new();
    for figure in round_figures().filter(|figure| range.contains(figure)) {
        // This panel is lower than the one above it: whole decades are enough, unless there are hardly two.
        let whole_decade = figure.log10().fract() == 0.0;
        if !whole_decade && (crowded(range) || range.end() / range.start() > 200.0) {
            continue;
        }
        let y = y(range, figure);
        let label = text(&duration_shown(figure), LEFT - 10.0, y + 4.5, "end");
        group = group.add(line(LEFT, y, RIGHT, y, "grid")).add(label);
    }
    group
}

fn time_axis(span: f64) -> Group {
    let step = round_figures().map(|figure| figure / 1e3).find(|step| span / step <= 12.0).unwrap_or(span);
    let mut group = Group::new().add(line(LEFT, BOTTOM, RIGHT, BOTTOM, "axis"));
    for tick in 0..=(span / step + 0.001) as u32 {
        let seconds = f64::from(tick) * step;
        let x = LEFT + (RIGHT - LEFT) * seconds / span;
        let label = format!("{} s", (seconds * 1e3).round() / 1e3);
        group =
            group.add(line(x, BOTTOM, x, BOTTOM + 5.0, "axis")).add(text(&label, x, BOTTOM + 21.0, "middle"));
    }
    group
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Moment;
    use std::time::Duration;

    #[test]
    fn a_panel_has_its_lines_within_it_even_for_one_sample_or_none() {
        let mut timeline = Timeline::new(Moment::START, Duration::from_secs(9));
        let picture = panel(&timeline).to_string();
        assert!(!picture.contains("NaN") && picture.contains("9 s"), "{picture}");
        timeline.record(Moment::START, Duration::from_micros(50));
        let picture = panel(&timeline).to_string();
        assert_eq!(picture.matches("<polyline").count(), 3);
        assert!(!picture.contains("NaN") && !picture.contains("inf"));
    }
}
