//! `--log-file -`: stderr, whatever it is, holds nobody up and is not changed for others.

use crate::storage::is_utc_time;
use crate::support::{CEILING, Folder, Said, Setup, Visitor, eventually, left_out, uninterrupted};
use pty_process::blocking::open;
use rustix::fs::{Mode, fchmod, fcntl_getfl};
use rustix::process::{Signal, getuid};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{Command, Stdio};
use std::rc::Rc;

/// More than any pipe, socket or terminal holds, with what waits in the server.
const MESSAGES: usize = 2_500;
const AT_ONCE: usize = 100;

fn setup() -> Setup {
    let flags = ["--log-file", "-", "--log-level", "debug", "--metrics", "127.0.0.1:0"];
    Setup::new(if cfg!(feature = "admin") { &flags } else { &flags[..4] })
}

/// Whether a line is one of the log, from its beginning to its end.
fn is_whole(line: &str) -> bool {
    let mut words = line.split(' ');
    let is_stamped = words.next().is_some_and(is_utc_time);
    is_stamped && words.next().is_some_and(|level| ["WARN", "INFO", "DEBUG"].contains(&level))
}

/// Reads lines until one has this in it; all of them are whole.
fn read_until(stream: &mut impl Read, part: &str, mut seen: Vec<u8>) -> (Vec<String>, Vec<u8>) {
    let (mut lines, mut buffer) = (Vec::new(), vec![0; 65_536]);
    loop {
        while let Some(end) = seen.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = seen.drain(..=end).collect();
            let line = String::from_utf8(line).unwrap().trim_end().to_owned();
            assert!(is_whole(&line), "{line:?} after {:?}", lines.last());
            lines.push(line);
            if lines.last().is_some_and(|line| line.contains(part)) {
                return (lines, seen);
            }
        }
        let count = uninterrupted(|| stream.read(&mut buffer)).unwrap();
        assert!(count > 0, "{part} never came");
        seen.extend_from_slice(&buffer[..count]);
    }
}

/// Whether it is stopped by a reader that reads nothing, and whether the lines go on whole when it reads again.
fn outlives_a_frozen_reader(stderr: impl Into<Stdio>, shared: &OwnedFd, reader: impl Read) {
    outlives_a_frozen_reader_as(setup(), stderr, shared, reader);
}

fn outlives_a_frozen_reader_as(
    setup: Setup,
    stderr: impl Into<Stdio>,
    shared: &OwnedFd,
    mut reader: impl Read,
) {
    let before = fcntl_getfl(shared).unwrap();
    let server = setup.stderr(stderr).start();
    let mut ann = Visitor::logged_in(&server, "ann");
    for _ in 0..MESSAGES / AT_ONCE {
        (0..AT_ONCE).for_each(|n| ann.message(&n.to_string()));
        (0..AT_ONCE).for_each(|n| ann.expect(Said::message("", &n.to_string())));
    }
    assert_eq!(fcntl_getfl(shared).unwrap(), before, "others have it too");
    // Without a word to the log, which has no room for it.
    server.signal(Signal::HUP);
    ann.expect_echo("and on");
    let (lines, rest) = read_until(&mut reader, " log lines dropped count=", Vec::new());
    let dropped: usize = lines.last().unwrap().rsplit('=').next().unwrap().parse().unwrap();
    assert!(lines.len() + dropped > 2 * MESSAGES, "{} {dropped}", lines.len());
    assert!(dropped > 0 && !lines.iter().any(|line| line.contains("log reopened")));
    if let Some(listening) = lines.iter().find(|line| line.contains(" metrics addr=")) {
        let figures = figures(listening.split("addr=").nth(1).unwrap());
        let counted = figures.lines().find_map(|line| line.strip_prefix("porter_log_lines_dropped_total "));
        assert!(counted.unwrap().parse::<f64>().unwrap() as usize >= dropped, "{counted:?} {dropped}");
    }
    ann.exit();
    ann.expect_bye();
    read_until(&mut reader, " disconnected conn=", rest);
}

fn figures(address: &str) -> String {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(CEILING)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: porter\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_pipe_whose_reader_is_frozen() {
    let (reader, writer) = io::pipe().unwrap();
    let shared: OwnedFd = writer.try_clone().unwrap().into();
    outlives_a_frozen_reader(writer, &shared, reader);
}

#[test]
fn a_socket_whose_reader_is_frozen() {
    let (reader, writer) = UnixStream::pair().unwrap();
    let shared: OwnedFd = writer.try_clone().unwrap().into();
    outlives_a_frozen_reader(OwnedFd::from(writer), &shared, reader);

    struct Datagrams(UnixDatagram);
    impl Read for Datagrams {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.recv(buffer)?;
            assert!(
                buffer[..count].ends_with(b"\n") && buffer[..count - 1].iter().all(|byte| *byte != b'\n')
            );
            Ok(count)
        }
    }
    let (reader, writer) = UnixDatagram::pair().unwrap();
    let shared: OwnedFd = writer.try_clone().unwrap().into();
    outlives_a_frozen_reader(OwnedFd::from(writer), &shared, Datagrams(reader));
}

