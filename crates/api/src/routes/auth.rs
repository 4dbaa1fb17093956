//! Logging in and out.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lapwing_capture::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Caller, SESSION_COOKIE, cookie, same_site};
use crate::auth::{Client, LoggedIn, Role, TokenKind};
use crate::extract::{Answer, Body};
use crate::operation::Operation;
use crate::problem::Problem;
use crate::shared::Shared;
use crate::view::time;

/// The cookie that a new session is had for.
const REFRESH_COOKIE: &str = "lapwing_refresh";

pub(super) fn operations() -> Vec<Operation> {
    let viewer = Access::Role(Role::Viewer);
    [
        Operation::post("/auth/login", Access::Open, "Log in", login)
            .takes::<Login>()
            .gives::<SessionView>(200)
            .problem(401)
            .problem(403),
        Operation::post("/auth/refresh", Access::Open, "Get a new session before the old one ends", refresh)
            .takes::<Refresh>()
            .gives::<SessionView>(200)
            .problem(401)
            .problem(403)
            .problem(409),
        Operation::post("/auth/logout", viewer, "Log out", logout).gives_nothing(),
        Operation::get("/auth/session", viewer, "Who one is", session).gives::<Me>(200),
        Operation::post("/auth/password", viewer, "Change one's password", password)
            .takes::<NewPassword>()
            .gives_nothing(),
        Operation::get("/auth/setup", Access::Open, "Whether the first account is still to be made", setup_needed)
            .gives::<SetupState>(200),
        Operation::post("/auth/setup", Access::Open, "Make the first account, with the code that was printed", setup)
            .takes::<Setup>()
            .gives::<SessionView>(200)
            .problem(401)
            .problem(403)
            .problem(409),
    ]
    .map(|operation| operation.tag("Access"))
    .into()
}

/// Who logs in.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Login {
    /// The account.
    #[schemars(length(min = 1, max = 64))]
    username: String,
    /// Its password.
    #[schemars(length(min = 1, max = 256))]
    password: String,
}

/// A session.
#[derive(Serialize, JsonSchema)]
struct SessionView {
    /// What to send from now on: `Authorization: Bearer TOKEN`.
    token: String,
    /// What the account may do.
    role: Role,
    /// The account.
    username: String,
    /// Until when the token is good.
    #[serde(serialize_with = "time::serialize")]
    #[schemars(with = "time::DateTime")]
    expires_at: Timestamp,
    /// What a new token is had for, once.
    refresh_token: String,
}

