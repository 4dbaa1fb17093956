//! Live flows in the order in which their timers run out.
//!
//! Each flow waits in one of a few queues, one per idle timeout and one for the five-second timers of TCP. A queue's period
//! is the same for all its flows, so its head is both the flow that runs out first and the one idle longest. A flow moves to
//! the back only when a second has passed since it last did: a busy flow costs a busy packet nothing here.

use crate::config::{INTERACTIVE_IDLE_TIMEOUT, SHORT_IDLE_TIMEOUT, TCP_ATTEMPT_DELAY, TCP_IDLE_TIMEOUT};
use crate::entry::Entry;

/// No flow.
pub(crate) const NONE: u32 = u32::MAX;

/// Idle timeouts by [`Entry::idle_class`].
pub(crate) const IDLE_NANOS: [i64; 3] = [
    SHORT_IDLE_TIMEOUT.as_nanos() as i64,
    TCP_IDLE_TIMEOUT.as_nanos() as i64,
    INTERACTIVE_IDLE_TIMEOUT.as_nanos() as i64,
];

/// The queue of flows with a five-second timer; the others are indexed by idle class.
pub(crate) const DEADLINE_QUEUE: usize = 3;
const QUEUES: usize = 4;
const PERIODS: [i64; QUEUES] = [IDLE_NANOS[0], IDLE_NANOS[1], IDLE_NANOS[2], TCP_ATTEMPT_DELAY.as_nanos() as i64];

/// How long a flow may stay where it is in its queue although packets come.
const STAY_NANOS: i64 = 1_000_000_000;

/// Where a flow waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    previous: u32,
    next: u32,
    /// Its queue's period before the moment at which it must be looked at: the time of the flow's last packet when it was
    /// put there, in the deadline queue the time its timer was set.
    since: i64,
    queue: u8,
}

impl Default for Place {
    fn default() -> Self {
        Self { previous: NONE, next: NONE, since: 0, queue: 0 }
    }
}

/// The queues; the flows themselves lie in the table's slab.
#[derive(Debug)]
pub(crate) struct Queues {
    heads: [u32; QUEUES],
    tails: [u32; QUEUES],
    /// When each head must be looked at; no later than it must.
    checks: [i64; QUEUES],
    /// No head runs out before this moment.
    pub(crate) next_check: i64,
}

impl Queues {
    pub(crate) fn new() -> Self {
        Self { heads: [NONE; QUEUES], tails: [NONE; QUEUES], checks: [i64::MAX; QUEUES], next_check: i64::MAX }
    }

    /// Puts a flow at the back of the queue its state asks for.
    pub(crate) fn push(&mut self, slab: &mut [Entry], slot: u32) {
        let entry = &mut slab[slot as usize];
        let queue = if entry.deadline == i64::MAX { usize::from(entry.idle_class) } else { DEADLINE_QUEUE };
        let tail = self.tails[queue];
        let since = if queue == DEADLINE_QUEUE { entry.deadline.saturating_sub(PERIODS[queue]) } else { entry.last };
        entry.place = Place { previous: tail, next: NONE, since, queue: queue as u8 };
        let check = since.saturating_add(PERIODS[queue]);
        if tail == NONE {
            self.heads[queue] = slot;
            self.checks[queue] = check;
            self.next_check = self.next_check.min(check);
        } else {
            slab[tail as usize].place.next = slot;
        }
        self.tails[queue] = slot;
    }

    /// Takes a flow out of its queue.
    pub(crate) fn remove(&mut self, slab: &mut [Entry], slot: u32) {
        let Place { previous, next, queue, .. } = slab[slot as usize].place;
        let queue = usize::from(queue);
        if previous == NONE {
            self.heads[queue] = next;
            // The new head was put there later, so the old check is early enough; `due` looks closer.
            if next == NONE {
                self.checks[queue] = i64::MAX;
            }
        } else {
            slab[previous as usize].place.next = next;
        }
        if next == NONE {
            self.tails[queue] = previous;
        } else {
            slab[next as usize].place.previous = previous;
        }
    }

    /// Notes a packet of a flow: moves it to the back if it has stayed long enough.
    pub(crate) fn touch(&mut self, slab: &mut [Entry], slot: u32) {
        let entry = &slab[slot as usize];
        if entry.last.saturating_sub(entry.place.since) >= STAY_NANOS
            && usize::from(entry.place.queue) != DEADLINE_QUEUE
        {
            self.remove(slab, slot);
            self.push(slab, slot);
        }
    }

    /// A flow whose timer may have run out by `now`; else notes when to look again.
    pub(crate) fn due(&mut self, slab: &[Entry], now: i64) -> Option<u32> {
        for ((head, check), period) in self.heads.iter().zip(&mut self.checks).zip(PERIODS) {
            if *check > now {
                continue;
            }
            let place = &slab[*head as usize].place;
            *check = place.since.saturating_add(period);
            if *check <= now {
                expect(slab, place.next);
                return Some(*head);
            }
        }
        self.next_check = self.checks.iter().copied().min().unwrap_or(i64::MAX);
        None
    }

    /// Fetches the flows that [`Queues::due`] will look at by `now`.
    pub(crate) fn expect_due(&self, slab: &[Entry], now: i64) {
        for (head, check) in self.heads.iter().zip(&self.checks) {
            if *check <= now {
                expect(slab, *head);
            }
        }
    }

    /// The flow idle longest, to within the seconds a flow stays in the deadline queue.
    pub(crate) fn idlest(&mut self, slab: &mut [Entry]) -> Option<u32> {
        // An established flow may stand at the head of the deadline queue only because its timer was not looked at yet.
        for _ in 0..8 {
            let head = self.heads[DEADLINE_QUEUE];
            if head == NONE || !slab[head as usize].outlived_its_attempt() {
                break;
            }
            self.remove(slab, head);
            slab[head as usize].deadline = i64::MAX;
            self.push(slab, head);
        }
        let waiting = self.heads.iter().copied().filter(|head| *head != NONE);
        let idlest = waiting.min_by_key(|head| slab[*head as usize].place.since)?;
        expect(slab, slab[idlest as usize].place.next);
        Some(idlest)
    }

    /// Any flow: the one that has waited longest in the first queue that is not empty.
    pub(crate) fn first(&self) -> Option<u32> {
        self.heads.iter().copied().find(|head| *head != NONE)
    }
}

/// Fetches a flow that is likely the next to go: it is long out of the cache.
fn expect(slab: &[Entry], slot: u32) {
    if let Some(entry) = slab.get(slot as usize) {
        crate::prefetch::whole(entry);
    }
}
