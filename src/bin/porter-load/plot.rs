//! A report's picture: latency by percentile, and for `storm` over time.
//!
//! The percentile axis is stretched towards the end, each step to the right a tenth of the clients, so that the slow
//! ones, who matter, have room; the latency axis is logarithmic, so that microseconds and seconds fit one picture.

use super::table::{counted, grouped, manner, texts};
use porter::chart::{Anchor, LogAxis, Page, duration_shown, round_figures, spread};
use porter::load::{Latency, LoginSort, Report, Scenario, Storm, Timeline};

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 496.0;
const LEFT: f64 = 76.0;
/// Right of it are the curves' names.
const RIGHT: f64 = 640.0;
/// The percentiles' panel.
const TOP: f64 = 100.0;
const BOTTOM: f64 = 400.0;
/// The timeline's panel, below it.
const TIME_TOP: f64 = BOTTOM + 116.0;
const TIME_BOTTOM: f64 = TIME_TOP + 200.0;
/// A name and two lines of figures under it need as much.
const LABEL_PITCH: f64 = 64.0;
/// From the name to the last line under it.
const LABEL_DESCENT: f64 = 34.0;
/// Between two points of a curve on the percentile axis, in decades.
const CURVE_STEP: f64 = 0.01;
/// Dots that are closer to the end of their curve would run into its own.
const DOT_PITCH: f64 = 0.2;

/// Decades from the left edge of the percentile axis, and the name there.
const PERCENTILES: [(f64, &str); 6] = [
    (0.0, "min"),
    (std::f64::consts::LOG10_2, "p50"),
    (1.0, "p90"),
    (2.0, "p99"),
    (3.0, "p99.9"),
    (4.0, "p99.99"),
];

/// Quantile, name, colour of the lines over time; the colours are not those above, where one is a part of the run.
const LINES: [(f64, &str, &str); 3] = [(1.0, "max", "gray"), (0.99, "p99", "purple"), (0.5, "p50", "black")];

/// Latencies of one sort, as they are to be drawn.
struct Curve<'a> {
    name: &'a str,
    color: &'static str,
    latency: &'a Latency,
}

/// An SVG document.
pub(crate) fn drawn(report: &Report) -> String {
    let curves = curves(report);
    let conditions = [report.target.as_str(), &format!("{}, {}", report.date, report.machine)];
    let extra = if report.timeline.is_some() { TIME_BOTTOM + 84.0 - HEIGHT } else { 0.0 };
    let mut page = Page::new((WIDTH, HEIGHT + extra), &title(report), &subtitle(report), &conditions);
    let figures = |curve: &Curve<'_>| [0.0, 1.0].map(|part| curve.latency.nanoseconds_at(part) as f64);
    let latency_axis = LogAxis::around(curves.iter().flat_map(figures), [BOTTOM, TOP]);
    let count = curves.iter().map(|curve| curve.latency.count()).max().unwrap_or(1);
    let decades = (count as f64).log10().ceil().clamp(2.0, 4.0);
    page.text("latency", (24.0, TOP - 16.0), Anchor::Start, "");
    draw_latency_axis(&mut page, &latency_axis);
    draw_percentile_axis(&mut page, decades);
    if curves.is_empty() {
        let middle = ((LEFT + RIGHT) / 2.0, (TOP + BOTTOM) / 2.0);
        page.text("nothing was measured", middle, Anchor::Middle, "");
    }
    let end = |latency: &Latency| (latency.count().max(1) as f64).log10().min(decades);
    let ends: Vec<f64> =
        curves.iter().map(|curve| latency_axis.at(at(curve.latency, end(curve.latency)))).collect();
    let labels = spread(&ends, LABEL_PITCH, [TOP, BOTTOM - LABEL_DESCENT]);
    for (curve, label_y) in curves.iter().zip(labels) {
        draw_curve(&mut page, curve, &latency_axis, [end(curve.latency), decades], label_y);
    }
    if let Some(timeline) = &report.timeline {
        draw_timeline(&mut page, timeline);
    }
    page.finished()
}

fn curves<'a>(report: &'a Report) -> Vec<Curve<'a>> {
    let measured = report.curves.iter().filter(|(_, latency)| latency.count() > 0);
    let curve = |(name, latency): &'a (&'static str, Latency)| {
        let color = match *name {
            "connect" | "before" => "green",
            "login" | "during" => "orange",
            "message" | "after" => "blue",
            _ => "purple",
        };
        Curve { name, color, latency }
    };
    measured.map(curve).collect()
}

