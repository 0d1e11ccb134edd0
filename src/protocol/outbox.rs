//! What waits to be written to one connection: whole frames, and a cursor.
//!
//! Frames for one are kept as bytes of the outbox's own; frames for many are encoded once, and every outbox has a
//! reference to them in its place among the own ones.

mod unsent;

pub use unsent::Unsent;

use super::frame::body_length;
use super::{Reply, Request, SharedFrames};
use crate::limits::HEADER_BYTES;
use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;
use zeroize::{Zeroize, Zeroizing};

/// Room in an outbox that is kept, however little waits.
const ROOM_KEPT_BYTES: usize = 16 * 1024;

/// Frames that wait for the peer to take them.
///
/// Empty it is one word. The memory for what waits can be [lent](Outbox::lend), and is
/// [taken back](Outbox::reclaim) for another connection when all is sent.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: Option<Box<UnsentFrames>>,
}

/// Whole frames, as a stream: for each piece the own bytes before it and then its shared ones, and behind the last piece
/// the rest of the own bytes. Of `own`, all before `done` has left the stream, and what `pieces` does not have between
/// its shared frames begins at `tail`: `done <= tail <= own.len()`.
#[derive(Debug, Default)]
struct UnsentFrames {
    own: Vec<u8>,
    done: usize,
    tail: usize,
    pieces: VecDeque<Piece>,
    /// Bytes of the stream that are written; they end in the first piece, or in the tail if there is none.
    sent: usize,
    /// Bytes of the stream that are not.
    len: usize,
    /// Among the own bytes are, or were, a password or a token: they are wiped when all is written, and leave no copy
    /// behind when they grow.
    has_secret: bool,
}

/// A reference to some of shared frames, and how many own bytes come before them.
#[derive(Debug)]
struct Piece {
    own_bytes: usize,
    frames: Rc<SharedFrames>,
    /// Which of the shared bytes: whole frames.
    start: usize,
    end: usize,
}

impl Piece {
    fn len(&self) -> usize {
        self.own_bytes + self.end - self.start
    }

    fn bytes(&self) -> &[u8] {
        &self.frames.bytes()[self.start..self.end]
    }
}

/// An outbox's memory, with nothing in it: to be lent to another.
#[derive(Debug)]
pub struct Spare(Box<UnsentFrames>);

impl Spare {
    /// Bytes of memory held.
    pub fn capacity(&self) -> usize {
        self.0.held_bytes()
    }
}

impl Outbox {
    /// Appends a frame, and says how many bytes it has.
    #[inline]
    pub fn push(&mut self, reply: &Reply<'_>) -> usize {
        if matches!(reply, Reply::Welcome { .. }) {
            self.waiting.get_or_insert_default().has_secret = true;
        }
        self.encode(|frames| reply.encode(frames))
    }

    /// Appends a frame of the client's: nearly all of them have a password or a token.
    pub fn push_request(&mut self, request: &Request<'_>) {
        self.waiting.get_or_insert_default().has_secret = true;
        self.encode(|frames| request.encode(frames));
    }

    /// Appends a reference to some of the frames for many: those that take up this range of their bytes. Says how many
    /// bytes they have.
    ///
    /// # Panics
    /// If it is not a range of them: a fault of the caller's.
    pub fn push_shared(&mut self, frames: &Rc<SharedFrames>, range: Range<usize>) -> usize {
        assert!(
            range.start <= range.end && range.end <= frames.bytes().len(),
            "no range of the shared frames"
        );
        let waiting = self.waiting.get_or_insert_default();
        waiting.len += range.len();
        let own_bytes = waiting.own.len() - waiting.tail;
        waiting.tail = waiting.own.len();
        let Range { start, end } = range;
        waiting.pieces.push_back(Piece { own_bytes, frames: Rc::clone(frames), start, end });
        end - start
    }

