//! A server that did not run for a while, and what came to it encrypted meanwhile.

use super::{Stranger, fingerprint, met};
use crate::pauses::with_time_enough;
use crate::support::{PASSWORD, Server, frame, stop};
use porter::auth::Token;
use porter::limits::PAUSE_GRACE_MOST;
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// A login within TLS, and a Resume for which the handshake is not begun yet: the client needs a round trip more.
#[test]
fn what_came_during_a_pause_is_judged_before_deadlines() {
    with_time_enough(|seconds| {
        let limit = seconds.to_string();
        let mut server = Server::start(&["--tls", "--login-timeout", &limit, "--resume-window", &limit]);
        let (address, told) = (server.address, fingerprint(&mut server));
        let (member, token) = Stranger::logged_in(&server);
        let began = Instant::now();
        drop(member);
        let mut stranger = Stranger::new(&server);
        stranger.channel.shake_hands(&mut stranger.socket).unwrap();
        server.folder.log_line(&["disconnected"]);
        stop(server.pid());
        if began.elapsed() >= Duration::from_secs(seconds) {
            return false;
        }
        let login = [frame(0x01, b"ann"), frame(0x03, PASSWORD.as_bytes())].concat();
        stranger.channel.write(&mut stranger.socket, &login).unwrap();
        let back = std::thread::spawn(move || {
            let mut client = met(address, &told);
            (Instant::now(), client.resume(&Token::new(token)))
        });
        // The pause is what this is about.
        std::thread::sleep(Duration::from_secs(seconds + 1));
        let woken = Instant::now();
        server.signal(Signal::CONT);
        stranger.read_until("Hello, ann");
        let (asked, answer) = back.join().unwrap();
        if answer.is_err() && asked > woken + PAUSE_GRACE_MOST / 2 {
            return false;
        }
        assert_eq!(answer.unwrap(), "Hello again, ann");
        true
    });
}
