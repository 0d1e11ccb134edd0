//! Figures as text, in the formats that Prometheus reads. This module must not know who has asked.

use crate::command::{Figure, FigureValue};
use crate::http::TextFormat;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::{Registry, Unit};
use std::collections::HashMap;
use std::fmt;

const PREFIX: &str = "porter";

/// The figures in this format.
pub(super) fn written(figures: Vec<Figure>, format: TextFormat) -> Result<String, fmt::Error> {
    let counters = figures.iter().filter_map(|figure| figure.name.strip_suffix("_total"));
    let counters: Vec<String> = counters.map(|name| format!("{PREFIX}_{name}")).collect();
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(Shown(figures)));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(match format {
        TextFormat::OpenMetrics => text,
        TextFormat::Older => older(&text, &counters),
    })
}

/// What is told of a counter stands there under the same name as its value, and there is no mark at the end.
fn older(text: &str, counters: &[String]) -> String {
    let mut older = String::with_capacity(text.len() + 8 * counters.len());
    for line in text.lines().filter(|line| *line != "# EOF" && !line.starts_with("# UNIT ")) {
        let name = line.strip_prefix("# ").and_then(|rest| rest.split(' ').nth(1)).unwrap_or_default();
        if counters.iter().any(|counter| counter == name) {
            older += &line.replacen(name, &format!("{name}_total"), 1);
        } else {
            older += line;
        }
        older.push('\n');
    }
    older
}

#[derive(Debug)]
struct Shown(Vec<Figure>);

impl Collector for Shown {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        self.0.iter().try_for_each(|figure| encode(figure, &mut encoder))
    }
}

fn encode(figure: &Figure, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
    let kind = match figure.value {
        FigureValue::Counter(_) | FigureValue::Counters(..) => MetricType::Counter,
        FigureValue::Gauge(_) | FigureValue::Gauges(..) => MetricType::Gauge,
        FigureValue::Histogram { .. } => MetricType::Histogram,
    };
    // All of these are added by the encoder.
    let help = figure.help.strip_suffix('.').unwrap_or(figure.help);
    let name = figure.name.strip_suffix("_total").unwrap_or(figure.name);
    let (name, unit) = [("_seconds", Unit::Seconds), ("_bytes", Unit::Bytes)]
        .into_iter()
        .find_map(|(suffix, unit)| Some((name.strip_suffix(suffix)?, Some(unit))))
        .unwrap_or((name, None));
    let mut encoder = encoder.encode_descriptor(name, help, unit.as_ref(), kind)?;
    match &figure.value {
        FigureValue::Counter(value) => {
            encoder.encode_counter(value, None::<&Exemplar<[(&str, &str); 0], f64>>)
        }
        FigureValue::Gauge(value) => encoder.encode_gauge(value),
        FigureValue::Counters(label, values) => values.iter().try_for_each(|(text, value)| {
            let labels = [(*label, text.as_str())];
            let mut member = encoder.encode_family(&labels)?;
            member.encode_counter(value, None::<&Exemplar<[(&str, &str); 0], f64>>)
        }),
        FigureValue::Gauges(label, values) => values.iter().try_for_each(|(text, value)| {
            let labels = [(*label, text.as_str())];
            encoder.encode_family(&labels)?.encode_gauge(value)
        }),
        FigureValue::Histogram { classes, sum } => {
            let count = classes.iter().map(|(_, count)| count).sum();
            encoder.encode_histogram(
                *sum,
                count,
                classes,
                None::<&HashMap<usize, Exemplar<[(&str, &str); 0], f64>>>,
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_tell_the_same() {
        let figure = |name, value| Figure { name, help: "What it is.", value };
        let figures = || {
            vec![
                figure("users", FigureValue::Gauge(3.0)),
                figure("sync_seconds_total", FigureValue::Counter(0.5)),
                figure("refused_total", FigureValue::Counters("code", vec![("Busy".to_owned(), 2.0)])),
                figure(
                    "turn_seconds",
                    FigureValue::Histogram { classes: vec![(0.1, 2), (f64::INFINITY, 1)], sum: 7.0 },
                ),
            ]
        };
        let values = "\
            porter_users 3.0\n\
            porter_sync_seconds_total 0.5\n\
            porter_refused_total{code=\"Busy\"} 2.0\n\
            porter_turn_seconds_sum 7.0\n\
            porter_turn_seconds_count 3\n\
            porter_turn_seconds_bucket{le=\"0.1\"} 2\n\
            porter_turn_seconds_bucket{le=\"+Inf\"} 3\n";
        let told = |text: &str| -> String {
            text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect()
        };
        let open_metrics = written(figures(), TextFormat::OpenMetrics).unwrap();
        assert_eq!(told(&open_metrics), values);
        for line in [
            "# TYPE porter_sync_seconds counter\n",
            "# UNIT porter_sync_seconds seconds\n",
            "# HELP porter_users What it is\n",
        ] {
            assert!(open_metrics.contains(line), "{line} in\n{open_metrics}");
        }
        assert!(open_metrics.ends_with("\n# EOF\n"));
        let older = written(figures(), TextFormat::Older).unwrap();
        assert_eq!(told(&older), values);
        assert!(older.contains(
            "# HELP porter_sync_seconds_total What it is\n# TYPE porter_sync_seconds_total counter\n"
        ));
        assert!(
            older.contains("# TYPE porter_turn_seconds histogram\n") && !older.contains("# EOF"),
            "{older}"
        );
    }
}
