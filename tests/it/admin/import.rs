//! Users from files: all or none.

use super::{add, done, done_with, offline, refused, states};
use crate::support::{PASSWORD, Server, Visitor};
use std::path::Path;

const HEADER: &str = "name,password,registered\n";

fn import(data: &Path, csv: &str) -> String {
    done_with(data, &["users", "import", "-"], csv)
}

fn import_clear(data: &Path, csv: &str) -> String {
    done_with(data, &["users", "import", "--clear", "--hash-rounds", "100", "-"], csv)
}

/// What one server exports another takes, and those are the users, disabled ones too.
#[test]
fn what_is_exported_can_be_imported() {
    let server = Server::start(&[]);
    let data = server.folder.data();
    add(&data, "ann");
    add(&data, "bob");
    done(&data, &["users", "disable", "bob"]);
    let exported = done(&data, &["users", "export"]);
    assert!(exported.starts_with(HEADER) && exported.lines().count() == 3, "{exported}");
    let other = offline();
    assert_eq!(import(&other.data(), &exported), "imported 2 users\n");
    assert_eq!(done(&other.data(), &["users", "export"]), exported);
    let third = Server::start(&[]);
    import(&third.folder.data(), &exported);
    Visitor::arrive(&third).log_in("ann", PASSWORD);
    super::expect_wrong(&third, "bob", PASSWORD);
}

#[test]
fn clear_passwords_are_hashed() {
    let server = Server::start(&[]);
    let data = server.folder.data();
    let crowd: String = (0..100).map(|n| format!("user{n},password number {n},\n")).collect();
    let csv = format!("{HEADER}ann,\"quoted, with a comma\",2020-01-31T08:00:00Z\n{crowd}");
    assert_eq!(import_clear(&data, &csv), "imported 101 users\n");
    Visitor::arrive(&server).log_in("ann", "quoted, with a comma");
    Visitor::arrive(&server).log_in("user99", "password number 99");
    assert!(done(&data, &["users", "list"]).contains("2020-01-31T08:00:00Z"));
}

/// One bad line, wherever it is, and nobody is imported; the line is named.
#[test]
fn one_bad_line_and_nobody_is_imported() {
    let server = Server::start(&[]);
    let offline = offline();
    let good = "$pbkdf2-md5$i=1$AAECAwQFBgcICQoLDA0ODw$EBESExQVFhcYGRobHB0eHw";
    let line = |name: &str, hash: &str, time: &str| format!("{name},{hash},{time}\n");
    let time = "2026-01-31T08:00:00Z";
    for data in [server.folder.data(), offline.data()] {
        add(&data, "ann");
        for (bad, part) in [
            (line("=x", good, time), "line 3: "),
            (line("eve", "secret", time), "line 3: "),
            (line("eve", good, "yesterday"), "line 3: "),
            ("eve,a,b,c\n".to_owned(), "line 3: "),
            ("eve\n".to_owned(), "line 3: "),
            (line("bob", good, time), "line 3: bob is in line 2"),
            (line("ann", good, time), "ann"),
            (line("ANN", good, time), "ANN"),
            ("\u{0}\n".to_owned(), "line 3: "),
        ] {
            let csv = format!("{HEADER}{}{bad}{}", line("bob", good, time), line("zoe", good, time));
            let said = refused(&data, &["users", "import", "-"], &csv);
            assert!(said.contains(part) && said.contains("nobody is imported"), "{bad:?}: {said}");
            assert!(!said.contains("secret"), "{said}");
        }
        for (csv, part) in [("", "nobody to import"), (HEADER, "nobody to import"), ("user,pass\n", "header")]
        {
            assert!(refused(&data, &["users", "import", "-"], csv).contains(part), "{csv:?}");
        }
        let clear = format!("{HEADER}bob,long enough,\nzoe,short,\n");
        let words = ["users", "import", "--clear", "--hash-rounds", "100", "-"];
        let said = refused(&data, &words, &clear);
        assert!(said.contains("line 3: ") && said.contains("8 characters"), "{said}");
        // Nor are passwords hashed first, which would take days here.
        let late = format!("{HEADER}bob,long enough,\nzoe,long enough,yesterday\n");
        let said = refused(&data, &["users", "import", "--clear", "--hash-rounds", "100000000", "-"], &late);
        assert!(said.contains("line 3: "), "{said}");
        let long = format!("{HEADER}{},long enough,\n", "x".repeat(1_000_000));
        assert!(refused(&data, &words, &long).len() < 400);
        assert_eq!(states(&data), [("ann".into(), "active".into())]);
    }
}

