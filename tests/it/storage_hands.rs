//! Files that are in other people's hands as well: links, editors, tools that replace files under the running server.

use crate::support::{Folder, PASSWORD, Said, Server, Setup, Visitor, stored_password};
use porter::protocol::Wanted;
use rustix::process::Signal;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;
use std::rc::Rc;

const HEADER: &str = "name,password,registered\n";
const ADDRESSES: &str = "address,name,seen\n127.0.0.1,ann,2026-01-02T03:04:05Z\n";

fn user(name: &str, password: &str) -> String {
    format!("{name},{},2026-01-02T03:04:05Z\n", stored_password(password, b"sixteen bytes ok", 1000))
}

/// Runs a line of shell in the data directory.
fn shell(folder: &Folder, line: &str) {
    let status = Command::new("sh").args(["-c", line]).current_dir(folder.data()).status().unwrap();
    assert!(status.success(), "{line}");
}

/// A new visitor is not registered, and told so.
fn refused(server: &Server, name: &str) -> Visitor {
    let mut visitor = Visitor::introduced(server, name, Wanted::Register);
    visitor.register(PASSWORD);
    visitor.expect_error(5);
    visitor
}

fn registered(server: &Server, name: &str) {
    let mut visitor = Visitor::introduced(server, name, Wanted::Register);
    visitor.register(PASSWORD);
    visitor.expect(Said::Wanted(Wanted::Login));
}

/// Sends SIGHUP, and waits until all that follows is done: what was sent afterwards is answered afterwards.
fn reload(server: &Server, said: &[&str]) {
    let before = server.folder.log_text().matches("log reopened").count();
    server.signal(Signal::HUP);
    server.folder.log_lines(&["log reopened"], before + 1);
    server.folder.log_line(said);
}

/// Whatever takes the file away, nobody is told that they are registered in it; logins go on, and whoever is there stays.
#[test]
fn a_file_replaced_under_the_running_server_loses_nobody() {
    for (deed, way_back) in [
        ("sed -i s/bob/Bob/ users.csv", ""),
        ("cp users.csv other && mv other users.csv", ""),
        ("printf '%s' \"$(cat users.csv)\" > other && cat other > users.csv", ""),
        ("mv users.csv other", "mv other users.csv"),
        ("cp users.csv /tmp/porter-$$ && : > users.csv && mv /tmp/porter-$$ other", "cat other > users.csv"),
        ("mv ../data ../moved", "mv ../moved ../data"),
    ] {
        let server = Server::start(&[]);
        let mut ann = Visitor::logged_in(&server, "ann");
        registered(&server, "bob");
        shell(&server.folder, deed);
        let mut cid = refused(&server, "cid");
        server.folder.log_line(&["ERROR", "users.csv", "nobody can register"]);
        ann.expect_echo("still here");
        Visitor::logged_in(&server, "ann").expect_echo("and can come in");
        if deed.contains("../moved") {
            let back = server.folder.path().join("moved");
            fs::rename(back, server.folder.data()).unwrap();
        } else if !way_back.is_empty() {
            shell(&server.folder, way_back);
        }
        server.signal(Signal::HUP);
        server.folder.log_line(&["log reopened"]);
        ann.expect_echo("after the reload");
        cid.register(PASSWORD);
        cid.expect(Said::Wanted(Wanted::Login));
        let again = Setup::new(&[]).folder(server.kill()).start();
        Visitor::introduced(&again, "cid", Wanted::Login);
        Visitor::introduced(&again, "ann", Wanted::Login);
    }
}

/// SIGHUP takes a new file: users who are new in it, have another password, or are gone. Nobody is sent away.
#[test]
fn a_reload_takes_the_new_file_and_a_bad_one_keeps_what_was() {
    let server = Server::start(&[]);
    let mut ann = Visitor::logged_in(&server, "ann");
    let mut bob = Visitor::logged_in(&server, "bob");
    let new = [HEADER.to_owned(), user("ann", "another password"), user("cid", PASSWORD)].concat();
    server.folder.write("new", new.as_bytes());
    shell(&server.folder, "mv new users.csv");
    reload(&server, &["users.csv reloaded", "2 users"]);
    ann.expect_echo("ann is still there");
    bob.expect_echo("and bob too");
    Visitor::introduced(&server, "bob", Wanted::Register);
    let mut cid = Visitor::introduced(&server, "cid", Wanted::Login);
    cid.login(PASSWORD);
    cid.expect_welcome();
    let mut second = Visitor::introduced(&server, "ann", Wanted::Login);
    second.login(PASSWORD);
    second.expect_error(4);
    second.login("another password");
    second.expect_welcome();

    server.folder.write("users.csv", format!("{new}no record\n").as_bytes());
    reload(&server, &["ERROR", "users.csv line 4", "known as before"]);
    Visitor::introduced(&server, "cid", Wanted::Login);
    refused(&server, "dan");
    server.folder.write("users.csv", new.as_bytes());
    server.signal(Signal::HUP);
    server.folder.log_lines(&["users.csv reloaded"], 2);
    registered(&server, "dan");
    ann.expect_echo("ann has seen it all");
}

