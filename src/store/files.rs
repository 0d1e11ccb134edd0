//! Looks at what has a name before it is opened: a link may lead nowhere, and a pipe may never answer.
//!
//! This module must not know what the files hold.

use std::fs::{self, File, FileType, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// Opens the file that has a name, or to which a link of that name leads; `None` if nothing has it.
///
/// # Errors
/// What the system says, or what else has the name.
pub(super) fn open(path: &Path, options: &mut OpenOptions) -> io::Result<Option<File>> {
    if !exists(path)? {
        return Ok(None);
    }
    // What was looked at may have been replaced since, by a pipe too, whose opening waits for its other end.
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = options.custom_flags(nonblocking).open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_file() { Ok(Some(file)) } else { Err(no_file(kind)) }
}

/// Whether a file has this name, or nothing.
///
/// # Errors
/// What the system says, or what else has the name.
fn exists(path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => Ok(true),
        Ok(found) => Err(no_file(found.file_type())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match dangling_link(path) {
            None => Ok(false),
            Some(link) => Err(io::Error::new(io::ErrorKind::NotFound, link)),
        },
        Err(error) => Err(error),
    }
}

/// If a path leads over a link to what is not there: which, and what to do about it.
pub(crate) fn dangling_link(path: &Path) -> Option<String> {
    let link = path.ancestors().find(|path| path.is_symlink() && !path.exists())?;
    let target = fs::read_link(link).unwrap_or_default();
    let (link, target) = (link.display(), target.display());
    Some(format!("{link} is a link to {target}, which is not there: bring that back, or remove the link"))
}

fn no_file(kind: FileType) -> io::Error {
    let what = match kind {
        kind if kind.is_dir() => "a directory",
        kind if kind.is_fifo() => "a pipe",
        kind if kind.is_socket() => "a socket",
        _ => "a device",
    };
    io::Error::other(format!("it is {what}, not a file"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    fn opened(path: &Path) -> Result<bool, String> {
        let file = open(path, OpenOptions::new().read(true).append(true));
        file.map(|file| file.is_some()).map_err(|error| error.to_string())
    }

    /// None of them may hold the start up, and none may be taken for nothing.
    #[test]
    fn what_is_no_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("directory")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            path("pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        let _socket = UnixListener::bind(path("socket")).unwrap();
        for name in ["directory", "pipe", "socket"] {
            let reason = opened(&path(name)).unwrap_err();
            assert!(reason.contains(name), "{reason}");
        }
        assert!(opened(Path::new("/dev/null")).unwrap_err().contains("device"));
        assert_eq!(opened(&path("nothing")), Ok(false));
    }

    #[test]
    fn a_link_is_followed_unless_it_leads_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        symlink(path("there"), path("link")).unwrap();
        symlink(path("link"), path("link to the link")).unwrap();
        symlink(path("loop"), path("loop")).unwrap();
        for name in ["link", "link to the link"] {
            let reason = opened(&path(name)).unwrap_err();
            assert!(
                reason.contains(&*path(name).to_string_lossy()) && reason.contains("not there"),
                "{reason}"
            );
        }
        assert!(opened(&path("loop")).is_err());
        fs::write(path("there"), "").unwrap();
        assert_eq!((opened(&path("link")), opened(&path("link to the link"))), (Ok(true), Ok(true)));
        assert_eq!(dangling_link(&path("link/below")), None);
    }
}
