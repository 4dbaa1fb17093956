//! Learning what is normal from trusted captures.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Result, bail};
use lapwing_alert::AlertConfig;
use lapwing_detect::signature::SignatureSource;
use lapwing_engine::{Control, Detecting, Learning, Lesson};
use lapwing_feature::Schema;
use lapwing_protocol::LocalNetworks;

use crate::input::{Input, sha256};
use crate::sources::Named;

/// Reads a baseline; alerts inside it are told as a warning, and what they name is not learnt.
pub(crate) fn learn(
    input: &Input,
    named: &Named,
    sources: &[SignatureSource],
    schema: &'static Schema,
    control: &Control,
) -> Result<Lesson> {
    if named.is_mixed() {
        bail!("a baseline is read in the order of time: give captures or logs, not both");
    }
    let local: &Arc<LocalNetworks> = &input.local;
    let (detecting, mut scoring, _) = Detecting::new(local, sources, Vec::new(), AlertConfig::default());
    let place = scoring.add_schema(schema);
    let mut stage = Learning::new(detecting, schema, place, Arc::clone(local));
    let ran = input.run(named, &scoring, &mut stage, control)?;
    if control.stopped() {
        bail!("interrupted while learning: a part of a baseline is none, so nothing was written");
    }
    let (lesson, alerts) = stage.finish(ran.span.map(|(_, last)| last));
    for alert in &alerts {
        eprintln!(
            "lapwing: warning: the baseline holds {} ({}) at {}: {}; left out",
            alert.title, alert.severity, alert.device, alert.explanation
        );
    }
    let learnt = lesson.learnt;
    eprintln!(
        "lapwing: learnt from {} of {} flows ({} left out because of alerts, {} thinned out)",
        lesson.len(),
        learnt.flows,
        learnt.left_out,
        learnt.thinned
    );
    Ok(lesson)
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
