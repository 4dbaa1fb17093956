//! The form of an upload, as it comes in: as long as it may be, and as fast as it must.

use std::path::Path;
use std::time::Duration;

use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::http::StatusCode;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

use crate::problem::Problem;
use crate::uploads::Incoming;

/// How long the next bytes of an upload may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many bytes per second come at least on the whole, and what time there is besides: what comes slower, however steadily,
/// keeps a place that others wait for.
pub(super) const LEAST_RATE: u64 = 64 << 10;
pub(super) const GRACE: Duration = Duration::from_secs(30);

/// Bytes of a field that is no file.
const MOST_WORDS: usize = 1_024;

/// How fast an upload comes.
pub(super) struct Pace {
    begun: Instant,
    grace: Duration,
    /// Bytes per second.
    least: u64,
    bytes: u64,
}

impl Pace {
    /// From now on, `least` bytes per second and `grace` besides.
    pub(super) fn new(grace: Duration, least: u64) -> Self {
        Self { begun: Instant::now(), grace, least, bytes: 0 }
    }

    /// Waits for what comes next, as long as that may take.
    async fn next<T>(&self, next: impl Future<Output = Result<T, MultipartError>>) -> Result<T, Problem> {
        let end = self.begun + self.grace + Duration::from_secs_f64(self.bytes as f64 / self.least as f64);
        let (silent, now) = (Instant::now() + PATIENCE, Instant::now());
        let too_slow = || Problem::bad_request("the upload comes too slowly; others wait for its place");
        if now >= end {
            return Err(too_slow());
        }
        match tokio::time::timeout_at(silent.min(end), next).await {
            Ok(read) => read.map_err(|error| Problem::new(error.status(), error.body_text())),
            Err(_) if end < silent => Err(too_slow()),
            Err(_) => Err(Problem::bad_request("the upload did not go on")),
        }
    }
}

/// Reads the fields of a form into `incoming`, its file into that of this path.
pub(super) async fn take(
    mut form: Multipart,
    mut pace: Pace,
    path: &Path,
    incoming: &mut Incoming,
    most: u64,
) -> Result<(), Problem> {
    let mut has_file = false;
    while let Some(field) = pace.next(form.next_field()).await? {
        match field.name().unwrap_or_default() {
            "file" if has_file => return Err(Problem::bad_request("file: hand in one at a time")),
            "file" => {
                has_file = true;
                incoming.name = field.file_name().unwrap_or("capture").to_owned();
                incoming.bytes = take_file(field, &mut pace, path, most).await?;
            }
            "filter" => incoming.filter = words(field, &pace).await?,
            "model" => incoming.model = words(field, &pace).await?,
            other => return Err(Problem::bad_request(format!("'{other}' is not a field of an upload"))),
        }
    }
    if has_file { Ok(()) } else { Err(Problem::bad_request("file: it is missing")) }
}

async fn take_file(mut field: Field<'_>, pace: &mut Pace, path: &Path, most: u64) -> Result<u64, Problem> {
    let failed = |error: std::io::Error| Problem::unavailable(format!("the upload cannot be kept: {error}"));
    let mut file = tokio::fs::File::create(path).await.map_err(failed)?;
    let mut bytes = 0;
    while let Some(chunk) = pace.next(field.chunk()).await? {
        bytes += chunk.len() as u64;
        pace.bytes = bytes;
        if bytes > most {
            let detail = format!("a capture may have {} MiB at most", most >> 20);
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
        }
        file.write_all(&chunk).await.map_err(failed)?;
    }
    file.flush().await.map_err(failed)?;
    Ok(bytes)
}

async fn words(mut field: Field<'_>, pace: &Pace) -> Result<Option<String>, Problem> {
    let mut bytes = Vec::new();
    while let Some(chunk) = pace.next(field.chunk()).await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MOST_WORDS {
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "a field of the form is too long"));
        }
    }
    let text = String::from_utf8(bytes).map_err(|_| Problem::bad_request("a field of the form is no text"))?;
    Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use axum::body::{Body, Bytes, HttpBody};
    use axum::extract::{FromRequest, Request};
    use axum::http::header;
    use hyper::body::Frame;
    use tokio::time::{Interval, interval};

    use super::*;

    /// A form whose file never ends: so many bytes every 10 ms.
    struct Trickle {
        ticks: Interval,
        size: usize,
        has_begun: bool,
    }

    impl HttpBody for Trickle {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            if !std::mem::replace(&mut self.has_begun, true) {
                let head = "--limit\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.pcap\"\r\n\r\n";
                return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(head.as_bytes())))));
            }
            let size = self.size;
            self.ticks.poll_tick(context).map(|_| Some(Ok(Frame::data(Bytes::from(vec![b'x'; size])))))
        }
    }

    async fn form(size: usize) -> Multipart {
        let body = Trickle { ticks: interval(Duration::from_millis(10)), size, has_begun: false };
        let media_type = "multipart/form-data; boundary=limit";
        let request = Request::post("/").header(header::CONTENT_TYPE, media_type).body(Body::new(body)).unwrap();
        Multipart::from_request(request, &()).await.unwrap()
    }

    #[tokio::test]
    async fn an_upload_that_trickles_gives_its_place_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("capture");
        let take = async |size: usize| {
            let begun = Instant::now();
            let pace = Pace::new(Duration::from_millis(100), 100_000);
            let refused = take(form(size).await, pace, &path, &mut Incoming::default(), 200_000).await.unwrap_err();
            (refused.detail().to_owned(), begun.elapsed())
        };
        let (detail, took) = take(10).await;
        assert!(detail.contains("too slowly"), "{detail}");
        assert!((Duration::from_millis(90)..Duration::from_secs(5)).contains(&took), "{took:?}");
        let (detail, _) = take(50_000).await;
        assert!(detail.contains("at most"), "what comes fast may be as long as it may be: {detail}");
    }
}
