//! The report of a run: figures, as a table for people and as JSON for programs.

use super::plot;
use super::stats::{FailuresByKind, Latencies, Percentiles, Tally};
use super::{Mishap, Plan};
use comfy_table::{Cell, CellAlignment, Table, presets};
use serde::Serialize;
use std::fmt::Write;
use std::time::Duration;

/// From this share of a processor on, the tester itself may have been the limit.
const SHARE_OF_LIMIT: f64 = 0.9;

/// What came of a run. Serialised, it is the object that `porter-load --json` prints.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// `sequential`.
    pub scenario: &'static str,
    /// Visits in all, failed ones included.
    pub clients: u64,
    /// Visits that failed.
    pub failed: u64,
    /// Visits at once.
    pub concurrency: usize,
    /// Users that the clients took turns to be.
    pub users: u32,
    /// Messages of each client.
    pub messages: u32,
    /// Bytes of text in each message.
    pub size_bytes: usize,
    /// Seconds that users took to register and log in before the measured run.
    pub preparation_seconds: f64,
    /// Seconds of the measured run.
    pub seconds: f64,
    /// Visits that did not fail, each second.
    pub clients_per_second: f64,
    /// Messages whose echo came, each second.
    pub messages_per_second: f64,
    /// Million bytes of text whose echo came, each second; one way.
    pub megabytes_per_second: f64,
    /// Microseconds from asking the system for a connection until it is there.
    pub connect_us: Percentiles,
    /// Microseconds from sending Identify until Welcome; Hello and the server's accept included, since the client
    /// does not wait for them.
    pub login_us: Percentiles,
    /// Microseconds from sending a message until its echo.
    pub message_us: Percentiles,
    /// Failures by kind.
    pub failures: FailuresByKind,
    /// The part of one processor that the load tester itself used, 0 to 1.
    pub tester_processor_share: f64,
    /// Whether that is so much that the figures may show the tester's limit and not the server's.
    pub tester_was_limit: bool,
    /// Whether this is a debug build, whose figures mean nothing.
    pub debug_build: bool,
    #[serde(skip)]
    latencies: Latencies,
}

impl Report {
    pub(super) fn new(
        plan: &Plan,
        tally: Tally,
        preparation: Duration,
        elapsed: Duration,
        processor: Duration,
    ) -> Report {
        let seconds = elapsed.as_secs_f64();
        let rate = |amount: f64| if seconds > 0.0 { round(amount / seconds, 3) } else { 0.0 };
        let Tally { visits, failed, failures, latencies } = tally;
        let echoed = latencies.message.count() as f64;
        let share = round(if seconds > 0.0 { processor.as_secs_f64() / seconds } else { 0.0 }, 3);
        Report {
            scenario: "sequential",
            clients: visits,
            failed,
            concurrency: plan.places(),
            users: plan.users,
            messages: plan.messages,
            size_bytes: plan.size_bytes,
            preparation_seconds: round(preparation.as_secs_f64(), 6),
            seconds: round(seconds, 6),
            clients_per_second: rate((visits - failed) as f64),
            messages_per_second: rate(echoed),
            megabytes_per_second: rate(echoed * plan.size_bytes as f64 / 1e6),
            connect_us: latencies.connect.percentiles(),
            login_us: latencies.login.percentiles(),
            message_us: latencies.message.percentiles(),
            failures,
            tester_processor_share: share,
            tester_was_limit: share >= SHARE_OF_LIMIT,
            debug_build: cfg!(debug_assertions),
            latencies,
        }
    }

    /// One JSON object on one line.
    ///
    /// # Errors
    /// [`Mishap`] never in practice: every field can be written.
    pub fn json(&self) -> Result<String, Mishap> {
        serde_json::to_string(self)
            .map_err(|error| Mishap::new("no_json", format!("the report is no JSON: {error}")))
    }

