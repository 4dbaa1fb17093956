//! Sigma rules decide: which measurements, and which flows, are detections.
//!
//! Rules are YAML in the format of the Sigma specification 2 (<https://sigmahq.io>): detection, correlation and filter
//! rules. `logsource: {product: lapwing, service: S}` names what a behaviour measures; `{product: zeek, service: conn}`
//! names finished flows with the fields of [`lapwing_protocol::CONN_FIELDS`]. A rule whose service nothing here produces is
//! kept and listed as not evaluated; a broken rule is reported with file, line and reason, and the others load.
//!
//! A top-level `lapwing:` block adds what Sigma has no word for: `kind`, `explanation` (a sentence with `{field}`,
//! `{field|host|hosts}`, `{field|percent}` and `{field.threshold}`), `confidence`. Rules without it work too.

mod case;
mod document;
mod event;
mod explain;
mod limits;
mod load;
mod references;
mod report;
mod rule;
mod sentence;
mod source;
mod vocabulary;

use std::collections::HashMap;
use std::sync::Arc;

use lapwing_capture::Timestamp;
use lapwing_protocol::{LocalNetworks, Observed};
use rsigma_eval::{CorrelationBody, CorrelationConfig, CorrelationEngine, LogSourceExtractor, TimestampFallback};

pub use case::{CaseResult, test};
pub use report::{LoadReport, Problem, RuleEntry, Standing};
pub use source::{SignatureSource, read_directory, shipped};
pub use vocabulary::{service_fields, services};

use crate::{Detection, Measurement};
use event::Judged;
use rule::Rule;

/// The name under which signatures appear as a detection's detector.
pub const SIGNATURES: &str = "signatures";

/// Correlation state: groups held at most, and events remembered in one group.
const MAX_GROUPS: usize = 20_000;
const MAX_GROUP_EVENTS: usize = 1_000;

/// Capture seconds between two sweeps of expired correlation state.
const SWEEP_SECONDS: i64 = 60;

/// The loaded rules, ready to judge.
pub struct Signatures {
    engine: CorrelationEngine,
    /// The rules by the id that the engine reports; those without one got a name from their title.
    rules: HashMap<String, Rule>,
    /// The Lapwing services that some rule names: nothing else is worth an evaluation.
    services: Vec<String>,
    judges_flows: bool,
    local: Arc<LocalNetworks>,
    next_sweep: i64,
    counts: SignatureCounts,
}

/// What the signatures did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignatureCounts {
    /// Measurements and flows that rules were asked about.
    pub evaluated: u64,
    /// Detections made.
    pub detections: u64,
    /// Groups of correlation state held now.
    pub groups: u64,
}

impl Signatures {
    /// Loads rules from their texts; what cannot be loaded is in the report, with file, line and reason.
    #[must_use]
    pub fn load(sources: &[SignatureSource], local: LocalNetworks) -> (Self, LoadReport) {
        let (loaded, report) = load::load(sources);
        let mut engine = new_engine();
        // Each rule compiled and each reference resolved before; what the engine still refuses is a fault of ours.
        let mut report = report;
        if let Err(error) = engine.add_collection(&loaded.collection) {
            report.problems.push(Problem { file: "all rules".into(), line: 0, reason: error.to_string() });
        }
        let signatures = Self {
            engine,
            rules: loaded.rules,
            services: loaded.services,
            judges_flows: loaded.judges_flows,
            local: Arc::new(local),
            next_sweep: i64::MIN,
            counts: SignatureCounts::default(),
        };
        (signatures, report)
    }

    /// Puts other rules in the place of these; what correlations have counted so far goes on for those that stay. Rules with
    /// a problem change nothing.
    ///
    /// # Errors
    /// The report, when it names a problem.
    pub fn reload(&mut self, sources: &[SignatureSource]) -> Result<LoadReport, LoadReport> {
        let (mut fresh, report) = Self::load(sources, LocalNetworks::clone(&self.local));
        if !report.problems.is_empty() {
            return Err(report);
        }
        fresh.engine.import_state(self.engine.export_state());
        fresh.counts = self.counts;
        fresh.next_sweep = self.next_sweep;
        *self = fresh;
        Ok(report)
    }

    /// Whether some rule asks about finished flows; if not, [`Signatures::observe`] need not be called.
    #[must_use]
    pub fn judges_flows(&self) -> bool {
        self.judges_flows
    }

    /// Judges measurements in the order given, which must be the same in every run: by time, then by detector and subject
    /// (see [`order`]).
    pub fn judge(&mut self, measurements: &[Measurement], found: &mut Vec<Detection>) {
        for measurement in measurements {
            debug_assert_eq!(
                vocabulary::unlisted(measurement),
                None,
                "signature/vocabulary.rs and docs/signatures.md list every field of {}",
                measurement.service
            );
            if self.services.iter().any(|service| service == measurement.service) {
                self.evaluate(&Judged::Measurement(measurement), measurement.time, found);
            }
        }
    }

    /// Judges the finished flows of a batch.
    pub fn observe(&mut self, batch: &[Observed<'_>], found: &mut Vec<Detection>) {
        if !self.judges_flows {
            return;
        }
        let local = Arc::clone(&self.local);
        for observed in batch {
            if let Some(flow) = observed.fact.finished() {
                self.evaluate(&Judged::Flow(flow, &local), observed.time, found);
            }
        }
    }

    /// Forgets correlation state that is too old to matter.
    pub fn advance(&mut self, now: Timestamp) {
        if now.seconds() >= self.next_sweep {
            self.next_sweep = now.seconds().saturating_add(SWEEP_SECONDS);
            self.engine.evict_expired(now.seconds());
        }
    }

    /// What they did so far.
    #[must_use]
    pub fn counts(&self) -> SignatureCounts {
        SignatureCounts { groups: self.engine.state_count() as u64, ..self.counts }
    }

    fn evaluate(&mut self, event: &Judged<'_>, time: Timestamp, found: &mut Vec<Detection>) {
        self.counts.evaluated += 1;
        let results = self.engine.process_event_at(event, time.seconds());
        let mut matched: Vec<(&Rule, Option<&CorrelationBody>)> = results
            .iter()
            .filter_map(|result| Some((self.rules.get(result.header.rule_id.as_deref()?)?, result.as_correlation())))
            .collect();
        matched.sort_by_key(|(rule, _)| rule.order);
        matched.dedup_by_key(|(rule, _)| rule.order);
        matched.retain(|(rule, _)| !rule.only_feeds);
        self.counts.detections += matched.len() as u64;
        found.extend(matched.into_iter().map(|(rule, counted)| rule.detection(event, counted, time)));
    }
}

fn new_engine() -> CorrelationEngine {
    let mut engine = CorrelationEngine::new(CorrelationConfig {
        timestamp_fallback: TimestampFallback::Skip,
        max_state_entries: MAX_GROUPS,
        max_group_entries: Some(MAX_GROUP_EVENTS),
        ..CorrelationConfig::default()
    });
    let extractor = LogSourceExtractor::new().with_field_names(event::PRODUCT, event::SERVICE, event::CATEGORY);
    engine.set_logsource_extractor(Some(extractor));
    engine
}

/// Puts measurements from several shards into the one order in which they are judged.
pub fn order(measurements: &mut [Measurement]) {
    measurements.sort_by(|a, b| {
        let key = |m: &Measurement| (m.time, m.service, m.subject, m.first, m.last);
        key(a).cmp(&key(b)).then_with(|| a.peers.cmp(&b.peers))
    });
}

#[cfg(test)]
mod tests;
