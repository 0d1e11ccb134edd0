//! `porter-admin` and a shared store: users are moved there and back, and worked on without any server.

use super::sessions::admin as by_server;
use super::{log_in, register, server};
use crate::support::{Folder, PASSWORD, Redis, Said, Setup, Visitor, eventually, is_asleep, stop};
use porter::protocol::{Code, Wanted};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::rc::Rc;

const HASH: &str = "$pbkdf2-md5$i=1000$AAECAwQFBgcICQoLDA0ODw$EBESExQVFhcYGRobHB0eHw";
const OTHER_HASH: &str = "$pbkdf2-md5$i=1000$AAECAwQFBgcICQoLDA0ODw$EBESExQVFhcYGRobHB0eHg";
const HEADER: &str = "name,password,registered\n";
/// The same to look at, with Cyrillic letters in it.
const ALIKE: [&str; 3] = ["paypal", "p\u{430}ypal", "paypa\u{4cf}"];

fn line(name: &str) -> String {
    format!("{name},{HASH},2026-01-31T08:00:00Z\n")
}

/// A data directory with these users.
fn directory(lines: &str) -> Folder {
    let folder = Folder::new();
    folder.make_data();
    let file = folder.data().join("users.csv");
    fs::write(&file, format!("{HEADER}{lines}")).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    folder
}

fn run(redis: &Redis, flags: &[&str], stdin: &str) -> Output {
    begin(redis, flags, stdin).wait_with_output().unwrap()
}