fn draw_latency_axis(page: &mut Page, axis: &LogAxis) {
    for figure in axis.ticks() {
        let y = axis.at(figure);
        page.line((LEFT, y), (RIGHT, y), "grid");
        page.text(&duration_shown(figure), (LEFT - 10.0, y + 4.5), Anchor::End, "");
    }
}

/// So many decades along the percentile axis, of so many.
fn percentile_x(decades: f64, all: f64) -> f64 {
    LEFT + (RIGHT - LEFT) * decades / all
}

fn draw_percentile_axis(page: &mut Page, all: f64) {
    for (decades, name) in PERCENTILES.into_iter().filter(|(decades, _)| *decades <= all) {
        let x = percentile_x(decades, all);
        page.line((x, TOP), (x, BOTTOM), "grid");
        page.line((x, BOTTOM), (x, BOTTOM + 5.0), "axis");
        page.text(name, (x, BOTTOM + 21.0), Anchor::Middle, "");
    }
    page.line((LEFT, BOTTOM), (RIGHT, BOTTOM), "axis");
    page.text("percentile", ((LEFT + RIGHT) / 2.0, BOTTOM + 44.0), Anchor::Middle, "");
}

/// A curve up to its slowest client, or to the end of the axis, with its name and figures beside it.
fn draw_curve(page: &mut Page, curve: &Curve<'_>, axis: &LogAxis, [end, all]: [f64; 2], label_y: f64) {
    let Curve { name, color, latency } = *curve;
    let point = |decades: f64| (percentile_x(decades, all), axis.at(at(latency, decades)));
    let steps = (end / CURVE_STEP) as u32;
    let points: Vec<_> =
        (0..=steps).map(|step| f64::from(step) * CURVE_STEP).chain([end]).map(point).collect();
    page.line(point(end), (RIGHT + 14.0, label_y - 5.0), &format!("leader {color}"));
    page.curve(&points, &format!("curve {color}"));
    let dots = PERCENTILES.iter().map(|(decades, _)| *decades);
    for decades in dots.filter(|decades| (0.1..end - DOT_PITCH).contains(decades)).chain([end]) {
        page.dot(point(decades), color);
    }
    let shown = |part| duration_shown(latency.nanoseconds_at(part) as f64);
    let figures = [format!("p50 {} · p99 {}", shown(0.5), shown(0.99)), format!("max {}", shown(1.0))];
    page.text(name, (RIGHT + 20.0, label_y), Anchor::Start, &format!("name {color}"));
    for (figure, line) in figures.iter().zip(1..) {
        let y = label_y + LABEL_DESCENT / 2.0 * f64::from(line);
        page.text(figure, (RIGHT + 20.0, y), Anchor::Start, "");
    }
}

/// The latency in nanoseconds so many decades along the percentile axis; beyond the last client, the slowest.
fn at(latency: &Latency, decades: f64) -> f64 {
    let is_slowest = decades >= (latency.count() as f64).log10();
    latency.nanoseconds_at(if is_slowest { 1.0 } else { 1.0 - 10_f64.powf(-decades) }) as f64
}

/// Latency over time, below the percentiles.
fn draw_timeline(page: &mut Page, timeline: &Timeline) {
    let figures = |(_, latency): (_, &Latency)| [0.5, 1.0].map(|part| latency.nanoseconds_at(part) as f64);
    let axis = LogAxis::around(timeline.intervals().flat_map(figures), [TIME_BOTTOM, TIME_TOP]);
    let span = timeline.span().as_secs_f64();
    let x = |seconds: f64| LEFT + (RIGHT - LEFT) * seconds / span;
    let third = x(span / 3.0) - LEFT;
    page.bar((LEFT + third, TIME_TOP), (third, TIME_BOTTOM - TIME_TOP), "band");
    page.text("latency over time", (24.0, TIME_TOP - 32.0), Anchor::Start, "");
    for (place, name) in (0..).zip(["before", "during", "after"]) {
        let middle = LEFT + third * (f64::from(place) + 0.5);
        page.text(name, (middle, TIME_TOP - 8.0), Anchor::Middle, "");
    }
    draw_latency_axis(page, &axis);
    page.line((LEFT, TIME_BOTTOM), (RIGHT, TIME_BOTTOM), "axis");
    let step = round_figures().find(|step| span / step <= 12.0).unwrap_or(span);
    for tick in 0..=(span / step + 0.001) as u32 {
        let seconds = f64::from(tick) * step;
        page.line((x(seconds), TIME_BOTTOM), (x(seconds), TIME_BOTTOM + 5.0), "axis");
        let label = format!("{} s", (seconds * 1e3).round() / 1e3);
        page.text(&label, (x(seconds), TIME_BOTTOM + 21.0), Anchor::Middle, "");
    }
    let mut ends = Vec::new();
    for (part, _, color) in LINES {
        let point = |(middle, latency): (std::time::Duration, &Latency)| {
            (x(middle.as_secs_f64()), axis.at(latency.nanoseconds_at(part) as f64))
        };
        let points: Vec<_> = timeline.intervals().map(point).collect();
        ends.push(points.last().map_or(TIME_BOTTOM, |point| point.1));
        page.curve(&points, &format!("thin {color}"));
    }
    for ((_, name, color), y) in LINES.iter().zip(spread(&ends, 20.0, [TIME_TOP, TIME_BOTTOM])) {
        page.text(name, (RIGHT + 20.0, y + 5.0), Anchor::Start, &format!("name {color}"));
    }
}

