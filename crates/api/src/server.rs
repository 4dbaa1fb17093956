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
use axum::routing::get;
use lapwing_engine::packets::Tap;
use lapwing_store::{Store, StoreError};
use rustls::ServerConfig as TlsConfig;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, watch};

use crate::auth::Accounts;
use crate::clock::now;
use crate::extract::MOST_BODY;
use crate::feed::Feed;
use crate::operator::Operator;
use crate::problem::Problem;
use crate::shared::Shared;
use crate::stream::Stream;
use crate::uploads::Uploads;
use crate::{assets, openapi, operation, publish, request, routes, socket};

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
    /// All that is watched is made up.
    pub simulated: bool,
    /// A folder on the disk that things are kept on, whose free space is told.
    pub disk: PathBuf,
    /// Where uploads go; it is made when there is one.
    pub uploads: PathBuf,
    /// Bytes of an upload at most.
    pub most_upload: u64,
    /// Bytes of what packets carry that are shown; `None` shows nothing.
    pub payload: Option<usize>,
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
            simulated: parts.simulated,
            disk: parts.disk,
            uploads,
            payload: parts.payload,
            stream,
            answers: Arc::default(),
            reading: Arc::new(Semaphore::new(1)),
            receiving: Semaphore::new(UPLOADS_AT_ONCE),
            passwords: Semaphore::new(PASSWORDS),
            openapi: document.into(),
            is_encrypted: tls.is_some(),
        });
        let router = router(operations, &shared);
        let thread = thread::Builder::new().name("api".to_owned()).spawn(move || {
            runtime.block_on(async {
                let publishing = tokio::spawn(publish::publish(Arc::clone(&shared)));
                let tidying = tokio::spawn(tidy(Arc::clone(&shared)));
                connection::serve(listener, tls, router, stopped).await;
                publishing.abort();
                tidying.abort();
                shared.uploads.stop();
                shared.accounts.finish(now());
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
            shared.accounts.tidy(now())?.iter().for_each(|id| shared.uploads.forget(id));
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
        // The stream is no answer to a request: the OpenAPI document leaves it out.
        .route("/ws", get(socket::connect))
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
