//! A run's handle for whoever watches it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use lapwing_capture::Position;

/// Stops a run, and says how far it has come.
#[derive(Debug, Default)]
pub struct Control {
    stop: Arc<AtomicBool>,
    read: AtomicU64,
    total: AtomicU64,
    frames: AtomicU64,
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

    pub(crate) fn report(&self, position: Position, frames: u64) {
        self.read.store(position.read, Ordering::Relaxed);
        self.total.store(position.total.unwrap_or(0), Ordering::Relaxed);
        self.frames.fetch_add(frames, Ordering::Relaxed);
    }
}
