//! The servers that were trusted before: a file of lines `HOST:PORT key:SHA256:...`, as ssh has one.
//!
//! A server is remembered by its public key, so that a certificate that was renewed with the same key is no surprise. A
//! line without `key:` knows one certificate. Lines are only added. Empty lines and those that begin with `#` are left alone; any other line that is not as it
//! should be is an error, since what it said of a server would be forgotten otherwise.

use crate::tls::{BadFingerprint, Fingerprint, KEY, Known};
use std::fmt::Display;
use std::fs::{DirBuilder, OpenOptions, read_to_string};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// A server's name in the file; an IPv6 address in brackets.
pub(super) fn server_name(host: &str, port: u16) -> String {
    let host = host.to_lowercase();
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// What a server is known by; nothing if it is not known. More than one while it changes its key.
///
/// # Errors
/// One line that names the file, the line, the reason and the way out.
pub(super) fn find(file: &Path, server: &str) -> Result<Vec<Known>, String> {
    let text = match read_to_string(file) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(format!("cannot read {}: {error}", file.display())),
    };
    let mut found = Vec::new();
    // Some editors begin a file with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    for (number, line) in (1..).zip(text.lines()) {
        let entry = parse(line).map_err(|reason| {
            format!("{} line {number}: {reason}; correct or remove the line", file.display())
        })?;
        found.extend(entry.filter(|(name, _)| name.eq_ignore_ascii_case(server)).map(|(_, known)| known));
    }
    Ok(found)
}

/// Adds a server by its key; makes the file, which only its owner may read, and its folder if need be.
///
/// # Errors
/// One line that names the file and the reason.
pub(super) fn remember(file: &Path, server: &str, key: Fingerprint) -> Result<(), String> {
    let cannot = |error: &dyn Display| format!("cannot add {server} to {}: {error}", file.display());
    if let Some(folder) = file.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| cannot(&error))?;
    }
    let is_cut_off = read_to_string(file).is_ok_and(|text| !text.is_empty() && !text.ends_with('\n'));
    // One write for a whole line, so that two programs at once cannot mix theirs.
    let line = format!("{}{server} {}\n", if is_cut_off { "\n" } else { "" }, Known::Key(key));
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(file)
        .map_err(|error| cannot(&error))?;
    file.write_all(line.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| cannot(&error))
}

fn parse(line: &str) -> Result<Option<(&str, Known)>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let mut fields = line.split_whitespace();
    let (Some(server), Some(fingerprint), None) = (fields.next(), fields.next(), fields.next()) else {
        return Err("not HOST:PORT and a fingerprint".to_owned());
    };
    let port = server.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    if port.is_none() {
        return Err(format!("{server:?} is not HOST:PORT"));
    }
    let known = match fingerprint.strip_prefix(KEY) {
        Some(key) => key.parse().map(Known::Key),
        None => fingerprint.parse().map(Known::Certificate),
    };
    let known = known.map_err(|error: BadFingerprint| error.to_string())?;
    Ok(Some((server, known)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_is_remembered_is_found_whatever_stands_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("porter/known_servers");
        let [first, second] = [b"1", b"2"].map(|der| Fingerprint::of(der));
        assert_eq!(find(&file, "a:1"), Ok(Vec::new()));
        remember(&file, "a:1", first).unwrap();
        remember(&file, "[::1]:1", second).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
        let written = fs::read_to_string(&file).unwrap();
        assert_eq!(written, format!("a:1 key:{first}\n[::1]:1 key:{second}\n"));
        // A person was here: a byte order mark, a comment, a certificate, no line end.
        fs::write(&file, format!("\u{feff}{written}# mine\n\n  A:1\t{second}")).unwrap();
        remember(&file, "b:1", first).unwrap();
        assert_eq!(find(&file, "a:1"), Ok(vec![Known::Key(first), Known::Certificate(second)]));
        assert_eq!(find(&file, "[::1]:1"), Ok(vec![Known::Key(second)]));
        assert_eq!(find(&file, "b:1"), Ok(vec![Known::Key(first)]));
        assert_eq!(find(&file, "a:2"), Ok(Vec::new()));
    }

    #[test]
    fn a_bad_line_is_an_error_with_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("known_servers");
        let good = Fingerprint::of(b"");
        for bad in
            ["a:1", "a:1 SHA256:x", &format!("a {good}"), &format!("a:x {good}"), &format!("a:1 {good} x")]
        {
            fs::write(&file, format!("a:1 {good}\n{bad}\n")).unwrap();
            let reason = find(&file, "a:1").unwrap_err();
            assert!(reason.contains("line 2") && !reason.contains('\n'), "{bad}: {reason}");
        }
        fs::write(&file, b"\xff\n").unwrap();
        assert!(find(&file, "a:1").is_err());
        assert!(remember(&file.join("below"), "a:1", good).is_err());
    }

    #[test]
    fn servers_are_named_alike_however_they_are_typed() {
        assert_eq!(server_name("Example.ORG", 9090), "example.org:9090");
        assert_eq!(server_name("::1", 1), "[::1]:1");
    }
}
