//! Captures that people hand in: kept in folders of their own under names of ours, looked at one after another, and let go in time.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use lapwing_capture::Filter;
use lapwing_detect::packets::{Method, Pattern};
use lapwing_engine::Control;
use lapwing_engine::packets::{PacketPage, PacketQuery, Survey, packets, survey};
use lapwing_store::{Change, Store, StoreError, StoreSettings, Upload, UploadState};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::operator::{Analysis, Operator};
use crate::problem::Problem;
use crate::stream::Stream;
use crate::view::job::{Findings, Job};

/// How long an upload is kept.
const KEPT: Duration = Duration::from_secs(7 * 86_400);

/// All uploads together may take so many times what one may.
const MOST_TOGETHER: u64 = 8;

/// Uploads of one account that come in at once: fewer than there are places, so that nobody takes all.
const MOST_OF_ONE: usize = 3;

/// Frames of one capture that are looked at: what unpacks to more is not read to its end.
const MOST_FRAMES: u64 = 50_000_000;

/// How long one is looked at: what unpacks to far more than it is would keep those behind it waiting for hours.
const LONGEST: Duration = Duration::from_secs(30 * 60);

/// Stores of uploads that stay open.
const MOST_OPEN: usize = 4;

/// How often it is told how far one has come.
const EVERY: Duration = Duration::from_millis(500);

/// The capture in an upload's folder, what was found in it, and what its packets look like.
const CAPTURE: &str = "capture";
const STORE: &str = "store";
const SURVEY: &str = "survey.json";

/// Where uploads are, and who looks at them.
pub(crate) struct Uploads {
    folder: PathBuf,
    most_bytes: u64,
    settings: StoreSettings,
    store: Arc<Store>,
    operator: Arc<dyn Operator>,
    state: Mutex<State>,
    queue: Mutex<Option<Sender<String>>>,
}

#[derive(Default)]
struct State {
    /// What stops those that wait or are looked at.
    controls: HashMap<String, Arc<Control>>,
    /// Who hands in those that come in, each of which may take as much room as one may.
    coming: Vec<String>,
    open: VecDeque<(String, Arc<Store>)>,
}

/// What the packets of an upload look like.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Look {
    pub(crate) packets: u64,
    pub(crate) taken: u64,
    pub(crate) anomalies: u64,
    /// By the keys of patterns.
    pub(crate) patterns: HashMap<String, u64>,
    /// They of the packets that stand out; nothing in what an earlier version wrote.
    #[serde(default)]
    pub(crate) unusual_patterns: HashMap<String, u64>,
    pub(crate) method: String,
    pub(crate) judging: String,
}

/// The place of an upload that comes in: of one that does not come whole nothing stays, however its coming ends.
pub(crate) struct Coming {
    uploads: Arc<Uploads>,
    pub(crate) id: String,
    pub(crate) path: PathBuf,
    by: String,
    has_come: bool,
}

impl Drop for Coming {
    fn drop(&mut self) {
        let mut state = self.uploads.state();
        if let Some(place) = state.coming.iter().position(|by| *by == self.by) {
            state.coming.swap_remove(place);
        }
        drop(state);
        if !self.has_come {
            self.uploads.give_up(&self.id);
        }
    }
}

/// An upload that has come in, and is to be looked at.
#[derive(Default)]
pub(crate) struct Incoming {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) filter: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) by: String,
}

impl Uploads {
    /// Uploads in `folder`, each of so many bytes at most. What an earlier run of the program left undone has failed.
    pub(crate) fn new(
        folder: PathBuf,
        most_bytes: u64,
        store: Arc<Store>,
        operator: Arc<dyn Operator>,
    ) -> Result<Self, StoreError> {
        let uploads = store.uploads()?;
        remove_others(&folder, &uploads);
        for mut upload in uploads.into_iter().filter(|upload| !upload.state.has_ended()) {
            upload.state = UploadState::Failed;
            upload.ended = Some(crate::clock::now());
            upload.error = Some("the program ended before it was done; hand it in again".to_owned());
            // On a disk that is full, the next start says so.
            let _ = store.update_upload(&upload);
        }
        let settings = StoreSettings { local: store.local().clone(), ..StoreSettings::default() };
        Ok(Self { folder, most_bytes, settings, store, operator, state: Mutex::default(), queue: Mutex::default() })
    }

