//! What the store has to say to whoever runs the server: why it does not open, what it mended, what went wrong since.
//!
//! Nothing here carries a record's contents: file, line and reason are enough.

use crate::log_event::log_with_fields;
use log::kv::Value;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why the store does not open. One line, with the way out.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data directory cannot be made or used.
    Directory {
        /// Which.
        directory: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// Another server has the data directory open.
    Locked {
        /// Which.
        directory: PathBuf,
        /// Which process that is, as far as one can tell.
        holder: Option<String>,
    },
    /// A file cannot be used.
    File {
        /// Which.
        file: String,
        /// What could not be done to it: "read", "written", ...
        action: &'static str,
        /// What the system said.
        #[source]
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

impl OpenError {
    /// What is wrong, without the way out.
    pub(super) fn finding(&self) -> String {
        match self {
            OpenError::Directory { directory, error } => {
                format!("cannot use the data directory {}: {error}", directory.display())
            }
            OpenError::Locked { directory, holder } => {
                let holder = holder.as_ref().map(|holder| format!(" ({holder})")).unwrap_or_default();
                format!("another server{holder} uses the data directory {}", directory.display())
            }
            OpenError::File { file, action, error } => format!("{file} cannot be {action}: {error}"),
            OpenError::Line { file, number, reason } => format!("{file} line {number}: {reason}"),
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way_out = match self {
            OpenError::Directory { .. } => "choose another with --data",
            OpenError::Locked { .. } => "stop it or choose another with --data",
            OpenError::File { .. } => "mend that and start again",
            OpenError::Line { .. } => "correct or remove the line and start again",
        };
        write!(f, "{}; {way_out}", self.finding())
    }
}

/// What was mended while opening: to be logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// The file that was mended.
    pub file: String,
    /// Bytes that were cut off: of a last line without an end, of lines with holes, or of a header.
    pub cut_bytes: u64,
    /// The file that has them now.
    pub saved_as: Option<String>,
    /// Whether the header was written again.
    pub header_written: bool,
    /// Whether the last line got its end.
    pub line_ended: bool,
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Repair { file, cut_bytes, saved_as, header_written, line_ended } = self;
        match (header_written, line_ended) {
            (true, _) => write!(f, "{file}: wrote the header again over {cut_bytes} bytes of it")?,
            (false, true) => write!(f, "{file}: the last line had no end; it is whole, and has one now")?,
            (false, false) => write!(f, "{file}: cut off an incomplete end of {cut_bytes} bytes")?,
        }
        saved_as.as_ref().map_or(Ok(()), |saved_as| write!(f, "; what was cut off is kept in {saved_as}"))
    }
}

impl Repair {
    /// Logs it, under words that never change.
    pub(crate) fn log(&self) {
        let note = self.to_string();
        let mut fields = vec![
            ("event", Value::from("repaired")),
            ("file", Value::from(&*self.file)),
            ("cut_bytes", Value::from(self.cut_bytes)),
            ("note", Value::from(&*note)),
        ];
        fields.extend(self.saved_as.as_deref().map(|saved_as| ("saved_as", Value::from(saved_as))));
        log_with_fields(log::Level::Warn, &format!("repaired {note}"), &fields);
    }
}

/// Something that changed while the store is open: to be logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// How bad it is.
    pub level: log::Level,
    /// What happened, on one line.
    pub text: String,
    /// The file of the data directory that it is about, if it is about one.
    pub file: Option<&'static str>,
}

impl Notice {
    pub(super) fn new(level: log::Level, text: impl Into<String>) -> Notice {
        Notice { level, text: text.into(), file: None }
    }

    pub(super) fn about(self, file: &'static str) -> Notice {
        Notice { file: Some(file), ..self }
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
