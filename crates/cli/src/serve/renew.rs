//! Reading rules anew, whether something is watched or not.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use lapwing_alert::AlertConfig;
use lapwing_api::SourceState;
use lapwing_detect::signature::SignatureSource;
use lapwing_engine::Detecting;

use super::run::Runner;
use crate::monitor::told::Sink;

impl Runner {
    /// The rules as their files say at this moment; those of the start where they cannot be read.
    pub(super) fn current_rules(&self) -> Vec<SignatureSource> {
        let rules = self.judge.rules(&self.input.settings.signatures).map(|rules| rules.sources);
        rules.unwrap_or_else(|error| {
            eprintln!("lapwing: the rules stay as they were: {}", crate::told(&error));
            self.rules.sources.clone()
        })
    }

    /// Does what was asked for by SIGHUP or in the dashboard where nothing is watched: what is watched sees to it itself.
    pub(super) fn renew_unwatched(&self) {
        let is_watched = self.now.lock().status.state == SourceState::Running;
        if is_watched || !self.renew.swap(false, Ordering::Relaxed) {
            return;
        }
        // The next source is judged by rules that are read then; this is for who asks for their list.
        let (_, _, report) =
            Detecting::new(&self.input.local, &self.current_rules(), Vec::new(), AlertConfig::default());
        eprintln!("lapwing: {} rules read anew", report.rules.len());
        self.now.lock().report = report;
        if let Some(delivering) = &self.delivering {
            let reopened = delivering.lock().unwrap_or_else(PoisonError::into_inner).reopen();
            if let Err(error) = reopened {
                eprintln!("lapwing: {error}");
            }
        }
    }
}
