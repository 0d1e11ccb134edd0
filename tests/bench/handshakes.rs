//! Crowds that all want a TLS handshake at once.

use crate::attacks::Outcome;
use crate::host::{CEILING, ClientStream, Host};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{ErrorKind, Read};
use std::time::{Duration, Instant};

/// Those who come at once.
pub(crate) const CROWD: usize = 500;

/// One crowd after another. Whoever is greeted stays until all of its crowd are.
pub(crate) fn handshakes(host: &Host, until: Instant) -> Outcome {
    let (mut crowds, mut served, mut refused, mut longest) = (0, 0, 0, Duration::ZERO);
    while crowds == 0 || Instant::now() < until {
        let mut crowd: Vec<ClientStream> = (0..CROWD)
            .map(|_| ClientStream { stream: host.connect(), channel: host.tls_channel() })
            .collect();
        let began = Instant::now();
        for ClientStream { stream, channel } in &mut crowd {
            stream.set_nonblocking(true).unwrap();
            channel.as_mut().expect("the server speaks TLS").flush(stream).unwrap();
        }
        let mut greeted = Vec::new();
        while !crowd.is_empty() {
            for n in with_news(&crowd).into_iter().rev() {
                match crowd[n].read(&mut [0; 512]) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Ok(1..) => greeted.push(crowd.swap_remove(n)),
                    _ => {
                        crowd.swap_remove(n);
                        refused += 1;
                    }
                }
            }
        }
        longest = longest.max(began.elapsed());
        served += greeted.len();
        crowds += 1;
    }
    let seconds = longest.as_secs_f64();
    let told = format!("{crowds} crowds: {served} served, {refused} refused, each within {seconds:.2} s");
    // All are to be served.
    Outcome { told, took: (refused == 0).then_some(longest) }
}

/// Which of a crowd have something to read, in rising order; there must be one before long.
fn with_news(crowd: &[ClientStream]) -> Vec<usize> {
    let mut waited: Vec<_> = crowd.iter().map(|line| PollFd::new(&line.stream, PollFlags::IN)).collect();
    let patience = Timespec { tv_sec: CEILING.as_secs() as i64, tv_nsec: 0 };
    assert!(poll(&mut waited, Some(&patience)).unwrap() > 0, "{} wait for ever", crowd.len());
    (0..waited.len()).filter(|n| !waited[*n].revents().is_empty()).collect()
}
