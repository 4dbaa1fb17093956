//! What a live run keeps in the store.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use lapwing_alert::Alert;
use lapwing_engine::{Config, Recording, Stage};
use lapwing_store::{AlertRecorder, Pressure, Recorder, Store, is_server};

use super::Sink;
use crate::store;

/// Where to keep.
#[derive(Args)]
pub(super) struct Keep {
    /// Keep alerts, flows and devices there too: a folder, or postgres://USER@HOST/DATABASE [default: the place of the settings,
    /// else nothing is kept]
    #[arg(long, value_name = "PLACE", env = "LAPWING_STORE")]
    store: Option<PathBuf>,
}

impl Keep {
    /// The store that the arguments or the settings name.
    pub(super) fn place<'a>(&'a self, settings: &'a Config) -> Option<&'a Path> {
        self.store.as_deref().or(settings.store.place.as_deref())
    }

    /// The folder of the store, if it is one.
    pub(super) fn folder<'a>(&'a self, settings: &'a Config) -> Option<&'a Path> {
        self.place(settings).filter(|place| !is_server(place))
    }

    /// Opens the store and starts the thread that writes to it: behind the fence, for connections have threads of their own.
    pub(super) fn open(&self, settings: &Config, pressure: Pressure) -> Result<Option<Keeping>> {
        let opened = store::record(self.place(settings), settings, pressure);
        let opened = opened.context("the store cannot be used; without --store nothing is kept")?;
        Ok(opened.map(|(store, recorder)| Keeping { _store: store, recorder }))
    }
}

/// A store that is written while the run goes on. Detection never waits for it.
pub(super) struct Keeping {
    _store: Arc<Store>,
    recorder: Recorder,
}

impl Keeping {
    /// What takes alerts to the store.
    pub(super) fn alerts(&self) -> AlertRecorder {
        self.recorder.for_alerts()
    }

    /// Writes what waits, for so long at most; says what was left out on the way, for the summary.
    pub(super) fn finish(self, limit: Duration) -> Result<BTreeMap<String, u64>> {
        let recorded = self.recorder.finish_within(limit).context("not everything was kept")?;
        let left_out = [("flows_not_kept", recorded.flows_left_out), ("alerts_not_kept", recorded.alerts_lost)];
        Ok(left_out.into_iter().filter(|(_, count)| *count > 0).map(|(what, count)| (what.to_owned(), count)).collect())
    }
}

/// Does `work` on a stage of which flows and devices are kept, where something is.
pub(super) fn keeping<T>(
    keeping: Option<&mut Keeping>,
    stage: &mut dyn Stage,
    work: impl FnOnce(&mut dyn Stage) -> T,
) -> T {
    let Some(keeping) = keeping else { return work(stage) };
    let mut recording = Recording::new(stage, &mut keeping.recorder);
    let done = work(&mut recording);
    recording.finish();
    done
}

impl Sink for AlertRecorder {
    fn take(&mut self, alerts: &[Alert]) -> io::Result<()> {
        alerts.iter().for_each(|alert| self.alert(alert));
        Ok(())
    }
}
