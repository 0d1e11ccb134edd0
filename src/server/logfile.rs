//! The log file: lines are gathered and written together, and a log that cannot be written never stops the service.

use super::Server;
use super::stderr::warn_stderr;
use crate::limits::LOG_BUFFER_BYTES;
use crate::store::{Store, dangling_link};
use log::{Level, LevelFilter, Log, Metadata, Record};
use simplelog::{ConfigBuilder, WriteLogger};
use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The log file, shared with the logger.
#[derive(Clone)]
pub struct LogFile {
    shared: Arc<Shared>,
}

struct Shared {
    sink: Mutex<Sink>,
    /// Whether lines wait, for whoever asks in every turn: a lock would cost more than the answer is worth.
    is_waiting: AtomicBool,
}

struct Sink {
    path: PathBuf,
    file: Option<File>,
    /// Whole lines that wait to be written.
    waiting: Vec<u8>,
    dropped_lines: u64,
    /// The same since the start, and told already.
    dropped_before: u64,
    /// What was written last is the beginning of a line; the rest of it waits.
    within_line: bool,
    /// A line that waits is a warning or worse.
    urgent: bool,
    /// It could not be written, and that has been said.
    failing: bool,
}

impl LogFile {
    /// Opens the log file, making its folder, and has everything logged there from now on.
    ///
    /// A file that cannot be opened is said once on stderr and tried again with each line.
    ///
    /// # Errors
    /// If this process has a logger already.
    pub fn install(path: &Path, level: LevelFilter) -> Result<LogFile, log::SetLoggerError> {
        let (sink, is_waiting) = (Mutex::new(Sink::new(path)), AtomicBool::new(false));
        let log = LogFile { shared: Arc::new(Shared { sink, is_waiting }) };
        let config = ConfigBuilder::new()
            .set_time_level(LevelFilter::Off)
            .set_max_level(LevelFilter::Off)
            .set_target_level(LevelFilter::Off)
            .set_thread_level(LevelFilter::Off)
            .set_location_level(LevelFilter::Off)
            .add_filter_allow_str("porter")
            .build();
        let lines = Lines { line: Vec::new(), stamp: Stamp::default(), log_file: log.clone() };
        // What is logged is for the facade to say, which can be told otherwise later.
        let lines = *WriteLogger::new(LevelFilter::Trace, config, lines);
        log::set_boxed_logger(Box::new(Levelled { lines, log_file: log.clone() }))?;
        log::set_max_level(level);
        log.reopen();
        Ok(log)
    }

    /// Opens the file anew: the old one was moved away by whoever rotates logs.
    pub fn reopen(&self) {
        self.with_sink(|sink| {
            sink.write_out();
            sink.leave_file();
            sink.write_out();
        });
    }

    /// Writes what was gathered; what the file does not take waits, bounded, for the next call.
    pub fn flush(&self) {
        self.with_sink(|sink| {
            if sink.is_waiting() {
                sink.write_out();
            }
        });
    }

    /// Whether lines wait to be written.
    pub fn is_waiting(&self) -> bool {
        self.shared.is_waiting.load(Ordering::Relaxed)
    }

    /// Whether one of them is a warning or worse, for which the file was not yet tried.
    pub fn is_urgent(&self) -> bool {
        self.with_sink(|sink| sink.urgent)
    }

    /// How many lines were dropped since the start.
    pub(super) fn dropped_lines(&self) -> u64 {
        self.with_sink(|sink| sink.dropped_before + sink.dropped_lines)
    }

    fn with_sink<T>(&self, what: impl FnOnce(&mut Sink) -> T) -> T {
        // A sink is whole after every statement, so one that a panic left behind can be used.
        let mut sink = self.shared.sink.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = what(&mut sink);
        self.shared.is_waiting.store(sink.is_waiting(), Ordering::Relaxed);
        outcome
    }
}

impl<S: Store> Server<S> {
    /// Has a log file flushed soon after each line, and reopened on SIGHUP.
    pub fn attach_log(&mut self, log: LogFile) {
        self.log = Some(log);
    }
}

impl Sink {
    fn new(path: &Path) -> Sink {
        Sink {
            path: path.to_owned(),
            file: None,
            waiting: Vec::new(),
            dropped_lines: 0,
            dropped_before: 0,
            within_line: false,
            urgent: false,
            failing: false,
        }
    }

    fn is_waiting(&self) -> bool {
        !self.waiting.is_empty() || self.dropped_lines > 0
    }

    /// The line is whole: it waits, or is dropped and counted if too many wait already.
    fn take_line(&mut self, line: &[u8]) {
        if self.waiting.len() + line.len() > LOG_BUFFER_BYTES {
            self.write_out();
        }
        if self.waiting.len() + line.len() <= LOG_BUFFER_BYTES {
            self.waiting.extend_from_slice(line);
        } else {
            self.dropped_lines += 1;
        }
    }

