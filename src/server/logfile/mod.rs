//! The log of a program: lines are gathered and written together, and a log that cannot be written never stops the service.
//!
//! A record goes through the [`Formatter`], simplelog's filter and writer, and the [`Sink`], to its [`Destination`].

mod destination;
mod format;
mod sink;
mod stamp;

pub use format::LogFormat;

use super::Server;
use super::stderr::{give_log, has_log_at};
use crate::store::Store;
use destination::{Destination, is_journal};
use format::Formatter;
use log::{Level, LevelFilter, Log, Metadata, Record};
use simplelog::{ConfigBuilder, WriteLogger};
use sink::Sink;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// How a program logs.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// Where to.
    pub destination: LogDestination,
    /// What a line looks like.
    pub format: LogFormat,
    /// The least severe records that are logged.
    pub level: LevelFilter,
    /// `JOURNAL_STREAM` of the environment. If stderr is what it names, and has the log, the lines are for the journal.
    pub journal_stream: Option<String>,
}

/// Where a program logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogDestination {
    /// A file, whose folder is made.
    File(PathBuf),
    /// Whatever stderr is: a terminal, a file, a pipe or a socket. It is never waited for, and not changed for others who
    /// have it too.
    Stderr,
}

/// A program's log, shared with the logger.
#[derive(Clone)]
pub struct LogHandle {
    shared: Arc<Shared>,
}

struct Shared {
    sink: Mutex<Sink>,
    /// Whether lines wait, for whoever asks in every turn: a lock would cost more than the answer is worth.
    is_waiting: AtomicBool,
}

impl LogHandle {
    /// Has everything logged there from now on.
    ///
    /// A file that cannot be opened is said once on stderr and tried again with each line.
    ///
    /// # Errors
    /// If this process has a logger already.
    pub fn install(options: &LogOptions) -> Result<LogHandle, log::SetLoggerError> {
        let is_for_journal = options.destination == LogDestination::Stderr
            && options.journal_stream.as_deref().is_some_and(is_journal);
        let formatter = Arc::new(Formatter::new(options.format, is_for_journal));
        let destination = match &options.destination {
            LogDestination::File(path) => Destination::file(path),
            LogDestination::Stderr => Destination::stderr(),
        };
        let sink = Mutex::new(Sink::new(destination, Arc::clone(&formatter)));
        let log = LogHandle { shared: Arc::new(Shared { sink, is_waiting: AtomicBool::new(false) }) };
        let config = ConfigBuilder::new()
            .set_time_level(LevelFilter::Off)
            .set_max_level(LevelFilter::Off)
            .set_target_level(LevelFilter::Off)
            .set_thread_level(LevelFilter::Off)
            .set_location_level(LevelFilter::Off)
            .add_filter_allow_str("porter")
            .build();
        let lines = Lines { line: Vec::new(), log_file: log.clone() };
        // What is logged is for the facade to say, which can be told otherwise later.
        let lines = *WriteLogger::new(LevelFilter::Trace, config, lines);
        log::set_boxed_logger(Box::new(Formatted { formatter, lines, log_file: log.clone() }))?;
        log::set_max_level(options.level);
        if options.destination == LogDestination::Stderr {
            give_log();
        }
        log.reopen();
        Ok(log)
    }

    /// Opens the file anew: the old one was moved away by whoever rotates logs. Stderr stays what it is.
    pub fn reopen(&self) {
        self.with_sink(Sink::reopen);
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

    /// Whether some lines were taken when that was last tried, so that others will soon be.
    pub(super) fn is_moving(&self) -> bool {
        self.with_sink(|sink| sink.is_moving)
    }

    /// Whether what is logged at this level is on stderr by that, and need not be said there again.
    pub fn logs_to_stderr(&self, level: Level) -> bool {
        has_log_at(level)
    }

    /// Whether it is a file, which SIGHUP has opened anew.
    pub(super) fn is_file(&self) -> bool {
        self.with_sink(|sink| sink.is_file())
    }

    /// How many lines were dropped since the start.
    pub(super) fn dropped_lines(&self) -> u64 {
        self.with_sink(|sink| sink.dropped_in_all())
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
    /// Has a log flushed soon after each line, and its file reopened on SIGHUP.
    pub fn attach_log(&mut self, log: LogHandle) {
        self.log = Some(log);
    }
}

/// Since 1970, which lines are stamped by.
#[expect(clippy::disallowed_methods, reason = "lines are stamped by the wall clock")]
fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// What the logger writes to, each line in a few pieces.
struct Lines {
    line: Vec<u8>,
    log_file: LogHandle,
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
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

/// Puts lines together, which simplelog would do in dozens of pieces.
struct Formatted {
    formatter: Arc<Formatter>,
    lines: WriteLogger<Lines>,
    log_file: LogHandle,
}

impl Log for Formatted {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.lines.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let level = record.level();
        let mut line = String::with_capacity(LINE_BYTES);
        self.formatter.write(&mut line, record, now());
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