    /// What a person reads: totals, latencies, failures; ends with a line end.
    pub fn table(&self) -> String {
        let mut text = format!("{}\n{}\n", self.totals(), self.latency_table());
        for (kind, failures) in &self.failures {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{} failed, {kind}: {}", failures.count, failures.reason);
        }
        let _ = writeln!(
            text,
            "Not measured: {} registered or logged in once before, in {:.2} s, so that the logins above are those \
             that the server\nremembers, without the full cost of a password hash.",
            counted(u64::from(self.users), "user"),
            self.preparation_seconds
        );
        let _ = writeln!(
            text,
            "porter-load itself used {:.0} % of one processor{}.",
            self.tester_processor_share * 100.0,
            if self.tester_was_limit { ": the figures may show its limit, not the server's" } else { "" }
        );
        text
    }

    /// A picture of the latencies by percentile: an SVG document.
    pub fn plot(&self) -> String {
        let title = format!("porter: latency of {}", counted(self.clients, "visit"));
        let manner = self.manner();
        let failed = if self.failed == 0 { String::new() } else { format!(", {} failed", self.failed) };
        let messages = match self.messages {
            0 => "no message".to_owned(),
            count => {
                format!("{} of {}", counted(count.into(), "message"), counted(self.size_bytes as u64, "byte"))
            }
        };
        let rate = grouped(self.clients_per_second.round() as u64);
        let subtitle = format!("{manner}, each with {messages}; {rate} visits/s{failed}");
        plot::draw(&title, &subtitle, &self.latencies)
    }

    fn manner(&self) -> String {
        match self.concurrency {
            1 => "one after another".to_owned(),
            concurrency => format!("{} at a time", grouped(concurrency as u64)),
        }
    }

    fn totals(&self) -> Table {
        let mut table = empty_table();
        table.set_header(["clients", "failed", "seconds", "clients/s", "messages/s", "MB/s"].map(right));
        table.add_row(
            [
                format!("{} ({})", self.clients, self.manner()),
                self.failed.to_string(),
                format!("{:.3}", self.seconds),
                format!("{:.0}", self.clients_per_second),
                format!("{:.0}", self.messages_per_second),
                format!("{:.3}", self.megabytes_per_second),
            ]
            .map(right),
        );
        table
    }

    fn latency_table(&self) -> Table {
        let mut table = empty_table();
        let heads = ["p50", "p90", "p99", "p99.9", "max"].map(right);
        table.set_header([Cell::new("latency in µs")].into_iter().chain(heads));
        for (name, shown) in
            [("connect", self.connect_us), ("login", self.login_us), ("message", self.message_us)]
        {
            let Percentiles { p50, p90, p99, p999, max, .. } = shown;
            let figures = [p50, p90, p99, p999, max].map(|figure| right(format!("{figure:.1}")));
            table.add_row([Cell::new(name)].into_iter().chain(figures));
        }
        table
    }
}

fn empty_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table
}

fn right(text: impl ToString) -> Cell {
    Cell::new(text.to_string()).set_alignment(CellAlignment::Right)
}

/// `1 user`, `40 000 users`.
fn counted(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// With a space before each three digits.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in (0..digits.len()).rev().zip(digits.chars()) {
        text.push(digit);
        if place > 0 && place % 3 == 0 {
            text.push(' ');
        }
    }
    text
}

fn round(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three_digits() {
        let shown = [0, 7, 999, 1_000, 40_000, 1_234_567].map(grouped);
        assert_eq!(shown, ["0", "7", "999", "1 000", "40 000", "1 234 567"]);
        assert_eq!((counted(1, "user").as_str(), counted(1_000, "user").as_str()), ("1 user", "1 000 users"));
    }

    #[test]
    fn rates_are_of_what_succeeded_and_the_tester_tells_when_it_was_the_limit() {
        let mut tally = Tally::default();
        for number in 0..10 {
            let outcome = if number == 0 { Err(Mishap::new("no_echo", "none came")) } else { Ok(()) };
            tally.count(outcome);
            tally.latencies.message.record(Duration::from_micros(20));
        }
        let second = Duration::from_secs(1);
        let report = |processor| Report::new(&Plan::default(), tally.clone(), second, second * 2, processor);
        let idle = report(second);
        assert_eq!((idle.clients_per_second, idle.messages_per_second), (4.5, 5.0));
        assert!(!idle.tester_was_limit && !idle.table().contains("its limit"));
        assert!(idle.table().contains("1 failed, no_echo: none came"));
        let busy = report(second * 2);
        assert!(busy.tester_was_limit && busy.table().contains("its limit"));
    }
}