    /// What is to be written next.
    pub fn unsent(&self) -> Unsent<'_> {
        Unsent(self.waiting.as_deref())
    }

    /// Notes that the first `count` of the unsent bytes were written.
    ///
    /// # Panics
    /// If there were not so many: a fault of the caller's, never of the peer's.
    pub fn advance(&mut self, count: usize) {
        assert!(count <= self.len(), "wrote more than was waiting");
        if let Some(waiting) = &mut self.waiting {
            waiting.advance(count);
        }
    }

    /// Drops the frames of which nothing was written yet, so that the stream ends at a frame's end, and gives their memory
    /// back. A frame for many that is half written stays shared: many may be cut off in the midst of it at once.
    pub fn drop_unsent_frames(&mut self) {
        if let Some(waiting) = &mut self.waiting {
            waiting.keep_begun_frame();
        }
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.waiting.as_ref().map_or(0, |waiting| waiting.len)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory that it holds alone: its own frames by the room that they take, and each reference to shared ones.
    #[inline]
    pub fn held_bytes(&self) -> usize {
        self.waiting.as_ref().map_or(0, |waiting| waiting.held_bytes())
    }

    /// Bytes of memory that are not free as long as it waits: what it holds alone, and all that it has references to.
    pub fn reached_bytes(&self) -> usize {
        let shared = self.waiting.iter().flat_map(|waiting| &waiting.pieces);
        self.held_bytes() + shared.map(|piece| piece.frames.held_bytes()).sum::<usize>()
    }

    /// Bytes of memory that nothing needs once it is dropped, about: what waits of its own, its references, and its share of
    /// what they lead to, of which the oldest are looked at, up to so many. Says also how many were. Room that it has beyond
    /// that does not count: it may have been [lent](Outbox::lend).
    pub fn freed_bytes(&self, most: usize) -> (usize, usize) {
        let pieces = self.waiting.iter().flat_map(|waiting| &waiting.pieces).take(most);
        let freed = |(freed, looked), piece: &Piece| {
            (freed + piece.frames.held_bytes() / Rc::strong_count(&piece.frames), looked + 1)
        };
        // Many of them share little, and then it is the references that take the memory.
        let own = |waiting: &UnsentFrames| waiting.own_unsent() + waiting.pieces.len() * size_of::<Piece>();
        pieces.fold((self.waiting.as_deref().map_or(0, own), 0), freed)
    }

    /// Whether it has no memory of its own yet: the first frame makes some, unless it is lent some.
    pub fn is_bare(&self) -> bool {
        self.waiting.is_none()
    }

    /// Gives a [bare](Outbox::is_bare) outbox memory to use.
    pub fn lend(&mut self, spare: Spare) {
        debug_assert!(self.is_bare());
        self.waiting = Some(spare.0);
    }

    /// Takes the memory of an outbox in which nothing waits.
    pub fn reclaim(&mut self) -> Option<Spare> {
        debug_assert!(self.is_empty());
        self.waiting.take().map(Spare)
    }

    #[inline]
    fn encode(&mut self, append: impl FnOnce(&mut Vec<u8>)) -> usize {
        let waiting = self.waiting.get_or_insert_default();
        let before = waiting.own.len();
        if waiting.has_secret {
            waiting.append_wiping(append);
        } else {
            append(&mut waiting.own);
        }
        let bytes = waiting.own.len() - before;
        waiting.len += bytes;
        bytes
    }
}

/// A client's frames may have held a password.
impl Drop for UnsentFrames {
    fn drop(&mut self) {
        self.own.zeroize();
    }
}

impl UnsentFrames {
    fn held_bytes(&self) -> usize {
        self.own.capacity() + self.pieces.capacity() * size_of::<Piece>() + size_of::<UnsentFrames>()
    }

    /// Own bytes that are not written.
    fn own_unsent(&self) -> usize {
        self.own.len() - self.done - self.sent.min(self.own_next().len())
    }

    fn advance(&mut self, count: usize) {
        self.sent += count;
        self.len -= count;
        if self.len == 0 {
            self.clear();
            return;
        }
        while let Some(piece) = self.pieces.front()
            && piece.len() <= self.sent
        {
            self.sent -= piece.len();
            self.done += piece.own_bytes;
            self.pieces.pop_front();
        }
        if self.own.len() > 2 * self.own_unsent() {
            self.forget_sent_frames();
        }
        self.give_back_room();
    }

