//! What a line of the log looks like.
//!
//! As text it is `STAMP LEVEL words key=value key=value`; as JSON an object with `time`, `level`, `message` (the words) and
//! the fields under their own names. Where the journal reads it, each begins with its priority as `<N>`, and text has neither
//! stamp nor level: the journal has its own.
//!
//! This module must not know where lines go.

use super::stamp::Stamp;
use crate::text::{escaped, is_harmful};
use log::kv::{Error, Key, Value, VisitSource, VisitValue};
use log::{Level, Record};
use std::fmt::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How the lines of a log are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// `STAMP LEVEL words key=value`.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

pub(super) struct Formatter {
    format: LogFormat,
    /// Whether the journal reads the lines.
    has_priority: bool,
    stamp: Mutex<Stamp>,
}

impl Formatter {
    pub(super) fn new(format: LogFormat, has_priority: bool) -> Formatter {
        Formatter { format, has_priority, stamp: Mutex::default() }
    }

    /// Puts a line together, without its end. Nothing in it can end it, whoever chose it.
    pub(super) fn write(&self, line: &mut String, record: &Record<'_>, since_1970: Duration) {
        let level = record.level();
        if self.has_priority {
            line.push_str(priority(level));
        }
        // Writing to a string cannot fail.
        let _ = match self.format {
            LogFormat::Json => self.write_object(line, record, since_1970),
            LogFormat::Text if self.has_priority => line.write_fmt(*record.args()),
            LogFormat::Text => {
                self.write_stamp(line, since_1970);
                line.push(' ');
                line.push_str(level.as_str());
                line.push(' ');
                line.write_fmt(*record.args())
            }
        };
        // Few lines have anything but printable ASCII, and that is seen at once.
        if line.bytes().fold(false, |is_odd, byte| is_odd | !(b' '..=b'~').contains(&byte)) {
            let harmless = escaped(line).to_string();
            *line = harmless;
        }
    }

    fn write_object(&self, line: &mut String, record: &Record<'_>, since_1970: Duration) -> fmt::Result {
        line.push_str("{\"time\":\"");
        self.write_stamp(line, since_1970);
        write!(line, "\",\"level\":\"{}\",\"message\":\"", record.level())?;
        let fields = record.key_values();
        match fields.get(Key::from_str_static(WORDS)) {
            Some(words) => write!(InString(line), "{words}")?,
            None => InString(line).write_fmt(*record.args())?,
        }
        line.push('"');
        fields.visit(&mut Fields(line)).map_err(|_| fmt::Error)?;
        line.push('}');
        Ok(())
    }

    fn write_stamp(&self, line: &mut String, since_1970: Duration) {
        // A stamp is whole after every statement, so one that a panic left behind can be used.
        self.stamp.lock().unwrap_or_else(PoisonError::into_inner).write(line, since_1970);
    }
}

/// The field that has an event's words.
const WORDS: &str = "event";

/// As sd-daemon(3) has them.
fn priority(level: Level) -> &'static str {
    match level {
        Level::Error => "<3>",
        Level::Warn => "<4>",
        Level::Info => "<6>",
        Level::Debug | Level::Trace => "<7>",
    }
}

/// Writes fields of an object behind others.
struct Fields<'a>(&'a mut String);

impl<'kvs> VisitSource<'kvs> for Fields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        if key.as_str() == WORDS {
            return Ok(());
        }
        self.0.push_str(",\"");
        InString(self.0).write_str(key.as_str())?;
        self.0.push_str("\":");
        value.visit(Scalar(self.0))
    }
}

/// Writes a value: numbers as numbers, and all else as a string.
struct Scalar<'a>(&'a mut String);

impl<'v> VisitValue<'v> for Scalar<'_> {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), Error> {
        self.0.push('"');
        write!(InString(self.0), "{value}")?;
        self.0.push('"');
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), Error> {
        Ok(write!(self.0, "{value}")?)
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), Error> {
        Ok(write!(self.0, "{value}")?)
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), Error> {
        match value.is_finite() {
            true => Ok(write!(self.0, "{value}")?),
            // JSON has no such numbers.
            false => self.visit_any(Value::from_display(&value)),
        }
    }
}

