//! A file: what a process sees of it, what of that is on the disk, and what a crash makes of the difference.

use crate::random::Random;

/// Blocks of so many bytes reach the disk whole or not at all. The small ones are no disk's: they let a hole begin in
/// the middle of a line that is shorter than any sector.
const BLOCKS: [usize; 5] = [16, 16, 64, 512, 4_096];

#[derive(Clone, Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Truncate(usize),
}

impl Change {
    fn make(&self, file: &mut Vec<u8>) {
        match self {
            Change::Truncate(length) => file.resize(*length, 0),
            Change::Write { at, bytes } => {
                let end = at + bytes.len();
                file.resize(file.len().max(end), 0);
                file[*at..end].copy_from_slice(bytes);
            }
        }
    }
}

/// One file, whatever its name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inode {
    pub(crate) bytes: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
    /// Ranges that a failed sync has dropped: they read well until a crash.
    dropped: Vec<(usize, usize)>,
}

impl Inode {
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        self.change(Change::Write { at: self.bytes.len(), bytes: bytes.to_vec() });
    }

    pub(crate) fn truncate(&mut self, length: usize) {
        self.change(Change::Truncate(length));
        self.dropped.retain(|(start, _)| *start < length);
    }

    fn change(&mut self, change: Change) {
        change.make(&mut self.bytes);
        self.unsynced.push(change);
    }

    pub(crate) fn sync(&mut self) {
        self.durable.clone_from(&self.bytes);
        for (start, end) in &self.dropped {
            let end = (*end).min(self.durable.len());
            if *start < end {
                self.durable[*start..end].fill(0);
            }
        }
        self.unsynced.clear();
    }

    /// A sync fails, and what it was to write is taken for written.
    pub(crate) fn drop_unsynced(&mut self) {
        let (start, end) = (self.durable.len(), self.bytes.len());
        if start < end {
            self.dropped.push((start, end));
        }
        self.unsynced.retain(|change| matches!(change, Change::Truncate(_)));
    }

    pub(crate) fn is_synced(&self) -> bool {
        self.unsynced.is_empty() && !self.has_dropped()
    }

    pub(crate) fn has_dropped(&self) -> bool {
        !self.dropped.is_empty()
    }

    /// The machine has died. What was synced is there; the rest is as if the changes had gone to the disk in order and
    /// the last of them were torn, or as if each block and the length had gone by itself, at any time since the sync.
    pub(crate) fn crash(&mut self, random: &mut Random) {
        let mut versions = vec![std::mem::take(&mut self.durable)];
        for change in self.unsynced.drain(..) {
            let mut next = versions[versions.len() - 1].clone();
            change.make(&mut next);
            versions.push(next);
        }
        self.durable = if random.one_in(3) { torn(&versions, random) } else { shuffled(&versions, random) };
        self.dropped.clear();
        self.bytes.clone_from(&self.durable);
    }
}

fn torn(versions: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let kept = random.below(versions.len());
    let mut file = versions[kept].clone();
    if let Some(rest) = versions.get(kept + 1).and_then(|next| next.get(file.len()..)) {
        file.extend_from_slice(&rest[..random.below(rest.len() + 1)]);
    }
    file
}

fn shuffled(versions: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let lengths = || versions.iter().map(Vec::len);
    let (least, most) = (lengths().min().unwrap(), lengths().max().unwrap());
    let length = if random.one_in(2) {
        versions[random.below(versions.len())].len()
    } else {
        least + random.below(most - least + 1)
    };
    let mut file = vec![0; length];
    let size = random.pick(&BLOCKS);
    for (number, block) in file.chunks_mut(size).enumerate() {
        let version = &versions[random.below(versions.len())];
        let there = version.get(number * size..).unwrap_or_default();
        let count = there.len().min(block.len());
        block[..count].copy_from_slice(&there[..count]);
    }
    file
}
