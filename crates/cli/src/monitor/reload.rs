//! Reading anew, at SIGHUP, what a run judges by.

use std::path::PathBuf;
use std::sync::Arc;

use lapwing_detect::Anomaly;
use lapwing_detect::signature::{LoadReport, Problem};
use lapwing_engine::{Detecting, Scoring, SignatureSettings};

use crate::baseline::read_models;
use crate::judge::JudgeOptions;
use crate::told;

/// What is read anew, each by itself: what cannot be read stays as it was. (Suppressions are read by who keeps them.)
pub(crate) struct Reload {
    judge: JudgeOptions,
    signatures: SignatureSettings,
    /// What a baseline taught at the start, which is not learnt anew.
    learnt: Option<Anomaly>,
    scoring: Arc<Scoring>,
    /// Hears of rules that were read anew.
    heard: Option<Box<dyn Fn(LoadReport) + Send>>,
}

impl Reload {
    pub(crate) fn new(
        judge: &JudgeOptions,
        signatures: &SignatureSettings,
        learnt: Option<Anomaly>,
        scoring: Arc<Scoring>,
    ) -> Self {
        Self { judge: judge.clone(), signatures: signatures.clone(), learnt, scoring, heard: None }
    }

    /// Tells `heard` of the rules whenever they are read anew.
    pub(crate) fn heard_by(self, heard: impl Fn(LoadReport) + Send + 'static) -> Self {
        Self { heard: Some(Box::new(heard)), ..self }
    }

    pub(crate) fn reload(&self, detecting: &mut Detecting) {
        self.rules(detecting);
        if !self.judge.model.is_empty() {
            self.models(&self.judge.model);
        }
    }

    fn rules(&self, detecting: &mut Detecting) {
        let say = |problem: &Problem| eprintln!("lapwing: {problem}");
        match self.judge.rules(&self.signatures).map(|rules| detecting.reload(&rules.sources)) {
            Err(error) => eprintln!("lapwing: the rules stay as they were: {}", told(&error)),
            Ok(Err(report)) => {
                report.problems.iter().for_each(say);
                eprintln!("lapwing: the rules stay as they were");
            }
            Ok(Ok(report)) => {
                report.warnings.iter().for_each(say);
                eprintln!("lapwing: {} rules read anew", report.rules.len());
                if let Some(heard) = &self.heard {
                    heard(report);
                }
            }
        }
    }

    fn models(&self, paths: &[PathBuf]) {
        match read_models(paths) {
            Err(error) => eprintln!("lapwing: the models stay as they were: {}", told(&error)),
            Ok((anomalies, not_evaluated)) => {
                not_evaluated.iter().for_each(|reason| eprintln!("lapwing: not evaluated: {reason}"));
                eprintln!("lapwing: {} models read anew", anomalies.len());
                self.scoring.replace(anomalies.into_iter().chain(self.learnt.clone()).collect());
            }
        }
    }
}
