//! What a log does not carry, by its own account: the kinds that a scan of it can say nothing of, or not all.

use std::collections::BTreeSet;
use std::process::Command;

use lapwing_detect::DETECTORS;
use serde_json::Value;

/// What a summary says was not evaluated, and the shipped rules.
pub(crate) struct NotCarried {
    reasons: Vec<String>,
    rules: Vec<(String, String)>,
}

impl NotCarried {
    /// From what `scan --format json` says of a log.
    pub(crate) fn of(document: &Value) -> Self {
        let reasons = document["summary"]["not_evaluated"].as_array().unwrap().iter();
        let list = Command::new(env!("CARGO_BIN_EXE_lapwing")).args(["signatures", "list", "--json"]).output().unwrap();
        let list: Value = serde_json::from_slice(&list.stdout).unwrap();
        let text = |rule: &Value, field: &str| rule[field].as_str().unwrap().to_owned();
        Self {
            reasons: reasons.map(|reason| reason.as_str().unwrap().to_owned()).collect(),
            rules: list["rules"]
                .as_array()
                .unwrap()
                .iter()
                .map(|rule| (text(rule, "kind"), text(rule, "reads")))
                .collect(),
        }
    }

    /// Whether no rule of that kind had anything to judge: every detector that feeds one was not evaluated.
    pub(crate) fn wholly(&self, kind: &str) -> bool {
        self.detectors(kind).is_some_and(|detectors| detectors.iter().all(|name| self.says(&format!("{name}: "))))
    }

    /// Whether a part of a detector that feeds a rule of that kind was not evaluated.
    #[allow(dead_code, reason = "not every test that has this module asks")]
    pub(crate) fn partly(&self, kind: &str) -> bool {
        self.detectors(kind).is_none_or(|detectors| detectors.iter().any(|name| self.says(&format!("{name} ("))))
    }

    fn says(&self, words: &str) -> bool {
        self.reasons.iter().any(|reason| reason.starts_with(words))
    }

    /// The detectors that feed the rules of a kind; `None` where a rule reads other rules.
    fn detectors(&self, kind: &str) -> Option<BTreeSet<&'static str>> {
        let mut detectors = BTreeSet::new();
        for (_, reads) in self.rules.iter().filter(|(of, _)| of == kind) {
            let service = reads.strip_prefix("lapwing/")?;
            let feeding = DETECTORS.iter().filter(|entry| entry.info.services.contains(&service));
            detectors.extend(feeding.map(|entry| entry.info.name));
        }
        (!detectors.is_empty()).then_some(detectors)
    }
}
