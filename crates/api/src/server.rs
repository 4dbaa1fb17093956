//! The server: connections, their limits, and the routes behind them.

mod connection;
mod patient;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{Method, StatusCode};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use lapwing_engine::packets::Tap;
use lapwing_store::{Store, StoreError};
use rustls::ServerConfig as TlsConfig;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, watch};

use crate::answers::Answers;
use crate::auth::Accounts;
use crate::feed::Feed;
use crate::operator::Operator;
use crate::problem::Problem;
use crate::stream::Stream;
use crate::uploads::Uploads;
use crate::{assets, openapi, operation, request, routes, stream};

/// Bytes of a body, where an operation does not say otherwise.
pub(crate) const MOST_BODY: usize = 256 << 10;

/// Uploads that may come in at the same time.
const UPLOADS_AT_ONCE: usize = 4;

/// How often what has expired is let go of.
const TIDY: Duration = Duration::from_secs(60);

/// Threads that wait for the store: each may hold one of its readers.
const STORE_THREADS: usize = 4;

/// Of them those that look at passwords.
const PASSWORDS: usize = 2;

/// What the server works with.
pub struct Parts {
    /// What is kept.
    pub store: Arc<Store>,
    /// Who may do what.
    pub accounts: Arc<Accounts>,
    /// What is seen.
    pub feed: Feed,
    /// The packets of it.
    pub tap: Tap,
    /// Who watches.
    pub operator: Arc<dyn Operator>,
    /// Where uploads go; it is made when there is one.
    pub uploads: PathBuf,
    /// Bytes of an upload at most.
    pub most_upload: u64,
    /// Bytes of what packets carry that are shown; `None` shows nothing.
    pub payload: Option<usize>,
}

/// What every operation can reach.
pub(crate) struct Shared {
    pub(crate) store: Arc<Store>,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) feed: Feed,
    pub(crate) tap: Tap,
    pub(crate) operator: Arc<dyn Operator>,
    pub(crate) uploads: Arc<Uploads>,
    pub(crate) payload: Option<usize>,
    pub(crate) stream: Arc<Stream>,
    pub(crate) answers: Answers,
    /// Captures are read for an answer one at a time.
    pub(crate) cutting: Semaphore,
    /// Uploads that come in at once.
    pub(crate) receiving: Semaphore,
    /// Who shows a password waits here for others who do, not on a thread that somebody else could use.
    passwords: Semaphore,
    pub(crate) openapi: axum::body::Bytes,
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

    /// Does what looks at a password.
    pub(crate) async fn with_password<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let _turn = self.passwords.acquire().await;
        self.blocking(work).await
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

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listener, or a thread.
    #[error(transparent)]
    System(#[from] io::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A server that runs until it is stopped.
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves at `listener`, over TLS where that is set up, on threads of its own.
    ///
    /// # Errors
    /// When the listener or the store cannot be used, or no thread can be started.
    pub fn start(listener: TcpListener, tls: Option<Arc<TlsConfig>>, parts: Parts) -> Result<Self, ServeError> {
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let runtime = runtime()?;
        let (stop, stopped) = watch::channel(false);
        let operations = routes::operations();
        let document = openapi::document(&operations).to_string();
        let uploads =
            Uploads::new(parts.uploads, parts.most_upload, Arc::clone(&parts.store), Arc::clone(&parts.operator))?;
        let (uploads, stream) = (Arc::new(uploads), Arc::new(Stream::default()));
        uploads.start(Arc::clone(&stream));
        parts.tap.show_payload(parts.payload);
        let shared = Arc::new(Shared {
            store: parts.store,
            accounts: parts.accounts,
            feed: parts.feed,
            tap: parts.tap,
            operator: parts.operator,
            uploads,
            payload: parts.payload,
            stream,
            answers: Answers::default(),
            cutting: Semaphore::new(1),
            receiving: Semaphore::new(UPLOADS_AT_ONCE),
            passwords: Semaphore::new(PASSWORDS),
            openapi: document.into(),
            is_encrypted: tls.is_some(),
        });
        let router = router(operations, &shared);
        let thread = thread::Builder::new().name("api".to_owned()).spawn(move || {
            runtime.block_on(async {
                let publishing = tokio::spawn(stream::publish(Arc::clone(&shared)));
                let tidying = tokio::spawn(tidy(Arc::clone(&shared)));
                connection::serve(listener, tls, router, stopped).await;
                publishing.abort();
                tidying.abort();
                shared.uploads.stop();
                // What cannot be written now was failed logins, and they are counted anew.
                let _ = shared.accounts.finish(crate::now());
            });
            runtime.shutdown_timeout(Duration::from_secs(1));
        })?;
        Ok(Self { address, stop, thread: Some(thread) })
    }

    /// Where it serves.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections and ends those that are open within two seconds.
    pub fn stop(mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Lets go of what has expired, once a minute.
async fn tidy(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(TIDY);
    loop {
        ticks.tick().await;
        let tidied = shared.blocking(|shared| {
            shared.accounts.tidy(crate::now())?.iter().for_each(|id| shared.uploads.forget(id));
            Ok(())
        });
        // It is tried again in a minute.
        let _ = tidied.await;
    }
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(STORE_THREADS)
        .thread_name("api")
        .enable_all()
        .build()
}

fn router(operations: Vec<operation::Operation>, shared: &Arc<Shared>) -> Router {
    operation::routes(operations, shared)
        .merge(routes::unlisted(shared))
        .fallback(missing)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn(request::tag))
        .layer(DefaultBodyLimit::max(MOST_BODY))
        .layer(middleware::from_fn(request::frame))
        .with_state(Arc::clone(shared))
}

/// Files are there to be read.
async fn missing(request: Request) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let file = if reads { assets::serve(request.uri().path(), request.headers()) } else { None };
    file.unwrap_or_else(|| Problem::not_found("there is nothing at this address").into_response())
}

async fn no_such_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this address does not do that; /docs says what it does")
}