fn title(report: &Report) -> String {
    let clients = report.clients;
    match report.scenario {
        Scenario::Sequential => format!("porter: latency of {}", counted(clients, "visit")),
        Scenario::Knock => format!("porter: latency of {}", counted(clients, "knock")),
        Scenario::Steady => format!("porter: latency with {}", counted(clients, "steady client")),
        Scenario::Idle => format!("porter: {} come to stay", counted(clients, "client")),
        Scenario::Storm => match &report.storm {
            Some(Storm { logins_at_once, login, .. }) => {
                let sort = match login {
                    LoginSort::Full => "full-cost logins",
                    LoginSort::Cached => "cached logins",
                    LoginSort::Resume => "resumes",
                };
                let at_once = grouped(*logins_at_once as u64);
                if *logins_at_once == 0 {
                    return "porter: latency of echoes by the clock".to_owned();
                }
                format!("porter: latency of echoes beside {sort}, {at_once} at a time")
            }
            None => "porter: latency of echoes".to_owned(),
        },
        Scenario::Reconnect => format!("porter: {} cut off and back", counted(clients, "client")),
        Scenario::Chat => {
            let readers = report.chat.as_ref().map_or(clients, |chat| chat.readers);
            format!("porter: latency in a room of {}", counted(readers, "reader"))
        }
    }
}

fn subtitle(report: &Report) -> String {
    let failed = if report.failed == 0 { String::new() } else { format!(", {} failed", report.failed) };
    let size = counted(report.size_bytes as u64, "byte");
    let whole = |rate: f64| grouped(rate.round() as u64);
    let (clients, messages) = (whole(report.clients_per_second), whole(report.messages_per_second));
    let words = match report.scenario {
        Scenario::Sequential => {
            let each = match report.messages {
                0 => "no message".to_owned(),
                count => format!("{} of {size}", counted(count.into(), "message")),
            };
            format!("{}, each with {each}; {clients} visits/s", manner(report))
        }
        Scenario::Knock => format!("{}: connect, Hello, close; {clients} knocks/s", manner(report)),
        Scenario::Steady => {
            let in_flight = counted(report.in_flight.unwrap_or(1) as u64, "message");
            format!("{in_flight} of {size} in flight each; {messages} messages/s")
        }
        Scenario::Idle => format!("{clients} logins/s, then silence"),
        Scenario::Storm => match &report.storm {
            Some(Storm { rate_per_client, logins_at_once, during, .. }) => {
                let talkers = report.clients.saturating_sub(*logins_at_once as u64);
                let logins = match during.logins_per_second {
                    _ if *logins_at_once == 0 => String::new(),
                    few if few < 100.0 => format!("; {few:.1} logins/s"),
                    many => format!("; {} logins/s", whole(many)),
                };
                let talkers = counted(talkers, "client");
                format!(
                    "{talkers}, {rate_per_client} messages/s of {size} each, counted from their schedule{logins}"
                )
            }
            None => String::new(),
        },
        Scenario::Reconnect => match &report.reconnect {
            Some(back) => {
                format!("all at once, by Resume; the last was back after {:.3} s", back.all_back_seconds)
            }
            None => String::new(),
        },
        Scenario::Chat => match &report.chat {
            Some(chat) => {
                let writes = texts(chat, &size);
                format!(
                    "until the last reader has it, {writes}; {} deliveries/s",
                    whole(chat.deliveries_per_second)
                )
            }
            None => String::new(),
        },
    };
    let cut = report.cut_short.as_ref().map(|cut| format!(", cut short: {}", cut.kind));
    words + &failed + &cut.unwrap_or_default()
}
