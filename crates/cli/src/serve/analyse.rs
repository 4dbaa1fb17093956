//! Reading a capture that was handed in, apart from what is watched.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, bail};
use lapwing_api::{Analysis, Findings};
use lapwing_capture::Inputs;
use lapwing_detect::Anomaly;
use lapwing_engine::{PipelineConfig, Recording, Summary};
use lapwing_store::{Pressure, Recorder};

use super::run::Runner;

impl Runner {
    /// Looks for what is wrong in a capture, as `scan` does.
    pub(super) fn analyse(&self, analysis: &Analysis<'_>) -> Result<Findings> {
        let mut source = Inputs::open(&[PathBuf::from(analysis.path)])?;
        let (mut stage, scoring, report) = self.detecting(self.asked_for(analysis.model), false);
        let mut recorder = Recorder::start(Arc::clone(analysis.store), Pressure::Wait, |problem| {
            eprintln!("lapwing: an upload: {problem}");
        });
        let pipeline = PipelineConfig {
            filter: analysis.filter.cloned(),
            limit: Some(analysis.most_frames),
            // What is watched comes first.
            threads: 1,
            ..self.input.pipeline.clone()
        };
        let mut recording = Recording::new(&mut stage, &mut recorder);
        let ran = lapwing_engine::run(&mut source, &pipeline, &scoring, &mut recording, analysis.control);
        recording.finish();
        let reports = lapwing_capture::Source::reports(&source);
        let mut summary = Summary::new(&ran, &reports);
        summary.note_signatures(&report);
        let mut raised = stage.finish(ran.span.map(|(_, last)| last));
        let places = self.input.settings.geo.open()?;
        raised.alerts.iter_mut().for_each(|alert| places.note(alert));
        raised.alerts.iter().for_each(|alert| recorder.alert(alert));
        recorder.finish()?;
        if let Some(error) = ran.error
            && ran.frames == 0
        {
            bail!(error);
        }
        let worst = raised.alerts.iter().map(|alert| alert.severity).max();
        let mut warnings: Vec<String> = reports.into_iter().flat_map(|report| report.warnings).collect();
        if ran.frames >= analysis.most_frames {
            warnings.push(format!("only the first {} frames were read", analysis.most_frames));
        }
        Ok(Findings {
            packets: summary.packets,
            bytes: summary.bytes,
            flows: summary.flows,
            alerts: raised.alerts.len() as u64,
            anomalies: 0,
            first: summary.first,
            last: summary.last,
            worst: worst.map(|severity| severity.as_str().to_owned()),
            warnings,
        })
    }

    /// The judge that was asked for; all in use where none was.
    fn asked_for(&self, name: Option<&str>) -> Vec<Anomaly> {
        match name {
            None => self.judging.in_use(),
            Some(name) => {
                let asked = self.judging.models().into_iter().filter(|(model, _)| model.name == name);
                asked.map(|(model, _)| model.anomaly).collect()
            }
        }
    }
}
