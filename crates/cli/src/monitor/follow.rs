//! Watching the logs that another sensor writes.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{env, thread};

use anyhow::{Context, Result, bail};
use clap::Args;
use lapwing_detect::signature::{LoadReport, SignatureSource};
use lapwing_engine::{Control, Detecting, Heard, Scoring, Summary, Watching, run_followed};
use lapwing_records::{FollowConfig, FollowEvent, Followed};

use super::told::Told;
use super::{Monitor, watch};
use crate::input::Input;
use crate::{Outcome, progress};

/// Which logs to follow.
#[derive(Args)]
pub(super) struct Follow {
    /// Follow the conn.log that Zeek writes into this folder (its logs folder, with current/ in it, or its working folder), over
    /// rotation and restarts; repeatable; without a folder the usual ones
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = "", conflicts_with = "interface")]
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
    pub(super) fn is_asked(&self) -> bool {
        !self.zeek.is_empty() || !self.eve.is_empty()
    }

    fn config(&self, input: &Input) -> Result<FollowConfig> {
        let mut zeek = Vec::new();
        for folder in &self.zeek {
            if folder.as_os_str().is_empty() {
                zeek.extend(FollowConfig::usual_zeek());
            } else {
                zeek.push(folder.clone());
            }
        }
        let state = self.state.clone().or_else(|| input.settings.follow.state.clone()).or_else(usual_state);
        let state = state.context("no place for the positions of logs: name one by --state DIR")?;
        Ok(FollowConfig { zeek, eve: self.eve.clone(), state: Some(state) })
    }
}

/// What systemd gives the service, else what is the user's.
fn usual_state() -> Option<PathBuf> {
    let named = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    named("STATE_DIRECTORY")
        .or_else(|| named("XDG_STATE_HOME").map(|folder| folder.join("lapwing")))
        .or_else(|| named("HOME").map(|folder| folder.join(".local/state/lapwing")))
}

/// What judges, ready to look.
pub(super) struct Prepared {
    pub(super) detecting: Detecting,
    pub(super) scoring: Scoring,
    pub(super) report: LoadReport,
    /// Rules that are not used, and models.
    pub(super) left_out: Vec<String>,
    pub(super) normal: Option<String>,
}

impl Monitor {
    pub(super) fn follow_logs(
        &self,
        input: &Input,
        prepared: Prepared,
        rules: impl Fn() -> Result<Vec<SignatureSource>> + Send,
        stop: &Arc<AtomicBool>,
        reload: Arc<AtomicBool>,
    ) -> Result<Outcome> {
        if input.pipeline.filter.is_some() {
            bail!("--filter looks at packets, and logs have none");
        }
        let mut source = Followed::open(&self.follow.config(input)?, tell)?;
        let told = Told::new(self.sinks(input, self.written()?, &Arc::default())?, rules, Arc::clone(stop));
        let paths: Vec<String> = source.paths().map(|path| path.display().to_string()).collect();
        eprintln!("lapwing: following {}", paths.join(", "));
        if let Some(seconds) = self.duration {
            let stop = Arc::clone(stop);
            thread::spawn(move || {
                thread::sleep(Duration::from_secs(seconds));
                stop.store(true, Ordering::Relaxed);
            });
        }
        let control = Control::default();
        let mut stage = Watching::new(prepared.detecting, told, reload, Heard::default);
        let run =
            progress::watch(&control, || run_followed(&mut source, &prepared.scoring, &mut stage, &control, stop))?;
        let (told, lost) = stage.finish(run.span.map(|(_, last)| last));
        let mut summary = Summary::of_logs(&run, &source.reports());
        summary.note_signatures(&prepared.report);
        summary.not_evaluated.extend(prepared.left_out.into_iter().chain(prepared.normal));
        summary.coverage.extend(lost);
        eprint!("{}", watch::closing(&summary, told.alerts()));
        input.tell_timings(&run.timings);
        told.finish().context("the alerts cannot be written")?;
        Ok(Outcome::Done)
    }
}

fn tell(event: FollowEvent) {
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
