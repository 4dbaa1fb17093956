//! Reading anew, at SIGHUP, what a run judges by.

use lapwing_detect::signature::Problem;
use lapwing_engine::{Detecting, SignatureSettings};

use crate::judge::JudgeOptions;

/// What is read anew, each by itself: what cannot be read stays as it was.
pub(super) struct Reload {
    judge: JudgeOptions,
    signatures: SignatureSettings,
}

impl Reload {
    pub(super) fn new(judge: &JudgeOptions, signatures: &SignatureSettings) -> Self {
        Self { judge: judge.clone(), signatures: signatures.clone() }
    }

    pub(super) fn reload(&self, detecting: &mut Detecting) {
        self.rules(detecting);
    }

    fn rules(&self, detecting: &mut Detecting) {
        let say = |problem: &Problem| eprintln!("lapwing: {problem}");
        match self.judge.rules(&self.signatures).map(|rules| detecting.reload(&rules.sources)) {
            Err(error) => eprintln!("lapwing: the rules stay as they were: {error:#}"),
            Ok(Err(report)) => {
                report.problems.iter().for_each(say);
                eprintln!("lapwing: the rules stay as they were");
            }
            Ok(Ok(report)) => {
                report.warnings.iter().for_each(say);
                eprintln!("lapwing: {} rules read anew", report.rules.len());
            }
        }
    }
}
