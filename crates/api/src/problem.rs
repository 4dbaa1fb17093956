//! What is answered when something cannot be done: problem details (RFC 9457).

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lapwing_store::StoreError;
use schemars::JsonSchema;
use serde::Serialize;

use crate::auth::AuthError;
use crate::operator::Refused;
use crate::request_id;

/// The media type of a problem.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// When to try again what a full disk refused.
const FULL: Duration = Duration::from_secs(60);

/// Why a request was not answered as asked.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: String,
    retry_after: Option<Duration>,
    /// Says the detail under `error`, too.
    with_error: bool,
}

/// A problem as it is answered (RFC 9457).
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(crate) struct ProblemView {
    /// Always `about:blank`: the status says what kind it is.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What is wrong, and what to do about it where that is known.
    detail: String,
    /// The same as `detail`, where older clients look for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// The id of the request, as in the header `X-Request-Id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), retry_after: None, with_error: false }
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(crate) fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }

    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail).after(Duration::from_secs(5))
    }

    pub(crate) fn too_many(detail: impl Into<String>, wait: Duration) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, detail).after(wait)
    }

    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    pub(crate) fn is_conflict(&self) -> bool {
        self.status == StatusCode::CONFLICT
    }

    /// When it may be tried again.
    pub(crate) fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Says the detail under `error` too.
    pub(crate) fn with_error(mut self) -> Self {
        self.with_error = true;
        self
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { .. } => Self::not_found(error.to_string()),
            StoreError::Refused(_) => Self::bad_request(error.to_string()),
            StoreError::Conflict(_) => Self::conflict(error.to_string()),
            StoreError::Full(_) => {
                Self::unavailable(format!("{error}; nothing can be changed until there is room")).after(FULL)
            }
            _ => Self::unavailable(format!("the store does not answer: {error}")),
        }
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        let detail = error.to_string();
        match error {
            AuthError::InvalidCredentials | AuthError::InvalidToken | AuthError::InvalidCode => {
                Self::unauthorized(detail)
            }
            AuthError::TooManyTries { wait } => Self::too_many(detail, wait),
            AuthError::Busy => Self::too_many(detail, Duration::from_secs(1)),
            AuthError::JustRefreshed => Self::conflict(detail),
            AuthError::Password(_) => Self::bad_request(detail),
            AuthError::WrongPassword | AuthError::NeedsLogin | AuthError::Forbidden(_) => Self::forbidden(detail),
            AuthError::Store(error) => error.into(),
            AuthError::NoSecret(_) => Self::unavailable(detail),
        }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Invalid(reason) => Self::bad_request(reason),
            Refused::Conflict(reason) => Self::conflict(reason),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { status, detail, retry_after, with_error } = self;
        let view = ProblemView {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Problem"),
            status: status.as_u16(),
            error: with_error.then(|| detail.clone()),
            detail,
            request_id: request_id::current(),
        };
        let mut response = (status, Json(view)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(wait) = retry_after {
            let seconds = wait.as_secs_f64().ceil().max(1.0) as u64;
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
