//! Requests of monitoring systems over HTTP/1, and what frames the answers: one request a connection.
//!
//! `httparse` reads a request; its bound and what it asks for are judged here. This module must not know sockets, nor
//! what the figures are.

use crate::limits::METRICS_REQUEST_BYTES;
use httparse::{EMPTY_HEADER, Header, Request, Status};

/// More header fields than anybody sends in so few bytes.
const HEADERS: usize = 64;
const BAD_REQUEST: &str = "400 Bad Request";
const NOT_FOUND: &str = "404 Not Found";
const NOT_ALLOWED: &str = "405 Method Not Allowed";
const TOO_LARGE: &str = "431 Request Header Fields Too Large";

/// A request that is whole, or known to be none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// What is to be answered.
    pub wanted: Wanted,
    /// Only the head of the answer is wanted.
    pub is_head: bool,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All figures.
    Metrics(TextFormat),
    /// Whether the server is well.
    Health,
    /// Nothing that there is: this status.
    Refused(&'static str),
}

/// How figures are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextFormat {
    /// OpenMetrics 1.0.0.
    OpenMetrics,
    /// Prometheus's own, from before there was that: for whom asks for text, and not for the other.
    Older,
}

impl TextFormat {
    /// What the answer is said to be.
    pub fn media_type(self) -> &'static str {
        match self {
            TextFormat::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            TextFormat::Older => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// What the `Accept` fields want: whoever takes anything has OpenMetrics.
    fn of(headers: &[Header<'_>]) -> TextFormat {
        let (mut open_metrics, mut text) = (0.0_f32, 0.0_f32);
        for accept in values(headers, "accept") {
            for range in String::from_utf8_lossy(accept).to_ascii_lowercase().split(',') {
                let mut parts = range.split(';').map(str::trim);
                let media_type = parts.next().unwrap_or_default();
                let quality = parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, quality);
                match media_type {
                    "application/openmetrics-text" => open_metrics = open_metrics.max(quality),
                    _ if media_type.starts_with("text/") => text = text.max(quality),
                    _ => {}
                }
            }
        }
        if text > open_metrics { TextFormat::Older } else { TextFormat::OpenMetrics }
    }
}

impl HttpRequest {
    /// Reads the first bytes of a connection, all that have come; `None` while more are needed. Beyond
    /// [`METRICS_REQUEST_BYTES`] none are looked at, and what follows a request is not either.
    pub fn of(bytes: &[u8]) -> Option<HttpRequest> {
        let mut headers = [EMPTY_HEADER; HEADERS];
        let mut request = Request::new(&mut headers);
        let refused = |status| Some(HttpRequest { wanted: Wanted::Refused(status), is_head: false });
        match request.parse(&bytes[..bytes.len().min(METRICS_REQUEST_BYTES)]) {
            Ok(Status::Complete(_)) => {
                let is_head = request.method == Some("HEAD");
                Some(HttpRequest { wanted: wanted(&request), is_head })
            }
            Ok(Status::Partial) if bytes.len() > METRICS_REQUEST_BYTES => refused(TOO_LARGE),
            Ok(Status::Partial) => None,
            Err(httparse::Error::TooManyHeaders) => refused(TOO_LARGE),
            Err(_) => refused(BAD_REQUEST),
        }
    }

    /// The whole answer, head and body, after which the connection is to be closed.
    pub fn answer(self, status: &str, media_type: &str, body: &str) -> Vec<u8> {
        let allow = if status == NOT_ALLOWED { "Allow: GET, HEAD\r\n" } else { "" };
        let length = body.len();
        let body = if self.is_head { "" } else { body };
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n{allow}\
             Connection: close\r\n\r\n{body}"
        )
        .into_bytes()
    }
}

fn wanted(request: &Request<'_, '_>) -> Wanted {
    let hosts = values(request.headers, "host").count();
    let has_host = hosts == 1 || (hosts == 0 && request.version == Some(0));
    if !has_host {
        return Wanted::Refused(BAD_REQUEST);
    }
    let is_allowed = matches!(request.method, Some("GET" | "HEAD"));
    match path(request.path.unwrap_or_default()) {
        "/metrics" | "/health" if !is_allowed => Wanted::Refused(NOT_ALLOWED),
        "/metrics" => Wanted::Metrics(TextFormat::of(request.headers)),
        "/health" => Wanted::Health,
        _ => Wanted::Refused(NOT_FOUND),
    }
}

/// A target's path, which a proxy may have been told with scheme and host. Nobody looks at the query.
fn path(target: &str) -> &str {
    let resource = target.split('?').next().unwrap_or_default();
    match resource.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => {
            rest.find('/').map_or("/", |at| &rest[at..])
        }
        _ => resource,
    }
}