    /// Starts the thread that looks at them.
    pub(crate) fn start(self: &Arc<Self>, stream: Arc<Stream>) {
        let (sender, receiver) = channel();
        *self.queue.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        let uploads = Arc::clone(self);
        thread::spawn(move || uploads.work(&receiver, &stream));
    }

    /// Ends what is looked at.
    pub(crate) fn stop(&self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.state().controls.values().for_each(|control| stop(control));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn most_bytes(&self) -> u64 {
        self.most_bytes
    }

    /// Makes room for one more: its name, and the file that its bytes go to.
    pub(crate) fn receive(self: &Arc<Self>, by: &str) -> Result<Coming, Problem> {
        let taken: u64 = self.store.uploads()?.iter().map(|upload| upload.bytes).sum();
        let mut state = self.state();
        if taken + (state.coming.len() as u64 + 1) * self.most_bytes > MOST_TOGETHER * self.most_bytes {
            return Err(Problem::conflict("the uploads that are kept leave no room; remove some first"));
        }
        if state.coming.iter().filter(|other| *other == by).count() >= MOST_OF_ONE {
            let detail = format!("you hand in {MOST_OF_ONE} captures already; wait until one has come in");
            return Err(Problem::too_many(detail, Duration::from_secs(5)));
        }
        state.coming.push(by.to_owned());
        drop(state);
        let id = crate::random::hex(8);
        let folder = self.folder.join(&id);
        let path = folder.join(CAPTURE);
        let coming = Coming { uploads: Arc::clone(self), id, path, by: by.to_owned(), has_come: false };
        let made = make_private(&self.folder).and_then(|()| make_private(&folder));
        made.map_err(|error| Problem::unavailable(format!("the upload cannot be kept: {error}")))?;
        Ok(coming)
    }

    /// Lets go of what came of an upload that failed.
    pub(crate) fn give_up(&self, id: &str) {
        // What cannot be removed now is removed with the folder.
        let _ = fs::remove_dir_all(self.folder.join(id));
    }

    /// Has an upload looked at when its turn comes.
    pub(crate) fn submit(&self, mut coming: Coming, incoming: Incoming) -> Result<Job, Problem> {
        if let Some(filter) = incoming.filter.as_deref() {
            Filter::new(filter).map_err(|error| Problem::bad_request(format!("filter: {error}")))?;
        }
        if let Some(model) = incoming.model.as_deref()
            && !self.operator.models().iter().any(|known| known.name == model)
        {
            return Err(Problem::bad_request(format!("model: '{model}' is not at hand")));
        }
        let now = crate::clock::now();
        let Incoming { name, bytes, filter, model, by } = incoming;
        let id = coming.id.clone();
        let upload = Upload {
            id: id.clone(),
            name,
            bytes,
            state: UploadState::Queued,
            filter,
            model,
            by,
            created: now,
            ended: None,
            expires: now.plus(KEPT),
            error: None,
            summary: None,
        };
        self.store.add_upload(&upload)?;
        coming.has_come = true;
        self.state().controls.insert(id.clone(), Arc::default());
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.as_ref().is_none_or(|queue| queue.send(id).is_err()) {
            return Err(Problem::unavailable("the program is about to end"));
        }
        Ok(self.job(upload))
    }

    pub(crate) fn list(&self) -> Result<Vec<Job>, Problem> {
        Ok(self.store.uploads()?.into_iter().map(|upload| self.job(upload)).collect())
    }

    pub(crate) fn get(&self, id: &str) -> Result<Job, Problem> {
        Ok(self.job(self.store.upload(id)?))
    }

    fn job(&self, upload: Upload) -> Job {
        let control = self.state().controls.get(&upload.id).cloned();
        let progress = control.filter(|_| upload.state == UploadState::Running).and_then(|control| {
            let position = control.position();
            position.total.map(|total| (position.read as f64 / total.max(1) as f64).min(1.0))
        });
        Job::new(upload, progress)
    }

    /// Stops looking at an upload.
    pub(crate) fn cancel(&self, id: &str) -> Result<Job, Problem> {
        let upload = self.store.upload(id)?;
        if let Some(control) = self.state().controls.get(id) {
            stop(control);
        }
        Ok(self.job(upload))
    }

    /// Removes an upload and what was found in it.
    pub(crate) fn remove(&self, id: &str, change: Change<'_>) -> Result<(), Problem> {
        self.cancel(id)?;
        self.store.remove_upload(id, change)?;
        self.forget(id);
        Ok(())
    }

    /// Lets go of the files of an upload that is no longer kept.
    pub(crate) fn forget(&self, id: &str) {
        self.state().open.retain(|(open, _)| open != id);
        self.give_up(id);
    }

    /// Where they are, if there were any.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What was found in an upload.
    pub(crate) fn store_of(&self, id: &str) -> Result<Arc<Store>, Problem> {
        let upload = self.done(id)?;
        let mut state = self.state();
        if let Some(place) = state.open.iter().position(|(open, _)| *open == upload.id) {
            return Ok(Arc::clone(&state.open[place].1));
        }
        let store = Arc::new(Store::open(&self.folder.join(&upload.id).join(STORE), self.settings.clone())?);
        state.open.push_back((upload.id, Arc::clone(&store)));
        if state.open.len() > MOST_OPEN {
            state.open.pop_front();
        }
        Ok(store)
    }

    /// What the packets of an upload look like.
    pub(crate) fn look(&self, id: &str) -> Result<Look, Problem> {
        let upload = self.done(id)?;
        let text = fs::read(self.folder.join(&upload.id).join(SURVEY));
        let look = text.ok().and_then(|text| serde_json::from_slice(&text).ok());
        look.ok_or_else(|| Problem::not_found("nothing is known of this upload's packets"))
    }

    /// The packets of an upload behind the one of that index, as far as `control` lets it look.
    pub(crate) fn packets(
        &self,
        id: &str,
        query: &PacketQuery,
        after: u64,
        control: &Control,
    ) -> Result<PacketPage, Problem> {
        let upload = self.done(id)?;
        let method = Method::from_key(&self.look(id)?.method);
        let within = upload.filter.as_deref().and_then(|text| Filter::new(text).ok());
        let path = self.folder.join(&upload.id).join(CAPTURE);
        let read = packets(&path, within.as_ref(), method, query, after, control);
        read.map_err(|error| Problem::unavailable(format!("the capture cannot be read: {error}")))
    }

    /// The capture of an upload.
    pub(crate) fn capture(&self, id: &str) -> Result<PathBuf, Problem> {
        let upload = self.store.upload(id)?;
        Ok(self.folder.join(upload.id).join(CAPTURE))
    }

    /// What `work` writes into a file that goes at once.
    pub(crate) fn scratch(&self, work: impl FnOnce(&Path) -> Result<(), Problem>) -> Result<Vec<u8>, Problem> {
        let failed = |error: std::io::Error| Problem::unavailable(format!("nothing can be written: {error}"));
        make_private(&self.folder).map_err(failed)?;
        let file = self.folder.join(format!("{}.pcap", crate::random::hex(8)));
        let done = work(&file).and_then(|()| fs::read(&file).map_err(failed));
        // Where nothing was written, nothing is there.
        let _ = fs::remove_file(&file);
        done
    }

    /// An upload that was looked at.
    fn done(&self, id: &str) -> Result<Upload, Problem> {
        let upload = self.store.upload(id)?;
        match upload.state {
            UploadState::Done => Ok(upload),
            UploadState::Failed | UploadState::Cancelled => {
                Err(Problem::not_found(format!("the upload {id} was not read to its end, so nothing was found in it")))
            }
            _ => Err(Problem::not_found(format!("the upload {id} is still being looked at"))),
        }
    }

    fn work(&self, queue: &Receiver<String>, stream: &Arc<Stream>) {
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
        upload.state = UploadState::Running;
        self.note(&upload, stream);
        let found = {
            let watch = Watchdog::start(Arc::clone(control), upload.clone(), Arc::clone(stream));
            let found = if control.stopped() { Ok(None) } else { self.find(&upload, control) };
            if matches!(found, Ok(None)) && watch.late.load(Ordering::Relaxed) {
                Err(format!("it takes more than {} minutes to read", LONGEST.as_secs() / 60))
            } else {
                found
            }
        };
        upload.ended = Some(crate::clock::now());
        match found {
            Ok(Some(findings)) => {
                upload.state = UploadState::Done;
                upload.summary = serde_json::to_value(findings).ok();
            }
            Ok(None) => upload.state = UploadState::Cancelled,
            Err(reason) => {
                upload.state = UploadState::Failed;
                // Where it lies here is nobody's business.
                let place = self.folder.join(&upload.id).join(CAPTURE);
                upload.error = Some(reason.replace(&place.display().to_string(), &upload.name));
            }
        }
        self.note(&upload, stream);
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
            keep(&folder.join(SURVEY), &Look::of(&seen)).map_err(|error| error.to_string())?;
        }
        Ok(Some(findings))
    }
}

