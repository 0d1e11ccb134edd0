//! Answers, for a person or for a program.

use crate::ask::Porter;
use porter::cli::Failure;
use serde_json::{Map, Value};
use std::io::{self, BufWriter, Write};

/// Prints answers on stdout.
pub(crate) struct Shown {
    is_json: bool,
    stdout: BufWriter<io::Stdout>,
    /// The columns of the table that is being shown, and their widths.
    columns: Vec<(String, usize)>,
}

impl Shown {
    pub(crate) fn new(is_json: bool) -> Shown {
        Shown { is_json, stdout: BufWriter::new(io::stdout()), columns: Vec::new() }
    }

    /// Asks, and shows all that is answered.
    ///
    /// # Errors
    /// [`Failure`] as for [`Porter::ask`], or if stdout cannot be written.
    pub(crate) fn show_all(mut self, porter: &mut dyn Porter, lines: &[String]) -> Result<(), Failure> {
        let done = porter.ask(lines, &mut |object| self.show(object))?;
        if !done.is_empty() {
            self.line(&Shown::done(self.is_json, &done))?;
        }
        self.stdout.flush().map_err(gone)
    }

    /// What is said when something was done.
    pub(crate) fn done(is_json: bool, done: &str) -> String {
        if is_json { serde_json::json!({ "done": done }).to_string() } else { done.to_owned() }
    }

    fn show(&mut self, object: &Map<String, Value>) -> Result<(), Failure> {
        if self.is_json {
            return self.line(&Value::Object(object.clone()).to_string());
        }
        if let Some(text) = object.get("text").and_then(Value::as_str) {
            return self.line(text);
        }
        let is_row = object.contains_key("name") || object.contains_key("address");
        if !is_row {
            for (key, value) in object {
                self.line(&format!("{}: {}", key.replace('_', " "), plain(value)))?;
            }
            return Ok(());
        }
        if self.columns.iter().map(|(key, _)| key).ne(object.keys()) {
            self.columns = object.iter().map(|(key, value)| (key.clone(), width(key, value))).collect();
            let heads: Vec<String> = self.columns.iter().map(|(key, _)| key.replace('_', " ")).collect();
            self.row(&heads)?;
        }
        self.row(&object.values().map(plain).collect::<Vec<_>>())
    }

    fn row(&mut self, cells: &[String]) -> Result<(), Failure> {
        let padded = self.columns.iter().zip(cells).map(|((_, width), cell)| format!("{cell:width$}  "));
        let line: String = padded.collect();
        self.line(line.trim_end())
    }

    fn line(&mut self, text: &str) -> Result<(), Failure> {
        writeln!(self.stdout, "{text}").map_err(gone)
    }
}

/// Names and addresses have room for most of them; the rest is as wide as it is in the first row.
fn width(key: &str, value: &Value) -> usize {
    let least = if ["name", "peer", "address"].contains(&key) { 20 } else { 0 };
    plain(value).chars().count().max(key.len()).max(least)
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        // Nobody reads nanoseconds behind seconds.
        Value::Number(number) if number.is_f64() && number.as_f64().is_some_and(|number| number >= 1.0) => {
            format!("{:.1}", number.as_f64().unwrap_or_default())
        }
        other => other.to_string(),
    }
}

/// Writes what import takes.
///
/// # Errors
/// [`Failure`] as for [`Porter::ask`], or if stdout cannot be written.
pub(crate) fn export(porter: &mut dyn Porter) -> Result<(), Failure> {
    let mut csv = csv::Writer::from_writer(io::stdout());
    let bad = |error: csv::Error| gone(error.into());
    csv.write_record(["name", "password", "registered"]).map_err(bad)?;
    porter.ask(&["users export".to_owned()], &mut |object| {
        let field = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
        csv.write_record(["name", "password", "registered"].map(field)).map_err(bad)
    })?;
    csv.flush().map_err(gone)
}

/// Whoever reads may have seen enough.
fn gone(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::silent(),
        _ => Failure::failed(format_args!("cannot write to stdout: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_person_reads_no_nanoseconds() {
        for (value, shown) in [
            (json!(19.959_025_74), "20.0"),
            (json!(0.000_058), "0.000058"),
            (json!(7), "7"),
            (json!(null), "-"),
            (json!("ann"), "ann"),
        ] {
            assert_eq!(plain(&value), shown);
        }
    }
}
