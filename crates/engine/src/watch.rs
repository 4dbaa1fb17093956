//! The stage of a live run: a scan whose alerts come out as they open, change and close.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lapwing_alert::Alert;
use lapwing_asset::Inventory;
use lapwing_capture::Timestamp;
use lapwing_flow::Reported;
use lapwing_protocol::Observed;

use crate::coverage::Coverage;
use crate::{Detecting, Heard, Scored, Stage};

/// Where the alerts of a live run go, and where new rules come from.
pub trait Watcher: Send {
    /// Takes alerts that opened, changed or closed: the same id comes again with a higher revision, at most once a second.
    fn alerts(&mut self, alerts: &mut [Alert]);

    /// Another second of capture time has begun; its alerts have been told.
    fn second(&mut self, _detecting: &Detecting) {}

    /// Asked to read the rules anew: puts them into `detecting`, or says why the old ones stay.
    fn reload(&mut self, detecting: &mut Detecting);
}

/// Detects as a scan does, and tells as it goes.
pub struct Watching<W> {
    detecting: Detecting,
    watcher: W,
    taken: Vec<Alert>,
    reload: Arc<AtomicBool>,
    heard: Box<dyn Fn() -> Heard + Send>,
    coverage: Coverage,
}

impl<W: Watcher> Watching<W> {
    /// Tells `watcher`; when somebody sets `reload`, it is asked for new rules within a second. `heard` is asked once a second:
    /// alerts are less sure by what was missed in the minute before, and say why.
    pub fn new(
        detecting: Detecting,
        watcher: W,
        reload: Arc<AtomicBool>,
        heard: impl Fn() -> Heard + Send + 'static,
    ) -> Self {
        let (taken, coverage) = (Vec::new(), Coverage::default());
        Self { detecting, watcher, taken, reload, heard: Box::new(heard), coverage }
    }

    /// Ends the run at `last`: tells the last revisions; returns the watcher, and what was lost on the way as
    /// [`Raised::lost`](crate::Raised::lost) says it.
    pub fn finish(mut self, last: Option<Timestamp>) -> (W, BTreeMap<String, u64>) {
        self.detecting.end(last);
        self.tell(last.unwrap_or_default());
        (self.watcher, self.detecting.lost())
    }

    fn tell(&mut self, now: Timestamp) {
        self.detecting.merger().changed(now, &mut self.taken);
        self.hand_over();
    }

    fn hand_over(&mut self) {
        if !self.taken.is_empty() {
            self.watcher.alerts(&mut self.taken);
            self.taken.clear();
        }
    }
}

impl<W: Watcher> Stage for Watching<W> {
    fn looks_at(&self) -> Reported {
        // Rules that are read anew may judge single flows, too.
        self.detecting.looks_at().max(Reported::Finished)
    }

    fn inventory(&self) -> Option<&Inventory> {
        self.detecting.inventory()
    }

    fn observe(&mut self, observed: &[Observed<'_>], scored: &[Scored<'_>]) {
        self.detecting.observe(observed, scored);
        self.detecting.merger().opened(&mut self.taken);
        self.hand_over();
    }

    fn idle(&mut self) {
        if self.reload.swap(false, Ordering::Relaxed) {
            self.watcher.reload(&mut self.detecting);
        }
    }

    fn advance(&mut self, second: Timestamp) {
        self.idle();
        let missed = self.coverage.note((self.heard)());
        self.detecting.merger().set_missed(missed);
        self.detecting.advance(second);
        self.tell(second);
        self.watcher.second(&self.detecting);
    }
}
