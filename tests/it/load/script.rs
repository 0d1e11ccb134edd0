//! `tests/load-test.sh`, with the programs that the tests have instead of those that it would build.

use crate::support::Folder;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

/// Every file and folder below, by its path.
fn listed(folder: &Path) -> Vec<String> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        paths.push(entry.path().display().to_string());
        if entry.file_type().unwrap().is_dir() {
            paths.extend(listed(&entry.path()));
        }
    }
    paths.sort();
    paths
}

/// A folder like the repository's, in which somebody's server has its data: the load test's users are not put there, and
/// nothing is left, even where temporary files are made in the folder itself.
#[test]
fn it_leaves_somebodys_data_alone_and_nothing_behind() {
    let folder = Folder::new();
    let repository = folder.path().join("repository");
    for sub in ["tests", "data", "logs", "programs"] {
        fs::create_dir_all(repository.join(sub)).unwrap();
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/load-test.sh");
    fs::copy(source, repository.join("tests/load-test.sh")).unwrap();
    fs::write(repository.join("data/users.csv"), "somebody's\n").unwrap();
    let built = Path::new(env!("CARGO_BIN_EXE_porter-load")).parent().unwrap();
    symlink(built, repository.join("programs/release")).unwrap();
    let cargo = repository.join("programs/cargo");
    fs::write(&cargo, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
    let before = listed(&repository);
    let path = format!("{}:{}", repository.join("programs").display(), std::env::var("PATH").unwrap());

    let output = Command::new("sh")
        .args(["tests/load-test.sh", "20"])
        .current_dir(&repository)
        .envs([("PATH", &*path), ("CARGO_TARGET_DIR", "programs"), ("TMPDIR", ".")])
        .output()
        .unwrap();

    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("20 (one after another)"), "{said}");
    assert_eq!(listed(&repository), before);
    assert_eq!(fs::read_to_string(repository.join("data/users.csv")).unwrap(), "somebody's\n");
}
