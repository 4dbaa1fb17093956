//! What is taken from a request, with problems that say what is wrong where.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use lapwing_alert::from_rfc3339;
use lapwing_capture::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// Bytes of a body, where an operation does not say otherwise.
pub(crate) const MOST_BODY: usize = 256 << 10;

/// The query, as an object.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(value)| Self(value)).map_err(|error| Problem::bad_request(error.body_text()))
    }
}

/// The one name in the path.
pub(crate) struct Named(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|Path(name)| Self(name)).map_err(|error| Problem::bad_request(error.body_text()))
    }
}

/// A moment in a query.
pub(crate) fn moment(name: &str, text: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let refused = || Problem::bad_request(format!("{name}: '{text}' is not a time such as 2026-11-20T18:00:00Z"));
    from_rfc3339(text).map(Some).ok_or_else(refused)
}

/// A body in JSON.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = content_type.and_then(|value| value.split(';').next()).map(str::trim);
        if !media_type.is_some_and(|media_type| media_type.eq_ignore_ascii_case("application/json")) {
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send JSON: Content-Type: application/json"));
        }
        // Who says so is told before it has come.
        let stated = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        if stated.is_some_and(|bytes: u64| bytes > MOST_BODY as u64) {
            let detail = format!("this takes {MOST_BODY} bytes at most");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|error| unread(&error))?;
        let mut reader = serde_json::Deserializer::from_slice(&bytes);
        let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let place = error.path().to_string();
            let reason = error.into_inner();
            Problem::bad_request(if place == "." { reason.to_string() } else { format!("{place}: {reason}") })
        })?;
        reader.end().map_err(|error| Problem::bad_request(error.to_string()))?;
        Ok(Self(value))
    }
}

fn unread(error: &BytesRejection) -> Problem {
    Problem::new(error.status(), error.body_text())
}

/// Something as JSON, with a status.
pub(crate) struct Given<T>(pub(crate) StatusCode, pub(crate) T);

impl<T> From<T> for Given<T> {
    fn from(value: T) -> Self {
        Self(StatusCode::OK, value)
    }
}

impl<T: Serialize> IntoResponse for Given<T> {
    fn into_response(self) -> Response {
        (self.0, Json(self.1)).into_response()
    }
}

/// What most operations come to.
pub(crate) type Answer<T> = Result<Json<T>, Problem>;
