//! One host that knocks on the same door of many others.
//!
//! # What it sees
//! Per source, transport and port (or ICMP request type): how many different hosts got attempts that came to nothing, in a
//! minute, in five minutes and in six hours, how many did talk, and how many opened whatever came of it. Emits service `host_window`.
//!
//! # Why it matters
//! Worms and bot masters look for one weakness everywhere (ATT&CK T1046, T1595.001); ping sweeps look for prey (T1018).
//!
//! # False positives
//! A monitor or crawler reaches most of those it asks, so its share of failures is low; peers of a file-sharing network
//! use different ports; a browser without working IPv6 fails fast but mostly succeeds. Not counted: groups, replies
//! whose cause was not seen.
//!
//! # References
//! Zeek `policy/misc/scan.zeek` (25 hosts of failed attempts in 5 minutes).

use lapwing_capture::Timestamp;
use lapwing_decode::Address;
use lapwing_flow::Flow;
use lapwing_protocol::{Fact, LocalNetworks, Need, Observed, Scope, transport};

use super::outcomes::Outcomes;
use super::probe::{Outcome, Probe, Style, attempt, pack, probe, unpack};
use super::second;
use super::sweep::Sweep;
use crate::distinct::{Distinct, address_thing, share};
use crate::evidence::{Evidence, Steps};
use crate::first_sight::{Earlier, FirstSight};
use crate::table::Table;
use crate::{Detector, DetectorInfo, Found, Measurement, Partition, SHARDS, Subject, Value};

pub(crate) const INFO: DetectorInfo = DetectorInfo {
    name: "horizontal-scan",
    summary: "one port of many hosts tried in vain by one host",
    services: &["host_window"],
    needs: &[
        Need::all(Fact::Packets),
        Need::part(Fact::Flags, "scans by TCP"),
        Need::part(Fact::EveryFlag, "scans by FIN and Xmas segments"),
        Need::part(Fact::Ttl, "UDP probes of traceroute's ports"),
    ],
};

/// Source and port pairs watched at a time, over all shards: 8,192 × at most 5.5 kB.
const SOURCES: usize = 8_192;

/// Places for sources with one host so far, over all shards: 16 bytes each.
const FIRST_SIGHTS: usize = 16_384;

const MINUTE: u32 = 60;
const SHORT: u32 = 300;
const LONG: u32 = 6 * 3600;
const FLOOR: u32 = 5;

/// See the module.
#[derive(Debug)]
pub struct HorizontalScan {
    sources: Table<(Address, u16, u8), Source>,
    first_sights: FirstSight,
    sweep: Sweep,
    local: LocalNetworks,
}

#[derive(Debug, Default)]
struct Source {
    failed: Distinct,
    failed_long: Distinct,
    answered: Distinct,
    answered_long: Distinct,
    open: Distinct,
    short: Outcomes,
    long: Outcomes,
    outside: u32,
    steps: Steps,
    slow_steps: Steps,
    evidence: Evidence,
    peers: Vec<Address>,
}

impl HorizontalScan {
    /// With its share of the cap for one of [`SHARDS`] shards.
    #[must_use]
    pub fn new(local: LocalNetworks) -> Self {
        Self {
            sources: Table::new(SOURCES / SHARDS),
            first_sights: FirstSight::new(FIRST_SIGHTS / SHARDS),
            sweep: Sweep::new(),
            local,
        }
    }

    fn look(&mut self, flow: &Flow, time: Timestamp, found: &mut Found) {
        let Some(probe) = probe(flow).filter(|probe| probe.style != Style::Protocol) else { return };
        let key = (probe.source, probe.port, flow.protocol);
        let now = second(flow.start);
        let target = address_thing(&probe.target);
        let answered = probe.outcome == Outcome::Conversation;
        let source = match self.sources.get_mut(&key) {
            Some(source) => source,
            // Who never failed is not watched, but whom pings reached counts.
            None if answered && probe.style != Style::Icmp => return,
            None => {
                // Who tries one host only, however often, is not watched; a group of hosts answers to nobody.
                if self.local.scope(probe.target) == Scope::Group {
                    return;
                }
                let how = pack(probe.style, probe.outcome);
                let earlier = self.first_sights.note(key, target, flow.start.nanos(), how);
                let Some(earlier) = earlier.filter(|earlier| earlier.thing != target) else { return };
                let source = self.sources.entry(key);
                source.begin(earlier);
                // What lay where is not remembered: the two lie alike.
                source.outside = source.short.failed() * u32::from(self.local.scope(probe.target) == Scope::Outside);
                source
            }
        };
        if answered {
            source.answer(target, now);
            return;
        }
        let outside = self.local.scope(probe.target) == Scope::Outside;
        source.add(&probe, flow, now, outside);
        self.sweep.stir_if(source.long.failed() >= FLOOR);
        if let Some(measurement) = source.due(key, now, time, &self.local) {
            found.measurements.push(measurement);
        }
    }
}

