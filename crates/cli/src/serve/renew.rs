//! Reading anew what sources are judged by, whether something is watched or not.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use lapwing_api::SourceState;

use super::run::Runner;
use crate::monitor::reload::Reload;
use crate::monitor::told::Sink;

impl Runner {
    /// What reads anew; it tells the list of rules, and whatever is watched next.
    pub(super) fn reload(&self) -> Reload {
        let (judging, rules, listed) = (Arc::clone(&self.judging), Arc::clone(&self.judging), Arc::clone(&self.now));
        Reload::new(&self.judge, &self.input.settings.signatures, move |models| judging.renew_models(models)).heard_by(
            move |report, sources| {
                rules.renew_rules(sources);
                listed.lock().report = report;
            },
        )
    }

    /// Does what was asked for by SIGHUP or in the dashboard where nothing is watched: what is watched sees to it itself.
    pub(super) fn renew_unwatched(&self) {
        let is_watched = self.now.lock().status.state == SourceState::Running;
        if is_watched || !self.renew.swap(false, Ordering::Relaxed) {
            return;
        }
        let (mut detecting, _, _) = self.detecting(Vec::new(), false);
        self.reload().reload(&mut detecting);
        if let Some(delivering) = &self.delivering {
            let reopened = delivering.lock().unwrap_or_else(PoisonError::into_inner).reopen();
            if let Err(error) = reopened {
                eprintln!("lapwing: {error}");
            }
        }
    }
}
