//! How many of a thing came lately.

/// The longest time that can be asked for, in seconds.
pub(super) const WINDOW: u32 = 900;

const SLOT: u32 = 30;
const SLOTS: usize = (WINDOW / SLOT) as usize;

/// Counts per half minute over [`WINDOW`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Recent {
    slots: [u16; SLOTS],
    newest: u32,
}

impl Recent {
    pub(super) fn add(&mut self, second: u32) {
        let slot = second / SLOT;
        if slot > self.newest {
            let passed = (slot - self.newest).min(SLOTS as u32);
            (1..=passed).for_each(|step| self.slots[((slot - passed + step) as usize) % SLOTS] = 0);
            self.newest = slot;
        }
        if self.newest - slot < SLOTS as u32 {
            let count = &mut self.slots[slot as usize % SLOTS];
            *count = count.saturating_add(1);
        }
    }

    /// What came in the last `seconds`, rounded up to half minutes.
    pub(super) fn within(&self, seconds: u32) -> u32 {
        let slots = (seconds.div_ceil(SLOT)).min(SLOTS as u32);
        (0..slots)
            .filter_map(|back| self.newest.checked_sub(back))
            .map(|slot| u32::from(self.slots[slot as usize % SLOTS]))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_old_leaves_the_window() {
        let mut recent = Recent::default();
        (0..100).for_each(|second| recent.add(second * 60));
        assert!((14..=16).contains(&recent.within(WINDOW)), "{}", recent.within(WINDOW));
    }
}
