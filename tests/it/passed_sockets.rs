//! Sockets that listen before the server starts, and are passed to it.

use crate::support::{Folder, Server, Setup, Visitor, eventually, left_out};
use rustix::process::Signal;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Output, Stdio};
use std::rc::Rc;

/// Passes what is stdin as the only file descriptor, as a service manager would.
const PASS: &str = "exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" \"$@\"";

fn pass(socket: &TcpListener, flags: &[&str]) -> Setup {
    Setup::new(flags).stdin(OwnedFd::from(socket.try_clone().unwrap())).wrapper(PASS)
}

fn listener() -> (TcpListener, SocketAddr) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// It listens where the socket does and nowhere else, and the log says what of the flags is not used.
#[test]
fn the_only_one_is_for_clients() {
    let (socket, address) = listener();
    let mut early = Visitor::of(TcpStream::connect(address).unwrap());
    let server = pass(&socket, &["--port", "0"]).environment("LISTEN_FDNAMES", "whatever").start();
    assert_eq!(server.address, address);
    // Whoever was there before the server is served.
    early.expect_hello();
    early.log_in("ann", crate::support::PASSWORD);
    let (folder, pid) = (Rc::clone(&server.folder), server.pid());
    folder.log_line(&["INFO passed socket used fd=3 purpose=clients", &format!("addr={address}")]);
    folder.log_line(&["WARN setting not used", "port = 0"]);
    folder.log_line(&["INFO listening", &format!("addr={address}")]);
    // Its socket, and no other that listens. What the tests leave to it does not count.
    #[cfg(target_os = "linux")]
    assert_eq!(sockets_that_listen(pid), 1);
    let _ = pid;
    drop(early);
    server.terminate();
}

/// Those of a process that listen for TCP.
#[cfg(target_os = "linux")]
fn sockets_that_listen(pid: rustix::process::Pid) -> usize {
    let table = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap();
    let listening: Vec<&str> = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.get(3) == Some(&"0A"))
        .map(|fields| fields[9])
        .collect();
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let targets = open.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    targets
        .filter(|target| listening.iter().any(|inode| target.ends_with(format!("socket:[{inode}]"))))
        .count()
}

/// The flags given say nothing, so a passed socket is not kept from a server for what they have in common with others.
#[test]
fn addresses_that_are_listed_are_not_listened_on() {
    let (socket, address) = listener();
    let busy = listener();
    let server = pass(&socket, &["--listen", &busy.1.to_string()]).start();
    assert_eq!(server.address, address);
    server.folder.log_line(&["WARN setting not used", "listen = "]);
    Visitor::logged_in(&server, "ann").expect_echo("hi");
}

/// A reload leaves it alone, and whoever comes while no server is there waits for the next.
#[test]
fn it_outlives_reloads_and_the_server() {
    let (socket, address) = listener();
    let server = pass(&socket, &[]).start();
    for _ in 0..3 {
        server.signal(Signal::HUP);
        Visitor::logged_in(&server, "ann").expect_echo("hi");
    }
    server.folder.log_lines(&["log reopened"], 3);
    let folder = server.terminate();
    let mut early = Visitor::of(TcpStream::connect(address).unwrap());
    let next = pass(&socket, &[]).folder(folder).start();
    assert_eq!(next.address, address);
    assert_eq!(early.expect_hello(), "ann");
    early.exit();
    early.expect_bye();
}

/// By default others than loopback are encrypted, wherever the socket comes from.
#[cfg(feature = "tls")]
#[test]
fn where_it_listens_decides_about_encryption() {
    let socket = TcpListener::bind("0.0.0.0:0").unwrap();
    let mut server = pass(&socket, &["--host", "127.0.0.1"]).start();
    server.stdout.wait_for_line(|line| line.starts_with("fingerprint SHA256:"));
}

/// What was passed to the process that started it is not for it.
#[test]
fn sockets_for_another_process_are_not_used() {
    let (socket, address) = listener();
    for script in [
        "exec 3<&0 </dev/null; export LISTEN_PID=1 LISTEN_FDS=1; exec \"$0\" \"$@\"",
        "exec 3<&0 </dev/null; export LISTEN_FDS=1; exec \"$0\" \"$@\"",
        "exec 3<&0 </dev/null; export LISTEN_PID=$$; exec \"$0\" \"$@\"",
        "exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=0; exec \"$0\" \"$@\"",
    ] {
        let stdin = OwnedFd::from(socket.try_clone().unwrap());
        let server = Setup::new(&[]).stdin(stdin).wrapper(script).start();
        assert_ne!(server.address, address, "{script}");
        Visitor::logged_in(&server, "ann").expect_echo("hi");
    }
}

