//! Uploads that come in.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use lapwing_capture::Filter;
use lapwing_store::{Upload, UploadState};

use super::{CAPTURE, Uploads, make_private};
use crate::problem::Problem;
use crate::view::job::Job;

/// How long an upload is kept.
const KEPT: Duration = Duration::from_secs(7 * 86_400);

/// All uploads together may take so many times what one may.
const MOST_TOGETHER: u64 = 8;

/// Uploads of one account that come in at once: fewer than there are places, so that nobody takes all.
const MOST_OF_ONE: usize = 3;

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
    /// Bytes of an upload, and of what was found in it.
    fn room_of(&self, upload: &Upload) -> u64 {
        size_of(&self.folder.join(&upload.id)).max(upload.bytes)
    }

    /// Makes room for one more: its name, and the file that its bytes go to.
    pub(crate) fn receive(self: &Arc<Self>, by: &str) -> Result<Coming, Problem> {
        let taken: u64 = self.store.uploads()?.iter().map(|upload| self.room_of(upload)).sum();
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
}

/// Bytes of all files in a folder and those in it; what cannot be read counts as none.
fn size_of(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => size_of(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    };
    entries.map(size).sum()
}
