//! How much one client tells a message broker.
//!
//! # What it sees
//! Of each connection to an MQTT broker (ports 1883, 8883): packets and bytes that the client sent, and their rates, at 512,
//! 4,096 … packets and at the end. Keeps no state. Emits service `broker_session`.
//!
//! # Why it matters
//! A broker passes each message on to all who subscribed: one client that shouts stops a whole installation
//! (ATT&CK T1499.002).
//!
//! # False positives
//! Cameras that publish pictures, gateways that publish for hundreds of sensors.
//!
//! # References
//! Vaccari et al. 2020, *MQTTset* (flood; Malaria-based denial of service).

use lapwing_capture::Timestamp;
use lapwing_flow::Flow;
use lapwing_protocol::{Fact, Need, Observed};

use crate::detector::first_packet_from_responder;
use crate::{Detector, DetectorInfo, Found, Measurement, Partition, Subject, Value};

pub(crate) const INFO: DetectorInfo = DetectorInfo {
    name: "broker-session",
    summary: "rates at which one client talks to a message broker",
    services: &["broker_session"],
    needs: &[Need::all(Fact::PayloadBytes), Need::all(Fact::Packets)],
};

const PORTS: [u16; 2] = [1883, 8883];

/// What a session sent from which on it is worth a rule's look.
const FLOOR_BYTES: u64 = 64 * 1024;
const FLOOR_PACKETS: u64 = 256;

/// See the module.
#[derive(Debug, Default)]
pub struct BrokerSession;

fn look(flow: &Flow, time: Timestamp, found: &mut Found) {
    let (sent, packets) = (flow.orig.payload_bytes, flow.orig.packets);
    if flow.protocol != 6
        || !PORTS.contains(&flow.responder.port)
        || first_packet_from_responder(flow)
        || sent < FLOOR_BYTES && packets < FLOOR_PACKETS
    {
        return;
    }
    // A burst shorter than a second counts as one second.
    let seconds = flow.duration().as_secs_f64().max(1.0);
    let (source, target) = (flow.originator.address, flow.responder.address);
    found.measurements.push(Measurement {
        time,
        service: "broker_session",
        detector: INFO.name,
        subject: Subject::HostPair { source, target },
        peers: vec![target],
        first: flow.start,
        last: flow.last,
        evidence: vec![flow.into()],
        fields: vec![
            ("source", Value::Address(source)),
            ("target", Value::Address(target)),
            ("port", Value::Count(u64::from(flow.responder.port))),
            ("seconds", Value::Number(seconds)),
            ("sent_packets", Value::Count(packets)),
            ("sent_bytes", Value::Count(sent)),
            ("sent_packets_per_second", Value::Number(packets as f64 / seconds)),
            ("sent_bytes_per_second", Value::Number(sent as f64 / seconds)),
        ],
    });
}

impl Detector for BrokerSession {
    fn info(&self) -> &'static DetectorInfo {
        &INFO
    }

    fn partition(&self) -> Partition {
        Partition::Actor
    }

    fn observe(&mut self, batch: &[Observed<'_>], found: &mut Found) {
        for observed in batch {
            if let Some((flow, _)) = observed.fact.reported() {
                look(flow, observed.time, found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Shape, end, flow};

    #[test]
    fn a_session_that_says_much_is_measured_with_its_rates() {
        let mut session = flow("10.0.0.1:40000", "10.0.0.2:1883", 6, Shape::Conversation);
        (session.orig.payload_bytes, session.last) = (700_000, Timestamp::from_seconds(1010));
        let mut found = Found::default();
        end(&mut BrokerSession, &session, &mut found);
        assert_eq!(found.measurements[0].get("sent_bytes_per_second"), Some(&Value::Number(70_000.0)));
    }

    #[test]
    fn a_sensor_that_says_little_is_not() {
        let mut found = Found::default();
        end(&mut BrokerSession, &flow("10.0.0.1:40000", "10.0.0.2:1883", 6, Shape::Conversation), &mut found);
        assert!(found.measurements.is_empty());
    }
}
