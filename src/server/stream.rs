//! Standard streams, which the server shares with whoever started it: none of them is ever set non-blocking, since the
//! shell's end would become so with it.

use crate::foreground::is_foreground;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::termios::LocalModes;

/// What may be written at once to a descriptor that blocks, after it said that it is writable.
pub(super) const BLOCKING_WRITE_BYTES: usize = 512;

/// A descriptor of our own for the terminal or pipe that a stream is. It has flags of its own, so that it can be
/// non-blocking without the shell's becoming so. `None` where there is no such way: what it is, or the right to open it.
pub(super) fn reopened(stream: BorrowedFd<'_>) -> Option<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    if rustix::termios::isatty(stream) {
        let path = rustix::termios::ttyname(stream, Vec::new()).ok()?;
        return rustix::fs::open(path, flags, Mode::empty()).ok();
    }
    let kind = FileType::from_raw_mode(rustix::fs::fstat(stream).ok()?.st_mode);
    // Elsewhere what looks like a new descriptor is the old one.
    let path = format!("/proc/self/fd/{}", stream.as_raw_fd());
    (kind == FileType::Fifo).then(|| rustix::fs::open(path, flags, Mode::empty()).ok()).flatten()
}

/// Whether both are the same terminal. One that was opened as `/dev/tty` is that which the session has.
pub(super) fn are_one_terminal(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> bool {
    let device = |fd| rustix::termios::isatty(fd).then(|| rustix::fs::fstat(fd).ok()).flatten();
    let (Some(first), Some(second)) = (device(one), device(other)) else { return false };
    let is_of_session = |fd| {
        let session = rustix::termios::tcgetsid(fd);
        session.is_ok_and(|session| rustix::process::getsid(None).is_ok_and(|own| own == session))
    };
    first.st_rdev == second.st_rdev || (is_of_session(one) && is_of_session(other))
}

/// Whether it is a file, of which no event ever tells that it can be read, because it always can.
pub(super) fn is_file(stream: BorrowedFd<'_>) -> bool {
    rustix::fs::fstat(stream).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_file())
}

/// Whether writing to the terminal would not stop the process.
pub(super) fn may_write_terminal(terminal: BorrowedFd<'_>) -> bool {
    is_foreground(terminal)
        || rustix::termios::tcgetattr(terminal)
            .map_or(true, |modes| !modes.local_modes.contains(LocalModes::TOSTOP))
}

/// Whether reading or writing would not block, or would fail at once.
pub(super) fn is_ready(descriptor: BorrowedFd<'_>, direction: PollFlags) -> bool {
    let mut ready = [PollFd::new(&descriptor, direction)];
    matches!(poll(&mut ready, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(1))
}
