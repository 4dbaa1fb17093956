//! The alert: what a person is told.

use std::cmp::Ordering;
use std::net::IpAddr;
use std::time::Duration;

use lapwing_capture::Timestamp;
use lapwing_detect::{Detection, EvidenceFlow, SIGNATURE, Severity, Subject};
use lapwing_flow::Endpoint;
use lapwing_protocol::{CommunityId, Uid};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Place;

/// What a person is told: detections of one kind about one subject, merged.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Alert {
    /// Hash of kind, subject and first seen: the same whenever and wherever the same traffic is looked at.
    pub id: String,
    /// Rises with every change after the alert opened; 1 is the first.
    pub revision: u32,
    /// What was found, from one registry of kinds.
    pub kind: String,
    /// What a person reads first.
    pub title: String,
    /// How bad it is if it is right.
    #[serde(with = "severity_name")]
    #[schemars(with = "SeverityName")]
    pub severity: Severity,
    /// How sure: 0 to 1.
    pub confidence: f32,
    /// Who claims it, sorted.
    pub detectors: Vec<String>,
    /// The signatures that decided, by id, sorted.
    pub rules: Vec<String>,
    /// The host or device it is about: the one that acts where that is known, else the one that suffers.
    pub device: String,
    /// The device is the one that suffers, by many or by sources that may be forged: nobody is accused. Absent where it acts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suffers: bool,
    /// The other hosts concerned, sorted; at most 16.
    pub peers: Vec<String>,
    /// Start of the traffic that opened it.
    #[serde(with = "crate::time::text")]
    #[schemars(with = "DateTime")]
    pub first_seen: Timestamp,
    /// End of the latest traffic it rests on.
    #[serde(with = "crate::time::text")]
    #[schemars(with = "DateTime")]
    pub last_seen: Timestamp,
    /// It rests on traffic that never was: `monitor --simulate`. Its title says so too. Absent where it is not so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub simulated: bool,
    /// Where device and peers are, as far as a database (`[geo]` of the settings) tells.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<Place>,
    /// Detections merged into it.
    pub count: u64,
    /// ATT&CK techniques, sorted.
    pub attack: Vec<String>,
    /// What happened, with the numbers that decided.
    pub explanation: String,
    /// The quantities that decided, against their thresholds.
    pub measured: Vec<Measure>,
    /// Of a learned model: what made the score, the largest first. Absent where nothing learned decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contributions: Vec<Contribution>,
    /// Flows it rests on, oldest first; at most 16.
    pub evidence: Vec<Evidence>,
    /// `open`, `acknowledged` or `closed`.
    pub status: Status,
    /// Who set the status; absent while nobody has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_by: Option<String>,
    /// When it was set.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::time::optional")]
    #[schemars(with = "Option<DateTime>")]
    pub status_at: Option<Timestamp>,
    /// The suppression that hides it, if one does.
    pub suppressed_by: Option<String>,
    /// What detections must share to be merged into it, besides the subject.
    #[serde(skip)]
    pub(crate) merged_kind: String,
    /// Confidence of the detection that the explanation is from.
    #[serde(skip)]
    pub(crate) told_confidence: f32,
    /// Rule of that detection, and the largest quantity that it measured.
    #[serde(skip)]
    pub(crate) told_rule: Option<String>,
    #[serde(skip)]
    pub(crate) told_size: f64,
    /// When it opened: the time of its first detection, which may be long after the traffic that it rests on began.
    #[serde(skip)]
    pub(crate) opened: Timestamp,
    /// Time of its latest detection.
    #[serde(skip)]
    pub(crate) latest: Timestamp,
    /// What was missed while it was raised, the worst of it.
    #[serde(skip)]
    pub(crate) missed: Option<Missed>,
    /// The revision that was handed out last; 0 is none.
    #[serde(skip)]
    pub(crate) taken: u32,
    /// What it is about, as detectors name it; `Network` in an alert that was read back.
    #[serde(skip, default = "unknown_subject")]
    pub subject: Subject,
    /// The evidence as it can be found in a capture; empty in an alert that was read back.
    #[serde(skip)]
    pub flows: Vec<EvidenceFlow>,
}

