//! The documented keys of the JSON report are those that it has, in every scenario.

use super::{CHAT, Server, finish, start};
use porter::load::SCHEMA;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A line of the schema.
struct Key {
    name: &'static str,
    kind: &'static str,
    /// The flag or scenario without which the key is not there.
    only: Option<&'static str>,
}

struct Schema(BTreeMap<&'static str, Vec<Key>>);

impl Schema {
    fn documented() -> Schema {
        let mut objects: BTreeMap<&str, Vec<Key>> = BTreeMap::new();
        let mut object = "";
        for line in SCHEMA.lines().filter(|line| !line.is_empty()) {
            let mut words = line.split_whitespace();
            let first = words.next().unwrap();
            if !line.starts_with("  ") {
                object = first.trim_end_matches(':');
                objects.insert(object, Vec::new());
                continue;
            }
            let kind = words.next().unwrap();
            let only =
                words.next().and_then(|word| word.strip_prefix('[')).map(|word| word.trim_end_matches(']'));
            objects.get_mut(object).unwrap().push(Key { name: first, kind, only });
        }
        Schema(objects)
    }

    /// Whether a value is of a kind, and all in it.
    fn check(&self, path: &str, value: &Value, kind: &str, given: &[&str]) {
        let Some(keys) = self.0.get(kind) else {
            let is = |kind: &str| match kind {
                "text" => value.is_string(),
                "count" => value.is_u64(),
                "number" => value.is_number(),
                "bool" => value.is_boolean(),
                "null" => value.is_null(),
                other => panic!("{path}: the schema does not say what {other} is"),
            };
            if let Some(object) = kind.strip_suffix("|null").filter(|object| self.0.contains_key(object)) {
                if !value.is_null() {
                    self.check(path, value, object, given);
                }
                return;
            }
            assert!(kind.split('|').any(is), "{path}: {value} is no {kind}");
            return;
        };
        let values = value.as_object().unwrap_or_else(|| panic!("{path}: {value} is no object"));
        if let [Key { name: "*", kind, .. }] = keys.as_slice() {
            for (name, value) in values {
                self.check(&format!("{path}.{name}"), value, kind, given);
            }
            return;
        }
        let keys: Vec<&Key> =
            keys.iter().filter(|key| key.only.is_none_or(|only| given.contains(&only))).collect();
        let documented: BTreeSet<&str> = keys.iter().map(|key| key.name).collect();
        let there: BTreeSet<&str> = values.keys().map(String::as_str).collect();
        assert_eq!(there, documented, "{path} of {given:?}");
        for key in keys {
            self.check(&format!("{path}.{}", key.name), &values[key.name], key.kind, given);
        }
    }
}

#[test]
fn every_scenario_has_the_documented_keys_and_no_others() {
    let schema = Schema::documented();
    let (server, chat) = (Server::start(&[]), Server::start(&CHAT));
    let pid = server.pid().as_raw_nonzero().to_string();
    let watched = ["--pid", pid.as_str()];
    let short = ["--seconds", "1"];
    let storm = ["--seconds", "1", "--logins", "1", "--rate", "10", "--login", "resume"];
    for (scenario, flags) in [
        ("sequential", &[][..]),
        ("sequential", &["--against-knock"]),
        ("sequential", &["--against-knock", "--pid", &pid]),
        ("knock", &watched),
        ("steady", &short),
        ("idle", &short),
        ("idle", &[short, watched].concat()),
        ("storm", &[&storm[..], &watched].concat()),
        ("reconnect", &watched),
        ("chat", &[short, watched].concat()),
        ("chat", &["--seconds", "1", "--rate", "20"]),
    ] {
        let usual = ["--scenario", scenario, "--clients", "5", "--json"];
        let address = if scenario == "chat" { chat.address } else { server.address };
        let (code, stdout, stderr) = finish(start(address, &[&usual, flags].concat()));
        assert_eq!((code, stdout.lines().count(), stderr.as_str()), (0, 1, ""), "{scenario}");
        let report: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!(report["scenario"], scenario);
        schema.check("report", &report, "report", &[flags, &[scenario]].concat());
    }
}

#[test]
fn failures_are_as_documented_and_the_help_has_the_schema() {
    let server = Server::start(&["--max-connections", "10"]);
    let flags = ["--scenario", "idle", "--seconds", "1", "--clients", "12", "--json"];
    let (code, stdout, _) = finish(start(server.address, &flags));
    assert_eq!(code, 1);
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["failures"]["Busy"]["count"], 2);
    Schema::documented().check("report", &report, "report", &["idle"]);
    let (code, help, _) = finish(start(server.address, &["--help-json"]));
    assert!(code == 0 && help.contains(SCHEMA.trim_end()), "{help}");
    let (code, help, _) = finish(start(server.address, &["--help"]));
    assert!(code == 0 && help.contains("--help-json") && !help.contains("tester_was_limit"), "{help}");
}
