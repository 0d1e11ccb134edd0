//! Figures and health over HTTP, asked for kindly and unkindly.

use crate::support::{CEILING, Server, Visitor};
use rustix::process::Signal;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};

fn start() -> (Server, SocketAddr) {
    let server = Server::start(&["--metrics", "127.0.0.1:0"]);
    let line = server.folder.log_line(&["metrics addr="]);
    let address = line.split("addr=").nth(1).unwrap().trim().parse().unwrap();
    (server, address)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(CEILING)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn answer(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = connect(address);
    write!(stream, "GET {path} HTTP/1.1\r\nHost: porter\r\n\r\n").unwrap();
    answer(stream)
}

fn figures(address: SocketAddr) -> String {
    let answer = get(address, "/metrics");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics-text"), "{answer}");
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[track_caller]
fn expect_line(figures: &str, line: &str) {
    assert!(figures.lines().any(|other| other == line), "{line} in\n{figures}");
}

#[test]
fn what_happens_is_counted() {
    let (server, address) = start();
    let mut ann = Visitor::logged_in(&server, "ann");
    ann.message("hi");
    ann.expect_echo("hi");
    let figures = figures(address);
    for line in [
        "porter_connections{state=\"logged_in\"} 1.0",
        "porter_sessions{state=\"attached\"} 1.0",
        "porter_logins_total{outcome=\"wrong\"} 0.0",
        "porter_received_messages_total 2.0",
        "porter_sent_messages_total 2.0",
        "porter_refused_total{code=\"Malformed\"} 0.0",
        "porter_store_up 1.0",
        "porter_users 1.0",
    ] {
        expect_line(&figures, line);
    }
    assert!(figures.contains("porter_turn_seconds_bucket{le=\"+Inf\"}"), "{figures}");
    assert!(figures.ends_with("# EOF\n") && !figures.contains("127.0.0.1"), "{figures}");
    check_by_promtool(&figures);
}

/// It reads the older text format, in which a counter's type is told under the name with `_total`.
fn check_by_promtool(figures: &str) {
    let (mut text, mut of_counter) = (String::new(), String::new());
    for line in figures.lines().filter(|line| *line != "# EOF") {
        // A name's help comes before its type.
        let name = line.split(' ').nth(2).unwrap_or_default();
        let is_counter = figures.contains(&format!("# TYPE {name} counter\n"));
        if line.starts_with("# ") && is_counter {
            of_counter = line.replacen(name, &format!("{name}_total"), 1);
            text += &of_counter;
        } else {
            text += line;
        }
        text.push('\n');
    }
    assert!(!of_counter.is_empty());
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        eprintln!("LEFT OUT: there is no promtool (Debian's package prometheus) to check the metrics by");
        return;
    };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{text}");
}

#[test]
fn a_request_may_come_in_single_bytes_and_anything_else_is_refused() {
    let (_server, address) = start();
    let mut stream = connect(address);
    for byte in b"GET /health HTTP/1.1\r\nHost: porter\r\n\r\n" {
        stream.write_all(&[*byte]).unwrap();
    }
    let ok = answer(stream);
    assert!(ok.starts_with("HTTP/1.1 200 OK\r\n") && ok.ends_with("\r\n\r\nok\n"), "{ok}");
    let long = format!("/{}", "x".repeat(9 * 1024));
    for (path, status) in [("/", "404 "), (long.as_str(), "431 ")] {
        let said = get(address, path);
        assert!(said.starts_with(&format!("HTTP/1.1 {status}")), "{said}");
    }
    for (request, status) in [("POST /metrics HTTP/1.1\r\n\r\n", "405 "), ("\x16\x03\x01\r\n\r\n", "400 ")] {
        let mut stream = connect(address);
        stream.write_all(request.as_bytes()).unwrap();
        let said = answer(stream);
        assert!(said.starts_with(&format!("HTTP/1.1 {status}")), "{said}");
    }
}

/// Whoever sends half a request or nothing is closed in time, those who wait behind them too, and clients and the next
/// who asks are served.
#[test]
fn those_who_never_finish_are_closed_and_keep_nobody_out() {
    let (server, address) = start();
    let mut endless = connect(address);
    endless.write_all(b"GET /metrics HTTP/1.1\r\nHost: por").unwrap();
    let idle: Vec<_> = (0..64).map(|_| connect(address)).collect();
    let mut ann = Visitor::logged_in(&server, "ann");
    ann.message("hi");
    ann.expect_echo("hi");
    let mut rest = Vec::new();
    endless.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty());
    drop(idle);
    expect_line(&figures(address), "porter_connections{state=\"logged_in\"} 1.0");
}

#[test]
fn a_server_that_stops_says_so_and_still_tells_its_figures() {
    let (server, address) = start();
    // It does not leave when it is told goodbye, so the stop takes its time.
    let mut stays = connect(server.address);
    stays.read_exact(&mut [0]).unwrap();
    let mut asked = connect(address);
    let mut asked_too = connect(address);
    server.signal(Signal::TERM);
    server.folder.log_line(&["stopping"]);
    asked.write_all(b"GET /health HTTP/1.1\r\n\r\n").unwrap();
    let said = answer(asked);
    assert!(said.starts_with("HTTP/1.1 503 ") && said.ends_with("\r\n\r\nstopping\n"), "{said}");
    asked_too.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
    assert!(answer(asked_too).contains("porter_users"));
}
