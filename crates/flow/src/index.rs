//! From a five-tuple's hash to the flow's place in the slab.
//!
//! Open addressing with linear probing over eight-byte cells (hash, place), at most half full: a lookup touches one cache
//! line nearly always. The order of the cells depends on the process's secret key and never reaches an output.

use crate::queue::NONE;

#[derive(Clone, Copy, Debug)]
struct Cell {
    hash: u32,
    slot: u32,
}

const EMPTY: Cell = Cell { hash: 0, slot: NONE };
const SMALLEST: usize = 64;

#[derive(Debug)]
pub(crate) struct Index {
    cells: Vec<Cell>,
    len: usize,
}

impl Index {
    pub(crate) fn new() -> Self {
        Self { cells: vec![EMPTY; SMALLEST], len: 0 }
    }

    fn mask(&self) -> usize {
        self.cells.len() - 1
    }

    /// The first place that may hold the flow: what a batch looks up ahead to have it in the cache.
    pub(crate) fn guess(&self, hash: u32) -> u32 {
        let cell = self.cells[hash as usize & self.mask()];
        if cell.hash == hash { cell.slot } else { NONE }
    }

    /// Asks the memory for the cell that [`Index::guess`] will read.
    pub(crate) fn prefetch(&self, hash: u32) {
        crate::prefetch::whole(&self.cells[hash as usize & self.mask()]);
    }

    /// The place with this hash for which `is_it` holds.
    pub(crate) fn find(&self, hash: u32, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let mask = self.mask();
        let mut at = hash as usize & mask;
        loop {
            let cell = self.cells[at];
            if cell.slot == NONE {
                return None;
            }
            if cell.hash == hash && is_it(cell.slot) {
                return Some(cell.slot);
            }
            at = (at + 1) & mask;
        }
    }

    pub(crate) fn insert(&mut self, hash: u32, slot: u32) {
        if (self.len + 1) * 2 > self.cells.len() {
            self.grow();
        }
        self.place(Cell { hash, slot });
        self.len += 1;
    }

    fn place(&mut self, cell: Cell) {
        let mask = self.mask();
        let mut at = cell.hash as usize & mask;
        while self.cells[at].slot != NONE {
            at = (at + 1) & mask;
        }
        self.cells[at] = cell;
    }

    #[cold]
    fn grow(&mut self) {
        let larger = vec![EMPTY; self.cells.len() * 2];
        for cell in std::mem::replace(&mut self.cells, larger) {
            if cell.slot != NONE {
                self.place(cell);
            }
        }
    }

    /// Forgets a place; cells behind it move up, so that no tombstones gather.
    pub(crate) fn remove(&mut self, hash: u32, slot: u32) {
        let mask = self.mask();
        let mut hole = hash as usize & mask;
        loop {
            let cell = self.cells[hole];
            if cell.slot == NONE {
                return;
            }
            if cell.slot == slot {
                break;
            }
            hole = (hole + 1) & mask;
        }
        self.len -= 1;
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let cell = self.cells[at];
            if cell.slot == NONE {
                break;
            }
            // A cell may move back to the hole unless its own home lies behind the hole.
            let home = cell.hash as usize & mask;
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                self.cells[hole] = cell;
                hole = at;
            }
        }
        self.cells[hole] = EMPTY;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_finds_what_was_put_in_and_nothing_else(steps in prop::collection::vec((0_u32..40, any::<bool>()), 1..400)) {
            let mut index = Index::new();
            let mut model = BTreeMap::new();
            for (slot, insert) in steps {
                // Few hashes, so that they collide and wrap around the end.
                let hash = u32::wrapping_sub(slot % 7, 3);
                if insert && model.insert(slot, hash).is_none() {
                    index.insert(hash, slot);
                } else if !insert && model.remove(&slot).is_some() {
                    index.remove(hash, slot);
                }
                for slot in 0..40 {
                    let hash = u32::wrapping_sub(slot % 7, 3);
                    prop_assert_eq!(index.find(hash, |found| found == slot).is_some(), model.contains_key(&slot));
                }
            }
        }
    }
}
