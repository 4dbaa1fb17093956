//! One host that knocks on many ports of another.
//!
//! # What it sees
//! Per source, target and transport: how many different ports got attempts that came to nothing (refused, unanswered,
//! half open, or opened without a word), in a minute, in five minutes and in six hours; how many different ports did
//! talk; which ports were open; by which style of packet. The ICMP port unreachables that the target sends back count as its
//! refusals of UDP. Numbers of protocols other than TCP, UDP and ICMP count as ports do. Emits service `pair_window`.
//!
//! # Why it matters
//! Whoever attacks a device first asks which services it runs (ATT&CK T1046, T1595.001).
//!
//! # False positives
//! Inventory and monitoring tools do the same with permission: suppress them by address. Not counted: replies whose
//! cause was not seen, traceroutes, groups, one port tried again and again (a peer that is down).
//!
//! # References
//! Zeek `policy/misc/scan.zeek` (15 ports of failed attempts in 5 minutes); Lyon, *Nmap Network Scanning*, chapter 5.

use lapwing_capture::Timestamp;
use lapwing_decode::Address;
use lapwing_flow::Flow;
use lapwing_protocol::{Fact, LocalNetworks, Need, Observed, Scope};

use super::growth::new_share;
use super::outcomes::Outcomes;
use super::probe::{Outcome, Probe, Style, attempt, pack, probe, unpack};
use super::sweep::Sweep;
use super::{protocol_name, second};
use crate::distinct::{Distinct, share};
use crate::evidence::{Evidence, Steps};
use crate::first_sight::{Earlier, FirstSight};
use crate::table::Table;
use crate::{Detector, DetectorInfo, Found, Measurement, Partition, SHARDS, Subject, Value};

pub(crate) const INFO: DetectorInfo = DetectorInfo {
    name: "vertical-scan",
    summary: "many ports of one host tried in vain by another",
    services: &["pair_window"],
    needs: &[
        Need::all(Fact::Packets),
        Need::part(Fact::Flags, "scans by TCP"),
        Need::part(Fact::EveryFlag, "scans by FIN and Xmas segments"),
        Need::part(Fact::Ttl, "UDP probes of traceroute's ports"),
    ],
};

/// Host pairs watched at a time, over all shards: 8,192 × at most 4.5 kB.
const PAIRS: usize = 8_192;

/// Places for pairs with one failed port so far, over all shards: 16 bytes each.
const FIRST_SIGHTS: usize = 16_384;

/// Host pairs between which ports were called unreachable, over all shards: 4,096 × 48 bytes.
const REFUSING_PAIRS: usize = 4_096;

const UDP: u8 = 17;

/// In the place of a protocol's number: what is neither TCP nor UDP nor ICMP, whose numbers are the doors.
const ANY_OTHER: u8 = 0;

/// The windows in seconds: a burst, Zeek's scan interval, and a working half-day for slow scans.
const MINUTE: u32 = 60;
const SHORT: u32 = 300;
const LONG: u32 = 6 * 3600;

/// Ports that a measurement names.
const PORTS_NAMED: usize = 10;

/// Open ports that are kept.
const OPEN_KEPT: usize = 16;

/// Different ports from which on a measurement is worth a rule's look.
const FLOOR: u32 = 5;

/// See the module.
#[derive(Debug)]
pub struct VerticalScan {
    pairs: Table<(Address, Address, u8), Pair>,
    first_sights: FirstSight,
    /// By source and target: the target's port unreachables. They come while the UDP flows that they answer are still open.
    unreachables: Table<(Address, Address), Unreachables>,
    sweep: Sweep,
    local: LocalNetworks,
}

#[derive(Clone, Copy, Debug, Default)]
struct Unreachables {
    packets: f64,
    last: u32,
}

#[derive(Debug, Default)]
struct Pair {
    failed: Distinct,
    failed_long: Distinct,
    answered: Distinct,
    answered_long: Distinct,
    /// Ports that were found open, whatever came of it, in order.
    open: Vec<u16>,
    short: Outcomes,
    long: Outcomes,
    steps: Steps,
    slow_steps: Steps,
    /// Unreachables that the last measurement told of.
    refused_said: u32,
    evidence: Evidence,
}

