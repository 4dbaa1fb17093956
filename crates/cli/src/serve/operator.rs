//! What the API asks of, and tells, the run.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Result, bail};
use lapwing_alert::rfc3339;
use lapwing_api::{
    Coverage, DetectionChoice, InterfaceCoverage, InterfaceView, MethodView, ModelView, Operator, Refused,
    SignatureView, SinkView, SourceChoice, SourceState, SourceStatus,
};
use lapwing_capture::{Timestamp, interfaces};
use lapwing_detect::Anomaly;
use lapwing_detect::signature::Standing;

use super::open::{Opened, Opening};
use super::run::Runner;
use crate::monitor::watch;

/// How long turning to another source may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often seconds that are over are shown.
const EVERY: Duration = Duration::from_millis(250);

/// The run, and the thread that it is on.
pub(super) struct Serving {
    runner: Arc<Runner>,
    opening: Opening,
    next: Mutex<Option<Sender<Opened>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    over: Arc<AtomicBool>,
    /// One at a time turns to another source.
    turning: Mutex<()>,
}

impl Serving {
    /// Starts the thread, which waits for a source.
    pub(super) fn new(runner: Runner, opening: Opening) -> Self {
        let runner = Arc::new(runner);
        let (next, waiting) = channel();
        let over = Arc::new(AtomicBool::new(false));
        let watching = {
            let runner = Arc::clone(&runner);
            thread::spawn(move || watch_all(&runner, &waiting))
        };
        let showing = {
            let (runner, over) = (Arc::clone(&runner), Arc::clone(&over));
            thread::spawn(move || show_seconds(&runner, &over))
        };
        Self {
            runner,
            opening,
            next: Mutex::new(Some(next)),
            threads: Mutex::new(vec![watching, showing]),
            over,
            turning: Mutex::default(),
        }
    }

    /// Watches the first source.
    pub(super) fn begin(&self, opened: Opened) {
        self.turn_to(opened);
    }

    fn turn_to(&self, opened: Opened) -> bool {
        let before = self.runner.now.lock().run;
        self.runner.now.lock().stop.store(true, Ordering::Relaxed);
        let next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = next.as_ref().is_some_and(|next| next.send(opened).is_ok());
        drop(next);
        sent && self.runner.now.wait(PATIENCE, |now| now.run > before)
    }

    /// Ends what is watched, and the threads.
    pub(super) fn finish(&self) -> Result<()> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.over.store(true, Ordering::Relaxed);
        self.runner.now.lock().stop.store(true, Ordering::Relaxed);
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        if threads.into_iter().map(JoinHandle::join).any(|joined| joined.is_err()) {
            bail!("a thread went wrong");
        }
        self.runner.finish_deliveries();
        Ok(())
    }
}

fn watch_all(runner: &Runner, waiting: &Receiver<Opened>) {
    while let Ok(opened) = waiting.recv() {
        runner.watch(opened);
    }
}

fn show_seconds(runner: &Runner, over: &AtomicBool) {
    let known = AtomicU64::new(0);
    let (never, nothing) = channel::<()>();
    while !over.load(Ordering::Relaxed) {
        runner.show_seconds(&known);
        if nothing.recv_timeout(EVERY) == Err(RecvTimeoutError::Disconnected) {
            break;
        }
    }
    drop(never);
}

impl Operator for Serving {
    fn source(&self) -> SourceStatus {
        let mut now = self.runner.now.lock();
        now.note_progress();
        let models = self.runner.anomalies.len();
        SourceStatus { models: (0..models).map(|place| self.model_name(place)).collect(), ..now.status.clone() }
    }

    fn watch(&self, wanted: SourceChoice) -> Result<SourceStatus, Refused> {
        let _turn = self.turning.lock().unwrap_or_else(PoisonError::into_inner);
        let opened = self.opening.open(&wanted, None).map_err(|error| Refused::Invalid(crate::told(&error)))?;
        if !self.turn_to(opened) {
            return Err(Refused::Conflict("the source before does not end; try again".to_owned()));
        }
        Ok(self.source())
    }

    fn stop(&self) -> SourceStatus {
        let _turn = self.turning.lock().unwrap_or_else(PoisonError::into_inner);
        self.runner.now.lock().stop.store(true, Ordering::Relaxed);
        self.runner.now.wait(PATIENCE, |now| now.status.state != SourceState::Running);
        self.source()
    }

    fn interfaces(&self) -> Vec<InterfaceView> {
        let found = interfaces().unwrap_or_default();
        let view = |interface: lapwing_capture::InterfaceInfo| {
            let sort = if interface.loopback {
                "loopback"
            } else if PathBuf::from(format!("/sys/class/net/{}/wireless", interface.name)).exists() {
                "wireless"
            } else if PathBuf::from(format!("/sys/class/net/{}/device", interface.name)).exists() {
                "wired"
            } else {
                "virtual"
            };
            let state = if !interface.up {
                ", down"
            } else if !interface.carrier && !interface.loopback {
                ", no link"
            } else {
                ""
            };
            InterfaceView {
                description: format!("{sort}{state}"),
                ip: interface.address,
                up: interface.up,
                name: interface.name,
            }
        };
        found.into_iter().map(view).collect()
    }