impl Look {
    fn of(survey: &Survey) -> Self {
        let by_key = |counts: &[(Pattern, u64)]| {
            counts.iter().map(|(pattern, count)| (pattern.key().to_owned(), *count)).collect()
        };
        Self {
            packets: survey.frames,
            taken: survey.totals.all().packets,
            anomalies: survey.totals.anomalies,
            patterns: by_key(&survey.patterns),
            unusual_patterns: by_key(&survey.unusual_patterns),
            method: survey.judging.method.key().to_owned(),
            judging: survey.judging.text(),
        }
    }

    pub(crate) fn of_pattern(&self, pattern: Pattern) -> u64 {
        self.patterns.get(pattern.key()).copied().unwrap_or_default()
    }

    pub(crate) fn unusual_of_pattern(&self, pattern: Pattern) -> u64 {
        self.unusual_patterns.get(pattern.key()).copied().unwrap_or_default()
    }
}

/// Removes what a killed program left in the folder of uploads that nobody knows of.
fn remove_others(folder: &Path, known: &[Upload]) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if known.iter().any(|upload| name == upload.id.as_str()) {
            continue;
        }
        // What cannot be removed only takes room.
        let _ = if entry.path().is_dir() { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) };
    }
}

fn keep(path: &Path, look: &Look) -> std::io::Result<()> {
    fs::write(path, serde_json::to_vec(look)?)
}

fn make_private(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Ends what somebody waited for who does no longer.
#[derive(Default)]
pub(crate) struct Wanted(Arc<Control>);

impl Wanted {
    pub(crate) fn control(&self) -> Arc<Control> {
        Arc::clone(&self.0)
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        stop(&self.0);
    }
}

fn stop(control: &Control) {
    control.stop_flag().store(true, Ordering::Relaxed);
}

/// Tells how far one has come, as long as it lives, and ends what takes too long.
struct Watchdog {
    late: Arc<AtomicBool>,
    /// Its end ends the thread.
    _alive: Sender<()>,
}

impl Watchdog {
    fn start(control: Arc<Control>, upload: Upload, stream: Arc<Stream>) -> Self {
        let (alive, over) = channel::<()>();
        let (late, begun) = (Arc::new(AtomicBool::new(false)), Instant::now());
        let is_late = Arc::clone(&late);
        thread::spawn(move || {
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
        Self { late, _alive: alive }
    }
}