/// What was not seen of the traffic that alerts rest on.
#[derive(Clone, Debug, PartialEq)]
pub struct Missed {
    /// How much of the traffic, above 0 and at most 1: confidence is lowered by it.
    pub share: f32,
    /// Why, as a clause.
    pub reason: String,
}

/// Where an alert stands in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Nobody has looked at it.
    #[default]
    Open,
    /// Somebody is at it.
    Acknowledged,
    /// Its window has ended, or it is dealt with.
    Closed,
}

impl Status {
    /// Its name in outputs and filters.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Closed => "closed",
        }
    }

    /// The status of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Open, Self::Acknowledged, Self::Closed].into_iter().find(|status| status.as_str() == name)
    }
}

/// A measured quantity against the threshold it crossed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Measure {
    /// The quantity, with its unit where it has one.
    pub name: String,
    /// What was measured.
    pub value: f64,
    /// From which value on it counts.
    pub threshold: f64,
}

/// What one feature has to do with a learned model's score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Contribution {
    /// What was measured, in words.
    pub feature: String,
    /// What it was, with its unit.
    pub value: String,
    /// What it usually is.
    pub usual: String,
    /// Its part of what the score is above the usual one, in the unit of the score.
    pub amount: f32,
    /// The nearest value with which it would not have alerted, all else equal; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enough: Option<String>,
}

/// A flow that an alert rests on, with the names by which other tools know it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// The flow's uid, as in `lapwing flows`.
    pub uid: String,
    /// Community ID v1.
    pub community_id: String,
    /// Time of its first packet.
    #[serde(with = "crate::time::text")]
    #[schemars(with = "DateTime")]
    pub start: Timestamp,
    /// Transport protocol by name, or `ip-NUMBER`.
    pub protocol: String,
    /// Who sent first.
    pub originator: String,
    /// Its port, or ICMP message type.
    pub originator_port: u16,
    /// Who answered.
    pub responder: String,
    /// Its port, or ICMP counterpart type or code.
    pub responder_port: u16,
    /// Packets of both directions, as far as it had come when the alert was revised last; absent where nothing counted them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packets: Option<u64>,
    /// IP bytes of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// Evidence flows and peers that an alert names at most.
pub(crate) const MAX_NAMED: usize = lapwing_detect::MAX_EVIDENCE;

/// What the title of an alert begins with that rests on simulated traffic: every list, file and receiver shows titles.
pub const SIMULATED: &str = "Simulated: ";

impl Alert {
    /// The alert that a detection opens.
    pub(crate) fn open(detection: &Detection, simulated: bool) -> Self {
        let mut alert = Self {
            id: identity(&merged_kind(detection), detection.subject, detection.first),
            revision: 0,
            kind: detection.kind.to_string(),
            title: String::new(),
            severity: detection.severity,
            confidence: 0.0,
            detectors: Vec::new(),
            rules: Vec::new(),
            device: device(detection.subject),
            suffers: false,
            peers: Vec::new(),
            simulated,
            places: Vec::new(),
            first_seen: detection.first,
            last_seen: detection.last,
            count: 0,
            attack: Vec::new(),
            explanation: String::new(),
            measured: Vec::new(),
            contributions: Vec::new(),
            evidence: Vec::new(),
            status: Status::Open,
            status_by: None,
            status_at: None,
            suppressed_by: None,
            merged_kind: merged_kind(detection),
            told_confidence: 0.0,
            told_rule: None,
            told_size: 0.0,
            opened: detection.time,
            latest: detection.time,
            missed: None,
            taken: 0,
            subject: detection.subject,
            flows: Vec::new(),
        };
        alert.take_in(detection);
        alert
    }

