//! Guessing passwords, as seen from flows.
//!
//! # What it sees
//! Per source, target and login service: short connections in which both sides said a little and one soon hung up, as a
//! refused login does; how alike they are; how many were hung up by the server. Per source and service: how many targets got
//! such connections. Emits service `login` with `scope: pair` or `scope: source`.
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
use lapwing_flow::{Flow, Moments};
use lapwing_protocol::{LocalNetworks, Observation, Observed, Scope};

use super::second;
use crate::detector::first_packet_from_responder;
use crate::distinct::{Distinct, address_thing};
use crate::evidence::{Evidence, Steps};
use crate::table::Table;
use crate::{Detector, DetectorInfo, Found, Measurement, Partition, SHARDS, Subject, Value};

pub(crate) const INFO: DetectorInfo = DetectorInfo {
    name: "login",
    summary: "short, alike connections to services that ask for a password",
    services: &["login"],
};

/// Source, target and service triples watched at a time, over all shards: 4,096 × at most 1 kB.
const PAIRS: usize = 4_096;

/// Sources watched at a time, over all shards: 2,048 × at most 1 kB.
const SOURCES: usize = 2_048;

/// Attempts this far apart belong to different series.
const WINDOW: u32 = 900;

/// Attempts from which on a measurement is worth a rule's look.
const FLOOR: u32 = 5;

/// How often what grew by less than a step is reported, in seconds.
const SWEEP_SECONDS: i64 = 60;

/// A login session that stays longer, or says more, was let in or is no login.
const MAX_SECONDS: f64 = 60.0;
const MAX_BYTES: u64 = 8_192;

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
    /// Some pair has reached the floor since the last sweep.
    stirred: bool,
    local: LocalNetworks,
    next_sweep: i64,
}

/// Attempts of one source at one service of one target.
#[derive(Debug, Default)]
struct Attempts {
    count: u32,
    server_closed: u32,
    sent: Moments,
    received: Moments,
    seconds: Moments,
    first: Timestamp,
    last: Timestamp,
    /// Half a minute's slots of the last 15 minutes: how many attempts began in each.
    recent: Recent,
    steps: Steps,
    evidence: Evidence,
}

/// Attempts of one source at one service, wherever.
#[derive(Debug, Default)]
struct Spray {
    targets: Distinct,
    attempts: u32,
    first: Timestamp,
    last: Timestamp,
    steps: Steps,
    evidence: Evidence,
    peers: Vec<Address>,
}

/// Counts per half minute over [`WINDOW`].
#[derive(Clone, Copy, Debug, Default)]
struct Recent {
    slots: [u16; SLOTS],
    newest: u32,
}

const SLOT: u32 = 30;
const SLOTS: usize = (WINDOW / SLOT) as usize;

impl Recent {
    fn add(&mut self, second: u32) {
        let slot = second / SLOT;
        if slot > self.newest {
            let passed = (slot - self.newest).min(SLOTS as u32);
            (1..=passed).for_each(|step| self.slots[((slot - passed + step) as usize) % SLOTS] = 0);
            self.newest = slot;
        }
        if self.newest - slot < SLOTS as u32 {
            let count = &mut self.slots[slot as usize % SLOTS];
            *count = count.saturating_add(1);
        }
    }

    /// Attempts in the last `seconds`, rounded up to half minutes.
    fn within(&self, seconds: u32) -> u32 {
        let slots = (seconds.div_ceil(SLOT)).min(SLOTS as u32);
        (0..slots)
            .filter_map(|back| self.newest.checked_sub(back))
            .map(|slot| u32::from(self.slots[slot as usize % SLOTS]))
            .sum()
    }
}

/// The name of the login service on `port`.
fn login_service(port: u16) -> Option<&'static str> {
    SERVICES.binary_search_by_key(&port, |(port, _)| *port).ok().map(|index| SERVICES[index].1)
}

impl Login {
    /// With its share of the caps for one of [`SHARDS`] shards.
    #[must_use]
    pub fn new(local: LocalNetworks) -> Self {
        Self {
            pairs: Table::new(PAIRS / SHARDS),
            sources: Table::new(SOURCES / SHARDS),
            stirred: false,
            local,
            next_sweep: i64::MIN,
        }
    }

    fn ended(&mut self, flow: &Flow, time: Timestamp, found: &mut Found) {
        let port = flow.responder.port;
        let Some(service) = login_service(port).filter(|_| looks_like_an_attempt(flow)) else { return };
        let (source, target) = (flow.originator.address, flow.responder.address);
        let now = second(flow.start);
        let pair = self.pairs.entry((source, target, port));
        pair.add(flow, now);
        self.stirred |= pair.count >= FLOOR;
        if pair.steps.reached(pair.recent.within(WINDOW), FLOOR) {
            found.measurements.push(pair.measurement(source, target, port, service, time, &self.local));
        }
        let spray = self.sources.entry((source, port));
        spray.add(flow, target, now);
        if spray.steps.reached(spray.targets.count(now, WINDOW), 1) {
            found.measurements.push(spray.measurement(source, port, service, now, time, &self.local));
        }
    }
}

fn looks_like_an_attempt(flow: &Flow) -> bool {
    let (orig, resp) = (&flow.orig, &flow.resp);
    flow.protocol == 6
        && !first_packet_from_responder(flow)
        // Begun, and over: closed or reset by either side.
        && orig.flags[1] > 0
        && resp.flags[1] > 0
        && (orig.flags[0] + resp.flags[0] + orig.flags[2] + resp.flags[2]) > 0
        // Both said something: a connection without a word is a scan.
        && orig.payload_packets > 0
        && resp.payload_packets > 0
        && orig.payload_bytes <= MAX_BYTES
        && resp.payload_bytes <= MAX_BYTES
        && flow.duration().as_secs_f64() <= MAX_SECONDS
}

