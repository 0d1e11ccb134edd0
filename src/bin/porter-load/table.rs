//! A report as a person reads it: tables, and a sentence where a figure needs one.

use comfy_table::{Cell, CellAlignment, Table, presets};
use porter::chart::duration_shown;
use porter::load::{
    AgainstKnock, Back, Chat, Idle, LoginSort, Percentiles, Phase, Report, Scenario, ServerUse, Storm,
};
use std::fmt::Write;

/// A full-cost login takes longer than this, unless hashes are cheap there.
const FULL_LOGIN_LEAST_US: f64 = 10_000.0;

/// Of the time, from which on waiting for a CPU belongs beside the latencies.
const WORTH_TELLING: f64 = 0.05;

/// Everything, ending with a line end.
pub(crate) fn written(report: &Report) -> String {
    let mut text = String::new();
    if let Some(cut) = &report.cut_short {
        say(&mut text, format_args!("CUT SHORT: {cut}; the figures are those up to then."));
    }
    say(&mut text, format_args!("{}: {}", scenario(report), report.target));
    say(&mut text, totals(report));
    say(&mut text, latency_table(report));
    unfinished(&mut text, report);
    for (kind, failures) in &report.failures {
        say(&mut text, format_args!("{} failed, {kind}: {}", failures.count, failures.reason));
    }
    if let Some(against) = &report.against_knock {
        say(&mut text, knock_table(against));
    }
    if let Some(idle) = &report.idle {
        held(&mut text, idle);
    }
    if let Some(storm) = &report.storm {
        say(&mut text, storm_table(storm));
        judge_storm(&mut text, storm);
    }
    if let Some(back) = &report.reconnect {
        came_back(&mut text, back);
    }
    if let Some(chat) = &report.chat {
        delivered(&mut text, chat);
    }
    if let Some(server) = &report.server {
        server_use(&mut text, server, report.scenario);
    }
    if let Some(reason) = &report.server_unread {
        say(&mut text, format_args!("What the server used is not known: {reason}."));
    }
    if report.scenario == Scenario::Sequential {
        say(
            &mut text,
            format_args!(
                "Not measured: {} registered or logged in once before, in {:.2} s, so that the logins above are those \
                 that the server\nremembers, without the full cost of a password hash.",
                counted(u64::from(report.users), "user"),
                report.preparation_seconds
            ),
        );
    }
    tester_use(&mut text, report);
    text
}

fn say(text: &mut String, line: impl std::fmt::Display) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{line}");
}

/// Says what the latencies have in them that never came to an end.
fn unfinished(text: &mut String, report: &Report) {
    let sorts =
        [(report.connect_us, "connection"), (report.login_us, "login"), (report.message_us, "message")];
    let whispers = report.chat.as_ref().map(|chat| (chat.whisper_us, "whisper"));
    for (Percentiles { unfinished, .. }, noun) in sorts.into_iter().chain(whispers) {
        if unfinished > 0 {
            let ends = if unfinished == 1 { "it counts" } else { "they count" };
            let many = counted(unfinished, noun);
            say(text, format_args!("{many} never came to an end: {ends} above with the time waited."));
        }
    }
}

/// What was done, and how much of it.
fn scenario(report: &Report) -> String {
    let size = counted(report.size_bytes as u64, "byte");
    if let Some(chat) = &report.chat {
        return format!("chat, {}, {}", counted(chat.readers, "reader"), texts(chat, &size));
    }
    match (report.scenario, report.messages, report.in_flight, &report.storm) {
        (Scenario::Sequential, 0, ..) => "sequential, no messages".to_owned(),
        (Scenario::Sequential, each, ..) => {
            format!("sequential, {} of {size} each", counted(each.into(), "message"))
        }
        (Scenario::Steady, _, Some(in_flight), _) => {
            format!("steady, {} of {size} in flight each", counted(in_flight as u64, "message"))
        }
        (Scenario::Storm, _, _, Some(storm)) => {
            let (rate, logins) = (storm.rate_per_client, grouped(storm.logins_at_once as u64));
            format!("storm, {rate} messages/s of {size} each, {logins} logins at once")
        }
        (scenario, ..) => format!("{scenario:?}").to_lowercase(),
    }
}

/// How a room is written to.
pub(crate) fn texts(chat: &Chat, size: &str) -> String {
    match chat.texts_due_per_second {
        Some(rate) => format!("{rate} texts/s of {size}"),
        None => format!("{} of {size} in flight", counted(chat.in_flight.unwrap_or(1) as u64, "text")),
    }
}

