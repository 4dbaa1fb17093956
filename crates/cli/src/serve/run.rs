//! The thread that watches, one source after another.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use lapwing_alert::{AlertConfig, Places};
use lapwing_api::{Feed, Feeding, Second, SourceKind, SourceState, SourceStatus};
use lapwing_asset::Inventory;
use lapwing_capture::Timestamp;
use lapwing_detect::Anomaly;
use lapwing_detect::packets::Method;
use lapwing_detect::signature::LoadReport;
use lapwing_engine::packets::{Tap, Tapped};
use lapwing_engine::{Control, Detecting, PipelineConfig, Scoring, Stage, Watching};
use lapwing_export::SinkStatus;
use lapwing_export::metrics::Metrics;
use lapwing_store::{Pressure, Store};

use super::judging::Judging;
use super::now::{Now, State};
use super::open::{Frames, Opened};
use super::shown::{Handed, Shown};
use crate::baseline::Normal;
use crate::delivery::Delivering;
use crate::input::Input;
use crate::judge::JudgeOptions;
use crate::monitor::keep::{Keeping, keeping};
use crate::monitor::metered::{Counting, Metered};
use crate::monitor::told::{Sink, Told};
use crate::monitor::watch;
use crate::sources::Named;
use crate::store::now;

/// How long the store has to take what waits when a source is left.
const STORE_FAREWELL: Duration = Duration::from_secs(3);

/// Whether what such a source brings did not happen when it is watched.
fn is_played(kind: SourceKind) -> bool {
    matches!(kind, SourceKind::Replay | SourceKind::Simulate)
}

/// What is needed to watch any source.
pub(super) struct Runner {
    pub(super) input: Input,
    pub(super) judge: JudgeOptions,
    pub(super) judging: Arc<Judging>,
    /// The devices of the baseline.
    normal: Option<Inventory>,
    pub(super) not_evaluated: Vec<String>,
    pub(super) store: Arc<Store>,
    pub(super) feed: Feed,
    pub(super) tap: Tap,
    /// Held while seconds go from the tap to the feed, and while both turn to another source: none of one comes to be shown with
    /// the other.
    showing: Mutex<()>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) renew: Arc<AtomicBool>,
    pub(super) delivering: Option<Arc<Mutex<Delivering>>>,
    pub(super) now: Arc<Now>,
}

impl Runner {
    /// Reads what sources are judged by.
    pub(super) fn new(
        input: Input,
        judge: &JudgeOptions,
        store: Arc<Store>,
        feed: Feed,
        renew: Arc<AtomicBool>,
    ) -> Result<Self> {
        let rules = judge.rules(&input.settings.signatures)?;
        let trusted = Named::of(&judge.baseline);
        let normal = Normal::read(&input, &judge.model, &trusted, &rules.sources, &Control::default())?;
        let not_evaluated = rules.left_out.iter().cloned().chain(normal.not_evaluated).collect();
        let judging = Arc::new(Judging::new(rules.sources, normal.models, normal.learnt));
        let tap = Tap::default();
        tap.judge_by(Method::default()).map_err(anyhow::Error::msg)?;
        let (metrics, now) = (Arc::new(Metrics::default()), Arc::new(Now::default()));
        Metered::describe(&metrics);
        let shown = Arc::clone(&now);
        metrics.before_rendering(move |metrics| {
            let state = shown.lock();
            let (status, control) = (Arc::clone(&state.live), Arc::clone(&state.control));
            let played = is_played(state.status.kind).then(|| state.status.names.join(", "));
            drop(state);
            Counting { status, control, kept: None, played }.show(metrics);
        });
        let delivering = Delivering::live(&input.settings)?;
        if let Some(delivering) = &delivering {
            delivering.show_in(&metrics);
        }
        Ok(Self {
            input,
            judge: judge.clone(),
            judging,
            normal: normal.inventory,
            not_evaluated,
            store,
            feed,
            tap,
            showing: Mutex::default(),
            metrics,
            renew,
            delivering: delivering.map(|delivering| Arc::new(Mutex::new(delivering))),
            now,
        })
    }

    /// What judges a run by the rules that are in force and by these models. Nothing that the baseline had is new to it.
    pub(super) fn detecting(&self, anomalies: Vec<Anomaly>, simulated: bool) -> (Detecting, Scoring, LoadReport) {
        let alerts = AlertConfig { simulated, ..AlertConfig::from(&self.input.settings.alert) };
        let (mut detecting, scoring, report) =
            Detecting::new(&self.input.local, &self.judging.rules(), anomalies, alerts);
        if let Some(normal) = &self.normal {
            detecting.set_inventory(normal.clone());
        }
        (detecting, scoring, report)
    }

    /// What became of deliveries.
    pub(super) fn sinks(&self) -> Vec<SinkStatus> {
        let status =
            |delivering: &Arc<Mutex<Delivering>>| delivering.lock().unwrap_or_else(PoisonError::into_inner).status();
        self.delivering.as_ref().map(status).unwrap_or_default()
    }

    /// Gives receivers a little time for what waits.
    pub(super) fn finish_deliveries(&self) {
        if let Some(delivering) = &self.delivering {
            let finished = delivering.lock().unwrap_or_else(PoisonError::into_inner).finish();
            if let Err(error) = finished {
                eprintln!("lapwing: {error}");
            }
        }
    }

