//! Whose turn it is at a terminal that several process groups share.

use rustix::process::getpgrp;
use rustix::termios::tcgetpgrp;
use std::os::fd::AsFd;

/// Whether the terminal is for this process to read and to set; where there is no job control it always is.
pub(crate) fn is_foreground(terminal: impl AsFd) -> bool {
    tcgetpgrp(terminal).map_or(true, |group| group == getpgrp())
}
