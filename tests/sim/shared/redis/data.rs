//! What is kept under which key, until when, and what was published.

use std::collections::{BTreeMap, BTreeSet};

/// What a key can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    Hash(BTreeMap<String, String>),
    Set(BTreeSet<String>),
    /// Members with their scores, which are whole here.
    Sorted(BTreeMap<String, i64>),
}

#[derive(Clone, Debug)]
struct Entry {
    value: Value,
    expires: Option<u64>,
}

/// All keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct Data {
    keys: BTreeMap<String, Entry>,
    now: u64,
    pub(super) published: Vec<(String, String)>,
}

impl Data {
    pub(super) fn set_time(&mut self, now: u64) {
        self.now = now;
        self.keys.retain(|_, entry| entry.expires.is_none_or(|expires| expires > now));
    }

    /// Milliseconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.keys.get(key).map(|entry| &entry.value)
    }

    /// All keys that begin so, without that beginning.
    pub(crate) fn keys(&self, prefix: &str) -> Vec<&str> {
        self.keys.keys().filter_map(|key| key.strip_prefix(prefix)).collect()
    }

    /// Milliseconds until it is gone, if it is there and goes by itself.
    pub(crate) fn expires_in(&self, key: &str) -> Option<u64> {
        self.keys.get(key)?.expires.map(|expires| expires - self.now)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.keys.contains_key(key)
    }

    pub(super) fn set(&mut self, key: &str, value: Value, lives: Option<u64>) {
        let expires = lives.map(|lives| self.now + lives);
        self.keys.insert(key.to_owned(), Entry { value, expires });
    }

    pub(super) fn set_life(&mut self, key: &str, lives: u64) -> bool {
        let expires = Some(self.now + lives);
        self.keys.get_mut(key).map(|entry| entry.expires = expires).is_some()
    }

    pub(super) fn remove(&mut self, key: &str) -> bool {
        self.keys.remove(key).is_some()
    }

    /// A text; an empty one where there is none.
    pub(super) fn text(&self, key: &str) -> Option<&String> {
        self.get(key).map(|value| match value {
            Value::Text(text) => text,
            other => panic!("{key} is {other:?}"),
        })
    }

    /// Changes a value in place; what is empty afterwards is gone.
    pub(super) fn change<R>(&mut self, key: &str, empty: Value, change: impl FnOnce(&mut Value) -> R) -> R {
        let entry = self.keys.entry(key.to_owned()).or_insert(Entry { value: empty, expires: None });
        let result = change(&mut entry.value);
        let is_empty = match &entry.value {
            Value::Text(_) => false,
            Value::Hash(fields) => fields.is_empty(),
            Value::Set(members) => members.is_empty(),
            Value::Sorted(members) => members.is_empty(),
        };
        if is_empty {
            self.keys.remove(key);
        }
        result
    }
}
