//! A password that is given by a file, a pipe or the environment.
//!
//! No more is read than the first line: what follows it in a pipe may be messages.

use porter::cli::Failure;
use porter::limits::PASSWORD_LINE_BYTES;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, read};
use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use zeroize::Zeroizing;

/// The first line of a file or pipe; `-` is stdin, and a terminal there gives none: it is to be asked.
///
/// # Errors
/// [`Failure`] if the file cannot be read, or its first line is empty, too long or not UTF-8.
pub(crate) fn password_from_file(path: &Path) -> Result<Option<Zeroizing<String>>, Failure> {
    let cannot = |reason: &dyn Display| {
        Failure::failed(format_args!("cannot take a password from {}: {reason}", path.display()))
    };
    let line = if path == Path::new("-") {
        if io::stdin().is_terminal() {
            return Ok(None);
        }
        first_line(rustix::stdio::stdin())
    } else {
        open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).and_then(|file| first_line(file.as_fd()))
    };
    let line = line.map_err(|error| cannot(&io::Error::from(error)))?;
    if line.len() > PASSWORD_LINE_BYTES {
        return Err(cannot(&format_args!("its first line is longer than {PASSWORD_LINE_BYTES} bytes")));
    }
    match std::str::from_utf8(&line).map(bare) {
        Ok("") => Err(cannot(&"its first line is empty")),
        Ok(password) => Ok(Some(Zeroizing::new(password.to_owned()))),
        Err(_) => Err(cannot(&"its first line is not UTF-8")),
    }
}

/// The first line of a text, such as a variable of the environment; none if it is empty.
pub(crate) fn password_from_text(text: &str) -> Option<Zeroizing<String>> {
    let password = bare(text.split('\n').next().unwrap_or_default());
    (!password.is_empty()).then(|| Zeroizing::new(password.to_owned()))
}

/// Without the byte order mark that some editors put before a text, and the carriage return behind it.
fn bare(line: &str) -> &str {
    let line = line.strip_prefix('\u{feff}').unwrap_or(line);
    line.strip_suffix('\r').unwrap_or(line)
}

/// Reads byte by byte up to a line feed, which is taken too, or the end.
fn first_line(input: BorrowedFd<'_>) -> Result<Zeroizing<Vec<u8>>, Errno> {
    // Room for all of it from the start, so that no copy is left behind by growing.
    let mut line = Zeroizing::new(Vec::with_capacity(PASSWORD_LINE_BYTES + 1));
    let mut byte = Zeroizing::new([0]);
    while line.len() <= PASSWORD_LINE_BYTES {
        match read(input, &mut *byte) {
            Ok(0) => break,
            Ok(_) if byte[0] == b'\n' => break,
            Ok(_) => line.push(byte[0]),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => _ = poll(&mut [PollFd::from_borrowed_fd(input, PollFlags::IN)], None),
            Err(error) => return Err(error),
        }
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_and_line_ends_do_not_count() {
        let taken = |text| password_from_text(text).map(|password| password.to_string());
        assert_eq!(taken("\u{feff}open sesame\r\nsecond").as_deref(), Some("open sesame"));
        assert_eq!(taken(" open sesame \n").as_deref(), Some(" open sesame "));
        for nothing in ["", "\n", "\r\n", "\u{feff}\r\nsecond"] {
            assert_eq!(taken(nothing), None, "{nothing:?}");
        }
    }
}