fn refused(fd: OwnedFd, script: &'static str, name: &str) -> String {
    let folder = Folder::new();
    let mut command = Command::new("sh");
    command.args([
        "-c",
        script,
        env!("CARGO_BIN_EXE_porter-server"),
        "--hash-rounds",
        "100000",
        "--port",
        "0",
    ]);
    command.arg("--data").arg(folder.data()).arg("--log-file").arg(folder.log());
    let command = command.env("LISTEN_FDNAMES", name).stdin(fd).current_dir(folder.path());
    let Output { status, stdout, stderr } = command.output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert!(status.code() == Some(2) && stdout.is_empty(), "{status} {said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

/// Each is named in one line, with the way out.
#[test]
fn what_does_not_listen_for_tcp_is_refused() {
    let folder = Folder::new();
    let connected = TcpStream::connect(listener().1);
    let datagram = UdpSocket::bind("127.0.0.1:0").unwrap();
    let unix = UnixListener::bind(folder.path().join("unix")).unwrap();
    let unbound = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let (pair, _other) = UnixStream::pair().unwrap();
    let file = std::fs::File::open("/dev/null").unwrap();
    let mut bad: Vec<OwnedFd> = vec![datagram.into(), unix.into(), unbound.into(), pair.into(), file.into()];
    bad.extend(connected.ok().map(OwnedFd::from));
    for fd in bad {
        for name in ["", "porter", if cfg!(feature = "admin") { "metrics" } else { "porter" }] {
            let said = refused(fd.try_clone().unwrap(), PASS, name);
            let has_fd = said.contains("fd 3") || said.contains("file descriptor 3");
            assert!(has_fd && said.contains("pass"), "{said}");
        }
    }
}

#[test]
fn what_cannot_be_understood_is_refused() {
    for (script, name, expected) in [
        ("LISTEN_PID=$$ LISTEN_FDS=x exec \"$0\" \"$@\"", "", "LISTEN_FDS"),
        ("LISTEN_PID=$$ LISTEN_FDS=-1 exec \"$0\" \"$@\"", "", "LISTEN_FDS"),
        ("LISTEN_PID=$$ LISTEN_FDS=4000000000 exec \"$0\" \"$@\"", "", "LISTEN_FDS"),
        ("LISTEN_PID=$$ LISTEN_FDS=2 exec \"$0\" \"$@\"", "porter", "LISTEN_FDNAMES"),
        ("LISTEN_PID=$$ LISTEN_FDS=2 exec \"$0\" \"$@\"", "porter:web", "FileDescriptorName="),
        // There is none at all.
        ("exec 3<&-; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\"", "", "fd 3"),
    ] {
        let said = refused(std::fs::File::open("/dev/null").unwrap().into(), script, name);
        assert!(said.contains(expected), "{script}: {said}");
    }
}

/// systemd's own program passes two: clients at one, figures at the other.
#[cfg(feature = "admin")]
#[test]
fn by_their_names_sockets_are_for_clients_and_for_metrics() {
    let program = "systemd-socket-activate";
    if let Err(error) = Command::new(program).arg("--version").stdout(Stdio::null()).status() {
        left_out("sockets that systemd passes", "systemd", &error);
        return;
    }
    let folder = Rc::new(Folder::new());
    // It takes no 0 for a port.
    let ((clients, metrics), (first, second)) = ((listener(), listener()), (listener(), listener()));
    let addresses = [clients.1, metrics.1, first.1].map(|address| address.to_string());
    drop((clients.0, metrics.0, first.0, second));
    let flags = Setup::new(&["--metrics", "127.0.0.1:1"]).folder(Rc::clone(&folder)).arguments();
    let child = Command::new(program)
        .args([
            "--fdname=porter:metrics:porter",
            "-l",
            &addresses[0],
            "-l",
            &addresses[1],
            "-l",
            &addresses[2],
        ])
        .arg(env!("CARGO_BIN_EXE_porter-server"))
        .args(flags)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The server is started for the first who comes.
    let mut asking = eventually("systemd listens", || TcpStream::connect(&addresses[1]).ok());
    let mut server = Server::of(child, folder);
    assert_eq!(server.address.to_string(), addresses[0]);
    assert_eq!(server.stdout.wait_for_line(|_| true), format!("listening on {}", addresses[2]));
    let mut answer = String::new();
    asking.write_all(b"GET /health HTTP/1.1\r\nHost: porter\r\n\r\n").unwrap();
    asking.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    Visitor::logged_in(&server, "ann").expect_echo("hi");
    Visitor::logged_in_at(addresses[2].parse().unwrap(), "bob").expect_echo("hi");
    server.folder.log_line(&["WARN setting not used", "metrics = "]);
    server.folder.log_line(&["INFO metrics", &addresses[1]]);
    server.terminate();
}