/// So many users, with hashes.
fn crowd(count: usize) -> String {
    const USER: &str = "$pbkdf2-md5$i=1$AAECAwQFBgcICQoLDA0ODw$EBESExQVFhcYGRobHB0eHw,2026-01-31T08:00:00Z";
    (0..count).map(|n| format!("u{n},{USER}\n")).collect()
}

/// Without a server porter-admin writes the files itself: killed at whatever moment it leaves all or none, and whoever comes
/// next has no trouble by what it has left.
#[test]
fn an_import_into_files_that_is_killed_leaves_all_or_none() {
    const CROWD: usize = 2_100;
    let csv = format!("{HEADER}{}", crowd(CROWD));
    let length = |path: &Path| std::fs::metadata(path).map_or(0, |found| found.len());
    // When the new file has so many bytes, and at last when it is in the old one's place.
    for moment in 0..6 {
        let folder = offline();
        let data = folder.data();
        let add_cheaply = |name: &str| {
            let words = ["users", "add", name, "--password-file", "-", "--hash-rounds", "100"];
            done_with(&data, &words, PASSWORD)
        };
        add_cheaply("ann");
        let file = folder.path().join("crowd.csv");
        std::fs::write(&file, &csv).unwrap();
        let (old, new) = (data.join("users.csv"), data.join("users.csv.new"));
        let before = length(&old);
        let mut child = super::command(&data, &["users", "import", file.to_str().unwrap()]).spawn().unwrap();
        let enough = csv.len() as u64 * moment / 4;
        while child.try_wait().unwrap().is_none()
            && length(&old) == before
            && (!new.exists() || length(&new) < enough)
        {}
        let _ = child.kill();
        let was_told = child.wait().unwrap().success();
        let count = states(&data).len();
        assert!([1, CROWD + 1].contains(&count), "{count} users");
        assert!(!was_told || count == CROWD + 1, "it was acknowledged");
        add_cheaply("bob");
        assert_eq!(states(&data).len(), count + 1);
        assert!(!new.exists());
    }
}

/// A server that is killed while it imports has all of them or none.
#[test]
fn an_import_that_is_cut_short_leaves_all_or_none() {
    let crowd = crowd(3_000);
    for moment in 0..6 {
        let server = Server::start(&[]);
        let data = server.folder.data();
        add(&data, "ann");
        let file = server.folder.path().join("crowd.csv");
        std::fs::write(&file, format!("{HEADER}{crowd}")).unwrap();
        let words = ["users", "import", file.to_str().unwrap()];
        let mut child = super::command(&data, &words).spawn().unwrap();
        // At another moment each time, from its start to its end.
        let ticks = moment * 40;
        for _ in 0..ticks {
            std::thread::yield_now();
            let _ = std::fs::read(server.folder.data().join("users.csv"));
        }
        let _folder = server.kill();
        let was_told = child.wait().unwrap().success();
        let count = states(&data).len();
        assert!([1, 3_001].contains(&count), "{count} users");
        assert!(!was_told || count == 3_001, "it was acknowledged");
    }
}

/// One that is taken is found before passwords are hashed, and one that only looks so is named with its line all the same.
#[test]
fn a_name_that_is_taken_is_named_with_its_line() {
    let server = Server::start(&[]);
    let offline = offline();
    for data in [server.folder.data(), offline.data()] {
        add(&data, "ann");
        for (name, part) in [("ann", "line 3: there is a user ann already"), ("Ann", "line 3: Ann: ")] {
            let csv = format!("{HEADER}cem,{PASSWORD},\n{name},{PASSWORD},\n");
            let words = ["users", "import", "--clear", "--hash-rounds", "100", "-"];
            let said = refused(&data, &words, &csv);
            assert!(said.contains(part) && said.matches("imported").count() == 1, "{said}");
        }
        assert_eq!(states(&data).len(), 1);
    }
}
