//! How much a device sends out, and whether that is usual for it.
//!
//! # What it sees
//! Per device and outside peer: bytes sent and received in each hour, in flows that sent 64 kB or more; per device: what an
//! hour usually sends and what its largest hour sent, learnt from its hours before. Emits service `outbound_volume`.
//!
//! # Why it matters
//! What was stolen has to leave (ATT&CK T1048, T1041). Things mostly receive; what sends much, sends it every day.
//!
//! # False positives
//! Backups and photo uploads of phones and computers, firmware dumps; cameras that store in a cloud send all the time, so
//! their history says so, and a backup of every night is in the largest hour of the day before.
//!
//! # References
//! Zeek's `conn` volumes as RITA and Slips use them (upload to one peer above an absolute floor).

use lapwing_capture::Timestamp;
use lapwing_decode::Address;
use lapwing_flow::Flow;
use lapwing_protocol::{Fact, LocalNetworks, Need, Observed, Scope};

use super::sweep::Sweep;
use crate::evidence::{Evidence, Steps};
use crate::table::Table;
use crate::{Detector, DetectorInfo, Found, Measurement, Partition, SHARDS, Subject, Value};

pub(crate) const INFO: DetectorInfo = DetectorInfo {
    name: "exfiltration",
    summary: "bytes that a device sends to outside peers, against its own history",
    services: &["outbound_volume"],
    needs: &[
        Need::all(Fact::PayloadBytes),
        Need::part(Fact::Progress, "volumes by the hour of connections longer than one"),
    ],
};

/// Flows that go on, pairs and devices watched at a time, over all shards: 4,096 × 48 bytes, 4,096 × at most 700 bytes, 4,096
/// × 64 bytes.
const FLOWS: usize = 4_096;
const PAIRS: usize = 4_096;
const DEVICES: usize = 4_096;

const HOUR: i64 = 3_600;

/// Flows that sent less are not looked at.
const FLOW_FLOOR: u64 = 64 * 1024;

/// Megabytes sent to one peer in an hour from which on a measurement is worth a rule's look.
const FLOOR_MEGABYTES: u32 = 10;

/// Weight of the newest hour in what is usual: about a day of memory.
const WEIGHT: f64 = 1.0 / 24.0;

/// What is left of the largest hour after each further hour: after a week a fifth.
const FADING: f64 = 0.99;

/// See the module.
#[derive(Debug)]
pub struct Exfiltration {
    flows: Table<u64, u64>,
    pairs: Table<(Address, Address), Pair>,
    devices: Table<Address, Device>,
    sweep: Sweep,
    local: LocalNetworks,
}

#[derive(Debug, Default)]
struct Pair {
    hour: i64,
    sent: u64,
    received: u64,
    port: u16,
    first: Timestamp,
    last: Timestamp,
    steps: Steps,
    evidence: Evidence,
}

#[derive(Debug, Default)]
struct Device {
    hour: i64,
    sent: u64,
    usual: f64,
    /// The largest hour before, which fades by a hundredth in each hour.
    largest: f64,
    hours: u32,
}

impl Pair {
    fn megabytes(&self) -> u32 {
        u32::try_from(self.sent / 1_000_000).unwrap_or(u32::MAX)
    }
}

impl Device {
    fn add(&mut self, sent: u64, hour: i64) {
        if self.hours == 0 && self.sent == 0 {
            self.hour = hour;
        }
        // Hours without a large flow count as hours without one.
        while self.hour < hour && self.hours < 1_000 {
            let weight = WEIGHT.max(1.0 / f64::from(self.hours + 1));
            self.usual += (self.sent as f64 - self.usual) * weight;
            self.largest = (self.largest * FADING).max(self.sent as f64);
            self.hours += 1;
            self.sent = 0;
            self.hour += 1;
            if hour - self.hour > 72 {
                // After three silent days nothing of the past is left.
                (self.usual, self.largest, self.hour) = (0.0, 0.0, hour);
            }
        }
        self.hour = self.hour.max(hour);
        self.sent = self.sent.saturating_add(sent);
    }
}

impl Exfiltration {
    /// With its share of the caps for one of [`SHARDS`] shards.
    #[must_use]
    pub fn new(local: LocalNetworks) -> Self {
        Self {
            flows: Table::new(FLOWS / SHARDS),
            pairs: Table::new(PAIRS / SHARDS),
            devices: Table::new(DEVICES / SHARDS),
            sweep: Sweep::new(),
            local,
        }
    }

    fn look(&mut self, flow: &Flow, time: Timestamp, found: &mut Found) {
        if flow.orig.payload_bytes < FLOW_FLOOR {
            return;
        }
        let (source, target) = (flow.originator.address, flow.responder.address);
        if self.local.scope(source) != Scope::Local || self.local.scope(target) != Scope::Outside {
            return;
        }
        let counted = self.flows.entry(flow.uid);
        let sent = flow.orig.payload_bytes.saturating_sub(*counted);
        *counted = flow.orig.payload_bytes;
        let hour = time.seconds().div_euclid(HOUR);
        let device = self.devices.entry(source);
        device.add(sent, hour);
        let pair = self.pairs.entry((source, target));
        if pair.hour != hour || pair.sent == 0 {
            *pair = Pair { hour, first: flow.start, ..Pair::default() };
        }
        pair.sent = pair.sent.saturating_add(sent);
        // The flow's answers so far: an hour's share of them would need another memory, and only their scale matters.
        pair.received = pair.received.max(flow.resp.payload_bytes);
        (pair.port, pair.last) = (flow.responder.port, flow.last);
        pair.evidence.note(flow);
        self.sweep.stir_if(pair.megabytes() >= FLOOR_MEGABYTES);
        if pair.steps.reached(pair.megabytes(), FLOOR_MEGABYTES) {
            found.measurements.push(measurement((source, target), pair, device, time));
        }
    }
}