/// The program that asks, as it calls itself.
fn agent(headers: &HeaderMap) -> String {
    headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// Other sites' pages must not log somebody in (as somebody else): browsers say where a page is from, programs nothing.
fn no_other_site(headers: &HeaderMap) -> Result<(), Problem> {
    let from_page = headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site");
    if from_page { same_site(headers) } else { Ok(()) }
}

/// Tells of a session, and gives browsers its cookies.
fn logged_in(shared: &Shared, opened: LoggedIn) -> Response {
    let session = opened.session;
    let secure = if shared.is_encrypted { "; Secure" } else { "" };
    let lasts = |until: Timestamp| until.seconds().saturating_sub(crate::clock::now().seconds()).max(0);
    let cookies = [
        format!(
            "{SESSION_COOKIE}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}{secure}",
            opened.token,
            lasts(session.token_expires)
        ),
        format!(
            "{REFRESH_COOKIE}={}; Path=/auth; HttpOnly; SameSite=Strict; Max-Age={}{secure}",
            opened.refresh_token,
            lasts(session.refresh_expires)
        ),
    ];
    let mut response = Json(SessionView {
        token: opened.token,
        role: session.role,
        username: session.username,
        expires_at: session.token_expires,
        refresh_token: opened.refresh_token,
    })
    .into_response();
    for cookie in cookies.iter().filter_map(|cookie| HeaderValue::from_str(cookie).ok()) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// Takes the cookies of a session away.
fn without_cookies(mut response: Response) -> Response {
    for (name, path) in [(SESSION_COOKIE, "/"), (REFRESH_COOKIE, "/auth")] {
        let cookie = format!("{name}=; Path={path}; HttpOnly; SameSite=Strict; Max-Age=0");
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }
    response
}

async fn login(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Body(login): Body<Login>,
) -> Result<Response, Problem> {
    no_other_site(&headers)?;
    let agent = agent(&headers);
    let opened = shared.with_password(move |shared| {
        let client = Client { address: peer.ip(), user_agent: &agent };
        Ok(shared.accounts.log_in(&login.username, &login.password, client, crate::clock::now())?)
    });
    Ok(logged_in(&shared, opened.await?))
}

/// What a new session is had for.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Refresh {
    /// The refresh token; without it the cookie.
    #[schemars(length(max = 128))]
    refresh_token: Option<String>,
}

async fn refresh(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Body(given): Body<Refresh>,
) -> Result<Response, Problem> {
    no_other_site(&headers)?;
    let token = match given.refresh_token {
        Some(token) => token,
        None => {
            let token = cookie(&headers, REFRESH_COOKIE).map(ToOwned::to_owned);
            let token = token.ok_or_else(|| Problem::unauthorized("there is no session to go on with; log in"))?;
            same_site(&headers)?;
            token
        }
    };
    let opened = shared.blocking(move |shared| Ok(shared.accounts.refresh(&token, peer.ip(), crate::clock::now())?));
    match opened.await {
        Ok(opened) => Ok(logged_in(&shared, opened)),
        // Another window has new cookies already.
        Err(problem) if problem.is_conflict() => Err(problem),
        // Or the browser would show it again and again.
        Err(problem) => Ok(without_cookies(problem.into_response())),
    }
}

async fn logout(State(shared): State<Arc<Shared>>, Caller(caller): Caller) -> Result<Response, Problem> {
    shared.blocking(move |shared| Ok(shared.accounts.log_out(&caller, crate::clock::now())?)).await?;
    Ok(without_cookies(StatusCode::NO_CONTENT.into_response()))
}

/// Who one is.
#[derive(Serialize, JsonSchema)]
struct Me {
    /// The account.
    username: String,
    /// What it may do here.
    role: Role,
    /// Until when the session or token is good; `null` for ever.
    #[serde(serialize_with = "time::optional::serialize")]
    #[schemars(with = "Option<time::DateTime>")]
    expires_at: Option<Timestamp>,
    /// `session` or `token`.
    kind: &'static str,
}

async fn session(Caller(caller): Caller) -> Json<Me> {
    let kind = if caller.kind == TokenKind::Token { "token" } else { "session" };
    Json(Me { role: caller.role, expires_at: caller.expires, kind, username: caller.username })
}

/// A password, and the one it comes after.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    /// The password as it is.
    #[schemars(length(min = 1, max = 256))]
    current: String,
    /// The password as it is to be.
    #[schemars(length(min = 12, max = 256))]
    new: String,
}

async fn password(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Caller(caller): Caller,
    headers: HeaderMap,
    Body(change): Body<NewPassword>,
) -> Result<StatusCode, Problem> {
    let agent = agent(&headers);
    let changed = move |shared: &Shared| {
        let client = Client { address: peer.ip(), user_agent: &agent };
        Ok(shared.accounts.change_password(&caller, &change.current, &change.new, client, crate::clock::now())?)
    };
    shared.with_password(changed).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether somebody has to begin.
#[derive(Serialize, JsonSchema)]
struct SetupState {
    /// There is no account yet.
    needed: bool,
}

async fn setup_needed(State(shared): State<Arc<Shared>>) -> Answer<SetupState> {
    shared.blocking(|shared| Ok(SetupState { needed: shared.accounts.needs_setup()? })).await.map(Json)
}

/// The first account.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Setup {
    /// The code of the link that was printed at the start.
    #[schemars(length(min = 1, max = 128))]
    code: String,
    /// Its name.
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[A-Za-z0-9._@-]+$"))]
    username: String,
    /// Its password.
    #[schemars(length(min = 12, max = 256))]
    password: String,
}

async fn setup(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Body(setup): Body<Setup>,
) -> Result<Response, Problem> {
    no_other_site(&headers)?;
    let agent = agent(&headers);
    let opened = shared.with_password(move |shared| {
        let Setup { code, username, password } = setup;
        let client = Client { address: peer.ip(), user_agent: &agent };
        Ok(shared.accounts.set_up(&code, &username, &password, client, crate::clock::now())?)
    });
    Ok(logged_in(&shared, opened.await?))
}
