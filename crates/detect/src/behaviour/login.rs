//! Guessing passwords, as seen from flows.
//!
//! # What it sees
//! Per source, target and login service: short connections in which both sides said a little and one soon hung up, as a
//! refused login does; how alike they are; how much the client had to say and how long that took; how many were hung up by the
//! server. Per source and service: how many targets got such connections. Emits service `login` with `scope: pair` or `scope: source`.
//!
//! # Why it matters
//! Weak and default passwords are how most things are taken over (ATT&CK T1110.001, T1110.003, T1078.001).
//!
//! # False positives
//! Scripts that log in every few seconds, monitors that read a banner, sensors that connect for each message they publish:
//! the last are hung up by the client, a refused login mostly by the server.
//!
//! # References
//! Zeek `protocols/ssh/detect-bruteforcing` (30 in 30 minutes), `protocols/ftp/detect-bruteforcing` (20 in 15 minutes);
//! Hofstede et al. 2014, *SSH Compromise Detection using NetFlow/IPFIX* (flat packets per flow).

use lapwing_capture::Timestamp;
use lapwing_decode::Address;
use lapwing_flow::Flow;
use lapwing_protocol::{Fact, LocalNetworks, Need, Observed, Scope};

use super::attempts::{Attempts, Series, Spray};
use super::recent::WINDOW;
use super::second;
use super::sweep::Sweep;
use crate::detector::first_packet_from_responder;
use crate::table::Table;
use crate::{Detector, DetectorInfo, EvidenceFlow, Found, Measurement, Partition, SHARDS, Subject, Value};

pub(crate) const INFO: DetectorInfo = DetectorInfo {
    name: "login",
    summary: "short, alike connections to services that ask for a password",
    services: &["login"],
    needs: NEEDS,
};

/// What it takes to see an attempt to log in.
pub(super) const NEEDS: &[Need] = &[
    Need::all(Fact::PayloadBytes),
    Need::all(Fact::Flags),
    Need::part(Fact::History, "who hung up first"),
    Need::part(Fact::PayloadPackets, "who was let in, by how much was said"),
];

/// Source, target and service triples watched at a time, over all shards: 4,096 × at most 1 kB.
const PAIRS: usize = 4_096;

/// Sources watched at a time, over all shards: 2,048 × at most 1 kB.
const SOURCES: usize = 2_048;

/// Attempts from which on a measurement is worth a rule's look.
const FLOOR: u32 = 5;

/// A login session that stays longer, or says more, was let in or is no login.
const MAX_SECONDS: f64 = 60.0;
const MAX_BYTES: u64 = 8_192;

/// What an SSH client sends before it can ask to be let in, at the least.
const SSH_KEYS: u64 = 300;

/// Services that ask for a password, by their ports.
const SERVICES: &[(u16, &str)] = &[
    (21, "FTP"),
    (22, "SSH"),
    (23, "Telnet"),
    (110, "POP3"),
    (143, "IMAP"),
    (445, "SMB"),
    (554, "RTSP"),
    (1433, "MS SQL"),
    (1883, "MQTT"),
    (2222, "SSH"),
    (2323, "Telnet"),
    (3306, "MySQL"),
    (3389, "RDP"),
    (5432, "PostgreSQL"),
    (5900, "VNC"),
    (5901, "VNC"),
    (6379, "Redis"),
    (8883, "MQTT"),
];

/// See the module.
#[derive(Debug)]
pub struct Login {
    pairs: Table<(Address, Address, u16), Attempts>,
    sources: Table<(Address, u16), Spray>,
    sweep: Sweep,
    local: LocalNetworks,
}

/// The name of the login service on `port`.
pub(super) fn login_service(port: u16) -> Option<&'static str> {
    SERVICES.binary_search_by_key(&port, |(port, _)| *port).ok().map(|index| SERVICES[index].1)
}

impl Login {
    /// With its share of the caps for one of [`SHARDS`] shards.
    #[must_use]
    pub fn new(local: LocalNetworks) -> Self {
        Self { pairs: Table::new(PAIRS / SHARDS), sources: Table::new(SOURCES / SHARDS), sweep: Sweep::new(), local }
    }

    fn look(&mut self, flow: &Flow, time: Timestamp, found: &mut Found) {
        let port = flow.responder.port;
        let Some(service) = login_service(port).filter(|service| looks_like_an_attempt(flow, service)) else { return };
        let (source, target) = (flow.originator.address, flow.responder.address);
        let now = second(flow.start);
        let pair = self.pairs.entry((source, target, port));
        pair.add(flow, now);
        self.sweep.stir_if(pair.series.count >= FLOOR);
        if pair.steps.reached(pair.recent.within(WINDOW), FLOOR) {
            found.measurements.push(of_pair(pair, (source, target, port), service, time, &self.local));
        }
        let spray = self.sources.entry((source, port));
        spray.add(flow, target, now);
        if spray.steps.reached(spray.targets.count(now, WINDOW), 1) {
            found.measurements.push(of_source(spray, (source, port), service, now, time, &self.local));
        }
    }
}

/// Whether a connection looks like a login that was refused, or was all there is to it.
pub(super) fn looks_like_an_attempt(flow: &Flow, service: &str) -> bool {
    let (orig, resp) = (&flow.orig, &flow.resp);
    flow.protocol == 6
        && !first_packet_from_responder(flow)
        // Begun, and over: closed or reset by either side.
        && orig.flags[1] > 0
        && resp.flags[1] > 0
        && (orig.flags[0] + resp.flags[0] + orig.flags[2] + resp.flags[2]) > 0
        // Both said something: a connection without a word is a scan.
        && orig.payload_packets > 0
        // Before an SSH client can name anybody it has to send its version and its keys: with less it read a banner.
        && (service != "SSH" || orig.payload_bytes >= SSH_KEYS)
        && resp.payload_packets > 0
        && orig.payload_bytes <= MAX_BYTES
        && resp.payload_bytes <= MAX_BYTES
        && flow.duration().as_secs_f64() <= MAX_SECONDS
}

