//! Connecting to a host that may have several addresses.
//!
//! They are tried side by side, each a little after the one before, IPv6 and IPv4 in turn, and the first that answers is
//! taken (RFC 8305): an address that leads nowhere does not hold up the others.

use crate::keepalive::detect_dead_path;
use crate::limits::{CONNECT_ATTEMPT_DELAY, CONNECT_ATTEMPTS};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use socket2::{Domain, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// A connection to the first address that answers, all within `timeout`.
///
/// # Errors
/// What the last address that failed gave, or `TimedOut`; `NotFound` if the host has no address.
pub(super) fn connected(host: impl ToSocketAddrs, timeout: Duration) -> io::Result<TcpStream> {
    let mut race = Race::new(in_turn(host.to_socket_addrs()?), timeout);
    loop {
        if let Some(stream) = race.step()? {
            stream.set_nonblocking(false)?;
            // A message is written whole; waiting for more would only delay it.
            stream.set_nodelay(true)?;
            detect_dead_path(&stream)?;
            return Ok(stream);
        }
    }
}

/// The addresses in the order in which they are tried: the families take turns, beginning with that of the first.
fn in_turn(addresses: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut addresses = addresses.peekable();
    let first_is_ipv6 = addresses.peek().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses.partition(|address| address.is_ipv6() == first_is_ipv6);
    let mut in_turn = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    loop {
        let before = in_turn.len();
        in_turn.extend(first.next().into_iter().chain(second.next()));
        if in_turn.len() == before {
            in_turn.truncate(CONNECT_ATTEMPTS);
            return in_turn;
        }
    }
}

/// Attempts that are under way, and addresses that wait for theirs.
struct Race {
    waiting: std::vec::IntoIter<SocketAddr>,
    attempts: Vec<Socket>,
    next_attempt: Instant,
    deadline: Instant,
    failure: io::Error,
}

impl Race {
    fn new(addresses: Vec<SocketAddr>, timeout: Duration) -> Race {
        let start = now();
        Race {
            waiting: addresses.into_iter(),
            attempts: Vec::new(),
            next_attempt: start,
            deadline: start + timeout,
            failure: io::Error::new(ErrorKind::NotFound, "the host has no address"),
        }
    }

    /// Begins an attempt if it is time for one, and waits until something happens.
    fn step(&mut self) -> io::Result<Option<TcpStream>> {
        let now = now();
        if self.attempts.is_empty() || self.next_attempt <= now {
            match self.waiting.next() {
                Some(address) => {
                    self.next_attempt = now + CONNECT_ATTEMPT_DELAY;
                    match begin(address) {
                        Ok(attempt) => self.attempts.push(attempt),
                        Err(error) => self.failure = error,
                    }
                    return Ok(None);
                }
                None if self.attempts.is_empty() => {
                    return Err(std::mem::replace(&mut self.failure, ErrorKind::Other.into()));
                }
                None => {}
            }
        }
        if self.deadline <= now {
            return Err(io::Error::new(ErrorKind::TimedOut, "timed out"));
        }
        let until = if self.waiting.len() > 0 { self.next_attempt.min(self.deadline) } else { self.deadline };
        self.wait(until.saturating_duration_since(now))
    }

    /// Waits for an attempt to come to its end. One that failed makes room for the next at once.
    fn wait(&mut self, most: Duration) -> io::Result<Option<TcpStream>> {
        let mut places: Vec<_> =
            self.attempts.iter().map(|attempt| PollFd::new(attempt, PollFlags::OUT)).collect();
        let most = Timespec::try_from(most).map_err(|_| io::Error::from(ErrorKind::InvalidInput))?;
        match poll(&mut places, Some(&most)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ended: Vec<bool> = places.iter().map(|place| !place.revents().is_empty()).collect();
        let mut ended = ended.into_iter();
        let (done, under_way): (Vec<_>, Vec<_>) =
            self.attempts.drain(..).partition(|_| ended.next().unwrap_or(false));
        self.attempts = under_way;
        for attempt in done {
            match attempt.take_error()? {
                None => return Ok(Some(attempt.into())),
                Some(error) => {
                    self.failure = error;
                    self.next_attempt = now();
                }
            }
        }
        Ok(None)
    }
}

fn begin(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => Err(error),
        _ => Ok(socket),
    }
}

#[expect(clippy::disallowed_methods, reason = "attempts to connect go by the clock")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    const TIMEOUT: Duration = Duration::from_secs(30);

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns() {
        let found = addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "127.0.0.1:1", "127.0.0.2:1"]);
        let tried = addresses(&["[::1]:1", "127.0.0.1:1", "[::2]:1", "127.0.0.2:1", "[::3]:1"]);
        assert_eq!(in_turn(found.into_iter()), tried);
    }

    /// Whose queue of connections is full answers nobody, as an address does to which nothing leads.
    fn mute() -> (Socket, SocketAddr, Vec<Socket>) {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let crowd = (0..4).map(|_| begin(address).unwrap()).collect();
        (listener, address, crowd)
    }

    #[test]
    fn an_address_that_does_not_answer_holds_up_nobody() {
        let (_listener, mute, _crowd) = mute();
        let good = TcpListener::bind("127.0.0.1:0").unwrap();
        let refused = SocketAddr::from(([127, 0, 0, 1], 1));
        let stream = connected(&[mute, refused, good.local_addr().unwrap()][..], TIMEOUT).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good.local_addr().unwrap());
    }

    #[test]
    fn the_reason_is_that_of_the_addresses() {
        let (_listener, mute, _crowd) = mute();
        let refused = SocketAddr::from(([127, 0, 0, 1], 1));
        let failure = |addresses: &[SocketAddr], timeout| connected(addresses, timeout).unwrap_err().kind();
        assert_eq!(failure(&[refused, refused], TIMEOUT), ErrorKind::ConnectionRefused);
        assert_eq!(failure(&[mute, refused], Duration::from_millis(600)), ErrorKind::TimedOut);
        assert_eq!(failure(&[], TIMEOUT), ErrorKind::NotFound);
    }
}