    fn methods(&self) -> Vec<MethodView> {
        Vec::new()
    }

    fn judge(&self, _wanted: DetectionChoice) -> Result<(), Refused> {
        Err(Refused::Conflict("packets are not judged yet".to_owned()))
    }

    fn coverage(&self) -> Coverage {
        let now = self.runner.now.lock();
        let (interfaces, counted, lost) = (now.live.interfaces(), now.control.counted(), now.lost.clone());
        let frames = now.control.frames();
        drop(now);
        let heard = watch::heard(&interfaces);
        let received = heard.received.max(frames);
        let view = |it: lapwing_capture::InterfaceStatus| InterfaceCoverage {
            name: it.interface,
            up: it.up,
            silent: it.silent,
            packets: it.packets,
            bytes: it.bytes,
            dropped: it.dropped,
            outages: it.outages,
            downtime_seconds: it.downtime.as_secs_f64(),
        };
        Coverage {
            received,
            dropped: heard.dropped,
            dropped_share: heard.dropped as f64 / received.max(1) as f64,
            interfaces: interfaces.into_iter().map(view).collect(),
            undecoded: counted.decode.undecoded.iter().map(|(what, count)| (what.to_string(), *count)).collect(),
            lost,
            not_evaluated: self.runner.not_evaluated.clone(),
        }
    }

    fn models(&self) -> Vec<ModelView> {
        let view = |(place, anomaly): (usize, &Anomaly)| self.model_view(place, anomaly);
        self.runner.anomalies.iter().enumerate().map(view).collect()
    }

    fn signatures(&self) -> Vec<SignatureView> {
        let now = self.runner.now.lock();
        let rules = now.report.rules.iter().map(|rule| {
            let hits = now.hits.get(&rule.id).copied();
            let (status, problem) = match &rule.standing {
                Standing::Evaluated => ("active", None),
                Standing::NotEvaluated { needs } => ("not evaluated", Some(format!("needs {needs}"))),
            };
            let kind = lapwing_detect::kind_info(&rule.kind);
            SignatureView {
                id: rule.id.clone(),
                title: rule.title.clone(),
                severity: rule.severity.as_str().to_owned(),
                source: rule.file.clone(),
                techniques: kind.map_or(&[][..], |kind| kind.techniques).iter().map(|&it| it.to_owned()).collect(),
                hits: hits.map_or(0, |(count, _)| count),
                last_hit: hits.map(|(_, time)| rfc3339(time)),
                status: status.to_owned(),
                problem,
            }
        });
        let refused = now.report.problems.iter().map(|problem| SignatureView {
            id: format!("{}:{}", problem.file, problem.line),
            title: problem.file.clone(),
            severity: "informational".to_owned(),
            source: problem.file.clone(),
            status: "refused".to_owned(),
            problem: Some(problem.reason.clone()),
            ..SignatureView::default()
        });
        rules.chain(refused).collect()
    }

    fn sinks(&self) -> Vec<SinkView> {
        let view = |sink: lapwing_export::SinkStatus| SinkView {
            name: sink.name,
            kind: sink.sort,
            target: sink.target,
            up: !sink.failing,
            queued: sink.queued,
            delivered: sink.delivered,
            failed: sink.retried,
            rejected: sink.rejected,
            last_error: sink.last_error,
        };
        self.runner.sinks().into_iter().map(view).collect()
    }

    fn metrics(&self) -> String {
        self.runner.metrics.render()
    }

    fn configuration(&self) -> String {
        let settings = toml::to_string_pretty(&self.runner.input.settings);
        settings.unwrap_or_else(|error| format!("# the settings cannot be written: {error}"))
    }

    fn reload(&self) {
        self.runner.renew.store(true, Ordering::Relaxed);
    }

    fn captures(&self) -> Vec<PathBuf> {
        let captures = self.runner.now.lock().captures.clone();
        captures.into_iter().filter(|path| fs::metadata(path).is_ok()).collect()
    }
}

impl Serving {
    /// The file that a model was read from; the last one may come from the baseline.
    fn model_name(&self, place: usize) -> String {
        let file = self.runner.judge.model.get(place).and_then(|path| path.file_name());
        file.map_or_else(|| "baseline".to_owned(), |name| name.to_string_lossy().into_owned())
    }

    fn model_view(&self, place: usize, anomaly: &Anomaly) -> ModelView {
        let model = anomaly.model();
        let (card, calibration) = (model.card(), model.calibration());
        ModelView {
            name: self.model_name(place),
            kind: "isolation-forest".to_owned(),
            schema: format!("{} {}", card.schema.name, card.schema.version),
            trained: card.training.span.map(|(_, last)| rfc3339(Timestamp::from_nanos(last))),
            rows: card.training.rows as u64,
            budget: Some(f64::from(calibration.budget())),
            expected_rate: Some(f64::from(calibration.expected())),
            achieved_rate: None,
            threshold: Some(f64::from(model.threshold())),
            drift: None,
            verifiable: calibration.budget_is_verifiable(),
            note: calibration.note().unwrap_or_default(),
            loaded: true,
        }
    }
}