#[test]
fn a_terminal_whose_reader_is_frozen() {
    let (master, slave) = open().unwrap();
    let slave: File = slave.as_fd().try_clone_to_owned().unwrap().into();
    let shared: OwnedFd = slave.try_clone().unwrap().into();
    outlives_a_frozen_reader(slave, &shared, master);
}

/// What cannot be opened anew, as another user's pipe cannot, is asked before each write.
#[test]
fn a_pipe_that_may_not_be_opened() {
    let (reader, writer) = io::pipe().unwrap();
    let shared: OwnedFd = writer.try_clone().unwrap().into();
    fchmod(&shared, Mode::empty()).unwrap();
    // Root may open all, but where it is nobody.
    let script = if getuid().is_root() { r#"exec unshare --user "$0" "$@""# } else { r#"exec "$0" "$@""# };
    let is_nobody = Command::new("sh").args(["-c", script, "true"]).stderr(Stdio::null()).status();
    match is_nobody {
        Ok(status) if status.success() => {
            outlives_a_frozen_reader_as(setup().wrapper(script), writer, &shared, reader);
        }
        said => left_out("a pipe that may not be opened", "util-linux", &format!("{said:?}")),
    }
}

/// Others who have the file go on where the server stopped, and it where they did. And nothing is said twice: what else the
/// server would say on stderr is in the log there.
#[test]
fn a_file_is_shared_with_others_and_nothing_is_said_twice() {
    let folder = Rc::new(Folder::new());
    let path = folder.path().join("stderr");
    let mut file = File::create(&path).unwrap();
    file.write_all(b"before\n").unwrap();
    let server = setup().stderr(file.try_clone().unwrap()).folder(folder).start();
    let text = || fs::read_to_string(&path).unwrap();
    let logged = |part: &str| eventually(part, || text().contains(part).then_some(()));
    drop(Visitor::logged_in(&server, "ann"));
    logged(" disconnected conn=");
    file.write_all(b"between\n").unwrap();
    server.signal(Signal::HUP);
    drop(Visitor::logged_in(&server, "bob"));
    logged(" name=bob\n");
    let _folder = server.terminate();
    file.write_all(b"after\n").unwrap();
    let text = text();
    let lines: Vec<&str> = text.lines().collect();
    let others: Vec<&str> = lines.iter().filter(|line| !is_whole(line)).copied().collect();
    assert_eq!(others, ["before", "between", "after"], "{text}");
    assert_eq!(text.matches("makes stolen hashes cheap to guess").count(), 1, "{text}");
    assert!(text.contains(" INFO stopped\n") && !text.contains("log reopened"), "{text}");
}

/// With nothing that takes lines, clients are served and the server ends as it should.
#[test]
fn nobody_needs_stderr() {
    let (reader, without_reader) = io::pipe().unwrap();
    drop(reader);
    let full: OwnedFd = File::options().write(true).open("/dev/full").unwrap().into();
    let (socket, without_peer) = UnixStream::pair().unwrap();
    drop(socket);
    let servers = [
        setup().stderr(without_reader).start(),
        setup().stderr(full).start(),
        setup().stderr(OwnedFd::from(without_peer)).start(),
        setup().stderr(Stdio::null()).start(),
        setup().stderr(Stdio::null()).wrapper(r#"exec "$0" "$@" 2>&-"#).start(),
        // Open for reading alone.
        setup().stderr(File::open("/dev/null").unwrap()).start(),
    ];
    for server in servers {
        let mut ann = Visitor::logged_in(&server, "ann");
        for n in 0..50 {
            ann.expect_echo(&n.to_string());
        }
        server.signal(Signal::HUP);
        ann.expect_echo("still there");
        drop(ann);
        server.terminate();
    }
}

/// Why it did not start is said once, in the log's own way.
#[test]
fn why_it_did_not_start_is_said_once() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (format, begins_with) in [("text", "2"), ("json", "{")] {
        let flags = [
            "--port",
            &port,
            "--strict-port",
            "--log-file",
            "-",
            "--log-level",
            "warn",
            "--log-format",
            format,
        ];
        let said = Setup::new(&flags).refused(1);
        assert!(said.starts_with(begins_with) && said.contains("ERROR") && said.contains(&port), "{said}");
    }
    let flags = ["--port", &port, "--strict-port", "--log-file", "-", "--log-level", "off"];
    let said = Setup::new(&flags).refused(1);
    assert!(said.starts_with("porter-server: ") && said.contains(&port), "{said}");
}
