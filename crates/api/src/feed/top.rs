//! Who moved most, of more than can be counted one by one.

use std::collections::HashMap;
use std::hash::Hash;

/// Hosts and ports counted one by one.
const MOST_COUNTED: usize = 4_096;

/// What one moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) count: u64,
    pub(super) packets: u64,
    pub(super) bytes: u64,
}

/// Counts by key; when there are twice as many as are wanted, the smaller half goes. Whoever moves much stays.
pub(super) struct Top<K> {
    counted: HashMap<K, Counted>,
}

impl<K> Default for Top<K> {
    fn default() -> Self {
        Self { counted: HashMap::new() }
    }
}

impl<K: Copy + Eq + Hash + Ord> Top<K> {
    pub(super) fn count(&mut self, key: K, packets: u64, bytes: u64) {
        let counted = self.counted.entry(key).or_default();
        counted.count += 1;
        counted.packets = counted.packets.saturating_add(packets);
        counted.bytes = counted.bytes.saturating_add(bytes);
        if self.counted.len() >= 2 * MOST_COUNTED {
            self.halve();
        }
    }

    fn halve(&mut self) {
        let mut sizes: Vec<u64> = self.counted.values().map(|counted| counted.bytes).collect();
        let (_, middle, _) = sizes.select_nth_unstable(MOST_COUNTED);
        let middle = *middle;
        let larger = self.counted.values().filter(|counted| counted.bytes > middle).count();
        let mut room = MOST_COUNTED.saturating_sub(larger);
        self.counted.retain(|_, counted| {
            let fits = counted.bytes == middle && room > 0;
            room -= usize::from(fits);
            fits || counted.bytes > middle
        });
    }

    /// Those with the most, in order.
    pub(super) fn largest(&self, limit: usize, size: fn(&Counted) -> u64) -> Vec<(K, Counted)> {
        let mut all: Vec<(K, Counted)> = self.counted.iter().map(|(key, counted)| (*key, *counted)).collect();
        all.sort_unstable_by_key(|(key, counted)| (std::cmp::Reverse(size(counted)), *key));
        all.truncate(limit);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_moves_much_stays_through_a_flood_of_others() {
        let mut top = Top::default();
        top.count(0_u32, 10, 1_000_000);
        for key in 1..100_000 {
            top.count(key, 1, 60);
        }
        assert!(top.counted.len() <= 2 * MOST_COUNTED);
        assert_eq!(top.largest(1, |counted| counted.bytes)[0].0, 0);
    }
}
