//! Who is let through to an operation.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::auth::{AuthError, Identity, Role, TokenKind};
use crate::problem::Problem;
use crate::shared::Shared;

/// The cookie of a session.
pub(crate) const SESSION_COOKIE: &str = "lapwing_session";

/// Who may use an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody.
    Open,
    /// Accounts with this role or a higher one.
    Role(Role),
}

impl Access {
    /// In the words of the OpenAPI document.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Open => "none",
            Self::Role(role) => role.as_str(),
        }
    }
}

/// Who asks, of an operation that asks for a role.
pub(crate) struct Caller(pub(crate) Identity);

impl Caller {
    /// That they logged in: what expires, as API tokens do, must not make what does not.
    pub(crate) fn logged_in(self) -> Result<Identity, Problem> {
        match self.0.kind {
            TokenKind::Session => Ok(self.0),
            TokenKind::Token => Err(AuthError::NeedsLogin.into()),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let identity = parts.extensions.get::<Identity>().cloned();
        identity.map(Self).ok_or_else(|| Problem::unauthorized("log in first"))
    }
}

/// Lets a request through if its caller may use the operation, and notes who that is.
pub(crate) async fn guard(
    State((shared, access)): State<(Arc<Shared>, Access)>,
    mut request: Request,
    next: Next,
) -> Response {
    let identity = match identify(&shared, request.method(), request.headers()).await {
        Ok(identity) => identity,
        // What is open to everybody is open to who shows an old token, too.
        Err(_) if access == Access::Open => None,
        Err(problem) => return problem.into_response(),
    };
    if let Access::Role(role) = access {
        match &identity {
            None => {
                return Problem::unauthorized("log in, or send an API token: Authorization: Bearer TOKEN")
                    .into_response();
            }
            Some(identity) if identity.role < role => {
                let detail = format!("this takes the role {}; yours is {}", role.as_str(), identity.role.as_str());
                return Problem::forbidden(detail).into_response();
            }
            Some(_) => {}
        }
    }
    if let Some(identity) = identity {
        request.extensions_mut().insert(identity);
    }
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let response = next.run(request).await;
    // What everybody may ask changes nothing that is shown, and must not cost those who are shown it.
    if changes && access != Access::Open && response.status().is_success() {
        shared.answers.clear();
    }
    response
}

/// Whose token a request carries; `None` if it carries none.
pub(crate) async fn identify(
    shared: &Arc<Shared>,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Option<Identity>, Problem> {
    let token = match (bearer(headers), cookie(headers, SESSION_COOKIE)) {
        (Some(token), _) => token?,
        (None, Some(token)) => {
            if !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
                same_site(headers)?;
            }
            token
        }
        (None, None) => return Ok(None),
    }
    .to_owned();
    if let Some(known) = shared.accounts.remembered(&token, crate::clock::now()) {
        return Ok(Some(known));
    }
    shared.blocking(move |shared| Ok(shared.accounts.authenticate(&token, crate::clock::now()).map(Some)?)).await
}

/// The token of the header `Authorization`.
fn bearer(headers: &HeaderMap) -> Option<Result<&str, Problem>> {
    let value = headers.get(header::AUTHORIZATION)?;
    let token = value.to_str().ok().and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    Some(token.ok_or_else(|| Problem::unauthorized("the header Authorization is not of the form: Bearer TOKEN")))
}

/// The cookie of that name.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// Whether a browser sends this from a page of ours: cookies alone do not say so.
pub(crate) fn same_site(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let from_here = match (text("sec-fetch-site"), text("origin"), text("host")) {
        (Some(site), None, _) => site == "same-origin" || site == "none",
        (site, Some(origin), Some(host)) => {
            let origin = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            origin == Some(host) && site.is_none_or(|site| site == "same-origin")
        }
        _ => false,
    };
    let refused = || Problem::forbidden("a session's cookie is only good for requests from this site's own pages");
    from_here.then_some(()).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_cookie_is_good_for_pages_of_this_site_alone() {
        let host = ("host", "127.0.0.1:8080");
        for good in [
            vec![host, ("origin", "http://127.0.0.1:8080"), ("sec-fetch-site", "same-origin")],
            vec![host, ("origin", "https://127.0.0.1:8080")],
            vec![host, ("sec-fetch-site", "same-origin")],
        ] {
            assert!(same_site(&headers(&good)).is_ok(), "{good:?}");
        }
        for bad in [
            vec![host],
            vec![host, ("origin", "null")],
            vec![host, ("origin", "http://evil.example")],
            vec![host, ("origin", "http://127.0.0.1:8081")],
            vec![host, ("origin", "http://127.0.0.1:8080.evil.example")],
            vec![host, ("sec-fetch-site", "cross-site")],
            vec![host, ("sec-fetch-site", "same-site")],
            vec![host, ("origin", "http://127.0.0.1:8080"), ("sec-fetch-site", "cross-site")],
        ] {
            assert!(same_site(&headers(&bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn cookies_are_found_by_name() {
        let sent = headers(&[("cookie", "a=1; lapwing_session=x=y"), ("cookie", "b=2")]);
        assert_eq!(cookie(&sent, SESSION_COOKIE), Some("x=y"));
        assert_eq!(cookie(&sent, "b"), Some("2"));
        assert_eq!(cookie(&sent, "c"), None);
    }
}