impl VerticalScan {
    /// With its share of the cap for one of [`SHARDS`] shards.
    #[must_use]
    pub fn new(local: LocalNetworks) -> Self {
        Self {
            pairs: Table::new(PAIRS / SHARDS),
            first_sights: FirstSight::new(FIRST_SIGHTS / SHARDS),
            unreachables: Table::new(REFUSING_PAIRS / SHARDS),
            sweep: Sweep::new(),
            local,
        }
    }

    /// Counts port unreachables (RFC 792 type 3 code 3, RFC 4443 type 1 code 4): only the host that was asked sends those.
    fn unreachable(&mut self, flow: &Flow, counts: bool) {
        let kind = (flow.protocol, flow.originator.port, flow.responder.port);
        if !matches!(kind, (1, 3, 3) | (58, 1, 4)) {
            return;
        }
        let share = new_share(flow, counts);
        let known = self.unreachables.entry((flow.responder.address, flow.originator.address));
        let now = second(flow.last);
        if now.saturating_sub(known.last) > LONG {
            known.packets = 0.0;
        }
        known.packets += flow.orig.packets as f64 * share;
        known.last = known.last.max(now);
    }

    fn look(&mut self, flow: &Flow, time: Timestamp, found: &mut Found) {
        let Some(probe) = probe(flow) else { return };
        let protocol = if probe.style == Style::Protocol { ANY_OTHER } else { flow.protocol };
        let key = (probe.source, probe.target, protocol);
        let now = second(flow.start);
        if probe.outcome == Outcome::Conversation {
            // Who never failed is not watched.
            if let Some(pair) = self.pairs.get_mut(&key) {
                pair.answer(&probe, flow, now);
            }
            return;
        }
        if probe.style == Style::Icmp {
            return;
        }
        let port = u32::from(probe.port);
        let pair = match self.pairs.get_mut(&key) {
            Some(pair) => pair,
            None => {
                // Who tries one port only, however often, is not watched; a group of hosts answers to nobody.
                if self.local.scope(probe.target) == Scope::Group {
                    return;
                }
                let how = pack(probe.style, probe.outcome);
                let earlier = self.first_sights.note(key, port, flow.start.nanos(), how);
                let Some(earlier) = earlier.filter(|earlier| earlier.thing != port) else { return };
                let pair = self.pairs.entry(key);
                pair.begin(earlier);
                pair
            }
        };
        pair.add(&probe, flow, now);
        self.sweep.stir_if(pair.long.failed() >= FLOOR);
        if let Some(measurement) = pair.due(key, now, time, refused(&mut self.unreachables, key)) {
            found.measurements.push(measurement);
        }
    }
}

/// Port unreachables that the target of `key` sent back.
fn refused(
    unreachables: &mut Table<(Address, Address), Unreachables>,
    (source, target, protocol): (Address, Address, u8),
) -> u32 {
    if protocol != UDP {
        return 0;
    }
    unreachables.get_mut(&(source, target)).map_or(0, |known| known.packets.round() as u32)
}

/// The first of `ports`, and whether there are more in all.
fn named<T: ToString>(ports: &[T], all: usize) -> String {
    let ports: Vec<String> = ports.iter().take(PORTS_NAMED).map(T::to_string).collect();
    let rest = if all > ports.len() { ", …" } else { "" };
    ports.join(", ") + rest
}

impl Pair {
    /// Takes in what came before the pair was watched.
    fn begin(&mut self, earlier: Earlier) {
        let now = second(Timestamp::from_nanos(earlier.nanos));
        self.failed.insert(earlier.thing, now, SHORT);
        self.failed_long.insert(earlier.thing, now, LONG);
        self.short.add_earlier(earlier);
        self.long.add_earlier(earlier);
        self.note_open(earlier.thing as u16, unpack(earlier.how).1);
    }

    fn note_open(&mut self, port: u16, outcome: Outcome) {
        if outcome.is_open()
            && self.open.len() < OPEN_KEPT
            && let Err(place) = self.open.binary_search(&port)
        {
            self.open.insert(place, port);
        }
    }

    /// Takes in a conversation.
    fn answer(&mut self, probe: &Probe, flow: &Flow, now: u32) {
        let port = u32::from(probe.port);
        self.answered.insert(port, now, SHORT);
        self.answered_long.insert(port, now, LONG);
        self.note_open(probe.port, probe.outcome);
        if self.answered.count(now, SHORT) >= FLOOR {
            self.evidence.note(flow);
        }
    }

