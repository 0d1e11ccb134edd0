//! What outlives a restart: `users.csv` and `addresses.csv` as the design's section 4 has them.

use crate::support::{
    FOREVER_ROUNDS, Folder, PASSWORD, Said, Server, Setup, Visitor, eventually, stored_password,
};
use base64ct::{Base64Unpadded, Encoding};
use porter::protocol::Wanted;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::rc::Rc;

/// The fields of a user's last record.
fn record(folder: &Folder, name: &str) -> Vec<String> {
    let users = folder.read("users.csv");
    let line = users.lines().rfind(|line| line.starts_with(&format!("{name},"))).unwrap();
    line.split(',').map(str::to_owned).collect()
}

/// Whether a text has the form of a time of RFC 3339 in UTC.
pub(crate) fn is_utc_time(text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let seconds = shape.strip_suffix('Z').or_else(|| shape.strip_suffix("+00:00")).unwrap_or_default();
    let fraction = seconds.strip_prefix("0000-00-00T00:00:00");
    fraction
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.') && rest[1..].bytes().all(|b| b == b'0'))
}

/// The form of `users.csv`, and its stored password checked by two others: Python's hashlib and the `pbkdf2` crate.
#[test]
fn stored_passwords_can_be_checked_by_others() {
    let server = Server::start(&["--hash-rounds", "1234"]);
    Visitor::logged_in(&server, "ann");
    let users = server.folder.read("users.csv");
    assert!(users.starts_with("name,password,registered\n") && users.ends_with('\n'), "{users}");
    let fields = record(&server.folder, "ann");
    assert_eq!(fields.len(), 3);
    assert!(is_utc_time(&fields[2]), "{users}");

    let mut salt = [0; 16];
    let encoded_salt = fields[1].split('$').nth(3).unwrap();
    assert_eq!(Base64Unpadded::decode(encoded_salt, &mut salt).unwrap().len(), 16);
    assert_eq!(fields[1], stored_password(PASSWORD, &salt, 1234));

    let script = "
import base64, hashlib, sys
phc, password = sys.argv[1:]
empty, scheme, rounds, salt, stored = phc.split('$')
decode = lambda text: base64.b64decode(text + '==', validate=True)
derived = hashlib.pbkdf2_hmac('md5', password.encode(), decode(salt), int(rounds.removeprefix('i=')))
assert (empty, scheme, derived) == ('', 'pbkdf2-md5', decode(stored))
";
    let python = Command::new("python3").args(["-c", script, &fields[1], PASSWORD]).output().unwrap();
    assert!(python.status.success(), "{}", String::from_utf8_lossy(&python.stderr));
}

/// Equal passwords are stored differently: each has its own salt.
#[test]
fn every_password_has_its_own_salt() {
    let server = Server::start(&[]);
    Visitor::logged_in(&server, "ann");
    Visitor::logged_in(&server, "bob");
    assert_ne!(record(&server.folder, "ann")[1], record(&server.folder, "bob")[1]);
}

/// A record that another tool wrote is as good as porter's own.
#[test]
fn anothers_record_is_read() {
    let folder = Rc::new(Folder::with_user("ann", "written elsewhere", 777));
    let server = Setup::new(&["--hash-rounds", "777"]).folder(folder).start();
    let mut visitor = Visitor::introduced(&server, "ann", Wanted::Login);
    visitor.login("written elsewhere");
    visitor.expect_welcome();
}

/// The data directory is its owner's alone: mode 0700, files 0600.
#[test]
fn modes() {
    let server = Server::start(&[]);
    Visitor::logged_in(&server, "ann");
    let folder = server.terminate();
    let data = folder.data();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    let files: Vec<_> = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path()).collect();
    for file in ["users.csv", "addresses.csv"] {
        assert!(files.contains(&data.join(file)), "{files:?}");
    }
    files.iter().for_each(|file| assert_eq!(mode(file), 0o600, "{file:?}"));
}

/// A lock keeps a second server out, with a clear error; it goes with its server, however that ended.
#[test]
fn a_second_server_is_kept_out() {
    let server = Server::start(&[]);
    let reason = Setup::new(&[]).folder(Rc::clone(&server.folder)).refused(1);
    assert!(reason.contains("data"), "{reason}");
    Visitor::logged_in(&server, "ann").expect_echo("the first goes on");
    let again = Setup::new(&[]).folder(server.kill()).start();
    Visitor::introduced(&again, "ann", Wanted::Login);
}

/// Users survive a restart.
#[test]
fn users_survive_a_restart() {
    let server = Server::start(&[]);
    let names = ["ann", "Anne", "李雷", "a-b_c.d"];
    for name in names {
        Visitor::logged_in(&server, name);
    }
    let again = Setup::new(&[]).folder(server.terminate()).start();
    for name in names {
        let mut visitor = Visitor::introduced(&again, name, Wanted::Login);
        visitor.login("wrong password");
        visitor.expect_error(4);
        if name == "ann" {
            visitor.login(PASSWORD);
            visitor.expect_welcome();
        }
    }
}

/// A registration is acknowledged only when it is stored: a server that is killed right after that knows the user.
#[test]
fn acknowledged_means_stored() {
    let mut folder = Rc::new(Folder::new());
    for n in 0..5 {
        let server = Setup::new(&[]).folder(folder).start();
        let mut visitor = Visitor::introduced(&server, &format!("user{n}"), Wanted::Register);
        visitor.register(PASSWORD);
        visitor.expect(Said::Wanted(Wanted::Login));
        folder = server.kill();
    }
    let server = Setup::new(&["--penalty", "0"]).folder(folder).start();
    for n in 0..5 {
        let mut visitor = Visitor::introduced(&server, &format!("user{n}"), Wanted::Login);
        visitor.login(PASSWORD);
        visitor.expect_welcome();
    }
}

