//! Accounts, tokens, the audit trail, what is kept and how it is set up.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use lapwing_capture::Timestamp;
use lapwing_store::{Account, ApiToken, AuditEntry, AuditQuery, Change};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{after, limit};
use crate::access::{Access, Caller};
use crate::auth::Role;
use crate::extract::{Answer, Body, Given, Named, Params};
use crate::operation::Operation;
use crate::problem::Problem;
use crate::shared::Shared;
use crate::view::{All, Listed, time};

pub(super) fn operations() -> Vec<Operation> {
    let (viewer, admin) = (Access::Role(Role::Viewer), Access::Role(Role::Admin));
    [
        Operation::get("/api/v1/accounts", admin, "Who has an account", accounts).gives::<All<AccountView>>(200),
        Operation::post("/api/v1/accounts", admin, "Make an account", add_account)
            .takes::<NewAccount>()
            .gives::<AccountName>(201)
            .problem(409),
        Operation::patch("/api/v1/accounts/{username}", admin, "Change an account", change_account)
            .takes::<AccountChange>()
            .gives_nothing()
            .problem(409),
        Operation::delete("/api/v1/accounts/{username}", admin, "Remove an account", remove_account)
            .gives_nothing()
            .problem(409),
        Operation::get("/api/v1/tokens", viewer, "One's API tokens; an admin's: all", tokens)
            .gives::<All<TokenView>>(200),
        Operation::post("/api/v1/tokens", viewer, "Make an API token; it is shown once", add_token)
            .takes::<NewToken>()
            .gives::<MadeToken>(201)
            .problem(409),
        Operation::delete("/api/v1/tokens/{id}", viewer, "Revoke an API token", revoke_token).gives_nothing(),
        Operation::get("/api/v1/audit", admin, "Who changed what, the latest first", audit)
            .query::<AuditFilter>()
            .gives::<Listed<AuditEntry>>(200),
        Operation::get("/api/v1/configuration", admin, "The settings in force, without secrets", configuration)
            .gives::<Configuration>(200),
        Operation::post("/api/v1/reload", admin, "Read rules, models and suppressions anew", reload)
            .answers(202, crate::operation::Given::Nothing),
    ]
    .map(|operation| operation.tag("System"))
    .into()
}

/// An account.
#[derive(Serialize, JsonSchema)]
struct AccountView {
    /// Its name.
    username: String,
    /// What it may do.
    role: Role,
    /// Whether nobody can log in with it.
    disabled: bool,
    /// When it was made.
    #[serde(serialize_with = "time::serialize")]
    #[schemars(with = "time::DateTime")]
    created: Timestamp,
    /// When somebody logged in with it last.
    #[serde(serialize_with = "time::optional::serialize")]
    #[schemars(with = "Option<time::DateTime>")]
    last_login: Option<Timestamp>,
    /// Until when too many wrong passwords lock it.
    #[serde(serialize_with = "time::optional::serialize")]
    #[schemars(with = "Option<time::DateTime>")]
    locked_until: Option<Timestamp>,
    /// Sessions that are open.
    sessions: u64,
}

async fn accounts(State(shared): State<Arc<Shared>>) -> Answer<All<AccountView>> {
    let found = shared.blocking(|shared| {
        let now = crate::clock::now();
        let view = |account: Account| AccountView {
            locked_until: shared.accounts.locked_until(&account.username, now),
            username: account.username,
            role: account.role,
            disabled: account.disabled,
            created: account.created,
            last_login: account.last_login,
            sessions: account.sessions,
        };
        Ok(All { data: shared.accounts.accounts(now)?.into_iter().map(view).collect() })
    });
    found.await.map(Json)
}

/// An account to be made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewAccount {
    /// Its name.
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[A-Za-z0-9._@-]+$"))]
    username: String,
    /// Its password.
    #[schemars(length(min = 12, max = 256))]
    password: String,
    /// What it may do.
    role: Role,
}

/// The account that was made.
#[derive(Serialize, JsonSchema)]
struct AccountName {
    /// Its name.
    username: String,
}

async fn add_account(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Body(new): Body<NewAccount>,
) -> Result<Given<AccountName>, Problem> {
    let caller = caller.logged_in()?;
    let made = shared.with_password(move |shared| {
        let change = Change { who: &caller.username, at: crate::clock::now() };
        shared.accounts.add(&new.username, &new.password, new.role, change)?;
        Ok(AccountName { username: new.username })
    });
    Ok(Given(StatusCode::CREATED, made.await?))
}

/// What is to be changed of an account; what is left out stays.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AccountChange {
    /// What it may do.
    #[serde(default)]
    role: Option<Role>,
    /// Its password; its sessions end.
    #[serde(default)]
    #[schemars(length(min = 12, max = 256))]
    password: Option<String>,
    /// Whether nobody can log in with it.
    #[serde(default)]
    disabled: Option<bool>,
}