/// An editor leaves no final line end: the last user counts, and the next stands on a line of its own.
#[test]
fn an_editor_that_leaves_no_line_end_costs_nobody() {
    let folder = Rc::new(Folder::new());
    let file = [HEADER, &user("ann", PASSWORD), user("bob", PASSWORD).trim_end()].concat();
    folder.write("users.csv", file.as_bytes());
    folder.write("addresses.csv", ADDRESSES.trim_end().as_bytes());
    let server = Setup::new(&[]).folder(folder).start();
    assert_eq!(Visitor::connect(&server).expect_hello(), "ann");
    registered(&server, "cid");
    let again = Setup::new(&[]).folder(server.kill()).start();
    for name in ["ann", "bob", "cid"] {
        Visitor::logged_in(&again, name);
    }
    assert!(again.folder.read("users.csv").starts_with(&format!("{file}\ncid,$")));
}

/// What is cut off is kept in a file of its own, which the log names.
#[test]
fn what_is_cut_is_saved() {
    let folder = Rc::new(Folder::new());
    folder.write("users.csv", [HEADER, &user("ann", PASSWORD), "bob,$pbkdf2-md5$i=10"].concat().as_bytes());
    let server = Setup::new(&[]).folder(folder).start();
    let data = server.folder.data();
    let names = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let saved = names.filter(|name| name.starts_with("users.csv.cut-")).collect::<Vec<_>>();
    assert_eq!((saved.len(), server.folder.read(&saved[0])), (1, "bob,$pbkdf2-md5$i=10".to_owned()));
    assert_eq!(fs::metadata(data.join(&saved[0])).unwrap().permissions().mode() & 0o777, 0o600);
    server.folder.log_line(&["cut off", &saved[0]]);
}

/// What a spreadsheet saves is read, and said so; what is added has porter's own line ends.
#[test]
fn what_a_spreadsheet_saves_is_read() {
    let folder = Rc::new(Folder::new());
    let file = ["\u{feff}", HEADER, &user("ann", PASSWORD), &user("bob", PASSWORD)].concat();
    let file = file.replace("ann", "\"ann\"").replace('\n', "\r\n");
    folder.write("users.csv", file.as_bytes());
    let server = Setup::new(&[]).folder(folder).start();
    server.folder.log_line(&["users.csv", "byte order mark", "CRLF", "quoted"]);
    Visitor::logged_in(&server, "ann");
    registered(&server, "cid");
    let users = server.folder.read("users.csv");
    let added = users.strip_prefix(&file).expect("only added to");
    assert!(added.starts_with("cid,$") && added.ends_with('\n') && !added.contains('\r'));
    let again = Setup::new(&[]).folder(server.kill()).start();
    for name in ["ann", "bob", "cid"] {
        Visitor::logged_in(&again, name);
    }
}

/// A link that leads nowhere (a disk that is not mounted) is not an empty file: the start stops, names it, and touches
/// nothing.
#[test]
fn a_dangling_link_stops_the_start() {
    for name in ["users.csv", "addresses.csv", "lock", "."] {
        let folder = Rc::new(Folder::new());
        let link = if name == "." {
            folder.data()
        } else {
            folder.write("other", b"");
            folder.data().join(name)
        };
        let target = folder.path().join("not mounted/target");
        symlink(&target, &link).unwrap();
        let reason = Setup::new(&[]).folder(Rc::clone(&folder)).refused(1);
        for part in [link.to_str().unwrap(), target.to_str().unwrap(), "not there", "remove the link"] {
            assert!(reason.contains(part), "{name}: {reason}");
        }
        assert_eq!(fs::read_link(&link).unwrap(), target);
        if name != "." {
            assert!(!folder.data().join("tls-key.pem").exists());
            assert!(name == "users.csv" || !folder.data().join("users.csv").exists());
        }
    }
}

#[cfg(feature = "tls")]
#[test]
fn a_dangling_link_is_no_missing_certificate() {
    for name in ["tls-cert.pem", "tls-key.pem"] {
        let folder = Rc::new(Folder::new());
        folder.write("other", b"");
        let link = folder.data().join(name);
        symlink("/nowhere/at/all", &link).unwrap();
        let reason = Setup::new(&["--tls"]).folder(Rc::clone(&folder)).refused(1);
        assert!(reason.contains(link.to_str().unwrap()) && reason.contains("not there"), "{reason}");
        assert!(link.is_symlink());
    }
}

/// What is no file must not hold the start up, or be taken for one.
#[test]
fn what_is_no_file_stops_the_start() {
    for (deed, kind) in [("mkdir", "directory"), ("mkfifo", "pipe"), ("ln -s /dev/null", "device")] {
        for name in ["users.csv", "addresses.csv", "lock"] {
            let folder = Rc::new(Folder::new());
            folder.write("other", b"");
            shell(&folder, &format!("{deed} {name}"));
            let reason = Setup::new(&[]).folder(folder).refused(1);
            assert!(reason.contains(name) && reason.contains(kind), "{reason}");
        }
    }
}

