//! Who is online, as Who is answered.

use super::ConnId;
use super::registry::Registry;
use crate::auth::Online;
use crate::limits::NAMES_HEAD_BYTES;
use crate::protocol::Reply;

/// The answer to Who, written once and kept until somebody comes or goes: a crowd that asks must not have it written for
/// each of them.
#[derive(Debug, Default)]
pub(super) struct Roll {
    online: u32,
    names: String,
    /// Of [`Online`], when it was written.
    revision: Option<u64>,
}

impl Roll {
    /// The answer, with as many names as fit a frame.
    fn answer(&mut self, online: &Online, limit_bytes: u32) -> Reply<'_> {
        if self.revision != Some(online.revision()) {
            self.write(online, limit_bytes as usize - NAMES_HEAD_BYTES);
            self.revision = Some(online.revision());
        }
        Reply::Names { online: self.online, names: &self.names }
    }

    fn write(&mut self, online: &Online, most_bytes: usize) {
        self.online = u32::try_from(online.len()).unwrap_or(u32::MAX);
        self.names.clear();
        for name in online.names().map(|name| name.as_str()) {
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
        self.send(id, &roll.answer(self.sessions.online(), self.config.max_frame_bytes));
        self.roll = roll;
    }
}
