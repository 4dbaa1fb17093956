//! Looking at uploads, one after another.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use lapwing_capture::Filter;
use lapwing_detect::packets::Method;
use lapwing_engine::Control;
use lapwing_engine::packets::survey;
use lapwing_store::{Store, StoreError, Upload, UploadState};
use serde_json::json;

use super::{CAPTURE, Look, STORE, SURVEY, Uploads, make_private, stop};
use crate::operator::Analysis;
use crate::stream::Stream;
use crate::view::job::{Findings, Job};

/// Frames of one capture that are looked at: what unpacks to more is not read to its end.
const MOST_FRAMES: u64 = 50_000_000;

/// How long one is looked at: what unpacks to far more than it is would keep those behind it waiting for hours.
const LONGEST: Duration = Duration::from_secs(30 * 60);

/// How often it is told how far one has come.
const EVERY: Duration = Duration::from_millis(500);

impl Uploads {
    pub(super) fn work(&self, queue: &Receiver<String>, stream: &Arc<Stream>) {
        while let Ok(id) = queue.recv() {
            let control = self.state().controls.get(&id).cloned();
            // It may have been removed while it waited.
            if let (Some(control), Ok(upload)) = (control, self.store.upload(&id)) {
                self.look_at(upload, &control, stream);
            }
            self.state().controls.remove(&id);
            // It may have been removed while it was looked at, and something written after that.
            if matches!(self.store.upload(&id), Err(StoreError::NotFound { .. })) {
                self.forget(&id);
            }
        }
    }

    fn look_at(&self, mut upload: Upload, control: &Arc<Control>, stream: &Arc<Stream>) {
        if !self.begin(&mut upload, control) {
            stream.tell(json!({ "type": "job", "job": self.job(upload) }));
            return;
        }
        stream.tell(json!({ "type": "job", "job": self.job(upload.clone()) }));
        let found = {
            let watch = Watchdog::start(Arc::clone(control), upload.clone(), Arc::clone(stream));
            let found = if control.stopped() {
                Ok(None)
            } else {
                // One that brings its reader down fails alone: others wait behind it.
                let found = catch_unwind(AssertUnwindSafe(|| self.find(&upload, control)));
                found.unwrap_or_else(|_| Err("reading it went wrong; the log may say more".to_owned()))
            };
            if matches!(found, Ok(None)) && watch.late.load(Ordering::Relaxed) {
                Err(format!("it takes more than {} minutes to read", LONGEST.as_secs() / 60))
            } else {
                found
            }
        };
        upload.ended = Some(crate::clock::now());
        // Where it lies here is nobody's business.
        let place = self.folder.join(&upload.id).join(CAPTURE).display().to_string();
        match found {
            Ok(Some(mut findings)) => {
                let warnings = findings.warnings.iter_mut();
                warnings.for_each(|warning| *warning = warning.replace(&place, &upload.name));
                upload.state = UploadState::Done;
                upload.summary = serde_json::to_value(findings).ok();
            }
            Ok(None) => upload.state = UploadState::Cancelled,
            Err(reason) => {
                upload.state = UploadState::Failed;
                upload.error = Some(reason.replace(&place, &upload.name));
            }
        }
        self.note(&upload, stream);
    }

    /// Notes that an upload is looked at from now on; returns false where somebody has cancelled it before.
    fn begin(&self, upload: &mut Upload, control: &Control) -> bool {
        // Whoever cancels holds this too.
        let state = self.state();
        let begins = !control.stopped();
        if begins {
            upload.state = UploadState::Running;
            // It may have been removed meanwhile.
            let _ = self.store.update_upload(upload);
        } else if let Ok(kept) = self.store.upload(&upload.id) {
            *upload = kept;
        }
        drop(state);
        begins || !upload.state.has_ended()
    }

    fn note(&self, upload: &Upload, stream: &Stream) {
        // It may have been removed meanwhile.
        let _ = self.store.update_upload(upload);
        stream.tell(json!({ "type": "job", "job": self.job(upload.clone()) }));
    }

    /// Looks for what is wrong, then at what packets look like; `None` when it was cancelled.
    fn find(&self, upload: &Upload, control: &Arc<Control>) -> Result<Option<Findings>, String> {
        let folder = self.folder.join(&upload.id);
        let (path, place) = (folder.join(CAPTURE), folder.join(STORE));
        let filter = upload.filter.as_deref().map(Filter::new).transpose().map_err(|error| error.to_string())?;
        make_private(&place).map_err(|error| error.to_string())?;
        let store = Arc::new(Store::open(&place, self.settings.clone()).map_err(|error| error.to_string())?);
        let analysis = Analysis {
            path: &path,
            filter: filter.as_ref(),
            model: upload.model.as_deref(),
            store: &store,
            control,
            most_frames: MOST_FRAMES,
        };
        let mut findings = self.operator.analyse(&analysis).map_err(|error| error.to_string())?;
        if control.stopped() {
            return Ok(None);
        }
        // What is too long to read whole is too long to look at packet by packet.
        if findings.packets < MOST_FRAMES {
            let method = Method::from_key(&self.operator.source().method).unwrap_or_default();
            let seen = survey(&path, filter.as_ref(), method, None, control).map_err(|error| error.to_string())?;
            if control.stopped() {
                return Ok(None);
            }
            findings.anomalies = seen.totals.anomalies;
            Look::of(&seen).keep(&folder.join(SURVEY)).map_err(|error| error.to_string())?;
        }
        Ok(Some(findings))
    }
}

/// Tells how far one has come, as long as it lives, and ends what takes too long.
struct Watchdog {
    late: Arc<AtomicBool>,
    /// Its end ends the thread.
    alive: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.alive = None;
        // What it tells last comes before what became of the upload.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Watchdog {
    fn start(control: Arc<Control>, upload: Upload, stream: Arc<Stream>) -> Self {
        let (alive, over) = channel::<()>();
        let (late, begun) = (Arc::new(AtomicBool::new(false)), Instant::now());
        let is_late = Arc::clone(&late);
        let thread = thread::spawn(move || {
            while over.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                if begun.elapsed() > LONGEST {
                    is_late.store(true, Ordering::Relaxed);
                    stop(&control);
                }
                let position = control.position();
                let progress = position.total.map(|total| (position.read as f64 / total.max(1) as f64).min(1.0));
                stream.tell(json!({ "type": "job", "job": Job::new(upload.clone(), progress) }));
            }
        });
        Self { late, alive: Some(alive), thread: Some(thread) }
    }
}
