//! One host that knocks on many others, at whatever door.
//!
//! # What it sees
//! Per source: how many different hosts got TCP attempts that came to nothing within five minutes, at how many ports; and how many
//! talked, by whatever protocol. Emits service `source_window`.
//!
//! # Why it matters
//! Who changes the port with every host stays below the count of any one port (ATT&CK T1046, T1595.001).
//!
//! # False positives
//! Programs of file-sharing networks try peers that are gone, each at a port of its own; but others answer, by TCP or UDP, and that
//! lowers the share of failures. Not counted: groups, replies whose cause was not seen.
//!
//! # References
//! Jung et al. 2004, *Fast Portscan Detection Using Sequential Hypothesis Testing* (scanners fail mostly, whatever the port).

use lapwing_capture::Timestamp;
use lapwing_decode::Address;
use lapwing_flow::Flow;
use lapwing_protocol::{Fact, LocalNetworks, Need, Observed, Scope};

use super::outcomes::Outcomes;
use super::probe::{Outcome, Style, attempt, pack, probe};
use super::second;
use super::sweep::Sweep;
use crate::distinct::{Distinct, address_thing, share};
use crate::evidence::{Evidence, Steps};
use crate::first_sight::FirstSight;
use crate::table::Table;
use crate::{Detector, DetectorInfo, Found, Measurement, Partition, SHARDS, Subject, Value};

pub(crate) const INFO: DetectorInfo = DetectorInfo {
    name: "scattered-scan",
    summary: "many hosts tried in vain by one host, at whatever port",
    services: &["source_window"],
    needs: &[Need::all(Fact::Packets), Need::all(Fact::Flags)],
};

/// Sources watched at a time, over all shards: 4,096 × at most 4 kB.
const SOURCES: usize = 4_096;

/// Places for sources with one host so far, over all shards: 16 bytes each.
const FIRST_SIGHTS: usize = 16_384;

const SHORT: u32 = 300;

/// Different hosts from which on a measurement is worth a rule's look.
const FLOOR: u32 = 20;

/// See the module.
#[derive(Debug)]
pub struct ScatteredScan {
    sources: Table<Address, Source>,
    first_sights: FirstSight,
    sweep: Sweep,
    local: LocalNetworks,
}

#[derive(Debug, Default)]
struct Source {
    failed: Distinct,
    ports: Distinct,
    answered: Distinct,
    outcomes: Outcomes,
    steps: Steps,
    evidence: Evidence,
    peers: Vec<Address>,
}

impl ScatteredScan {
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
        let Some(probe) = probe(flow).filter(|probe| !matches!(probe.style, Style::Icmp | Style::Protocol)) else {
            return;
        };
        let now = second(flow.start);
        let target = address_thing(&probe.target);
        if probe.outcome == Outcome::Conversation {
            // Who never failed is not watched.
            if let Some(source) = self.sources.get_mut(&probe.source) {
                source.answered.insert(target, now, SHORT);
            }
            return;
        }
        if probe.style == Style::Udp {
            return;
        }
        let source = match self.sources.get_mut(&probe.source) {
            Some(source) => source,
            None => {
                if self.local.scope(probe.target) == Scope::Group {
                    return;
                }
                let how = pack(probe.style, probe.outcome);
                let earlier = self.first_sights.note(probe.source, target, flow.start.nanos(), how);
                let Some(earlier) = earlier.filter(|earlier| earlier.thing != target) else { return };
                let source = self.sources.entry(probe.source);
                source.failed.insert(earlier.thing, second(Timestamp::from_nanos(earlier.nanos)), SHORT);
                source.outcomes.add_earlier(earlier);
                source
            }
        };
        if now.saturating_sub(second(source.outcomes.last)) > SHORT {
            *source = Source::default();
        }
        source.outcomes.add(&probe, flow);
        source.ports.insert(u32::from(probe.port), now, SHORT);
        if source.failed.insert(target, now, SHORT) && source.outcomes.failed() > 2 {
            source.evidence.note(flow);
            if source.peers.len() < 8 && !source.peers.contains(&probe.target) {
                source.peers.push(probe.target);
            }
        }
        let failed = source.failed_targets(now);
        self.sweep.stir_if(failed >= FLOOR);
        if source.steps.reached(failed, FLOOR) {
            found.measurements.push(source.measurement(probe.source, now, time));
        }
    }
}

