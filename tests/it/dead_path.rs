//! Finding out that a path is dead is the system's; that it is asked to, on both sides, is looked for here. That it then
//! does takes minutes and a network of its own: `tests/dead-path.sh`.

use crate::support::{Server, Visitor, eventually};
use porter::limits::{KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES, PATH_TIMEOUT};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use socket2::Socket;
use std::fs;
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;

/// A process's socket that is connected to this address; `None` if it has none.
fn socket_of(pid: Pid, peer: SocketAddr) -> Option<Socket> {
    let process = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    let numbers = fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers
        .filter_map(|number| pidfd_getfd(&process, number, PidfdGetfdFlags::empty()).ok())
        .map(Socket::from)
        .find(|socket| socket.peer_addr().is_ok_and(|address| address.as_socket() == Some(peer)))
}

#[track_caller]
fn expect_watched(socket: &Socket) {
    assert!(socket.keepalive().unwrap());
    assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE_IDLE);
    assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEPALIVE_INTERVAL);
    assert_eq!(socket.tcp_keepalive_retries().unwrap(), KEEPALIVE_PROBES);
    assert_eq!(socket.tcp_user_timeout().unwrap(), Some(PATH_TIMEOUT));
}

#[test]
fn the_server_has_the_system_find_out() {
    let server = Server::start(&[]);
    let ann = Visitor::logged_in(&server, "ann");
    expect_watched(&socket_of(server.pid(), ann.stream.local_addr().unwrap()).unwrap());
}

/// An answer that is smaller than a packet is not held back until the one before it is acknowledged.
#[test]
fn small_frames_are_not_held_back() {
    let server = Server::start(&[]);
    let ann = Visitor::arrive(&server);
    let socket = socket_of(server.pid(), ann.stream.local_addr().unwrap()).unwrap();
    assert!(socket.tcp_nodelay().unwrap());
}

/// The story: the system takes a window that is shut for a path that is dead, and would reset a slow consumer before it
/// is told.
#[test]
fn while_output_waits_the_server_decides_by_itself() {
    let server = Server::start(&[]);
    let mut ann = Visitor::connect_narrow(&server).greeted();
    ann.log_in("ann", crate::support::PASSWORD);
    let socket = socket_of(server.pid(), ann.stream.local_addr().unwrap()).unwrap();
    let text = "x".repeat(60_000);
    let message = ann.message_frame(text.as_bytes());
    // A server that comes late to it may find more than it takes at once: nobody may block then.
    ann.stream.set_nonblocking(true).unwrap();
    let (mut sent, mut rest) = (0, &[][..]);
    while socket.tcp_user_timeout().unwrap().is_some() {
        if rest.is_empty() {
            assert!(sent < 10_000, "600 MB were taken");
            (sent, rest) = (sent + 1, &message);
        }
        match ann.stream.write(rest) {
            Ok(count) => rest = &rest[count..],
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    ann.stream.set_nonblocking(false).unwrap();
    for _ in 1..sent {
        ann.expect(crate::support::Said::message("", &text));
    }
    ann.send_raw(rest);
    ann.expect(crate::support::Said::message("", &text));
    eventually("all is written", || socket.tcp_user_timeout().unwrap());
    expect_watched(&socket);
}

/// The client's and the load tester's ends.
#[cfg(all(feature = "client", feature = "load"))]
#[test]
fn the_programs_have_the_system_find_out() {
    use crate::support::PASSWORD;
    use std::process::{Child, Command, Stdio};

    let started = |command: &mut Command| -> Child {
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let server = Server::start(&[]);
    let port = server.address.port().to_string();
    let mut client = started(
        Command::new(env!("CARGO_BIN_EXE_porter-client"))
            .args(["--host", "127.0.0.1", "--port", &port, "--name", "ann"])
            .env("PORTER_PASSWORD", PASSWORD),
    );
    let mut load = started(Command::new(env!("CARGO_BIN_EXE_porter-load")).args([
        "--port",
        &port,
        "--clients",
        "1",
        "--messages",
        "1000000",
    ]));
    for child in [&mut client, &mut load] {
        let socket = eventually("it is connected", || socket_of(Pid::from_child(child), server.address));
        eventually("it is set up", || socket.tcp_user_timeout().unwrap());
        expect_watched(&socket);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
