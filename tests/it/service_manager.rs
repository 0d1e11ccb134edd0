//! What a service manager is sent: by a real server, over a real datagram socket, and whatever becomes of that.

use crate::support::{
    CEILING, Folder, PASSWORD, SLOW_PASSWORD, Setup, Visitor, eventually, stop, uninterrupted,
};
use porter::protocol::Wanted;
use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt;
#[cfg(target_os = "linux")]
use std::os::unix::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The watchdog of most tests: half of it is soon over, and a busy machine is not held against anybody.
const WATCHDOG: &str = "100000";

/// A service manager, as far as it listens.
struct Manager {
    socket: UnixDatagram,
    name: OsString,
    _folder: TempDir,
}

impl Manager {
    fn new() -> Manager {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("notify");
        Manager::of(listen(&path), path.into(), folder)
    }

    fn of(socket: UnixDatagram, name: OsString, folder: TempDir) -> Manager {
        socket.set_read_timeout(Some(CEILING)).unwrap();
        Manager { socket, name, _folder: folder }
    }

    fn setup(&self, flags: &[&str]) -> Setup {
        Setup::new(flags).environment("NOTIFY_SOCKET", self.name.to_str().unwrap())
    }

    fn watching(&self, flags: &[&str]) -> Setup {
        self.setup(flags).environment("WATCHDOG_USEC", WATCHDOG)
    }

    /// The next datagram's assignments.
    fn next(&self) -> Vec<String> {
        let mut bytes = [0; 4096];
        let count = uninterrupted(|| self.socket.recv(&mut bytes)).unwrap();
        let text = std::str::from_utf8(&bytes[..count]).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// The next that is no mere watchdog ping.
    fn next_of_note(&self) -> Vec<String> {
        loop {
            let lines = self.next();
            let is_of_note = |line: &String| line != "WATCHDOG=1" && !line.starts_with("STATUS=");
            if lines.iter().any(is_of_note) {
                return lines;
            }
        }
    }

    fn wait_for(&self, line: &str) {
        let start = Instant::now();
        while !self.next().iter().any(|found| found == line) {
            assert!(start.elapsed() < CEILING, "waited in vain for {line}");
        }
    }

    /// What it has been sent and has not looked at.
    fn drain(&self) {
        self.socket.set_nonblocking(true).unwrap();
        while self.socket.recv(&mut [0; 4096]).is_ok() {}
        self.socket.set_nonblocking(false).unwrap();
    }
}

fn listen(path: &Path) -> UnixDatagram {
    UnixDatagram::bind(path).unwrap()
}

fn status(connections: usize, logged_in: usize, users: usize) -> String {
    format!("STATUS=connections: {connections}, logged in: {logged_in}, users: {users}")
}

fn reloaded(manager: &Manager) -> (u64, String) {
    let reloading = manager.next_of_note();
    assert_eq!(reloading[0], "RELOADING=1");
    let stamp = reloading[1].strip_prefix("MONOTONIC_USEC=").unwrap().parse().unwrap();
    let ready = manager.next_of_note();
    assert_eq!(ready[0], "READY=1");
    (stamp, ready[1].clone())
}

fn clock() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1_000
}

/// Ready means that it listens, and that it stops is said before the end.
fn is_told_of_start_and_end(manager: &Manager) {
    let mut server = manager.setup(&[]).start();
    assert_eq!(manager.next(), ["READY=1", &status(0, 0, 0)]);
    let mut ann = Visitor::logged_in(&server, "ann");
    ann.expect_echo("hi");
    server.signal(Signal::TERM);
    assert_eq!(
        manager.next_of_note(),
        ["STOPPING=1", &("STATUS=stopping; ".to_owned() + &status(1, 0, 1)[7..])]
    );
    ann.expect_bye();
    assert_eq!(server.exit_code(), Some(0));
    assert!(!server.folder.log_text().contains("service manager"));
}

#[test]
fn the_start_and_the_end_are_notified() {
    is_told_of_start_and_end(&Manager::new());
}

