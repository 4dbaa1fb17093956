//! What sources are judged by: the rules and models as they were read last, and which of the models are in use.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lapwing_detect::Anomaly;
use lapwing_detect::signature::SignatureSource;
use lapwing_engine::Scoring;

use crate::baseline::NamedModel;

/// Rules and models, which are read anew and chosen while a source is watched.
pub(super) struct Judging {
    state: Mutex<State>,
    /// What a baseline taught at the start, which is not learnt anew.
    learnt: Option<Anomaly>,
}

struct State {
    rules: Vec<SignatureSource>,
    models: Vec<NamedModel>,
    /// Names of the models in use; all are until somebody has chosen.
    chosen: Option<Vec<String>>,
    /// What scores the flows of the source that is watched.
    scoring: Option<Arc<Scoring>>,
}

impl State {
    fn is_used(&self, name: &str) -> bool {
        self.chosen.as_ref().is_none_or(|chosen| chosen.iter().any(|used| used == name))
    }

    fn in_use(&self) -> impl Iterator<Item = &NamedModel> {
        self.models.iter().filter(|model| self.is_used(&model.name))
    }

    fn put_in_force(&self) {
        if let Some(scoring) = &self.scoring {
            scoring.replace(self.in_use().map(|model| model.anomaly.clone()).collect());
        }
    }
}

impl Judging {
    pub(super) fn new(rules: Vec<SignatureSource>, models: Vec<NamedModel>, learnt: Option<Anomaly>) -> Self {
        let state = State { rules, models: Vec::new(), chosen: None, scoring: None };
        let judging = Self { state: Mutex::new(state), learnt };
        judging.renew_models(models);
        judging
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rules.
    pub(super) fn rules(&self) -> Vec<SignatureSource> {
        self.lock().rules.clone()
    }

    /// Takes rules that were read anew, for the next source.
    pub(super) fn renew_rules(&self, rules: Vec<SignatureSource>) {
        self.lock().rules = rules;
    }

    /// The models at hand, each with whether it is in use.
    pub(super) fn models(&self) -> Vec<(NamedModel, bool)> {
        let state = self.lock();
        state.models.iter().map(|model| (model.clone(), state.is_used(&model.name))).collect()
    }

    /// Names of the models in use.
    pub(super) fn names_in_use(&self) -> Vec<String> {
        self.lock().in_use().map(|model| model.name.clone()).collect()
    }

    /// The judges in use.
    pub(super) fn in_use(&self) -> Vec<Anomaly> {
        self.lock().in_use().map(|model| model.anomaly.clone()).collect()
    }

    /// Scores by the models in use with `scoring` from now on.
    pub(super) fn score_with(&self, scoring: Arc<Scoring>) {
        let mut state = self.lock();
        state.scoring = Some(scoring);
        state.put_in_force();
    }

    /// Takes models that were read anew; of these, too, only those that were chosen are in use.
    pub(super) fn renew_models(&self, models: Vec<NamedModel>) {
        let learnt = self.learnt.clone().map(|anomaly| NamedModel { name: "baseline".to_owned(), anomaly });
        let mut state = self.lock();
        state.models = models.into_iter().chain(learnt).collect();
        state.put_in_force();
    }

    /// Whether these can be chosen; if not, why.
    pub(super) fn check(&self, names: &[String]) -> Result<(), String> {
        let state = self.lock();
        match names.iter().find(|name| !state.models.iter().any(|model| model.name == **name)) {
            Some(unknown) => Err(format!("models: '{unknown}' is not at hand")),
            None => Ok(()),
        }
    }

    /// Judges by these models from now on.
    pub(super) fn choose(&self, names: Vec<String>) {
        let mut state = self.lock();
        state.chosen = Some(names);
        state.put_in_force();
    }
}
