//! Slots that are used again, and names for what is in them that are not.
//!
//! A late event for something that has gone must never reach the stranger who has its slot now (mio's tokens, and
//! any completion, come late): so a key is an index *and* a generation, and only both together find a value.

use slab::Slab;
use std::num::NonZeroU32;

/// Names one value for ever: the slot it is in, and which of the slot's values it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    index: u32,
    /// Never 0: the words that begin so are the shell's own, for what is no connection.
    generation: NonZeroU32,
}

impl Key {
    /// The last there is, which no value gets to.
    pub(crate) const LAST: Key = Key { index: u32::MAX, generation: NonZeroU32::MAX };

    /// The slot's index, dense from 0.
    pub fn index(self) -> usize {
        self.index as usize
    }

    /// A number that no other value among the last four thousand million had.
    pub fn generation(self) -> u32 {
        self.generation.get()
    }

    /// Its slot alone.
    pub(crate) fn slot(self) -> Slot {
        Slot(self.index)
    }

    /// Both in one word.
    pub fn pack(self) -> u64 {
        u64::from(self.generation.get()) << 32 | u64::from(self.index)
    }

    /// What [`pack`](Key::pack) packed; `None` for any other word.
    pub fn unpack(word: u64) -> Option<Key> {
        let generation = NonZeroU32::new((word >> 32) as u32)?;
        Some(Key { index: word as u32, generation })
    }
}

/// A slot alone: half the size of a key, for whoever forgets it before its value goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slot(u32);

/// More values than this at once are a crowd, whose memory is given back when the last of it has gone: for fewer that
/// would cost more than it gives.
pub(crate) const CROWD: usize = 1_024;

/// A slab whose keys outlive their values harmlessly.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    slab: Slab<(NonZeroU32, T)>,
    /// Slots that there is room for from the start: room that nobody has used yet costs nothing, and what grows by
    /// moving leaves holes behind.
    room: usize,
    /// Slots that have been used.
    used: usize,
    next_generation: NonZeroU32,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Slots::with_room(0)
    }
}

impl<T> Slots<T> {
    /// Empty, but not to be moved before there are so many.
    pub(crate) fn with_room(room: usize) -> Slots<T> {
        Slots { slab: Slab::with_capacity(room), room, used: 0, next_generation: NonZeroU32::MIN }
    }

    pub(crate) fn insert(&mut self, value: T) -> Key {
        let generation = self.next_generation;
        self.next_generation = generation.checked_add(1).unwrap_or(NonZeroU32::MIN);
        let index = self.slab.insert((generation, value));
        self.used = self.used.max(index + 1);
        Key { index: index as u32, generation }
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        self.slab.get(key.index()).filter(|slot| slot.0 == key.generation).map(|slot| &slot.1)
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        self.slab.get_mut(key.index()).filter(|slot| slot.0 == key.generation).map(|slot| &mut slot.1)
    }

    /// The value in a slot, and its key.
    pub(crate) fn at(&self, Slot(index): Slot) -> Option<(Key, &T)> {
        self.slab
            .get(index as usize)
            .map(|(generation, value)| (Key { index, generation: *generation }, value))
    }

    /// The value in the slot of an index, and its key.
    pub(crate) fn at_index(&self, index: usize) -> Option<(Key, &T)> {
        self.slab
            .get(index)
            .map(|(generation, value)| (Key { index: index as u32, generation: *generation }, value))
    }

    /// All values are in slots of indices below this.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    pub(crate) fn at_mut(&mut self, Slot(index): Slot) -> Option<&mut T> {
        self.slab.get_mut(index as usize).map(|(_, value)| value)
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        self.get(key)?;
        let is_last_of_crowd = self.is_last_of_crowd();
        let value = self.slab.remove(key.index()).1;
        if is_last_of_crowd {
            // A crowd that has left must not be paid for ever after.
            *self = Slots { next_generation: self.next_generation, ..Slots::with_room(self.room) };
        }
        Some(value)
    }

    /// Whether one value is left of a crowd. When it is removed, the memory that the crowd took is given back.
    pub(crate) fn is_last_of_crowd(&self) -> bool {
        self.slab.len() == 1 && self.used > CROWD
    }

    /// Slots that there is room for from the start.
    pub(crate) fn room(&self) -> usize {
        self.room
    }

    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.slab
            .iter()
            .map(|(index, (generation, value))| (Key { index: index as u32, generation: *generation }, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_key_does_not_reach_the_slots_next_value() {
        let mut slots = Slots::default();
        let gone = slots.insert("bob");
        assert_eq!(slots.remove(gone), Some("bob"));
        let here = slots.insert("carol");
        assert_eq!(here.index(), gone.index());
        assert_eq!(slots.get(gone), None);
        assert_eq!(slots.remove(gone), None);
        assert_eq!(slots.get(here), Some(&"carol"));
        assert_eq!(Key::unpack(here.pack()), Some(here));
    }

    /// What is left of a crowd's memory is the room that was there before; a few who come and go leave theirs.
    #[test]
    fn a_crowd_leaves_no_memory_behind_and_no_key_that_is_used_again() {
        let mut slots = Slots::with_room(7);
        let few = slots.insert(0);
        slots.remove(few);
        assert_eq!(slots.used, 1);
        let crowd: Vec<Key> = (0..=CROWD).map(|number| slots.insert(number)).collect();
        for key in &crowd {
            assert!(slots.remove(*key).is_some());
        }
        assert_eq!((slots.slab.capacity(), slots.used), (7, 0));
        let next = slots.insert(0);
        assert!(crowd.iter().all(|key| *key != next && slots.get(*key).is_none()));
    }

    #[test]
    fn no_generation_is_0_after_any_number_of_values() {
        let mut slots = Slots { next_generation: NonZeroU32::MAX, ..Slots::default() };
        let generations = [(); 2].map(|()| slots.insert(()).generation());
        assert_eq!(generations, [u32::MAX, 1]);
    }
}