impl Source {
    /// Takes in what came before the source was watched.
    fn begin(&mut self, earlier: Earlier) {
        let (now, outcome) = (second(Timestamp::from_nanos(earlier.nanos)), unpack(earlier.how).1);
        if outcome == Outcome::Conversation {
            self.answer(earlier.thing, now);
            return;
        }
        self.failed.insert(earlier.thing, now, SHORT);
        self.failed_long.insert(earlier.thing, now, LONG);
        self.short.add_earlier(earlier);
        self.long.add_earlier(earlier);
        if outcome.is_open() {
            self.open.insert(earlier.thing, now, LONG);
        }
    }

    /// Takes in a conversation.
    fn answer(&mut self, target: u32, now: u32) {
        self.answered.insert(target, now, SHORT);
        self.answered_long.insert(target, now, LONG);
        self.open.insert(target, now, LONG);
    }

    /// Different hosts tried in vain within five minutes and six hours: no more than attempts, which are counted one by one.
    fn failed_targets(&self, now: u32) -> (u32, u32) {
        let short = self.failed.count(now, SHORT).min(self.short.failed());
        let long = self.failed_long.count(now, LONG).min(self.long.failed());
        (short, long.max(short))
    }

    fn add(&mut self, probe: &Probe, flow: &Flow, now: u32, outside: bool) {
        let idle = now.saturating_sub(second(self.long.last));
        if self.long.failed() > 0 && idle > LONG {
            *self = Self::default();
        } else if idle > SHORT {
            (self.short, self.outside) = (Outcomes::default(), 0);
        }
        self.short.add(probe, flow);
        self.long.add(probe, flow);
        self.outside = self.outside.saturating_add(u32::from(outside));
        let target = address_thing(&probe.target);
        self.failed_long.insert(target, now, LONG);
        if probe.outcome.is_open() {
            self.open.insert(target, now, LONG);
        }
        // One host tried again and again leaves no evidence.
        if self.failed.insert(target, now, SHORT) && self.long.failed() > 2 {
            self.evidence.note(flow);
            if self.peers.len() < 8 && !self.peers.contains(&probe.target) {
                self.peers.push(probe.target);
            }
        }
    }

    fn due(
        &mut self,
        key: (Address, u16, u8),
        now: u32,
        time: Timestamp,
        local: &LocalNetworks,
    ) -> Option<Measurement> {
        let (short, long) = self.failed_targets(now);
        let due = self.steps.reached(short, FLOOR);
        let slow_due = self.slow_steps.reached(long, 2 * FLOOR) && long > short;
        (due || slow_due).then(|| self.measurement(key, now, time, local))
    }

    /// What a sweep has to say: hosts that came since the last measurement.
    fn left(
        &mut self,
        key: (Address, u16, u8),
        now: u32,
        time: Timestamp,
        local: &LocalNetworks,
    ) -> Option<Measurement> {
        let last = second(self.long.last);
        let (short, long) = self.failed_targets(last);
        if now.saturating_sub(last) > SHORT + MINUTE {
            return None;
        }
        let due = self.steps.unreported(short, FLOOR);
        let slow_due = self.slow_steps.unreported(long, 2 * FLOOR) && long > short;
        (due || slow_due).then(|| self.measurement(key, last, time, local))
    }

    fn measurement(
        &self,
        (source, port, protocol): (Address, u16, u8),
        now: u32,
        time: Timestamp,
        local: &LocalNetworks,
    ) -> Measurement {
        let (failed, failed_long) = self.failed_targets(now);
        let failed_minute = self.failed.count(now, MINUTE).min(failed);
        let answered = self.answered.count(now, SHORT);
        let outcomes = if failed_long > failed { &self.long } else { &self.short };
        let count = |value: u32| Value::Count(u64::from(value));
        let mut peers = self.peers.clone();
        peers.sort_unstable();
        Measurement {
            time,
            service: "host_window",
            detector: INFO.name,
            subject: Subject::Host(source),
            peers,
            first: outcomes.first,
            last: outcomes.last,
            evidence: self.evidence.flows(),
            fields: vec![
                ("source", Value::Address(source)),
                ("local_source", Value::Flag(local.scope(source) == Scope::Local)),
                ("protocol", Value::Text(transport(protocol).into())),
                ("port", Value::Count(u64::from(port))),
                ("style", Value::Text(outcomes.style().into())),
                ("failed_targets_minute", count(failed_minute)),
                ("failed_targets", count(failed)),
                ("failed_targets_long", count(failed_long)),
                ("answered_targets", count(answered)),
                ("open_targets", count(self.open.count(now, LONG))),
                ("tried_targets_minute", count(failed_minute + self.answered.count(now, MINUTE))),
                ("tried_targets", count(failed + answered)),
                ("failed_share", Value::Number(share(&self.failed, &self.answered, now, SHORT))),
                ("failed_share_long", Value::Number(share(&self.failed_long, &self.answered_long, now, LONG))),
                ("seconds", Value::Number(outcomes.last.seconds_since(outcomes.first))),
                ("outside_share", Value::Number(f64::from(self.outside) / f64::from(self.short.failed().max(1)))),
                ("refused", count(outcomes.refused)),
                ("unanswered", count(outcomes.unanswered)),
                ("half_open", count(outcomes.half_open)),
                ("empty", count(outcomes.empty)),
                ("outcomes", Value::Text(outcomes.list(0).into())),
            ],
        }
    }
}

