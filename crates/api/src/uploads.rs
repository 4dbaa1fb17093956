//! Captures that people hand in: kept in folders of their own under names of ours, looked at one after another, and let go in time.

mod coming;
mod look;
mod work;

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use lapwing_capture::Filter;
use lapwing_detect::packets::Method;
use lapwing_engine::Control;
use lapwing_engine::packets::{PacketPage, PacketQuery, packets};
use lapwing_store::{Change, Keep, Store, StoreError, StoreSettings, Upload, UploadState};

use crate::operator::Operator;
use crate::problem::Problem;
use crate::stream::Stream;
use crate::view::job::Job;
pub(crate) use coming::Incoming;
pub(crate) use look::Look;

/// Stores of uploads that stay open.
const MOST_OPEN: usize = 4;

/// Bytes that what is found in an upload may take in any case; else as many as the capture itself.
const LEAST_FOUND: u64 = 64 << 20;

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
        let keep = Keep { bytes: Some(most_bytes.max(LEAST_FOUND)), ..Keep::default() };
        let settings = StoreSettings { local: store.local().clone(), keep };
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

    /// Lets go of what came of an upload that failed.
    pub(crate) fn give_up(&self, id: &str) {
        // What cannot be removed now is removed with the folder.
        let _ = fs::remove_dir_all(self.folder.join(id));
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
        let state = self.state();
        if let Some(control) = state.controls.get(id) {
            stop(control);
        }
        let mut upload = self.store.upload(id)?;
        // Nobody looks at it yet, and whoever does when its turn comes finds that it is over.
        if upload.state == UploadState::Queued {
            upload.state = UploadState::Cancelled;
            upload.ended = Some(crate::clock::now());
            self.store.update_upload(&upload)?;
        }
        drop(state);
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