/// How the clients were there.
pub(crate) fn manner(report: &Report) -> String {
    match (report.scenario, report.concurrency) {
        (Scenario::Sequential | Scenario::Knock, 1) => "one after another".to_owned(),
        (Scenario::Sequential | Scenario::Knock, concurrency) => {
            format!("{} at a time", grouped(concurrency as u64))
        }
        _ => "all at once".to_owned(),
    }
}

fn totals(report: &Report) -> Table {
    let mut table = empty_table();
    let talks = report.message_us.count > 0 || report.scenario == Scenario::Sequential;
    let columns = [
        ("clients", format!("{} ({})", report.clients, manner(report)), true),
        ("failed", report.failed.to_string(), true),
        ("seconds", format!("{:.3}", report.seconds), true),
        // In `steady` and `chat` all have come before the clock started.
        (
            "clients/s",
            format!("{:.0}", report.clients_per_second),
            !matches!(report.scenario, Scenario::Steady | Scenario::Chat),
        ),
        ("messages/s", format!("{:.0}", report.messages_per_second), talks),
        ("MB/s", format!("{:.3}", report.megabytes_per_second), talks),
    ];
    let shown = || columns.iter().filter(|(.., shown)| *shown);
    table.set_header(shown().map(|(name, ..)| right(name)));
    table.add_row(shown().map(|(_, figure, _)| right(figure)));
    table
}

fn latency_table(report: &Report) -> Table {
    let mut table = empty_table();
    let heads = ["p50", "p90", "p99", "p99.9", "max"].map(right);
    table.set_header([Cell::new("latency")].into_iter().chain(heads));
    let mut add = |name: &str, shown: Percentiles| {
        table.add_row([Cell::new(name)].into_iter().chain(percentile_cells(shown)));
    };
    let login = if report.pipelined { "login, pipelined" } else { "login" };
    let message = if report.chat.is_some() { "last reader" } else { "message" };
    let rows = [("connect", report.connect_us), (login, report.login_us), (message, report.message_us)];
    for (name, shown) in rows {
        if shown.count > 0 || report.scenario == Scenario::Sequential {
            add(name, shown);
        }
    }
    if let Some(back) = &report.reconnect {
        add("time to resume", back.back_us);
    }
    if let Some(storm) = &report.storm {
        add("send delay", storm.lateness_us);
    }
    if let Some(chat) = &report.chat {
        add("whisper at rest", chat.whisper_at_rest_us);
        add("whisper", chat.whisper_us);
        add("send delay", chat.lateness_us);
    }
    table
}

fn percentile_cells(shown: Percentiles) -> impl Iterator<Item = Cell> {
    let Percentiles { p50, p90, p99, p999, max, .. } = shown;
    [p50, p90, p99, p999, max].into_iter().map(|figure| right(duration_shown(figure * 1e3)))
}

fn knock_table(against: &AgainstKnock) -> Table {
    let mut table = empty_table();
    let title = format!("median of {} blocks", against.blocks);
    table.set_header([Cell::new(title)].into_iter().chain(["sequential", "knock", "ratio"].map(right)));
    let row = |name: &str, client: f64, knock: f64, ratio: f64| {
        [
            Cell::new(name),
            right(format!("{client:.1}")),
            right(format!("{knock:.1}")),
            right(format!("{ratio:.2}")),
        ]
    };
    table.add_row(row("µs a client", against.us_per_client, against.us_per_knock, against.ratio));
    if let (Some(client), Some(knock), Some(ratio)) =
        (against.server_us_per_client, against.server_us_per_knock, against.server_ratio)
    {
        table.add_row(row("server's CPU, µs", client, knock, ratio));
    }
    table
}

fn held(text: &mut String, idle: &Idle) {
    let memory = match idle.memory_per_connection_bytes {
        Some(bytes) => format!("{bytes:.0} bytes of the server's memory for each"),
        None => "give --pid for the server's memory".to_owned(),
    };
    let share = match idle.server_processor_share {
        Some(share) => format!("; its CPU while they idled: {:.2} %", share * 100.0),
        None => String::new(),
    };
    let Idle { held, held_seconds, .. } = idle;
    say(text, format_args!("{held} connections held for {held_seconds:.1} s: {memory}{share}."));
}

fn came_back(text: &mut String, back: &Back) {
    let Back { cut_off, came_back, all_back_seconds, .. } = back;
    let last = match *came_back {
        count if count == *cut_off as u64 => "the last",
        _ => "the others failed or were waited for no more",
    };
    say(
        text,
        format_args!(
            "{cut_off} cut off at once; {came_back} came back, {last} after {all_back_seconds:.3} s."
        ),
    );
}

