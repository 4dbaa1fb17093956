//! Flows whose first moments are not over, in the order in which they began.
//!
//! They wait here besides their place in the timers' queues: most are closed or answered before their turn comes, which one bit
//! tells without a look at the flow.

use std::collections::VecDeque;

use crate::config::SETTLE_DELAY;
use crate::entry::Entry;
use crate::prefetch;

pub(crate) const SETTLE_NANOS: i64 = SETTLE_DELAY.as_nanos() as i64;

/// Flows to be fetched from memory before their turn comes.
const AHEAD: usize = 4;

#[derive(Clone, Copy, Debug)]
struct Waiting {
    start: i64,
    slot: u32,
    /// Low bits of the flow's first frame: flows that follow each other in a slot may have begun at the same moment.
    frame: u32,
}

/// The flows that wait; they themselves lie in the table's slab.
#[derive(Debug)]
pub(crate) struct Settling {
    waiting: VecDeque<Waiting>,
    /// By slot whether its flow still waits.
    bits: Vec<u64>,
    /// Flows that the table holds at most.
    capacity: usize,
    /// Nothing settles before this moment.
    pub(crate) next_check: i64,
}

impl Settling {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { waiting: VecDeque::new(), bits: Vec::new(), capacity, next_check: i64::MAX }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn waits(&self, slot: u32) -> bool {
        self.bits.get(slot as usize / 64).is_some_and(|bits| bits >> (slot % 64) & 1 == 1)
    }

    /// A flow begins.
    pub(crate) fn begin(&mut self, slab: &[Entry], slot: u32) {
        let Some((start, frame)) = slab.get(slot as usize).map(began) else { return };
        if self.waiting.len() >= 2 * self.capacity {
            // Nearly half of them at least are of flows that are gone.
            let mut waiting = std::mem::take(&mut self.waiting);
            waiting.retain(|flow| self.is_current(slab, *flow));
            self.waiting = waiting;
        }
        let word = slot as usize / 64;
        if word >= self.bits.len() {
            self.bits.resize(word + 1, 0);
        }
        self.bits[word] |= 1 << (slot % 64);
        self.waiting.push_back(Waiting { start, slot, frame });
        if self.waiting.len() == 1 {
            self.next_check = start.saturating_add(SETTLE_NANOS);
        }
    }

    /// It need not wait any more.
    pub(crate) fn done(&mut self, slot: u32) {
        if let Some(bits) = self.bits.get_mut(slot as usize / 64) {
            *bits &= !(1 << (slot % 64));
        }
    }

    /// The next flow whose first moments are over by `now`, which waits no more; else notes when to look again.
    pub(crate) fn due(&mut self, slab: &[Entry], now: i64) -> Option<u32> {
        while let Some(flow) = self.waiting.front().copied() {
            self.next_check = flow.start.saturating_add(SETTLE_NANOS);
            if self.next_check > now {
                return None;
            }
            self.waiting.pop_front();
            self.expect(slab, AHEAD - 1..AHEAD);
            if self.is_current(slab, flow) {
                self.done(flow.slot);
                return Some(flow.slot);
            }
        }
        self.next_check = i64::MAX;
        None
    }

    /// Asks the memory for the flows whose turn comes next.
    pub(crate) fn expect_due(&self, slab: &[Entry]) {
        self.expect(slab, 0..AHEAD);
    }

    fn expect(&self, slab: &[Entry], places: std::ops::Range<usize>) {
        for flow in places.filter_map(|place| self.waiting.get(place)) {
            if self.waits(flow.slot)
                && let Some(entry) = slab.get(flow.slot as usize)
            {
                prefetch::whole(entry);
            }
        }
    }

    /// Whether the slot still holds the flow that began then, and it waits.
    fn is_current(&self, slab: &[Entry], flow: Waiting) -> bool {
        self.waits(flow.slot)
            && slab.get(flow.slot as usize).is_some_and(|entry| began(entry) == (flow.start, flow.frame))
    }
}

fn began(entry: &Entry) -> (i64, u32) {
    (entry.start, entry.first_frame as u32)
}
