//! Who is online, as Who is answered.

use super::ConnId;
use super::registry::Registry;
use super::room::Presence;
use crate::auth::{Name, Online};
use crate::limits::NAMES_HEAD_BYTES;
use crate::protocol::Reply;

/// The answer to Who, written once and kept until somebody comes or goes: a crowd that asks must not have it written for
/// each of them.
#[derive(Debug, Default)]
pub(super) struct Roll {
    online: u32,
    names: String,
    /// Whether all servers' names are there, and their state's number, when it was written.
    revision: Option<(bool, u64)>,
}

impl Roll {
    /// The answer, with as many names as fit a frame.
    fn answer(&mut self, online: &Online, presence: &Presence, limit_bytes: u32) -> Reply<'_> {
        let everywhere = presence.online();
        let revision = everywhere.map_or((false, online.revision()), |(_, revision)| (true, revision));
        if self.revision != Some(revision) {
            let most_bytes = limit_bytes as usize - NAMES_HEAD_BYTES;
            match everywhere {
                None => self.write(online.names(), online.len(), most_bytes),
                Some((names, _)) => self.write(names.iter(), names.len(), most_bytes),
            }
            self.revision = Some(revision);
        }
        Reply::Names { online: self.online, names: &self.names }
    }

    fn write<'a>(&mut self, names: impl Iterator<Item = &'a Name>, count: usize, most_bytes: usize) {
        self.online = u32::try_from(count).unwrap_or(u32::MAX);
        self.names.clear();
        for name in names.map(Name::as_str) {
            if self.names.len() + name.len() + 1 > most_bytes {
                break;
            }
            self.names.push_str(name);
            self.names.push('\n');
        }
    }
}

impl Registry {
    /// Tells a connection who is online.
    pub(super) fn send_names(&mut self, id: ConnId) {
        let mut roll = std::mem::take(&mut self.roll);
        self.send(id, &roll.answer(self.sessions.online(), &self.presence, self.config.max_frame_bytes));
        self.roll = roll;
    }
}
