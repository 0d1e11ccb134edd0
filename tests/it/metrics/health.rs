//! Whether newcomers are to be sent here.

use super::{answer, connect, expect_line, expect_status, figures, get, start, value};
use crate::support::{PASSWORD, Said, Server, Visitor, eventually, limit};
use porter::protocol::Wanted;
use rustix::process::{Resource, Signal};
use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;

#[track_caller]
fn expect_well(address: SocketAddr) {
    expect_status(&get(address, "/health"), 200);
    expect_line(&figures(address), "porter_store_up 1.0");
}

#[track_caller]
fn expect_unwell(address: SocketAddr) {
    let said = get(address, "/health");
    expect_status(&said, 503);
    let reason = said.split("\r\n\r\nusers cannot be stored: ").nth(1);
    assert!(reason.is_some_and(|reason| reason.contains("users.csv")), "{said}");
    expect_line(&figures(address), "porter_store_up 0.0");
}

fn refused(server: &Server, name: &str) -> Visitor {
    let mut visitor = Visitor::introduced(server, name, Wanted::Register);
    visitor.register(PASSWORD);
    visitor.expect_error(5);
    visitor
}

fn registers(visitor: &mut Visitor) {
    visitor.register(PASSWORD);
    visitor.expect(Said::Wanted(Wanted::Login));
}

/// Nobody registers or reloads: it finds out by itself.
fn await_well(address: SocketAddr) {
    eventually("health", || get(address, "/health").starts_with("HTTP/1.1 200 ").then_some(()));
    expect_well(address);
}

/// A disk that is full, and has room again; and a file that somebody takes away, and brings back.
#[test]
fn a_server_that_cannot_store_users_is_unwell_until_it_can() {
    let (server, address) = start(&[]);
    Visitor::logged_in(&server, "ann");
    expect_well(address);
    let before = server.folder.read("users.csv");
    limit(server.pid(), Resource::Fsize, Some(before.len() as u64 + 10));
    let mut bob = refused(&server, "bob");
    expect_unwell(address);
    // It has looked.
    let syncs = |told: String| value(&told, "porter_syncs_total");
    let refusals = syncs(figures(address));
    eventually("a look", || (syncs(figures(address)) > refusals).then_some(()));
    expect_unwell(address);
    limit(server.pid(), Resource::Fsize, None);
    await_well(address);
    assert_eq!(server.folder.read("users.csv"), before);
    server.folder.log_line(&["INFO store users.csv can be written again"]);
    registers(&mut bob);
    expect_well(address);

    let (file, away) = (server.folder.data().join("users.csv"), server.folder.data().join("away"));
    fs::rename(&file, &away).unwrap();
    let mut cid = refused(&server, "cid");
    expect_unwell(address);
    Visitor::logged_in(&server, "ann").expect_echo("logins go on");
    fs::rename(&away, &file).unwrap();
    await_well(address);
    registers(&mut cid);
    expect_well(address);
}

#[test]
fn a_server_that_stops_says_so_and_still_tells_its_figures() {
    let (server, address) = start(&[]);
    // It does not leave when it is told goodbye, so the stop takes its time.
    let mut stays = connect(server.address);
    stays.read_exact(&mut [0]).unwrap();
    let mut asked = connect(address);
    let mut asked_too = connect(address);
    server.signal(Signal::TERM);
    server.folder.log_line(&["stopping"]);
    asked.write_all(b"GET /health HTTP/1.0\r\n\r\n").unwrap();
    let said = answer(asked);
    expect_status(&said, 503);
    assert!(said.ends_with("\r\n\r\nstopping\n"), "{said}");
    asked_too.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    assert!(answer(asked_too).contains("porter_users"));
}
