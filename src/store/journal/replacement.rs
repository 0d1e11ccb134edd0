//! A file written anew as a whole: beside the old one, whose place it takes, or where it stands.

use super::{CommitSpacing, Disk, Journal, Undurable};
use std::io;

impl<F> Journal<F> {
    /// A new file with these bytes, on stable storage except for its name, which is to be `name` soon.
    pub(in crate::store) fn create<D: Disk<File = F>, B: AsRef<[u8]>>(
        disk: &mut D,
        spacing: &mut CommitSpacing,
        [unfinished, name]: [&'static str; 2],
        blocks: impl IntoIterator<Item = io::Result<B>>,
    ) -> io::Result<Journal<F>> {
        // Whatever a crash, or somebody else, has left there.
        disk.remove(unfinished)?;
        let file = disk.create(unfinished)?;
        let left = disk.state_of(&file)?;
        let mut journal = Journal { name, file, good_bytes: 0, left };
        for block in blocks {
            journal.append(disk, block?.as_ref())?;
        }
        spacing.sync(disk, &journal.file)?;
        Ok(journal)
    }

    /// Has a file with these bytes take this one's place, for good, or leaves all as it is.
    pub(in crate::store) fn replace_durably<D: Disk<File = F>>(
        &mut self,
        disk: &mut D,
        spacing: &mut CommitSpacing,
        unfinished: &'static str,
        blocks: impl Iterator<Item = io::Result<Vec<u8>>>,
    ) -> Result<(), Undurable> {
        let replaced = self.replace(disk, spacing, unfinished, blocks);
        if replaced.is_err() {
            // It is of no use, and has users' hashes in it. If this fails the next start does it.
            let _ = disk.remove(unfinished);
        }
        replaced?;
        // From here on it has the name, but a crash may still bring the old one back, without what is added to this one.
        disk.sync_names().map_err(Undurable::Unnamed)?;
        self.check(disk).map_err(Undurable::Astray)
    }

    fn replace<D: Disk<File = F>>(
        &mut self,
        disk: &mut D,
        spacing: &mut CommitSpacing,
        unfinished: &'static str,
        blocks: impl Iterator<Item = io::Result<Vec<u8>>>,
    ) -> Result<(), Undurable> {
        self.check(disk).map_err(Undurable::Astray)?;
        let new =
            Journal::create(disk, spacing, [unfinished, self.name], blocks).map_err(Undurable::Undone)?;
        // That took a while, in which somebody may have put a file of their own there.
        self.check(disk).map_err(Undurable::Astray)?;
        disk.rename(unfinished, self.name).map_err(|error| {
            let text = format!("another file cannot take its place: {error}");
            Undurable::Undone(io::Error::new(error.kind(), text))
        })?;
        *self = new;
        // The new name is a change of the file.
        self.left = disk.state_of(&self.file).unwrap_or(self.left);
        Ok(())
    }

    /// Writes the file anew where it stands. A crash, or an error, may leave any beginning of the new lines, so that all of
    /// them must be had elsewhere.
    pub(in crate::store) fn rewrite<D: Disk<File = F>>(
        &mut self,
        disk: &mut D,
        spacing: &mut CommitSpacing,
        bytes: &[u8],
    ) -> io::Result<()> {
        self.good_bytes = 0;
        disk.truncate(&self.file, 0)?;
        // Or a crash may mix new blocks with old ones.
        spacing.sync(disk, &self.file)?;
        self.append(disk, bytes)?;
        spacing.sync(disk, &self.file)
    }
}
