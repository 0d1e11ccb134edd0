//! A server's files, in a folder that goes away with its test.

use super::eventually;
use base64ct::{Base64Unpadded, Encoding};
use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Data directory and log of one server, or of several after one another.
#[derive(Debug)]
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Folder {
        Folder(TempDir::new().unwrap())
    }

    /// A folder whose `users.csv` knows one user, as any other tool could have written it.
    pub(crate) fn with_user(name: &str, password: &str, rounds: u32) -> Folder {
        Folder::with_users(&[(name, &stored_password(password, b"sixteen bytes ok", rounds))])
    }

    /// A folder whose `users.csv` knows these names with these stored passwords.
    pub(crate) fn with_users(users: &[(&str, &str)]) -> Folder {
        let folder = Folder::new();
        let mut content = "name,password,registered\n".to_owned();
        for (name, stored) in users {
            content += &format!("{name},{stored},2026-01-02T03:04:05Z\n");
        }
        folder.write("users.csv", content.as_bytes());
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.path().join("server.log")
    }

    /// Reads a file of the data directory.
    pub(crate) fn read(&self, file: &str) -> String {
        fs::read_to_string(self.data().join(file)).unwrap()
    }

    /// Makes the data directory, if there is none yet.
    pub(crate) fn make_data(&self) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(self.data()).unwrap();
    }

    /// Writes a file of the data directory, which is made if there is none yet.
    pub(crate) fn write(&self, file: &str, content: &[u8]) {
        self.make_data();
        let mut options = fs::OpenOptions::new();
        let mut file =
            options.write(true).create(true).truncate(true).mode(0o600).open(self.data().join(file)).unwrap();
        std::io::Write::write_all(&mut file, content).unwrap();
    }

    /// The log so far, with bytes that are not UTF-8 replaced.
    pub(crate) fn log_text(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log()).unwrap_or_default()).into_owned()
    }

    /// Waits until the log has a line with all of `parts`, and returns it.
    pub(crate) fn log_line(&self, parts: &[&str]) -> String {
        self.log_lines(parts, 1).remove(0)
    }

    /// Waits until the log has `count` lines with all of `parts`.
    pub(crate) fn log_lines(&self, parts: &[&str], count: usize) -> Vec<String> {
        eventually(&format!("{count} log lines with {parts:?}"), || {
            let text = self.log_text();
            let whole = &text[..text.rfind('\n')?];
            let lines: Vec<_> =
                whole.lines().filter(|line| parts.iter().all(|part| line.contains(part))).collect();
            (lines.len() >= count).then(|| lines.into_iter().map(str::to_owned).collect())
        })
    }
}

/// The PHC string of a password, made by the `pbkdf2` crate.
pub(crate) fn stored_password(password: &str, salt: &[u8; 16], rounds: u32) -> String {
    let mut hash = [0; 16];
    pbkdf2::pbkdf2::<hmac::Hmac<md5::Md5>>(password.as_bytes(), salt, rounds, &mut hash).unwrap();
    let text = |bytes: &[u8]| Base64Unpadded::encode_string(bytes);
    format!("$pbkdf2-md5$i={rounds}${}${}", text(salt), text(&hash))
}

/// The PHC string of no password at all, which takes some 20 s to find out.
pub(crate) const SLOW_PASSWORD: &str =
    "$pbkdf2-md5$i=100000000$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA";