impl Source {
    /// Different hosts tried in vain: no more than attempts, which are counted one by one.
    fn failed_targets(&self, now: u32) -> u32 {
        self.failed.count(now, SHORT).min(self.outcomes.failed())
    }

    fn measurement(&self, source: Address, now: u32, time: Timestamp) -> Measurement {
        let count = |value: u32| Value::Count(u64::from(value));
        let mut peers = self.peers.clone();
        peers.sort_unstable();
        Measurement {
            time,
            service: "source_window",
            detector: INFO.name,
            subject: Subject::Host(source),
            peers,
            first: self.outcomes.first,
            last: self.outcomes.last,
            evidence: self.evidence.flows(),
            fields: vec![
                ("source", Value::Address(source)),
                ("style", Value::Text(self.outcomes.style().into())),
                ("failed_targets", count(self.failed_targets(now))),
                ("failed_ports", count(self.ports.count(now, SHORT).min(self.outcomes.failed()))),
                ("answered_targets", count(self.answered.count(now, SHORT))),
                ("failed_share", Value::Number(share(&self.failed, &self.answered, now, SHORT))),
                ("seconds", Value::Number(self.outcomes.last.seconds_since(self.outcomes.first))),
                ("outcomes", Value::Text(self.outcomes.list(0).into())),
            ],
        }
    }
}

impl Detector for ScatteredScan {
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
        for (address, source) in self.sources.iter_mut() {
            let last = second(source.outcomes.last);
            let is_recent = second(now).saturating_sub(last) <= SHORT + 60;
            if is_recent && source.steps.unreported(source.failed_targets(last), FLOOR) {
                found.measurements.push(source.measurement(*address, last, now));
            }
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

    fn share_of(found: &Found) -> f64 {
        match found.measurements.last().and_then(|measurement| measurement.get("failed_share")) {
            Some(Value::Number(share)) => *share,
            _ => f64::NAN,
        }
    }

    #[test]
    fn hosts_tried_at_changing_ports_are_counted() {
        let (mut scan, mut found) = (ScatteredScan::new(LocalNetworks::default()), Found::default());
        for host in 1..=200_u32 {
            let knock =
                flow("10.0.0.1:40000", &format!("198.51.100.{host}:{}", 1_000 + 7 * host), 6, Shape::Unanswered);
            end(&mut scan, &at(knock, 1000.0 + f64::from(host) * 0.1), &mut found);
        }
        assert!(matches!(found.measurements.last().unwrap().get("failed_targets"), Some(Value::Count(150..))));
        assert!(matches!(found.measurements.last().unwrap().get("failed_ports"), Some(Value::Count(130..))));
        assert_eq!(share_of(&found), 1.0);
    }

    #[test]
    fn peers_that_answer_by_another_protocol_lower_the_share_of_failures() {
        let (mut scan, mut found) = (ScatteredScan::new(LocalNetworks::default()), Found::default());
        for host in 1..=200_u32 {
            let (protocol, shape) = if host % 2 == 0 { (6, Shape::Unanswered) } else { (17, Shape::Conversation) };
            let peer = flow("10.0.0.1:40000", &format!("198.51.100.{host}:{}", 1_000 + 7 * host), protocol, shape);
            end(&mut scan, &at(peer, 1000.0 + f64::from(host) * 0.1), &mut found);
        }
        assert!((0.4..0.6).contains(&share_of(&found)), "{}", share_of(&found));
    }
}
