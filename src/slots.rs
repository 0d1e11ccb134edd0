//! Slots that are used again, and names for what is in them that are not.
//!
//! A late event for something that has gone must never reach the stranger who has its slot now (mio's tokens, and
//! any completion, come late): so a key is an index *and* a generation, and only both together find a value.

use slab::Slab;

/// Names one value for ever: the slot it is in, and which of the slot's values it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    index: u32,
    generation: u32,
}

impl Key {
    /// The slot's index, dense from 0.
    pub fn index(self) -> usize {
        self.index as usize
    }

    /// A number that no other value among the last four thousand million had.
    pub fn generation(self) -> u32 {
        self.generation
    }

    /// Both in one word.
    pub fn pack(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// What [`pack`](Key::pack) packed.
    pub fn unpack(word: u64) -> Key {
        Key { index: word as u32, generation: (word >> 32) as u32 }
    }
}

/// A slab whose keys outlive their values harmlessly.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    slab: Slab<(u32, T)>,
    next_generation: u32,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Slots { slab: Slab::new(), next_generation: 1 }
    }
}

impl<T> Slots<T> {
    pub(crate) fn insert(&mut self, value: T) -> Key {
        let generation = self.next_generation;
        // Never 0: the words that begin so are the shell's own, for what is no connection.
        self.next_generation = generation.wrapping_add(1).max(1);
        Key { index: self.slab.insert((generation, value)) as u32, generation }
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        self.slab.get(key.index()).filter(|slot| slot.0 == key.generation).map(|slot| &slot.1)
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        self.slab.get_mut(key.index()).filter(|slot| slot.0 == key.generation).map(|slot| &mut slot.1)
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        self.get(key)?;
        let value = self.slab.remove(key.index()).1;
        if self.slab.is_empty() {
            // A crowd that has left must not be paid for ever after.
            self.slab.shrink_to_fit();
        }
        Some(value)
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
        assert_eq!(Key::unpack(here.pack()), here);
    }

    #[test]
    fn no_generation_is_0_after_any_number_of_values() {
        let mut slots = Slots { next_generation: u32::MAX, ..Slots::default() };
        let generations = [(); 2].map(|()| slots.insert(()).generation());
        assert_eq!(generations, [u32::MAX, 1]);
    }
}
