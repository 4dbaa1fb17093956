//! The stage of a scan: observations through detectors, signatures and models into alerts.

use std::collections::BTreeMap;
use std::sync::Arc;

use lapwing_alert::{Alert, AlertConfig, Merger};
use lapwing_asset::{Change, Inventory, InventorySettings, Memory};
use lapwing_capture::Timestamp;
use lapwing_detect::signature::{self, LoadReport, SignatureSource, Signatures};
use lapwing_detect::{Anomaly, DetectConfig, Detection, Found, SWEEP_SECONDS, Subject};
use lapwing_flow::Reported;
use lapwing_protocol::{LocalNetworks, Observed};

use crate::bank::DetectorBank;
use crate::named::Named;
use crate::{Scored, Scoring, Stage};

/// Detectors, signatures and models at work, and the alerts they raised.
pub struct Detecting {
    inventory: Inventory,
    changes: Vec<Change>,
    bank: DetectorBank,
    signatures: Signatures,
    local: Arc<LocalNetworks>,
    merger: Merger,
    found: Found,
    /// What detections name, where somebody asked for it.
    named: Option<Named>,
}

/// What a scan raised, and what it lost on the way.
#[derive(Debug)]
pub struct Raised {
    /// The alerts, oldest first.
    pub alerts: Vec<Alert>,
    /// The devices as they were at the end.
    pub inventory: Inventory,
    /// Alerts let go because there were too many (`alerts_dropped`), and what detectors forgot because their tables were full
    /// (`NAME_evicted`): for the summary's coverage, without zeros.
    pub lost: BTreeMap<String, u64>,
}

impl Detecting {
    /// Sets up detectors and signatures, with judges for the models of `anomalies`.
    #[must_use]
    pub fn new(
        local: &Arc<LocalNetworks>,
        signatures: &[SignatureSource],
        anomalies: Vec<Anomaly>,
        alerts: AlertConfig,
    ) -> (Self, Scoring, LoadReport) {
        let (signatures, report) = Signatures::load(signatures, LocalNetworks::clone(local));
        let scoring = Scoring::new(Arc::clone(local));
        scoring.replace(anomalies);
        let config = DetectConfig { local: LocalNetworks::clone(local) };
        let detecting = Self {
            inventory: Inventory::new(InventorySettings {
                local: config.local.clone(),
                ..InventorySettings::default()
            }),
            changes: Vec::new(),
            bank: DetectorBank::new(&config),
            signatures,
            local: Arc::clone(local),
            merger: Merger::new(alerts),
            found: Found::default(),
            named: None,
        };
        (detecting, scoring, report)
    }

    /// Goes on with the devices of an earlier run.
    pub fn set_inventory(&mut self, inventory: Inventory) {
        self.inventory = inventory;
    }

    /// Goes on with what an earlier run kept of devices, besides those that are known already.
    pub fn recall_devices(&mut self, memories: Vec<Memory>) {
        self.inventory.recall(memories);
    }

    /// Goes on with alerts that an earlier run left open.
    pub fn recall_alerts(&mut self, alerts: Vec<Alert>) {
        self.merger.recall(alerts);
    }

    /// Puts other rules in the place of those in use, which go on counting where they stood. Rules that cannot be used are an
    /// error, and nothing changes.
    ///
    /// # Errors
    /// The report, when it names a problem.
    pub fn reload(&mut self, signatures: &[SignatureSource]) -> Result<LoadReport, LoadReport> {
        self.signatures.reload(signatures)
    }

    /// Closes what is open at the end of the input, at `last`, and hands out the alerts, oldest first.
    #[must_use]
    pub fn finish(mut self, last: Option<Timestamp>) -> Raised {
        self.end(last);
        self.raised()
    }

    /// The alerts so far.
    pub(crate) fn raised(self) -> Raised {
        let lost = self.lost();
        Raised { alerts: self.merger.into_alerts(), inventory: self.inventory, lost }
    }

    /// From now on notes what detections name.
    pub(crate) fn note_named(&mut self) {
        self.named = Some(Named::default());
    }

    /// What was noted since.
    pub(crate) fn take_named(&mut self) -> Named {
        self.named.take().unwrap_or_default()
    }

    /// Closes the windows that are open at the end of the input, at `last`: they say what they have not said yet.
    pub(crate) fn end(&mut self, last: Option<Timestamp>) {
        if let Some(last) = last {
            self.advance(Timestamp::from_seconds(last.seconds().saturating_add(1)));
            // By then every window has ended, and says what it has not said yet.
            self.advance(Timestamp::from_seconds(last.seconds().saturating_add(1 + SWEEP_SECONDS)));
        }
    }

    /// Where the alerts are, for whoever takes them as they come.
    pub(crate) fn merger(&mut self) -> &mut Merger {
        &mut self.merger
    }

