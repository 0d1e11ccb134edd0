//! A request, and the text that answers it. This module must not know sockets.

use crate::command::{Figure, FigureValue};
use crate::limits::METRICS_REQUEST_BYTES;
use httparse::{EMPTY_HEADER, Request, Status};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::Registry;
use std::collections::HashMap;
use std::fmt;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";
/// More header fields than anybody sends in so few bytes.
const HEADERS: usize = 64;

/// What a request is answered with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wanted {
    Metrics,
    Health,
    /// Nothing: this status.
    Refused(&'static str),
}

/// What the bytes so far ask for; `None` while the request is not whole.
pub(super) fn wanted(request: &[u8]) -> Option<Wanted> {
    let mut headers = [EMPTY_HEADER; HEADERS];
    let mut parsed = Request::new(&mut headers);
    let outcome = parsed.parse(request);
    if request.len() > METRICS_REQUEST_BYTES && !matches!(outcome, Ok(Status::Complete(_))) {
        return Some(Wanted::Refused("431 Request Header Fields Too Large"));
    }
    match outcome {
        Ok(Status::Partial) => return None,
        Ok(Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => {
            return Some(Wanted::Refused("431 Request Header Fields Too Large"));
        }
        Err(_) => return Some(Wanted::Refused("400 Bad Request")),
    }
    let path = parsed.path.unwrap_or_default();
    Some(match (parsed.method, path.split('?').next()) {
        (Some("GET"), Some("/metrics")) => Wanted::Metrics,
        (Some("GET"), Some("/health")) => Wanted::Health,
        (_, Some("/metrics" | "/health")) => Wanted::Refused("405 Method Not Allowed"),
        _ => Wanted::Refused("404 Not Found"),
    })
}

/// The whole answer, head and body.
pub(super) fn answer(
    wanted: Wanted,
    figures: impl FnOnce() -> Vec<Figure>,
    health: &Result<(), String>,
) -> Vec<u8> {
    let (status, kind, body) = match (wanted, health) {
        (Wanted::Metrics, _) => match shown(figures()) {
            Ok(text) => ("200 OK", OPEN_METRICS, text),
            Err(_) => ("500 Internal Server Error", PLAIN, "no figures\n".to_owned()),
        },
        (Wanted::Health, Ok(())) => ("200 OK", PLAIN, "ok\n".to_owned()),
        (Wanted::Health, Err(reason)) => ("503 Service Unavailable", PLAIN, format!("{reason}\n")),
        (Wanted::Refused(status), _) => (status, PLAIN, format!("{status}\n")),
    };
    let allow = if status.starts_with("405") { "Allow: GET\r\n" } else { "" };
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{allow}\
         Connection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

fn shown(figures: Vec<Figure>) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("porter");
    registry.register_collector(Box::new(Shown(figures)));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
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
    // Both are added by the encoder.
    let name = figure.name.strip_suffix("_total").unwrap_or(figure.name);
    let help = figure.help.strip_suffix('.').unwrap_or(figure.help);
    let mut encoder = encoder.encode_descriptor(name, help, None, kind)?;
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
    fn a_request_may_be_cut_anywhere() {
        let request = b"GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n";
        for end in 0..request.len() {
            assert_eq!(wanted(&request[..end]), None, "{end}");
        }
        assert_eq!(wanted(request), Some(Wanted::Metrics));
    }

    #[test]
    fn what_is_not_served_is_refused_by_its_status() {
        let status = |request: &[u8]| match wanted(request) {
            Some(Wanted::Refused(status)) => status[..3].to_owned(),
            other => format!("{other:?}"),
        };
        assert_eq!(status(b"GET / HTTP/1.1\r\n\r\n"), "404");
        assert_eq!(status(b"POST /metrics HTTP/1.1\r\n\r\n"), "405");
        assert_eq!(status(b"\x00\xff"), "400");
        assert_eq!(status(&[b"GET /", vec![b'x'; 9_000].as_slice()].concat()), "431");
    }
}
