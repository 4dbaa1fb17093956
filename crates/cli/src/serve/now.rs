//! What is watched now, as those who watch tell and those who ask are told.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lapwing_api::{SourceKind, SourceState, SourceStatus};
use lapwing_capture::{LiveStatus, PaceStatus, Timestamp};
use lapwing_detect::signature::LoadReport;
use lapwing_engine::Control;
use lapwing_store::AlertRecorder;

use super::logs;

/// What is watched now, for those who ask.
#[derive(Default)]
pub(super) struct Now {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) status: SourceStatus,
    pub(super) control: Arc<Control>,
    pub(super) live: Arc<LiveStatus>,
    pub(super) pace: Option<Arc<PaceStatus>>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) captures: Vec<PathBuf>,
    pub(super) lost: Lost,
    /// What is kept of it, and what is not.
    pub(super) kept: Option<AlertRecorder>,
    pub(super) report: LoadReport,
    /// How often each rule decided, and when last.
    pub(super) hits: Hits,
    /// The number of this source.
    pub(super) run: u64,
}

pub(super) type Lost = BTreeMap<String, u64>;
pub(super) type Hits = HashMap<String, (u64, Timestamp)>;

impl Now {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Waits until `done`, for so long at most.
    pub(super) fn wait(&self, patience: Duration, done: impl Fn(&State) -> bool) -> bool {
        let (end, mut state) = (Instant::now() + patience, self.lock());
        while !done(&state) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

impl State {
    /// What is known of the source at this moment.
    pub(super) fn note_progress(&mut self) {
        let counted = self.control.counted();
        self.status.packets = self.control.frames();
        let is_log = matches!(self.status.kind, SourceKind::Zeek | SourceKind::Eve);
        self.status.flows = if is_log { self.status.packets } else { counted.flows.started };
        if is_log && self.status.state == SourceState::Running {
            self.status.detail = logs::trouble(&counted.logs);
        }
        if self.pace.is_some() {
            let position = self.control.position();
            let share = position.total.map(|total| position.read as f64 / total.max(1) as f64);
            let over = self.status.state == SourceState::Ended;
            self.status.progress = if over { Some(1.0) } else { share.map(|share| share.min(1.0)) };
        }
    }
}
