//! What the API asks of, and tells, the run.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Result, bail};
use lapwing_alert::rfc3339;
use lapwing_api::{
    Analysis, Coverage, DetectionChoice, Findings, InterfaceCoverage, InterfaceView, MethodView, ModelView, Operator,
    Refused, SignatureView, SinkView, SourceChoice, SourceState, SourceStatus,
};
use lapwing_capture::{Timestamp, interfaces};
use lapwing_detect::packets::Method;
use lapwing_detect::signature::Standing;
use lapwing_export::metrics::names;
use lapwing_store::AlertRecorder;

use super::logs;
use super::next::Next;
use super::open::{Opened, Opening};
use super::run::Runner;
use crate::baseline::NamedModel;
use crate::monitor::watch;

/// How long turning to another source may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often seconds that are over are shown.
const EVERY: Duration = Duration::from_millis(250);

/// The run, and the thread that it is on.
pub(super) struct Serving {
    runner: Arc<Runner>,
    opening: Opening,
    next: Arc<Next>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    over: Arc<AtomicBool>,
    /// One at a time turns to another source.
    turning: Mutex<()>,
}

impl Serving {
    /// Starts the thread, which waits for a source.
    pub(super) fn new(runner: Runner, opening: Opening) -> Self {
        let runner = Arc::new(runner);
        let next = Arc::new(Next::default());
        let over = Arc::new(AtomicBool::new(false));
        let watching = {
            let (runner, next) = (Arc::clone(&runner), Arc::clone(&next));
            thread::spawn(move || watch_all(&runner, &next))
        };
        let showing = {
            let (runner, over) = (Arc::clone(&runner), Arc::clone(&over));
            thread::spawn(move || show_seconds(&runner, &over))
        };
        Self { runner, opening, next, threads: Mutex::new(vec![watching, showing]), over, turning: Mutex::default() }
    }

    /// Watches the first source.
    pub(super) fn begin(&self, opened: Opened) {
        self.turn_to(opened);
    }

    /// Has a source watched once the one before has ended; returns whether it is.
    fn turn_to(&self, opened: Opened) -> bool {
        let number = self.next.put(opened);
        let begins = || self.runner.now.wait(PATIENCE, |now| now.run >= number);
        // What was taken by then is about to begin.
        begins() || !self.next.take_back(number) && begins()
    }

    /// Ends what is watched, and the threads.
    pub(super) fn finish(&self) -> Result<()> {
        self.next.end();
        self.over.store(true, Ordering::Relaxed);
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        if threads.into_iter().map(JoinHandle::join).any(|joined| joined.is_err()) {
            bail!("a thread went wrong");
        }
        self.runner.finish_deliveries();
        Ok(())
    }
}

fn watch_all(runner: &Runner, next: &Next) {
    while let Some((number, opened)) = next.take() {
        runner.watch(number, opened);
    }
}

fn show_seconds(runner: &Runner, over: &AtomicBool) {
    let mut known = 0;
    while !over.load(Ordering::Relaxed) {
        runner.show_seconds(&mut known);
        runner.renew_unwatched();
        thread::sleep(EVERY);
    }
}

impl Operator for Serving {
    fn source(&self) -> SourceStatus {
        let mut now = self.runner.now.lock();
        now.note_progress();
        let status = now.status.clone();
        drop(now);
        let method = self.runner.tap.judging().map(|state| state.method.key().to_owned()).unwrap_or_default();
        SourceStatus { models: self.runner.judging.names_in_use(), method, ..status }
    }