/// The inside of a JSON string. What could end a line or move a cursor is escaped too, which JSON leaves to whoever writes.
struct InString<'a>(&'a mut String);

impl Write for InString<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut plain = text;
        while let Some(at) = plain.find(|c| matches!(c, '"' | '\\') || is_harmful(c)) {
            let (before, rest) = plain.split_at(at);
            self.0.push_str(before);
            let mut rest = rest.chars();
            match rest.next() {
                Some(c @ ('"' | '\\')) => self.0.extend(['\\', c]),
                // All of them have four digits at most.
                Some(c) => write!(self.0, "\\u{:04x}", u32::from(c))?,
                None => {}
            }
            plain = rest.as_str();
        }
        self.0.push_str(plain);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value as Json;

    fn written(format: LogFormat, has_priority: bool, record: &Record<'_>) -> String {
        let mut line = String::new();
        Formatter::new(format, has_priority).write(&mut line, record, Duration::from_micros(1_000_001));
        line
    }

    fn fields<'a>(name: &'a str, number: f64) -> [(&'static str, Value<'a>); 4] {
        [
            ("event", Value::from("wrong password")),
            ("conn", Value::from(7_u32)),
            ("name", Value::from(name)),
            ("owed", Value::from(number)),
        ]
    }

    #[test]
    fn a_line_is_the_same_event_in_every_format() {
        let fields = fields("ann", 1.5);
        let args = "wrong password conn=7 name=ann owed=1.5";
        let written = |format, has_priority| {
            let mut record = Record::builder();
            record.level(Level::Warn).key_values(&fields);
            written(format, has_priority, &record.args(format_args!("{args}")).build())
        };
        let object = "{\"time\":\"1970-01-01T00:00:01.000001Z\",\"level\":\"WARN\",\"message\":\"wrong password\",\
                      \"conn\":7,\"name\":\"ann\",\"owed\":1.5}";
        assert_eq!(written(LogFormat::Text, false), format!("1970-01-01T00:00:01.000001Z WARN {args}"));
        assert_eq!(written(LogFormat::Text, true), format!("<4>{args}"));
        assert_eq!(written(LogFormat::Json, false), object);
        assert_eq!(written(LogFormat::Json, true), format!("<4>{object}"));
    }

    #[test]
    fn what_has_no_fields_is_a_message() {
        let record = Record::builder().level(Level::Info).args(format_args!("stop\"ped\n")).build();
        let object: Json = serde_json::from_str(&written(LogFormat::Json, false, &record)).unwrap();
        assert_eq!(object["message"], "stop\"ped\n");
        assert_eq!(object.as_object().unwrap().len(), 3);
        assert_eq!(written(LogFormat::Text, true, &record), "<6>stop\"ped\\u{a}");
        let record = Record::builder().level(Level::Info).args(format_args!("two\nlines\n")).build();
        assert_eq!(written(LogFormat::Text, true, &record), "<6>two\\u{a}lines\\u{a}");
    }

    #[test]
    fn no_number_is_one_that_json_has_not() {
        for number in [f64::NAN, f64::INFINITY, -0.0, 1e300, 5e-324] {
            let fields = fields("", number);
            let record = Record::builder().level(Level::Info).key_values(&fields).build();
            let object: Json = serde_json::from_str(&written(LogFormat::Json, false, &record)).unwrap();
            assert_eq!(object["owed"].is_string(), !number.is_finite(), "{object}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_logged_is_one_line_and_comes_back_as_it_was(name: String, words: String) {
            let fields = fields(&name, 0.0);
            let written = |format| {
                let mut record = Record::builder();
                record.level(Level::Info).key_values(&fields);
                written(format, false, &record.args(format_args!("{words}")).build())
            };
            let line = written(LogFormat::Json);
            prop_assert!(!line.chars().any(is_harmful), "{}", line);
            let object: Json = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(&object["name"], &name);
            let line = written(LogFormat::Text);
            prop_assert!(!line.chars().any(is_harmful), "{}", line);
        }
    }
}
