//! A stage that keeps what it sees: flows as they end, devices every few minutes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lapwing_asset::Inventory;
use lapwing_capture::Timestamp;
use lapwing_flow::Reported;
use lapwing_protocol::{Observation, Observed};
use lapwing_store::{DeviceRecord, Recorder};

use crate::{Scored, Stage};

/// How often what is known of devices is handed over, in capture time.
const DEVICES_EVERY: Duration = Duration::from_secs(300);

/// How often at most because there is a new device, where a later run is to know it or somebody looks on.
const NEWS_EVERY: Duration = Duration::from_secs(10);

/// Hands flows and devices to a [`Recorder`], and everything to another stage.
pub struct Recording<'a> {
    stage: &'a mut dyn Stage,
    recorder: &'a mut Recorder,
    /// The time of the first observation names the run.
    run: Option<Timestamp>,
    /// A later run is to go on with this one.
    remembers: bool,
    /// New devices are handed over soon.
    promptly: bool,
    /// That was handed over.
    noted: bool,
    /// When devices were handed over last; the first observation counts as such.
    told: Option<Timestamp>,
    /// The newest device that was handed over.
    newest: Option<Timestamp>,
    /// Somebody has stopped what is played.
    stopped: Option<Arc<AtomicBool>>,
}

impl<'a> Recording<'a> {
    /// Records what `stage` looks at, and the devices of its inventory.
    pub fn new(stage: &'a mut dyn Stage, recorder: &'a mut Recorder) -> Self {
        Self {
            stage,
            recorder,
            run: None,
            remembers: false,
            promptly: false,
            noted: false,
            told: None,
            newest: None,
            stopped: None,
        }
    }

    /// As [`Recording::new`], so that later runs can go on with what this one knows; it goes on itself with the run of that
    /// name, if there was one.
    pub fn going_on(stage: &'a mut dyn Stage, recorder: &'a mut Recorder, run: Option<Timestamp>) -> Self {
        let newest = stage.inventory().and_then(Inventory::newest);
        Self { run, remembers: true, promptly: true, newest, ..Self::new(stage, recorder) }
    }

    /// Hands over new devices soon, for those who look on.
    #[must_use]
    pub fn promptly(self) -> Self {
        Self { promptly: true, ..self }
    }

    /// Flows that end once `stopped` is set are not kept: they were cut off, and when the same is played again they would be
    /// taken for what they are in whole.
    #[must_use]
    pub fn until(self, stopped: Arc<AtomicBool>) -> Self {
        Self { stopped: Some(stopped), ..self }
    }

    /// Hands over what is left. The alerts of the run are whoever's who has them.
    pub fn finish(mut self) {
        self.recorder.flush();
        self.tell_devices(Timestamp::MAX);
    }

    fn note_live(&mut self) {
        if let (true, false, Some(run)) = (self.remembers, self.noted, self.run) {
            self.noted = self.recorder.live(run);
        }
    }

    /// Hands over the devices that were seen since the last time.
    fn tell_devices(&mut self, now: Timestamp) {
        let (Some(run), Some(told), Some(inventory)) = (self.run, self.told, self.stage.inventory()) else { return };
        let seen = inventory.devices().iter().filter(|device| device.last >= told);
        let record = |device| DeviceRecord {
            memory: self.remembers.then(|| inventory.memory(device)),
            ..DeviceRecord::new(device)
        };
        let records: Vec<DeviceRecord> = seen.map(record).collect();
        let newest = inventory.newest();
        if records.is_empty() || self.recorder.devices(run, records) {
            (self.told, self.newest) = (Some(now), newest);
        }
    }

    /// Whether it is time to hand over devices.
    fn is_due(&self, second: Timestamp) -> bool {
        let Some(told) = self.told else { return false };
        let is_news = || self.stage.inventory().and_then(Inventory::newest) > self.newest;
        second >= told.plus(DEVICES_EVERY) || self.promptly && second >= told.plus(NEWS_EVERY) && is_news()
    }
}

impl Stage for Recording<'_> {
    fn looks_at(&self) -> Reported {
        // Kept is the whole flow, stragglers and all.
        self.stage.looks_at().max(Reported::Progress)
    }

    fn inventory(&self) -> Option<&Inventory> {
        self.stage.inventory()
    }

    fn observe(&mut self, observed: &[Observed<'_>], scored: &[Scored<'_>]) {
        if let (None, Some(first)) = (self.told, observed.first()) {
            self.recorder.begin(*self.run.get_or_insert(first.time));
            self.told = Some(first.time);
        }
        let is_cut_off = self.stopped.as_ref().is_some_and(|stopped| stopped.load(Ordering::Relaxed));
        for observed in observed.iter().filter(|_| !is_cut_off) {
            if let Observation::FlowEnded(flow) = observed.fact {
                self.recorder.flow(flow);
            }
        }
        self.note_live();
        self.stage.observe(observed, scored);
    }

    fn idle(&mut self) {
        self.stage.idle();
        self.recorder.flush();
    }

    fn advance(&mut self, second: Timestamp) {
        self.stage.advance(second);
        self.recorder.flush();
        if self.is_due(second) {
            self.tell_devices(second);
        }
    }
}
