//! Watching the logs that another sensor writes.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::{env, thread};

use anyhow::{Context, Result, bail};
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use lapwing_engine::{Control, Heard, Summary, Watching, missed_in_logs, run_followed};
use lapwing_records::{FollowConfig, FollowEvent, Followed};
use lapwing_store::Pressure;

use super::fence::Places;
use super::keep::keeping;
use super::told::Told;
use super::{Monitor, Prepared, conclude};
use crate::input::Input;
use crate::{Outcome, progress};

/// Which logs to follow.
#[derive(Args)]
pub(crate) struct Follow {
    /// Follow the conn.log that Zeek writes into this folder (its logs folder, with current/ in it, or its working folder), over
    /// rotation and restarts; repeatable; without a folder the usual ones
    // The parser of paths takes no empty one, which stands for the usual folders.
    #[arg(
        long,
        value_name = "DIR",
        num_args = 0..=1,
        default_missing_value = "",
        value_parser = OsStringValueParser::new().map(PathBuf::from),
        conflicts_with = "interface"
    )]
    zeek: Vec<PathBuf>,
    /// Follow Suricata's EVE in this file; repeatable
    #[arg(long, value_name = "FILE", conflicts_with = "interface")]
    eve: Vec<PathBuf>,
    /// Keep in this folder how far logs were read, so that a restart loses and repeats nothing [default: follow.state of the
    /// settings, or ~/.local/state/lapwing]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

impl Follow {
    pub(crate) fn is_asked(&self) -> bool {
        !self.zeek.is_empty() || !self.eve.is_empty()
    }

    pub(crate) fn is_zeek(&self) -> bool {
        !self.zeek.is_empty()
    }

    /// What to follow; positions are kept in `usual` where neither arguments nor settings name a folder.
    pub(crate) fn config(&self, input: &Input, usual: Option<PathBuf>) -> Result<FollowConfig> {
        let mut zeek = Vec::new();
        for folder in &self.zeek {
            if folder.as_os_str().is_empty() {
                zeek.extend(FollowConfig::usual_zeek());
            } else {
                zeek.push(folder.clone());
            }
        }
        let state = self.state.clone().or_else(|| input.settings.follow.state.clone()).or(usual);
        let state = state.context("no place for the positions of logs: name one by --state DIR")?;
        Ok(FollowConfig { zeek, eve: self.eve.clone(), state: Some(state) })
    }
}

/// What systemd gives the service, else what is the user's.
pub(crate) fn usual_state() -> Option<PathBuf> {
    let named = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    named("STATE_DIRECTORY")
        .or_else(|| named("XDG_STATE_HOME").map(|folder| folder.join("lapwing")))
        .or_else(|| named("HOME").map(|folder| folder.join(".local/state/lapwing")))
}

impl Monitor {
    pub(super) fn follow_logs(&self, input: &Input, prepared: Prepared) -> Result<Outcome> {
        if input.pipeline.filter.is_some() {
            bail!("--filter looks at packets, and logs have none");
        }
        let Prepared { mut detecting, scoring, reload, places, notes, stop, renew, mut locks } = prepared;
        let config = self.follow.config(input, usual_state())?;
        if let Some(folder) = &config.state {
            locks.take(folder)?;
        }
        let mut source = Followed::open(&config, tell)?;
        let written = self.written()?;
        let folders = Places { read: source.folders(), kept: config.state.into_iter().collect() };
        // Before any thread is started: none may stay outside.
        let fences = self.fence(input, folders)?;
        let mut kept = self.keep.open(&input.settings, Pressure::WaitBriefly, &mut detecting)?;
        let control = Arc::new(Control::default());
        let sinks = self.sinks(input, written, &Arc::default(), &control, kept.as_mut())?;
        let told = Told::new(sinks, reload, places, Arc::clone(&stop));
        let paths: Vec<String> = source.paths().map(|path| path.display().to_string()).collect();
        eprintln!("lapwing: following {} ({fences})", paths.join(", "));
        if let Some(seconds) = self.duration {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                thread::sleep(Duration::from_secs(seconds));
                stop.store(true, Ordering::Relaxed);
            });
        }
        let mut stage = Watching::new(detecting, told, renew, Heard::default);
        let run = progress::show(&control, || {
            keeping(kept.as_mut(), &mut stage, |stage| run_followed(&mut source, &scoring, stage, &control, &stop))
        });
        let (told, lost) = stage.finish(run.span.map(|(_, last)| last));
        let reports = source.reports();
        let mut summary = Summary::of_logs(&run, &reports);
        summary.coverage.extend(missed_in_logs(&reports));
        notes.add_to(&mut summary);
        summary.coverage.extend(lost);
        conclude(input, told, kept, summary, &run.timings)
    }
}

pub(crate) fn tell(event: FollowEvent) {
    match event {
        FollowEvent::Opened { path, offset: 0 } => eprintln!("lapwing: {}: read from its beginning", path.display()),
        FollowEvent::Opened { path, offset } => eprintln!("lapwing: {}: read on after byte {offset}", path.display()),
        FollowEvent::Rotated { path } => eprintln!("lapwing: {}: rotated", path.display()),
        FollowEvent::Truncated { path } => {
            eprintln!("lapwing: {}: became shorter or another; read from its beginning", path.display());
        }
        FollowEvent::Unreadable { path, reason } => {
            eprintln!("lapwing: {}: cannot be read: {reason}; tried again", path.display());
        }
        FollowEvent::Missing { path, offset } => eprintln!(
            "lapwing: {}: what it held when it was read up to byte {offset} is nowhere to be found; if it went on, that is lost",
            path.display()
        ),
        FollowEvent::Problem { what } => eprintln!("lapwing: {what}"),
        FollowEvent::NotKept { reason } => eprintln!("lapwing: {reason}; a restart now would read again"),
    }
}
