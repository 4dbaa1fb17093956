//! What behaviours measure, for signatures to judge.

use std::borrow::Cow;

use lapwing_capture::Timestamp;
use lapwing_decode::Address;

use crate::{EvidenceFlow, Subject};

/// The value of one field of a [`Measurement`].
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A count of things, bytes or seconds.
    Count(u64),
    /// A ratio, rate or score.
    Number(f64),
    /// A word.
    Text(Cow<'static, str>),
    /// An address.
    Address(Address),
    /// A link-layer address.
    Mac([u8; 6]),
    /// Whether something holds.
    Flag(bool),
}

/// Quantities that a behaviour measured about one subject: an event of `logsource: product: lapwing, service: SERVICE`.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// When: capture time.
    pub time: Timestamp,
    /// The Sigma service that its rules name: `host_window`, `pair_window`, `login`, `arp`, ….
    pub service: &'static str,
    /// The behaviour that measured.
    pub detector: &'static str,
    /// About whom.
    pub subject: Subject,
    /// Who else is concerned, at most [`MAX_EVIDENCE`](crate::MAX_EVIDENCE).
    pub peers: Vec<Address>,
    /// Start of the earliest traffic measured.
    pub first: Timestamp,
    /// End of the latest traffic measured.
    pub last: Timestamp,
    /// Flows that show it, at most [`MAX_EVIDENCE`](crate::MAX_EVIDENCE).
    pub evidence: Vec<EvidenceFlow>,
    /// Field names and values, in the order that `docs/` lists them.
    pub fields: Vec<(&'static str, Value)>,
}

impl Measurement {
    /// The value of the field `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(field, _)| *field == name).map(|(_, value)| value)
    }
}
