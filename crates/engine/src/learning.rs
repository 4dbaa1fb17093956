//! The stage that learns: rows of a trusted capture in, a calibrated model out.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::Arc;

use lapwing_asset::Inventory;
use lapwing_capture::Timestamp;
use lapwing_decode::Address;
use lapwing_detect::{device_of, is_housekeeping};
use lapwing_feature::Schema;
use lapwing_flow::Reported;
use lapwing_learn::model::{Baseline, Input, SchemaId, TrainError, Training};
use lapwing_learn::{ForestSettings, Matrix, Model, ModelCard};
use lapwing_protocol::{LocalNetworks, Observed};

use crate::{Detecting, Raised, Scored, Stage};

/// Rows kept for learning. Beyond it every second one is let go, and from then on every second new one is taken, so that
/// the whole time of the baseline stays covered.
const MOST_ROWS: usize = 1 << 16;

/// A quarter of the rows, the latest by time, is held back for calibration.
const HELD_BACK_SHARE: usize = 4;

/// How a model is fitted.
#[derive(Clone, Copy, Debug)]
pub struct FitSettings {
    /// The forest's own settings.
    pub forest: ForestSettings,
    /// False alerts accepted per device and week.
    pub budget: f64,
}

impl Default for FitSettings {
    fn default() -> Self {
        Self { forest: ForestSettings::default(), budget: 1.0 }
    }
}

/// What became of the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Learnt {
    /// Flows seen.
    pub flows: u64,
    /// Rows left out because a detection names their flow, or their hosts while it went on.
    pub left_out: u64,
    /// Rows that were thinned out because there were too many.
    pub thinned: u64,
}

/// More is wrong in a baseline than can be left out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "so much is wrong in the baseline that {lost} flows or hosts could not be noted, to be left out; give captures that can be \
     trusted"
)]
pub struct Overrun {
    /// Flows and times of hosts that there was no room for.
    pub lost: u64,
}

/// Where a row came from.
#[derive(Clone, Copy, Debug)]
struct Origin {
    uid: u64,
    end: Timestamp,
    device: Address,
    originator: Address,
    responder: Address,
}

/// Detects as a scan does, and keeps the rows of the flows that end.
pub struct Learning {
    detecting: Detecting,
    schema: &'static Schema,
    /// Place of the schema among those of the run.
    place: usize,
    local: Arc<LocalNetworks>,
    rows: Matrix,
    origins: Vec<Origin>,
    stride: u64,
    learnt: Learnt,
}

impl Learning {
    /// Learns under `schema`, which has index `place` among the schemas of the run.
    #[must_use]
    pub fn new(mut detecting: Detecting, schema: &'static Schema, place: usize, local: Arc<LocalNetworks>) -> Self {
        let rows = Matrix::new(schema.width());
        detecting.note_named();
        Self { detecting, schema, place, local, rows, origins: Vec::new(), stride: 1, learnt: Learnt::default() }
    }

    /// Ends the baseline: what was raised inside it, and the rows of what no detection names.
    ///
    /// # Errors
    /// When more was named than could be noted: what would be left is not known to be harmless.
    pub fn finish(mut self, last: Option<Timestamp>) -> Result<(Lesson, Raised), Overrun> {
        self.detecting.end(last);
        let named = self.detecting.take_named();
        if named.lost() > 0 {
            return Err(Overrun { lost: named.lost() });
        }
        let raised = self.detecting.raised();
        let mut inventory = raised.inventory.clone();
        inventory.settle();
        let covered = |origin: &Origin| named.covers(origin.uid, [origin.originator, origin.responder], origin.end);
        let mut learnt = self.learnt;
        let mut order: Vec<usize> = (0..self.origins.len()).filter(|&row| !covered(&self.origins[row])).collect();
        learnt.left_out = (self.origins.len() - order.len()) as u64;
        order.sort_by_key(|&row| (self.origins[row].end, self.origins[row].uid));
        let mut rows = Matrix::new(self.schema.width());
        order.iter().for_each(|&row| rows.push(self.rows.row(row)));
        let origins = order.iter().map(|&row| self.origins[row]).collect();
        Ok((Lesson { schema: self.schema, rows, origins, learnt, inventory }, raised))
    }

