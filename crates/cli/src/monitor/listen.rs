//! Listening to interfaces.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lapwing_capture::{InterfaceInfo, LiveConfig, LiveSource, LiveStatus, Recorder, Rotation, Source, interfaces};
use lapwing_engine::{Control, Summary, Watching};
use lapwing_store::Pressure;

use super::fence::Places;
use super::keep::keeping;
use super::told::Told;
use super::{Monitor, Prepared, conclude, watch};
use crate::input::Input;
use crate::{Outcome, output};

impl Monitor {
    pub(super) fn listen(&self, mut input: Input, prepared: Prepared) -> Result<Outcome> {
        let source = LiveSource::open(self.live(&mut input), Arc::clone(&prepared.stop), watch::tell)?;
        for warning in source.reports().iter().flat_map(|report| &report.warnings) {
            eprintln!("lapwing: {warning}");
        }
        let status = source.status();
        let begun = format!("listening to {}", self.interfaces().join(", "));
        self.watch_frames(&input, prepared, source, &status, &begun)
    }

    /// Runs a source of frames that go on, until it ends; `begun` says what begins.
    pub(super) fn watch_frames(
        &self,
        input: &Input,
        prepared: Prepared,
        source: impl Source + 'static,
        status: &Arc<LiveStatus>,
        begun: &str,
    ) -> Result<Outcome> {
        let Prepared { mut detecting, scoring, reload, places, notes, stop, renew, locks: _locks } = prepared;
        let (mut source, not_kept) = self.keep_frames(source)?;
        let written = self.written()?;
        // Before any thread is started: none may stay outside.
        let fences = self.fence(input, Places::default())?;
        let mut kept = self.keep.open(&input.settings, Pressure::LeaveOut, &mut detecting)?;
        let control = Arc::new(Control::default());
        let sinks = self.sinks(input, written, status, &control, kept.as_mut())?;
        let told = Told::new(sinks, reload, places, Arc::clone(&stop));
        eprintln!("lapwing: {begun} ({fences})");
        let heard = {
            let status = Arc::clone(status);
            move || watch::heard(&status.interfaces())
        };
        let mut stage = Watching::new(detecting, told, renew, heard);
        let ran = watch::watch(status, &control, &stop, self.duration.map(Duration::from_secs), || {
            keeping(kept.as_mut(), &mut stage, |stage| {
                lapwing_engine::run(&mut *source, &input.pipeline, &scoring, stage, &control)
            })
        });
        let (told, lost) = stage.finish(ran.span.map(|(_, last)| last));
        let mut summary = Summary::new(&ran, &source.reports());
        notes.add_to(&mut summary);
        summary.coverage.extend(lost);
        summary.coverage.extend(watch::gaps(&status.interfaces(), not_kept.load(Ordering::Relaxed)));
        let concluded = conclude(input, told, kept, summary, &ran.timings);
        if let Some(error) = ran.error {
            bail!(error);
        }
        concluded
    }

    /// Those named; one that is named twice is listened to once.
    fn interfaces(&self) -> Vec<String> {
        let mut seen = BTreeSet::new();
        self.interface.iter().filter(|name| seen.insert(name.as_str())).cloned().collect()
    }

    /// The source filters and counts, so that the pipeline takes all it gets.
    fn live(&self, input: &mut Input) -> LiveConfig {
        LiveConfig {
            interfaces: self.interfaces(),
            filter: input.pipeline.filter.take(),
            promiscuous: !self.no_promiscuous,
            buffer: (self.buffer.get() as usize) << 20,
            rings: self.rings.get() as usize,
            limit: input.pipeline.limit.take(),
        }
    }

    /// The source, whose frames are kept where that was asked for, and how many could not be.
    fn keep_frames(&self, source: impl Source + 'static) -> Result<(Box<dyn Source>, Arc<AtomicU64>)> {
        let Some(folder) = &self.write else { return Ok((Box::new(source), Arc::default())) };
        let rotation = Rotation {
            size: self.write_size.get() << 20,
            time: Duration::from_secs(self.write_seconds.get()),
            files: self.write_files.map(|files| files.get() as usize),
            ..Rotation::default()
        };
        let recorder = Recorder::new(source, folder, rotation, watch::tell_recorder)
            .with_context(|| format!("--write {}: frames cannot be kept there", folder.display()))?;
        let lost = recorder.lost();
        Ok((Box::new(recorder), lost))
    }
}

/// Shows the interfaces of this machine.
pub(super) fn list() -> Result<Outcome> {
    output::print(&table(&interfaces().context("the interfaces cannot be listed")?))?;
    Ok(Outcome::Done)
}

fn table(interfaces: &[InterfaceInfo]) -> String {
    let mut text = format!("{:<16} {:<8} {:<18} {:>6} {:>8}\n", "interface", "state", "address", "mtu", "Mbit/s");
    for interface in interfaces {
        let state = match (interface.up, interface.carrier) {
            (false, _) => "down",
            (true, false) if !interface.loopback => "no link",
            _ => "up",
        };
        let speed = interface.speed.map_or_else(|| "-".to_owned(), |speed| speed.to_string());
        let address = interface.address.as_deref().unwrap_or("-");
        text.push_str(&format!("{:<16} {state:<8} {address:<18} {:>6} {speed:>8}\n", interface.name, interface.mtu));
    }
    text
}
