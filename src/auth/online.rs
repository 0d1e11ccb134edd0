//! Which names are online: those with at least one session that has a connection.

use super::Name;
use std::collections::BTreeMap;
use std::ops::Bound;

/// The names that are online, always in the order of their bytes: sorting ten thousand of them for whoever asks would
/// hold up everybody else.
#[derive(Debug, Default)]
pub struct Online {
    /// How many connected sessions each has; at least one.
    connected: BTreeMap<Name, u32>,
    revision: u64,
}

impl Online {
    /// The names, in the order of their bytes.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.connected.keys()
    }

    /// Those of them that begin with a text.
    pub fn names_that_begin(&self, text: &str) -> impl Iterator<Item = &Name> {
        let behind = self.connected.range::<str, _>((Bound::Included(text), Bound::Unbounded));
        behind.map(|(name, _)| name).take_while(move |name| name.as_str().starts_with(text))
    }

    /// How many names.
    pub fn len(&self) -> usize {
        self.connected.len()
    }

    /// Whether nobody is online.
    pub fn is_empty(&self) -> bool {
        self.connected.is_empty()
    }

    /// Another number whenever the names are others.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// A session of this name has a connection now.
    pub(super) fn connect(&mut self, name: &Name) {
        let sessions = self.connected.entry(name.clone()).or_insert(0);
        *sessions += 1;
        self.revision += u64::from(*sessions == 1);
    }

    /// A session of this name has its connection no longer.
    pub(super) fn disconnect(&mut self, name: &Name) {
        let Some(sessions) = self.connected.get_mut(name) else { return };
        *sessions -= 1;
        if *sessions == 0 {
            self.connected.remove(name);
            self.revision += 1;
        }
    }
}
