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

/// How long an answer is good: what is watched is told once a second.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// How long after that it is given to whoever asks while a newer one is worked out: nobody waits for what is asked all the time.
const PASSABLE_FOR: Duration = Duration::from_secs(2);

/// Answers that are kept, and bytes of all of them.
const MOST: usize = 64;
const MOST_BYTES: usize = 8 << 20;

/// Answers by what was asked.
#[derive(Default)]
pub(crate) struct Answers(Mutex<HashMap<String, Kept>>);

struct Kept {
    asked: Instant,
    answer: Arc<OnceCell<Answer>>,
    /// Somebody works on a newer one.
    is_renewed: bool,
}

#[derive(Clone)]
struct Answer {
    headers: HeaderMap,
    bytes: Bytes,
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        (self.headers, Body::from(self.bytes)).into_response()
    }
}

/// What there is of an answer.
struct Found {
    /// One that is good, one that somebody works on, or none yet.
    answer: Arc<OnceCell<Answer>>,
    /// It is to be worked out anew.
    is_old: bool,
}

impl Answers {
    fn kept(&self) -> MutexGuard<'_, HashMap<String, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, asked: &str) -> Found {
        let mut kept = self.kept();
        if let Some(kept) = kept.get_mut(asked) {
            let age = kept.asked.elapsed();
            let is_there = kept.answer.get().is_some();
            if age < GOOD_FOR + PASSABLE_FOR || !is_there {
                let is_old = age >= GOOD_FOR && is_there && !kept.is_renewed;
                kept.is_renewed |= is_old;
                return Found { answer: Arc::clone(&kept.answer), is_old };
            }
        }
        kept.retain(|_, kept| kept.asked.elapsed() < GOOD_FOR + PASSABLE_FOR);
        let bytes: usize = kept.values().filter_map(|kept| kept.answer.get()).map(|answer| answer.bytes.len()).sum();
        let answer = Arc::<OnceCell<Answer>>::default();
        if kept.len() < MOST && bytes < MOST_BYTES {
            let fresh = Kept { asked: Instant::now(), answer: Arc::clone(&answer), is_renewed: false };
            kept.insert(asked.to_owned(), fresh);
        }
        Found { answer, is_old: false }
    }

    /// Puts a newer answer, asked for at `time`, in the place of `old`, unless something was changed meanwhile.
    fn renew(&self, asked: &str, old: &Arc<OnceCell<Answer>>, time: Instant, newer: Option<Answer>) {
        let mut kept = self.kept();
        if !kept.get(asked).is_some_and(|kept| Arc::ptr_eq(&kept.answer, old)) {
            return;
        }
        match newer {
            Some(newer) => {
                let answer = Arc::new(OnceCell::new_with(Some(newer)));
                kept.insert(asked.to_owned(), Kept { asked: time, answer, is_renewed: false });
            }
            None => {
                kept.remove(asked);
            }
        }
    }

    /// Something was changed: what was kept may be wrong.
    pub(crate) fn clear(&self) {
        self.kept().clear();
    }
}

/// Answers from what is kept; of those who ask the same at once, one has it worked out for all.
pub(crate) async fn keep(State(answers): State<Arc<Answers>>, request: Request, next: Next) -> Response {
    if request.method() != Method::GET {
        return next.run(request).await;
    }
    let asked = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    let Found { answer, is_old } = answers.find(&asked);
    if let Some(known) = answer.get().cloned() {
        if is_old {
            tokio::spawn(async move {
                let time = Instant::now();
                let newer = tokio::time::timeout(request::PATIENCE, work_out(request, next)).await;
                answers.renew(&asked, &answer, time, newer.ok().and_then(Result::ok));
            });
        }
        return known.into_response();
    }
    match answer.get_or_try_init(|| work_out(request, next)).await {
        Ok(answer) => answer.clone().into_response(),
        Err(response) => *response,
    }
}

/// The answer; anything but success is no answer to keep.
async fn work_out(request: Request, next: Next) -> Result<Answer, Box<Response>> {
    let response = next.run(request).await;
    if response.status() != StatusCode::OK {
        return Err(Box::new(response));
    }
    let (parts, body) = request::tagged(response).await.into_parts();
    let bytes = to_bytes(body, usize::MAX).await;
    let bytes = bytes.map_err(|_| Box::new(StatusCode::INTERNAL_SERVER_ERROR.into_response()))?;
    Ok(Answer { headers: parts.headers, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &'static str) -> Answer {
        Answer { headers: HeaderMap::new(), bytes: Bytes::from_static(text.as_bytes()) }
    }

    fn old(answers: &Answers, seconds: u64) {
        for kept in answers.kept().values_mut() {
            kept.asked -= Duration::from_secs(seconds);
        }
    }

    #[test]
    fn one_renews_what_is_old_while_others_have_it_and_a_change_makes_it_nothing() {
        let answers = Answers::default();
        let first = answers.find("x");
        assert!(first.answer.get().is_none() && !first.is_old);
        assert!(Arc::ptr_eq(&first.answer, &answers.find("x").answer), "one works it out for all");
        assert!(first.answer.set(answer("one")).is_ok());
        old(&answers, 1);
        let (second, third) = (answers.find("x"), answers.find("x"));
        assert!(second.is_old && !third.is_old && third.answer.get().is_some());
        answers.renew("x", &second.answer, Instant::now(), Some(answer("two")));
        let newer = answers.find("x");
        assert!(!newer.is_old && newer.answer.get().is_some_and(|answer| answer.bytes == "two"));
        answers.clear();
        answers.renew("x", &newer.answer, Instant::now(), Some(answer("before the change")));
        assert!(answers.find("x").answer.get().is_none());
    }

    #[test]
    fn what_is_too_old_is_asked_for_again_and_there_is_a_most() {
        let answers = Answers::default();
        assert!(answers.find("x").answer.set(answer("one")).is_ok());
        old(&answers, 3);
        assert!(answers.find("x").answer.get().is_none());
        (0..1_000).for_each(|number| drop(answers.find(&number.to_string())));
        assert_eq!(answers.kept().len(), MOST);
    }
}