#[cfg(target_os = "linux")]
#[test]
fn so_they_are_at_a_socket_without_a_file() {
    let name = format!("porter-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let socket = UnixDatagram::bind_addr(&address).unwrap();
    is_told_of_start_and_end(&Manager::of(socket, format!("@{name}").into(), TempDir::new().unwrap()));
}

/// Each reload has its beginning, by the system's own clock, and its end, and so has one that is refused.
#[test]
fn reloads_are_notified_with_their_time_whatever_comes_of_them() {
    let (manager, folder) = (Manager::new(), Rc::new(Folder::new()));
    folder.write("porter.toml", b"penalty = 1\n");
    let server = manager
        .setup(&["--config", folder.data().join("porter.toml").to_str().unwrap()])
        .folder(Rc::clone(&folder))
        .start();
    manager.wait_for("READY=1");
    let mut earlier = clock();
    for (text, said) in [
        ("penalty = 2\n", "STATUS="),
        ("penalty = nonsense\n", "STATUS=the last reload failed, see the log; "),
        ("penalty = 3\n", "STATUS="),
    ] {
        folder.write("porter.toml", text.as_bytes());
        server.signal(Signal::HUP);
        let (stamp, status_line) = reloaded(&manager);
        assert!((earlier..=clock()).contains(&stamp), "{earlier} {stamp} {}", clock());
        assert_eq!(status_line, said.to_owned() + &status(0, 0, 0)[7..]);
        earlier = stamp + 1;
    }
    // By the control socket too, which shares what is done.
    #[cfg(feature = "admin")]
    {
        let mut control = std::os::unix::net::UnixStream::connect(folder.data().join("control")).unwrap();
        std::io::Write::write_all(&mut control, b"reload\n").unwrap();
        assert!(reloaded(&manager).0 >= earlier);
    }
    server.terminate();
}

/// A server with nothing to do sends watchdog pings, one that hashes and serves does, and one that is stuck does not.
#[test]
fn watchdog_pings_come_from_a_loop_that_goes_round() {
    let manager = Manager::new();
    let folder = Rc::new(Folder::with_users(&[("bob", SLOW_PASSWORD)]));
    let server = manager.watching(&[]).folder(folder).start();
    for _ in 0..3 {
        manager.wait_for("WATCHDOG=1");
    }
    let mut ann = Visitor::logged_in(&server, "ann");
    // What has changed comes with them.
    manager.wait_for(&status(1, 1, 2));
    let mut bob = Visitor::introduced(&server, "bob", Wanted::Login);
    bob.login(PASSWORD);
    for round in 0..3 {
        manager.drain();
        for n in 0..20 {
            ann.expect_echo(&format!("{round} {n}"));
        }
        manager.wait_for("WATCHDOG=1");
    }
    stop(server.pid());
    manager.drain();
    manager.socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let nothing = uninterrupted(|| manager.socket.recv(&mut [0; 4096])).unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
    manager.socket.set_read_timeout(Some(CEILING)).unwrap();
    server.signal(Signal::CONT);
    manager.wait_for("WATCHDOG=1");
    ann.expect_echo("goes on");
}

/// Whoever watches another process, or none, gets no watchdog pings; nor does what is no time keep the server from serving.
#[test]
fn who_does_not_watch_gets_no_watchdog_pings() {
    for (name, value) in [("WATCHDOG_PID", "1"), ("WATCHDOG_USEC", "0"), ("WATCHDOG_USEC", "x")] {
        let manager = Manager::new();
        let server = manager.setup(&[]).environment("WATCHDOG_USEC", "1").environment(name, value).start();
        assert_eq!(manager.next()[0], "READY=1");
        let mut ann = Visitor::logged_in(&server, "ann");
        (0..20).for_each(|n| ann.expect_echo(&n.to_string()));
        server.signal(Signal::HUP);
        assert_eq!(manager.next_of_note()[0], "RELOADING=1");
    }
    let manager = Manager::new();
    let own = "export WATCHDOG_PID=$$; exec \"$0\" \"$@\"";
    let server = manager.watching(&[]).wrapper(own).start();
    manager.wait_for("WATCHDOG=1");
    server.terminate();
}

/// A queue that is full holds nobody up, and what was not taken is sent when there is room.
#[test]
fn a_receiver_that_takes_nothing_holds_nobody_up() {
    let manager = Manager::new();
    let filler = UnixDatagram::unbound().unwrap();
    filler.set_nonblocking(true).unwrap();
    while filler.send_to(b"FILLER=1", &manager.name).is_ok() {}
    let server = manager.watching(&[]).start();
    let mut ann = Visitor::logged_in(&server, "ann");
    for n in 0..100 {
        server.signal(Signal::HUP);
        ann.expect_echo(&n.to_string());
    }
    // The last of many reloads is over, which is what counts.
    manager.wait_for("READY=1");
    manager.wait_for("WATCHDOG=1");
    while filler.send_to(b"FILLER=1", &manager.name).is_ok() {}
    ann.expect_echo("nor later");
    drop(ann);
    server.terminate();
}

/// Nor does one that goes away, with its name or without, and one that comes back is sent how it is.
#[test]
fn a_receiver_that_goes_away_harms_nothing() {
    let manager = Manager::new();
    let server = manager.watching(&[]).start();
    manager.wait_for("WATCHDOG=1");
    let mut ann = Visitor::logged_in(&server, "ann");
    let Manager { socket, name, _folder: folder } = manager;
    drop(socket);
    server.folder.log_line(&["WARN service manager not reached"]);
    ann.expect_echo("its end is gone");
    fs::remove_file(&name).unwrap();
    server.signal(Signal::HUP);
    ann.expect_echo("its name is gone");
    let manager = Manager::of(listen(Path::new(&name)), name, folder);
    manager.wait_for("WATCHDOG=1");
    drop(ann);
    let log = server.terminate().log_text();
    assert_eq!(log.matches("service manager not reached").count(), 1, "{log}");
}

/// What is no socket's name is warned of, and the server serves.
#[test]
fn a_name_that_leads_nowhere_is_warned_of() {
    let long = "/".to_owned() + &"x".repeat(200);
    for name in ["relative/notify", "vsock:2:1234", &long] {
        let mut server = Setup::new(&[]).environment("NOTIFY_SOCKET", name).start();
        let said = server.stderr.wait_for_line(|line| line.contains("NOTIFY_SOCKET"));
        assert!(said.contains("cannot be used"), "{said}");
        Visitor::logged_in(&server, "ann").expect_echo("hi");
    }
    let server = Setup::new(&[]).environment("NOTIFY_SOCKET", "/nowhere/notify").start();
    server.folder.log_line(&["WARN service manager not reached"]);
    Visitor::logged_in(&server, "ann").expect_echo("hi");
    let empty =
        Setup::new(&[]).environment("NOTIFY_SOCKET", "").environment("WATCHDOG_USEC", WATCHDOG).start();
    let log = eventually("the log", || Some(empty.folder.log_text()).filter(|log| log.contains("listening")));
    assert!(!log.contains("service manager"), "{log}");
}
