//! Flows that a learned model finds unusual.
//!
//! # What it sees
//! The score of every flow that ended and is not its link's own housekeeping, from one model, against the threshold that the model's calibration derived from a
//! budget of false alerts per device and week.
//!
//! # Why it matters
//! What has no signature yet (a new botnet's control channel, a hijacked device's odd hours) still differs from what the
//! device does every day.
//!
//! # False positives
//! New but harmless habits: an update, a new service. The budget says how many to expect; where the baseline was too short
//! to verify it, anomalies are at most medium.
//!
//! # References
//! Liu, Ting and Zhou (2008), *Isolation Forest*; Vovk, Gammerman and Shafer (2005) for conformal p-values.

use std::sync::Arc;

use lapwing_capture::Timestamp;
use lapwing_decode::Address;
use lapwing_feature::Schema;
use lapwing_flow::Flow;
use lapwing_learn::Model;
use lapwing_protocol::{LocalNetworks, transport};

use crate::{
    ANOMALY, Contribution, Detection, KindInfo, Measured, Severity, Subject, actor, is_housekeeping, kind_info, target,
};

/// Features that an explanation names.
const FEATURES_NAMED: usize = 3;

/// How far below the threshold's p-value a flow must lie to count as high, where the budget could be verified.
const HIGH_BELOW: f64 = 0.1;

/// Judges flows by the scores of one model.
#[derive(Clone, Debug)]
pub struct Anomaly {
    model: Arc<Model>,
    schema: &'static Schema,
    feature_of_column: Vec<usize>,
    threshold_p: f64,
    kind: &'static KindInfo,
}

/// A model whose rows are not the ones this program extracts.
#[derive(Debug, thiserror::Error)]
#[error(
    "the model expects feature schema '{name}' version {version}, which this program does not extract the same way; \
     train it again or install a matching model"
)]
pub struct SchemaMismatch {
    name: String,
    version: u32,
}

impl Anomaly {
    /// A judge for the scores of `model`.
    ///
    /// # Errors
    /// [`SchemaMismatch`] when no schema here has the name and hash that the model was trained under.
    pub fn new(model: Arc<Model>) -> Result<Self, SchemaMismatch> {
        let wanted = &model.card().schema;
        let schema = lapwing_feature::find(&wanted.name)
            .filter(|schema| schema.hash() == wanted.hash && schema.width() == model.width())
            .ok_or_else(|| SchemaMismatch { name: wanted.name.clone(), version: wanted.version })?;
        let threshold_p = model.p_value(model.threshold());
        let kind = kind_info(ANOMALY).expect("the registry has the kind of learned models");
        Ok(Self { feature_of_column: schema.feature_of_column(), schema, model, threshold_p, kind })
    }

    /// The schema of the rows it wants.
    #[must_use]
    pub fn schema(&self) -> &'static Schema {
        self.schema
    }

    /// The model whose scores it judges.
    #[must_use]
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Judges one flow by its score; `row` explains it.
    #[must_use]
    pub fn judge(
        &self,
        time: Timestamp,
        flow: &Flow,
        row: &[f32],
        score: f32,
        local: &LocalNetworks,
    ) -> Option<Detection> {
        if !self.model.calibration().alerts(score) || is_unspecified(flow.originator.address) || is_housekeeping(flow) {
            return None;
        }
        let device = device_of(flow, local);
        let peer = if device == flow.originator.address { flow.responder.address } else { flow.originator.address };
        let p = self.model.p_value(score);
        let mut detection = Detection::new(self.kind, Subject::Host(device), "isolation-forest", time);
        detection.severity = self.severity(p);
        detection.confidence = if self.model.calibration().budget_is_verifiable() { 0.7 } else { 0.4 };
        detection.score = Some(score);
        detection.peers = vec![peer];
        detection.first = flow.start;
        detection.last = flow.last;
        detection.evidence = vec![flow.into()];
        detection.measured = vec![Measured {
            name: "anomaly_score".to_owned(),
            value: f64::from(score),
            threshold: f64::from(self.model.threshold()),
        }];
        detection.contributions = self.contributions(row);
        detection.explanation = explain(flow, p, &detection.contributions);
        Some(detection)
    }

    fn severity(&self, p: f64) -> Severity {
        match self.model.calibration().budget_is_verifiable() {
            true if p <= self.threshold_p * HIGH_BELOW => Severity::High,
            true => Severity::Medium,
            false => Severity::Low,
        }
    }

    /// What made the score of a row that alerted.
    fn contributions(&self, row: &[f32]) -> Vec<Contribution> {
        let Ok(explanation) = self.model.explain(row) else { return Vec::new() };
        let by_feature = explanation.by_feature(&self.feature_of_column);
        let largest = by_feature.iter().filter(|contribution| contribution.amount > 0.0).take(FEATURES_NAMED);
        let named = largest.map(|&lapwing_learn::Contribution { column: feature, amount }| Contribution {
            feature: self.schema.features[feature].meaning,
            value: self.schema.describe(feature, row),
            usual: self.schema.describe(feature, self.model.usual()),
            amount,
            enough: self.usual_enough(feature, row).map(|other| self.schema.describe(feature, &other)),
        });
        named.collect()
    }

    /// The row with another value of `feature`, the nearest with which it would not have alerted.
    fn usual_enough(&self, feature: usize, row: &[f32]) -> Option<Vec<f32>> {
        let columns = self.schema.columns_of(feature);
        let mut other = row.to_vec();
        if columns.len() == 1 {
            other[columns.start] = self.model.would_not_alert(row, columns.start).ok()??;
        } else {
            let class = self.model.class_that_would_not_alert(row, columns.clone()).ok()??;
            other[columns].fill(0.0);
            other[class] = 1.0;
        }
        Some(other)
    }
}

/// What is unlike the baseline, and what would not have been.
fn explain(flow: &Flow, p: f64, contributions: &[Contribution]) -> String {
    let what = match flow.protocol {
        1 | 58 => format!("ICMP type {}", flow.originator.port),
        _ => format!("{} port {}", transport(flow.protocol), flow.responder.port),
    };
    let mut text = format!("A flow of {what} is unlike the baseline (p = {p:.2e})");
    let reason =
        |Contribution { feature, value, usual, .. }: &Contribution| format!("{feature}: {value} (usually {usual})");
    if let Some(first) = contributions.first() {
        text.push_str(": ");
        text.push_str(&contributions.iter().map(reason).collect::<Vec<_>>().join("; "));
        if let Some(value) = &first.enough {
            text.push_str(&format!("; had the first of these been about {value}, it would not have alerted"));
        }
    }
    text.push('.');
    text
}

/// A device that has no address yet (DHCP, duplicate address detection) cannot be named.
fn is_unspecified(address: Address) -> bool {
    address.ip().is_unspecified()
}

/// The device that a flow is about: who acted, if it is local; else who was acted upon, if that is; else who acted.
#[must_use]
pub fn device_of(flow: &Flow, local: &LocalNetworks) -> Address {
    let (actor, target) = (actor(flow), target(flow));
    if !local.contains(actor) && local.contains(target) { target } else { actor }
}
