//! More who ask than there are places, and those who do not ask as one does.

use super::{answer, connect, expect_line, expect_status, figures, start};
use crate::support::{Visitor, allow_many_descriptors, descriptors};
use rustix::io::Errno;
use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
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
    match stream.read(&mut [0]) {
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
