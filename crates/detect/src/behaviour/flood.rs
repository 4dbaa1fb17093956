//! Too much for one victim.
//!
//! # What it sees
//! Per target, in windows of ten seconds: connection attempts whose handshake was never finished and those that were, strays
//! (TCP packets that belong to no connection), packets of UDP, ICMP and other protocols and the share that was answered, from how
//! many sources, to how many ports; as rates over the time in which the traffic itself came. Emits service `victim_window`. A single flow of many
//! unanswered packets is measured too, and so is one of many SYNs.
//!
//! # Why it matters
//! Floods exhaust a link or a service (ATT&CK T1498.001, T1499). The subject is the victim: sources of floods are mostly
//! forged.
//!
//! # False positives
//! A busy server finishes its handshakes; a port scan of one host is unfinished or unanswered too, but spreads over ports; ICMP
//! errors answer what their receiver did, and are not counted; one-way media streams come from one source and stay below the packet rates of a flood.
//!
//! # References
//! RFC 4987 (SYN flooding); Suricata `flow-events`; ntopng's flood thresholds (per-minute SYN, flow and ICMP counts).

use lapwing_capture::Timestamp;
use lapwing_decode::Address;
use lapwing_flow::Flow;
use lapwing_protocol::{Fact, LocalNetworks, Need, Observed, Scope};

use super::growth::new_share;
use super::protocol_name;
use crate::detector::{first_packet_from_responder, is_icmp_error};
use crate::distinct::{Distinct, address_thing};
use crate::evidence::{Evidence, Steps};
use crate::first_sight::WindowCount;
use crate::table::Table;
use crate::{Detector, DetectorInfo, Found, Measurement, Partition, SHARDS, Subject, Value};

pub(crate) const INFO: DetectorInfo = DetectorInfo {
    name: "flood",
    summary: "rates of attempts, packets and sources against one victim",
    services: &["victim_window"],
    needs: &[
        Need::all(Fact::Packets),
        Need::part(Fact::Flags, "floods of TCP"),
        Need::part(Fact::Progress, "the windows in which a long flow was heavy"),
    ],
};

/// Victims watched at a time, over all shards: 4,096 × at most 4 kB; an idle one takes 300 bytes.
const VICTIMS: usize = 4_096;

/// Places for targets that get little, over all shards: 16 bytes each.
const COUNTS: usize = 16_384;

/// Flows or packets in a window from which on a target is watched.
const WATCHED_FROM: u32 = 16;

/// Length of a window in seconds.
const WINDOW: i64 = 10;

/// Flows in a window from which on it is worth a rule's look.
const FLOOR: u32 = 200;

/// Packets in a window from which on it is worth a rule's look.
const PACKET_FLOOR: f64 = 1_000.0;

/// See the module.
#[derive(Debug)]
pub struct Flood {
    victims: Table<(Address, u8), Victim>,
    counts: WindowCount,
    /// Some victim has reached half the floor since the last sweep.
    stirred: bool,
    local: LocalNetworks,
    swept: i64,
}

/// What one transport brought to one victim in the current window.
#[derive(Debug, Default)]
struct Victim {
    window: i64,
    flows: u32,
    unfinished: u32,
    packets: f64,
    answers: f64,
    bytes: f64,
    sources: Distinct,
    ports: Distinct,
    unfinished_ports: Distinct,
    strays: u32,
    stray_ports: Distinct,
    stray_steps: Steps,
    first: Timestamp,
    last: Timestamp,
    steps: Steps,
    packet_steps: Steps,
    evidence: Evidence,
    peers: Vec<Address>,
}

impl Flood {
    /// With its share of the cap for one of [`SHARDS`] shards.
    #[must_use]
    pub fn new(local: LocalNetworks) -> Self {
        Self {
            victims: Table::new(VICTIMS / SHARDS),
            counts: WindowCount::new(COUNTS / SHARDS),
            stirred: false,
            local,
            swept: i64::MIN,
        }
    }

