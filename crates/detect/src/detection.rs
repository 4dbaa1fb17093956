//! What a detector claims.

use std::borrow::Cow;
use std::fmt;

use lapwing_capture::Timestamp;
use lapwing_decode::Address;
use lapwing_flow::{Endpoint, Flow};

use crate::{KindInfo, Severity};

/// Evidence flows and peers that one detection names at most.
pub const MAX_EVIDENCE: usize = 16;

/// What a detection is about. Two detections of one kind about one subject belong to one alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A host that acts.
    Host(Address),
    /// A host acted upon by many, or by sources that may be forged: nobody is accused.
    Victim(Address),
    /// A device known by its link-layer address.
    Device([u8; 6]),
    /// What one host does to another.
    HostPair {
        /// Who acts.
        source: Address,
        /// Upon whom.
        target: Address,
    },
    /// The network as a whole.
    Network,
}

impl fmt::Display for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(address) | Self::Victim(address) => write!(formatter, "{}", address.ip()),
            Self::Device([a, b, c, d, e, f]) => write!(formatter, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}"),
            Self::HostPair { source, target } => write!(formatter, "{} > {}", source.ip(), target.ip()),
            Self::Network => formatter.write_str("network"),
        }
    }
}

/// A flow that a detection rests on: enough to find it in the flow log and to cut its packets out of the capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EvidenceFlow {
    /// Time of its first packet.
    pub start: Timestamp,
    /// Time of the last packet seen when it was noted.
    pub last: Timestamp,
    /// Its uid.
    pub uid: u64,
    /// Who sent first, by Zeek's rules.
    pub originator: Endpoint,
    /// Who answered.
    pub responder: Endpoint,
    /// IP protocol number.
    pub protocol: u8,
    /// An ICMP flow whose message type has no counterpart.
    pub one_way: bool,
    /// Frame number of its first packet.
    pub first_frame: u64,
    /// Frame number of the last packet seen when it was noted.
    pub last_frame: u64,
    /// Packets from originator and responder when it was noted.
    pub packets: [u64; 2],
    /// Their IP bytes.
    pub bytes: [u64; 2],
}

impl From<&Flow> for EvidenceFlow {
    fn from(flow: &Flow) -> Self {
        Self {
            start: flow.start,
            last: flow.last,
            uid: flow.uid,
            originator: flow.originator,
            responder: flow.responder,
            protocol: flow.protocol,
            one_way: flow.one_way,
            first_frame: flow.first_frame,
            last_frame: flow.last_frame,
            packets: [flow.orig.packets, flow.resp.packets],
            bytes: [flow.orig.ip_bytes, flow.resp.ip_bytes],
        }
    }
}

/// A measured quantity against the threshold it crossed.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// The quantity's name, with its unit where it has one: `failed_ports`, `packets_per_second`.
    pub name: String,
    /// What was measured.
    pub value: f64,
    /// From which value on it counts.
    pub threshold: f64,
}

/// What one feature has to do with a learned model's score.
#[derive(Clone, Debug, PartialEq)]
pub struct Contribution {
    /// What was measured, in words.
    pub feature: &'static str,
    /// What it was, with its unit.
    pub value: String,
    /// What it is in the usual row.
    pub usual: String,
    /// Its part of what the score is above that of the usual row, in the unit of the score.
    pub amount: f32,
    /// The nearest value of it with which the row would not have alerted, all else equal, if there is one.
    pub enough: Option<String>,
}

/// One detector's claim.
#[derive(Clone, Debug, PartialEq)]
pub struct Detection {
    /// When it was made: capture time.
    pub time: Timestamp,
    /// What it claims; a name of [`KINDS`](crate::KINDS) or a user rule's own.
    pub kind: Cow<'static, str>,
    /// What a person reads first.
    pub title: Cow<'static, str>,
    /// About whom.
    pub subject: Subject,
    /// Who made it: a name of the detector registry.
    pub detector: &'static str,
    /// The deciding rule's id (its name where it has none), for detections that a signature made.
    pub rule: Option<String>,
    /// How bad.
    pub severity: Severity,
    /// Calibrated probability that the claim is right, 0 to 1; for thresholds on measured quantities the rule's word.
    pub confidence: f32,
    /// The detector's raw score, where it has one (for a model: higher is more unusual).
    pub score: Option<f32>,
    /// ATT&CK techniques, sorted.
    pub techniques: Vec<Cow<'static, str>>,
    /// The other hosts concerned, sorted, at most [`MAX_EVIDENCE`].
    pub peers: Vec<Address>,
    /// Start of the earliest traffic it rests on.
    pub first: Timestamp,
    /// End of the latest traffic it rests on.
    pub last: Timestamp,
    /// Flows it rests on, in order of their start, at most [`MAX_EVIDENCE`].
    pub evidence: Vec<EvidenceFlow>,
    /// One or two sentences with the numbers that decided.
    pub explanation: String,
    /// The quantities that decided, against their thresholds.
    pub measured: Vec<Measured>,
    /// Of a learned model: what made the score, the largest first.
    pub contributions: Vec<Contribution>,
}

impl Detection {
    /// A claim of `kind` with the registry's title, severity and techniques; everything else is the caller's to fill.
    #[must_use]
    pub fn new(kind: &'static KindInfo, subject: Subject, detector: &'static str, time: Timestamp) -> Self {
        Self {
            time,
            kind: Cow::Borrowed(kind.name),
            title: Cow::Borrowed(kind.title),
            subject,
            detector,
            rule: None,
            severity: kind.severity,
            confidence: 0.5,
            score: None,
            techniques: kind.techniques.iter().map(|&technique| Cow::Borrowed(technique)).collect(),
            peers: Vec::new(),
            first: time,
            last: time,
            evidence: Vec::new(),
            explanation: String::new(),
            measured: Vec::new(),
            contributions: Vec::new(),
        }
    }
}
