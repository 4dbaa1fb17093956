//! What every operation can reach.

use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Bytes;
use axum::http::StatusCode;
use lapwing_engine::Control;
use lapwing_engine::packets::Tap;
use lapwing_store::{Change, Store};
use tokio::sync::Semaphore;

use crate::answers::Answers;
use crate::auth::Accounts;
use crate::clock::now;
use crate::feed::Feed;
use crate::operator::Operator;
use crate::problem::Problem;
use crate::stream::Stream;
use crate::uploads::{Uploads, Wanted};

/// What every operation can reach.
pub(crate) struct Shared {
    pub(crate) store: Arc<Store>,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) feed: Feed,
    pub(crate) tap: Tap,
    pub(crate) operator: Arc<dyn Operator>,
    pub(crate) simulated: bool,
    pub(crate) disk: PathBuf,
    pub(crate) uploads: Arc<Uploads>,
    pub(crate) payload: Option<usize>,
    pub(crate) stream: Arc<Stream>,
    pub(crate) answers: Arc<Answers>,
    /// Captures are read for an answer one at a time.
    pub(crate) reading: Arc<Semaphore>,
    /// Uploads that come in at once.
    pub(crate) receiving: Semaphore,
    /// Who shows a password waits here for others who do, not on a thread that somebody else could use.
    pub(crate) passwords: Semaphore,
    pub(crate) openapi: Bytes,
    /// Cookies are for encrypted connections only.
    pub(crate) is_encrypted: bool,
}

impl Shared {
    /// The store of what is watched, or of an upload.
    pub(crate) fn kept(&self, job: Option<&str>) -> Result<Arc<Store>, Problem> {
        match job.filter(|job| !job.is_empty()) {
            None => Ok(Arc::clone(&self.store)),
            Some(job) => self.uploads.store_of(job),
        }
    }

    /// Does what somebody asked for and notes who did in the audit trail. What cannot be noted is not done.
    pub(crate) fn audited<T>(
        &self,
        who: &str,
        action: &'static str,
        detail: &str,
        work: impl FnOnce() -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let change = Change { who, at: now() };
        self.store.check_writable(change)?;
        let done = work()?;
        self.accounts.note(change, action, "", detail);
        Ok(done)
    }

    /// Whether what is watched, or was found in an upload, is made up.
    pub(crate) fn is_simulated(&self, job: Option<&str>) -> bool {
        self.simulated && job.is_none_or(str::is_empty)
    }

    /// Does what looks at a password.
    pub(crate) async fn with_password<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let _turn = self.passwords.acquire().await;
        self.blocking(work).await
    }

    /// Reads captures for an answer: one request at a time, and no longer than somebody waits for it.
    pub(crate) async fn reading<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self, &Control) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = Arc::clone(&self.reading).acquire_owned().await;
        let wanted = Wanted::default();
        let control = wanted.control();
        // The turn lasts as long as the work, which goes on for a moment when nobody waits any more.
        self.blocking(move |shared| {
            let _turn = turn;
            work(shared, &control)
        })
        .await
    }

    /// Does what may wait for a disk or takes long, away from the threads that serve connections.
    pub(crate) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let shared = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || work(&shared)).await;
        done.unwrap_or_else(|_| {
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "this went wrong; the log may say more"))
        })
    }
}
