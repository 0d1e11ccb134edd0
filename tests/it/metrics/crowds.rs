//! More who ask than there are places, and those who do not ask as one does.

use super::{answer, connect, expect_line, expect_status, figures, get, start};
use crate::support::{CEILING, Visitor, allow_many_descriptors, descriptors, eventually, uninterrupted};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use socket2::{Domain, Socket, Type};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const CROWD: usize = 600;
/// No more than the system has wait until there is a place for them.
const CROWD_THAT_ASKS: usize = 100;
/// Connections that are served at once.
const PLACES: u64 = 16;

/// Connects without waiting for it: the system does not take all of a crowd at once.
fn begin_to_connect(address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    socket.set_nonblocking(true).unwrap();
    let begun = socket.connect(&address.into());
    assert!(begun.is_ok() || begun.unwrap_err().raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()));
    socket
}

/// Whether the other end has closed, after at most as long as `stream` waits for something to read. Nothing is said.
fn is_closed(stream: &mut TcpStream) -> bool {
    match uninterrupted(|| stream.read(&mut [0])) {
        Ok(count) => {
            assert_eq!(count, 0, "somebody who has not asked is answered");
            true
        }
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

/// Whoever sends half a request, a byte now and then, or nothing is closed in time, those who wait behind them too; clients
/// notice nothing, and the next who asks is answered.
#[test]
fn those_who_never_finish_are_closed_and_keep_nobody_out() {
    allow_many_descriptors();
    let (server, address) = start(&[]);
    let mut ann = Visitor::logged_in(&server, "ann");
    ann.expect_echo("before");
    let before = descriptors(server.pid());
    let mut slow = connect(address);
    slow.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let rude: Vec<TcpStream> =
        ["GET /metrics HTTP/1.1\r\nHost: por", "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", ""]
            .map(|words| {
                let mut stream = connect(address);
                stream.write_all(words.as_bytes()).unwrap();
                stream
            })
            .into();
    // It leaves in the middle.
    connect(address).write_all(b"GET /met").unwrap();
    let idle: Vec<Socket> = (0..CROWD).map(|_| begin_to_connect(address)).collect();
    let mut request = b"GET /metrics HTTP/1.1\r\nHost: ".iter().chain(std::iter::repeat(&b'x'));
    while slow.write_all(&[*request.next().unwrap()]).is_ok() && !is_closed(&mut slow) {
        ann.expect_echo("meanwhile");
        assert!(descriptors(server.pid()) <= before + PLACES);
    }
    drop((rude, idle));
    expect_line(&figures(address), "porter_connections{state=\"logged_in\"} 1.0");
}

/// Each is answered, whatever the number of places.
#[test]
fn a_hundred_who_ask_at_once_are_all_answered() {
    let (server, address) = start(&[]);
    let mut ann = Visitor::logged_in(&server, "ann");
    let ask = |number| {
        let mut stream = connect(address);
        let path = if number % 8 == 0 { "metrics" } else { "health" };
        write!(stream, "GET /{path} HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        stream
    };
    let crowd: Vec<TcpStream> = (0..CROWD_THAT_ASKS).map(ask).collect();
    ann.expect_echo("meanwhile");
    for stream in crowd {
        expect_status(&answer(stream), 200);
    }
    ann.expect_echo("afterwards");
}

/// Connects from another of the loopback's addresses.
fn connect_from(source: &str, address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.bind(&format!("{source}:0").parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.connect(&address.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(CEILING)).unwrap();
    stream
}

struct EndWhenDropped<'a>(&'a AtomicBool);

impl Drop for EndWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Keeps so many connections on which this was said, and makes another for each that is closed or answered, while
/// `meanwhile` goes on, which is told how many these were by now.
fn besieged(
    address: SocketAddr,
    (source, count): (&str, usize),
    words: &[u8],
    meanwhile: impl FnOnce(&AtomicUsize),
) {
    let (renewed, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let hold = || {
        let mut stream = connect_from(source, address);
        stream.write_all(words).unwrap();
        stream
    };
    let siege = |mut held: Vec<TcpStream>| {
        // Whose answer has come stays all the same.
        let mut answered = VecDeque::new();
        while !is_over.load(Ordering::Relaxed) {
            let a_moment = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
            let mut ports: Vec<_> = held.iter().map(|held| PollFd::new(held, PollFlags::RDHUP)).collect();
            poll(&mut ports, Some(&a_moment)).unwrap();
            let ended: Vec<bool> = ports.iter().map(|port| !port.revents().is_empty()).collect();
            for (held, _) in held.iter_mut().zip(ended).filter(|(_, has_ended)| *has_ended) {
                renewed.fetch_add(1, Ordering::Relaxed);
                answered.push_back(std::mem::replace(held, hold()));
            }
            answered.drain(..answered.len().saturating_sub(count));
        }
    };
    thread::scope(|scope| {
        let held = (0..count).map(|_| hold()).collect();
        scope.spawn(|| siege(held));
        // A test that fails in the meantime ends the siege as well.
        let _end = EndWhenDropped(&is_over);
        meanwhile(&renewed);
    });
}

/// They hold the places with a byte each, or stay when they have their answer or do not take it, and come back whenever they
/// are closed; who asks as one does is answered, from their address and from others.
#[test]
fn those_who_hold_places_keep_no_scraper_out() {
    allow_many_descriptors();
    let (_server, address) = start(&[]);
    let whole = |path| format!("GET /{path} HTTP/1.0\r\n\r\n");
    // The last have little room for their answer, and do not read it.
    for (count, words) in
        [(350, "G".to_owned()), (44, String::new()), (44, whole("health")), (44, whole("metrics"))]
    {
        besieged(address, ("127.0.0.2", count), words.as_bytes(), |_| {
            let mut scraper = connect_from("127.0.0.2", address);
            scraper.write_all(whole("health").as_bytes()).unwrap();
            expect_status(&answer(scraper), 200);
            if count == 44 {
                expect_status(&get(address, "/health"), 200);
            }
        });
    }
}

/// Nor do they drive out who is slow: it is the address with the most that gives way.
#[test]
fn a_slow_scraper_stays_beside_a_crowd_of_another_address() {
    let (_server, address) = start(&[]);
    let mut slow = connect(address);
    slow.write_all(b"GET /health HTTP/1.0\r\n").unwrap();
    besieged(address, ("127.0.0.2", 44), b"G", |renewed| {
        let all_twice = 2 * PLACES as usize;
        eventually("others give way", || (renewed.load(Ordering::Relaxed) >= all_twice).then_some(()));
        slow.write_all(b"\r\n").unwrap();
        expect_status(&answer(slow), 200);
    });
}