fn values<'h>(headers: &'h [Header<'_>], name: &str) -> impl Iterator<Item = &'h [u8]> {
    headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

/// What is no number is not wanted.
fn quality(text: &str) -> f32 {
    text.parse().ok().filter(|quality: &f32| (0.0..=1.0).contains(quality)).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(request: &str) -> Wanted {
        HttpRequest::of(request.as_bytes()).unwrap().wanted
    }

    fn status(request: &[u8]) -> &'static str {
        match HttpRequest::of(request).unwrap().wanted {
            Wanted::Refused(status) => &status[..3],
            _ => "200",
        }
    }

    #[test]
    fn a_request_may_be_cut_anywhere_and_something_may_follow() {
        let request = b"GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n";
        for end in 0..request.len() {
            assert_eq!(HttpRequest::of(&request[..end]), None, "{end}");
        }
        let metrics = HttpRequest { wanted: Wanted::Metrics(TextFormat::OpenMetrics), is_head: false };
        for behind in [&b""[..], b"POST / HTTP/9", &[0xff; 9_000]] {
            assert_eq!(HttpRequest::of(&[request, behind].concat()), Some(metrics));
        }
    }

    #[test]
    fn targets_have_several_forms() {
        for target in
            ["/metrics", "/metrics?", "/metrics?a=http://b/c", "http://a:9/metrics", "HTTP://a/metrics?b"]
        {
            let request = format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n");
            assert!(matches!(of(&request), Wanted::Metrics(_)), "{target}");
        }
        for target in ["/", "/metrics/", "//metrics", "*", "http://a", "ftp://a/metrics", "/x?/metrics"] {
            let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(status(request.as_bytes()), "404", "{target}");
        }
        assert_eq!(of("GET /health HTTP/1.0\r\n\r\n"), Wanted::Health);
        let head = HttpRequest::of(b"HEAD /health HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert_eq!(head, HttpRequest { wanted: Wanted::Health, is_head: true });
        let answer = String::from_utf8(head.answer("200 OK", "text/plain", "ok\n")).unwrap();
        assert!(answer.contains("Content-Length: 3\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    }

    #[test]
    fn what_is_not_served_is_refused_by_its_status() {
        for (request, expected) in [
            ("POST /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "405"),
            ("OPTIONS /health HTTP/1.0\r\n\r\n", "405"),
            ("GET /health HTTP/1.1\r\n\r\n", "400"),
            ("GET /health HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "400"),
            ("GET /health HTTP/1.0\r\nHost: a\r\nhost: a\r\n\r\n", "400"),
            ("GET /health\r\n", "400"),
            ("PRI * HTTP/2.0\r\n\r\n", "400"),
            ("\0", "400"),
        ] {
            assert_eq!(status(request.as_bytes()), expected, "{request}");
        }
        let many = format!("GET /health HTTP/1.1\r\nHost: a\r\n{}\r\n", "a: b\r\n".repeat(64));
        assert_eq!(status(many.as_bytes()), "431");
    }

    #[test]
    fn a_request_that_is_longer_than_its_bound_is_too_large() {
        let with_length = |bytes: usize| {
            let request = |filling| format!("GET /health HTTP/1.1\r\nHost: a\r\nx: {filling}\r\n\r\n");
            request("x".repeat(bytes - request(String::new()).len()))
        };
        let (fits, too_long) = (with_length(METRICS_REQUEST_BYTES), with_length(METRICS_REQUEST_BYTES + 1));
        assert_eq!((status(fits.as_bytes()), status(too_long.as_bytes())), ("200", "431"));
        assert_eq!(HttpRequest::of(&too_long.as_bytes()[..METRICS_REQUEST_BYTES]), None);
        assert_eq!(status(&vec![b'x'; METRICS_REQUEST_BYTES + 1]), "431");
    }

    #[test]
    fn the_older_format_is_for_whom_wants_text() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;\
                          version=0.0.1;q=0.4,text/plain;version=1.0.0;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        for (accept, expected) in [
            ("*/*", TextFormat::OpenMetrics),
            ("", TextFormat::OpenMetrics),
            ("application/json", TextFormat::OpenMetrics),
            (prometheus, TextFormat::OpenMetrics),
            ("text/plain, Application/OpenMetrics-Text", TextFormat::OpenMetrics),
            ("text/plain;q=0, application/openmetrics-text;q=nan", TextFormat::OpenMetrics),
            ("text/plain;version=0.0.4;q=1,*/*;q=0.1", TextFormat::Older),
            ("application/openmetrics-text; Q=0.1, text/plain; q=0.9", TextFormat::Older),
            ("text/html,application/xhtml+xml,*/*;q=0.8", TextFormat::Older),
            ("application/openmetrics-text;q=0\r\nAccept: text/*;q=0.2", TextFormat::Older),
        ] {
            let request = format!("GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\n\r\n");
            assert_eq!(of(&request), Wanted::Metrics(expected), "{accept}");
        }
        let none = of("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(none, Wanted::Metrics(TextFormat::OpenMetrics));
    }
}
