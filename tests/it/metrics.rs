//! Figures and health over HTTP, asked for kindly and unkindly.

mod crowds;
mod figures;
#[cfg(feature = "tls")]
mod handshakes;
mod health;
mod listening;
mod requests;

use crate::support::{CEILING, Server, eventually};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

fn start(flags: &[&str]) -> (Server, SocketAddr) {
    let server = Server::start(&[flags, &["--metrics", "127.0.0.1:0"]].concat());
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

/// What this is answered with.
fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).unwrap();
    answer(stream)
}

fn get(address: SocketAddr, path: &str) -> String {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: porter\r\n\r\n"))
}

#[track_caller]
fn expect_status(said: &str, status: u16) {
    assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{said}");
}

fn figures(address: SocketAddr) -> String {
    let said = get(address, "/metrics");
    assert!(said.starts_with("HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics-text"), "{said}");
    said.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[track_caller]
fn expect_line(figures: &str, line: &str) {
    assert!(figures.lines().any(|other| other == line), "{line} in\n{figures}");
}

/// Waits until a figure is told so: what happens to a connection its client is not told.
fn await_line(address: SocketAddr, line: &str) {
    eventually(line, || figures(address).lines().any(|other| other == line).then_some(()));
}

fn value(figures: &str, name: &str) -> f64 {
    let line = figures.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} in\n{figures}")).parse().unwrap()
}
