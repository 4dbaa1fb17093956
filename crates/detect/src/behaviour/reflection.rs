//! Answers that nobody asked for.
//!
//! # What it sees
//! Per victim, in windows of ten seconds: UDP packets from the ports of well-known reflectors, and TCP SYN-ACKs, in flows to
//! which the victim sent nothing first; from how many servers, how large. Emits service `reflection`.
//!
//! # Why it matters
//! Attackers ask servers in the victim's name; the answers are many times larger than the questions (ATT&CK T1498.002).
//!
//! # False positives
//! Backscatter of a flood against somebody else is thin; a capture that sees only one direction shows answers of the few
//! servers that a host really uses.
//!
//! # References
//! CISA alert TA14-017A (UDP-based amplification); Bock et al. 2021 (TCP reflection).

use lapwing_capture::Timestamp;
use lapwing_decode::Address;
use lapwing_flow::Flow;
use lapwing_protocol::{Fact, LocalNetworks, Need, Observed, Scope};

use super::growth::new_share;
use crate::detector::first_packet_from_responder;
use crate::distinct::{Distinct, address_thing};
use crate::evidence::{Evidence, Steps};
use crate::table::Table;
use crate::{Detector, DetectorInfo, Found, Measurement, Partition, SHARDS, Subject, Value};

pub(crate) const INFO: DetectorInfo = DetectorInfo {
    name: "reflection",
    summary: "answers of many servers to somebody who did not ask",
    services: &["reflection"],
    needs: &[Need::all(Fact::Packets), Need::part(Fact::History, "reflected SYN-ACKs")],
};

/// Victims watched at a time, over all shards: 4,096 × at most 1.5 kB.
const VICTIMS: usize = 4_096;

/// Length of a window in seconds.
const WINDOW: i64 = 10;

/// Unasked packets in a window from which on it is worth a rule's look.
const FLOOR: u32 = 50;

/// UDP services that answer much to little: CISA TA14-017A and later additions.
const REFLECTORS: &[(u16, &str)] = &[
    (17, "quote of the day"),
    (19, "chargen"),
    (53, "DNS"),
    (69, "TFTP"),
    (111, "portmap"),
    (123, "NTP"),
    (137, "NetBIOS"),
    (161, "SNMP"),
    (389, "CLDAP"),
    (427, "SLP"),
    (500, "IKE"),
    (520, "RIP"),
    (623, "IPMI"),
    (1194, "OpenVPN"),
    (1434, "MS SQL"),
    (1701, "L2TP"),
    (1900, "SSDP"),
    (3283, "Apple remote desktop"),
    (3478, "STUN"),
    (3702, "WS-Discovery"),
    (5093, "Sentinel"),
    (5351, "NAT-PMP"),
    (5353, "mDNS"),
    (5683, "CoAP"),
    (6881, "BitTorrent"),
    (10001, "Ubiquiti discovery"),
    (11211, "memcached"),
    (27015, "Source engine"),
    (30120, "FiveM"),
    (32414, "Plex"),
    (37810, "DVR discovery"),
];

/// See the module.
#[derive(Debug)]
pub struct Reflection {
    victims: Table<(Address, u16), Victim>,
    /// Some victim has reached the floor since the last sweep.
    stirred: bool,
    local: LocalNetworks,
    swept: i64,
}

#[derive(Debug, Default)]
struct Victim {
    window: i64,
    packets: f64,
    bytes: f64,
    servers: Distinct,
    first: Timestamp,
    last: Timestamp,
    steps: Steps,
    evidence: Evidence,
    peers: Vec<Address>,
}

/// The port of TCP in the table's key: reflected SYN-ACKs come from any port.
const TCP: u16 = 0;

impl Reflection {
    /// With its share of the cap for one of [`SHARDS`] shards.
    #[must_use]
    pub fn new(local: LocalNetworks) -> Self {
        Self { victims: Table::new(VICTIMS / SHARDS), stirred: false, local, swept: i64::MIN }
    }

    fn look(&mut self, flow: &Flow, time: Timestamp, counts: bool, found: &mut Found) {
        let Some(answer) = unasked(flow) else { return };
        let share = new_share(flow, counts);
        if share == 0.0 {
            return;
        }
        if self.local.scope(answer.victim) == Scope::Group {
            return;
        }
        let key = (answer.victim, answer.service);
        let window = time.seconds().div_euclid(WINDOW);
        let victim = self.victims.entry(key);
        if victim.window != window {
            found.measurements.extend(victim.close(key, time));
            *victim = Victim { window, ..Victim::default() };
        }
        victim.add(flow, &answer, share);
        self.stirred |= victim.packets >= f64::from(FLOOR);
        if victim.steps.reached(victim.packets as u32, FLOOR) {
            found.measurements.push(victim.measurement(key, time));
        }
    }
}

/// An answer that the victim did not ask for.
struct Answer {
    victim: Address,
    server: Address,
    service: u16,
    packets: u64,
    bytes: u64,
}

