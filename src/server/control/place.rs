//! Where the control socket is, though its path is longer than a socket's address has room for: some hundred bytes.

use super::CONTROL_FILE;
use std::io;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;

/// Connects to the control socket of the server that has a data directory, however long the directory's path is.
///
/// # Errors
/// What the system says.
pub fn connect_control(data: &Path) -> io::Result<UnixStream> {
    with_short_path(data, |path| UnixStream::connect(path))
}

/// Binds or connects by a path of the socket that an address has room for.
pub(super) fn with_short_path<T>(data: &Path, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let path = data.join(CONTROL_FILE);
    match SocketAddr::from_pathname(&path) {
        Ok(_) => act(&path),
        Err(_) => through_descriptor(data, &path, act),
    }
}

/// Through the directory, once it is open, there is always a short one.
#[cfg(target_os = "linux")]
fn through_descriptor<T>(
    data: &Path,
    path: &Path,
    act: impl FnOnce(&Path) -> io::Result<T>,
) -> io::Result<T> {
    use rustix::fs::{Mode, OFlags, open};
    use std::os::fd::AsRawFd;
    let directory = open(data, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let through = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string());
    if through.exists() { act(&through.join(CONTROL_FILE)) } else { Err(too_long(path)) }
}

#[cfg(not(target_os = "linux"))]
fn through_descriptor<T>(_: &Path, path: &Path, _: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    Err(too_long(path))
}

fn too_long(path: &Path) -> io::Error {
    let length = path.as_os_str().len();
    io::Error::other(format!(
        "its path has {length} bytes, more than a socket's address has room for; give --data a shorter one, such as that of \
         a symbolic link to it"
    ))
}
