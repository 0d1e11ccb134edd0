//! A server that did not run for a while: what came in time is judged, though its time was up before anybody looked.

use crate::support::{PASSWORD, Said, Server, Visitor, allow_many_descriptors, frame, stop};
use porter::protocol::Wanted;
use rustix::process::Signal;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

/// As many as a server accepts in dozens of turns.
const CROWD: usize = 300;
/// As many as it handles of one connection in several turns.
const TIRELESS: usize = 500;

/// Tries with longer and longer times until one is long enough for what must happen before the pause.
pub(crate) fn with_time_enough(run: impl Fn(u64) -> bool) {
    assert!([3, 12, 48].into_iter().any(run), "this machine is too slow for anything");
}

fn login() -> Vec<u8> {
    [frame(0x01, b"ann"), frame(0x03, PASSWORD.as_bytes())].concat()
}

/// The story: a laptop slept, or a disk was slow. The logins that lay in the sockets were answered TimedOut, and the
/// sessions had ended whose Resume was there, some on connections that nobody had accepted yet.
#[test]
fn what_came_during_a_pause_is_judged_before_deadlines() {
    allow_many_descriptors();
    with_time_enough(|seconds| {
        let limit = seconds.to_string();
        let server = Server::start(&["--login-timeout", &limit, "--resume-window", &limit]);
        let members: Vec<Visitor> = (0..20).map(|_| Visitor::logged_in(&server, "ann")).collect();
        let tokens: Vec<[u8; 16]> = members.iter().map(|member| member.token).collect();
        let began = Instant::now();
        members.into_iter().for_each(Visitor::reset);
        let mut strangers: Vec<Visitor> = (0..20).map(|_| Visitor::arrive(&server)).collect();
        let mut tireless = Visitor::arrive(&server);
        server.folder.log_lines(&["disconnected"], tokens.len());
        stop(server.pid());
        if began.elapsed() >= Duration::from_secs(seconds) {
            return false;
        }
        for stranger in &mut strangers {
            stranger.send_raw(&login());
        }
        tireless.send_raw(&[frame(0x01, b"ann").repeat(TIRELESS), login()].concat());
        let crowd: Vec<Visitor> = (0..CROWD).map(|_| Visitor::connect(&server)).collect();
        let mut back: Vec<Visitor> = tokens.iter().map(|_| Visitor::connect(&server)).collect();
        for (visitor, token) in back.iter_mut().zip(tokens) {
            visitor.resume(token);
        }
        // The pause is what this is about.
        std::thread::sleep(Duration::from_secs(seconds + 1));
        server.signal(Signal::CONT);
        for visitor in &mut back {
            visitor.expect_hello();
            visitor.expect_welcome();
        }
        for stranger in &mut strangers {
            stranger.expect(Said::Wanted(Wanted::Login));
            stranger.expect_welcome();
        }
        for _ in 0..=TIRELESS {
            tireless.expect(Said::Wanted(Wanted::Login));
        }
        tireless.expect_welcome();
        drop(crowd);
        true
    });
}

/// And who stays silent is told so, though another never stops writing.
#[test]
fn deadlines_are_met_after_a_pause_though_somebody_never_stops_sending() {
    let server = Server::start(&["--login-timeout", "2"]);
    let flooder = Visitor::logged_in(&server, "ann");
    let flood = flooder.message_frame(b"x").repeat(4_000);
    let (mut writing, mut reading) =
        (flooder.stream.try_clone().unwrap(), flooder.stream.try_clone().unwrap());
    let writer = std::thread::spawn(move || while writing.write_all(&flood).is_ok() {});
    let reader = std::thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while matches!(reading.read(&mut buffer), Ok(1..)) {}
    });
    let mut silent = Visitor::arrive(&server);
    stop(server.pid());
    std::thread::sleep(Duration::from_millis(2_500));
    server.signal(Signal::CONT);
    silent.expect_last_error(107);
    flooder.stream.shutdown(std::net::Shutdown::Both).unwrap();
    writer.join().unwrap();
    reader.join().unwrap();
}
