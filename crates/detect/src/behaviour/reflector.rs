//! A device that is made to answer much to little.
//!
//! # What it sees
//! Per client and service of a well-known reflector, over all who answer, in windows of ten seconds: bytes asked and bytes answered,
//! and whether a stranger asks devices of the watched networks. Emits service `reflector`.
//!
//! # Why it matters
//! A device that answers strangers is a weapon: who asks in a victim's name makes it send the victim many times as much (ATT&CK
//! T1498.002). The subject is the client, who is the victim: whoever really asked is not to be seen.
//!
//! # False positives
//! A public name server's clients that ask for large records; they ask now and then. A monitor that reads whole tables by SNMP.
//!
//! # References
//! CISA alert TA14-017A (amplification factors: DNS 28–54, SNMP 6, SSDP 31, NTP 557).

use lapwing_capture::Timestamp;
use lapwing_decode::Address;
use lapwing_flow::Flow;
use lapwing_protocol::{Fact, LocalNetworks, Need, Observed, Scope};

use super::growth::new_share;
use super::sweep::Sweep;
use crate::detector::first_packet_from_responder;
use crate::evidence::{Evidence, Steps};
use crate::table::Table;
use crate::{Detector, DetectorInfo, Found, Measurement, Partition, SHARDS, Subject, Value};

pub(crate) const INFO: DetectorInfo = DetectorInfo {
    name: "reflector",
    summary: "devices that answer much to little for strangers",
    services: &["reflector"],
    needs: &[Need::all(Fact::IpBytes)],
};

/// Clients watched at a time, over all shards: 2,048 × at most 800 bytes.
const CLIENTS: usize = 2_048;

/// Length of a window in seconds.
const WINDOW: i64 = 10;

/// Kilobytes answered in a window from which on it is worth a rule's look.
const FLOOR: u32 = 20;

/// Services that answer much to little and have no long conversations.
const SERVICES: &[(u16, &str)] = &[
    (17, "quote of the day"),
    (19, "chargen"),
    (53, "DNS"),
    (111, "portmap"),
    (123, "NTP"),
    (137, "NetBIOS"),
    (161, "SNMP"),
    (389, "CLDAP"),
    (1900, "SSDP"),
    (3702, "WS-Discovery"),
    (5353, "mDNS"),
    (5683, "CoAP"),
    (10001, "Ubiquiti discovery"),
    (11211, "memcached"),
    (37810, "DVR discovery"),
];

/// See the module.
#[derive(Debug)]
pub struct Reflector {
    clients: Table<(Address, u16), Client>,
    sweep: Sweep,
    local: LocalNetworks,
}

#[derive(Debug, Default)]
struct Client {
    window: i64,
    /// A client outside asks devices of the watched networks.
    is_stranger: bool,
    asked: f64,
    answered: f64,
    first: Timestamp,
    last: Timestamp,
    steps: Steps,
    evidence: Evidence,
    reflectors: Vec<Address>,
}

impl Reflector {
    /// With its share of the cap for one of [`SHARDS`] shards.
    #[must_use]
    pub fn new(local: LocalNetworks) -> Self {
        Self { clients: Table::new(CLIENTS / SHARDS), sweep: Sweep::new(), local }
    }

    fn look(&mut self, flow: &Flow, time: Timestamp, counts: bool, found: &mut Found) {
        if flow.protocol != 17 || flow.resp.packets == 0 || first_packet_from_responder(flow) {
            return;
        }
        let Some((port, service)) = SERVICES.iter().find(|(port, _)| *port == flow.responder.port) else { return };
        let (client, reflector) = (flow.originator.address, flow.responder.address);
        let share = new_share(flow, counts);
        if share == 0.0 || self.local.scope(reflector) == Scope::Group {
            return;
        }
        let is_stranger = self.local.scope(client) == Scope::Outside && self.local.scope(reflector) == Scope::Local;
        let window = time.seconds().div_euclid(WINDOW);
        let state = self.clients.entry((client, *port));
        if state.window != window {
            found.measurements.extend(state.close((client, *port), service, time));
            *state = Client { window, first: flow.start, is_stranger, ..Client::default() };
        }
        state.is_stranger &= is_stranger;
        state.asked += flow.orig.ip_bytes as f64 * share;
        state.answered += flow.resp.ip_bytes as f64 * share;
        (state.first, state.last) = (state.first.min(flow.start), state.last.max(flow.last));
        state.evidence.note(flow);
        if state.reflectors.len() < 8 && !state.reflectors.contains(&reflector) {
            state.reflectors.push(reflector);
        }
        self.sweep.stir_if(state.kilobytes() >= FLOOR);
        if state.steps.reached(state.kilobytes(), FLOOR) {
            found.measurements.push(state.measurement((client, *port), service, time));
        }
    }
}