fn delivered(text: &mut String, chat: &Chat) {
    let each = match chat.server_ns_per_delivery {
        Some(each) => format!("{each:.0} ns of the server's CPU time for each"),
        None => "give --pid for the server's CPU time".to_owned(),
    };
    let (count, rate) = (grouped(chat.deliveries), grouped(chat.deliveries_per_second.round() as u64));
    say(text, format_args!("{count} deliveries, {rate}/s: {each}."));
}

fn storm_table(storm: &Storm) -> Table {
    let mut table = empty_table();
    let heads =
        ["messages/s", "p50", "p90", "p99", "p99.9", "max", "logins/s", "login p50", "server", "tester"];
    table.set_header([Cell::new("echo")].into_iter().chain(heads.map(right)));
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    for (name, phase) in [("before", &storm.before), ("during", &storm.during), ("after", &storm.after)] {
        let logins = [format!("{:.1}", phase.logins_per_second), duration_shown(phase.login_us.p50 * 1e3)];
        let logins = if phase.login_us.count > 0 { logins } else { ["-"; 2].map(str::to_owned) };
        let shares = [
            phase.server_processor_share.map_or("-".to_owned(), percent),
            percent(phase.tester_processor_share),
        ];
        table.add_row(
            [Cell::new(name), right(format!("{:.0}", phase.messages_per_second))]
                .into_iter()
                .chain(percentile_cells(phase.message_us))
                .chain(logins.into_iter().chain(shares).map(right)),
        );
    }
    table
}

/// Says where the figures may not mean what they seem to.
fn judge_storm(text: &mut String, storm: &Storm) {
    let Phase { login_us, .. } = storm.during;
    if let Some(hash_us) = storm.hash_us {
        let hash = hash_us / 1e3;
        say(
            text,
            format_args!(
                "Before the run a login that pays for a hash took {hash:.1} ms, and the next one as much."
            ),
        );
    }
    if storm.login == LoginSort::Cached && login_us.p50 > FULL_LOGIN_LEAST_US {
        say(
            text,
            "The logins took so long that the server may have hashed them: `--login cached` needs its --login-cache.",
        );
    }
    if storm.during.login_us.count == 0 && storm.logins_at_once > 0 {
        say(text, "No login came to its end while they were tried: give a longer --seconds.");
    }
}

fn server_use(text: &mut String, server: &ServerUse, scenario: Scenario) {
    let each = [
        (server.us_per_connection, "connection"),
        (server.us_per_login, "login"),
        (server.us_per_message, "message"),
    ];
    let mut parts: Vec<(f64, &str)> = each.into_iter().filter_map(|(us, noun)| Some((us?, noun))).collect();
    if matches!(scenario, Scenario::Storm | Scenario::Chat) {
        // Where logins and messages come together, the time of both divided by one of them means nothing.
        parts.clear();
    } else if parts.iter().all(|(us, _)| Some(*us) == server.us_per_connection) {
        parts.truncate(1);
        parts.iter_mut().for_each(|(_, noun)| *noun = "client");
    }
    let parts: Vec<String> = parts.into_iter().map(|(us, noun)| format!("{us:.2} µs a {noun}")).collect();
    let parts = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    let kibibytes = |bytes: u64| format!("{} KiB", grouped(bytes / 1_024));
    let (seconds, share) = (server.processor_seconds, server.processor_share * 100.0);
    let waited = match server.waited_share {
        Some(waited) if waited >= WORTH_TELLING => {
            format!(", and waited for it {:.0} % of the time", waited * 100.0)
        }
        _ => String::new(),
    };
    say(
        text,
        format_args!(
            "The server used {seconds:.2} s of CPU time ({share:.0} % of one{waited}){parts};\nmemory {} before, {} after.",
            kibibytes(server.memory_before_bytes),
            server.memory_after_bytes.map_or_else(|| "unknown".to_owned(), kibibytes)
        ),
    );
}

fn tester_use(text: &mut String, report: &Report) {
    let share = report.tester_processor_share * 100.0;
    let waited = match report.tester_waited_share {
        Some(waited) if waited >= WORTH_TELLING => {
            format!(", and waited for one {:.0} % of the time: others had it", waited * 100.0)
        }
        _ => String::new(),
    };
    let limit =
        if report.tester_was_limit { "; the figures may show its limit, not the server's" } else { "" };
    say(text, format_args!("porter-load itself used {share:.0} % of one CPU{waited}{limit}."));
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
pub(crate) fn counted(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// With a space before each three digits.
pub(crate) fn grouped(count: u64) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three_digits() {
        let shown = [0, 7, 999, 1_000, 40_000, 1_234_567].map(grouped);
        assert_eq!(shown, ["0", "7", "999", "1 000", "40 000", "1 234 567"]);
        assert_eq!((counted(1, "user").as_str(), counted(1_000, "user").as_str()), ("1 user", "1 000 users"));
    }
}