    fn write_out(&mut self) {
        self.urgent = false;
        let written = self.try_write();
        match written {
            Ok(()) if self.failing => {
                self.failing = false;
                warn_stderr(&format!("the log file {} can be written again", self.path.display()));
            }
            Ok(()) => {}
            // A pipe whose reader is slow: not worth a word until lines are lost, and then the log tells.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                // Perhaps a new file can be had where this one cannot be written.
                self.file = None;
                if !self.failing {
                    self.failing = true;
                    let path = self.path.display();
                    warn_stderr(&format!(
                        "the log file {path} cannot be written: {error}; the service goes on without"
                    ));
                }
            }
        }
    }

    /// Another file is begun. If the old one took only a part of a line, the rest would stand at the top of the new one.
    fn leave_file(&mut self) {
        self.file = None;
        if std::mem::take(&mut self.within_line) {
            let rest =
                self.waiting.iter().position(|byte| *byte == b'\n').map_or(self.waiting.len(), |end| end + 1);
            self.waiting.drain(..rest);
            self.dropped_lines += 1;
        }
    }

    fn try_write(&mut self) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(open(&self.path)?),
        };
        while !self.waiting.is_empty() {
            match file.write(&self.waiting) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.within_line = !self.waiting[..count].ends_with(b"\n");
                    self.waiting.drain(..count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.dropped_lines > 0 {
            let line = format!(
                "({} lines of the log were dropped here: it could not be written)\n",
                self.dropped_lines
            );
            self.dropped_before += self.dropped_lines;
            self.dropped_lines = 0;
            self.waiting.extend_from_slice(line.as_bytes());
            return self.try_write();
        }
        Ok(())
    }
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

/// When a line was logged, in RFC 3339. The text of the second is kept: in a crowd many lines have the same, and working
/// out the date for each would cost more than the rest of the line.
#[derive(Default)]
struct Stamp {
    second: u64,
    text: String,
}

impl Stamp {
    fn write(&mut self, line: &mut Vec<u8>, since_1970: Duration) {
        let second = since_1970.as_secs();
        if self.text.is_empty() || self.second != second {
            let time = i64::try_from(second)
                .ok()
                .and_then(|second| OffsetDateTime::from_unix_timestamp(second).ok());
            self.text = time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default();
            self.second = second;
        }
        // Writing to a vector cannot fail.
        let _ = write!(line, "{}.{:09}Z ", self.text.trim_end_matches('Z'), since_1970.subsec_nanos());
    }
}

/// What the logger writes to, each line in a few pieces.
struct Lines {
    line: Vec<u8>,
    stamp: Stamp,
    log_file: LogFile,
}

impl Write for Lines {
    #[expect(clippy::disallowed_methods, reason = "lines are stamped by the wall clock")]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.line.is_empty() {
            let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            self.stamp.write(&mut self.line, since_1970.unwrap_or_default());
        }
        self.line.extend_from_slice(bytes);
        if bytes.ends_with(b"\n") {
            self.log_file.with_sink(|sink| sink.take_line(&self.line));
            self.line.clear();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.log_file.flush();
        Ok(())
    }
}

/// Room for nearly every line.
const LINE_BYTES: usize = 256;

/// Puts the level before the event as a plain word; simplelog would put it in brackets.
struct Levelled {
    lines: WriteLogger<Lines>,
    log_file: LogFile,
}

impl Log for Levelled {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.lines.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let level = record.level();
        // In one piece: simplelog would hand it on in dozens.
        let mut line = String::with_capacity(LINE_BYTES);
        let _ = fmt::Write::write_fmt(&mut line, format_args!("{} {}", level.as_str(), record.args()));
        let args = format_args!("{line}");
        let (target, module) = (record.target(), record.module_path());
        self.lines.log(&Record::builder().level(level).target(target).module_path(module).args(args).build());
        if level <= Level::Warn {
            self.log_file.with_sink(|sink| sink.urgent = true);
        }
    }

    fn flush(&self) {
        self.log_file.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_time() {
        let (mut stamp, mut stamps) = (Stamp::default(), Vec::new());
        for (seconds, nanoseconds) in
            [(0, 7), (1_795_864_897, 17_113_458), (1_795_864_897, 999_999_999), (1_795_864_898, 0)]
        {
            stamp.write(&mut stamps, Duration::new(seconds, nanoseconds));
        }
        assert_eq!(
            String::from_utf8(stamps).unwrap(),
            "1970-01-01T00:00:00.000000007Z 2026-11-28T11:21:37.017113458Z \
             2026-11-28T11:21:37.999999999Z 2026-11-28T11:21:38.000000000Z "
        );
    }

    #[test]
    fn lines_that_cannot_be_written_wait_are_dropped_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs").join("server.log");
        std::fs::write(folder.path().join("logs"), "in the way").unwrap();
        let mut sink = Sink::new(&path);
        let line = format!("{}\n", "x".repeat(99));
        for _ in 0..1000 {
            sink.take_line(line.as_bytes());
        }
        assert!(sink.failing && sink.waiting.len() <= LOG_BUFFER_BYTES);
        let waiting = sink.waiting.len() / line.len();
        std::fs::remove_file(folder.path().join("logs")).unwrap();
        sink.write_out();
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text.lines().count(), waiting + 1);
        assert!(text.ends_with(&format!(
            "({} lines of the log were dropped here: it could not be written)\n",
            1000 - waiting
        )));
        assert!(!sink.failing);
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

    /// The old file's disk was full in the middle of a line when the log was rotated.
    #[test]
    fn half_a_line_is_not_finished_in_the_next_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.log");
        let mut sink = Sink::new(&path);
        sink.take_line(b"one\n");
        sink.write_out();
        sink.waiting.extend_from_slice(b"f of a line\nwhole\n");
        sink.within_line = true;
        std::fs::rename(&path, folder.path().join("server.log.1")).unwrap();
        sink.leave_file();
        sink.write_out();
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text, "whole\n(1 lines of the log were dropped here: it could not be written)\n");
    }
}
