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

use lapwing_asset::{Change, News, is_random, vendor};
use lapwing_decode::Address;
use lapwing_flow::Flow;
use lapwing_protocol::{Fact, Need, Observed, transport};

use crate::{Detector, DetectorInfo, EvidenceFlow, Found, Measurement, Partition, Subject, Value};

pub(crate) const INFO: DetectorInfo = DetectorInfo {
    name: "newcomer",
    summary: "devices, destinations, services and gateways that were not there before",
    services: &["device"],
    needs: &[Need::part(Fact::Arp, "devices known by their link-layer address")],
};

/// See the module.
#[derive(Debug)]
pub struct Newcomer;

impl Detector for Newcomer {
    fn info(&self) -> &'static DetectorInfo {
        &INFO
    }

    fn partition(&self) -> Partition {
        Partition::Network
    }

    fn observe(&mut self, _batch: &[Observed<'_>], _found: &mut Found) {}

    fn changed(&mut self, by: &Observed<'_>, changes: &[Change], found: &mut Found) {
        let flow = by.fact.reported().map(|(flow, _)| flow);
        found.measurements.extend(changes.iter().map(|change| measurement(change, flow)));
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
    use std::time::Duration;

    use lapwing_capture::Timestamp;
    use lapwing_decode::Arp;
    use lapwing_protocol::Observation;

    use super::*;

    #[test]
    fn a_newcomer_is_measured_with_its_maker() {
        let (address, mac) = ([192, 168, 0, 3], [0xb8, 0x27, 0xeb, 0, 0, 3]);
        let arp = Arp {
            time: Timestamp::from_seconds(7_200),
            frame: 1,
            operation: 1,
            vlan: 0,
            frame_source: mac,
            frame_destination: [255; 6],
            sender_mac: mac,
            sender_address: address,
            target_mac: [0; 6],
            target_address: [192, 168, 0, 1],
        };
        let change = Change {
            time: arp.time,
            address: Address::v4(address),
            mac: Some(mac),
            news: News::Device,
            known_for: Duration::from_secs(7_200),
            known: 1,
            quiet_share: 1.0,
        };
        let mut found = Found::default();
        let by = Observed { time: arp.time, frame: 1, fact: Observation::Arp(&arp) };
        Newcomer.changed(&by, &[change], &mut found);
        let [measurement] = found.measurements.as_slice() else { panic!("{found:?}") };
        assert_eq!(measurement.get("change"), Some(&Value::Text("device".into())));
        assert_eq!(measurement.get("known_hours"), Some(&Value::Number(2.0)));
        assert_eq!(measurement.get("maker"), Some(&Value::Text("Raspberry Pi Foundation".into())));
    }
}
