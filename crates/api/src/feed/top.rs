//! Who moved most, of more than can be counted one by one.

use std::collections::HashMap;
use std::hash::Hash;
use std::marker::PhantomData;

/// Hosts and ports counted one by one.
const MOST_COUNTED: usize = 4_096;

/// What one moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) count: u64,
    pub(super) packets: u64,
    pub(super) bytes: u64,
}

/// What comes first among those counted.
pub(super) trait Rank {
    fn size(counted: &Counted) -> u64;
}

/// Who moved most bytes.
pub(super) struct ByBytes;

impl Rank for ByBytes {
    fn size(counted: &Counted) -> u64 {
        counted.bytes
    }
}

/// What came most often.
pub(super) struct ByCount;

impl Rank for ByCount {
    fn size(counted: &Counted) -> u64 {
        counted.count
    }
}

/// Counts by key; when there are twice as many as are wanted, the half that ranks lower goes. Whoever moves much stays.
pub(super) struct Top<K, R = ByBytes> {
    counted: HashMap<K, Counted>,
    rank: PhantomData<R>,
}

impl<K, R> Default for Top<K, R> {
    fn default() -> Self {
        Self { counted: HashMap::new(), rank: PhantomData }
    }
}

impl<K: Copy + Eq + Hash + Ord, R: Rank> Top<K, R> {
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
        let mut sizes: Vec<u64> = self.counted.values().map(R::size).collect();
        let (_, middle, _) = sizes.select_nth_unstable(MOST_COUNTED);
        let middle = *middle;
        let larger = self.counted.values().filter(|counted| R::size(counted) > middle).count();
        let mut room = MOST_COUNTED.saturating_sub(larger);
        self.counted.retain(|_, counted| {
            let fits = R::size(counted) == middle && room > 0;
            room -= usize::from(fits);
            fits || R::size(counted) > middle
        });
    }

    /// Those with the most, in order.
    pub(super) fn largest(&self, limit: usize) -> Vec<(K, Counted)> {
        let mut all: Vec<(K, Counted)> = self.counted.iter().map(|(key, counted)| (*key, *counted)).collect();
        all.sort_unstable_by_key(|(key, counted)| (std::cmp::Reverse(R::size(counted)), *key));
        all.truncate(limit);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_moves_much_stays_through_a_flood_of_others() {
        let mut top: Top<u32> = Top::default();
        top.count(0_u32, 10, 1_000_000);
        for key in 1..100_000 {
            top.count(key, 1, 60);
        }
        assert!(top.counted.len() <= 2 * MOST_COUNTED);
        assert_eq!(top.largest(1)[0].0, 0);
    }

    #[test]
    fn what_comes_often_stays_through_a_flood_of_what_is_larger() {
        let mut top: Top<u32, ByCount> = Top::default();
        (0..3).for_each(|_| top.count(0, 1, 60));
        for key in 1..100_000 {
            top.count(key, 10, 1_000_000);
        }
        assert_eq!(top.largest(1)[0].0, 0);
    }
}