impl Detector for HorizontalScan {
    fn info(&self) -> &'static DetectorInfo {
        &INFO
    }

    fn partition(&self) -> Partition {
        Partition::Actor
    }

    fn observe(&mut self, batch: &[Observed<'_>], found: &mut Found) {
        for observed in batch {
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
        for (key, source) in self.sources.iter_mut() {
            found.measurements.extend(source.left(*key, now_second, now, &self.local));
        }
    }

    fn evicted(&self) -> u64 {
        self.sources.evicted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Shape, at, end, flow};

    fn last_count(found: &Found, name: &str) -> Option<u64> {
        match found.measurements.last()?.get(name)? {
            Value::Count(count) => Some(*count),
            _ => None,
        }
    }

    #[test]
    fn hosts_tried_in_vain_are_counted() {
        let (mut scan, mut found) = (HorizontalScan::new(LocalNetworks::default()), Found::default());
        for host in 1..=60 {
            let knock = flow("10.0.0.1:40000", &format!("198.51.100.{host}:23"), 6, Shape::Unanswered);
            end(&mut scan, &at(knock, 1000.0 + f64::from(host)), &mut found);
        }
        assert!(last_count(&found, "failed_targets") >= Some(48));
        assert_eq!(last_count(&found, "port"), Some(23));
        assert_eq!(found.measurements.last().unwrap().get("outside_share"), Some(&Value::Number(1.0)));
    }

    #[test]
    fn a_monitor_that_reaches_its_hosts_measures_nothing() {
        let (mut scan, mut found) = (HorizontalScan::new(LocalNetworks::default()), Found::default());
        for round in 0..20 {
            for host in 1..=100 {
                let check = flow("10.0.0.1:40000", &format!("10.0.1.{host}:80"), 6, Shape::Conversation);
                end(&mut scan, &at(check, 1000.0 + 60.0 * f64::from(round)), &mut found);
            }
        }
        assert!(found.measurements.is_empty());
    }

    #[test]
    fn pings_that_are_answered_lower_the_share_of_failures() {
        let (mut scan, mut found) = (HorizontalScan::new(LocalNetworks::default()), Found::default());
        for host in 1..=20 {
            let shape = if host % 2 == 0 { Shape::Unanswered } else { Shape::Conversation };
            let mut ping = flow("10.0.0.1:8", &format!("10.0.1.{host}:0"), 1, shape);
            ping.last = ping.start;
            end(&mut scan, &ping, &mut found);
        }
        assert!(last_count(&found, "tried_targets") >= Some(16));
        assert_eq!(found.measurements.last().unwrap().get("style"), Some(&Value::Text("ICMP".into())));
    }

    #[test]
    fn groups_of_hosts_are_no_targets() {
        let (mut scan, mut found) = (HorizontalScan::new(LocalNetworks::default()), Found::default());
        for group in 1..=100 {
            end(
                &mut scan,
                &flow("10.0.0.1:40000", &format!("239.0.0.{group}:5353"), 17, Shape::Unanswered),
                &mut found,
            );
            end(
                &mut scan,
                &flow("10.0.0.1:40000", &format!("10.0.{group}.255:137"), 17, Shape::Unanswered),
                &mut found,
            );
        }
        assert!(found.measurements.is_empty());
    }

    #[test]
    fn a_busy_server_that_answers_strangers_is_not_measured() {
        let (mut scan, mut found) = (HorizontalScan::new(LocalNetworks::default()), Found::default());
        for client in 1..=250 {
            let reply = flow(&format!("198.51.100.{client}:50000"), "10.0.0.2:443", 6, Shape::Backscatter);
            end(&mut scan, &reply, &mut found);
        }
        assert!(found.measurements.is_empty());
    }
}
