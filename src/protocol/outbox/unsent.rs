//! What of an outbox is to be written, in slices, whole or by portions.

use super::UnsentFrames;
use std::io::IoSlice;

/// What of an outbox is to be written, as slices in order.
#[derive(Clone, Copy, Debug)]
pub struct Unsent<'a>(pub(super) Option<&'a UnsentFrames>);

impl<'a> Unsent<'a> {
    /// Nothing.
    pub const NOTHING: Unsent<'static> = Unsent(None);

    /// How many bytes.
    pub fn len(&self) -> usize {
        self.0.map_or(0, |waiting| waiting.len)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them, if they lie in one place.
    #[inline]
    pub fn whole(&self) -> Option<&'a [u8]> {
        let Some(waiting) = self.0 else { return Some(&[]) };
        match waiting.pieces.front() {
            None => Some(&waiting.own[waiting.done + waiting.sent..]),
            // Nearly all that is for many comes so: in one piece, and nothing else with it.
            Some(piece) => {
                let is_alone = waiting.pieces.len() == 1 && waiting.tail == waiting.own.len();
                let sent = waiting.sent.checked_sub(piece.own_bytes).filter(|_| is_alone)?;
                Some(&piece.bytes()[sent..])
            }
        }
    }

    /// The slices; none of them is empty.
    pub fn slices(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let parts = self.0.into_iter().flat_map(|waiting| {
            let mut own = &waiting.own[waiting.done..];
            let pieces = waiting.pieces.iter().flat_map(move |piece| {
                let (before, rest) = own.split_at(piece.own_bytes);
                own = rest;
                [before, piece.bytes()]
            });
            pieces.chain([&waiting.own[waiting.tail..]])
        });
        let mut sent = self.0.map_or(0, |waiting| waiting.sent);
        parts.filter_map(move |part| {
            let skipped = sent.min(part.len());
            sent -= skipped;
            (skipped < part.len()).then(|| &part[skipped..])
        })
    }

    /// All of it, to be taken by portions from its start: none is looked for among those before it.
    pub fn portions(&self) -> Portions<'a, impl Iterator<Item = &'a [u8]> + use<'a>> {
        Portions { slices: self.slices(), rest: &[] }
    }

    /// All of it in one piece.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len());
        self.slices().for_each(|slice| bytes.extend_from_slice(slice));
        bytes
    }
}

/// What of an outbox was not yet taken to be written.
#[derive(Debug)]
pub struct Portions<'a, I> {
    slices: I,
    /// Of a slice of which the start was taken.
    rest: &'a [u8],
}

impl<'a, I: Iterator<Item = &'a [u8]>> Portions<'a, I> {
    /// Fills `places` with the next bytes, up to `most`, and says how many places are filled and with how many bytes.
    pub fn fill(&mut self, most: usize, places: &mut [IoSlice<'a>]) -> (usize, usize) {
        let (mut filled, mut bytes) = (0, 0);
        for place in places {
            let slice = if self.rest.is_empty() { self.slices.next() } else { Some(self.rest) };
            let Some(slice) = slice else { break };
            let (slice, rest) = slice.split_at(slice.len().min(most - bytes));
            self.rest = rest;
            if slice.is_empty() {
                break;
            }
            *place = IoSlice::new(slice);
            filled += 1;
            bytes += slice.len();
        }
        (filled, bytes)
    }
}