    /// Different ports tried in vain within five minutes and six hours: no more than attempts, which are counted one by one.
    fn failed_ports(&self, now: u32) -> (u32, u32) {
        let short = self.failed.count(now, SHORT).min(self.short.failed());
        let long = self.failed_long.count(now, LONG).min(self.long.failed());
        (short, long.max(short))
    }

    fn add(&mut self, probe: &Probe, flow: &Flow, now: u32) {
        let idle = now.saturating_sub(second(self.long.last));
        if self.long.failed() > 0 && idle > LONG {
            *self = Self::default();
        } else if idle > SHORT {
            self.short = Outcomes::default();
        }
        self.short.add(probe, flow);
        self.long.add(probe, flow);
        self.failed_long.insert(u32::from(probe.port), now, LONG);
        self.note_open(probe.port, probe.outcome);
        // One port tried again and again leaves no evidence.
        if self.failed.insert(u32::from(probe.port), now, SHORT) && self.long.failed() > 2 {
            self.evidence.note(flow);
        }
    }

    fn due(
        &mut self,
        key: (Address, Address, u8),
        now: u32,
        time: Timestamp,
        unreachables: u32,
    ) -> Option<Measurement> {
        let (short, long) = self.failed_ports(now);
        let due = self.steps.reached(short, FLOOR);
        let slow_due = self.slow_steps.reached(long, 2 * FLOOR) && long > short;
        (due || slow_due).then(|| self.measurement(key, now, time, unreachables))
    }

    /// What a sweep has to say: ports that came since the last measurement, or refusals of ports that were told of.
    fn left(
        &mut self,
        key: (Address, Address, u8),
        now: u32,
        time: Timestamp,
        unreachables: u32,
    ) -> Option<Measurement> {
        let last = second(self.long.last);
        let (short, long) = self.failed_ports(last);
        if now.saturating_sub(last) > SHORT + MINUTE {
            return None;
        }
        let due = self.steps.unreported(short, FLOOR);
        let slow_due = self.slow_steps.unreported(long, 2 * FLOOR) && long > short;
        let refused_due = short >= FLOOR && unreachables > self.refused_said;
        (due || slow_due || refused_due).then(|| self.measurement(key, last, time, unreachables))
    }

    /// Ten of the ports tried, in order.
    fn first_ports(&self, tried: u32) -> String {
        let mut ports: Vec<u32> = self.failed_long.things().collect();
        ports.sort_unstable();
        named(&ports, tried as usize)
    }

    /// Ten of the open ports, in order.
    fn open_ports(&self) -> String {
        if self.open.is_empty() { "none".to_owned() } else { named(&self.open, self.open.len()) }
    }

    fn measurement(
        &mut self,
        (source, target, protocol): (Address, Address, u8),
        now: u32,
        time: Timestamp,
        unreachables: u32,
    ) -> Measurement {
        self.refused_said = unreachables;
        let (failed, failed_long) = self.failed_ports(now);
        let answered = self.answered.count(now, SHORT);
        // A slow scan's sentence tells the long window's story.
        let outcomes = if failed_long > failed { &self.long } else { &self.short };
        // An unreachable says that a datagram was refused which seemed unanswered.
        let refused = unreachables.min(outcomes.unanswered);
        let count = |value: u32| Value::Count(u64::from(value));
        let seconds = self.long.last.seconds_since(self.long.first).max(1.0);
        Measurement {
            time,
            service: "pair_window",
            detector: INFO.name,
            subject: Subject::Host(source),
            peers: vec![target],
            first: outcomes.first,
            last: outcomes.last,
            evidence: self.evidence.flows(),
            fields: vec![
                ("source", Value::Address(source)),
                ("target", Value::Address(target)),
                ("protocol", Value::Text(protocol_name(protocol).into())),
                ("style", Value::Text(outcomes.style().into())),
                ("failed_ports_minute", count(self.failed.count(now, MINUTE).min(failed))),
                ("failed_ports", count(failed)),
                ("failed_ports_long", count(failed_long)),
                ("seconds", Value::Number(seconds)),
                ("failed_ports_per_minute", Value::Number(f64::from(failed_long) * 60.0 / seconds)),
                ("answered_ports", count(answered)),
                ("failed_share", Value::Number(share(&self.failed, &self.answered, now, SHORT))),
                ("failed_share_long", Value::Number(share(&self.failed_long, &self.answered_long, now, LONG))),
                ("refused", count(outcomes.refused + refused)),
                ("unanswered", count(outcomes.unanswered - refused)),
                ("half_open", count(outcomes.half_open)),
                ("empty", count(outcomes.empty)),
                ("outcomes", Value::Text(outcomes.list(refused).into())),
                ("open_ports", Value::Text(self.open_ports().into())),
                ("ports", Value::Text(self.first_ports(failed_long).into())),
            ],
        }
    }
}