    fn look(&mut self, flow: &Flow, time: Timestamp, counts: bool, found: &mut Found) {
        let share = new_share(flow, counts);
        // Replies to what somebody sent in the victim's name are measured as reflection; ICMP errors answer what their
        // receiver sent; and of what IPsec carries both directions look alike and need not be seen.
        if share == 0.0 || first_packet_from_responder(flow) || is_icmp_error(flow) || matches!(flow.protocol, 50 | 51)
        {
            return;
        }
        let is_tcp = flow.protocol == 6;
        if is_tcp && (!(counts || repeats(flow)) || flow.history.first() == Some(b'H')) {
            return;
        }
        if is_tcp && flow.orig.flags[SYN] == 0 && !is_stray(flow) {
            return;
        }
        let target = flow.responder.address;
        let key = (target, flow.protocol);
        let window = time.seconds().div_euclid(WINDOW);
        let weight = if is_tcp && !repeats(flow) { 1 } else { (flow.orig.packets as f64 * share) as u32 };
        if self.counts.add(key, window, weight.max(1)) < WATCHED_FROM || self.local.scope(target) == Scope::Group {
            return;
        }
        let local = &self.local;
        let victim = self.victims.entry(key);
        if victim.window != window {
            if let Some(measurement) = victim.close(key, time, local) {
                found.measurements.push(measurement);
            }
            victim.reset(window);
        }
        victim.add(flow, share, counts);
        self.stirred |= victim.flows.max(victim.strays) >= FLOOR || victim.packets >= PACKET_FLOOR;
        let packets = victim.packets as u32;
        let strays_due = victim.stray_steps.reached(victim.strays, FLOOR);
        let due = victim.steps.reached(victim.flows, FLOOR) || strays_due;
        if victim.packet_steps.reached(packets, PACKET_FLOOR as u32) || due {
            found.measurements.push(victim.measurement(key, time, local));
        }
    }
}

/// SYNs in one flow that are no retransmissions any more: systems try six times or seven.
const REPEATED: u32 = 16;

/// One five-tuple used for attempt after attempt.
fn repeats(flow: &Flow) -> bool {
    flow.protocol == 6 && flow.orig.flags[SYN] >= REPEATED && flow.orig.flags[ACK] == 0
}

/// A few TCP packets that begin nothing and that nobody takes up: what remains of a connection that began before the capture
/// looks so too, but not by the thousand.
fn is_stray(flow: &Flow) -> bool {
    flow.orig.flags[SYN] == 0 && flow.orig.packets <= 3 && flow.resp.payload_packets == 0 && flow.resp.flags[SYN] == 0
}

/// Positions in `Half::flags`.
const SYN: usize = 1;
const ACK: usize = 4;

impl Victim {
    fn reset(&mut self, window: i64) {
        *self = Self { window, ..Self::default() };
    }

    fn add(&mut self, flow: &Flow, share: f64, counts: bool) {
        if self.packets == 0.0 {
            (self.first, self.last) = (flow.start, flow.start);
        }
        self.first = self.first.min(flow.start);
        // Attempts are counted over their starts, packets over the time in which they came.
        self.last = self.last.max(if flow.protocol == 6 && !repeats(flow) { flow.start } else { flow.last });
        self.packets += flow.orig.packets as f64 * share;
        self.answers += flow.resp.packets as f64 * share;
        self.bytes += flow.orig.ip_bytes as f64 * share;
        self.sources.insert(address_thing(&flow.originator.address), 0, 1);
        self.ports.insert(u32::from(flow.responder.port), 0, 1);
        if repeats(flow) {
            let attempts = (f64::from(flow.orig.flags[SYN]) * share).round() as u32;
            self.flows = self.flows.saturating_add(attempts);
            self.unfinished = self.unfinished.saturating_add(attempts);
            self.unfinished_ports.insert(u32::from(flow.responder.port), 0, 1);
        } else if flow.protocol == 6 && is_stray(flow) {
            self.strays = self.strays.saturating_add(1);
            self.stray_ports.insert(u32::from(flow.responder.port), 0, 1);
        } else if counts {
            self.flows = self.flows.saturating_add(1);
            // The handshake is finished by the originator's ACK.
            if flow.protocol == 6 && flow.orig.flags[ACK] == 0 {
                self.unfinished = self.unfinished.saturating_add(1);
                self.unfinished_ports.insert(u32::from(flow.responder.port), 0, 1);
            }
        }
        if self.flows.max(self.strays) > FLOOR / 2 || self.packets > PACKET_FLOOR / 2.0 {
            self.evidence.note(flow);
            if self.peers.len() < 8 && !self.peers.contains(&flow.originator.address) {
                self.peers.push(flow.originator.address);
            }
        }
    }

