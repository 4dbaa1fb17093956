//! Guessing passwords from many sources, as the target sees it.
//!
//! # What it sees
//! Per target and login service, whoever asks: connections that look like refused logins (see [`Login`](super::Login)), from how many
//! sources. Emits service `login` with `scope: target`.
//!
//! # Why it matters
//! Lists of stolen passwords are tried from many rented hosts, a few from each, below what any of them shows (ATT&CK T1110.004).
//!
//! # False positives
//! A server with many clients that all log in at short intervals; who is let in goes on talking.
//!
//! # References
//! Javed and Paxson 2013, *Detecting Stealthy, Distributed SSH Brute-Forcing*.

use lapwing_capture::Timestamp;
use lapwing_decode::Address;
use lapwing_flow::Flow;
use lapwing_protocol::Observed;

use super::attempts::Spray;
use super::login::{NEEDS, login_service, looks_like_an_attempt};
use super::recent::WINDOW;
use super::second;
use crate::evidence::Steps;
use crate::table::Table;
use crate::{Detector, DetectorInfo, Found, Measurement, Partition, SHARDS, Subject, Value};

pub(crate) const INFO: DetectorInfo = DetectorInfo {
    name: "guessed",
    summary: "short, alike connections of many sources to one login service",
    services: &["login"],
    needs: NEEDS,
};

/// Targets and ports watched at a time, over all shards: 2,048 × at most 2 kB.
const TARGETS: usize = 2_048;

/// Sources from which on a measurement is worth a rule's look.
const FLOOR: u32 = 5;

/// See the module.
#[derive(Debug)]
pub struct Guessed {
    targets: Table<(Address, u16), Guesses>,
}

#[derive(Debug, Default)]
struct Guesses {
    /// Its hosts are those who ask.
    by: Spray,
    attempt_steps: Steps,
}

impl Guessed {
    /// With its share of the cap for one of [`SHARDS`] shards.
    #[must_use]
    pub fn new() -> Self {
        Self { targets: Table::new(TARGETS / SHARDS) }
    }

    fn look(&mut self, flow: &Flow, time: Timestamp, found: &mut Found) {
        let port = flow.responder.port;
        let Some(service) = login_service(port).filter(|service| looks_like_an_attempt(flow, service)) else { return };
        let (source, target) = (flow.originator.address, flow.responder.address);
        let now = second(flow.start);
        let guesses = self.targets.entry((target, port));
        guesses.by.add(flow, source, now);
        let (sources, attempts) = (guesses.by.targets.count(now, WINDOW), guesses.by.series.count);
        let due = guesses.by.steps.reached(sources, FLOOR);
        if guesses.attempt_steps.reached(attempts, FLOOR) && sources >= FLOOR || due {
            found.measurements.push(measurement(&guesses.by, (target, port), service, sources, time));
        }
    }
}

fn measurement(
    by: &Spray,
    (target, port): (Address, u16),
    service: &'static str,
    sources: u32,
    time: Timestamp,
) -> Measurement {
    let mut peers = by.peers.clone();
    peers.sort_unstable();
    let mut fields = vec![
        ("scope", Value::Text("target".into())),
        ("target", Value::Address(target)),
        ("port", Value::Count(u64::from(port))),
        ("login_service", Value::Text(service.into())),
        ("sources", Value::Count(u64::from(sources))),
        ("attempts", Value::Count(u64::from(by.series.count))),
    ];
    fields.extend(by.series.fields());
    Measurement {
        time,
        service: "login",
        detector: INFO.name,
        subject: Subject::Victim(target),
        peers,
        first: by.series.first,
        last: by.series.last,
        evidence: by.evidence.flows(),
        fields,
    }
}

impl Default for Guessed {
    fn default() -> Self {
        Self::new()
    }
}

impl Detector for Guessed {
    fn info(&self) -> &'static DetectorInfo {
        &INFO
    }

    fn partition(&self) -> Partition {
        Partition::Target
    }

    fn observe(&mut self, batch: &[Observed<'_>], found: &mut Found) {
        for observed in batch {
            if let Some(flow) = observed.fact.finished() {
                self.look(flow, observed.time, found);
            }
        }
    }

    fn evicted(&self) -> u64 {
        self.targets.evicted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Shape, at, end, flow};

    fn attempts_from(sources: u32) -> Found {
        let (mut guessed, mut found) = (Guessed::new(), Found::default());
        for attempt in 0..120 {
            let source = format!("198.51.100.{}:{}", 1 + attempt % sources, 40_000 + attempt);
            let try_it = flow(&source, "10.0.0.2:22", 6, Shape::Conversation);
            end(&mut guessed, &at(try_it, 1000.0 + 3.0 * f64::from(attempt)), &mut found);
        }
        found
    }

    #[test]
    fn attempts_of_many_sources_at_one_host_are_counted_together() {
        let found = attempts_from(40);
        let last = found.measurements.last().unwrap();
        assert!(matches!(last.get("sources"), Some(Value::Count(35..=45))));
        assert!(matches!(last.get("attempts"), Some(Value::Count(100..))));
        assert!(matches!(last.subject, Subject::Victim(_)));
    }

    #[test]
    fn a_few_sources_measure_nothing() {
        assert!(attempts_from(4).measurements.is_empty());
    }
}
