//! Which figures there are, what they count, and whether others' parsers take them.

use super::{ask, await_line, expect_line, expect_status, figures, start, value};
use crate::support::{PASSWORD, Visitor, left_out};
use porter::protocol::Wanted;
use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Output, Stdio};

/// Everything that a server is to tell of itself, and by which labels.
const PROMISED: &[&str] = &[
    "porter_connections{state=\"not_logged_in\"}",
    "porter_connections{state=\"logged_in\"}",
    "porter_connections{state=\"closing\"}",
    "porter_connections_accepted_total",
    "porter_refused_total{code=\"Busy\"}",
    "porter_logins_total{outcome=\"full\"}",
    "porter_logins_total{outcome=\"remembered\"}",
    "porter_logins_total{outcome=\"resumed\"}",
    "porter_logins_total{outcome=\"wrong\"}",
    "porter_logins_total{outcome=\"throttled\"}",
    "porter_sessions{state=\"attached\"}",
    "porter_sessions{state=\"lost\"}",
    "porter_sessions_lost_total",
    "porter_sessions_resumed_total",
    "porter_hash_queue",
    "porter_hash_wait_seconds_count",
    "porter_hash_wait_seconds_sum",
    "porter_hash_seconds_count",
    "porter_hash_seconds_sum",
    "porter_hash_wait_expected_seconds",
    "porter_hash_rounds_total",
    "porter_received_messages_total",
    "porter_sent_messages_total",
    "porter_received_bytes_total",
    "porter_sent_bytes_total",
    "porter_output_held_bytes",
    "porter_slow_consumers_total",
    "porter_turn_seconds_bucket{le=\"0.001\"}",
    "porter_turn_seconds_bucket{le=\"+Inf\"}",
    "porter_turn_seconds_sum",
    "porter_sync_seconds_total",
    "porter_syncs_total",
    "porter_handshakes_total",
    "porter_handshakes_failed_total",
    "porter_handshakes_pending{state=\"waiting\"}",
    "porter_handshakes_pending{state=\"under_way\"}",
    "porter_store_up",
    "porter_log_lines_dropped_total",
    "porter_addresses_in_debt",
    "porter_users",
    "porter_uptime_seconds",
    concat!("porter_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"),
];

/// Hashes, logins of each kind, messages, and a session that is lost and found.
#[test]
fn what_happens_is_counted() {
    let (server, address) = start(&["--penalty", "100"]);
    let mut ann = Visitor::logged_in(&server, "ann");
    ann.message("hi");
    ann.expect_echo("hi");
    let told = figures(address);
    for line in [
        "porter_connections{state=\"logged_in\"} 1.0",
        "porter_connections_accepted_total 1.0",
        "porter_sessions{state=\"attached\"} 1.0",
        "porter_sessions_lost_total 0.0",
        "porter_logins_total{outcome=\"remembered\"} 1.0",
        "porter_logins_total{outcome=\"wrong\"} 0.0",
        "porter_hash_queue 0.0",
        "porter_hash_wait_seconds_count 1",
        "porter_hash_seconds_count 1",
        "porter_hash_rounds_total 1000.0",
        "porter_received_messages_total 2.0",
        "porter_sent_messages_total 2.0",
        "porter_refused_total{code=\"Malformed\"} 0.0",
        "porter_store_up 1.0",
        "porter_users 1.0",
    ] {
        expect_line(&told, line);
    }
    for name in PROMISED {
        assert!(value(&told, name) >= 0.0);
    }
    assert!(value(&told, "porter_hash_seconds_sum") > value(&told, "porter_hash_wait_seconds_sum"), "{told}");
    assert!(told.ends_with("# EOF\n") && !told.contains("127.0.0.1") && !told.contains("ann"), "{told}");

    let token = ann.token;
    ann.reset();
    await_line(address, "porter_sessions{state=\"lost\"} 1.0");
    let mut again = server.resumed(token);
    // A session that another connection takes over was never lost.
    let mut taken_over = server.resumed(again.token);
    again.expect_bye();
    let mut guesser = Visitor::introduced(&server, "ann", Wanted::Login);
    for code in [4, 105] {
        guesser.login("not the password");
        guesser.expect_error(code);
    }
    let told = figures(address);
    for line in [
        "porter_sessions{state=\"lost\"} 0.0",
        "porter_sessions_lost_total 1.0",
        "porter_sessions_resumed_total 1.0",
        "porter_logins_total{outcome=\"resumed\"} 2.0",
        "porter_logins_total{outcome=\"wrong\"} 1.0",
        "porter_logins_total{outcome=\"throttled\"} 1.0",
        "porter_refused_total{code=\"Throttled\"} 1.0",
        "porter_addresses_in_debt 1.0",
    ] {
        expect_line(&told, line);
    }
    taken_over.expect_echo("still here");
}

/// Nothing happens to the server but that it is asked.
#[test]
fn an_idle_servers_uptime_goes_on() {
    let (_server, address) = start(&[]);
    let uptime = || value(&figures(address), "porter_uptime_seconds");
    let (first, second) = (uptime(), uptime());
    assert!(first < second, "{first} {second}");
}

