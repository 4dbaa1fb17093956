//! Answers that are the same for everybody, kept for a moment: fifty dashboards that ask at once cost one look into the store.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::request;
use crate::server::Shared;

/// How long an answer is good: what is watched is told once a second.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// Answers that are kept, and bytes of all of them.
const MOST: usize = 64;
const MOST_BYTES: usize = 8 << 20;

/// Answers by what was asked.
#[derive(Default)]
pub(crate) struct Answers(Mutex<HashMap<String, Kept>>);

struct Kept {
    asked: Instant,
    answer: Arc<OnceCell<Answer>>,
}

#[derive(Clone)]
struct Answer {
    headers: HeaderMap,
    bytes: Bytes,
}

impl Answers {
    fn kept(&self) -> MutexGuard<'_, HashMap<String, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The place of an answer: one that is good, one that somebody works on, or an empty one.
    fn place(&self, asked: &str) -> Arc<OnceCell<Answer>> {
        let mut kept = self.kept();
        let is_good = |kept: &Kept| kept.asked.elapsed() < GOOD_FOR || kept.answer.get().is_none();
        if let Some(kept) = kept.get(asked).filter(|kept| is_good(kept)) {
            return Arc::clone(&kept.answer);
        }
        kept.retain(|_, kept| kept.asked.elapsed() < GOOD_FOR);
        let bytes: usize = kept.values().filter_map(|kept| kept.answer.get()).map(|answer| answer.bytes.len()).sum();
        let answer = Arc::<OnceCell<Answer>>::default();
        if kept.len() < MOST && bytes < MOST_BYTES {
            kept.insert(asked.to_owned(), Kept { asked: Instant::now(), answer: Arc::clone(&answer) });
        }
        answer
    }

    /// Something was changed: what was kept may be wrong.
    pub(crate) fn clear(&self) {
        self.kept().clear();
    }
}

/// Answers from what is kept; of those who ask the same at once, one has it worked out for all.
pub(crate) async fn keep(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    if request.method() != Method::GET {
        return next.run(request).await;
    }
    let asked = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    let place = shared.answers.place(&asked);
    let answer = place.get_or_try_init(|| async {
        let response = next.run(request).await;
        if response.status() != StatusCode::OK {
            return Err(response);
        }
        let (parts, body) = request::tagged(response).await.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())?;
        Ok(Answer { headers: parts.headers, bytes })
    });
    match answer.await {
        Ok(Answer { headers, bytes }) => (headers.clone(), Body::from(bytes.clone())).into_response(),
        Err(response) => response,
    }
}
