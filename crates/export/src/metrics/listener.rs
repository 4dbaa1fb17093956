//! The small HTTP server of `/metrics`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::Metrics;
use crate::SinkError;

/// Bytes of a request that are read, and how long that may take.
const LONGEST_REQUEST: usize = 8 * 1024;
const PATIENCE: Duration = Duration::from_secs(2);

/// Serves `/metrics` until dropped.
#[derive(Debug)]
pub struct MetricsListener {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
}

impl Drop for MetricsListener {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts; if that fails it ends with the process.
        let _ignored = TcpStream::connect_timeout(&self.address, PATIENCE);
    }
}

impl MetricsListener {
    /// Starts to listen: one thread, one request at a time, each with little time.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub fn start(address: SocketAddr, metrics: Arc<Metrics>) -> Result<Self, SinkError> {
        let failed = |source| SinkError::Listen { address: address.to_string(), source };
        let listener = TcpListener::bind(address).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        let serve = move || {
            for stream in listener.incoming().take_while(|_| !end.load(Ordering::Relaxed)) {
                match stream {
                    // A client that leaves early has itself to blame.
                    Ok(stream) => drop(answer(stream, &metrics)),
                    // Out of file descriptors, say: do not spin.
                    Err(_) => thread::sleep(Duration::from_millis(100)),
                }
            }
        };
        thread::Builder::new().name("metrics".to_owned()).spawn(serve).map_err(failed)?;
        Ok(Self { address: bound, ended })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn answer(mut stream: TcpStream, metrics: &Metrics) -> std::io::Result<()> {
    let end = Instant::now() + PATIENCE;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut request = Vec::new();
    let mut buffer = [0; 1_024];
    while !request.windows(4).any(|window| window == b"\r\n\r\n") && request.len() < LONGEST_REQUEST {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        stream.set_read_timeout(Some(left))?;
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        request.extend_from_slice(&buffer[..read]);
    }
    let line = request.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let path = line.split(|&byte| byte == b' ' || byte == b'?').nth(1).unwrap_or_default();
    let (status, body) = match path {
        _ if !line.starts_with(b"GET ") => ("405 Method Not Allowed", "GET only\n".to_owned()),
        b"/metrics" => ("200 OK", metrics.render()),
        _ => ("404 Not Found", "metrics are at /metrics\n".to_owned()),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use super::super::names;
    use super::*;

    #[test]
    fn the_listener_answers_and_outlives_rude_clients() {
        let metrics = Arc::new(Metrics::default());
        metrics.set(&names::UP, &[], 1.0);
        let listener = MetricsListener::start(SocketAddr::from(([127, 0, 0, 1], 0)), metrics).unwrap();
        drop(TcpStream::connect(listener.address()).unwrap());
        let ask = |request: &str| {
            let mut stream = TcpStream::connect(listener.address()).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        };
        assert!(ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").contains("\nlapwing_up 1\n"));
        assert!(ask("GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404"));
        assert!(ask("POST /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405"));
        assert!(ask("\r\n\r\n").starts_with("HTTP/1.1 405"));
    }
}