impl Client {
    fn kilobytes(&self) -> u32 {
        (self.answered / 1_000.0) as u32
    }

    /// The measurement of a window that ends, where it holds more than was told.
    fn close(&mut self, key: (Address, u16), service: &'static str, time: Timestamp) -> Option<Measurement> {
        self.steps.unreported(self.kilobytes(), FLOOR).then(|| self.measurement(key, service, time))
    }

    fn measurement(&self, (client, port): (Address, u16), service: &'static str, time: Timestamp) -> Measurement {
        let mut peers = self.reflectors.clone();
        peers.sort_unstable();
        let names = peers.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>().join(", ");
        Measurement {
            time,
            service: "reflector",
            detector: INFO.name,
            subject: Subject::Victim(client),
            peers,
            first: self.first,
            last: self.last,
            evidence: self.evidence.flows(),
            fields: vec![
                ("client", Value::Address(client)),
                ("reflectors", Value::Text(names.into())),
                ("port", Value::Count(u64::from(port))),
                ("reflector", Value::Text(service.into())),
                ("stranger", Value::Flag(self.is_stranger)),
                ("asked_bytes", Value::Count(self.asked as u64)),
                ("answered_bytes", Value::Count(self.answered as u64)),
                ("times_asked", Value::Number(self.answered / self.asked.max(1.0))),
            ],
        }
    }
}

impl Detector for Reflector {
    fn info(&self) -> &'static DetectorInfo {
        &INFO
    }

    fn partition(&self) -> Partition {
        Partition::Actor
    }

    fn observe(&mut self, batch: &[Observed<'_>], found: &mut Found) {
        for observed in batch {
            if let Some((flow, counts)) = observed.fact.reported() {
                self.look(flow, observed.time, counts, found);
            }
        }
    }

    fn advance(&mut self, now: Timestamp, found: &mut Found) {
        if !self.sweep.is_due(now) {
            return;
        }
        for (&(client, port), state) in self.clients.iter_mut() {
            if let Some((_, service)) = SERVICES.iter().find(|(known, _)| *known == port) {
                found.measurements.extend(state.close((client, port), service, now));
            }
        }
    }

    fn evicted(&self) -> u64 {
        self.clients.evicted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Shape, end, flow};

    fn answers(client: &str) -> Found {
        let (mut reflector, mut found) = (Reflector::new(LocalNetworks::default()), Found::default());
        for number in 0..100 {
            let mut query = flow(&format!("{client}:{}", 2_000 + number), "10.0.0.2:161", 17, Shape::Conversation);
            (query.orig.ip_bytes, query.resp.ip_bytes) = (80, 4_000);
            end(&mut reflector, &query, &mut found);
        }
        found
    }

    #[test]
    fn large_answers_to_a_stranger_are_measured() {
        let found = answers("198.51.100.50");
        let times = found.measurements.last().unwrap().get("times_asked").cloned();
        assert!(matches!(times, Some(Value::Number(times)) if (times - 50.0).abs() < 0.1), "{times:?}");
    }

    #[test]
    fn a_client_of_the_own_network_is_no_stranger() {
        let stranger = |client| answers(client).measurements.last().unwrap().get("stranger").cloned();
        assert_eq!(stranger("198.51.100.50"), Some(Value::Flag(true)));
        assert_eq!(stranger("10.0.0.9"), Some(Value::Flag(false)));
    }
}