fn measurement((source, target): (Address, Address), pair: &Pair, device: &Device, time: Timestamp) -> Measurement {
    Measurement {
        time,
        service: "outbound_volume",
        detector: INFO.name,
        subject: Subject::Host(source),
        peers: vec![target],
        first: pair.first,
        last: pair.last,
        evidence: pair.evidence.flows(),
        fields: vec![
            ("source", Value::Address(source)),
            ("target", Value::Address(target)),
            ("port", Value::Count(u64::from(pair.port))),
            ("sent_megabytes", Value::Number(pair.sent as f64 / 1e6)),
            ("received_megabytes", Value::Number(pair.received as f64 / 1e6)),
            ("sent_to_received", Value::Number(pair.sent as f64 / pair.received.max(1) as f64)),
            ("device_sent_megabytes", Value::Number(device.sent as f64 / 1e6)),
            ("usual_megabytes", Value::Number(device.usual / 1e6)),
            ("hours_of_history", Value::Count(u64::from(device.hours))),
            ("times_usual", Value::Number(device.sent as f64 / device.usual.max(1e6))),
            ("times_largest", Value::Number(device.sent as f64 / device.largest.max(1e6))),
        ],
    }
}

impl Detector for Exfiltration {
    fn info(&self) -> &'static DetectorInfo {
        &INFO
    }

    fn partition(&self) -> Partition {
        Partition::Actor
    }

    fn observe(&mut self, batch: &[Observed<'_>], found: &mut Found) {
        for observed in batch {
            if let Some((flow, _)) = observed.fact.reported() {
                self.look(flow, observed.time, found);
            }
        }
    }

    fn advance(&mut self, now: Timestamp, found: &mut Found) {
        if !self.sweep.is_due(now) {
            return;
        }
        for (&(source, target), pair) in self.pairs.iter_mut() {
            if let Some(device) = self.devices.get_mut(&source)
                && pair.steps.unreported(pair.megabytes(), FLOOR_MEGABYTES)
            {
                found.measurements.push(measurement((source, target), pair, device, now));
            }
        }
    }

    fn evicted(&self) -> u64 {
        self.flows.evicted() + self.pairs.evicted() + self.devices.evicted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Shape, at, flow};

    fn upload(megabytes: u64, second: f64) -> Flow {
        let mut flow = at(flow("10.0.0.1:40000", "198.51.100.1:443", 6, Shape::Conversation), second);
        flow.orig.payload_bytes = megabytes * 1_000_000;
        flow
    }

    fn number(found: &Found, name: &str) -> f64 {
        match found.measurements.last().and_then(|measurement| measurement.get(name)) {
            Some(Value::Number(number)) => *number,
            _ => f64::NAN,
        }
    }

    #[test]
    fn reports_of_one_flow_are_counted_once() {
        let (mut watch, mut found) = (Exfiltration::new(LocalNetworks::default()), Found::default());
        for megabytes in [20, 40, 60, 80] {
            let mut flow = upload(megabytes, 1000.0);
            flow.uid = 5;
            watch.look(&flow, Timestamp::from_seconds(1000), &mut found);
        }
        assert!((number(&found, "sent_megabytes") - 80.0).abs() < 1.0);
    }

    #[test]
    fn what_came_since_the_last_step_is_told_at_the_end() {
        let (mut watch, mut found) = (Exfiltration::new(LocalNetworks::default()), Found::default());
        for piece in 0..27 {
            watch.look(&upload(1, 1000.0 + f64::from(piece)), Timestamp::from_seconds(1000), &mut found);
        }
        assert_eq!(number(&found, "sent_megabytes"), 22.0);
        watch.advance(Timestamp::from_seconds(1030), &mut found);
        assert_eq!(number(&found, "sent_megabytes"), 27.0);
    }

    #[test]
    fn what_is_usual_comes_from_the_hours_before() {
        let (mut watch, mut found) = (Exfiltration::new(LocalNetworks::default()), Found::default());
        for hour in 0..30 {
            let second = 3_600.0 * f64::from(hour) + 10.0;
            watch.look(&upload(20, second), Timestamp::from_seconds(second as i64), &mut found);
        }
        watch.look(&upload(900, 30.0 * 3_600.0), Timestamp::from_seconds(30 * 3_600), &mut found);
        assert!((number(&found, "usual_megabytes") - 20.0).abs() < 1.0);
        assert!(number(&found, "times_usual") > 30.0);
    }

    #[test]
    fn the_backup_of_last_night_is_remembered() {
        let (mut watch, mut found) = (Exfiltration::new(LocalNetworks::default()), Found::default());
        for hour in 0..49 {
            let megabytes = if hour % 24 == 0 { 5_000 } else { 1 };
            let second = 3_600.0 * f64::from(hour) + 10.0;
            watch.look(&upload(megabytes, second), Timestamp::from_seconds(second as i64), &mut found);
        }
        assert!(number(&found, "times_usual") > 20.0);
        assert!(number(&found, "times_largest") < 1.5);
    }

    #[test]
    fn traffic_between_devices_is_not_outbound() {
        let (mut watch, mut found) = (Exfiltration::new(LocalNetworks::default()), Found::default());
        let mut backup = flow("10.0.0.1:40000", "10.0.0.9:445", 6, Shape::Conversation);
        backup.orig.payload_bytes = 5_000_000_000;
        watch.look(&backup, Timestamp::from_seconds(1000), &mut found);
        assert!(found.measurements.is_empty());
    }
}