    fn thin(&mut self) {
        let mut kept = Matrix::new(self.schema.width());
        (0..self.origins.len()).step_by(2).for_each(|row| kept.push(self.rows.row(row)));
        self.rows = kept;
        let mut place = 0_usize;
        let before = self.origins.len();
        self.origins.retain(|_| {
            place += 1;
            place % 2 == 1
        });
        self.learnt.thinned += (before - self.origins.len()) as u64;
        self.stride *= 2;
    }
}

impl Stage for Learning {
    fn looks_at(&self) -> Reported {
        self.detecting.looks_at()
    }

    fn observe(&mut self, observed: &[Observed<'_>], scored: &[Scored<'_>]) {
        self.detecting.observe(observed, scored);
        for ended in scored.iter().filter(|ended| !is_housekeeping(ended.flow)) {
            let turn = self.learnt.flows;
            self.learnt.flows += 1;
            if !turn.is_multiple_of(self.stride) {
                self.learnt.thinned += 1;
                continue;
            }
            if self.origins.len() >= MOST_ROWS {
                self.thin();
            }
            let flow = ended.flow;
            self.rows.push(ended.rows.row(self.place));
            self.origins.push(Origin {
                uid: flow.uid,
                end: flow.last,
                device: device_of(flow, &self.local),
                originator: flow.originator.address,
                responder: flow.responder.address,
            });
        }
    }

    fn advance(&mut self, second: Timestamp) {
        self.detecting.advance(second);
    }
}

/// Rows to learn from, oldest first.
pub struct Lesson {
    schema: &'static Schema,
    rows: Matrix,
    origins: Vec<Origin>,
    /// What became of the rows.
    pub learnt: Learnt,
    /// The devices of the baseline, learnt.
    pub inventory: Inventory,
}

impl Lesson {
    /// Rows to learn from.
    #[must_use]
    pub fn len(&self) -> usize {
        self.origins.len()
    }

    /// Whether there is nothing to learn from.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.origins.is_empty()
    }

    /// Fits and calibrates a model: it learns from the first three quarters by time, and is calibrated on the rest.
    ///
    /// # Errors
    /// When there are too few rows.
    pub fn fit(&self, settings: FitSettings, inputs: Vec<Input>, threads: usize) -> Result<Model, TrainError> {
        let (rows, held_back) = self.rows.view().split_at(self.len() - self.len() / HELD_BACK_SHARE);
        let later = &self.origins[rows.len()..];
        let merged: Vec<u64> = later.iter().map(merged_alert).collect();
        let baseline = Baseline { rows, held_back, alerts: Some(&merged), device_days: device_days(later) };
        let threads = NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN);
        Model::train(self.card(inputs), baseline, settings.forest, settings.budget, threads)
    }

    fn card(&self, inputs: Vec<Input>) -> ModelCard {
        let span = self.origins.first().zip(self.origins.last());
        ModelCard {
            schema: SchemaId {
                name: self.schema.name.to_owned(),
                version: self.schema.version,
                hash: self.schema.hash(),
            },
            columns: self.schema.columns(),
            training: Training {
                program: concat!("lapwing ", env!("CARGO_PKG_VERSION")).to_owned(),
                inputs,
                span: span.map(|(first, last)| (first.end.nanos(), last.end.nanos())),
                ..Training::default()
            },
        }
    }
}

/// Anomalies of one device within an hour are one alert; the budget counts those.
fn merged_alert(origin: &Origin) -> u64 {
    let address = u128::from_be_bytes(origin.device.0);
    let hour = origin.end.seconds().div_euclid(3_600).unsigned_abs();
    (address as u64 ^ (address >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ hour
}

fn device_days(origins: &[Origin]) -> f64 {
    let devices: BTreeSet<Address> = origins.iter().map(|origin| origin.device).collect();
    let span = origins.first().zip(origins.last());
    let days = span.map_or(0.0, |(first, last)| last.end.seconds_since(first.end) / 86_400.0);
    // Even a baseline of one moment was watched for a second.
    devices.len() as f64 * days.max(1.0 / 86_400.0)
}
