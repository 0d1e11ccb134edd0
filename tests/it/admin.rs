//! `porter-admin`, the control socket, and what they do to those who are here: real programs, real files, kill -9.

mod control;
mod generate;
mod import;
mod prompts;

use crate::support::{Folder, PASSWORD, Said, Server, Setup, Visitor, eventually};
use porter::protocol::{Code, Wanted};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::rc::Rc;

const OTHER: &str = "another password";

fn command(data: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_porter-admin"));
    command.arg("--data").arg(data).args(words);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The files of a server that never ran: none yet.
fn offline() -> Folder {
    let folder = Folder::new();
    folder.make_data();
    folder
}

/// Runs it with this on its stdin.
fn run_with(data: &Path, words: &[&str], stdin: &str) -> Output {
    let mut child = command(data, words).stdin(Stdio::piped()).spawn().unwrap();
    // It may have refused without reading.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What it shows when all is well.
fn done(data: &Path, words: &[&str]) -> String {
    done_with(data, words, "")
}

fn done_with(data: &Path, words: &[&str], stdin: &str) -> String {
    let output = run_with(data, words, stdin);
    assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// The one line on which it says why not.
fn refused(data: &Path, words: &[&str], stdin: &str) -> String {
    let output = run_with(data, words, stdin);
    // On a busy machine it may say before that it waits.
    let said = text(&output.stderr).replace("porter-admin: waiting for the server to answer\n", "");
    assert_eq!(output.status.code(), Some(1), "{words:?}: {said}");
    assert_eq!(said.lines().count(), 1, "{words:?}: {said}");
    said
}

fn add(data: &Path, name: &str) -> String {
    done_with(data, &["users", "add", name, "--password-file", "-"], &format!("{PASSWORD}\n"))
}

fn states(data: &Path) -> Vec<(String, String)> {
    let listed = done(data, &["users", "list", "--json"]);
    let user = |line: &str| {
        let user: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| user[key].as_str().unwrap().to_owned();
        (text("name"), text("state"))
    };
    let mut states: Vec<_> = listed.lines().map(user).collect();
    states.sort();
    states
}

fn expect_wrong(server: &Server, name: &str, password: &str) {
    let mut visitor = Visitor::introduced(server, name, Wanted::Login);
    visitor.login(password);
    visitor.expect_error(Code::WrongPassword.number());
}

/// Whoever is here when the account changes goes, and comes back only as the account now is.
#[test]
fn a_change_is_in_force_at_once() {
    let server = Server::start(&["--penalty", "0"]);
    let data = server.folder.data();
    assert_eq!(add(&data, "ann"), "added ann\n");
    add(&data, "bob");
    let mut bob = Visitor::arrive(&server);
    bob.log_in("bob", PASSWORD);
    let log_in = |password: &str| {
        let mut ann = Visitor::introduced(&server, "ann", Wanted::Login);
        ann.login(password);
        let token = ann.expect_welcome();
        (ann, token)
    };
    // The cache remembers her password from now on.
    let (mut ann, token) = log_in(PASSWORD);
    let (lost, lost_token) = log_in(PASSWORD);
    lost.reset();
    eventually("the session is lost", || done(&data, &["who"]).contains("resumable").then_some(()));

    assert_eq!(done(&data, &["users", "disable", "ann"]), "ann is disabled; 2 sessions have ended\n");
    ann.expect_bye();
    server.expect_no_session(token);
    server.expect_no_session(lost_token);
    expect_wrong(&server, "ann", PASSWORD);
    assert_eq!(states(&data), [("ann".into(), "disabled".into()), ("bob".into(), "active".into())]);

    done(&data, &["users", "enable", "ann"]);
    let (mut ann, _) = log_in(PASSWORD);
    let passwd = ["users", "passwd", "ann", "--password-file", "-"];
    assert_eq!(done_with(&data, &passwd, OTHER), "ann has another password; 1 session has ended\n");
    ann.expect_bye();
    expect_wrong(&server, "ann", PASSWORD);
    let (mut ann, token) = log_in(OTHER);

    assert_eq!(done(&data, &["users", "remove", "ann"]), "ann is removed; 1 session has ended\n");
    ann.expect_bye();
    server.expect_no_session(token);
    // The name is free.
    let mut ann = Visitor::introduced(&server, "ann", Wanted::Register);
    ann.register(OTHER);
    ann.expect(Said::Wanted(Wanted::Login));
    bob.message("still here");
    bob.expect_echo("still here");
}

/// Acknowledged is durable: whatever was done is so after kill -9, and the old password never works again.
#[test]
fn what_is_acknowledged_outlives_kill_9() {
    let words = |words: &str| words.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let mut folder = Rc::new(Folder::new());
    let change = |folder: Rc<Folder>, request: &str, stdin: &str| {
        let server = Setup::new(&["--penalty", "0"]).folder(folder).start();
        let request = words(request);
        done_with(&server.folder.data(), &request.iter().map(String::as_str).collect::<Vec<_>>(), stdin);
        let folder = server.kill();
        let server = Setup::new(&["--penalty", "0"]).folder(folder).start();
        (server.folder.clone(), server)
    };
    let server;
    (folder, server) = change(folder, "users add ann --password-file -", PASSWORD);
    Visitor::arrive(&server).log_in("ann", PASSWORD);
    server.kill();
    let server;
    (folder, server) = change(folder, "users passwd ann --password-file -", OTHER);
    expect_wrong(&server, "ann", PASSWORD);
    Visitor::introduced(&server, "ann", Wanted::Login).login(OTHER);
    server.kill();
    let server;
    (folder, server) = change(folder, "users disable ann", "");
    expect_wrong(&server, "ann", OTHER);
    server.kill();
    let (_, server) = change(folder, "users remove ann", "");
    Visitor::introduced(&server, "ann", Wanted::Register);
}

fn add_at_once(data: &Path, names: &[String]) -> Vec<Child> {
    let add = |name: &String| {
        let words = ["users", "add", name, "--password-file", "-", "--hash-rounds", "100"];
        let mut child = command(data, &words).stdin(Stdio::piped()).spawn().unwrap();
        writeln!(child.stdin.take().unwrap(), "{PASSWORD}").unwrap();
        child
    };
    names.iter().map(add).collect()
}

fn expect_all_done(children: Vec<Child>) {
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
}

/// Twenty at once, beside registrations in the server; and twenty more where no server runs.
#[test]
fn everyone_who_is_added_at_once_is_there() {
    let names = |prefix: &str| (0..20).map(|n| format!("{prefix}{n}")).collect::<Vec<_>>();
    let server = Server::start(&[]);
    let data = server.folder.data();
    let register = |name: String| {
        let mut visitor = Visitor::introduced(&server, &name, Wanted::Register);
        visitor.register(PASSWORD);
        visitor
    };
    let registering: Vec<_> = names("registered").into_iter().map(register).collect();
    let children = add_at_once(&data, &names("live"));
    for mut visitor in registering {
        visitor.expect(Said::Wanted(Wanted::Login));
    }
    expect_all_done(children);
    let folder = server.kill();
    expect_all_done(add_at_once(&data, &names("offline")));
    let mut wanted = [names("live"), names("offline"), names("registered")].concat();
    wanted.sort();
    assert_eq!(states(&data).into_iter().map(|(name, _)| name).collect::<Vec<_>>(), wanted);
    let server = Setup::new(&[]).folder(folder).start();
    Visitor::arrive(&server).log_in("offline7", PASSWORD);
}

/// By the server or on its files: the same words, the same answers.
#[test]
fn without_a_server_the_same_is_answered() {
    let play = |data: &Path| {
        let mut said = vec![add(data, "ann"), add(data, "bob")];
        for words in [
            &["users", "disable", "ann"][..],
            &["users", "disable", "ann"],
            &["users", "remove", "bob"],
            &["users", "enable", "ann"],
        ] {
            said.push(done(data, words));
        }
        for words in
            [&["users", "remove", "bob"][..], &["users", "enable", "zoe"], &["users", "verify", "bob"]]
        {
            said.push(refused(data, words, ""));
        }
        said.push(refused(data, &["users", "add", "ANN", "--password-file", "-"], PASSWORD));
        said.push(refused(data, &["users", "add", "=x", "--password-file", "-"], PASSWORD));
        said.push(refused(data, &["users", "add", "max", "--password-file", "-"], "short"));
        let verify = ["users", "verify", "ann", "--password-file", "-"];
        said.push(done_with(data, &verify, PASSWORD));
        said.push(refused(data, &verify, OTHER));
        said
    };
    let server = Server::start(&[]);
    let folder = offline();
    assert_eq!(play(&server.folder.data()), play(&folder.data()));
}

/// Of a name it is said what is wrong with it, before anything is asked for, whatever is to be done with it.
#[test]
fn what_is_no_name_is_said_to_be_none() {
    let folder = offline();
    let server = Server::start(&[]);
    for data in [server.folder.data(), folder.data()] {
        for words in [
            &["users", "add"][..],
            &["users", "passwd"],
            &["users", "disable"],
            &["users", "enable"],
            &["users", "remove"],
            &["users", "verify"],
            &["kick"],
        ] {
            for (name, rule) in [
                ("bo b", "letters, digits"),
                ("", "empty"),
                (" ", "begins with"),
                ("ann ", "letters, digits"),
                ("server", "nobody's name"),
                ("a\u{2003}b", "letters, digits"),
            ] {
                let said = refused(&data, &[words, &[name]].concat(), "");
                let is_told = said.contains(" is no name: ") && said.contains(rule);
                assert!(is_told, "{words:?} {name:?}: {said}");
            }
        }
        assert_eq!(states(&data), []);
    }
}

/// What needs a server says so, and a directory that is not there is not made by a slip of the pen.
#[test]
fn where_no_server_runs_that_is_said() {
    let folder = Folder::new();
    let nowhere = folder.path().join("nowhere");
    let file = folder.path().join("users");
    std::fs::write(&file, "name,password,registered\n").unwrap();
    for words in [
        &["users", "list"][..],
        &["users", "add", "ann", "--password-file", "-"],
        &["users", "import", file.to_str().unwrap()],
        &["who"],
    ] {
        let said = refused(&nowhere, words, PASSWORD);
        assert!(said.contains("there is no directory") && said.contains("mkdir"), "{said}");
        assert!(said.contains(nowhere.to_str().unwrap()), "{said}");
        assert!(!nowhere.exists());
    }
    std::fs::create_dir(&nowhere).unwrap();
    for words in [&["who"][..], &["stop"], &["throttled"], &["say", "hello"], &["kick", "ann"]] {
        let said = refused(&nowhere, words, "");
        assert!(said.contains("no server runs on") && said.contains("porter-server --data"), "{said}");
    }
}

/// The console's own commands, from elsewhere.
#[test]
fn the_server_is_asked_and_stopped() {
    let mut server = Server::start(&["--mode", "chat", "--penalty", "100"]);
    let data = server.folder.data();
    let mut ann = Visitor::logged_in(&server, "ann");
    let who = done(&data, &["who"]);
    assert!(who.contains("ann") && who.contains("online: 1"), "{who}");
    done(&data, &["say", "hello", "there"]);
    ann.expect(Said::message("", "hello there"));
    expect_wrong(&server, "ann", OTHER);
    assert!(done(&data, &["throttled"]).contains("127.0.0.1"));
    assert!(done(&data, &["forgive", "127.0.0.1"]).starts_with("127.0.0.1 owed"));
    assert_eq!(done(&data, &["throttled"]), "");
    let stats = done(&data, &["--json", "stats"]);
    let stats: serde_json::Value = serde_json::from_str(&stats).unwrap();
    assert_eq!((&stats["sessions"]["attached"], &stats["users"]), (&1.into(), &1.into()), "{stats}");
    assert!(done(&data, &["reload"]).ends_with("reloaded\n"));
    server.folder.log_line(&["log reopened"]);
    server.type_line("/reload");
    server.stdout.wait_for_line(|line| line == "reloaded");
    server.type_line("/users");
    server.stdout.wait_for_line(|line| line.starts_with("ann  registered"));
    assert_eq!(done(&data, &["kick", "ann"]), "kicked ann\n");
    ann.expect_bye();
    assert_eq!(done(&data, &["stop"]), "stopping\n");
    assert_eq!(server.exit_code(), Some(0));
    assert!(!data.join("control").exists());
}
