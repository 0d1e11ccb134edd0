//! What the store has to say to whoever runs the server: why it does not open, what it mended, what went wrong since.
//!
//! Nothing here carries a record's contents: file, line and reason are enough.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why the store does not open. One line, with the way out.
#[derive(Debug)]
pub enum OpenError {
    /// The data directory cannot be made or used.
    Directory {
        /// Which.
        directory: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Another server has the data directory open.
    Locked {
        /// Which.
        directory: PathBuf,
    },
    /// A file cannot be used.
    File {
        /// Which.
        file: String,
        /// What could not be done to it: "read", "written", ...
        action: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// A line of a file is not one that porter writes. Nothing was changed on disk.
    Line {
        /// Which file.
        file: String,
        /// Which line; the header is line 1.
        number: u64,
        /// What is wrong with it.
        reason: String,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Directory { directory, error } => {
                let directory = directory.display();
                write!(f, "cannot use the data directory {directory}: {error}; choose another with --data")
            }
            OpenError::Locked { directory } => {
                let directory = directory.display();
                write!(
                    f,
                    "another server uses the data directory {directory}; stop it or choose another with --data"
                )
            }
            OpenError::File { file, action, error } => {
                write!(f, "{file} cannot be {action}: {error}; mend that and start again")
            }
            OpenError::Line { file, number, reason } => {
                write!(f, "{file} line {number}: {reason}; correct or remove the line and start again")
            }
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            OpenError::Directory { error, .. } | OpenError::File { error, .. } => Some(error),
            OpenError::Locked { .. } | OpenError::Line { .. } => None,
        }
    }
}

/// What was mended while opening: to be logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// The file that was mended.
    pub file: String,
    /// Bytes that were cut off: of a last line without an end, of lines with holes, or of a header.
    pub cut_bytes: u64,
    /// Whether the header was written again.
    pub header_written: bool,
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Repair { file, cut_bytes, header_written } = self;
        if *header_written {
            write!(f, "{file}: wrote the header again over {cut_bytes} bytes of it")
        } else {
            write!(f, "{file}: cut off an incomplete end of {cut_bytes} bytes")
        }
    }
}

/// Something that changed while the store is open: to be logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// How bad it is.
    pub level: log::Level,
    /// What happened, on one line.
    pub text: String,
}

impl Notice {
    pub(super) fn new(level: log::Level, text: impl Into<String>) -> Notice {
        Notice { level, text: text.into() }
    }
}

/// What the syncs cost everybody: nothing else is done while one runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncFigures {
    /// How many there were, failed ones too.
    pub count: u64,
    /// Their time together.
    pub total: Duration,
    /// The longest of them.
    pub longest: Duration,
}
