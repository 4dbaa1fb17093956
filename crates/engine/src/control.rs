//! A run's handle for whoever watches it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use lapwing_capture::{Position, Timestamp};
use lapwing_decode::DecodeCounts;
use lapwing_flow::FlowCounters;
use lapwing_records::LogReport;

/// What a live run has counted so far.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// What was and was not decoded.
    pub decode: DecodeCounts,
    /// What became of the flows.
    pub flows: FlowCounters,
    /// The logs that are followed.
    pub logs: Vec<LogReport>,
    /// Capture time.
    pub now: Option<Timestamp>,
}

/// Stops a run, and says how far it has come.
#[derive(Debug, Default)]
pub struct Control {
    stop: Arc<AtomicBool>,
    read: AtomicU64,
    total: AtomicU64,
    frames: AtomicU64,
    /// Somebody looks at what is counted.
    watched: AtomicBool,
    counted: Mutex<Counted>,
}

impl Control {
    /// The flag that asks the run to end as if its input ended now, for a signal handler to set.
    #[must_use]
    pub fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Whether the run was asked to end.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Bytes read, and how many there are where that is known.
    #[must_use]
    pub fn position(&self) -> Position {
        let total = self.total.load(Ordering::Relaxed);
        Position { read: self.read.load(Ordering::Relaxed), total: (total > 0).then_some(total) }
    }

    /// Frames read.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    /// From now on the run says what it has counted.
    pub fn watch(&self) {
        self.watched.store(true, Ordering::Relaxed);
    }

    /// What was counted, as of about a second ago; nothing before [`Control::watch`].
    #[must_use]
    pub fn counted(&self) -> Counted {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Relaxed)
    }

    pub(crate) fn count(&self, counted: Counted) {
        *self.counted.lock().unwrap_or_else(PoisonError::into_inner) = counted;
    }

    pub(crate) fn report(&self, position: Position, frames: u64) {
        self.read.store(position.read, Ordering::Relaxed);
        self.total.store(position.total.unwrap_or(0), Ordering::Relaxed);
        self.frames.fetch_add(frames, Ordering::Relaxed);
    }
}
