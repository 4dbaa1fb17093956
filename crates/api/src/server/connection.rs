//! Connections: how many there may be, how slow they may be, and how they end.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig as TlsConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::patient::Patient;
use crate::network::network;

/// Connections at once.
const MOST: usize = 1_024;

/// Of them from one network.
const MOST_OF_ONE: usize = 512;

/// How long the head of a request may take, and a handshake.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a client may take not a byte of what it asked for.
const SLOWEST: Duration = Duration::from_secs(30);

/// How long open connections have when the server stops.
const FAREWELL: Duration = Duration::from_millis(1_500);

/// How long nothing is accepted after that failed: there may be no descriptor left.
const PAUSE: Duration = Duration::from_millis(100);

/// How many connections each network has.
#[derive(Default)]
struct Addresses(Mutex<HashMap<IpAddr, usize>>);

/// One connection among those counted.
struct Counted {
    addresses: Arc<Addresses>,
    address: IpAddr,
    _permit: OwnedSemaphorePermit,
}

impl Addresses {
    fn count(self: &Arc<Self>, address: IpAddr, permit: OwnedSemaphorePermit) -> Option<Counted> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= MOST_OF_ONE {
            return None;
        }
        *count += 1;
        Some(Counted { addresses: Arc::clone(self), address, _permit: permit })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.addresses.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// Serves until it is told to stop.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<TlsConfig>>,
    router: Router,
    mut stopped: watch::Receiver<bool>,
) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let acceptor = tls.map(TlsAcceptor::from);
    let (room, addresses) = (Arc::new(Semaphore::new(MOST)), Arc::new(Addresses::default()));
    let mut connections = JoinSet::new();
    loop {
        let permit = tokio::select! {
            permit = Arc::clone(&room).acquire_owned() => permit.expect("nobody closes it"),
            () = told(&mut stopped) => break,
        };
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(_) => {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            },
            () = told(&mut stopped) => break,
        };
        while connections.try_join_next().is_some() {}
        let Some(counted) = addresses.count(network(peer.ip()), permit) else { continue };
        let (router, acceptor, stopped) = (router.clone(), acceptor.clone(), stopped.clone());
        connections.spawn(async move {
            let _counted = counted;
            let _ = stream.set_nodelay(true);
            match acceptor {
                None => answer(stream, peer, router, stopped).await,
                Some(acceptor) => {
                    if let Some(stream) = encrypt(acceptor, stream).await {
                        answer(stream, peer, router, stopped).await;
                    }
                }
            }
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(FAREWELL, async { while connections.join_next().await.is_some() {} }).await;
    connections.abort_all();
}

/// Comes back when the server is to stop.
async fn told(stopped: &mut watch::Receiver<bool>) {
    // Whoever could tell being gone is telling, too.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

async fn encrypt(acceptor: TlsAcceptor, stream: TcpStream) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
    tokio::time::timeout(PATIENCE, acceptor.accept(stream)).await.ok()?.ok()
}

async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    router: Router,
    mut stopped: watch::Receiver<bool>,
) {
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request.map(axum::body::Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(Patient::new(stream, SLOWEST)), service)
        .with_upgrades();
    tokio::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => {}
        () = told(&mut stopped) => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}