/// `stats` is the same table, for scripts.
#[test]
fn the_same_figures_are_there_as_json() {
    let (server, address) = start(&[]);
    let _ann = Visitor::logged_in(&server, "ann");
    let data = server.folder.data();
    let stats = Command::new(env!("CARGO_BIN_EXE_porter-admin"))
        .args(["--json", "--data"])
        .args([data.as_os_str(), "stats".as_ref()])
        .output()
        .unwrap();
    let stats: serde_json::Value = serde_json::from_slice(&stats.stdout).unwrap();
    let told = figures(address);
    let types = told.lines().filter_map(|line| line.strip_prefix("# TYPE porter_")?.split_once(' '));
    let names: BTreeSet<String> = types
        .map(|(name, kind)| format!("{name}{}", if kind == "counter" { "_total" } else { "" }))
        .collect();
    let keys: BTreeSet<String> = stats.as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, keys);
    for (name, key) in [
        ("porter_users", &stats["users"]),
        ("porter_sessions{state=\"attached\"}", &stats["sessions"]["attached"]),
        ("porter_logins_total{outcome=\"remembered\"}", &stats["logins_total"]["remembered"]),
        ("porter_handshakes_pending{state=\"waiting\"}", &stats["handshakes_pending"]["waiting"]),
        ("porter_hash_wait_seconds_count", &stats["hash_wait_seconds"]["count"]),
    ] {
        assert_eq!(Some(value(&told, name)), key.as_f64(), "{name} {stats}");
    }
}

fn read_by(program: &str, arguments: &[&str], text: &str) -> std::io::Result<Output> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // It may have ended without reading.
    let _ = child.stdin.take().unwrap().write_all(text.as_bytes());
    child.wait_with_output()
}

/// OpenMetrics by the parser of Prometheus's own library for Python, which is the strict one.
#[test]
fn the_parser_of_open_metrics_takes_them() {
    const NOT_THERE: i32 = 77;
    let script = "\
import sys
try:
    from prometheus_client.openmetrics.parser import text_string_to_metric_families
except ImportError:
    sys.exit(77)
for family in text_string_to_metric_families(sys.stdin.read()):
    for sample in family.samples:
        labels = ','.join('%s=\"%s\"' % label for label in sample.labels.items())
        print(sample.name + ('{' + labels + '}' if labels else ''))
";
    let (server, address) = start(&[]);
    let _ann = Visitor::logged_in(&server, "ann");
    let told = figures(address);
    // Where there are several, the library may be the system's.
    let outputs = ["python3", "/usr/bin/python3"].map(|python| read_by(python, &["-c", script], &told));
    let is_there = |output: &&Output| output.status.code() != Some(NOT_THERE);
    let Some(output) = outputs.iter().flatten().find(is_there) else {
        let what = "OpenMetrics as Prometheus's own parser reads it";
        return left_out(what, "python3-prometheus-client", &"there is no prometheus_client for Python");
    };
    assert!(output.status.success(), "{}\n{told}", String::from_utf8_lossy(&output.stderr));
    let samples = String::from_utf8_lossy(&output.stdout);
    for name in PROMISED {
        expect_line(&samples, name);
    }
}

/// The older text format by `promtool`.
#[test]
fn promtool_takes_the_older_format() {
    let (server, address) = start(&[]);
    let _ann = Visitor::logged_in(&server, "ann");
    let said = ask(address, "GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: text/plain;version=0.0.4\r\n\r\n");
    expect_status(&said, 200);
    assert!(said.contains("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{said}");
    let told = said.split_once("\r\n\r\n").unwrap().1;
    expect_line(told, "# TYPE porter_logins_total counter");
    for name in PROMISED {
        assert!(value(told, name) >= 0.0);
    }
    match read_by("promtool", &["check", "metrics"], told) {
        Err(error) => left_out("the older format by promtool", "prometheus", &error),
        Ok(output) => {
            let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
            assert!(output.status.success() && said.concat().is_empty(), "{said:?}\n{told}");
        }
    }
}

/// A password that waits behind another's of the same address is seen to wait, and counted when it is hashed.
#[test]
fn who_waits_for_a_hash_is_seen() {
    let (server, address) = start(&["--hash-rounds", "40000"]);
    let register = |name| {
        let mut visitor = Visitor::introduced(&server, name, Wanted::Register);
        visitor.register(PASSWORD);
        visitor
    };
    let mut visitors = ["ann", "bob", "cid", "dan", "eve", "fay"].map(register);
    for visitor in &mut visitors {
        visitor.expect(crate::support::Said::Wanted(Wanted::Login));
    }
    let told = figures(address);
    expect_line(&told, "porter_hash_wait_seconds_count 6");
    expect_line(&told, "porter_hash_seconds_count 6");
    expect_line(&told, "porter_hash_rounds_total 240000.0");
    let waited = [value(&told, "porter_hash_wait_seconds_sum"), value(&told, "porter_hash_seconds_sum")];
    assert!(0.0 < waited[0] && waited[0] < waited[1], "{told}");
    expect_line(&told, "porter_hash_wait_expected_seconds 0.0");
}