fn begin(redis: &Redis, flags: &[&str], stdin: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_porter-admin"));
    command.args(["--store", &redis.url()]).args(flags);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may have refused without reading.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What it shows when all is well.
fn done(redis: &Redis, flags: &[&str]) -> String {
    done_with(redis, flags, "")
}

fn done_with(redis: &Redis, flags: &[&str], stdin: &str) -> String {
    let output = run(redis, flags, stdin);
    assert!(output.status.success(), "{flags:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// What it shows, and its lines about what is wrong.
fn failed(redis: &Redis, flags: &[&str], stdin: &str) -> (String, Vec<String>) {
    let output = run(redis, flags, stdin);
    assert_eq!(output.status.code(), Some(1), "{flags:?}: {}", text(&output.stderr));
    (text(&output.stdout), text(&output.stderr).lines().map(str::to_owned).collect())
}

fn moved(redis: &Redis, data: &Path, how: &str) -> String {
    done(redis, &["--data", &data.display().to_string(), "store", how])
}

/// The one line on which it says why not.
fn refused(redis: &Redis, flags: &[&str], stdin: &str) -> String {
    let (_, lines) = failed(redis, flags, stdin);
    assert_eq!(lines.len(), 1, "{flags:?}: {lines:?}");
    lines.concat()
}

/// Whoever looks like somebody does not get in, whoever of those who look so is removed first.
#[test]
fn a_look_is_kept_as_long_as_anybody_has_it() {
    let Some(redis) = Redis::start() else { return };
    let one = server(&redis, &["--penalty", "0", "--max-attempts", "9"]);
    let old = directory(&[line(ALIKE[0]), line(ALIKE[1])].concat());
    let refuses = |name: &str| {
        let mut visitor = Visitor::arrive(&one);
        visitor.identify(name);
        visitor.expect_error(Code::BadName.number());
    };
    for first in [0, 1] {
        moved(&redis, &old.data(), "import");
        done(&redis, &["users", "remove", ALIKE[first]]);
        refuses(ALIKE[2]);
        refuses(ALIKE[first]);
        done(&redis, &["users", "remove", ALIKE[1 - first]]);
        assert_eq!(redis.command(&["EXISTS", "porter:look:paypal", "porter:alike:paypal"]), ":0");
    }
    // Those whom an older porter has imported are seen to by the next import, whomever that imports.
    moved(&redis, &old.data(), "import");
    redis.command(&["DEL", "porter:alike:paypal"]);
    moved(&redis, &directory(&line("ann")).data(), "import");
    assert_eq!(by_server(&one, &["users", "remove", ALIKE[0]]), "paypal is removed\n");
    refuses(ALIKE[2]);
    done(&redis, &["users", "remove", ALIKE[1]]);
    register(&one, ALIKE[2]);
}

/// What is stopped and goes on while it waits for the store, as by Ctrl-Z and `fg`, waits on: no connection is given up.
#[test]
fn it_may_be_stopped_and_go_on_while_the_store_is_slow() {
    let Some(redis) = Redis::start() else { return };
    redis.stop();
    let admin = begin(&redis, &["users", "list"], "");
    let pid = Pid::from_child(&admin);
    for _ in 0..20 {
        stop(pid);
        kill_process(pid, Signal::CONT).unwrap();
        // It waits for the store again: how it waits is what this is about.
        eventually("a system call that waits", || is_asleep(pid).then_some(()));
    }
    redis.signal(Signal::CONT);
    let output = admin.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// Whatever time a user of the files may have, the store has too, and gives back.
#[test]
fn users_go_to_the_store_and_back_whenever_they_registered() {
    let Some(redis) = Redis::start() else { return };
    let times = ["1970-01-01T00:00:00Z", "2106-02-07T06:28:16Z", "9999-12-31T23:59:59Z"];
    let lines: String = times.iter().map(|time| format!("user{},{HASH},{time}\n", &time[..4])).collect();
    let (here, there) = (directory(&lines), Folder::new());
    moved(&redis, &here.data(), "import");
    assert!(times.iter().all(|time| done(&redis, &["users", "list"]).contains(time)));
    // The directory is made.
    moved(&redis, &there.data(), "export");
    assert_eq!(fs::read_to_string(there.data().join("users.csv")).unwrap(), format!("{HEADER}{lines}"));
    moved(&redis, &there.data(), "import");
    let one = server(&redis, &[]);
    Visitor::introduced(&one, "user9999", Wanted::Login);
}

/// What others have put where users are stands in nobody's way; it is named, and the exit code tells.
#[test]
fn a_bad_record_stops_nobody_else() {
    let Some(redis) = Redis::start() else { return };
    moved(&redis, &directory(&line("ann")).data(), "import");
    redis.command(&["SET", "porter:user:bob", "garbage"]);
    redis.command(&["SET", "porter:user:bad name\n", "x"]);
    redis.command(&["SET", "porter:user:carl", &format!("{HASH} 253402300800 active")]);
    redis.command(&["LPUSH", "porter:user:list", "x"]);
    let (here, out) = (directory(&line("dora")), Folder::new());
    let data = |folder: &Folder| folder.data().display().to_string();
    for flags in [
        &["users", "list"][..],
        &["users", "export"],
        &["--data", &data(&out), "store", "export"],
        &["--data", &data(&here), "store", "import"],
        &["users", "import", "-"],
    ] {
        let (shown, lines) = failed(&redis, flags, &format!("{HEADER}{}", line("eve")));
        assert!(!shown.is_empty() && lines.len() == 5, "{flags:?}: {shown} {lines:?}");
        let parts = [
            ("\"porter:user:bad name\\n\"", "no name"),
            ("\"porter:user:bob\"", "three words"),
            ("\"porter:user:carl\"", "9999"),
            ("\"porter:user:list\"", "a list"),
        ];
        for (line, (key, reason)) in lines.iter().zip(parts) {
            assert!(line.contains(key) && line.contains(reason) && !line.contains("garbage"), "{line}");
        }
        assert!(lines[4].contains("4 of the keys"), "{lines:?}");
    }
    let (listed, _) = failed(&redis, &["users", "list"], "");
    assert!(["ann", "dora", "eve"].iter().all(|name| listed.contains(name)), "{listed}");
    assert!(fs::read_to_string(out.data().join("users.csv")).unwrap().contains(&line("ann")));
    // Nobody is put in its place.
    let bob = directory(&line("bob"));
    let (_, lines) = failed(&redis, &["--data", &data(&bob), "store", "import"], "");
    assert!(lines[4].contains("has another bob: nobody is imported"), "{lines:?}");
    assert_eq!(redis.bulk(&["GET", "porter:user:bob"]), "garbage");
    // Who asks for one is told what is wrong with it, and nothing else.
    let said = refused(&redis, &["users", "verify", "bob", "--password-file", "-"], PASSWORD);
    assert!(said.contains("the record of bob"), "{said}");
    let one = server(&redis, &[]);
    let by_server = run_on(&one.folder.data(), &["users", "verify", "bob", "--password-file", "-"]);
    assert!(by_server.contains("the record of bob") && by_server.lines().count() == 1, "{by_server}");
}

/// Why `porter-admin --data` does not do this.
fn run_on(data: &Path, words: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_porter-admin"));
    let output = command.arg("--data").arg(data).args(words).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{words:?}: {}", text(&output.stderr));
    text(&output.stderr)
}

/// Who is not there is not there, wherever users are kept.
#[test]
fn nobody_is_nobody_in_a_store_too() {
    let Some(redis) = Redis::start() else { return };
    let files = directory("");
    let one = server(&redis, &[]);
    let password = files.path().join("password");
    fs::write(&password, PASSWORD).unwrap();
    let password = password.display().to_string();
    for words in [
        &["users", "remove", "nobody"][..],
        &["users", "disable", "nobody"],
        &["users", "enable", "nobody"],
        &["users", "passwd", "nobody", "--hash-rounds", "100", "--password-file", &password],
        &["users", "verify", "nobody", "--password-file", &password],
    ] {
        let expected = "porter-admin: there is no user nobody\n";
        assert_eq!(run_on(&files.data(), words), expected);
        assert_eq!(refused(&redis, words, "") + "\n", expected);
        assert_eq!(run_on(&one.folder.data(), words), expected);
    }
}

/// A name that is misspelt is told, and nothing is made there.
#[test]
fn what_is_not_there_is_not_imported() {
    let Some(redis) = Redis::start() else { return };
    let folder = Folder::new();
    let nowhere = folder.path().join("nowhere");
    let import =
        |data: &Path| refused(&redis, &["--data", &data.display().to_string(), "store", "import"], "");
    assert!(import(&nowhere).contains("No such file"), "{}", import(&nowhere));
    assert!(!nowhere.exists());
    // Nor is anything made in a directory that is no server's.
    fs::create_dir(&nowhere).unwrap();
    assert!(import(&nowhere).contains("users.csv"));
    assert_eq!(fs::read_dir(&nowhere).unwrap().count(), 0);
}

/// What the files take the store takes, by the same rules, and without a server.
#[test]
fn users_are_imported_into_a_store_from_a_file() {
    let Some(redis) = Redis::start() else { return };
    let csv = format!("\u{feff}{HEADER}\"ann\",{HASH},2026-01-31T08:00:00Z\r\nbob,!{HASH},\n");
    assert_eq!(done_with(&redis, &["users", "import", "-"], &csv), "imported 2 users\n");
    let exported = done(&redis, &["users", "export"]);
    assert!(exported.contains(&line("ann")) && exported.contains(&format!("bob,!{HASH},2")), "{exported}");
    // One that was cut short is done again: who is there just so is no reason against it.
    let again = format!("{exported}{}", line("carl"));
    assert_eq!(done_with(&redis, &["users", "import", "-"], &again), "imported 3 users\n");
    let clear = format!("{HEADER}dora,\"pass,word \"\"x\"\"\",2020-01-31T08:00:00Z\n");
    let words = ["users", "import", "--clear", "--hash-rounds", "1000", "-"];
    assert_eq!(done_with(&redis, &words, &clear), "imported 1 user\n");
    log_in(&server(&redis, &[]), "dora", "pass,word \"x\"").expect_welcome();
    let before = done(&redis, &["users", "list"]);
    for (bad, part) in [
        ("ann,=,2026-01-31T08:00:00Z\n".to_owned(), "line 3: "),
        (line("a b"), "line 3: "),
        (line("zoe"), "line 3: zoe is in line 2"),
        (format!("ann,{OTHER_HASH},2026-01-31T08:00:00Z\n"), "line 3: there is a user ann already"),
        (line("ANN"), "line 3: ANN: the name looks like one that is taken"),
        (line("ZOE"), "line 3: ZOE: the name looks like another one that is imported"),
    ] {
        let csv = format!("{HEADER}{}{bad}", line("zoe"));
        let said = refused(&redis, &["users", "import", "-"], &csv);
        assert!(said.contains(part) && said.ends_with("nobody is imported"), "{bad}: {said}");
    }
    let said = refused(&redis, &words, &clear);
    assert!(said.contains("line 2: there is a user dora already"), "{said}");
    assert_eq!(done(&redis, &["users", "list"]), before);
    // A server names the way.
    let one = server(&redis, &[]);
    let file = one.folder.path().join("users to import.csv");
    fs::write(&file, format!("{HEADER}{}", line("zoe"))).unwrap();
    let file = file.display().to_string();
    for words in [&["users", "list"][..], &["users", "export"], &["users", "import", &file]] {
        let said = run_on(&one.folder.data(), words);
        let way = format!("porter-admin --store {} {}\n", redis.url(), words.join(" "));
        assert!(said.ends_with(&way), "{said}");
    }
}

/// A store that has users from before says so: they are porter's again.
#[test]
fn what_is_left_in_a_store_is_told_at_its_init() {
    let Some(redis) = Redis::bare("always") else { return };
    assert!(done(&redis, &["store", "init"]).ends_with("servers may use it\n"));
    moved(&redis, &directory(&[line("ann"), line("bob")].concat()).data(), "import");
    redis.command(&["DEL", "porter:birth"]);
    let said = done(&redis, &["store", "init"]);
    assert!(said.contains("keys of 2 users from before") && said.contains("users list"), "{said}");
    assert!(done(&redis, &["users", "list"]).contains("ann"));
}

/// A password may have any character, and is shown to nobody.
#[test]
fn a_stores_password_is_taken_as_it_is_and_not_shown() {
    let Some(redis) = Redis::start() else { return };
    let secret = "p/w@ 100%";
    redis.command(&["CONFIG", "SET", "requirepass", secret]);
    let place = redis.url().replace("redis://", "");
    for url in ["p/w@ 100%25", "p%2Fw%40%20100%25"].map(|password| format!("redis://:{password}@{place}")) {
        let mut admin = Command::new(env!("CARGO_BIN_EXE_porter-admin"));
        let listed = admin.args(["--store", &url, "users", "list"]).output().unwrap();
        assert!(listed.status.success(), "{}", text(&listed.stderr));
        let write = || {
            let folder = Rc::new(Folder::new());
            let settings = folder.path().join("porter.toml");
            fs::write(&settings, format!("store = \"{url}\"\n")).unwrap();
            (folder, settings)
        };
        let (folder, _) = write();
        let mut check = Command::new(env!("CARGO_BIN_EXE_porter-server"));
        check.args(["--config", "porter.toml", "--check-config"]).current_dir(folder.path());
        let shown = text(&check.output().unwrap().stdout);
        assert!(shown.contains(&format!("store = \"redis://:***@{place}\"")), "{shown}");
        assert!(!shown.contains("p/w") && !shown.contains("%2F"), "{shown}");
        for (mode, is_open) in [(0o644, true), (0o640, false)] {
            let (folder, settings) = write();
            fs::set_permissions(&settings, fs::Permissions::from_mode(mode)).unwrap();
            let one = Setup::new(&["--config", "porter.toml"]).folder(folder).start();
            let log = eventually("it has said that it listens", || {
                fs::read_to_string(one.folder.log()).ok().filter(|log| log.contains("listening"))
            });
            assert_eq!(log.contains("has the store's password and is open to every user"), is_open, "{log}");
            assert!(!log.contains("p/w") && !log.contains("%2F"), "{log}");
        }
    }
    let one = server_with(&redis, secret);
    let mut visitor = Visitor::arrive(&one);
    visitor.identify("ann");
    assert_eq!(visitor.next(), Said::Wanted(Wanted::Register));
}

fn server_with(redis: &Redis, secret: &str) -> crate::support::Server {
    let escaped = secret.replace('%', "%25");
    let url = redis.url().replace("redis://", &format!("redis://:{escaped}@"));
    crate::support::Server::start(&["--store", &url])
}
