//! Files that a crash, or somebody's editor, has left behind.

use crate::support::{Folder, PASSWORD, Said, Setup, Visitor, stored_password};
use porter::protocol::Wanted;
use std::rc::Rc;

const HEADER: &str = "name,password,registered\n";

fn user(name: &str) -> String {
    format!("{name},{},2026-01-02T03:04:05Z\n", stored_password(PASSWORD, b"sixteen bytes ok", 1000))
}

fn folder_with(file: &str, content: &str) -> Rc<Folder> {
    let folder = Rc::new(Folder::new());
    folder.write(file, content.as_bytes());
    folder
}

/// An incomplete last line was never acknowledged: it is cut off and logged, nobody else is lost, and the next
/// record stands on a line of its own.
#[test]
fn a_torn_tail_is_cut() {
    let (whole, torn) = (format!("{HEADER}{}{}", user("ann"), user("bob")), user("cid"));
    for length in (1..torn.len() - 1).step_by(9).chain([torn.len() - 2]) {
        let folder = folder_with("users.csv", &format!("{whole}{}", &torn[..length]));
        let server = Setup::new(&[]).folder(folder).start();
        assert_eq!(server.folder.read("users.csv"), whole, "torn after {length} bytes");
        server.folder.log_line(&["users.csv"]);
        let mut cid = Visitor::introduced(&server, "cid", Wanted::Register);
        cid.register("another password");
        cid.expect(Said::Wanted(Wanted::Login));
        let users = server.folder.read("users.csv");
        assert!(users.starts_with(&format!("{whole}cid,$")) && users.ends_with('\n'), "{users}");
        Visitor::logged_in(&server, "bob");
    }
}

/// After a power cut a file may have its length and its last lines, but not yet those before them: none was acknowledged.
#[test]
fn an_end_with_a_hole_is_cut() {
    let (whole, batch) = (format!("{HEADER}{}", user("ann")), [user("bob"), user("cid")].concat());
    let folder = folder_with("users.csv", &format!("{whole}{}{}", "\0".repeat(40), &batch[40..]));
    let server = Setup::new(&[]).folder(folder).start();
    assert_eq!(server.folder.read("users.csv"), whole);
    server.folder.log_line(&["users.csv", "cut off"]);
    Visitor::logged_in(&server, "ann");
}

/// A torn header is written again; an empty file gets one.
#[test]
fn a_torn_header_is_written_again() {
    for length in [0, 1, HEADER.len() - 1] {
        let folder = folder_with("users.csv", &HEADER[..length]);
        let server = Setup::new(&[]).folder(folder).start();
        Visitor::logged_in(&server, "ann");
        let users = server.folder.read("users.csv");
        assert!(users.starts_with(&format!("{HEADER}ann,$")), "{users}");
    }
}

/// Any other bad line stops the start with file, line and reason, and changes nothing.
#[test]
fn a_bad_line_stops_the_start() {
    let good = user("ann");
    let bad_lines = [
        "no record at all\n".to_owned(),
        good.replace("ann", "-ann"),
        good.replace("ann", "server"),
        good.replace("ann", ""),
        good.replace("pbkdf2-md5", "pbkdf2-sha1"),
        good.replace("i=1000", "i=0"),
        good.replace("i=1000", "i=100000001"),
        good.replace("$c2l4dGVlbiBieXRlcyBvaw", "$c2l4dGVlbiBieXRlcyBv"),
        good.replace("2026-01-02T03:04:05Z", "yesterday"),
        good.replace("2026-01-02T03:04:05Z\n", "2026-01-02T03:04:05Z,more\n"),
        good.replace('$', ""),
    ];
    for bad in bad_lines {
        assert_ne!(bad, good);
        for content in
            [format!("{HEADER}{}{bad}{}", user("bob"), user("cid")), format!("{HEADER}{}{bad}", user("bob"))]
        {
            let folder = folder_with("users.csv", &content);
            let reason = Setup::new(&[]).folder(Rc::clone(&folder)).refused(1);
            let reason = reason.replace(&folder.path().display().to_string(), "");
            assert!(reason.contains("users.csv") && reason.contains('3'), "{bad}: {reason}");
            assert_eq!(folder.read("users.csv"), content);
        }
    }
}

/// A wrong header is a bad first line.
#[test]
fn a_bad_header_stops_the_start() {
    let content = format!("name,secret,registered\n{}", user("ann"));
    let folder = folder_with("users.csv", &content);
    let reason = Setup::new(&[]).folder(Rc::clone(&folder)).refused(1);
    let reason = reason.replace(&folder.path().display().to_string(), "");
    assert!(reason.contains("users.csv") && reason.contains('1'), "{reason}");
    assert_eq!(folder.read("users.csv"), content);
}

/// The last record of a name counts.
#[test]
fn the_last_record_counts() {
    let newer = user("ann").replace(
        &stored_password(PASSWORD, b"sixteen bytes ok", 1000),
        &stored_password("a newer password", b"another 16 bytes", 1000),
    );
    let folder = folder_with("users.csv", &format!("{HEADER}{}{newer}", user("ann")));
    let server = Setup::new(&[]).folder(folder).start();
    let mut visitor = Visitor::introduced(&server, "ann", Wanted::Login);
    visitor.login(PASSWORD);
    visitor.expect_error(4);
    visitor.login("a newer password");
    visitor.expect_welcome();
}

/// Torn and bad lines of `addresses.csv` are treated as in `users.csv`.
#[test]
fn addresses_torn_and_bad() {
    let whole = "address,name,seen\n127.0.0.1,ann,2026-01-02T03:04:05Z\n";
    let folder = folder_with("addresses.csv", &format!("{whole}127.0.0.1,bob,2026-"));
    let server = Setup::new(&[]).folder(folder).start();
    assert_eq!(Visitor::connect(&server).expect_hello(), "ann");
    server.folder.log_line(&["addresses.csv"]);
    drop(server);

    for bad in
        ["not an address,bob,2026-01-02T03:04:05Z\n", "127.0.0.1,-bob,2026-01-02T03:04:05Z\n", "127.0.0.1\n"]
    {
        let content = format!("{whole}{bad}{}", &whole["address,name,seen\n".len()..]);
        let folder = folder_with("addresses.csv", &content);
        let reason = Setup::new(&[]).folder(Rc::clone(&folder)).refused(1);
        let reason = reason.replace(&folder.path().display().to_string(), "");
        assert!(reason.contains("addresses.csv") && reason.contains('3'), "{bad}: {reason}");
        assert_eq!(folder.read("addresses.csv"), content);
    }
}
