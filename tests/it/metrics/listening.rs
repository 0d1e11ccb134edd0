//! Where figures are told.

use super::{expect_status, get};
use crate::support::{CEILING, Server, Setup, Visitor, allow_many_descriptors, descriptors, eventually};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;

/// Where a server says that it tells them.
fn told(server: &Server, count: usize) -> Vec<SocketAddr> {
    let lines = server.folder.log_lines(&["metrics addr="], count);
    lines.iter().map(|line| line.split("addr=").nth(1).unwrap().trim().parse().unwrap()).collect()
}

/// What names a place to listen at for clients names one for figures, and a name stands for all its addresses.
#[test]
fn a_place_is_named_as_for_clients() {
    let is_here = |address: &SocketAddr| TcpListener::bind(address).is_ok();
    let mut local: Vec<SocketAddr> = "localhost:0".to_socket_addrs().unwrap().filter(is_here).collect();
    local.sort();
    local.dedup();
    let any: Vec<SocketAddr> =
        ["0.0.0.0:0", "[::]:0"].map(|any| any.parse().unwrap()).into_iter().filter(is_here).collect();
    let mut places = vec![("localhost:0", local), ("*:0", any.clone()), ("0", any)];
    if is_here(&"[::1]:0".parse().unwrap()) {
        places.push(("[::1]:0", vec!["[::1]:0".parse().unwrap()]));
    }
    for (place, expected) in places {
        let server = Server::start(&["--metrics", place]);
        let addresses = told(&server, expected.len());
        let hosts = |addresses: &[SocketAddr]| addresses.iter().map(SocketAddr::ip).collect::<Vec<_>>();
        assert_eq!(hosts(&addresses), hosts(&expected), "{place}");
        for mut address in addresses {
            if address.ip().is_unspecified() {
                address.set_ip(if address.is_ipv4() { [127, 0, 0, 1].into() } else { [0; 16].into() });
            }
            expect_status(&get(address, "/health"), 200);
        }
    }
}

/// One line says which flag it is about.
#[test]
fn a_place_that_there_is_not_is_refused() {
    for place in ["", "127.0.0.1:x", "no-such-host.invalid:9091", "[::1"] {
        let reason = Setup::new(&["--metrics", place]).refused(2);
        assert!(reason.contains("--metrics"), "{reason}");
    }
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    for place in [busy.local_addr().unwrap().to_string(), "192.0.2.1:0".to_owned()] {
        let reason = Setup::new(&["--metrics", &place]).refused(1);
        assert!(reason.contains(&place) && reason.contains("--metrics"), "{reason}");
    }
}

/// With few descriptors, and as many clients as fit and more, each place beside theirs can be taken, and nothing that the
/// server has for itself is more than is counted for it.
#[test]
fn clients_leave_descriptors_to_those_beside_them() {
    allow_many_descriptors();
    let script = "ulimit -n 96; exec \"$0\" \"$@\"";
    let flags = ["--metrics", "localhost:0", "--listen", "127.0.0.1:0", "--listen", "127.0.0.2:0"];
    let server = Setup::new(&flags).wrapper(script).start();
    let address = told(&server, 1)[0];
    assert!(descriptors(server.pid()) <= porter::limits::DESCRIPTORS_RESERVED as u64 + 2);
    let line = server.folder.log_line(&["the limit on descriptors leaves room for "]);
    let room: usize = line.split("room for ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    let clients: Vec<Visitor> = (0..room).map(|_| Visitor::arrive(&server)).collect();
    let control = server.folder.data().join("control");
    let mut administering: Vec<UnixStream> =
        (0..16).map(|_| UnixStream::connect(&control).unwrap()).collect();
    for stream in &mut administering {
        stream.set_read_timeout(Some(CEILING)).unwrap();
        stream.write_all(b"policy\n").unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        assert!(line.contains("hash_rounds"), "{line}");
    }
    let before = descriptors(server.pid());
    let mut asking: Vec<TcpStream> = (0..16).map(|_| TcpStream::connect(address).unwrap()).collect();
    eventually("each who asks has a place", || (descriptors(server.pid()) == before + 16).then_some(()));
    for stream in &mut asking {
        stream.set_read_timeout(Some(CEILING)).unwrap();
        stream.write_all(b"GET /health HTTP/1.0\r\n\r\n").unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        expect_status(&said, 200);
    }
    drop((clients, administering));
}
