//! Lines on their way out: gathered, written together, and dropped and counted when too many wait.

use super::destination::Destination;
use super::format::Formatter;
use super::now;
use crate::limits::LOG_BUFFER_BYTES;
use crate::server::stderr::warn_stderr;
use log::kv::Value;
use log::{Level, Record};
use std::io;
use std::sync::Arc;

pub(super) struct Sink {
    destination: Destination,
    /// For the line about others that were dropped.
    formatter: Arc<Formatter>,
    /// Whole lines that wait to be written.
    waiting: Vec<u8>,
    dropped_lines: u64,
    /// The same since the start, and told already.
    dropped_before: u64,
    /// What was written last is the beginning of a line; the rest of it waits.
    within_line: bool,
    /// A line that waits is a warning or worse.
    pub(super) urgent: bool,
    /// Of what waited last, some was taken: whoever reads is there.
    pub(super) is_moving: bool,
    /// It could not be written, and that has been said.
    failing: bool,
}

impl Sink {
    pub(super) fn new(destination: Destination, formatter: Arc<Formatter>) -> Sink {
        Sink {
            destination,
            formatter,
            waiting: Vec::new(),
            dropped_lines: 0,
            dropped_before: 0,
            within_line: false,
            urgent: false,
            is_moving: false,
            failing: false,
        }
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty() || self.dropped_lines > 0
    }

    /// How many lines were dropped since the start.
    pub(super) fn dropped_in_all(&self) -> u64 {
        self.dropped_before + self.dropped_lines
    }

    /// The line is whole: it waits, or is dropped and counted if too many wait already.
    pub(super) fn take_line(&mut self, line: &[u8]) {
        if self.waiting.len() + line.len() > LOG_BUFFER_BYTES {
            self.write_out();
        }
        if self.waiting.len() + line.len() <= LOG_BUFFER_BYTES {
            self.waiting.extend_from_slice(line);
        } else {
            self.dropped_lines += 1;
        }
    }

    pub(super) fn write_out(&mut self) {
        self.urgent = false;
        self.is_moving = false;
        match self.try_write() {
            Ok(()) => {
                if std::mem::take(&mut self.failing)
                    && let Some(path) = self.destination.path()
                {
                    warn_stderr(&format!("the log file {} can be written again", path.display()));
                }
            }
            // A pipe whose reader is slow: not worth a word until lines are lost, and then the log tells.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                // Perhaps a new file can be had where this one cannot be written.
                self.destination.close();
                if !std::mem::replace(&mut self.failing, true)
                    && let Some(path) = self.destination.path()
                {
                    let path = path.display();
                    warn_stderr(&format!(
                        "the log file {path} cannot be written: {error}; the service goes on without"
                    ));
                }
            }
        }
    }

    /// The old file was moved away by whoever rotates logs.
    pub(super) fn reopen(&mut self) {
        self.write_out();
        self.leave_file();
        self.write_out();
    }

    /// If the old file took only a part of a line, the rest would stand at the top of the new one.
    fn leave_file(&mut self) {
        if self.destination.close() && std::mem::take(&mut self.within_line) {
            let rest =
                self.waiting.iter().position(|byte| *byte == b'\n').map_or(self.waiting.len(), |end| end + 1);
            self.waiting.drain(..rest);
            self.dropped_lines += 1;
        }
    }

    /// Whether a SIGHUP has it opened anew.
    pub(super) fn is_file(&self) -> bool {
        self.destination.path().is_some()
    }

    fn try_write(&mut self) -> io::Result<()> {
        loop {
            while !self.waiting.is_empty() {
                match self.destination.write(&self.waiting) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(count) => {
                        self.is_moving = true;
                        self.within_line = !self.waiting[..count].ends_with(b"\n");
                        self.waiting.drain(..count);
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            if self.dropped_lines == 0 {
                return Ok(());
            }
            self.report_dropped();
        }
    }

    fn report_dropped(&mut self) {
        let count = std::mem::take(&mut self.dropped_lines);
        self.dropped_before += count;
        let fields = [("event", Value::from("log lines dropped")), ("count", Value::from(count))];
        let mut line = String::new();
        let mut record = Record::builder();
        record.level(Level::Warn).key_values(&fields);
        let args = format_args!("log lines dropped count={count}");
        self.formatter.write(&mut line, &record.args(args).build(), now());
        line.push('\n');
        self.waiting.extend_from_slice(line.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::LogFormat;
    use super::*;
    use std::path::Path;

    fn sink(path: &Path) -> Sink {
        Sink::new(Destination::file(path), Arc::new(Formatter::new(LogFormat::Text, false)))
    }

    #[test]
    fn lines_that_cannot_be_written_wait_are_dropped_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs").join("server.log");
        std::fs::write(folder.path().join("logs"), "in the way").unwrap();
        let mut sink = sink(&path);
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
        assert!(text.ends_with(&format!("Z WARN log lines dropped count={}\n", 1000 - waiting)));
        assert_eq!(sink.dropped_in_all(), 1000 - waiting as u64);
        assert!(!sink.failing);
    }

    /// The old file's disk was full in the middle of a line when the log was rotated.
    #[test]
    fn half_a_line_is_not_finished_in_the_next_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.log");
        let mut sink = sink(&path);
        sink.take_line(b"one\n");
        sink.write_out();
        sink.waiting.extend_from_slice(b"f of a line\nwhole\n");
        sink.within_line = true;
        std::fs::rename(&path, folder.path().join("server.log.1")).unwrap();
        sink.leave_file();
        sink.write_out();
        let text = std::fs::read_to_string(path).unwrap();
        assert!(
            text.starts_with("whole\n2") && text.ends_with(" WARN log lines dropped count=1\n"),
            "{text}"
        );
    }
}
