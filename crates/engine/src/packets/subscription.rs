//! Packets from now on, for one reader.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lapwing_capture::{Filter, Frame};

use super::PacketRecord;

/// Packets as they pass, from the moment of subscribing on, until it is dropped. What its reader does not fetch in time is
/// lost, the oldest first, and counted; nobody waits for it.
#[derive(Debug)]
pub struct Subscription {
    queue: Arc<Queue>,
    subscribers: Arc<AtomicUsize>,
}

/// What was waiting.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// The packets, oldest first.
    pub packets: Vec<Arc<PacketRecord>>,
    /// Packets that were lost since this was told last, because the queue was full.
    pub lost: u64,
}

#[derive(Debug)]
pub(super) struct Queue {
    capacity: usize,
    filter: Mutex<Option<Filter>>,
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    packets: VecDeque<Arc<PacketRecord>>,
    lost: u64,
}

impl Subscription {
    pub(super) fn new(filter: Option<Filter>, capacity: usize, subscribers: &Arc<AtomicUsize>) -> Self {
        subscribers.fetch_add(1, Ordering::Relaxed);
        let queue = Queue {
            capacity: capacity.max(1),
            filter: Mutex::new(filter),
            waiting: Mutex::default(),
            arrived: Condvar::new(),
        };
        Self { queue: Arc::new(queue), subscribers: Arc::clone(subscribers) }
    }

    pub(super) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// What waits; if nothing does, what comes within `patience` (zero: nothing is waited for).
    #[must_use]
    pub fn take(&self, patience: Duration) -> Taken {
        let mut waiting = lock(&self.queue.waiting);
        if waiting.packets.is_empty() && !patience.is_zero() {
            let waited = self.queue.arrived.wait_timeout_while(waiting, patience, |waiting| waiting.packets.is_empty());
            waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Taken { packets: waiting.packets.drain(..).collect(), lost: std::mem::take(&mut waiting.lost) }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.subscribers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Queue {
    /// Whether its reader wants a frame.
    pub(super) fn wants(&self, frame: Frame<'_>) -> bool {
        lock(&self.filter).as_mut().is_none_or(|filter| filter.matches(frame.link, frame.data, frame.length))
    }

    pub(super) fn push(&self, packet: Arc<PacketRecord>) {
        let mut waiting = lock(&self.waiting);
        if waiting.packets.len() == self.capacity {
            waiting.packets.pop_front();
            waiting.lost += 1;
        }
        waiting.packets.push_back(packet);
        drop(waiting);
        self.arrived.notify_one();
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
