//! Looking whether users can be stored again, after one could not be: whoever is told that they cannot sends nobody here of
//! whom it could be learnt.

use super::{CommitSpacing, Disk, FILE, Notice, Record, Undurable, Users, encode_one};
use crate::Moment;
use crate::limits::STORE_LOOK;
use std::collections::VecDeque;

impl<F> Users<F> {
    /// Whether there is nothing to be stored, answered or looked for.
    #[inline]
    pub(in crate::store) fn is_quiet(&self) -> bool {
        self.requests.is_empty() && self.answered.is_empty() && self.failed.is_none()
    }

    /// When that is to be looked for next; `None` as long as nothing has failed, and if only a restart can mend it.
    pub(in crate::store) fn next_look(&self) -> Option<Moment> {
        let (at, _) = self.failed.as_ref().filter(|_| self.broken.is_none())?;
        Some(*at + STORE_LOOK)
    }

    /// Stores what is stored already, and takes it back. If a crash keeps it there it says nothing new.
    pub(in crate::store) fn look<D: Disk<File = F>>(
        &mut self,
        disk: &mut D,
        spacing: &mut CommitSpacing,
        notices: &mut VecDeque<Notice>,
    ) {
        let was_astray = self.astray;
        let outcome = self.write(disk, notices, |users, disk| {
            let known = users.table.users().next();
            let line = known.map_or(Ok(Vec::new()), |(name, user)| encode_one(name, &Record::User(user)));
            let line = line.map_err(Undurable::Undone)?;
            users.journal.probe(disk, spacing, &line)
        });
        // Else that has been said.
        if outcome.is_ok() && !was_astray {
            notices.push_back(Notice::new(log::Level::Info, format!("{FILE} can be written again")));
        }
    }
}
