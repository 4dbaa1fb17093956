//! Small memories in front of the tables, so that what comes once costs a few bytes and nanoseconds.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::FixedState;

/// Keys share slots by a hash with a fixed seed: what is forgotten must be the same in every run.
const SEED: u64 = 0x6c61_7077_696e_6731;

/// Remembers one earlier sight per slot: who comes a second time, with something else, earns a place in a table.
#[derive(Debug)]
pub(crate) struct FirstSight {
    slots: Vec<Sight>,
    hasher: FixedState,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sight {
    tag: [u8; 3],
    how: u8,
    thing: u32,
    nanos: i64,
}

/// What was seen before under the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Earlier {
    pub(crate) thing: u32,
    pub(crate) nanos: i64,
    /// What the caller noted of it.
    pub(crate) how: u8,
}

impl FirstSight {
    /// With `slots` slots of 16 bytes, a power of two.
    pub(crate) fn new(slots: usize) -> Self {
        Self { slots: vec![Sight::default(); slots.next_power_of_two()], hasher: FixedState::with_seed(SEED) }
    }

    /// Notes that `key` came with `thing`, and `how`; returns what it came with before, if its slot still says so. The same
    /// thing again is no news: the first time stays.
    pub(crate) fn note(&mut self, key: impl Hash, thing: u32, nanos: i64, how: u8) -> Option<Earlier> {
        let hash = self.hasher.hash_one(key);
        let place = hash as usize & (self.slots.len() - 1);
        // Zero is an empty slot.
        let [a, b, c, ..] = hash.to_be_bytes();
        let tag = [a, b, c | 1];
        let slot = &mut self.slots[place];
        if slot.tag != tag {
            *slot = Sight { tag, how, thing, nanos };
            return None;
        }
        let earlier = Earlier { thing: slot.thing, nanos: slot.nanos, how: slot.how };
        if earlier.thing != thing {
            *slot = Sight { tag, how, thing, nanos };
        }
        Some(earlier)
    }
}

/// Counts per key and window: who reaches a number within one window earns a place in a table.
#[derive(Debug)]
pub(crate) struct WindowCount {
    slots: Vec<Counted>,
    hasher: FixedState,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    tag: u32,
    count: u32,
    window: i64,
}

impl WindowCount {
    /// With `slots` slots of 16 bytes, a power of two.
    pub(crate) fn new(slots: usize) -> Self {
        Self { slots: vec![Counted::default(); slots.next_power_of_two()], hasher: FixedState::with_seed(SEED) }
    }

    /// Adds `weight` to what `key` has in `window`; returns the sum, as far as its slot still says.
    pub(crate) fn add(&mut self, key: impl Hash, window: i64, weight: u32) -> u32 {
        let hash = self.hasher.hash_one(key);
        let place = hash as usize & (self.slots.len() - 1);
        let tag = (hash >> 32) as u32 | 1;
        let slot = &mut self.slots[place];
        if slot.tag != tag || slot.window != window {
            *slot = Counted { tag, count: 0, window };
        }
        slot.count = slot.count.saturating_add(weight);
        slot.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_thing_is_told_with_the_first() {
        let mut sight = FirstSight::new(1024);
        assert_eq!(sight.note(7_u64, 80, 10, 0), None);
        assert_eq!(sight.note(7_u64, 80, 20, 0), Some(Earlier { thing: 80, nanos: 10, how: 0 }));
        assert_eq!(sight.note(7_u64, 443, 30, 0), Some(Earlier { thing: 80, nanos: 10, how: 0 }));
        assert_eq!(sight.note(8_u64, 443, 30, 0), None);
    }

    #[test]
    fn counts_begin_anew_with_each_window() {
        let mut counts = WindowCount::new(1024);
        assert_eq!((1..=5).map(|_| counts.add(7_u64, 1, 1)).last(), Some(5));
        assert_eq!(counts.add(7_u64, 2, 1), 1);
    }
}