    /// Watches the source of that number until it ends, or is told to.
    pub(super) fn watch(&self, number: u64, opened: Opened) {
        let name = opened.status.names.join(", ");
        let outcome = self.go_through(number, opened);
        let (state, detail) = match &outcome {
            Ok(()) => (SourceState::Ended, None),
            Err(error) => (SourceState::Failed, Some(crate::told(error))),
        };
        if let Some(detail) = &detail {
            eprintln!("lapwing: {name}: {detail}");
        }
        self.now.change(|now| {
            let stopped = now.stop.load(Ordering::Relaxed) && outcome.is_ok();
            now.status.state = if stopped { SourceState::Stopped } else { state };
            now.status.detail = detail;
            now.note_progress();
        });
    }

    fn go_through(&self, number: u64, opened: Opened) -> Result<()> {
        let settings = &self.input.settings;
        let (mut detecting, scoring, report) = self.detecting(self.judging.in_use(), opened.status.simulated);
        let scoring = Arc::new(scoring);
        self.judging.score_with(Arc::clone(&scoring));
        let pressure = match opened.status.kind {
            SourceKind::Interface => Pressure::LeaveOut,
            // They do not run away.
            SourceKind::Zeek | SourceKind::Eve => Pressure::WaitBriefly,
            SourceKind::Replay | SourceKind::Simulate | SourceKind::None => Pressure::Wait,
        };
        let goes_on = pressure != Pressure::Wait;
        let kept = Keeping::on(Arc::clone(&self.store), pressure, goes_on.then_some(&mut detecting));
        let mut kept = if goes_on { kept } else { kept.until(Arc::clone(&opened.stop)) };
        let control = Arc::new(Control::default());
        control.watch();
        let status = SourceStatus { state: SourceState::Running, since: Some(now()), ..opened.status };
        let is_framed = !matches!(opened.frames, Frames::Logs(_));
        let (live, pace) = match &opened.frames {
            Frames::Live(_, live) => (Arc::clone(live), None),
            Frames::Replay(_, pace) => (Arc::default(), Some(Arc::clone(pace))),
            Frames::Logs(_) => (Arc::default(), None),
        };
        let showing = self.showing.lock().unwrap_or_else(PoisonError::into_inner);
        self.tap.begin_anew();
        self.feed.begin(is_framed, kept.run());
        drop(showing);
        self.now.change(|now| {
            *now = State {
                status,
                control: Arc::clone(&control),
                live: Arc::clone(&live),
                pace,
                stop: Arc::clone(&opened.stop),
                captures: opened.captures.clone(),
                kept: Some(kept.alerts()),
                report,
                run: number,
                ..State::default()
            };
        });
        let places = settings.geo.open().context("[geo]")?;
        let told = self.told(&mut kept, places, &opened.stop, !goes_on)?;
        let heard = move || watch::heard(&live.interfaces());
        let mut stage = Watching::new(detecting, told, Arc::clone(&self.renew), heard);
        let pipeline = PipelineConfig { filter: opened.filter.clone(), ..self.input.pipeline.clone() };
        let (span, error) = keeping(Some(&mut kept), &mut stage, |stage| {
            let mut feeding = Feeding::new(stage, self.feed.clone());
            self.run(opened.frames, &pipeline, &scoring, &mut feeding, &control, &opened.stop)
        });
        let (told, lost) = stage.finish(span.map(|(_, last)| last));
        self.now.change(|now| now.lost = lost);
        told.finish().context("the alerts cannot be handed on")?;
        kept.finish(STORE_FAREWELL)?;
        error.map_or(Ok(()), Err)
    }

    fn run(
        &self,
        frames: Frames,
        pipeline: &PipelineConfig,
        scoring: &Scoring,
        stage: &mut dyn Stage,
        control: &Control,
        stop: &AtomicBool,
    ) -> (Option<(Timestamp, Timestamp)>, Option<anyhow::Error>) {
        match frames {
            Frames::Live(source, _) | Frames::Replay(source, _) => {
                let mut source = Tapped::new(source, &self.tap, pipeline.filter.clone());
                let ran = lapwing_engine::run(&mut source, pipeline, scoring, stage, control);
                (ran.span, ran.error.map(anyhow::Error::from))
            }
            Frames::Logs(mut source) => {
                let ran = lapwing_engine::run_followed(&mut source, scoring, stage, control, stop);
                (ran.span, None)
            }
        }
    }

    /// Shows in the feed which seconds are over; `known` is the last that it was shown.
    pub(super) fn show_seconds(&self, known: &mut u64) {
        let _showing = self.showing.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = self.tap.seconds(*known);
        let Some(last) = seconds.last() else { return };
        *known = last.sequence;
        let shown: Vec<Second> = seconds
            .iter()
            .map(|second| {
                let all = second.totals.all();
                let (packets, bytes, anomalies) = (all.packets, all.bytes, second.totals.anomalies);
                Second { time: second.time, packets, bytes, anomalies, alerts: 0 }
            })
            .collect();
        self.feed.seconds(&shown);
    }

    fn told(&self, kept: &mut Keeping, places: Places, stop: &Arc<AtomicBool>, played: bool) -> Result<Told> {
        let mut others: Vec<Box<dyn Sink>> = vec![Box::new(Metered::counting(Arc::clone(&self.metrics), played))];
        others.push(Box::new(Shown { feed: self.feed.clone(), now: Arc::clone(&self.now) }));
        if let Some(delivering) = &self.delivering {
            others.push(Box::new(Handed(Arc::clone(delivering))));
        }
        let sinks = kept.beside(others).context("the store cannot be used")?;
        Ok(Told::new(sinks, self.reload(), places, Arc::clone(stop)))
    }
}
