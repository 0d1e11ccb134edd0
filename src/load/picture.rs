//! What a report's picture shows: title, subtitle, and which latencies are drawn as what.

use super::plot::{self, Curve};
use super::table::{counted, grouped, manner};
use super::{LoginSort, Report, Scenario, Storm};

/// An SVG document.
pub(super) fn drawn(report: &Report) -> String {
    let latencies = &report.latencies;
    let mut curves = Vec::new();
    for (name, latency) in [("connect", &latencies.connect), ("login", &latencies.login)] {
        // In a storm three curves of messages are enough to look at.
        if report.scenario != Scenario::Storm {
            curves.push(Curve { name, class: name, latency });
        }
    }
    if report.curves.is_empty() || report.scenario != Scenario::Storm {
        curves.push(Curve { name: "message", class: "message", latency: &latencies.message });
    }
    for (name, latency) in &report.curves {
        let class = match *name {
            "before" => "connect",
            "during" => "login",
            "after" => "message",
            name => name,
        };
        curves.push(Curve { name, class, latency });
    }
    curves.retain(|curve| curve.latency.count() > 0);
    plot::draw(&title(report), &subtitle(report), &curves, report.timeline.as_ref())
}

fn title(report: &Report) -> String {
    let clients = report.clients;
    match report.scenario {
        Scenario::Sequential => format!("porter: latency of {}", counted(clients, "visit")),
        Scenario::Knock => format!("porter: latency of {}", counted(clients, "knock")),
        Scenario::Steady => format!("porter: latency with {}", counted(clients, "steady client")),
        Scenario::Idle => format!("porter: {} come to stay", counted(clients, "client")),
        Scenario::Storm => match &report.storm {
            Some(Storm { logins_at_once, login, .. }) => {
                let sort = match login {
                    LoginSort::Full => "full-cost logins",
                    LoginSort::Cached => "cached logins",
                    LoginSort::Resume => "resumes",
                };
                let at_once = grouped(*logins_at_once as u64);
                if *logins_at_once == 0 {
                    return "porter: latency of echoes by the clock".to_owned();
                }
                format!("porter: latency of echoes beside {sort}, {at_once} at a time")
            }
            None => "porter: latency of echoes".to_owned(),
        },
        Scenario::Reconnect => format!("porter: {} cut off and back", counted(clients, "client")),
    }
}

fn subtitle(report: &Report) -> String {
    let failed = if report.failed == 0 { String::new() } else { format!(", {} failed", report.failed) };
    let size = counted(report.size_bytes as u64, "byte");
    let whole = |rate: f64| grouped(rate.round() as u64);
    let (clients, messages) = (whole(report.clients_per_second), whole(report.messages_per_second));
    let words = match report.scenario {
        Scenario::Sequential => {
            let each = match report.messages {
                0 => "no message".to_owned(),
                count => format!("{} of {size}", counted(count.into(), "message")),
            };
            format!("{}, each with {each}; {clients} visits/s", manner(report))
        }
        Scenario::Knock => format!("{}: connect, Hello, close; {clients} knocks/s", manner(report)),
        Scenario::Steady => {
            let in_flight = counted(report.in_flight.unwrap_or(1) as u64, "message");
            format!("{in_flight} of {size} in flight each; {messages} messages/s")
        }
        Scenario::Idle => format!("{clients} logins/s, then silence"),
        Scenario::Storm => match &report.storm {
            Some(Storm { rate_per_client, logins_at_once, during, .. }) => {
                let talkers = report.clients.saturating_sub(*logins_at_once as u64);
                let logins = match during.logins_per_second {
                    _ if *logins_at_once == 0 => String::new(),
                    few if few < 100.0 => format!("; {few:.1} logins/s"),
                    many => format!("; {} logins/s", whole(many)),
                };
                let talkers = counted(talkers, "client");
                format!(
                    "{talkers}, {rate_per_client} messages/s of {size} each, counted from their schedule{logins}"
                )
            }
            None => String::new(),
        },
        Scenario::Reconnect => match &report.reconnect {
            Some(back) => {
                format!("all at once, by Resume; the last was back after {:.3} s", back.all_back_seconds)
            }
            None => String::new(),
        },
    };
    let cut = report.cut_short.as_ref().map(|cut| format!(", cut short: {}", cut.kind));
    words + &failed + &cut.unwrap_or_default()
}
