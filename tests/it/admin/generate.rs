//! Files for packagers, each read by the program that it is for.

use super::{Command, Output, Stdio, run_with, text};
use crate::support::{PASSWORD, Said, Setup, Visitor, left_out};
use porter::protocol::Wanted;
use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const PROGRAMS: [Option<&str>; 4] = [
    Some(env!("CARGO_BIN_EXE_porter-server")),
    option_env!("CARGO_BIN_EXE_porter-client"),
    option_env!("CARGO_BIN_EXE_porter-load"),
    Some(env!("CARGO_BIN_EXE_porter-admin")),
];

fn programs() -> impl Iterator<Item = &'static str> {
    PROGRAMS.into_iter().flatten().filter_map(|path| Path::new(path).file_name()?.to_str())
}

fn generate(kind: &str, directory: &Path) -> Output {
    // No data directory is looked for.
    run_with(Path::new("/nowhere"), &["generate", kind, directory.to_str().unwrap()], "")
}

fn generated(kind: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    let output = generate(kind, folder.path());
    let count = files(folder.path()).len();
    assert_eq!(text(&output.stderr), "");
    assert_eq!(text(&output.stdout), format!("wrote {count} files to {}\n", folder.path().display()));
    folder
}

/// All files of a folder and its folders, hidden ones too.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// What another program says about it, on both streams; `None`, and a loud word, where that is not installed.
fn asked(program: &str, package: &str, words: &[&str]) -> Option<(bool, String)> {
    let output = Command::new(program).args(words).stdin(Stdio::null()).output();
    match output {
        Ok(output) => Some((output.status.success(), text(&output.stdout) + &text(&output.stderr))),
        Err(error) => {
            left_out(&format!("what {program} says of generated files"), package, &error);
            None
        }
    }
}

#[test]
fn manual_pages_are_there_for_each_command_and_groff_has_no_complaint() {
    let folder = generated("man");
    let pages = files(folder.path());
    for program in programs() {
        assert!(folder.path().join(format!("{program}.1")).exists(), "{program}");
    }
    let is_there = |name: &str| folder.path().join(name).exists();
    assert!(is_there("porter-admin-users-add.1") && is_there("porter-admin-generate.1"));
    let paths: Vec<&str> = pages.iter().map(|page| page.to_str().unwrap()).collect();
    if let Some((is_well, said)) =
        asked("groff", "groff-base", &[&["-man", "-ww", "-z", "-Kutf8", "-Tutf8"][..], &paths].concat())
    {
        assert!(is_well && said.is_empty(), "{said}");
    }
    let page = folder.path().join("porter-server.1");
    if let Some((is_well, said)) = asked("man", "man-db", &["-l", page.to_str().unwrap()]) {
        assert!(is_well && said.contains("--hash-rounds") && said.contains("WHERE IT LISTENS"), "{said}");
    }
}

