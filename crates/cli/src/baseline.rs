//! What is normal: models that were trained before, and what is learnt from trusted captures.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use lapwing_alert::AlertConfig;
use lapwing_asset::Inventory;
use lapwing_detect::Anomaly;
use lapwing_detect::signature::SignatureSource;
use lapwing_engine::{Control, Detecting, InputSummary, Learning, Lesson, Summary};
use lapwing_feature::Schema;
use lapwing_learn::Model;
use lapwing_protocol::LocalNetworks;

use crate::input::{Input, sha256};
use crate::sources::Named;

/// What a run judges by.
pub(crate) struct Normal {
    /// Judges of single flows, by models that were trained before.
    pub(crate) models: Vec<NamedModel>,
    /// The judge that the baseline taught.
    pub(crate) learnt: Option<Anomaly>,
    /// The devices that the baseline showed.
    pub(crate) inventory: Option<Inventory>,
    /// What cannot be judged, for the summary.
    pub(crate) not_evaluated: Option<String>,
    /// What was read to learn from, and what of it was not.
    pub(crate) summary: Option<Box<Summary>>,
}

/// A judge by a model that was trained before, with the name of its file.
#[derive(Clone)]
pub(crate) struct NamedModel {
    pub(crate) name: String,
    pub(crate) anomaly: Anomaly,
}

/// What a baseline taught.
pub(crate) struct Taught {
    pub(crate) lesson: Lesson,
    /// What was read of it, and what was not.
    pub(crate) summary: Summary,
}

impl Normal {
    /// All judges.
    pub(crate) fn anomalies(&self) -> Vec<Anomaly> {
        self.models.iter().map(|model| &model.anomaly).chain(&self.learnt).cloned().collect()
    }

    /// Reads the models, and learns from what is trusted, if anything is.
    pub(crate) fn read(
        input: &Input,
        models: &[PathBuf],
        trusted: &Named,
        sources: &[SignatureSource],
        control: &Control,
    ) -> Result<Self> {
        let (read, not_evaluated) = read_models(models)?;
        let mut normal = Self { models: read, learnt: None, inventory: None, not_evaluated, summary: None };
        if trusted.files().next().is_some() {
            let Taught { lesson, summary } = learn(input, trusted, sources, &lapwing_feature::CONNECTION, control)?;
            normal.summary = Some(Box::new(summary));
            match fit(input, &lesson) {
                Ok(anomaly) => normal.learnt = Some(anomaly),
                Err(reason) => normal.not_evaluated = Some(format!("anomaly: the baseline gave no model: {reason}")),
            }
            normal.inventory = Some(lesson.inventory);
        } else if models.is_empty() {
            normal.not_evaluated = Some("anomaly: no --baseline and no --model was given".to_owned());
        }
        Ok(normal)
    }
}

/// Judges by models that were trained before, and why one of them can judge nothing, if that is so.
pub(crate) fn read_models(paths: &[PathBuf]) -> Result<(Vec<NamedModel>, Option<String>)> {
    let (mut models, mut not_evaluated) = (Vec::new(), None);
    for path in paths {
        let model = Model::read(path)?;
        if let Some(reason) = uncalibrated(&model) {
            not_evaluated = Some(format!("anomaly: the model {}: {reason}", path.display()));
            continue;
        }
        let anomaly = Anomaly::new(Arc::new(model)).with_context(|| path.display().to_string())?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        models.push(NamedModel { name, anomaly });
    }
    Ok((models, not_evaluated))
}

/// What the baseline teaches: a judge, or why there is none.
fn fit(input: &Input, lesson: &Lesson) -> Result<Anomaly, String> {
    let model = lesson
        .fit((&input.settings.train).into(), Vec::new(), input.pipeline.threads)
        .map_err(|error| error.to_string())?;
    if let Some(reason) = uncalibrated(&model) {
        return Err(reason);
    }
    if let Some(note) = model.calibration().note() {
        eprintln!("lapwing: baseline: {note}; anomalies are at most low");
    }
    Ok(Anomaly::new(Arc::new(model)).expect("a model just trained has a schema of this program"))
}

/// Why a model can judge nothing, if that is so.
fn uncalibrated(model: &Model) -> Option<String> {
    if model.calibration().suffices() { None } else { model.calibration().note() }
}

/// Reads a baseline; alerts inside it are told as a warning, and what they name is not learnt.
pub(crate) fn learn(
    input: &Input,
    named: &Named,
    sources: &[SignatureSource],
    schema: &'static Schema,
    control: &Control,
) -> Result<Taught> {
    if named.is_mixed() {
        bail!("a baseline is read in the order of time: give captures or logs, not both");
    }
    let local: &Arc<LocalNetworks> = &input.local;
    let alerts = AlertConfig::from(&input.settings.alert);
    let (detecting, mut scoring, _) = Detecting::new(local, sources, Vec::new(), alerts);
    let place = scoring.add_schema(schema);
    let mut stage = Learning::new(detecting, schema, place, Arc::clone(local));
    let ran = input.run(named, &scoring, &mut stage, control)?;
    if control.stopped() {
        bail!("interrupted while learning: a part of a baseline is none, so nothing was written");
    }
    let (lesson, raised) = stage.finish(ran.span.map(|(_, last)| last))?;
    for alert in &raised.alerts {
        eprintln!(
            "lapwing: warning: the baseline holds {} ({}) at {}: {}; left out",
            alert.title, alert.severity, alert.device, alert.explanation
        );
    }
    let mut summary = ran.summary;
    summary.inputs.extend(named.refused.iter().map(InputSummary::from));
    summary.coverage.extend(raised.lost);
    let learnt = lesson.learnt;
    for (what, count) in [("flows_left_out", learnt.left_out), ("flows_thinned_out", learnt.thinned)] {
        if count > 0 {
            summary.coverage.insert(what.to_owned(), count);
        }
    }
    eprintln!(
        "lapwing: learnt from {} of {} flows ({} left out because of alerts, {} thinned out)",
        lesson.len(),
        learnt.flows,
        learnt.left_out,
        learnt.thinned
    );
    Ok(Taught { lesson, summary })
}

/// A model scored on what it was trained on says nothing: refuse it.
pub(crate) fn refuse_own(baseline: &Named, inputs: &Named) -> Result<()> {
    let mut known = HashMap::new();
    for file in baseline.files().filter(|file| file.is_file()) {
        known.insert(sha256(file)?, file);
    }
    if known.is_empty() {
        return Ok(());
    }
    for file in inputs.files().filter(|file| file.is_file()) {
        if let Some(baseline) = known.get(&sha256(file)?) {
            bail!(
                "{} has the same content as the baseline {}: a model that is judged on what it learnt finds nothing; \
                 give a baseline from another time",
                file.display(),
                baseline.display()
            );
        }
    }
    Ok(())
}