/// Row 7: the name that last logged in from an address is kept in a file, and the next visitor from there is greeted
/// by it, after a restart too. Registering, failing and resuming are no logins.
#[test]
fn greeting_by_address() {
    let server = Server::start(&[]);
    let greeting = |server: &Server| Visitor::connect(server).expect_hello();
    assert_eq!(greeting(&server), "");
    let mut ann = Visitor::introduced(&server, "ann", Wanted::Register);
    ann.register(PASSWORD);
    ann.expect(Said::Wanted(Wanted::Login));
    assert_eq!(greeting(&server), "");
    ann.login(PASSWORD);
    let token = ann.expect_welcome();
    assert_eq!(greeting(&server), "ann");
    Visitor::connect_from("127.0.0.2", &server).greeted().log_in("bob", PASSWORD);
    assert_eq!(greeting(&server), "ann");
    assert_eq!(Visitor::connect_from("127.0.0.2", &server).expect_hello(), "bob");
    let mut elsewhere = Visitor::connect_from("127.0.0.2", &server).greeted();
    elsewhere.resume(token);
    elsewhere.expect_welcome();
    assert_eq!(Visitor::connect_from("127.0.0.2", &server).expect_hello(), "bob");

    let folder = server.terminate();
    let addresses = folder.read("addresses.csv");
    let mut lines = addresses.lines();
    assert_eq!(lines.next(), Some("address,name,seen"));
    let records: Vec<Vec<_>> = lines.map(|line| line.split(',').collect()).collect();
    for last in [["127.0.0.1", "ann"], ["127.0.0.2", "bob"]] {
        assert!(records.iter().any(|record| record[..2] == last), "{addresses}");
    }
    assert!(records.iter().all(|record| record.len() == 3 && is_utc_time(record[2])), "{addresses}");

    let again = Setup::new(&[]).folder(folder).start();
    assert_eq!(greeting(&again), "ann");
    assert_eq!(Visitor::connect_from("127.0.0.2", &again).expect_hello(), "bob");
}

/// `addresses.csv` is compacted: names that alternate at one address do not make it grow for ever.
#[test]
fn addresses_are_compacted() {
    let server = Server::start(&["--login-cache", "600"]);
    for _ in 0..40 {
        Visitor::logged_in(&server, "ann");
        Visitor::logged_in(&server, "bob");
    }
    let folder = server.terminate();
    let addresses = folder.read("addresses.csv");
    assert!(addresses.lines().count() < 20, "{addresses}");
    let again = Setup::new(&[]).folder(folder).start();
    assert_eq!(Visitor::connect(&again).expect_hello(), "bob");
}

/// A user whose stored cost differs is rehashed at the next login that takes the full path.
#[test]
fn rehashed_when_the_cost_changed() {
    let folder = Rc::new(Folder::with_user("ann", PASSWORD, 500));
    let server = Setup::new(&["--hash-rounds", "2000"]).folder(folder).start();
    Visitor::logged_in(&server, "ann").expect_echo("in at once");
    let rehashed = eventually("the new record", || {
        let fields = record(&server.folder, "ann");
        (fields.len() == 3 && fields[1].starts_with("$pbkdf2-md5$i=2000$")).then(|| fields[1].clone())
    });
    let mut salt = [0; 16];
    Base64Unpadded::decode(rehashed.split('$').nth(3).unwrap(), &mut salt).unwrap();
    assert_eq!(rehashed, stored_password(PASSWORD, &salt, 2000));
    let users = server.folder.read("users.csv");
    assert!(users.contains("i=500$"), "appended, never rewritten: {users}");
    let again = Setup::new(&["--hash-rounds", "2000"]).folder(server.terminate()).start();
    Visitor::logged_in(&again, "ann");
    Visitor::introduced(&again, "ann", Wanted::Login);
}

/// Welcome comes before the rehash, which may take its time.
#[test]
fn nobody_waits_for_a_rehash() {
    let folder = Rc::new(Folder::with_user("ann", PASSWORD, 500));
    let server = Setup::new(&["--hash-rounds", FOREVER_ROUNDS]).folder(folder).start();
    Visitor::logged_in(&server, "ann").expect_echo("in at once");
    assert_eq!(server.folder.read("users.csv").lines().count(), 2);
}

/// protocol.md: while registration is closed an unknown name is answered as a wrong password is, byte for byte.
#[test]
fn closed_registration_tells_no_names() {
    let folder = Rc::new(Folder::with_user("ann", PASSWORD, 1000));
    let server = Setup::new(&["--registration", "closed"]).folder(folder).start();
    let answers = ["ann", "nobody"].map(|name| {
        let mut visitor = Visitor::introduced(&server, name, Wanted::Login);
        visitor.login("wrong password");
        visitor.exit();
        let mut bytes = Vec::new();
        visitor.stream.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes[4..7], [0x8f, 0, 4]);
        bytes
    });
    assert_eq!(answers[0], answers[1]);
    let mut unknown = Visitor::introduced(&server, "nobody", Wanted::Login);
    unknown.login(PASSWORD);
    unknown.expect_error(4);
    unknown.identify("-bad");
    unknown.expect_error(1);
    Visitor::logged_in(&server, "ann");
    assert_eq!(server.folder.read("users.csv").lines().count(), 2);
}