/// Each shell reads its script and offers what is then there to be chosen.
#[test]
fn completions_complete_in_their_shells() {
    let folder = generated("completions");
    let place = |name: String| folder.path().join(name).display().to_string();
    for program in programs() {
        let bash = place(format!("{program}.bash"));
        let function = format!("_{}", program.replace('-', "__"));
        let script = format!(
            ". {bash} && complete -p {program} >/dev/null && COMP_WORDS=({program} --) COMP_CWORD=1 \
             && {function} {program} -- {program} && printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        let zsh = place(format!("_{program}"));
        let zsh_script = format!(
            "autoload -U compinit; compinit -D -u; . {zsh}; print $_comps[{program}] --help; whence -f _{program}"
        );
        let fish_script = format!("source {}; complete -C '{program} --'", place(format!("{program}.fish")));
        for (shell, words) in [
            ("bash", ["--norc", "-c", &script]),
            ("zsh", ["-f", "-c", &zsh_script]),
            ("fish", ["--no-config", "-c", &fish_script]),
        ] {
            if let Some((is_well, said)) = asked(shell, shell, &words) {
                assert!(is_well && said.contains("--help"), "{shell} {program}: {said}");
                let own = if program == "porter-admin" { "--json" } else { "--plaintext" };
                assert!(said.contains(own), "{shell} {program}: {said}");
            }
        }
    }
}

#[test]
fn systemd_takes_the_units() {
    let folder = generated("systemd");
    let [unit, socket] = ["porter.service", "porter.socket"].map(|name| folder.path().join(name));
    let written = fs::read_to_string(&unit).unwrap();
    // Which need not be installed.
    fs::write(&unit, written.replace("/usr/bin/porter-server", env!("CARGO_BIN_EXE_porter-server"))).unwrap();
    let words = ["verify", "--man=no", unit.to_str().unwrap(), socket.to_str().unwrap()];
    if let Some((is_well, said)) = asked("systemd-analyze", "systemd", &words) {
        // Before its version 253, which takes the type of the line before.
        let is_new = |line: &&str| !line.ends_with("Failed to parse service type, ignoring: notify-reload");
        assert!(is_well && said.lines().filter(is_new).count() == 0, "{said:?}");
    }
    for (unit, assignments) in [
        (&written, &["Type=notify-reload", "DynamicUser=yes", "StateDirectory=porter", "WatchdogSec=60"][..]),
        (&fs::read_to_string(socket).unwrap(), &["FileDescriptorName=porter", "ListenStream=127.0.0.1:9090"]),
    ] {
        for assignment in assignments {
            assert!(unit.lines().any(|line| line == *assignment), "{assignment}");
        }
    }
    let started =
        written.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/bin/porter-server ")).unwrap();
    for flag in started.split(' ').filter(|word| word.starts_with("--")) {
        assert!(
            text(&Command::new(env!("CARGO_BIN_EXE_porter-server")).arg("--help").output().unwrap().stdout)
                .contains(flag),
            "{flag}"
        );
    }
}

/// What the package's configuration says is the default is.
#[test]
fn the_configuration_of_the_package_is_taken_and_has_the_defaults() {
    let given = include_str!("../../../src/bin/porter-server/porter.toml");
    let is_key = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    let setting = |line: &str| {
        let line = line.strip_prefix("# ")?;
        is_key(line.split_once(" = ")?.0).then(|| line.to_owned())
    };
    let defaults: Vec<String> = given.lines().filter_map(setting).collect();
    assert!(defaults.len() > 10, "{defaults:?}");
    let folder = TempDir::new().unwrap();
    let checked = |text: &str| {
        let path = folder.path().join("porter.toml");
        fs::write(&path, text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_porter-server"))
            .args(["--check-config", "--config"])
            .arg(path)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", self::text(&output.stderr));
        self::text(&output.stdout)
    };
    let shown = checked(given);
    assert!(shown.contains("strict-port = true"));
    checked(&defaults.join("\n"));
    for default in &defaults {
        assert!(shown.contains(&format!("{default}  # default\n")), "{default} in {shown}");
    }
}

/// The filter finds who guesses in the log of a real server, and nobody whom a guesser would have it find.
#[test]
fn fail2ban_finds_who_guesses_and_nobody_else() {
    let mut server =
        Setup::new(&["--listen", "127.0.0.1:0", "--listen", "[::1]:0", "--penalty", "0"]).start();
    let second = server.stdout.wait_for_line(|line| line.contains("[::1]"));
    let sixth: SocketAddr = second.trim_start_matches("listening on ").parse().unwrap();
    drop(Visitor::logged_in(&server, "ann"));
    let guess = |mut visitor: Visitor| {
        visitor.expect_hello();
        visitor.identify("ann");
        visitor.expect(Said::Wanted(Wanted::Login));
        visitor.login("a wrong password");
        visitor.expect_error(4);
    };
    guess(Visitor::connect_from("127.0.0.2", &server));
    guess(Visitor::of(TcpStream::connect(sixth).unwrap()));
    let forged = "WARN wrong password conn=1 peer=192.0.2.66:1 name=x";
    for name in [
        "x peer=192.0.2.66:1 name=x".to_owned(),
        format!("x\n2026-11-28T12:00:00.000000Z {forged}"),
        forged.to_owned(),
    ] {
        let mut visitor = Visitor::arrive(&server);
        visitor.identify(&name);
        visitor.next();
        visitor.login(PASSWORD);
        visitor.next();
    }
    server.folder.log_lines(&["wrong password"], 2);
    let folder = server.terminate();
    let mut log = folder.log_text();
    // And what no server writes.
    log += &format!(
        "2026-11-28T12:00:00.000000Z INFO refused conn=1 peer=192.0.2.67:1 why=Malformed ({forged})\n"
    );
    log += "2026-11-28T12:00:00.000000Z WARN wrong password conn=1 peer=192.0.2.68:1 name=x peer=192.0.2.66:1 name=y\n";
    fs::write(folder.log(), log).unwrap();
    let filters = generated("fail2ban");
    let filter = filters.path().join("filter.d/porter.conf");
    let words = ["-o", "<ip>", folder.log().to_str().unwrap(), filter.to_str().unwrap()].map(str::to_owned);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let Some((is_well, said)) = asked("fail2ban-regex", "fail2ban", &words) {
        assert!(is_well);
        assert_eq!(said.lines().collect::<Vec<_>>(), ["127.0.0.2", "::1"]);
    }
}

/// The same in every other place where the log may be found, and in its other form.
#[test]
fn fail2ban_finds_who_guesses_in_json_and_in_the_journal() {
    let mut found = String::new();
    for (number, (format, is_journal)) in
        [("text", false), ("text", true), ("json", false), ("json", true)].into_iter().enumerate()
    {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let stat = rustix::fs::fstat(&writer).unwrap();
        let stream = if is_journal { format!("{}:{}", stat.st_dev, stat.st_ino) } else { String::new() };
        let server = Setup::new(&["--log-file", "-", "--log-format", format])
            .environment("JOURNAL_STREAM", &stream)
            .stderr(writer)
            .start();
        drop(Visitor::logged_in(&server, "ann"));
        let mut guesser = Visitor::connect_from(&format!("127.0.0.{}", 2 + number), &server).greeted();
        guesser.identify("ann");
        guesser.expect(Said::Wanted(Wanted::Login));
        guesser.login("wrong\",\"peer\":\"192.0.2.66:1");
        guesser.expect_error(4);
        let mut forger = Visitor::arrive(&server);
        forger.identify("x\"}\n{\"message\":\"wrong password\",\"conn\":7,\"peer\":\"192.0.2.66:1\"");
        forger.next();
        drop((guesser, forger));
        server.terminate();
        let mut log = String::new();
        reader.read_to_string(&mut log).unwrap();
        for line in log.lines() {
            // The journal takes the prefix away, and has its own stamp.
            found += &match line.strip_prefix('<').and_then(|line| line.split_once('>')) {
                Some((_, rest)) => format!("2026-11-28T12:00:00.000000Z host porter-server[7]: {rest}\n"),
                None => format!("{line}\n"),
            };
        }
    }
    // And what no server writes.
    let forged = "\"level\":\"WARN\",\"message\":\"wrong password\",\"conn\":1,\"peer\":\"192.0.2.66:1\",\"name\":\"x\"}";
    for said in [forged.to_owned(), forged.replace('"', "\\\"")] {
        found += &format!(
            "{{\"time\":\"2026-11-28T12:00:00.000000Z\",\"level\":\"WARN\",\"message\":\"refused\",\"note\":\"{said}\"}}\n"
        );
    }
    let (folder, filters) = (TempDir::new().unwrap(), generated("fail2ban"));
    let (log, filter) = (folder.path().join("log"), filters.path().join("filter.d/porter.conf"));
    fs::write(&log, &found).unwrap();
    let words = ["-o", "<ip>", log.to_str().unwrap(), filter.to_str().unwrap()];
    if let Some((_, said)) = asked("fail2ban-regex", "fail2ban", &words) {
        let addresses: Vec<_> = said.lines().collect();
        assert_eq!(addresses, ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"], "{found}");
    }
}

/// What was there is replaced, and not written through.
#[test]
fn old_files_are_replaced_and_links_are_not_followed() {
    let folder = TempDir::new().unwrap();
    let (directory, other) = (folder.path().join("deep/er"), folder.path().join("other"));
    fs::create_dir_all(directory.join("filter.d")).unwrap();
    fs::create_dir_all(directory.join("jail.d")).unwrap();
    fs::write(&other, "mine").unwrap();
    symlink(&other, directory.join("filter.d/porter.conf")).unwrap();
    fs::write(directory.join("jail.d/porter.conf"), "old ".repeat(10_000)).unwrap();
    let output = generate("fail2ban", &directory);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(fs::read_to_string(&other).unwrap(), "mine");
    let whole = generated("fail2ban");
    for name in ["filter.d/porter.conf", "jail.d/porter.conf"] {
        let bytes = fs::read(directory.join(name)).unwrap();
        assert_eq!(bytes, fs::read(whole.path().join(name)).unwrap());
        assert!(fs::symlink_metadata(directory.join(name)).unwrap().is_file());
    }
    assert_eq!(files(&directory).len(), 2);
}

/// One line that names what is in the way; and what was there is there as it was, with nothing beside it.
#[test]
fn what_cannot_be_written_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "mine").unwrap();
    let dangling = folder.path().join("dangling");
    symlink("/nowhere/at/all", &dangling).unwrap();
    for bad in
        [&file, &file.join("deeper"), &dangling, Path::new("/proc/porter"), Path::new("")].map(PathBuf::from)
    {
        let said = refused_to("man", &bad);
        assert!(said.contains("DIR"), "{said}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");

    let taken = folder.path().join("taken");
    let filter = taken.join("filter.d/porter.conf");
    fs::create_dir_all(taken.join("jail.d/porter.conf")).unwrap();
    fs::create_dir_all(taken.join("filter.d")).unwrap();
    fs::write(&filter, "mine").unwrap();
    let said = refused_to("fail2ban", &taken);
    assert!(said.contains("porter.conf is a directory"), "{said}");
    assert_eq!(files(&taken), std::slice::from_ref(&filter));
    assert_eq!(fs::read_to_string(filter).unwrap(), "mine");

    let closed = folder.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).unwrap();
    // Root may.
    if !rustix::process::getuid().is_root() {
        let said = refused_to("systemd", &closed);
        assert!(said.contains("cannot write") && said.contains("porter.service"), "{said}");
    }
}

fn refused_to(kind: &str, directory: &Path) -> String {
    let output = generate(kind, directory);
    let said = text(&output.stderr);
    assert!(matches!(output.status.code(), Some(1 | 2)), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

#[test]
fn what_there_is_to_generate_is_named() {
    let output = generate("nonsense", Path::new("/nowhere/at/all"));
    let said = text(&output.stderr);
    assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    for kind in ["man", "completions", "systemd", "fail2ban"] {
        assert!(said.contains(kind), "{said}");
    }
    let folder = TempDir::new().unwrap();
    for redirection in [">&-", ">/dev/full", "| true"] {
        let script = format!("\"$0\" generate systemd \"$1\" {redirection}");
        let program = env!("CARGO_BIN_EXE_porter-admin");
        let output = Command::new("sh").args(["-c", &script, program]).arg(folder.path()).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(said.lines().count(), usize::from(redirection.contains("full")), "{redirection} {said}");
        assert_eq!(files(folder.path()).len(), 2, "{redirection}");
    }
}
