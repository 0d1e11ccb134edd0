//! What lies between a socket and the engine in some worlds, as TLS does: it opens with bytes of its own, may fail, and
//! holds what the socket does not take of what it took.

use crate::net::{Link, Outcome};
use porter::engine::Written;

/// What a client says for its transport to open.
pub(crate) const OPENING: &[u8] = b"tls";

/// Records that are written at once: not all output is written in one go, though the socket takes it.
const SHARE_RECORDS: usize = 64;

/// One connection's transport.
pub(crate) struct Transport {
    /// Bytes that it takes of the output at once; 0 if there is nothing between socket and engine.
    record_bytes: usize,
    /// How much of the opening has come.
    opened: usize,
    held: Vec<u8>,
    /// The sending side is to be shut when what is held is written.
    is_finishing: bool,
    /// The connection was only accepted to be told that there is no room.
    is_refused: bool,
}

/// What came of writing.
pub(crate) struct Wrote {
    pub(crate) written: Written,
    /// Some of what the transport had taken, now or before, has left it.
    pub(crate) has_moved: bool,
    pub(crate) failure: Option<WriteFailure>,
}

/// Why nothing can be written any more.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteFailure {
    NeverOpened,
    Broken,
}

impl Transport {
    pub(crate) fn new(record_bytes: usize, is_refused: bool) -> Transport {
        Transport { record_bytes, opened: 0, held: Vec::new(), is_finishing: false, is_refused }
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.record_bytes == 0
    }

    pub(crate) fn is_open(&self) -> bool {
        self.is_plain() || self.opened == OPENING.len()
    }

    pub(crate) fn has_backlog(&self) -> bool {
        !self.held.is_empty()
    }

    /// Reads what is the engine's, once all of the opening has come.
    pub(crate) fn read(&mut self, link: &mut Link, buffer: &mut [u8]) -> Outcome {
        while !self.is_open() {
            let mut next = [0];
            match link.read(&mut next) {
                Outcome::Bytes(_) if next[0] == OPENING[self.opened] => self.opened += 1,
                Outcome::Bytes(_) => return Outcome::Fault,
                other => return other,
            }
        }
        link.read(buffer)
    }

    /// Writes a share of the output, or what the socket takes of it, and of what is held with nothing to be written.
    pub(crate) fn write(
        &mut self,
        link: &mut Link,
        output: &[u8],
        is_last: bool,
        writable: &mut bool,
    ) -> Wrote {
        let held_before = self.held.len();
        let (mut bytes, mut failure) = (0, None);
        if is_last && !self.is_open() && !self.is_refused {
            failure = Some(WriteFailure::NeverOpened);
        } else if *writable && self.is_open() {
            match self.write_through(link, output) {
                Ok(taken) => {
                    bytes = taken;
                    *writable = !self.has_backlog();
                }
                Err(()) => failure = Some(WriteFailure::Broken),
            }
        }
        let is_blocked = failure.is_none() && self.is_open();
        let has_moved = held_before + bytes > self.held.len();
        Wrote { written: Written { bytes, backlog_bytes: self.held.len(), is_blocked }, has_moved, failure }
    }

    /// Takes a share of the output, record by record, each when all that was held before has left.
    fn write_through(&mut self, link: &mut Link, output: &[u8]) -> Result<usize, ()> {
        self.flush(link)?;
        let mut taken = 0;
        for record in output.chunks(self.record_bytes).take(SHARE_RECORDS) {
            if self.has_backlog() {
                break;
            }
            self.held.extend_from_slice(record);
            taken += record.len();
            self.flush(link)?;
        }
        if self.is_finishing && !self.has_backlog() {
            link.shut();
        }
        Ok(taken)
    }

    fn flush(&mut self, link: &mut Link) -> Result<(), ()> {
        if self.has_backlog() {
            match link.write(&self.held) {
                Outcome::Bytes(count) => drop(self.held.drain(..count)),
                Outcome::Nothing => {}
                Outcome::End | Outcome::Fault | Outcome::Broken => return Err(()),
            }
        }
        Ok(())
    }

    /// Shuts the sending side, at once or when all is written.
    pub(crate) fn shut(&mut self, link: &mut Link) {
        self.is_finishing = true;
        if !self.has_backlog() {
            link.shut();
        }
    }

    /// Nothing that is held reaches the peer any more.
    pub(crate) fn drop_held(&mut self) {
        self.held.clear();
    }
}
