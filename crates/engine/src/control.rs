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
    /// What nothing was said about because these logs do not carry what it takes.
    pub not_evaluated: Vec<String>,
    /// Records of them that came after later ones had been judged.
    pub late: u64,
    /// Records of them whose time was not believed.
    pub held: u64,
    /// Capture time.
    pub now: Option<Timestamp>,
}

impl Counted {
    /// What the logs that are followed did not give, or gave in a way that was not believed: only what there was of it.
    pub fn missed_in_logs(&self) -> impl Iterator<Item = (String, u64)> {
        let missed = missed_in_logs(&self.logs);
        missed.into_iter().chain(named([("late_records", self.late), ("records_with_unbelievable_time", self.held)]))
    }
}

/// What logs that are followed did not give: only what there was of it.
pub fn missed_in_logs(logs: &[LogReport]) -> impl Iterator<Item = (String, u64)> + use<> {
    let sum = |of: fn(&LogReport) -> u64| logs.iter().map(of).sum();
    named([
        ("malformed_lines", sum(|log| log.malformed)),
        ("logs_that_cannot_be_read", sum(|log| u64::from(log.refused.is_some()))),
        ("no_log_is_there", u64::from(!logs.is_empty() && logs.iter().all(|log| !log.there && log.refused.is_none()))),
        ("rotated_logs_lost", sum(|log| log.lost_files)),
    ])
}

fn named<const COUNT: usize>(counts: [(&str, u64); COUNT]) -> impl Iterator<Item = (String, u64)> + use<COUNT> {
    let counts = counts.map(|(what, count)| (what.to_owned(), count));
    counts.into_iter().filter(|(_, count)| *count > 0)
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