    /// Gives room back that was needed once: who has read nearly all is not to hold as much as who reads nothing.
    fn give_back_room(&mut self) {
        let (room, used) = (self.own.capacity(), self.own.len());
        if room > ROOM_KEPT_BYTES && used < room / 4 {
            let mut smaller = Vec::with_capacity(2 * used);
            smaller.extend_from_slice(&self.own);
            if self.has_secret {
                self.own.zeroize();
            }
            self.own = smaller;
        }
        let (room, used) = (self.pieces.capacity(), self.pieces.len());
        if room * size_of::<Piece>() > ROOM_KEPT_BYTES && used < room / 4 {
            self.pieces.shrink_to(2 * used);
        }
    }

    /// Appends, and wipes what is given back if that needs more room.
    fn append_wiping(&mut self, append: impl FnOnce(&mut Vec<u8>)) {
        let mut added = Zeroizing::new(Vec::new());
        append(&mut added);
        if self.own.capacity() - self.own.len() < added.len() {
            let mut larger = Vec::with_capacity((self.own.len() + added.len()).max(2 * self.own.len()));
            larger.extend_from_slice(&self.own);
            self.own.zeroize();
            self.own = larger;
        }
        self.own.extend_from_slice(&added);
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.has_secret) {
            // With all the room that it has: what was moved to the front has left a copy there.
            self.own.zeroize();
        }
        self.own.clear();
        self.pieces.clear();
        (self.done, self.tail, self.sent, self.len) = (0, 0, 0, 0);
    }

    /// The own bytes that the stream goes on with, sent ones too: those before the first piece, or the tail.
    fn own_next(&self) -> &[u8] {
        let own_bytes = self.pieces.front().map_or(self.own.len() - self.done, |piece| piece.own_bytes);
        &self.own[self.done..self.done + own_bytes]
    }

    /// Moves what waits to the front, keeping the start of the frame that is half sent. Called when the
    /// larger part is sent, so that each byte is moved at most once for each time it is written.
    fn forget_sent_frames(&mut self) {
        let own = self.own_next();
        let start = if own.len() <= self.sent { own.len() } else { begun_frame(own, self.sent).0 };
        if let Some(piece) = self.pieces.front_mut() {
            piece.own_bytes -= start;
        }
        self.sent -= start;
        let forgotten = self.done + start;
        self.own.drain(..forgotten);
        self.done = 0;
        // Without pieces all own bytes are tail.
        self.tail = if self.pieces.is_empty() { 0 } else { self.tail - forgotten };
    }

    fn keep_begun_frame(&mut self) {
        let own = self.own_next();
        let shared = self.pieces.front().filter(|_| own.len() <= self.sent);
        let (frames, sent) =
            shared.map_or((own, self.sent), |shared| (shared.bytes(), self.sent - own.len()));
        let (start, end) = begun_frame(frames, sent);
        // What is given back for it is wiped.
        let mut kept = UnsentFrames::default();
        kept.has_secret = self.has_secret;
        kept.sent = sent - start;
        kept.len = end - start - kept.sent;
        match shared {
            Some(shared) if end - start == shared.frames.bytes().len() => {
                let frames = Rc::clone(&shared.frames);
                kept.pieces.push_back(Piece { own_bytes: 0, frames, start, end });
            }
            _ => kept.own.extend_from_slice(&frames[start..end]),
        }
        *self = kept;
    }
}

/// Where the frame lies of which something, but not all, is among the first `sent` bytes; empty if there is none.
fn begun_frame(frames: &[u8], sent: usize) -> (usize, usize) {
    let mut start = 0;
    while start < sent {
        let header = frames[start..].first_chunk::<HEADER_BYTES>();
        let length = header.and_then(|header| body_length(*header, u32::MAX).ok());
        let end = length.map_or(frames.len(), |length| start + HEADER_BYTES + length);
        if end > sent {
            return (start, end);
        }
        start = end;
    }
    (start, start)
}

#[cfg(test)]
mod tests;