/// Whether the server hung up first, as its letters tell.
fn server_closed(flow: &Flow) -> bool {
    let closing = flow.history.as_str().bytes().find(|letter| matches!(letter, b'f' | b'F' | b'r' | b'R'));
    matches!(closing, Some(b'f' | b'r'))
}

impl Attempts {
    fn add(&mut self, flow: &Flow, now: u32) {
        if self.count > 0 && now.saturating_sub(second(self.last)) > WINDOW {
            *self = Self::default();
        }
        if self.count == 0 {
            (self.first, self.last) = (flow.start, flow.last);
        }
        self.count = self.count.saturating_add(1);
        self.server_closed = self.server_closed.saturating_add(u32::from(server_closed(flow)));
        self.sent.add(flow.orig.payload_bytes as f32);
        self.received.add(flow.resp.payload_bytes as f32);
        self.seconds.add(flow.duration().as_secs_f32());
        (self.first, self.last) = (self.first.min(flow.start), self.last.max(flow.last));
        self.recent.add(now);
        if self.count > 2 {
            self.evidence.note(flow);
        }
    }

    fn measurement(
        &self,
        source: Address,
        target: Address,
        port: u16,
        service: &'static str,
        time: Timestamp,
        local: &LocalNetworks,
    ) -> Measurement {
        let count = |value: u32| Value::Count(u64::from(value));
        let spread = |moments: &Moments| f64::from(moments.deviation()) / f64::from(moments.mean.max(1.0));
        Measurement {
            time,
            service: "login",
            detector: INFO.name,
            subject: Subject::Host(source),
            peers: vec![target],
            first: self.first,
            last: self.last,
            evidence: self.evidence.flows(),
            fields: vec![
                ("scope", Value::Text("pair".into())),
                ("source", Value::Address(source)),
                ("local_source", Value::Flag(local.scope(source) == Scope::Local)),
                ("target", Value::Address(target)),
                ("port", Value::Count(u64::from(port))),
                ("login_service", Value::Text(service.into())),
                ("attempts_minute", count(self.recent.within(60))),
                ("attempts", count(self.recent.within(WINDOW))),
                ("server_closed_share", Value::Number(f64::from(self.server_closed) / f64::from(self.count.max(1)))),
                // Servers delay a refusal: PAM by two seconds, others alike.
                ("seconds_mean", Value::Number(f64::from(self.seconds.mean))),
                ("sent_bytes_mean", Value::Number(f64::from(self.sent.mean))),
                ("received_bytes_mean", Value::Number(f64::from(self.received.mean))),
                // Deviation over mean: refused logins are alike.
                ("sent_spread", Value::Number(spread(&self.sent))),
                ("received_spread", Value::Number(spread(&self.received))),
            ],
        }
    }
}

impl Spray {
    fn add(&mut self, flow: &Flow, target: Address, now: u32) {
        if self.attempts > 0 && now.saturating_sub(second(self.last)) > WINDOW {
            *self = Self::default();
        }
        if self.attempts == 0 {
            (self.first, self.last) = (flow.start, flow.last);
        }
        self.attempts = self.attempts.saturating_add(1);
        (self.first, self.last) = (self.first.min(flow.start), self.last.max(flow.last));
        if self.targets.insert(address_thing(&target), now, WINDOW)
            && self.peers.len() < 8
            && !self.peers.contains(&target)
        {
            self.peers.push(target);
            self.evidence.note(flow);
        }
    }

    fn measurement(
        &self,
        source: Address,
        port: u16,
        service: &'static str,
        now: u32,
        time: Timestamp,
        local: &LocalNetworks,
    ) -> Measurement {
        let targets = self.targets.count(now, WINDOW);
        let mut peers = self.peers.clone();
        peers.sort_unstable();
        Measurement {
            time,
            service: "login",
            detector: INFO.name,
            subject: Subject::Host(source),
            peers,
            first: self.first,
            last: self.last,
            evidence: self.evidence.flows(),
            fields: vec![
                ("scope", Value::Text("source".into())),
                ("source", Value::Address(source)),
                ("local_source", Value::Flag(local.scope(source) == Scope::Local)),
                ("port", Value::Count(u64::from(port))),
                ("login_service", Value::Text(service.into())),
                ("targets", Value::Count(u64::from(targets))),
                ("attempts", Value::Count(u64::from(self.attempts))),
            ],
        }
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
            if let Observation::FlowEnded(flow) = observed.fact {
                self.ended(flow, observed.time, found);
            }
        }
    }

    fn advance(&mut self, now: Timestamp, found: &mut Found) {
        if now.seconds() < self.next_sweep {
            return;
        }
        self.next_sweep = now.seconds().saturating_add(SWEEP_SECONDS);
        if !std::mem::take(&mut self.stirred) {
            return;
        }
        for (&(source, target, port), pair) in self.pairs.iter_mut() {
            let attempts = pair.recent.within(WINDOW);
            let is_recent = second(now).saturating_sub(second(pair.last)) <= WINDOW;
            if let (true, Some(service)) = (is_recent && pair.steps.unreported(attempts, FLOOR), login_service(port)) {
                found.measurements.push(pair.measurement(source, target, port, service, now, &self.local));
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

    #[test]
    fn old_attempts_leave_the_window() {
        let mut recent = Recent::default();
        (0..100).for_each(|second| recent.add(second * 60));
        assert!((14..=16).contains(&recent.within(WINDOW)), "{}", recent.within(WINDOW));
    }
}
