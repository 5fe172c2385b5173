//! A table of bounded size that forgets what has been idle longest.

use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::{BuildHasher, Hash};

/// No entry.
const NONE: u32 = u32::MAX;

/// Keys to values, linked by age of use. Nothing that comes out depends on the hash, which is seeded at random so that
/// no file can be made to collide.
#[derive(Debug)]
pub(crate) struct Table<K, V> {
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
    slots: Vec<Slot<K, V>>,
    free: Vec<u32>,
    newest: u32,
    oldest: u32,
    capacity: usize,
}

#[derive(Debug)]
struct Slot<K, V> {
    key: K,
    /// None: on the free list.
    value: Option<V>,
    newer: u32,
    older: u32,
}

impl<K: Hash + Eq + Copy, V> Table<K, V> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            index: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            slots: Vec::new(),
            free: Vec::new(),
            newest: NONE,
            oldest: NONE,
            capacity: capacity.clamp(1, NONE as usize),
        }
    }

    /// The value of a key, which becomes the one used last.
    #[inline]
    pub(crate) fn get(&mut self, key: &K) -> Option<&mut V> {
        let hash = self.hasher.hash_one(key);
        let slot = *self.index.find(hash, |slot| self.slots[*slot as usize].key == *key)?;
        if slot != self.newest {
            self.unlink(slot);
            self.link(slot);
        }
        self.slots[slot as usize].value.as_mut()
    }

    /// Adds a key that is not there. Gives the idlest entry, if it had to make room.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<(K, V)> {
        let evicted = if self.index.len() < self.capacity { None } else { self.take(self.oldest) };
        let hash = self.hasher.hash_one(key);
        let fresh = Slot { key, value: Some(value), newer: NONE, older: NONE };
        let slot = if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = fresh;
            slot
        } else {
            self.slots.push(fresh);
            (self.slots.len() - 1) as u32
        };
        self.link(slot);
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.index.insert_unique(hash, slot, |slot| hasher.hash_one(slots[*slot as usize].key));
        evicted
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<(K, V)> {
        let hash = self.hasher.hash_one(key);
        let slot = *self.index.find(hash, |slot| self.slots[*slot as usize].key == *key)?;
        self.take(slot)
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// All values, in an order that depends only on what was done with the table.
    pub(crate) fn values(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.slots.iter_mut().filter_map(|slot| Some((&slot.key, slot.value.as_mut()?)))
    }

    fn take(&mut self, slot: u32) -> Option<(K, V)> {
        let key = self.slots.get(slot as usize)?.key;
        let hash = self.hasher.hash_one(key);
        if let Ok(entry) = self.index.find_entry(hash, |other| *other == slot) {
            entry.remove();
        }
        self.unlink(slot);
        self.free.push(slot);
        Some((key, self.slots[slot as usize].value.take()?))
    }

    fn link(&mut self, slot: u32) {
        self.slots[slot as usize].older = self.newest;
        self.slots[slot as usize].newer = NONE;
        match self.slots.get_mut(self.newest as usize) {
            Some(before) => before.newer = slot,
            None => self.oldest = slot,
        }
        self.newest = slot;
    }

    fn unlink(&mut self, slot: u32) {
        let Slot { newer, older, .. } = self.slots[slot as usize];
        match self.slots.get_mut(newer as usize) {
            Some(neighbour) => neighbour.older = older,
            None => self.newest = older,
        }
        match self.slots.get_mut(older as usize) {
            Some(neighbour) => neighbour.newer = newer,
            None => self.oldest = newer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn behaves_like_a_list_by_age(steps in prop::collection::vec((0u8..3, 0u8..12), 0..200)) {
            let mut table = Table::new(4);
            let mut model: Vec<(u8, usize)> = Vec::new(); // idlest first
            for (step, (what, key)) in steps.into_iter().enumerate() {
                let at = model.iter().position(|(k, _)| *k == key);
                match (what, at) {
                    (0, _) => prop_assert_eq!(table.remove(&key), at.map(|at| model.remove(at))),
                    (_, Some(at)) => {
                        let entry = model.remove(at);
                        model.push(entry);
                        prop_assert_eq!(table.get(&key).copied(), Some(entry.1));
                    }
                    (_, None) => {
                        prop_assert_eq!(table.get(&key), None);
                        let evicted = (model.len() == 4).then(|| model.remove(0));
                        model.push((key, step));
                        prop_assert_eq!(table.insert(key, step), evicted);
                    }
                }
                prop_assert_eq!(table.len(), model.len());
                let mut values: Vec<_> = table.values().map(|(k, v)| (*k, *v)).collect();
                values.sort_unstable();
                let mut expected = model.clone();
                expected.sort_unstable();
                prop_assert_eq!(values, expected);
            }
        }
    }
}
