//! Flows that began or were closed a moment ago, in that order, until what came of them can be told.
//!
//! They wait here besides their place in the timers' queues: many are answered before their turn comes, which is known without
//! a look at the flow.

use std::collections::VecDeque;

use crate::config::SETTLE_DELAY;
use crate::entry::Entry;
use crate::prefetch;

pub(crate) const SETTLE_NANOS: i64 = SETTLE_DELAY.as_nanos() as i64;

/// Flows to be fetched from memory before their turn comes.
const AHEAD: usize = 4;

/// The ticket of a flow that does not wait.
const NONE: u64 = 0;

#[derive(Clone, Copy, Debug)]
struct Waiting {
    since: i64,
    ticket: u64,
    slot: u32,
}

/// The flows that wait; they themselves lie in the table's slab.
#[derive(Debug)]
pub(crate) struct Settling {
    /// In the order of their tickets.
    waiting: VecDeque<Waiting>,
    /// By slot the ticket with which its flow waits: what waits with another has been left behind.
    tickets: Vec<u64>,
    last_ticket: u64,
    /// Flows that the table holds at most.
    capacity: usize,
    /// Nothing settles before this moment.
    pub(crate) next_check: i64,
}

impl Settling {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { waiting: VecDeque::new(), tickets: Vec::new(), last_ticket: NONE, capacity, next_check: i64::MAX }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// A flow waits from now on, whether it did before or not.
    pub(crate) fn begin(&mut self, slot: u32, now: i64) {
        if self.waiting.len() >= 2 * self.capacity {
            // Half of them at least wait no more.
            let tickets = &self.tickets;
            self.waiting.retain(|flow| tickets.get(flow.slot as usize) == Some(&flow.ticket));
        }
        let place = slot as usize;
        if place >= self.tickets.len() {
            self.tickets.resize(place + 1, NONE);
        }
        self.last_ticket += 1;
        self.tickets[place] = self.last_ticket;
        self.waiting.push_back(Waiting { since: now, ticket: self.last_ticket, slot });
        if self.waiting.len() == 1 {
            self.next_check = now.saturating_add(SETTLE_NANOS);
        }
    }

    /// It waits no more; since when it did.
    pub(crate) fn done(&mut self, slot: u32) -> Option<i64> {
        let ticket = std::mem::replace(self.tickets.get_mut(slot as usize)?, NONE);
        let place = self.waiting.binary_search_by_key(&ticket, |flow| flow.ticket).ok()?;
        self.waiting.get(place).map(|flow| flow.since)
    }

    /// The next flow whose moment is over by `now`, which waits no more, and since when it waited; else notes when to look again.
    pub(crate) fn due(&mut self, slab: &[Entry], now: i64) -> Option<(u32, i64)> {
        while let Some(flow) = self.waiting.front().copied() {
            self.next_check = flow.since.saturating_add(SETTLE_NANOS);
            if self.next_check > now {
                return None;
            }
            self.waiting.pop_front();
            self.expect(slab, AHEAD - 1..AHEAD);
            if self.is_current(flow) {
                self.tickets[flow.slot as usize] = NONE;
                return Some((flow.slot, flow.since));
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
            if self.is_current(*flow)
                && let Some(entry) = slab.get(flow.slot as usize)
            {
                prefetch::whole(entry);
            }
        }
    }

    fn is_current(&self, flow: Waiting) -> bool {
        self.tickets.get(flow.slot as usize) == Some(&flow.ticket)
    }
}