fn of_pair(
    pair: &Attempts,
    (source, target, port): (Address, Address, u16),
    service: &'static str,
    time: Timestamp,
    local: &LocalNetworks,
) -> Measurement {
    let count = |value: u32| Value::Count(u64::from(value));
    let mut fields = vec![
        ("scope", Value::Text("pair".into())),
        ("source", Value::Address(source)),
        ("local_source", Value::Flag(local.scope(source) == Scope::Local)),
        ("target", Value::Address(target)),
        ("port", Value::Count(u64::from(port))),
        ("login_service", Value::Text(service.into())),
        ("attempts_minute", count(pair.recent.within(60))),
        ("attempts", count(pair.recent.within(WINDOW))),
    ];
    fields.extend(pair.series.fields());
    measurement(&pair.series, source, vec![target], pair.evidence.flows(), time, fields)
}

fn of_source(
    spray: &Spray,
    (source, port): (Address, u16),
    service: &'static str,
    now: u32,
    time: Timestamp,
    local: &LocalNetworks,
) -> Measurement {
    let mut peers = spray.peers.clone();
    peers.sort_unstable();
    let mut fields = vec![
        ("scope", Value::Text("source".into())),
        ("source", Value::Address(source)),
        ("local_source", Value::Flag(local.scope(source) == Scope::Local)),
        ("port", Value::Count(u64::from(port))),
        ("login_service", Value::Text(service.into())),
        ("targets", Value::Count(u64::from(spray.targets.count(now, WINDOW)))),
        ("attempts", Value::Count(u64::from(spray.series.count))),
    ];
    fields.extend(spray.series.fields());
    measurement(&spray.series, source, peers, spray.evidence.flows(), time, fields)
}

fn measurement(
    series: &Series,
    source: Address,
    peers: Vec<Address>,
    evidence: Vec<EvidenceFlow>,
    time: Timestamp,
    fields: Vec<(&'static str, Value)>,
) -> Measurement {
    Measurement {
        time,
        service: "login",
        detector: INFO.name,
        subject: Subject::Host(source),
        peers,
        first: series.first,
        last: series.last,
        evidence,
        fields,
    }
}

impl Detector for Login {
    fn info(&self) -> &'static DetectorInfo {
        &INFO
    }

    fn partition(&self) -> Partition {
        Partition::Actor
    }

    fn observe(&mut self, batch: &[Observed<'_>], found: &mut Found) {
        for observed in batch {
            if let Some(flow) = observed.fact.finished() {
                self.look(flow, observed.time, found);
            }
        }
    }

    fn advance(&mut self, now: Timestamp, found: &mut Found) {
        if !self.sweep.is_due(now) {
            return;
        }
        for (&(source, target, port), pair) in self.pairs.iter_mut() {
            let attempts = pair.recent.within(WINDOW);
            let is_recent = second(now).saturating_sub(second(pair.series.last)) <= WINDOW;
            if let (true, Some(service)) = (is_recent && pair.steps.unreported(attempts, FLOOR), login_service(port)) {
                found.measurements.push(of_pair(pair, (source, target, port), service, now, &self.local));
            }
        }
    }

    fn evicted(&self) -> u64 {
        self.pairs.evicted() + self.sources.evicted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Shape, at, end, flow};

    fn count(found: &Found, name: &str) -> u64 {
        match found.measurements.last().and_then(|measurement| measurement.get(name)) {
            Some(Value::Count(count)) => *count,
            _ => 0,
        }
    }

    #[test]
    fn services_are_sorted_by_port() {
        assert!(SERVICES.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(login_service(1883), Some("MQTT"));
        assert_eq!(login_service(80), None);
    }

    #[test]
    fn attempts_at_one_login_are_counted() {
        let (mut login, mut found) = (Login::new(LocalNetworks::default()), Found::default());
        for attempt in 0..40 {
            let try_it = flow(&format!("10.0.0.1:{}", 40_000 + attempt), "10.0.0.2:22", 6, Shape::Conversation);
            end(&mut login, &at(try_it, 1000.0 + 3.0 * f64::from(attempt)), &mut found);
        }
        assert!(count(&found, "attempts") >= 32);
        assert!((8..=30).contains(&count(&found, "attempts_minute")));
    }

    #[test]
    fn attempts_at_many_hosts_are_counted_as_a_spray() {
        let (mut login, mut found) = (Login::new(LocalNetworks::default()), Found::default());
        for host in 1..=30 {
            let try_it = flow("10.0.0.1:40000", &format!("198.51.100.{host}:23"), 6, Shape::Conversation);
            end(&mut login, &at(try_it, 1000.0 + f64::from(host)), &mut found);
        }
        assert!(count(&found, "targets") >= 24);
    }

    #[test]
    fn a_session_that_stays_is_no_attempt() {
        let (mut login, mut found) = (Login::new(LocalNetworks::default()), Found::default());
        for attempt in 0..40 {
            let mut session = flow(&format!("10.0.0.1:{}", 40_000 + attempt), "10.0.0.2:22", 6, Shape::Conversation);
            session.last = Timestamp::from_seconds(1600);
            end(&mut login, &session, &mut found);
        }
        assert!(found.measurements.is_empty());
    }
}
