//! What a live run keeps in the store.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use lapwing_alert::{Alert, Status};
use lapwing_capture::Timestamp;
use lapwing_engine::{Config, Detecting, Recording, Stage};
use lapwing_store::{AlertQuery, AlertRecorder, Pressure, Recorder, Store, StoreError, TimeRange, is_server};

use super::suppressed::{Current, Unsuppressed};
use super::told::Sink;
use crate::store;

/// Where to keep.
#[derive(Args)]
pub(crate) struct Keep {
    /// Keep alerts, flows and devices there too: a folder, or postgres://USER@HOST/DATABASE [default: the place of the settings,
    /// else nothing is kept]
    #[arg(long, value_name = "PLACE", env = "LAPWING_STORE")]
    store: Option<PathBuf>,
}

impl Keep {
    /// The store that the arguments or the settings name.
    pub(crate) fn place<'a>(&'a self, settings: &'a Config) -> Option<&'a Path> {
        self.store.as_deref().or(settings.store.place.as_deref())
    }

    /// The folder of the store, if it is one.
    pub(crate) fn folder<'a>(&'a self, settings: &'a Config) -> Option<&'a Path> {
        self.place(settings).filter(|place| !is_server(place))
    }

    /// Opens the store, has the run go on with what it remembers, and starts the thread that writes to it: behind the fence, for
    /// connections have threads of their own.
    pub(crate) fn open(
        &self,
        settings: &Config,
        pressure: Pressure,
        detecting: &mut Detecting,
    ) -> Result<Option<Keeping>> {
        let opened = store::record(self.place(settings), settings, pressure);
        let opened = opened.context("the store cannot be used; without --store nothing is kept")?;
        Ok(opened.map(|(store, recorder)| Keeping::going_on(store, recorder, detecting)))
    }
}

/// Devices and open alerts that are taken over from an earlier run, the latest: no more than a run holds.
const MOST_DEVICES: usize = 10_240;
const MOST_ALERTS: usize = 4_096;

/// A store that is written while the run goes on. Detection never waits for it.
pub(crate) struct Keeping {
    store: Arc<Store>,
    recorder: Recorder,
    /// A later run goes on with this one.
    remembers: bool,
    /// The run that this one goes on with, by the time of its first packet.
    run: Option<Timestamp>,
    /// Alerts of it that are open, and not suppressed.
    open: HashSet<String>,
    /// Somebody has stopped what is played.
    stopped: Option<Arc<AtomicBool>>,
}

impl Keeping {
    /// Keeps a run in a store that is open; `detecting` goes on with what the store remembers, where it is given.
    pub(crate) fn on(store: Arc<Store>, pressure: Pressure, detecting: Option<&mut Detecting>) -> Self {
        let recorder = Recorder::start(Arc::clone(&store), pressure, |problem| eprintln!("lapwing: {problem}"));
        match detecting {
            Some(detecting) => Self::going_on(store, recorder, detecting),
            None => Self { store, recorder, remembers: false, run: None, open: HashSet::new(), stopped: None },
        }
    }

    fn going_on(store: Arc<Store>, recorder: Recorder, detecting: &mut Detecting) -> Self {
        let mut keeping = Self { store, recorder, remembers: true, run: None, open: HashSet::new(), stopped: None };
        // One damaged row of hundreds, and nobody would watch.
        if let Err(error) = keeping.recall(detecting) {
            eprintln!("lapwing: warning: what an earlier run kept cannot be read, and this one begins anew: {error}");
        }
        keeping
    }

    /// Has the run go on with the devices and the open alerts of the one before: with all that was kept, or on an error with none.
    fn recall(&mut self, detecting: &mut Detecting) -> Result<(), StoreError> {
        let Some((run, devices)) = self.store.remembered(MOST_DEVICES)? else { return Ok(()) };
        let mut alerts = Vec::new();
        for status in [Status::Open, Status::Acknowledged] {
            let time = TimeRange { from: Some(run), until: None };
            let query = AlertQuery {
                status: Some(status),
                suppressed: true,
                time,
                run: Some(run),
                limit: Some(MOST_ALERTS),
                ..AlertQuery::default()
            };
            alerts.extend(self.store.alerts(&query)?.items);
        }
        eprintln!("lapwing: going on with {} devices and {} open alerts", devices.len(), alerts.len());
        self.run = Some(run);
        let told = alerts.iter().filter(|alert| alert.suppressed_by.is_none());
        self.open = told.map(|alert| alert.id.clone()).collect();
        detecting.recall_devices(devices);
        detecting.recall_alerts(alerts);
        Ok(())
    }

    /// Keeps of what is played only what is over before `stopped` is set: see [`Recording::until`].
    pub(crate) fn until(self, stopped: Arc<AtomicBool>) -> Self {
        Self { stopped: Some(stopped), ..self }
    }

    /// The run that this one goes on with.
    pub(crate) fn run(&self) -> Option<Timestamp> {
        self.run
    }

    /// What takes alerts to the store, and knows what was kept.
    pub(crate) fn alerts(&self) -> AlertRecorder {
        self.recorder.for_alerts()
    }

    /// Puts the store beside other sinks: it gets all alerts, they those that are not suppressed there.
    pub(crate) fn beside(&mut self, others: Vec<Box<dyn Sink>>) -> Result<Vec<Box<dyn Sink>>, StoreError> {
        let current = Current::start(Arc::clone(&self.store))?;
        let told = std::mem::take(&mut self.open);
        Ok(vec![Box::new(self.alerts()), Box::new(Unsuppressed::new(others, current, told))])
    }

    /// Writes what waits, for so long at most; says what was left out on the way, for the summary.
    pub(crate) fn finish(self, limit: Duration) -> Result<BTreeMap<String, u64>> {
        let recorded = self.recorder.finish_within(limit).context("not everything was kept")?;
        let left_out = [("flows_not_kept", recorded.flows_left_out), ("alerts_not_kept", recorded.alerts_lost)];
        Ok(left_out.into_iter().filter(|(_, count)| *count > 0).map(|(what, count)| (what.to_owned(), count)).collect())
    }
}

/// Does `work` on a stage of which flows and devices are kept, where something is.
pub(crate) fn keeping<T>(
    keeping: Option<&mut Keeping>,
    stage: &mut dyn Stage,
    work: impl FnOnce(&mut dyn Stage) -> T,
) -> T {
    let Some(keeping) = keeping else { return work(stage) };
    let mut recording = if keeping.remembers {
        Recording::going_on(stage, &mut keeping.recorder, keeping.run)
    } else {
        let recording = Recording::new(stage, &mut keeping.recorder).promptly();
        match &keeping.stopped {
            Some(stopped) => recording.until(Arc::clone(stopped)),
            None => recording,
        }
    };
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