    /// What was lost on the way, as [`Raised::lost`] says it.
    #[must_use]
    pub fn lost(&self) -> BTreeMap<String, u64> {
        let evicted = self.bank.evicted().into_iter();
        let mut lost: BTreeMap<String, u64> =
            evicted.map(|(name, count)| (format!("{}_evicted", name.replace('-', "_")), count)).collect();
        if self.inventory.evicted() > 0 {
            lost.insert("devices_evicted".to_owned(), self.inventory.evicted());
        }
        if self.merger.dropped() > 0 {
            lost.insert("alerts_dropped".to_owned(), self.merger.dropped());
        }
        lost
    }

    /// Lets the signatures judge what was measured, and merges all detections in one order.
    fn decide(&mut self, batch: &[Observed<'_>], scored: &[Scored<'_>]) {
        let Found { detections, measurements } = &mut self.found;
        let mut noticed = Noticed::default();
        if !measurements.is_empty() {
            noticed.fill(batch);
            signature::order(measurements);
            measurements.sort_by_key(|measurement| noticed.at(measurement.time));
            self.signatures.judge(measurements, detections);
            measurements.clear();
        }
        self.signatures.observe(batch, detections);
        for ended in scored {
            for (anomaly, row, score) in ended.rows.judged() {
                detections.extend(anomaly.judge(ended.time, ended.flow, row, score, &self.local));
            }
        }
        if detections.len() > 1 {
            noticed.fill(batch);
            detections.sort_by(|left, right| place(left).cmp(&place(right)));
            detections.sort_by_key(|detection| noticed.at(detection.time));
        }
        for detection in detections.drain(..) {
            unlearn(&mut self.inventory, &detection);
            if let Some(named) = &mut self.named {
                named.note(&detection);
            }
            self.merger.take_in(&detection);
        }
    }
}

/// At which frame what happened at a time was noticed: a flow's end is noticed late. Frames come first in the order in which
/// things are judged, for batches are cut between frames, and where they are cut must not show: live it is by chance.
#[derive(Default)]
struct Noticed(Vec<(Timestamp, u64)>);

impl Noticed {
    fn fill(&mut self, batch: &[Observed<'_>]) {
        if self.0.is_empty() {
            self.0.extend(batch.iter().map(|observed| (observed.time, observed.frame)));
            self.0.sort_unstable();
        }
    }

    /// The first frame of that time; what no observation brought comes last.
    fn at(&self, time: Timestamp) -> u64 {
        let place = self.0.partition_point(|(known, _)| *known < time);
        self.0.get(place).filter(|(known, _)| *known == time).map_or(u64::MAX, |(_, frame)| *frame)
    }
}

/// What a detection names is not usual, whatever the inventory has made of it in the meantime: that these hosts talk with each
/// other, and what those acted upon first offered while it went on.
fn unlearn(inventory: &mut Inventory, detection: &Detection) {
    let (host, targets) = match &detection.subject {
        Subject::Host(actor) => (actor, detection.peers.as_slice()),
        Subject::HostPair { source, target } => (source, std::slice::from_ref(target)),
        Subject::Victim(victim) => (victim, std::slice::from_ref(victim)),
        Subject::Device(_) | Subject::Network => return,
    };
    for peer in targets.iter().chain(&detection.peers) {
        inventory.unlearn(*host, *peer, detection.first);
        inventory.unlearn(*peer, *host, detection.first);
    }
    for target in targets {
        inventory.unlearn_offers(*target, (detection.first, detection.last));
    }
}

/// What rests on later traffic comes later: of one thing measured twice in one moment, it saw more.
fn place(detection: &Detection) -> (Timestamp, &str, Subject, Timestamp, Timestamp) {
    (detection.time, &detection.kind, detection.subject, detection.last, detection.first)
}

impl Stage for Detecting {
    /// No detector looks at starts: what came of a flow says more.
    fn looks_at(&self) -> Reported {
        if self.signatures.judges_flows() { Reported::Finished } else { Reported::Judged }
    }

    fn inventory(&self) -> Option<&Inventory> {
        Some(&self.inventory)
    }

    fn observe(&mut self, observed: &[Observed<'_>], scored: &[Scored<'_>]) {
        for by in observed {
            self.inventory.observe(by, &mut self.changes);
            if !self.changes.is_empty() {
                self.bank.changed(by, &self.changes, &mut self.found);
                self.changes.clear();
            }
        }
        self.bank.observe(observed, &mut self.found);
        self.decide(observed, scored);
    }

    fn advance(&mut self, second: Timestamp) {
        self.merger.advance(second);
        self.bank.advance(second, &mut self.found);
        self.decide(&[], &[]);
        self.signatures.advance(second);
    }
}
