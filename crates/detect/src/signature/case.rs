//! Cases: events that a rule must fire on, and events on which it must stay silent.
//!
//! A file `cases/NAME.yml` beside `NAME.yml` is a list of them:
//!
//! ```yaml
//! - name: fifteen ports in five minutes
//!   rule: 6f1d…            # id of a rule in NAME.yml
//!   fires: true
//!   service: pair_window   # product: lapwing unless stated
//!   events:
//!     - {failed_ports: 15, failed_share: 1.0}
//!     - {at: 60, failed_ports: 20}   # `at`: seconds since the first event; `service` may differ per event
//! ```

use lapwing_protocol::LocalNetworks;
use serde::Deserialize;

use super::document::line_of;
use super::event::Judged;
use super::limits::Budget;
use super::source::SignatureSource;
use super::vocabulary::Vocabulary;
use super::{LoadReport, Problem, Signatures};

/// One case as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    rule: String,
    fires: bool,
    #[serde(default = "lapwing")]
    product: String,
    #[serde(default)]
    service: String,
    events: Vec<serde_json::Map<String, serde_json::Value>>,
}

fn lapwing() -> String {
    "lapwing".to_owned()
}

/// What came of one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseResult {
    /// The file of cases.
    pub file: String,
    /// The case's name.
    pub name: String,
    /// The rule's id.
    pub rule: String,
    /// Whether the rule should fire.
    pub expected: bool,
    /// Whether it did.
    pub fired: bool,
}

impl CaseResult {
    /// Whether the rule did as it should.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.expected == self.fired
    }
}

/// Runs the cases of all sources, each on fresh state. Evaluated rules without a case that must fire and one that must
/// not are among the problems.
#[must_use]
pub fn test(sources: &[SignatureSource]) -> (Vec<CaseResult>, Vec<Problem>) {
    let (signatures, report) = Signatures::load(sources, LocalNetworks::default());
    let mut problems = report.problems.clone();
    let mut results = Vec::new();
    for source in sources {
        let Some(text) = &source.cases else { continue };
        let file = format!("{} (cases)", source.file);
        if let Some(reason) = Budget::default().tangled(text) {
            problems.push(Problem { file, line: 0, reason });
            continue;
        }
        match yaml_serde::from_str::<Vec<Case>>(text) {
            Ok(cases) => {
                for case in &cases {
                    if !signatures.rules.contains_key(&case.rule) {
                        let reason = format!("case '{}': no rule '{}' is evaluated", case.name, case.rule);
                        problems.push(Problem { file: file.clone(), line: 0, reason });
                        continue;
                    }
                    for reason in unknown_fields(case) {
                        problems.push(Problem { file: file.clone(), line: line_of(text, &reason) + 1, reason });
                    }
                    results.push(run(case, &file, sources));
                }
            }
            Err(error) => {
                let line = error.location().map_or(0, |location| location.line());
                problems.push(Problem { file, line, reason: error.to_string() });
            }
        }
    }
    problems.extend(untested(&report, &results, sources));
    (results, problems)
}

/// What to say of fields that no event of their log has: a case with a misspelt field shows nothing.
fn unknown_fields(case: &Case) -> Vec<String> {
    let mut reasons = Vec::new();
    for event in &case.events {
        let Some(vocabulary) = Vocabulary::of_log(&case.product, service_of(case, event)) else { continue };
        let unknown = |name: &&String| !vocabulary.has(name) && !matches!(name.as_str(), "at" | "service");
        let said = |name: &String| format!("case '{}': {}", case.name, vocabulary.lacks(name));
        reasons.extend(event.keys().filter(unknown).map(said));
    }
    reasons
}

fn service_of<'a>(case: &'a Case, event: &'a serde_json::Map<String, serde_json::Value>) -> &'a str {
    event.get("service").and_then(serde_json::Value::as_str).unwrap_or(&case.service)
}

fn run(case: &Case, file: &str, sources: &[SignatureSource]) -> CaseResult {
    // Correlations keep state: each case begins without any.
    let (mut signatures, _) = Signatures::load(sources, LocalNetworks::default());
    let mut fired = false;
    for event in &case.events {
        let fields: Vec<_> = event.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let service = service_of(case, event);
        let judged = Judged::Fields { product: &case.product, service, fields: &fields };
        let at = event.get("at").and_then(serde_json::Value::as_i64).unwrap_or(0);
        let results = signatures.engine.process_event_at(&judged, FIRST_EVENT + at);
        fired |= results.iter().any(|result| result.header.rule_id.as_deref() == Some(&case.rule));
    }
    CaseResult { file: file.to_owned(), name: case.name.clone(), rule: case.rule.clone(), expected: case.fires, fired }
}

/// The second of a case's first event: any time well after zero.
const FIRST_EVENT: i64 = 1_000_000;

fn untested(report: &LoadReport, results: &[CaseResult], sources: &[SignatureSource]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for rule in report.rules.iter().filter(|rule| rule.standing == super::Standing::Evaluated) {
        // A rule that only feeds a correlation is tested through it; a file without cases promises none.
        let has_cases = sources.iter().any(|source| source.file == rule.file && source.cases.is_some());
        if !has_cases || rule.feeds_only {
            continue;
        }
        for (expected, word) in [(true, "must fire"), (false, "must not fire")] {
            if !results.iter().any(|result| result.rule == rule.id && result.expected == expected) {
                let reason = format!("rule '{}' has no case in which it {word}", rule.title);
                problems.push(Problem { file: rule.file.clone(), line: rule.line, reason });
            }
        }
    }
    problems
}
