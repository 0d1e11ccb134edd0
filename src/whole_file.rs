//! Files that are read whole while a server serves.

use rustix::fs::OFlags;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use zeroize::Zeroizing;

/// Longer than any that is meant.
const BYTES_MOST: usize = 1024 * 1024;

/// All that a file has, wiped when it is done with: it may be a key. A pipe would be waited for, by a server that others
/// wait for, and is refused.
///
/// # Errors
/// What the system says, or that it is no file, or longer than 1 MiB.
pub(crate) fn read_whole(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    // With room for all of it no copies are left behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(BYTES_MOST + 1));
    file.take(BYTES_MOST as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > BYTES_MOST {
        return Err(io::Error::other("it is longer than 1 MiB"));
    }
    Ok(bytes)
}