fn unasked(flow: &Flow) -> Option<Answer> {
    let flipped = first_packet_from_responder(flow);
    // By Zeek's rules the victim is the originator where the server was recognised as one, else the responder.
    let (victim, server, asked, answered) = if flipped {
        (flow.originator, flow.responder, &flow.orig, &flow.resp)
    } else {
        (flow.responder, flow.originator, &flow.resp, &flow.orig)
    };
    if asked.payload_packets > 0 {
        return None;
    }
    let is_answer = match flow.protocol {
        17 => asked.packets == 0 && REFLECTORS.iter().any(|(port, _)| *port == server.port),
        // A victim resets what it did not ask for; it never asked.
        6 => answered.flags[1] > 0 && answered.flags[4] > 0 && asked.flags[1] == 0,
        _ => false,
    };
    let begins_with_answer = flow.protocol == 17
        || matches!(flow.history.as_str().trim_start_matches('^').as_bytes().first(), Some(b'h' | b'H'));
    (is_answer && begins_with_answer).then_some(Answer {
        victim: victim.address,
        server: server.address,
        service: if flow.protocol == 6 { TCP } else { server.port },
        packets: answered.packets,
        bytes: answered.ip_bytes,
    })
}

impl Victim {
    fn add(&mut self, flow: &Flow, answer: &Answer, share: f64) {
        if self.packets == 0.0 {
            (self.first, self.last) = (flow.start, flow.last);
        }
        self.first = self.first.min(flow.start);
        self.last = self.last.max(flow.last);
        self.packets += answer.packets as f64 * share;
        self.bytes += answer.bytes as f64 * share;
        if self.servers.insert(address_thing(&answer.server), 0, 1) && self.packets > f64::from(FLOOR) / 2.0 {
            self.evidence.note(flow);
            if self.peers.len() < 8 && !self.peers.contains(&answer.server) {
                self.peers.push(answer.server);
            }
        }
    }

    fn close(&mut self, key: (Address, u16), time: Timestamp) -> Option<Measurement> {
        self.steps.unreported(self.packets as u32, FLOOR).then(|| self.measurement(key, time))
    }

    fn measurement(&self, (target, port): (Address, u16), time: Timestamp) -> Measurement {
        let seconds = self.last.seconds_since(self.first).max(1.0);
        let (protocol, service) = match REFLECTORS.iter().find(|(reflector, _)| *reflector == port) {
            _ if port == TCP => ("tcp", "TCP"),
            Some((_, name)) => ("udp", *name),
            None => ("udp", "unknown"),
        };
        let mut peers = self.peers.clone();
        peers.sort_unstable();
        Measurement {
            time,
            service: "reflection",
            detector: INFO.name,
            subject: Subject::Victim(target),
            peers,
            first: self.first,
            last: self.last,
            evidence: self.evidence.flows(),
            fields: vec![
                ("target", Value::Address(target)),
                ("protocol", Value::Text(protocol.into())),
                ("port", Value::Count(u64::from(port))),
                ("reflector", Value::Text(service.into())),
                ("servers", Value::Count(u64::from(self.servers.count(0, 1)))),
                ("packets", Value::Count(self.packets as u64)),
                ("bytes", Value::Count(self.bytes as u64)),
                ("seconds", Value::Number(seconds)),
                ("packets_per_second", Value::Number(self.packets / seconds)),
                ("bytes_per_second", Value::Number(self.bytes / seconds)),
                ("bytes_per_packet", Value::Number(self.bytes / self.packets.max(1.0))),
            ],
        }
    }
}

impl Detector for Reflection {
    fn info(&self) -> &'static DetectorInfo {
        &INFO
    }

    fn partition(&self) -> Partition {
        Partition::Target
    }

    fn observe(&mut self, batch: &[Observed<'_>], found: &mut Found) {
        for observed in batch {
            if let Some((flow, counts)) = observed.fact.reported() {
                self.look(flow, observed.time, counts, found);
            }
        }
    }

    fn advance(&mut self, now: Timestamp, found: &mut Found) {
        let window = now.seconds().div_euclid(WINDOW);
        if window <= self.swept {
            return;
        }
        self.swept = window;
        if !std::mem::take(&mut self.stirred) {
            return;
        }
        for (key, victim) in self.victims.iter_mut().filter(|(_, victim)| victim.window < window) {
            found.measurements.extend(victim.close(*key, now));
        }
    }

    fn evicted(&self) -> u64 {
        self.victims.evicted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Shape, end, flow};

    #[test]
    fn unasked_answers_count_against_the_victim() {
        let (mut reflection, mut found) = (Reflection::new(LocalNetworks::default()), Found::default());
        for server in 1..=250 {
            let answer = flow("10.0.0.2:4444", &format!("198.51.100.{server}:443"), 6, Shape::Backscatter);
            end(&mut reflection, &answer, &mut found);
        }
        let last = found.measurements.last().unwrap();
        assert!(matches!(last.get("servers"), Some(Value::Count(180..=300))), "{last:?}");
        assert_eq!(last.get("protocol"), Some(&Value::Text("tcp".into())));
        assert_eq!(last.subject, Subject::Victim(crate::testing::endpoint("10.0.0.2:1").address));
    }

    #[test]
    fn answers_to_questions_are_not_counted() {
        let (mut reflection, mut found) = (Reflection::new(LocalNetworks::default()), Found::default());
        for server in 1..=250 {
            let query = flow("10.0.0.2:4444", &format!("198.51.100.{server}:53"), 17, Shape::Conversation);
            end(&mut reflection, &query, &mut found);
        }
        assert!(found.measurements.is_empty());
    }
}
