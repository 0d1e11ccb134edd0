//! Finding out whether a file takes more.

use super::{Astray, CommitSpacing, Disk, Journal, Undurable, write_all};

impl<F> Journal<F> {
    /// Brings whole lines that say nothing new to stable storage and takes them back. A crash may leave them there, or part
    /// of them.
    pub(in crate::store) fn probe<D: Disk<File = F>>(
        &mut self,
        disk: &mut D,
        spacing: &mut CommitSpacing,
        lines: &[u8],
    ) -> Result<(), Undurable> {
        self.check(disk).map_err(Undurable::Astray)?;
        let written = write_all(disk, &self.file, lines).and_then(|()| spacing.sync(disk, &self.file));
        // What somebody else has written behind them is not cut off for that.
        let (expected, most) = (self.good_bytes, self.good_bytes + lines.len() as u64);
        match disk.state_of(&self.file) {
            Ok(now) if now.length_bytes > most => {
                return Err(Undurable::Astray(Astray::Resized { expected, found: now.length_bytes }));
            }
            _ => {}
        }
        match (written, self.undo(disk).and_then(|()| spacing.sync(disk, &self.file))) {
            (Ok(()), Ok(())) => self.check(disk).map_err(Undurable::Astray),
            (Err(reason), Ok(())) => Err(Undurable::Undone(reason)),
            // They say nothing new, so that they may as well stay.
            (Ok(()), Err(undoing)) => match disk.state_of(&self.file) {
                Ok(now) if now.length_bytes == most => {
                    (self.good_bytes, self.left) = (most, now);
                    Ok(())
                }
                _ => Err(Undurable::Undone(undoing)),
            },
            (Err(reason), Err(undoing)) => Err(Undurable::Unknown { reason, undoing }),
        }
    }
}
