//! Counters of each sink.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde::Serialize;

use crate::metrics::{Metrics, names};
use crate::sink::Built;
use crate::spool::Spool;

/// What became of the records of one sink, as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SinkStatus {
    /// Its name in the settings.
    pub name: String,
    /// What it is: `syslog`, `webhook`, …
    pub sort: String,
    /// Where it sends to, without secrets.
    pub target: String,
    /// Records of the spool that it has yet to look at or to deliver.
    pub queued: u64,
    /// Records that the receiver confirmed.
    pub delivered: u64,
    /// Attempts that failed and were made again.
    pub retried: u64,
    /// Records that the receiver refused for good.
    pub rejected: u64,
    /// Records that were gone before the sink got to them.
    pub dropped: u64,
    /// Whether the last attempt failed.
    pub failing: bool,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// Where the numbers come from.
pub(crate) struct Status {
    spool: Arc<Spool>,
    sinks: Vec<Shown>,
}

struct Shown {
    name: String,
    sort: &'static str,
    target: String,
    counters: Arc<Counters>,
}

/// What a sink's thread counts.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) delivered: AtomicU64,
    pub(crate) retried: AtomicU64,
    pub(crate) rejected: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) failing: Mutex<Failing>,
}

/// Since when and why a sink fails.
#[derive(Debug, Default)]
pub(crate) struct Failing {
    pub(crate) since: Option<Instant>,
    pub(crate) last_error: Option<String>,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }
}

impl Status {
    pub(crate) fn new(spool: &Arc<Spool>, built: &[Built]) -> Self {
        let shown = |built: &Built| Shown {
            name: built.name.clone(),
            sort: built.sort,
            target: built.sink.target(),
            counters: Arc::default(),
        };
        Self { spool: Arc::clone(spool), sinks: built.iter().map(shown).collect() }
    }

    /// Those of the sink at this place.
    pub(crate) fn counters(&self, place: usize) -> Arc<Counters> {
        Arc::clone(&self.sinks[place].counters)
    }

    pub(crate) fn sinks(&self) -> Vec<SinkStatus> {
        let end = self.spool.end();
        self.sinks.iter().map(|sink| sink.status(end.saturating_sub(self.spool.place(&sink.name)))).collect()
    }

    pub(crate) fn show_in(&self, metrics: &Metrics) {
        for sink in self.sinks() {
            let name = [sink.name.as_str()];
            metrics.set(&names::EXPORT_QUEUE_DEPTH, &name, sink.queued as f64);
            metrics.set(&names::EXPORT_FAILED, &name, sink.retried as f64);
            metrics.set(&names::EXPORT_DELIVERED, &name, sink.delivered as f64);
            metrics.set(&names::EXPORT_REJECTED, &name, sink.rejected as f64);
            metrics.set(&names::EXPORT_DROPPED, &name, sink.dropped as f64);
        }
        metrics.set(&names::EXPORT_SPOOL_BYTES, &[], self.spool.status().bytes as f64);
    }
}

impl Shown {
    fn status(&self, queued: u64) -> SinkStatus {
        let counted = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let failing = self.counters.failing.lock().unwrap_or_else(PoisonError::into_inner);
        SinkStatus {
            name: self.name.clone(),
            sort: self.sort.to_owned(),
            target: self.target.clone(),
            queued,
            delivered: counted(&self.counters.delivered),
            retried: counted(&self.counters.retried),
            rejected: counted(&self.counters.rejected),
            dropped: counted(&self.counters.dropped),
            failing: failing.since.is_some(),
            last_error: failing.last_error.clone(),
        }
    }
}
