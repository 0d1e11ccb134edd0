//! What has come to a crowd of connections; the measured sieges look in the same way.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{ErrorKind, Read};
use std::net::TcpStream;

/// Those which something has come to within 20 ms.
pub(crate) fn with_news(crowd: &[TcpStream]) -> Vec<usize> {
    let mut waited: Vec<_> = crowd.iter().map(|stream| PollFd::new(stream, PollFlags::IN)).collect();
    poll(&mut waited, Some(&Timespec { tv_sec: 0, tv_nsec: 20_000_000 })).unwrap();
    (0..waited.len()).filter(|at| !waited[*at].revents().is_empty()).collect()
}

/// Reads what there is; whether that was the end.
pub(crate) fn has_ended(stream: &mut TcpStream) -> bool {
    loop {
        match stream.read(&mut [0; 512]) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}