/// Alternating names at one address, until the file is compacted.
fn compact(server: &Server) {
    for _ in 0..20 {
        Visitor::logged_in(server, "ann");
        Visitor::logged_in(server, "bob");
    }
}

/// The data directory and the files in it may be links to elsewhere, and stay that.
#[test]
fn live_links_are_followed_and_stay() {
    let folder = Rc::new(Folder::new());
    let elsewhere = folder.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::create_dir(folder.path().join("real data")).unwrap();
    symlink("real data", folder.data()).unwrap();
    // What a crash could have left, and an enemy put there: it is not written through.
    let victim = elsewhere.join("victim");
    fs::write(&victim, "untouched").unwrap();
    symlink(&victim, folder.data().join("addresses.csv.new")).unwrap();
    for (name, content) in [("users.csv", HEADER), ("addresses.csv", ADDRESSES)] {
        fs::write(elsewhere.join(name), content).unwrap();
        fs::set_permissions(elsewhere.join(name), fs::Permissions::from_mode(0o600)).unwrap();
        symlink(elsewhere.join(name), folder.data().join(name)).unwrap();
    }
    let server = Setup::new(&[]).folder(folder).start();
    compact(&server);
    let folder = server.terminate();
    let lines = |name: &str| fs::read_to_string(elsewhere.join(name)).unwrap().lines().count();
    assert_eq!(lines("users.csv"), 3);
    assert!((2..20).contains(&lines("addresses.csv")), "{}", folder.read("addresses.csv"));
    assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
    for name in ["", "users.csv", "addresses.csv"] {
        assert!(fs::symlink_metadata(folder.data().join(name).components().as_path()).unwrap().is_symlink());
    }
    let again = Setup::new(&[]).folder(folder).start();
    assert_eq!(Visitor::connect(&again).expect_hello(), "bob");
}

/// A file that is mounted by itself, until this value goes.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// Containers mount single files: no other can take their place, so they are written where they are.
#[test]
fn files_that_are_mounted_by_themselves_are_written_where_they_are() {
    let folder = Rc::new(Folder::new());
    let mut mounts = Vec::new();
    for (name, content) in [("users.csv", HEADER), ("addresses.csv", ADDRESSES)] {
        folder.write(name, b"");
        let (outside, inside) = (folder.path().join(name), folder.data().join(name));
        fs::write(&outside, content).unwrap();
        fs::set_permissions(&outside, fs::Permissions::from_mode(0o600)).unwrap();
        let status = Command::new("mount").arg("--bind").args([&outside, &inside]).status();
        if !status.is_ok_and(|status| status.success()) {
            // Past what the test runner keeps to itself.
            let _ = writeln!(std::io::stderr(), "SKIPPED, for want of the right to mount --bind: {inside:?}");
            return;
        }
        mounts.push(Mounted(inside));
    }
    let server = Setup::new(&[]).folder(folder).start();
    compact(&server);
    let folder = server.terminate();
    let lines = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap().lines().count();
    assert_eq!(lines("users.csv"), 3);
    assert!((2..20).contains(&lines("addresses.csv")), "{}", folder.read("addresses.csv"));
    assert!(!folder.log_text().contains("WARN store"), "{}", folder.log_text());
    drop(mounts);
}

/// Whoever can read `users.csv` can try passwords as fast as they like.
#[test]
fn files_open_to_everybody_are_warned_of() {
    let folder = Rc::new(Folder::new());
    folder.write("users.csv", [HEADER, &user("ann", PASSWORD)].concat().as_bytes());
    shell(&folder, "chmod 644 users.csv");
    let mut server = Setup::new(&[]).folder(folder).start();
    server.stderr.wait_for_line(|line| line.contains("warning:") && line.contains("chmod 600"));
    server.folder.log_line(&["WARN", "users.csv", "chmod 600"]);
}

/// The one who is kept out is told by whom; and a lock whose file was removed still keeps others out once somebody has
/// registered.
#[test]
fn the_lock_is_kept_and_tells_whose_it_is() {
    let server = Server::start(&[]);
    let kept_out = || {
        let reason = Setup::new(&[]).folder(Rc::clone(&server.folder)).refused(1);
        let holder = format!("process {}, porter-server", server.pid().as_raw_nonzero());
        assert!(reason.contains(&holder), "{reason}");
    };
    kept_out();
    shell(&server.folder, "rm lock");
    registered(&server, "ann");
    server.folder.log_line(&["ERROR", "lock", "removed or replaced"]);
    kept_out();
    shell(&server.folder, "rm lock");
    server.signal(Signal::HUP);
    server.folder.log_lines(&["ERROR", "lock", "removed or replaced"], 2);
    kept_out();
}
