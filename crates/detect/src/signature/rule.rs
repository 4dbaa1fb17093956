//! What a rule says beyond its conditions, and the detection that it makes.

use std::borrow::Cow;
use std::net::IpAddr;

use lapwing_capture::Timestamp;
use rsigma_eval::{CorrelationBody, Event};
use rsigma_parser::{Detection as Selection, Detections, Level, Modifier, SigmaValue};
use serde::Deserialize;

use super::SIGNATURES;
use super::event::Judged;
use super::explain::Joined;
use crate::{Detection, KindInfo, Measured, SIGNATURE, Severity, Subject, kind_info};

/// The `lapwing:` block of a rule.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Extra {
    /// What its detections are called; a registered kind or a name of its own.
    pub(super) kind: Option<String>,
    /// A sentence with `{field}`, `{field|form}`, `{field|one|many}` and `{field.threshold}`.
    pub(super) explanation: Option<String>,
    /// Probability that a match is right, 0 to 1.
    pub(super) confidence: Option<f32>,
}

/// A number that a field must reach.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Threshold {
    pub(super) field: String,
    pub(super) value: f64,
}

/// A loaded rule's own words.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    /// Its place in the order of loading: detections of one event come in this order.
    pub(super) order: usize,
    pub(super) id: String,
    pub(super) title: String,
    pub(super) level: Option<Level>,
    pub(super) tags: Vec<String>,
    pub(super) extra: Extra,
    pub(super) thresholds: Vec<Threshold>,
    /// The fields that its selections ask for.
    pub(super) mentions: Vec<String>,
    /// What a correlation counts.
    pub(super) joined: Option<Joined>,
    /// Its matches are for a correlation alone.
    pub(super) only_feeds: bool,
}

impl Rule {
    /// The registered kind of its detections, or the kind of signatures.
    pub(super) fn kind(&self) -> (Cow<'static, str>, Option<&'static KindInfo>) {
        match &self.extra.kind {
            None => (Cow::Borrowed(SIGNATURE), None),
            Some(name) => match kind_info(name) {
                Some(kind) => (Cow::Borrowed(kind.name), Some(kind)),
                None => (Cow::Owned(name.clone()), None),
            },
        }
    }

    pub(super) fn severity(&self) -> Severity {
        match self.level {
            Some(Level::Informational) => Severity::Informational,
            Some(Level::Low) => Severity::Low,
            Some(Level::Medium) => Severity::Medium,
            Some(Level::High) => Severity::High,
            Some(Level::Critical) => Severity::Critical,
            None => self.kind().1.map_or(Severity::Medium, |kind| kind.severity),
        }
    }

    fn techniques(&self, kind: Option<&'static KindInfo>) -> Vec<Cow<'static, str>> {
        let mut techniques: Vec<Cow<'static, str>> =
            self.tags.iter().filter_map(|tag| technique(tag)).map(Cow::Owned).collect();
        if techniques.is_empty() {
            techniques = kind.map_or(&[][..], |kind| kind.techniques).iter().map(|&name| Cow::Borrowed(name)).collect();
        }
        techniques.sort();
        techniques.dedup();
        techniques
    }

    /// The detection that this rule makes of `event`; `correlation` is what the rule counted, if it counts. Where the events it
    /// counted have one host in common, that is the subject: the event that completes a correlation may be about another.
    pub(super) fn detection(
        &self,
        event: &Judged<'_>,
        correlation: Option<&CorrelationBody>,
        time: Timestamp,
    ) -> Detection {
        let (kind, info) = self.kind();
        let group = correlation.map_or(&[][..], |correlation| &correlation.group_key);
        let counted = self.joined.as_ref().zip(correlation);
        let measured = match counted {
            Some((joined, correlation)) => joined.measured(correlation),
            None => self.measured(event),
        };
        let common: Option<IpAddr> = match group {
            [(_, value)] => value.parse().ok(),
            _ => None,
        };
        let (subject, peers, first, last, evidence) = match event {
            Judged::Measurement(m) => (m.subject, m.peers.clone(), m.first, m.last, m.evidence.clone()),
            Judged::Flow(flow, _) => (
                Subject::Host(flow.originator.address),
                vec![flow.responder.address],
                flow.start,
                flow.last,
                vec![(*flow).into()],
            ),
            Judged::Fields { .. } => (Subject::Network, Vec::new(), time, time, Vec::new()),
        };
        Detection {
            time,
            title: info.map_or_else(|| Cow::Owned(self.title.clone()), |info| Cow::Borrowed(info.title)),
            kind,
            subject: common.map_or(subject, |ip| Subject::Host(ip.into())),
            detector: SIGNATURES,
            rule: Some(self.id.clone()),
            severity: self.severity(),
            confidence: self.extra.confidence.unwrap_or(DEFAULT_CONFIDENCE),
            score: None,
            techniques: self.techniques(info),
            peers,
            first,
            last,
            evidence,
            explanation: self.explanation(event, counted, &measured),
            measured,
            contributions: Vec::new(),
        }
    }

    /// Each field with a threshold that it reached, with the highest it reached.
    fn measured(&self, event: &Judged<'_>) -> Vec<Measured> {
        let mut measured: Vec<Measured> = Vec::new();
        for threshold in &self.thresholds {
            let Some(value) = event.get_field(&threshold.field).and_then(|value| value.as_f64()) else { continue };
            if value < threshold.value {
                continue;
            }
            match measured.iter_mut().find(|earlier| earlier.name == threshold.field) {
                Some(earlier) => earlier.threshold = earlier.threshold.max(threshold.value),
                None => measured.push(Measured { name: threshold.field.clone(), value, threshold: threshold.value }),
            }
        }
        measured
    }
}

/// Confidence of a rule that states none: a threshold crossed is more often right than wrong.
const DEFAULT_CONFIDENCE: f32 = 0.7;

/// The ATT&CK technique that a Sigma tag names: `attack.t1046` is T1046.
fn technique(tag: &str) -> Option<String> {
    let name = tag.strip_prefix("attack.t")?;
    name.starts_with(|c: char| c.is_ascii_digit()).then(|| format!("T{name}"))
}

/// The `field|gte` and `field|gt` numbers of a rule's selections.
pub(super) fn thresholds(detections: &Detections) -> Vec<Threshold> {
    let mut names: Vec<_> = detections.named.iter().collect();
    // The map has no order of its own.
    names.sort_by_key(|(name, _)| *name);
    let mut found = Vec::new();
    for (_, selection) in names {
        collect(selection, &mut found);
    }
    found
}

fn collect(selection: &Selection, found: &mut Vec<Threshold>) {
    match selection {
        Selection::AllOf(items) => {
            for item in items {
                let rising = item.field.has_modifier(Modifier::Gte) || item.field.has_modifier(Modifier::Gt);
                let (Some(field), true) = (&item.field.name, rising) else { continue };
                let value = match item.values.first() {
                    Some(SigmaValue::Integer(value)) => *value as f64,
                    Some(SigmaValue::Float(value)) => *value,
                    _ => continue,
                };
                found.push(Threshold { field: field.clone(), value });
            }
        }
        Selection::AnyOf(selections) | Selection::And(selections) => {
            selections.iter().for_each(|selection| collect(selection, found));
        }
        _ => {}
    }
}