    /// Merges one more detection of the same kind about the same subject: what is worst, surest and largest stands.
    pub(crate) fn take_in(&mut self, detection: &Detection) {
        self.revision += 1;
        self.count += 1;
        self.latest = self.latest.max(detection.time);
        self.suffers = matches!(detection.subject, Subject::Victim(_));
        if self.count == 1 || self.says_less_than(detection) {
            self.told_confidence = detection.confidence;
            self.told_rule.clone_from(&detection.rule);
            self.told_size = size(detection);
            self.severity = detection.severity;
            self.title =
                if self.simulated { format!("{SIMULATED}{}", detection.title) } else { detection.title.to_string() };
            self.explanation.clone_from(&detection.explanation);
            self.measured = detection.measured.iter().map(Measure::from).collect();
            self.contributions = detection.contributions.iter().map(Contribution::from).collect();
        }
        self.confidence = self.confidence.max(detection.confidence);
        self.last_seen = self.last_seen.max(detection.last);
        insert_sorted(&mut self.detectors, detection.detector);
        if let Some(rule) = &detection.rule {
            insert_sorted(&mut self.rules, rule);
        }
        for technique in &detection.techniques {
            insert_sorted(&mut self.attack, technique);
        }
        let target = match detection.subject {
            Subject::HostPair { target, .. } => Some(target),
            _ => None,
        };
        for peer in target.iter().chain(&detection.peers) {
            if self.peers.len() < MAX_NAMED {
                insert_sorted(&mut self.peers, &peer.ip().to_string());
            }
        }
        for flow in &detection.evidence {
            if self.evidence.len() < MAX_NAMED && !self.flows.iter().any(|known| known.uid == flow.uid) {
                self.flows.push(*flow);
                self.evidence.push(Evidence::from(flow));
            } else if let Some(known) = self.flows.iter_mut().find(|known| known.uid == flow.uid) {
                known.last = known.last.max(flow.last);
                known.last_frame = known.last_frame.max(flow.last_frame);
                for side in 0..2 {
                    known.packets[side] = known.packets[side].max(flow.packets[side]);
                    known.bytes[side] = known.bytes[side].max(flow.bytes[side]);
                }
                let uid = Uid(known.uid).to_string();
                if let Some(named) = self.evidence.iter_mut().find(|named| named.uid == uid) {
                    (named.packets, named.bytes) = counted(known);
                }
            }
        }
    }

    /// Readies an alert that was read back to go on: what was not kept is taken from what was.
    pub(crate) fn recall(&mut self, longest: Duration) {
        self.status = Status::Open;
        self.taken = self.revision;
        self.told_confidence = self.confidence;
        self.told_rule = if let [rule] = self.rules.as_slice() { Some(rule.clone()) } else { None };
        self.told_size = self.measured.iter().map(|measure| measure.value).fold(0.0, f64::max);
        self.latest = self.last_seen;
        // What began long before it was noticed opened later than it began.
        self.opened = if self.last_seen < self.first_seen.plus(longest) { self.first_seen } else { self.last_seen };
    }

    /// Whether a detection is of the kind and about the subject of an alert that was read back: its id says.
    pub(crate) fn is_about(&self, detection: &Detection) -> bool {
        self.kind == *detection.kind && self.id == identity(&merged_kind(detection), detection.subject, self.first_seen)
    }

    /// Goes on with an alert that was read back, by a detection that it is about.
    pub(crate) fn go_on(self, detection: &Detection) -> Self {
        let mut alert = Self { subject: detection.subject, merged_kind: merged_kind(detection), ..self };
        alert.take_in(detection);
        alert
    }

    /// Whether `detection` should explain the alert from now on: what is told is the worst; of the equally bad the surest; of
    /// the equally sure by one rule the one that measured most, which is the one that saw the whole; else the latest.
    fn says_less_than(&self, detection: &Detection) -> bool {
        let worse = detection.severity.cmp(&self.severity);
        let surer = detection.confidence.total_cmp(&self.told_confidence);
        match worse.then(surer) {
            Ordering::Equal => detection.rule != self.told_rule || size(detection) >= self.told_size,
            order => order.is_gt(),
        }
    }

