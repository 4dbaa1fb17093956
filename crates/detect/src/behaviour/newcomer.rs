//! What is new on a network that is known.
//!
//! # What it sees
//! The inventory's changes: a device, a destination, a service, a gateway that was not there before, and two devices that hold one
//! address in turns. Nothing is new while a network, or the device, is being learnt (24 hours, or a baseline). Emits service `device`.
//!
//! # Why it matters
//! Things do few things, day after day. A rogue device (ATT&CK T1200), a device that calls a server nobody of its kind ever called
//! (T1071), opens a remote shell (T1543) or sends its traffic over somebody else (T1557) shows here before any threshold is reached.
//!
//! # False positives
//! Guests, updates, changes that somebody made; devices of people, which always meet somebody new (`quiet_share` tells them apart).
//!
//! # References
//! RFC 8520 (manufacturer usage descriptions): that a thing's traffic can be listed is the idea behind it.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use lapwing_asset::{Change, Inventory, News, is_random, vendor};
use lapwing_decode::Address;
use lapwing_flow::Flow;
use lapwing_protocol::{Fact, Need, Observation, Observed, transport};

use crate::{Detector, DetectorInfo, EvidenceFlow, Found, Measurement, Partition, Subject, Value};

pub(crate) const INFO: DetectorInfo = DetectorInfo {
    name: "newcomer",
    summary: "devices, destinations, services and gateways that were not there before",
    services: &["device"],
    needs: &[Need::part(Fact::Arp, "devices known by their link-layer address")],
};

/// The inventory that one run shares: the detector feeds it, others read it.
pub type SharedInventory = Arc<Mutex<Inventory>>;

/// See the module.
#[derive(Debug)]
pub struct Newcomer {
    inventory: SharedInventory,
    changes: Vec<Change>,
}

impl Newcomer {
    /// Feeds `inventory`.
    #[must_use]
    pub fn new(inventory: SharedInventory) -> Self {
        Self { inventory, changes: Vec::new() }
    }
}

impl Detector for Newcomer {
    fn info(&self) -> &'static DetectorInfo {
        &INFO
    }

    fn partition(&self) -> Partition {
        Partition::Network
    }

    fn observe(&mut self, batch: &[Observed<'_>], found: &mut Found) {
        let mut inventory = self.inventory.lock().unwrap_or_else(PoisonError::into_inner);
        for observed in batch {
            inventory.observe(observed, &mut self.changes);
            let flow = match observed.fact {
                Observation::FlowProgress(flow) | Observation::FlowEnded(flow) => Some(flow),
                _ => None,
            };
            found.measurements.extend(self.changes.drain(..).map(|change| measurement(&change, flow)));
        }
    }

    fn evicted(&self) -> u64 {
        self.inventory.lock().unwrap_or_else(PoisonError::into_inner).evicted()
    }
}

fn measurement(change: &Change, flow: Option<&Flow>) -> Measurement {
    let mut fields = vec![
        ("change", Value::Text(Cow::Borrowed(name(change.news)))),
        ("address", Value::Address(change.address)),
        ("known", Value::Count(change.known as u64)),
        ("known_hours", Value::Number(change.known_for.as_secs_f64() / 3_600.0)),
        ("quiet_share", Value::Number(change.quiet_share)),
    ];
    if let Some(mac) = change.mac {
        fields.push(("mac", Value::Mac(mac)));
        fields.push(("random_mac", Value::Flag(is_random(mac))));
    }
    fields.push(("maker", Value::Text(Cow::Borrowed(change.mac.and_then(vendor).unwrap_or("unknown")))));
    let mut peers: Vec<Address> = Vec::new();
    match change.news {
        News::Device => {}
        News::Destination { peer, service } | News::Service { peer, service } => {
            fields.push(("peer", Value::Address(peer)));
            fields.push(("protocol", Value::Text(Cow::Borrowed(transport(service.protocol)))));
            fields.push(("port", Value::Count(u64::from(service.port))));
            peers.push(peer);
        }
        News::Gateway { before, now } => {
            fields.push(("before", Value::Mac(before)));
            fields.push(("now", Value::Mac(now)));
            fields.push(("maker_now", Value::Text(Cow::Borrowed(vendor(now).unwrap_or("unknown")))));
        }
        News::Conflict { other, turns } => {
            fields.push(("other", Value::Mac(other)));
            fields.push(("turns", Value::Count(u64::from(turns))));
        }
    }
    Measurement {
        time: change.time,
        service: "device",
        detector: INFO.name,
        subject: Subject::Host(change.address),
        peers,
        first: flow.map_or(change.time, |flow| flow.start),
        last: change.time,
        evidence: flow.map(EvidenceFlow::from).into_iter().collect(),
        fields,
    }
}

const fn name(news: News) -> &'static str {
    match news {
        News::Device => "device",
        News::Destination { .. } => "destination",
        News::Service { .. } => "service",
        News::Gateway { .. } => "gateway",
        News::Conflict { .. } => "conflict",
    }
}

#[cfg(test)]
mod tests {
    use lapwing_asset::InventorySettings;
    use lapwing_capture::Timestamp;
    use lapwing_decode::Arp;

    use super::*;

    fn arp(last: u8, seconds: i64) -> Arp {
        Arp {
            time: Timestamp::from_seconds(seconds),
            frame: 1,
            operation: 1,
            vlan: 0,
            frame_source: [0xb8, 0x27, 0xeb, 0, 0, last],
            frame_destination: [255; 6],
            sender_mac: [0xb8, 0x27, 0xeb, 0, 0, last],
            sender_address: [192, 168, 0, last],
            target_mac: [0; 6],
            target_address: [192, 168, 0, 1],
        }
    }

    #[test]
    fn a_newcomer_is_measured_once_the_network_is_known() {
        let inventory = Arc::new(Mutex::new(Inventory::new(InventorySettings::default())));
        let mut newcomer = Newcomer::new(Arc::clone(&inventory));
        let mut found = Found::default();
        let mut see = |arp: &Arp, found: &mut Found| {
            newcomer.observe(&[Observed { time: arp.time, frame: 1, fact: Observation::Arp(arp) }], found);
        };
        see(&arp(2, 0), &mut found);
        assert!(found.measurements.is_empty(), "the first is being learnt");
        inventory.lock().unwrap().settle();
        see(&arp(3, 7_200), &mut found);
        see(&arp(3, 7_300), &mut found);
        let [measurement] = found.measurements.as_slice() else { panic!("{found:?}") };
        assert_eq!(measurement.get("change"), Some(&Value::Text("device".into())));
        assert_eq!(measurement.get("known_hours"), Some(&Value::Number(2.0)));
        assert_eq!(measurement.get("maker"), Some(&Value::Text("Raspberry Pi Foundation".into())));
    }
}
