//! Where lines go: a file, or stderr, whatever that is. Neither is ever waited for.
//!
//! This module must not know what a line says.

use crate::server::stream::{BLOCKING_WRITE_BYTES, is_ready, may_write_terminal, reopened};
use crate::store::dangling_link;
use rustix::event::PollFlags;
use rustix::fd::OwnedFd;
use rustix::fs::FileType;
use rustix::io::Errno;
use rustix::net::{SendFlags, SocketType, send};
use rustix::stdio::stderr;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Of one write to a pipe, no more is sure not to be mixed with what others write there (`PIPE_BUF`).
const WHOLE_WRITE_BYTES: usize = 4096;

pub(super) enum Destination {
    File {
        path: PathBuf,
        /// None is open, or the last one could not be written.
        file: Option<File>,
    },
    Stderr(Way),
}

/// How stderr is written without waiting.
pub(super) enum Way {
    /// A file, which never has one wait. Not opened anew: whoever else writes there shares the place where it is written.
    File,
    /// A pipe or terminal, by a non-blocking descriptor of our own.
    Own { descriptor: OwnedFd, is_terminal: bool },
    /// A socket, which takes it call by call that it is not to be waited for.
    Stream,
    /// One that hands on what a call gives it as one message.
    Datagrams,
    /// All else is asked first.
    Shared { is_terminal: bool },
}

impl Destination {
    pub(super) fn file(path: &Path) -> Destination {
        Destination::File { path: path.to_owned(), file: None }
    }

    pub(super) fn stderr() -> Destination {
        Destination::Stderr(Way::to_stderr())
    }

    /// Takes some of the bytes: lines, of which the first may have lost its beginning to an earlier call.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Destination::Stderr(way) => Ok(way.write(bytes)?),
            Destination::File { path, file } => {
                let file = match file {
                    Some(file) => file,
                    none => none.insert(open(path)?),
                };
                file.write(bytes)
            }
        }
    }

    /// The next write opens the file anew; stderr stays what it is. Says whether another file may be begun by that.
    pub(super) fn close(&mut self) -> bool {
        match self {
            Destination::Stderr(_) => false,
            Destination::File { file, .. } => {
                *file = None;
                true
            }
        }
    }

    /// The file, unless it is stderr.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Destination::Stderr(_) => None,
            Destination::File { path, .. } => Some(path),
        }
    }
}

impl Way {
    fn to_stderr() -> Way {
        let is_terminal = rustix::termios::isatty(stderr());
        let kind = rustix::fs::fstat(stderr()).map(|stat| FileType::from_raw_mode(stat.st_mode));
        match kind {
            Ok(FileType::RegularFile) => Way::File,
            Ok(FileType::Socket) => match rustix::net::sockopt::socket_type(stderr()) {
                Ok(SocketType::STREAM) => Way::Stream,
                _ => Way::Datagrams,
            },
            _ => match reopened(stderr()) {
                Some(descriptor) => Way::Own { descriptor, is_terminal },
                None => Way::Shared { is_terminal },
            },
        }
    }

    fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        let whole = lines_within(bytes, WHOLE_WRITE_BYTES);
        match self {
            Way::File => rustix::io::write(stderr(), bytes),
            Way::Own { is_terminal: true, .. } | Way::Shared { is_terminal: true }
                if !may_write_terminal(stderr()) =>
            {
                Err(Errno::AGAIN)
            }
            Way::Own { descriptor, .. } => rustix::io::write(descriptor, whole),
            Way::Stream => send(stderr(), whole, SendFlags::DONTWAIT | SendFlags::NOSIGNAL),
            Way::Datagrams => {
                send(stderr(), lines_within(bytes, 0), SendFlags::DONTWAIT | SendFlags::NOSIGNAL)
            }
            Way::Shared { .. } if !is_ready(stderr(), PollFlags::OUT) => Err(Errno::AGAIN),
            Way::Shared { .. } => rustix::io::write(stderr(), lines_within(bytes, BLOCKING_WRITE_BYTES)),
        }
    }
}

/// As many whole lines as are no longer than this together; of a longer first line so much, and all of it for 0.
fn lines_within(bytes: &[u8], most: usize) -> &[u8] {
    let end_in = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte == b'\n').map(|at| at + 1);
    let first = || bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
    match bytes.get(..most) {
        None => bytes,
        Some([]) => &bytes[..first()],
        Some(part) => &bytes[..end_in(part).unwrap_or(most)],
    }
}

/// Whether stderr is what `JOURNAL_STREAM` says the journal reads: its device and inode, as systemd.exec(5) has them.
pub(super) fn is_journal(journal_stream: &str) -> bool {
    rustix::fs::fstat(stderr()).is_ok_and(|stat| journal_stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// Opens for appending, making the folder, and through a link the file that it leads to. A pipe without a reader, or a full
/// one, must not block.
fn open(path: &Path) -> io::Result<File> {
    open_or_make(path).map_err(|error| match dangling_link(path) {
        // What the system says of it is that a file exists, or that none does.
        Some(link) => io::Error::other(link),
        None => error,
    })
}

fn open_or_make(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o750).create(folder)?;
    }
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    OpenOptions::new().append(true).create(true).mode(0o640).custom_flags(nonblocking).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kept_whole() {
        for (bytes, most, expected) in [
            ("one\ntwo\nthree\n", 100, "one\ntwo\nthree\n"),
            ("one\ntwo\nthree\n", 14, "one\ntwo\nthree\n"),
            ("one\ntwo\nthree\n", 13, "one\ntwo\n"),
            ("one\ntwo\nthree\n", 4, "one\n"),
            ("one\ntwo\nthree\n", 3, "one"),
            ("one\ntwo\nthree\n", 0, "one\n"),
            ("one", 0, "one"),
            ("", 0, ""),
        ] {
            assert_eq!(lines_within(bytes.as_bytes(), most), expected.as_bytes(), "{most}");
        }
    }

    /// What the link leads to is made, if it can be: a rotation may just have moved it away. If not, the link is named.
    #[test]
    fn a_log_that_is_a_link_is_written_where_it_leads() {
        let folder = tempfile::tempdir().unwrap();
        let (link, place) = (folder.path().join("server.log"), folder.path().join("place"));
        std::os::unix::fs::symlink(place.join("server.log"), &link).unwrap();
        let reason = open(&link).unwrap_err().to_string();
        assert!(reason.contains(&*link.to_string_lossy()) && reason.contains("not there"), "{reason}");
        let folder_reason = open(&link.join("server.log")).unwrap_err().to_string();
        assert!(folder_reason.contains("not there"), "{folder_reason}");
        std::fs::create_dir(&place).unwrap();
        open(&link).unwrap().write_all(b"line\n").unwrap();
        assert_eq!(std::fs::read_to_string(place.join("server.log")).unwrap(), "line\n");
        assert!(link.is_symlink());
    }
}