    /// Ends it because its window has.
    pub(crate) fn close(&mut self) {
        self.revision += 1;
        self.status = Status::Closed;
    }

    /// Notes what was missed while a detection was made; the worst stands.
    pub(crate) fn note_missed(&mut self, missed: &Missed) {
        if self.missed.as_ref().is_none_or(|known| known.share < missed.share) {
            self.missed = Some(missed.clone());
        }
    }

    /// A copy to hand out; it knows whether it is the first, and is less sure by what was missed.
    pub(crate) fn take(&mut self) -> Self {
        let mut copy = self.clone();
        if let Some(Missed { share, reason }) = &self.missed {
            copy.confidence *= 1.0 - share;
            copy.explanation = format!("{}; less sure, for {reason}", self.explanation);
        }
        self.taken = self.revision;
        copy
    }

    /// Of an alert that was taken live: whether no revision of it was before.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.taken == 0
    }
}

/// The largest of the quantities that decided: the counts that say how much was seen, where a rate or share is among them.
fn size(detection: &Detection) -> f64 {
    detection.measured.iter().map(|measured| measured.value).fold(0.0, f64::max)
}

impl From<&lapwing_detect::Measured> for Measure {
    fn from(measured: &lapwing_detect::Measured) -> Self {
        Self { name: measured.name.clone(), value: measured.value, threshold: measured.threshold }
    }
}

impl From<&lapwing_detect::Contribution> for Contribution {
    fn from(contribution: &lapwing_detect::Contribution) -> Self {
        let lapwing_detect::Contribution { feature, value, usual, amount, enough } = contribution.clone();
        Self { feature: feature.to_owned(), value, usual, amount, enough }
    }
}

impl Evidence {
    /// Both ends of the flow and its IP protocol number, as it can be found again in a capture; `None` for what no flow of ours is
    /// called.
    #[must_use]
    pub fn ends(&self) -> Option<(Endpoint, Endpoint, u8)> {
        let end = |address: &str, port| {
            let address: IpAddr = address.parse().ok()?;
            Some(Endpoint { address: address.into(), port })
        };
        let protocol = (0..=u8::MAX).find(|number| protocol_name(*number) == self.protocol)?;
        let originator = end(&self.originator, self.originator_port)?;
        Some((originator, end(&self.responder, self.responder_port)?, protocol))
    }
}

impl From<&EvidenceFlow> for Evidence {
    fn from(flow: &EvidenceFlow) -> Self {
        let Endpoint { address: originator, port: originator_port } = flow.originator;
        let Endpoint { address: responder, port: responder_port } = flow.responder;
        let (packets, bytes) = counted(flow);
        Self {
            uid: Uid(flow.uid).to_string(),
            community_id: CommunityId::of(flow.protocol, flow.originator, flow.responder, flow.one_way, 0).to_string(),
            start: flow.start,
            protocol: protocol_name(flow.protocol),
            originator: originator.ip().to_string(),
            originator_port,
            responder: responder.ip().to_string(),
            responder_port,
            packets,
            bytes,
        }
    }
}

/// Packets and IP bytes of both directions. A flow without packets is of a log that does not count them.
fn counted(flow: &EvidenceFlow) -> (Option<u64>, Option<u64>) {
    let sum = |[one, other]: [u64; 2]| Some(one.saturating_add(other)).filter(|sum| *sum > 0);
    sum(flow.packets).map_or((None, None), |packets| (Some(packets), sum(flow.bytes)))
}

/// The kind; for users' rules that name none, the rule too: two rules have nothing in common but that somebody wrote them.
pub(crate) fn merged_kind(detection: &Detection) -> String {
    match &detection.rule {
        Some(rule) if detection.kind == SIGNATURE => format!("{} {rule}", detection.kind),
        _ => detection.kind.to_string(),
    }
}

