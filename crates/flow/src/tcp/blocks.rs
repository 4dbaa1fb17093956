//! Where out-of-order data lies: intervals only, not the bytes.

use super::side::NO_BLOCKS;

/// Intervals one direction may have above its first hole. Zeek bounds the bytes there instead; a sender of one-byte segments
/// would make millions of intervals of them.
const MOST_PER_DIRECTION: usize = 256;

/// Out-of-order data of all directions of a table that have any; few have.
#[derive(Debug)]
pub(crate) struct Blocks {
    lists: Vec<Vec<(u64, u64)>>,
    free: Vec<u32>,
    intervals: usize,
    most_intervals: usize,
}

impl Blocks {
    /// Room for `most_intervals` over all directions, 16 bytes each.
    pub(crate) fn new(most_intervals: usize) -> Self {
        Self { lists: Vec::new(), free: Vec::new(), intervals: 0, most_intervals }
    }

    /// The direction's intervals, in order, apart from each other.
    pub(crate) fn get(&self, place: u32) -> &[(u64, u64)] {
        self.lists.get(place as usize).map_or(&[], Vec::as_slice)
    }

    /// Adds an interval; tells whether there was room.
    pub(crate) fn insert(&mut self, place: &mut u32, start: u64, end: u64) -> bool {
        if *place == NO_BLOCKS {
            if self.intervals >= self.most_intervals {
                return false;
            }
            *place = self.free.pop().unwrap_or(self.lists.len() as u32);
            if *place as usize == self.lists.len() {
                self.lists.push(Vec::new());
            }
        }
        let list = &mut self.lists[*place as usize];
        let first = list.partition_point(|interval| interval.1 < start);
        let behind = list.partition_point(|interval| interval.0 <= end);
        if first < behind {
            let merged = (list[first].0.min(start), list[behind - 1].1.max(end));
            list.drain(first + 1..behind);
            list[first] = merged;
            self.intervals -= behind - first - 1;
            return true;
        }
        if list.len() >= MOST_PER_DIRECTION || self.intervals >= self.most_intervals {
            return false;
        }
        list.insert(first, (start, end));
        self.intervals += 1;
        true
    }

    /// Takes the first interval away.
    pub(crate) fn pop_first(&mut self, place: &mut u32) {
        if let Some(list) = self.lists.get_mut(*place as usize)
            && !list.is_empty()
        {
            list.remove(0);
            self.intervals -= 1;
            if list.is_empty() {
                self.clear(place);
            }
        }
    }

    /// Forgets a direction's intervals.
    pub(crate) fn clear(&mut self, place: &mut u32) {
        if *place == NO_BLOCKS {
            return;
        }
        let list = std::mem::take(&mut self.lists[*place as usize]);
        self.intervals -= list.len();
        self.free.push(*place);
        *place = NO_BLOCKS;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_that_touch_become_one() {
        let (mut blocks, mut place) = (Blocks::new(8), NO_BLOCKS);
        for (start, end) in [(10, 20), (30, 40), (20, 30), (50, 60), (5, 8)] {
            assert!(blocks.insert(&mut place, start, end));
        }
        assert_eq!(blocks.get(place), [(5, 8), (10, 40), (50, 60)]);
        assert_eq!(blocks.intervals, 3);
        blocks.clear(&mut place);
        assert_eq!((blocks.intervals, blocks.get(place)), (0, &[][..]));
    }

    #[test]
    fn room_is_bounded() {
        let mut blocks = Blocks::new(3);
        let mut places = [NO_BLOCKS; 4];
        let taken: Vec<bool> = places.iter_mut().map(|place| blocks.insert(place, 5, 6)).collect();
        assert_eq!(taken, [true, true, true, false]);
        blocks.clear(&mut places[0]);
        assert!(blocks.insert(&mut places[3], 1, 2));
    }
}