    /// The measurement of a window that ends, where it holds more than was reported.
    fn close(&mut self, key: (Address, u8), time: Timestamp, local: &LocalNetworks) -> Option<Measurement> {
        let due = self.steps.unreported(self.flows, FLOOR);
        let packets_due = self.packet_steps.unreported(self.packets as u32, PACKET_FLOOR as u32);
        let strays_due = self.stray_steps.unreported(self.strays, FLOOR);
        (due || packets_due || strays_due).then(|| self.measurement(key, time, local))
    }

    fn measurement(&self, (target, protocol): (Address, u8), time: Timestamp, local: &LocalNetworks) -> Measurement {
        // A burst shorter than a second counts as one second: a rate over less says little.
        let seconds = self.last.seconds_since(self.first).max(1.0);
        let count = |value: u32| Value::Count(u64::from(value));
        let rate = |value: f64| Value::Number(value / seconds);
        let sources = self.sources.count(0, 1);
        let unfinished_ports = self.unfinished_ports.count(0, 1);
        let stray_ports = self.stray_ports.count(0, 1);
        let ports = self.ports.count(0, 1);
        let mut peers = self.peers.clone();
        peers.sort_unstable();
        // One source is named; many may be forged.
        let (subject, peers) = match peers[..] {
            [source] if sources == 1 => (Subject::HostPair { source, target }, vec![target]),
            _ => (Subject::Victim(target), peers),
        };
        Measurement {
            time,
            service: "victim_window",
            detector: INFO.name,
            subject,
            peers,
            first: self.first,
            last: self.last,
            evidence: self.evidence.flows(),
            fields: vec![
                ("target", Value::Address(target)),
                ("local_target", Value::Flag(local.scope(target) == Scope::Local)),
                ("protocol", Value::Text(protocol_name(protocol).into())),
                ("seconds", Value::Number(seconds)),
                ("flows", count(self.flows)),
                ("flows_per_second", rate(f64::from(self.flows))),
                ("finished", count(self.flows - self.unfinished)),
                ("unfinished", count(self.unfinished)),
                ("unfinished_per_second", rate(f64::from(self.unfinished))),
                ("unfinished_share", Value::Number(f64::from(self.unfinished) / f64::from(self.flows.max(1)))),
                ("unfinished_per_port", Value::Number(f64::from(self.unfinished) / f64::from(unfinished_ports.max(1)))),
                ("strays", count(self.strays)),
                ("strays_per_second", rate(f64::from(self.strays))),
                ("strays_per_port", Value::Number(f64::from(self.strays) / f64::from(stray_ports.max(1)))),
                ("packets", Value::Count(self.packets as u64)),
                ("packets_per_second", rate(self.packets)),
                ("bytes_per_second", rate(self.bytes)),
                ("answered_share", Value::Number((self.answers / self.packets.max(1.0)).min(1.0))),
                ("sources", count(sources)),
                ("ports", count(ports)),
                ("packets_per_port", Value::Number(self.packets / f64::from(ports.max(1)))),
                ("bytes_per_packet", Value::Number(self.bytes / self.packets.max(1.0))),
                ("flows_per_source", Value::Number(f64::from(self.flows) / f64::from(sources.max(1)))),
            ],
        }
    }
}

