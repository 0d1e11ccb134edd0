//! Whether a connection leads to the right place: a server that is new enough, takes writes, keeps them, and is the one that was
//! initialised as porter's.

use super::StoreAddress;
use super::command::Command;
use super::keys::BIRTH;
use super::pipeline::Reply;
use super::refusal::CLUSTER;
pub(super) use super::refusal::refused;
use std::str::FromStr;
use thiserror::Error;

/// What a shared store must promise of what it has acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// That it is on stable storage.
    #[default]
    Always,
    /// Nothing.
    None,
}

impl Durability {
    /// What it is called on a command line.
    pub const NAMES: [&str; 2] = ["always", "none"];
}

/// A text that is no [`Durability`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is neither {}", Durability::NAMES.join(" nor "))]
pub struct BadDurability(String);

impl FromStr for Durability {
    type Err = BadDurability;

    fn from_str(text: &str) -> Result<Durability, BadDurability> {
        match text {
            "always" => Ok(Durability::Always),
            "none" => Ok(Durability::None),
            _ => Err(BadDurability(text.to_owned())),
        }
    }
}

/// The steps of a greeting, each a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Hello,
    Select,
    Persistence,
    Clock,
    Birth,
}

const MAJOR_LEAST: u32 = 7;

/// The commands of a greeting, in order.
pub(super) fn commands(address: &StoreAddress) -> Vec<(Step, Command)> {
    let mut hello = Command::new(&["HELLO", "3"]);
    if let Some(password) = &address.password {
        let user = address.user.as_deref().unwrap_or("default");
        hello = hello.with(b"AUTH").with(user.as_bytes()).with(password.as_bytes());
    }
    let mut steps = vec![(Step::Hello, hello)];
    if address.database != 0 {
        steps.push((Step::Select, Command::new(&["SELECT", &address.database.to_string()])));
    }
    steps.push((Step::Persistence, Command::new(&["CONFIG", "GET", "append*", "maxmemory*"])));
    steps.push((Step::Clock, Command::new(&["TIME"])));
    steps.push((Step::Birth, Command::new(&["GET", BIRTH])));
    steps
}

/// Judges the reply to `HELLO`.
pub(super) fn check_hello(reply: &Reply) -> Result<(), String> {
    let Reply::Map { data, .. } = reply else { return Err(refused(reply)) };
    let entry = |wanted: &str| data.iter().find(|(key, _)| text(key) == Some(wanted)).map(|(_, value)| value);
    let version = entry("version").and_then(text).unwrap_or_default();
    let major = version.split('.').next().and_then(|major| major.parse().ok());
    if major.is_none_or(|major: u32| major < MAJOR_LEAST) {
        return Err(format!("it is of version {version:?}, and {MAJOR_LEAST}.0 is the least"));
    }
    match entry("mode").and_then(text) {
        Some("cluster") => return Err(CLUSTER.to_owned()),
        Some("sentinel") => {
            return Err("it is a Sentinel, which keeps nothing: give the primary in --store".to_owned());
        }
        _ => {}
    }
    match entry("role").and_then(text) {
        Some("master") => Ok(()),
        role => {
            let role = role.unwrap_or("server of an unknown role");
            Err(format!("it is a {role}, which takes no writes: give the primary in --store"))
        }
    }
}

/// Judges what the server says of how it keeps things.
pub(super) fn check_persistence(reply: &Reply, wanted: Durability) -> Result<(), String> {
    if wanted == Durability::None {
        return Ok(());
    }
    let way_out = "set \"appendonly yes\" and \"appendfsync always\" there, or accept less with --store-durability none";
    if !matches!(reply, Reply::Map { .. }) {
        return Err(format!("how it keeps things cannot be found out ({}); {way_out}", refused(reply)));
    }
    less_than_always(reply).map_or(Ok(()), |found| Err(format!("{found}: {way_out}")))
}

/// The first of its settings by which something may be lost that it has acknowledged.
fn less_than_always(reply: &Reply) -> Option<String> {
    [("appendonly", "yes"), ("appendfsync", "always")].into_iter().find_map(|(key, wanted)| {
        let found = setting(reply, key);
        (found != Some(wanted)).then(|| format!("its {key} is {}", found.unwrap_or("unknown")))
    })
}

fn setting<'a>(reply: &'a Reply, key: &str) -> Option<&'a str> {
    let Reply::Map { data, .. } = reply else { return None };
    data.iter().find(|(name, _)| text(name) == Some(key)).and_then(|(_, value)| text(value))
}

/// What whoever runs it should know of a store that is used all the same, a line each.
pub(super) fn cautions(reply: &Reply, wanted: Durability) -> Vec<String> {
    let less = (wanted == Durability::None).then(|| {
        let found = less_than_always(reply);
        let found = found.as_deref().unwrap_or("it keeps all now, and could do without the flag");
        format!("with --store-durability none it may lose what it has acknowledged when it dies: {found}")
    });
    let policy = setting(reply, "maxmemory-policy").filter(|policy| *policy != "noeviction");
    let memory = setting(reply, "maxmemory").filter(|memory| *memory != "0");
    let evicts = policy.zip(memory).map(|(policy, memory)| {
        let what = if policy.starts_with("volatile") { "debts and visitors" } else { "users" };
        format!(
            "its maxmemory-policy is {policy}: at {memory} bytes it throws {what} away; set \"maxmemory-policy noeviction\" there"
        )
    });
    less.into_iter().chain(evicts).collect()
}

/// What the store's clock shows, in milliseconds since 1970.
pub(super) fn clock(reply: &Reply) -> Option<i64> {
    match reply {
        Reply::Number { data, .. } => Some(*data),
        Reply::Array { data, .. } => match data.as_slice() {
            [seconds, rest] => {
                let number = |reply| text(reply)?.parse::<i64>().ok();
                number(seconds)?.checked_mul(1000)?.checked_add(number(rest)? / 1000)
            }
            _ => None,
        },
        _ => None,
    }
}

/// What is to be done about a store that has no birth.
pub(super) fn not_initialised(address: &StoreAddress) -> String {
    format!("nothing there is porter's yet: porter-admin --store {address} store init")
}

/// A reply as text, if it is one.
pub(super) fn text(reply: &Reply) -> Option<&str> {
    match reply {
        Reply::BlobString { data, .. } | Reply::SimpleString { data, .. } => std::str::from_utf8(data).ok(),
        _ => None,
    }
}
