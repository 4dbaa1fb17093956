//! What every request goes through: an id, the headers of every answer, entity tags.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ring::digest::{SHA256, digest};

use crate::problem::Problem;
use crate::{random, request_id};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Only what this server serves, nothing inline, framed by nobody.
pub(crate) const CONTENT_POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// Answers larger than this get no entity tag.
const MOST_TAGGED: usize = 4 << 20;

/// Gives the request an id, and the answer the headers that every answer has.
pub(crate) async fn frame(request: Request, next: Next) -> Response {
    let given = request.headers().get(&REQUEST_ID).and_then(|value| value.to_str().ok());
    let id = given.filter(|id| request_id::is_one(id)).map_or_else(|| random::text(12), ToOwned::to_owned);
    let mut response = request_id::within(id.clone(), next.run(request)).await;
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, value);
    }
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// How long an answer may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Gives up what takes too long: slow bodies, slow disks.
pub(crate) async fn in_time(request: Request, next: Next) -> Response {
    let answered = tokio::time::timeout(PATIENCE, next.run(request)).await;
    answered.unwrap_or_else(|_| Problem::unavailable("this took too long").into_response())
}

/// Tags what is read, and answers 304 to whoever has it already (RFC 9110, section 13.1.2).
pub(crate) async fn tag(request: Request, next: Next) -> Response {
    let reads = request.method() == Method::GET;
    let known = request.headers().get(header::IF_NONE_MATCH).cloned();
    let response = next.run(request).await;
    if !reads {
        return response;
    }
    let mut response = tagged(response).await;
    let tag = response.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok());
    let known = known.as_ref().and_then(|known| known.to_str().ok());
    let is_known = tag.zip(known).is_some_and(|(tag, known)| is_among(tag, known));
    if is_known && response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Body::empty();
        response.headers_mut().remove(header::CONTENT_TYPE);
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    response
}

/// Whether an entity tag is among those of `If-None-Match`, by weak comparison; `*` stands for any.
fn is_among(tag: &str, known: &str) -> bool {
    let bare = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    known.split(',').any(|known| known.trim() == "*" || bare(known) == bare(tag))
}

/// The same with an entity tag, where it is JSON and has none.
pub(crate) async fn tagged(response: Response) -> Response {
    let headers = response.headers();
    let is_json = headers.get(header::CONTENT_TYPE).is_some_and(|value| value == "application/json");
    if response.status() != StatusCode::OK || !is_json || headers.contains_key(header::ETAG) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    if bytes.len() <= MOST_TAGGED {
        let hash = digest(&SHA256, &bytes);
        let tag = format!("\"{}\"", random::url_safe(&hash.as_ref()[..12]));
        let tag = HeaderValue::from_str(&tag).expect("base64 in quotes is a header value");
        parts.headers.insert(header::ETAG, tag);
        parts.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    }
    Response::from_parts(parts, Body::from(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entity_tag_is_known_by_weak_comparison() {
        for known in ["\"a\"", "W/\"a\"", "*", "\"b\", W/\"a\""] {
            assert!(is_among("\"a\"", known), "{known}");
        }
        assert!(!is_among("\"a\"", "\"b\"") && !is_among("\"a\"", ""));
    }
}