impl Detector for Flood {
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
            found.measurements.extend(victim.close(*key, now, &self.local));
        }
    }

    fn evicted(&self) -> u64 {
        self.victims.evicted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Shape, at, end, flow};

    fn number(found: &Found, name: &str) -> f64 {
        match found.measurements.last().and_then(|measurement| measurement.get(name)) {
            Some(Value::Number(number)) => *number,
            Some(Value::Count(count)) => *count as f64,
            _ => f64::NAN,
        }
    }

    #[test]
    fn forged_attempts_are_counted_against_the_victim() {
        let (mut flood, mut found) = (Flood::new(LocalNetworks::default()), Found::default());
        for attempt in 0..5_000_u32 {
            let [_, _, c, d] = attempt.to_be_bytes();
            let syn = flow(&format!("198.18.{c}.{d}:4000"), "10.0.0.2:80", 6, Shape::Unanswered);
            end(&mut flood, &at(syn, 1000.0 + f64::from(attempt) / 1_000.0), &mut found);
        }
        assert!(number(&found, "unfinished_per_second") > 500.0);
        assert!(number(&found, "sources") > 1_000.0);
        assert_eq!(number(&found, "unfinished_share"), 1.0);
    }

    #[test]
    fn one_five_tuple_used_again_and_again_counts_each_attempt() {
        let (mut flood, mut found) = (Flood::new(LocalNetworks::default()), Found::default());
        let mut syns = flow("10.0.0.1:5000", "10.0.0.2:80", 6, Shape::Unanswered);
        for packets in [8, 64, 512, 4_096] {
            (syns.orig.packets, syns.orig.flags[SYN]) = (packets, packets as u32);
            syns.last = Timestamp::from_nanos(syns.start.nanos() + packets as i64 * 1_000_000);
            flood.look(&syns, syns.last, false, &mut found);
        }
        assert!(number(&found, "unfinished") > 3_000.0);
        assert!(number(&found, "unfinished_per_second") > 500.0);
    }

    #[test]
    fn packets_of_no_connection_are_strays() {
        let (mut flood, mut found) = (Flood::new(LocalNetworks::default()), Found::default());
        for packet in 0..3_000_u32 {
            let mut ack = flow(&format!("10.0.0.1:{}", 1_024 + packet), "10.0.0.2:80", 6, Shape::Refused);
            (ack.orig.flags[SYN], ack.orig.flags[ACK]) = (0, 1);
            end(&mut flood, &at(ack, 1000.0 + f64::from(packet) / 1_000.0), &mut found);
        }
        assert!(number(&found, "strays") > 2_000.0);
        assert!(number(&found, "strays_per_port") > 2_000.0);
        assert_eq!(number(&found, "flows"), 0.0);
    }

    #[test]
    fn a_busy_server_finishes_its_handshakes() {
        let (mut flood, mut found) = (Flood::new(LocalNetworks::default()), Found::default());
        for client in 0..2_000_u32 {
            let [_, _, c, d] = client.to_be_bytes();
            let visit = flow(&format!("198.18.{c}.{d}:4000"), "10.0.0.2:80", 6, Shape::Conversation);
            end(&mut flood, &at(visit, 1000.0 + f64::from(client) / 500.0), &mut found);
        }
        assert_eq!(number(&found, "unfinished"), 0.0);
    }

    #[test]
    fn one_flow_of_many_unanswered_packets_counts_by_its_packets() {
        let (mut flood, mut found) = (Flood::new(LocalNetworks::default()), Found::default());
        let mut ping = flow("10.0.0.1:8", "10.0.0.2:0", 1, Shape::Unanswered);
        (ping.orig.packets, ping.last) = (20_000, Timestamp::from_seconds(1002));
        end(&mut flood, &ping, &mut found);
        assert!(number(&found, "packets_per_second") > 1_500.0);
        assert_eq!(number(&found, "answered_share"), 0.0);
    }

    #[test]
    fn windows_that_end_report_what_came_since_the_last_step() {
        let (mut flood, mut found) = (Flood::new(LocalNetworks::default()), Found::default());
        for attempt in 0..250 {
            let syn = flow(&format!("198.18.0.{attempt}:4000"), "10.0.0.2:80", 6, Shape::Unanswered);
            end(&mut flood, &syn, &mut found);
        }
        assert_eq!(number(&found, "flows"), 200.0);
        flood.advance(Timestamp::from_seconds(1020), &mut found);
        assert_eq!(number(&found, "flows"), 235.0);
    }

    #[test]
    fn errors_that_answer_a_scan_are_no_flood_of_the_scanner() {
        let (mut flood, mut found) = (Flood::new(LocalNetworks::default()), Found::default());
        for (kind, protocol) in [(3, 1), (11, 1), (1, 58), (4, 58)] {
            let mut errors = flow(&format!("10.0.0.2:{kind}"), "10.0.0.1:3", protocol, Shape::Unanswered);
            (errors.orig.packets, errors.last) = (20_000, Timestamp::from_seconds(1002));
            end(&mut flood, &errors, &mut found);
        }
        assert!(found.measurements.is_empty());
    }

    #[test]
    fn other_protocols_count_by_their_packets() {
        let (mut flood, mut found) = (Flood::new(LocalNetworks::default()), Found::default());
        let mut gre = flow("198.51.100.1:0", "10.0.0.2:0", 47, Shape::Unanswered);
        (gre.orig.packets, gre.last) = (20_000, Timestamp::from_seconds(1010));
        end(&mut flood, &gre, &mut found);
        assert_eq!(found.measurements[0].get("protocol"), Some(&Value::Text("ip".into())));
        assert!(number(&found, "packets_per_second") > 1_500.0);
    }
}
