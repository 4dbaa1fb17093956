//! The server: connections, their limits, and the routes behind them.

mod connection;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use lapwing_engine::packets::Tap;
use lapwing_store::Store;
use rustls::ServerConfig as TlsConfig;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use crate::auth::Accounts;
use crate::feed::Feed;
use crate::operator::Operator;
use crate::problem::Problem;
use crate::stream::Stream;
use crate::{assets, openapi, operation, request, routes, stream};

/// Bytes of a body, where an operation does not say otherwise.
pub(crate) const MOST_BODY: usize = 256 << 10;

/// How long an answer may take. Streams and uploads have limits of their own.
const PATIENCE: Duration = Duration::from_secs(30);

/// Threads that wait for the store: each may hold one of its readers.
const STORE_THREADS: usize = 4;

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
}

/// What every operation can reach.
pub(crate) struct Shared {
    pub(crate) store: Arc<Store>,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) feed: Feed,
    pub(crate) tap: Tap,
    pub(crate) operator: Arc<dyn Operator>,
    pub(crate) stream: Stream,
    pub(crate) openapi: axum::body::Bytes,
    /// Cookies are for encrypted connections only.
    pub(crate) is_encrypted: bool,
}

impl Shared {
    /// The store of what is watched, or of an upload.
    pub(crate) fn kept(&self, job: Option<&str>) -> Result<Arc<Store>, Problem> {
        match job.filter(|job| !job.is_empty()) {
            None => Ok(Arc::clone(&self.store)),
            Some(job) => Err(Problem::not_found(format!("there is no upload {job}"))),
        }
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
    /// When the listener cannot be used or no thread can be started.
    pub fn start(listener: TcpListener, tls: Option<Arc<TlsConfig>>, parts: Parts) -> io::Result<Self> {
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let runtime = runtime()?;
        let (stop, stopped) = watch::channel(false);
        let operations = routes::operations();
        let document = openapi::document(&operations).to_string();
        let shared = Arc::new(Shared {
            store: parts.store,
            accounts: parts.accounts,
            feed: parts.feed,
            tap: parts.tap,
            operator: parts.operator,
            stream: Stream::default(),
            openapi: document.into(),
            is_encrypted: tls.is_some(),
        });
        let router = router(operations, &shared);
        let thread = thread::Builder::new().name("api".to_owned()).spawn(move || {
            runtime.block_on(async {
                let publishing = tokio::spawn(stream::publish(Arc::clone(&shared)));
                connection::serve(listener, tls, router, stopped).await;
                publishing.abort();
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
        .layer(middleware::from_fn(in_time))
        .merge(routes::unlisted(shared))
        .fallback(missing)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn(request::tag))
        .layer(DefaultBodyLimit::max(MOST_BODY))
        .layer(middleware::from_fn(request::frame))
        .with_state(Arc::clone(shared))
}

async fn in_time(request: Request, next: Next) -> Response {
    let answered = tokio::time::timeout(PATIENCE, next.run(request)).await;
    answered.unwrap_or_else(|_| Problem::unavailable("this took too long").into_response())
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