    fn watch(&self, wanted: SourceChoice, upload: Option<(&Path, &str)>) -> Result<SourceStatus, Refused> {
        let _turn = self.turning.lock().unwrap_or_else(PoisonError::into_inner);
        let opened = self.opening.open(&wanted, upload).map_err(|error| Refused::Invalid(crate::told(&error)))?;
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
                ip: interface.ips.iter().find(|ip| ip.is_ipv4()).map(ToString::to_string),
                addresses: interface.ips.iter().map(ToString::to_string).collect(),
                mac: interface.address,
                up: interface.up,
                name: interface.name,
            }
        };
        found.into_iter().map(view).collect()
    }

    fn methods(&self) -> Vec<MethodView> {
        let judging = self.runner.tap.judging();
        let view = |method: Method| {
            let in_use = judging.filter(|state| state.method == method);
            let reason = method.unavailable().map(ToOwned::to_owned).or_else(|| in_use.map(|state| state.text()));
            MethodView { name: method.key().to_owned(), available: method.unavailable().is_none(), reason }
        };
        Method::ALL.into_iter().map(view).collect()
    }

    fn judge(&self, wanted: DetectionChoice) -> Result<(), Refused> {
        let judging = &self.runner.judging;
        // Where one cannot be, nothing changes.
        if let Some(models) = &wanted.models {
            judging.check(models).map_err(Refused::Invalid)?;
        }
        if let Some(name) = &wanted.method {
            let method = Method::from_key(name);
            let method = method.ok_or_else(|| Refused::Invalid(format!("method: '{name}' is not known")))?;
            let judged = self.runner.tap.judge_by(method);
            judged.map_err(|reason| Refused::Invalid(format!("method: {reason}")))?;
        }
        if let Some(models) = wanted.models {
            judging.choose(models);
        }
        Ok(())
    }

    fn analyse(&self, analysis: &Analysis<'_>) -> Result<Findings, Refused> {
        self.runner.analyse(analysis).map_err(|error| Refused::Invalid(crate::told(&error)))
    }

    fn is_keeping(&self) -> bool {
        !self.runner.now.lock().kept.as_ref().is_some_and(AlertRecorder::is_failing)
    }

    fn coverage(&self) -> Coverage {
        let now = self.runner.now.lock();
        let (interfaces, counted, mut lost) = (now.live.interfaces(), now.control.counted(), now.lost.clone());
        let recorded = now.kept.as_ref().map(AlertRecorder::recorded).unwrap_or_default();
        let frames = now.control.frames();
        drop(now);
        let unkept = [("flows_not_kept", recorded.flows_left_out), ("alerts_not_kept", recorded.alerts_lost)];
        lost.extend(counted.missed_in_logs());
        lost.extend(unkept.into_iter().filter(|(_, count)| *count > 0).map(|(what, count)| (what.to_owned(), count)));
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
            logs: counted.logs.iter().map(logs::coverage).collect(),
            undecoded: counted.decode.undecoded.iter().map(|(what, count)| (what.to_string(), *count)).collect(),
            lost,
            not_evaluated: self.runner.not_evaluated.iter().cloned().chain(counted.not_evaluated).collect(),
        }
    }

    fn models(&self) -> Vec<ModelView> {
        let devices = self.runner.store.count_devices(None).map_or(0, |(known, _)| known);
        let rate = self.runner.feed.anomaly_rate(devices);
        let view = |(named, loaded): (NamedModel, bool)| {
            let drift = self.runner.feed.drift(named.anomaly.model());
            ModelView { achieved_rate: rate.filter(|_| loaded), drift, ..model_view(&named, loaded) }
        };
        self.runner.judging.models().into_iter().map(view).collect()
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
                kind: Some(rule.kind.clone()),
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
        let unlisted = self.runner.tap.left_out() as f64;
        self.runner.metrics.set(&names::PACKETS_NOT_LISTED, &[], unlisted);
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

    fn capture_folder(&self) -> Option<PathBuf> {
        self.opening.capture_folder().map(Path::to_owned)
    }
}

fn model_view(named: &NamedModel, loaded: bool) -> ModelView {
    let model = named.anomaly.model();
    let (card, calibration) = (model.card(), model.calibration());
    ModelView {
        name: named.name.clone(),
        kind: "isolation-forest".to_owned(),
        schema: format!("{} {}", card.schema.name, card.schema.version),
        trained: card.training.span.map(|(_, last)| rfc3339(Timestamp::from_nanos(last))),
        rows: card.training.rows,
        budget: Some(calibration.budget()),
        expected_rate: Some(calibration.expected()),
        achieved_rate: None,
        threshold: Some(f64::from(model.threshold())),
        drift: None,
        verifiable: calibration.budget_is_verifiable(),
        note: calibration.note().unwrap_or_default(),
        loaded,
    }
}
