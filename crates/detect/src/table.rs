//! A map with a hard cap that forgets who was idle longest.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// How many passes of the hand a much-used entry outlives an unused one.
const MAX_CREDIT: u8 = 3;

#[derive(Debug)]
struct Slot<K, V> {
    key: K,
    value: V,
    credit: u8,
}

/// A map from `K` to `V` of at most `capacity` entries.
///
/// When full, a hand goes round the slots and gives the slot of the first entry without credit to the newcomer; each use
/// earns an entry one credit, each pass of the hand costs one (generalised clock, Smith 1978). So a flood of keys that
/// come once replaces itself, and what is used again stays. Which entry goes depends on the order of uses alone, never on
/// a hash: the same observations leave the same entries, whatever the hasher's seed.
#[derive(Debug)]
pub(crate) struct Table<K, V> {
    index: HashTable<u32>,
    slots: Vec<Slot<K, V>>,
    hand: usize,
    capacity: usize,
    evicted: u64,
    hasher: RandomState,
}

impl<K: Hash + Eq + Copy, V: Default> Table<K, V> {
    /// An empty table; takes its memory as it fills.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            index: HashTable::new(),
            slots: Vec::new(),
            hand: 0,
            capacity: capacity.max(1),
            evicted: 0,
            hasher: RandomState::default(),
        }
    }

    /// The entry of `key`, if it has one.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        if self.slots.is_empty() {
            return None;
        }
        let hash = self.hasher.hash_one(key);
        let found = *self.index.find(hash, |&slot| self.slots[slot as usize].key == *key)?;
        let slot = &mut self.slots[found as usize];
        slot.credit = (slot.credit + 1).min(MAX_CREDIT);
        Some(&mut slot.value)
    }

    /// The entry of `key`, made from the default if it has none.
    pub(crate) fn entry(&mut self, key: K) -> &mut V {
        let hash = self.hasher.hash_one(key);
        if let Some(&found) = self.index.find(hash, |&slot| self.slots[slot as usize].key == key) {
            let slot = &mut self.slots[found as usize];
            slot.credit = (slot.credit + 1).min(MAX_CREDIT);
            return &mut slot.value;
        }
        let slot = if self.slots.len() < self.capacity {
            self.slots.push(Slot { key, value: V::default(), credit: 0 });
            self.slots.len() - 1
        } else {
            let slot = self.evict();
            self.slots[slot] = Slot { key, value: V::default(), credit: 0 };
            slot
        };
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.index.insert_unique(hash, slot as u32, |&slot| hasher.hash_one(slots[slot as usize].key));
        &mut self.slots[slot].value
    }

    /// Every entry, in an order that depends on the order of uses alone.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.slots.iter_mut().map(|slot| (&slot.key, &mut slot.value))
    }

    /// Entries given up because the table was full.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Empties a slot without credit and returns it. At most `MAX_CREDIT + 1` rounds; on average a few steps, for credit is
    /// earned one at a time.
    fn evict(&mut self) -> usize {
        loop {
            let slot = self.hand;
            self.hand = if slot + 1 == self.slots.len() { 0 } else { slot + 1 };
            if self.slots[slot].credit > 0 {
                self.slots[slot].credit -= 1;
                continue;
            }
            let hash = self.hasher.hash_one(self.slots[slot].key);
            if let Ok(entry) = self.index.find_entry(hash, |&other| other as usize == slot) {
                entry.remove();
            }
            self.evicted += 1;
            return slot;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_holds_more_than_its_capacity() {
        let mut table: Table<u64, u32> = Table::new(100);
        for key in 0..1_000_000 {
            *table.entry(key) += 1;
        }
        assert_eq!(table.len(), 100);
        assert_eq!(table.evicted(), 999_900);
        assert_eq!(table.get_mut(&999_999), Some(&mut 1));
        assert_eq!(table.get_mut(&5), None);
    }

    #[test]
    fn what_is_used_again_outlives_a_flood_of_newcomers() {
        let mut table: Table<u64, u32> = Table::new(64);
        for key in 0..100_000 {
            table.entry(1_000 + key);
            if key % 50 == 0 {
                *table.entry(7) += 1;
            }
        }
        assert_eq!(table.get_mut(&7).copied(), Some(2_000));
    }

    #[test]
    fn the_same_uses_leave_the_same_entries_whatever_the_seed() {
        let left = || {
            let mut table: Table<u64, u32> = Table::new(16);
            for step in 0_u64..5_000 {
                *table.entry(step.wrapping_mul(step) % 97) += 1;
            }
            table.iter_mut().map(|(key, value)| (*key, *value)).collect::<Vec<_>>()
        };
        assert_eq!(left(), left());
    }
}
