//! The control socket itself, treated badly.

use super::{add, done, refused, run_with, states, text};
use crate::support::{Folder, Server, Setup, Visitor, eventually, left_out};
use std::fs::Permissions;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;

struct Asker(BufReader<UnixStream>);

impl Asker {
    fn connect(server: &Server) -> Asker {
        let stream = UnixStream::connect(server.folder.data().join("control")).unwrap();
        stream.set_read_timeout(Some(crate::support::CEILING)).unwrap();
        Asker(BufReader::new(stream))
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    fn next(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn expect_error(&mut self, part: &str) {
        let said = self.next();
        assert!(said.starts_with("{\"error\":") && said.contains(part), "{said}");
    }
}

fn expect_served(server: &Server) {
    let mut ann = Visitor::logged_in(server, "ann");
    ann.message("hi");
    ann.expect_echo("hi");
    ann.exit();
}

#[test]
fn nobody_but_the_servers_user_may_connect() {
    let server = Server::start(&[]);
    let mode = std::fs::metadata(server.folder.data().join("control")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// A line in single bytes, several in one packet, none, and what is no request: each is answered by itself.
#[test]
fn lines_are_requests_however_they_come() {
    let server = Server::start(&[]);
    let mut asker = Asker::connect(&server);
    for byte in b"polic" {
        asker.send(&[*byte]);
    }
    asker.send(b"y\nnonsense\n\n\xff\xfe\nusers add ann x\nusers disable ann\r\npolicy\n");
    assert_eq!(asker.next(), r#"{"hash_rounds":1000,"min_password_characters":8}"#);
    assert_eq!(asker.next(), r#"{"done":""}"#);
    asker.expect_error("no such command");
    asker.expect_error("no such command");
    asker.expect_error("UTF-8");
    asker.expect_error("$pbkdf2-md5$");
    asker.expect_error("there is no user ann");
    assert!(asker.next().contains("hash_rounds"));
    expect_served(&server);
}

/// A line without an end is bounded, and whoever shuts the sending side still reads the answer.
#[test]
fn an_endless_line_is_refused() {
    let server = Server::start(&[]);
    let mut asker = Asker::connect(&server);
    // It may be closed before all is taken.
    let _ = asker.0.get_mut().write_all(&vec![b'x'; 1 << 20]);
    asker.expect_error("longer than");
    let mut rest = Vec::new();
    let _ = asker.0.read_to_end(&mut rest);
    let mut asker = Asker::connect(&server);
    asker.send(b"policy\n");
    asker.0.get_ref().shutdown(Shutdown::Write).unwrap();
    assert!(asker.next().contains("hash_rounds"));
    assert_eq!((asker.next(), asker.next()), (r#"{"done":""}"#.to_owned(), String::new()));
    expect_served(&server);
}

/// Those who ask for much and read nothing, leave in the middle, or are too many, hold up nobody but themselves.
#[test]
fn those_who_read_nothing_hold_up_nobody() {
    let users: Vec<(String, String)> = (0..2_000)
        .map(|n| {
            (format!("u{n}"), "$pbkdf2-md5$i=1$AAECAwQFBgcICQoLDA0ODw$EBESExQVFhcYGRobHB0eHw".to_owned())
        })
        .collect();
    let mut file = "name,password,registered\n".to_owned();
    users.iter().for_each(|(name, hash)| file.push_str(&format!("{name},{hash},2026-01-31T08:00:00Z\n")));
    let folder = Folder::new();
    folder.write("users.csv", file.as_bytes());
    let server = Setup::new(&[]).folder(Rc::new(folder)).start();
    // More than what the server and the system hold for one that does not read.
    let mut greedy: Vec<Asker> = (0..15).map(|_| Asker::connect(&server)).collect();
    greedy.iter_mut().for_each(|asker| asker.send(&b"users export\n".repeat(50)));
    let mut leaver = Asker::connect(&server);
    leaver.send(b"users import 3\nann,");
    drop(leaver);
    add(&server.folder.data(), "ann2");
    expect_served(&server);
    // Behind those fifteen there is room for one at a time.
    let mut waiting: Vec<Asker> = (0..10).map(|_| Asker::connect(&server)).collect();
    waiting.iter_mut().for_each(|asker| asker.send(b"policy\n"));
    for mut asker in waiting {
        assert!(asker.next().contains("hash_rounds"));
    }
    let mut reader = greedy.pop().unwrap();
    let listed = std::iter::from_fn(|| Some(reader.next())).take_while(|line| !line.contains("done")).count();
    assert!(listed >= 2_000, "{listed} users");
}

/// The file is replaced under the server, or something else has its name at the start.
#[test]
fn the_sockets_file_is_removed_and_replaced() {
    let server = Server::start(&[]);
    let path = server.folder.data().join("control");
    std::fs::remove_file(&path).unwrap();
    server.signal(rustix::process::Signal::HUP);
    eventually("the socket is made again", || path.exists().then_some(()));
    add(&server.folder.data(), "ann");
    let folder = server.kill();
    assert!(path.exists(), "it was killed");
    let server = Setup::new(&[]).folder(folder).start();
    add(&server.folder.data(), "bob");
    let folder = server.terminate();
    std::fs::write(&path, "mine").unwrap();
    let mut server = Setup::new(&[]).folder(folder).start();
    server.stderr.wait_for_line(|line| line.contains("no socket") && line.contains("control"));
    expect_served(&server);
    let _folder = server.terminate();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
}

/// An address has room for 107 bytes, a path for thousands: a directory that is deeper is administered like any other.
#[cfg(target_os = "linux")]
#[test]
fn the_path_may_be_longer_than_an_address() {
    let folder = Rc::new(Folder::new());
    let (above, socket) = (folder.path().as_os_str().len() + 1, "/control".len());
    for (length, name) in [(107, "ann"), (108, "bob"), (2_000, "cid")] {
        // Directories of 100 letters, and a last one that makes up the length.
        let wanted = length - above - socket;
        let letters: String =
            (1..=wanted).map(|n| if n % 101 == 0 && n < wanted { '/' } else { 'd' }).collect();
        let data = folder.path().join(letters);
        assert_eq!(data.join("control").as_os_str().len(), length);
        std::fs::create_dir_all(&data).unwrap();
        add(&data, name);
        let server = Setup::new(&["--data", data.to_str().unwrap()]).folder(Rc::clone(&folder)).start();
        let warned = server.folder.log_text().contains("porter-admin cannot reach this server");
        assert!(!warned, "{length}");
        assert_eq!(states(&data), [(name.to_owned(), "active".to_owned())]);
        Visitor::logged_in(&server, name).expect_echo("hi");
        std::fs::remove_file(data.join("control")).unwrap();
        server.signal(rustix::process::Signal::HUP);
        eventually("the socket is made again", || data.join("control").exists().then_some(()));
        assert!(done(&data, &["users", "disable", name]).contains(name));
        server.terminate();
        assert!(!data.join("control").exists());
    }
}

/// A server that starts makes its socket in a moment; one that has none any more is not waited for as long as another
/// porter-admin.
#[test]
fn a_server_that_has_lost_its_socket_is_named_in_the_end() {
    let server = Server::start(&[]);
    let data = server.folder.data();
    std::fs::remove_file(data.join("control")).unwrap();
    let output = run_with(&data, &["users", "list"], "");
    let said = text(&output.stderr);
    let last = said.lines().last().unwrap();
    assert!(
        output.status.code() == Some(1) && last.contains("does not answer") && last.contains("SIGHUP"),
        "{said}"
    );
}

/// A server runs, and whatever has its socket's name is no way to it: that is said, with the way out, and nothing is done.
#[test]
fn a_server_that_cannot_be_asked_is_named() {
    let server = Server::start(&[]);
    let data = server.folder.data();
    let path = data.join("control");
    let holder = format!("process {}, porter-server", server.pid().as_raw_nonzero());
    let told = |words: &[&str], part: &str| {
        let said = refused(&data, words, "");
        assert!([&holder, "SIGHUP", part].iter().all(|part| said.contains(*part)), "{said}");
    };
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "mine").unwrap();
    told(&["who"], "no socket: move it away");
    told(&["users", "list"], "no socket: move it away");
    std::fs::remove_file(&path).unwrap();
    drop(UnixListener::bind(&path).unwrap());
    told(&["who"], "does not answer");
    std::fs::remove_file(&path).unwrap();
    told(&["stop"], "does not answer");
    // As it says.
    server.signal(rustix::process::Signal::HUP);
    eventually("the socket is made again", || path.exists().then_some(()));
    add(&data, "ann");
}

/// Whoever has been let at the socket and is neither root nor the server's user is told so.
#[test]
fn another_user_is_told_whose_socket_it_is() {
    if !rustix::process::getuid().is_root() {
        return left_out("another user at the control socket", "sudo", &"only root can be another user");
    }
    let server = Server::start(&[]);
    let data = server.folder.data();
    let open = |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    // Where the program is others may not look.
    let program = server.folder.path().join("porter-admin");
    // By another process: one that is being started beside this has this one's descriptors for a moment, and a program that
    // is open for writing cannot be started.
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_porter-admin")).arg(&program).status().unwrap();
    assert!(copied.success());
    open(server.folder.path(), 0o711);
    open(&data, 0o711);
    let ask = |words: &[&str]| {
        let mut command = Command::new(&program);
        let output = command.arg("--data").arg(&data).args(words).uid(65_534).gid(65_534).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        text(&output.stderr)
    };
    let said = ask(&["who"]);
    assert!(said.contains("Permission denied") && said.contains("the server's own user"), "{said}");
    open(&data.join("control"), 0o666);
    let many = "x".repeat(50_000);
    for words in [&["who"][..], &["users", "remove", "ann"], &["say", &many]] {
        let said = ask(words);
        assert_eq!(said, "porter-admin: refused: the control socket is for the server's own user and root\n");
    }
    expect_served(&server);
    server.folder.log_line(&["control connection of another user refused"]);
}

/// Whoever hands on somebody else's word to porter-admin hands on no second command.
#[test]
fn an_argument_is_one_argument() {
    let server = Server::start(&[]);
    let data = server.folder.data();
    for name in ["ann", "bob"] {
        add(&data, name);
    }
    for words in [
        &["users", "disable", "bob\nusers remove ann"][..],
        &["users", "remove", "bob\r\nusers remove ann"],
        &["kick", "x\nusers remove ann"],
        &["say", "x\nusers remove ann"],
        &["forgive", "192.0.2.1\nstop"],
    ] {
        let output = run_with(&data, words, "");
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        let said = text(&output.stderr);
        assert!(said.contains("line end") && said.lines().count() == 1, "{said}");
    }
    let active = |name: &str| (name.to_owned(), "active".to_owned());
    assert_eq!(states(&data), [active("ann"), active("bob")]);
    expect_served(&server);
}

/// A script can tell whether what it wrote is in force.
#[test]
fn a_reload_that_fails_says_so() {
    let folder = Folder::new();
    let file = folder.path().join("porter.toml");
    std::fs::write(&file, "penalty = 7\n").unwrap();
    let setup = Setup::new(&["--config", &file.to_string_lossy()]);
    let server = setup.start();
    let data = server.folder.data();
    assert!(done(&data, &["reload"]).ends_with("reloaded\n"));
    std::fs::write(&file, "penalty = x\n").unwrap();
    let output = run_with(&data, &["reload"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("not all was reloaded"), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("porter.toml:1"), "{}", text(&output.stdout));
    expect_served(&server);
}