async fn change_account(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Named(username): Named,
    Body(wanted): Body<AccountChange>,
) -> Result<StatusCode, Problem> {
    let caller = caller.logged_in()?;
    let changed = move |shared: &Shared| {
        let change = Change { who: &caller.username, at: crate::clock::now() };
        let AccountChange { role, password, disabled } = wanted;
        Ok(shared.accounts.change(&username, role, password.as_deref(), disabled, change)?)
    };
    shared.with_password(changed).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove_account(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Named(username): Named,
) -> Result<StatusCode, Problem> {
    let caller = caller.logged_in()?;
    let removed = move |shared: &Shared| {
        let change = Change { who: &caller.username, at: crate::clock::now() };
        Ok(shared.accounts.remove(&username, change)?)
    };
    shared.blocking(removed).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// An API token, without what makes it one.
#[derive(Serialize, JsonSchema)]
struct TokenView {
    /// Its name for the system.
    id: String,
    /// Its name for people.
    name: String,
    /// Whose it is.
    owner: String,
    /// What it may do.
    role: Role,
    /// When it was made.
    #[serde(serialize_with = "time::serialize")]
    #[schemars(with = "time::DateTime")]
    created: Timestamp,
    /// Until when it is good.
    #[serde(serialize_with = "time::optional::serialize")]
    #[schemars(with = "Option<time::DateTime>")]
    expires: Option<Timestamp>,
    /// When it was used last.
    #[serde(serialize_with = "time::optional::serialize")]
    #[schemars(with = "Option<time::DateTime>")]
    last_used: Option<Timestamp>,
}

impl From<ApiToken> for TokenView {
    fn from(token: ApiToken) -> Self {
        let ApiToken { id, name, owner, role, created, expires, last_used } = token;
        Self { id, name, owner, role, created, expires, last_used }
    }
}

async fn tokens(State(shared): State<Arc<Shared>>, Caller(caller): Caller) -> Answer<All<TokenView>> {
    let found = shared.blocking(move |shared| {
        Ok(All { data: shared.accounts.tokens(&caller)?.into_iter().map(TokenView::from).collect() })
    });
    found.await.map(Json)
}

/// A token to be made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewToken {
    /// Its name for people.
    #[schemars(length(min = 1, max = 64))]
    name: String,
    /// What it may do: no more than its owner.
    role: Role,
    /// Days that it is good for; without it until it is revoked.
    #[serde(default)]
    #[schemars(range(min = 1, max = 3650))]
    expires_in_days: Option<u32>,
}

/// A token that was made.
#[derive(Serialize, JsonSchema)]
struct MadeToken {
    #[serde(flatten)]
    view: TokenView,
    /// What to send: `Authorization: Bearer TOKEN`. It is shown this once.
    token: String,
}

async fn add_token(
    State(shared): State<Arc<Shared>>,
    Caller(caller): Caller,
    Body(new): Body<NewToken>,
) -> Result<Given<MadeToken>, Problem> {
    let made = shared.blocking(move |shared| {
        let (view, token) =
            shared.accounts.add_token(&caller, &new.name, new.role, new.expires_in_days, crate::clock::now())?;
        Ok(MadeToken { view: view.into(), token })
    });
    Ok(Given(StatusCode::CREATED, made.await?))
}

async fn revoke_token(
    State(shared): State<Arc<Shared>>,
    Caller(caller): Caller,
    Named(id): Named,
) -> Result<StatusCode, Problem> {
    shared.blocking(move |shared| Ok(shared.accounts.revoke_token(&caller, &id, crate::clock::now())?)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which changes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AuditFilter {
    /// At most so many.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<usize>,
    /// What the page before gave as `next`.
    cursor: Option<String>,
    /// By this account.
    who: Option<String>,
    /// With this in who, action, subject or detail; capitals or not.
    #[schemars(length(max = 256))]
    text: Option<String>,
}

async fn audit(State(shared): State<Arc<Shared>>, Params(filter): Params<AuditFilter>) -> Answer<Listed<AuditEntry>> {
    let query = AuditQuery {
        who: filter.who.filter(|who| !who.is_empty()),
        text: filter.text.filter(|text| !text.is_empty()),
        limit: Some(limit(filter.limit, 100, 500)?),
        after: after(filter.cursor.as_deref())?,
        ..AuditQuery::default()
    };
    let found = shared.blocking(move |shared| {
        let page = shared.store.audit(&query)?;
        Ok(Listed::new(page.items, page.next.map(|cursor| cursor.to_string())))
    });
    found.await.map(Json)
}

/// The settings in force.
#[derive(Serialize, JsonSchema)]
struct Configuration {
    /// As a file of settings would say it; secrets are left out.
    toml: String,
}

async fn configuration(State(shared): State<Arc<Shared>>) -> Answer<Configuration> {
    shared.blocking(|shared| Ok(Configuration { toml: shared.operator.configuration() })).await.map(Json)
}

async fn reload(State(shared): State<Arc<Shared>>, Caller(caller): Caller) -> Result<StatusCode, Problem> {
    let asked = move |shared: &Shared| {
        shared.audited(&caller.username, "reload asked for", "", || {
            shared.operator.reload();
            Ok(())
        })
    };
    shared.blocking(asked).await?;
    Ok(StatusCode::ACCEPTED)
}
