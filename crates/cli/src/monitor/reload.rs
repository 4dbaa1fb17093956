//! Reading anew, at SIGHUP, what a run judges by.

use std::path::PathBuf;

use lapwing_detect::signature::{LoadReport, Problem, SignatureSource};
use lapwing_engine::{Detecting, SignatureSettings};

use crate::baseline::{NamedModel, read_models};
use crate::judge::JudgeOptions;
use crate::told;

/// What is read anew, each by itself: what cannot be read stays as it was. (Suppressions are read by who keeps them.)
pub(crate) struct Reload {
    judge: JudgeOptions,
    signatures: SignatureSettings,
    /// Puts models in force.
    judge_by: Box<dyn Fn(Vec<NamedModel>) + Send>,
    /// Hears of rules that are in force.
    heard: Option<Box<Heard>>,
}

type Heard = dyn Fn(LoadReport, Vec<SignatureSource>) + Send;

impl Reload {
    /// `judge_by` puts models that were read anew in force.
    pub(crate) fn new(
        judge: &JudgeOptions,
        signatures: &SignatureSettings,
        judge_by: impl Fn(Vec<NamedModel>) + Send + 'static,
    ) -> Self {
        Self { judge: judge.clone(), signatures: signatures.clone(), judge_by: Box::new(judge_by), heard: None }
    }

    /// Tells `heard` of the rules whenever they were read anew.
    pub(crate) fn heard_by(self, heard: impl Fn(LoadReport, Vec<SignatureSource>) + Send + 'static) -> Self {
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
        match self.judge.rules(&self.signatures) {
            Err(error) => eprintln!("lapwing: the rules stay as they were: {}", told(&error)),
            Ok(rules) => match detecting.reload(&rules.sources) {
                Err(report) => {
                    report.problems.iter().for_each(say);
                    eprintln!("lapwing: the rules stay as they were");
                }
                Ok(report) => {
                    report.warnings.iter().for_each(say);
                    eprintln!("lapwing: {} rules read anew", report.rules.len());
                    if let Some(heard) = &self.heard {
                        heard(report, rules.sources);
                    }
                }
            },
        }
    }

    fn models(&self, paths: &[PathBuf]) {
        match read_models(paths) {
            Err(error) => eprintln!("lapwing: the models stay as they were: {}", told(&error)),
            Ok((models, not_evaluated)) => {
                not_evaluated.iter().for_each(|reason| eprintln!("lapwing: not evaluated: {reason}"));
                eprintln!("lapwing: {} models read anew", models.len());
                (self.judge_by)(models);
            }
        }
    }
}