impl Detector for VerticalScan {
    fn info(&self) -> &'static DetectorInfo {
        &INFO
    }

    fn partition(&self) -> Partition {
        Partition::Actor
    }

    fn observe(&mut self, batch: &[Observed<'_>], found: &mut Found) {
        for observed in batch {
            if let Some((flow, counts)) = observed.fact.reported() {
                self.unreachable(flow, counts);
            }
            if let Some(flow) = attempt(&observed.fact) {
                self.look(flow, observed.time, found);
            }
        }
    }

    fn advance(&mut self, now: Timestamp, found: &mut Found) {
        if !self.sweep.is_due(now) {
            return;
        }
        let now_second = second(now);
        for (key, pair) in self.pairs.iter_mut() {
            found.measurements.extend(pair.left(*key, now_second, now, refused(&mut self.unreachables, *key)));
        }
    }

    fn evicted(&self) -> u64 {
        self.pairs.evicted() + self.unreachables.evicted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Shape, at, end, flow};

    fn ports_seen(found: &Found) -> Vec<u64> {
        let count = |measurement: &Measurement| match measurement.get("failed_ports") {
            Some(Value::Count(count)) => *count,
            _ => 0,
        };
        found.measurements.iter().map(count).collect()
    }

    #[test]
    fn different_ports_are_counted_in_steps() {
        let (mut scan, mut found) = (VerticalScan::new(LocalNetworks::default()), Found::default());
        for port in 1..=40 {
            let knock = flow("10.0.0.1:40000", &format!("10.0.0.2:{port}"), 6, Shape::Refused);
            end(&mut scan, &at(knock, 1000.0 + f64::from(port)), &mut found);
        }
        assert_eq!(ports_seen(&found)[..5], [5, 7, 9, 12, 15]);
        let last = found.measurements.last().unwrap();
        assert_eq!(last.get("style"), Some(&Value::Text("SYN".into())));
        assert_eq!(last.subject, Subject::Host(crate::testing::endpoint("10.0.0.1:1").address));
        assert!(!last.evidence.is_empty());
    }

    #[test]
    fn one_port_tried_again_and_again_is_no_scan() {
        let (mut scan, mut found) = (VerticalScan::new(LocalNetworks::default()), Found::default());
        for try_number in 0..500 {
            let retry = flow(&format!("10.0.0.1:{}", 40_000 + try_number), "10.0.0.2:1883", 6, Shape::Refused);
            end(&mut scan, &at(retry, 1000.0 + f64::from(try_number)), &mut found);
        }
        assert!(found.measurements.is_empty());
    }

    #[test]
    fn a_slow_scan_shows_in_the_long_window() {
        let (mut scan, mut found) = (VerticalScan::new(LocalNetworks::default()), Found::default());
        for port in 1..=25 {
            let knock = flow("10.0.0.1:40000", &format!("10.0.0.2:{port}"), 6, Shape::Unanswered);
            end(&mut scan, &at(knock, 1000.0 + 600.0 * f64::from(port)), &mut found);
        }
        let long: Vec<_> = found.measurements.iter().map(|m| m.get("failed_ports_long").cloned()).collect();
        assert!(long.contains(&Some(Value::Count(22))) || long.contains(&Some(Value::Count(25))), "{long:?}");
        assert!(ports_seen(&found).iter().all(|&ports| ports < 5));
    }

    #[test]
    fn unreachables_are_refusals_of_udp_ports() {
        let (mut scan, mut found) = (VerticalScan::new(LocalNetworks::default()), Found::default());
        let mut errors = flow("10.0.0.2:3", "10.0.0.1:3", 1, Shape::Unanswered);
        errors.orig.packets = 7;
        end(&mut scan, &errors, &mut found);
        for port in 1..=1_000 {
            let knock = flow("10.0.0.1:40000", &format!("10.0.0.2:{port}"), 17, Shape::Unanswered);
            end(&mut scan, &at(knock, 1000.0 + f64::from(port) * 0.01), &mut found);
        }
        scan.advance(Timestamp::from_seconds(1_100), &mut found);
        let last = found.measurements.last().unwrap();
        assert_eq!(last.get("style"), Some(&Value::Text("UDP".into())));
        assert_eq!((last.get("refused"), last.get("unanswered")), (Some(&Value::Count(7)), Some(&Value::Count(993))));
    }

    #[test]
    fn unreachables_that_come_last_are_told_at_the_end() {
        let (mut scan, mut found) = (VerticalScan::new(LocalNetworks::default()), Found::default());
        for port in 1..=20 {
            let knock = flow("10.0.0.1:40000", &format!("10.0.0.2:{port}"), 17, Shape::Unanswered);
            end(&mut scan, &knock, &mut found);
        }
        let mut errors = flow("10.0.0.2:3", "10.0.0.1:3", 1, Shape::Unanswered);
        errors.orig.packets = 5;
        end(&mut scan, &errors, &mut found);
        scan.advance(Timestamp::from_seconds(1_001), &mut found);
        assert_eq!(found.measurements.last().unwrap().get("refused"), Some(&Value::Count(5)));
    }

    #[test]
    fn a_slow_scan_is_counted_to_its_end() {
        let (mut scan, mut found) = (VerticalScan::new(LocalNetworks::default()), Found::default());
        for port in 1..=21 {
            let knock = flow("10.0.0.1:40000", &format!("10.0.0.2:{port}"), 6, Shape::Unanswered);
            end(&mut scan, &at(knock, 1000.0 + 600.0 * f64::from(port)), &mut found);
        }
        scan.advance(Timestamp::from_seconds(1000 + 600 * 21 + 1), &mut found);
        assert_eq!(found.measurements.last().unwrap().get("failed_ports_long"), Some(&Value::Count(21)));
    }

    #[test]
    fn the_victim_of_a_spoofed_flood_is_not_accused() {
        let (mut scan, mut found) = (VerticalScan::new(LocalNetworks::default()), Found::default());
        for port in 1..=2_000 {
            let reply = flow(&format!("198.51.100.7:{port}"), "10.0.0.2:80", 6, Shape::Backscatter);
            end(&mut scan, &reply, &mut found);
        }
        assert!(found.measurements.is_empty());
    }

    #[test]
    fn forged_sources_that_come_once_leave_the_table_alone() {
        let (mut scan, mut found) = (VerticalScan::new(LocalNetworks::default()), Found::default());
        for source in 0..50_000_u32 {
            let [_, b, c, d] = source.to_be_bytes();
            end(&mut scan, &flow(&format!("11.{b}.{c}.{d}:1000"), "10.0.0.2:80", 6, Shape::Unanswered), &mut found);
        }
        assert_eq!(scan.evicted(), 0, "who comes once takes no place");
        assert!(found.measurements.is_empty());
    }

    #[test]
    fn what_was_found_open_is_told_though_the_scanner_ran_away() {
        let (mut scan, mut found) = (VerticalScan::new(LocalNetworks::default()), Found::default());
        for port in [80, 1, 2, 22, 3, 4, 443, 5, 6, 7] {
            let shape = match port {
                443 => Shape::Conversation,
                22 | 80 => Shape::HalfOpen,
                _ => Shape::Refused,
            };
            end(&mut scan, &flow("10.0.0.1:40000", &format!("10.0.0.2:{port}"), 6, shape), &mut found);
        }
        let last = found.measurements.last().unwrap();
        assert_eq!(last.get("open_ports"), Some(&Value::Text("22, 80, 443".into())));
        assert_eq!(last.get("outcomes"), Some(&Value::Text("7 refused, 2 half open".into())));
        assert_eq!(last.get("failed_ports"), Some(&Value::Count(9)), "as many as there are attempts");
    }

    #[test]
    fn numbers_of_other_protocols_are_doors_too() {
        let (mut scan, mut found) = (VerticalScan::new(LocalNetworks::default()), Found::default());
        for protocol in 60..80 {
            end(&mut scan, &flow("10.0.0.1:0", "10.0.0.2:0", protocol, Shape::Unanswered), &mut found);
        }
        let last = found.measurements.last().unwrap();
        assert_eq!(last.get("style"), Some(&Value::Text("IP protocol".into())));
        assert!(ports_seen(&found).last() >= Some(&16));
    }
}
