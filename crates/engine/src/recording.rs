//! A stage that keeps what it sees: flows as they end, devices every few minutes.

use std::time::Duration;

use lapwing_asset::Inventory;
use lapwing_capture::Timestamp;
use lapwing_flow::Reported;
use lapwing_protocol::{Observation, Observed};
use lapwing_store::{DeviceRecord, Recorder};

use crate::{Scored, Stage};

/// How often what is known of devices is handed over, in capture time.
const DEVICES_EVERY: Duration = Duration::from_secs(300);

/// Hands flows and devices to a [`Recorder`], and everything to another stage.
pub struct Recording<'a> {
    stage: &'a mut dyn Stage,
    recorder: &'a mut Recorder,
    /// The time of the first observation names the run.
    run: Option<Timestamp>,
    /// When devices were handed over last.
    told: Timestamp,
}

impl<'a> Recording<'a> {
    /// Records what `stage` looks at, and the devices of its inventory.
    pub fn new(stage: &'a mut dyn Stage, recorder: &'a mut Recorder) -> Self {
        Self { stage, recorder, run: None, told: Timestamp::MIN }
    }

    /// Hands over what is left. The alerts of the run are whoever's who has them.
    pub fn finish(mut self) {
        self.recorder.flush();
        self.tell_devices(Timestamp::MAX);
    }

    /// Hands over the devices that were seen since the last time.
    fn tell_devices(&mut self, now: Timestamp) {
        let (Some(run), Some(inventory)) = (self.run, self.stage.inventory()) else { return };
        let seen = inventory.devices().iter().filter(|device| device.last >= self.told);
        let records: Vec<DeviceRecord> = seen.map(DeviceRecord::new).collect();
        if records.is_empty() || self.recorder.devices(run, records) {
            self.told = now;
        }
    }
}

impl Stage for Recording<'_> {
    fn looks_at(&self) -> Reported {
        self.stage.looks_at()
    }

    fn inventory(&self) -> Option<&Inventory> {
        self.stage.inventory()
    }

    fn observe(&mut self, observed: &[Observed<'_>], scored: &[Scored<'_>]) {
        if let (None, Some(first)) = (self.run, observed.first()) {
            (self.run, self.told) = (Some(first.time), first.time);
        }
        for observed in observed {
            if let Observation::FlowEnded(flow) = observed.fact {
                self.recorder.flow(flow);
            }
        }
        self.stage.observe(observed, scored);
    }

    fn advance(&mut self, second: Timestamp) {
        self.stage.advance(second);
        self.recorder.flush();
        if self.run.is_some() && second >= self.told.plus(DEVICES_EVERY) {
            self.tell_devices(second);
        }
    }
}