/// The first 64 bits of SHA-256 over kind, subject and first seen in microseconds, in hexadecimal.
fn identity(kind: &str, subject: Subject, first: Timestamp) -> String {
    let digest = Sha256::digest(format!("{kind}\n{subject}\n{}", first.micros()));
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn device(subject: Subject) -> String {
    match subject {
        Subject::HostPair { source, .. } => source.ip().to_string(),
        Subject::Host(host) | Subject::Victim(host) => host.ip().to_string(),
        Subject::Device(_) | Subject::Network => subject.to_string(),
    }
}

fn insert_sorted(list: &mut Vec<String>, text: &str) {
    if let Err(place) = list.binary_search_by(|known| known.as_str().cmp(text)) {
        list.insert(place, text.to_owned());
    }
}

fn protocol_name(protocol: u8) -> String {
    match protocol {
        1 => "icmp".to_owned(),
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        58 => "icmp6".to_owned(),
        132 => "sctp".to_owned(),
        other => format!("ip-{other}"),
    }
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes the severities' names in the JSON schema")]
enum SeverityName {
    Informational,
    Low,
    Medium,
    High,
    Critical,
}

/// RFC 3339 in UTC with microseconds.
#[derive(JsonSchema)]
#[schemars(transparent)]
struct DateTime(#[expect(dead_code, reason = "describes times in the JSON schema")] String);

mod severity_name {
    use lapwing_detect::Severity;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
    pub(super) fn serialize<S: Serializer>(severity: &Severity, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(severity.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Severity, D::Error> {
        let name = String::deserialize(deserializer)?;
        Severity::from_name(&name).ok_or_else(|| D::Error::custom(format!("'{name}' is not a severity")))
    }
}

fn unknown_subject() -> Subject {
    Subject::Network
}

#[cfg(test)]
mod tests {
    use lapwing_decode::Address;
    use lapwing_detect::KINDS;

    use super::*;

    #[test]
    fn flows_say_how_far_they_had_come_when_the_alert_was_revised() {
        let subject = Subject::Host(Address::v4([192, 168, 0, 7]));
        let detection = |packets: u64| {
            let mut detection = Detection::new(&KINDS[0], subject, "test", Timestamp::from_micros(1_000));
            let flow = EvidenceFlow::from(&lapwing_flow::Flow { uid: 7, ..Default::default() });
            detection.evidence.push(EvidenceFlow { packets: [packets, 1], bytes: [packets * 40, 40], ..flow });
            detection
        };
        let mut alert = Alert::open(&detection(3), false);
        alert.take_in(&detection(5));
        alert.take_in(&detection(4));
        assert_eq!((alert.evidence[0].packets, alert.evidence[0].bytes), (Some(6), Some(240)));
        let uncounted = EvidenceFlow { packets: [0, 0], bytes: [0, 0], ..alert.flows[0] };
        assert_eq!(Evidence::from(&uncounted).packets, None);
    }

    #[test]
    fn an_alert_reads_back_as_it_was_written() {
        let subject = Subject::Host(Address::v4([192, 168, 0, 7]));
        let mut detection = Detection::new(&KINDS[0], subject, "test", Timestamp::from_micros(1_700_000_000_000_001));
        detection.evidence.push(EvidenceFlow::from(&lapwing_flow::Flow { uid: 7, ..Default::default() }));
        let mut alert = Alert::open(&detection, false);
        alert.status = Status::Acknowledged;
        alert.status_by = Some("kim".to_owned());
        alert.status_at = Some(Timestamp::from_seconds(1_700_000_100));
        let written = serde_json::to_string(&alert).unwrap();
        let read: Alert = serde_json::from_str(&written).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), written);
        assert_eq!(read.first_seen, alert.first_seen);
    }
}
