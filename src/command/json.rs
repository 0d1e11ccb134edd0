//! Answers as JSON, an object a line: what the control socket says.

use super::{Answer, FigureValue};
use crate::store::Account;
use serde_json::{Map, Value, json};

impl Answer {
    /// The object.
    pub fn to_json(&self) -> Value {
        match self {
            Answer::Text(text) => json!({ "text": text }),
            Answer::Present { name, peer: Some(peer), .. } => {
                json!({ "name": name.as_str(), "state": "online", "peer": peer.to_string() })
            }
            Answer::Present { name, resumable, .. } => {
                json!({ "name": name.as_str(), "state": "lost", "resumable_seconds": resumable.as_secs() })
            }
            Answer::Presence { online, lost, strangers } => {
                json!({ "online": online, "lost": lost, "not_logged_in": strangers })
            }
            Answer::Figures(figures) => {
                let values =
                    figures.values.iter().map(|figure| (figure.name.to_owned(), value(&figure.value)));
                Value::Object(values.collect::<Map<_, _>>())
            }
            Answer::Policy { hash_rounds, min_password_characters } => {
                json!({ "hash_rounds": hash_rounds, "min_password_characters": min_password_characters })
            }
            Answer::Debt { origin, owed } => json!({ "address": origin, "owed_seconds": owed.as_secs_f64() }),
            Answer::User { account: Account { name, password, is_disabled, registered }, seen } => json!({
                "name": name.as_str(),
                "registered": registered.to_string(),
                "state": if *is_disabled { "disabled" } else { "active" },
                "rounds": password.rounds,
                "seen": seen.map(|seen| seen.to_string()),
            }),
            Answer::Record(account) => {
                let [name, password, registered] = Answer::record(account);
                json!({ "name": name, "password": password, "registered": registered })
            }
            Answer::Hash(hash) => json!({ "password": hash.to_phc() }),
            Answer::Done(text) => json!({ "done": text }),
            Answer::Failed(text) => json!({ "error": text }),
        }
    }
}

fn value(value: &FigureValue) -> Value {
    match value {
        FigureValue::Counter(value) | FigureValue::Gauge(value) => number(*value),
        FigureValue::Counters(_, values) | FigureValue::Gauges(_, values) => {
            Value::Object(values.iter().map(|(label, value)| (label.clone(), number(*value))).collect())
        }
        FigureValue::Histogram { classes, sum } => {
            // JSON knows no infinity.
            let end = |end: f64| if end.is_finite() { end.to_string() } else { "+Inf".to_owned() };
            let all: u64 = classes.iter().map(|(_, count)| count).sum();
            let classes: Map<_, _> = classes.iter().map(|(most, count)| (end(*most), json!(count))).collect();
            json!({ "classes": classes, "count": all, "sum": sum })
        }
    }
}

/// Whole where it is whole.
fn number(value: f64) -> Value {
    let whole = value as u64;
    if whole as f64 == value { json!(whole) } else { json!(value) }
}
