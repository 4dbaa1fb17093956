//! Alerts that nobody wants to be told of.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use lapwing_alert::{Matcher, Preview, Suppression};
use lapwing_capture::Timestamp;
use lapwing_detect::Severity;
use lapwing_store::{Change, KeptSuppression};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Caller};
use crate::auth::Role;
use crate::extract::{Answer, Body, Given, Named, moment};
use crate::operation::Operation;
use crate::problem::Problem;
use crate::shared::Shared;
use crate::view::{All, time};

pub(super) fn operations() -> Vec<Operation> {
    let (viewer, analyst) = (Access::Role(Role::Viewer), Access::Role(Role::Analyst));
    [
        Operation::get("/api/v1/suppressions", viewer, "What is not told, with what it hides", list)
            .gives::<All<SuppressionView>>(200),
        Operation::post("/api/v1/suppressions/preview", analyst, "What a suppression would hide", preview)
            .takes::<Wanted>()
            .gives::<Hidden>(200),
        Operation::post("/api/v1/suppressions", analyst, "Suppress alerts, past ones too", add)
            .takes::<NewSuppression>()
            .gives::<Added>(201),
        Operation::delete("/api/v1/suppressions/{id}", analyst, "Show again what a suppression hides", remove)
            .gives_nothing(),
    ]
    .map(|operation| operation.tag("Suppressions"))
    .into()
}

/// A suppression, with what it hides.
#[derive(Serialize, JsonSchema)]
struct SuppressionView {
    /// Its name.
    id: String,
    /// Which alerts.
    matcher: Matcher,
    /// Who made it.
    author: String,
    /// Why.
    reason: String,
    /// When.
    #[serde(serialize_with = "time::serialize")]
    #[schemars(with = "time::DateTime")]
    created: Timestamp,
    /// Traffic from then on is told again.
    #[serde(serialize_with = "time::optional::serialize")]
    #[schemars(with = "Option<time::DateTime>")]
    expires: Option<Timestamp>,
    /// Alerts that it hides.
    hits: u64,
    /// End of the latest traffic that it hid, RFC 3339.
    last_hit: Option<String>,
}

impl From<KeptSuppression> for SuppressionView {
    fn from(kept: KeptSuppression) -> Self {
        let Suppression { id, matcher, author, reason, created, expires } = kept.suppression;
        Self { id, matcher, author, reason, created, expires, hits: kept.hits, last_hit: kept.last_hit }
    }
}

/// Which alerts are not wanted.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// All that is set has to apply.
    matcher: Matcher,
}

/// A suppression to be made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewSuppression {
    /// All that is set has to apply.
    matcher: Matcher,
    /// Why.
    #[schemars(length(min = 1, max = 1000))]
    reason: String,
    /// Until when: RFC 3339; without it for ever.
    #[serde(default)]
    expires: Option<String>,
}

/// What is hidden.
#[derive(Serialize, JsonSchema)]
struct Hidden {
    /// Alerts in all.
    total: u64,
    /// Of them informational ones.
    informational: u64,
    /// Low ones.
    low: u64,
    /// Medium ones.
    medium: u64,
    /// High ones.
    high: u64,
    /// Critical ones.
    critical: u64,
    /// In words: `would hide 412 alerts, 3 of them high`.
    text: String,
}

impl From<&Preview> for Hidden {
    fn from(preview: &Preview) -> Self {
        Self {
            total: preview.total(),
            informational: preview.of_severity(Severity::Informational),
            low: preview.of_severity(Severity::Low),
            medium: preview.of_severity(Severity::Medium),
            high: preview.of_severity(Severity::High),
            critical: preview.of_severity(Severity::Critical),
            text: preview.to_string(),
        }
    }
}

/// A suppression that was made.
#[derive(Serialize, JsonSchema)]
struct Added {
    /// Its name.
    id: String,
    /// What it hides of the alerts that are there.
    hidden: Hidden,
}

async fn list(State(shared): State<Arc<Shared>>) -> Answer<All<SuppressionView>> {
    let found = shared.blocking(|shared| Ok(shared.store.list_suppressions()?));
    Ok(Json(All { data: found.await?.into_iter().map(SuppressionView::from).collect() }))
}

async fn preview(
    State(shared): State<Arc<Shared>>,
    Caller(caller): Caller,
    Body(wanted): Body<Wanted>,
) -> Answer<Hidden> {
    let suppression = Suppression::new(wanted.matcher, caller.username, String::new(), crate::clock::now(), None);
    let hidden = shared.blocking(move |shared| Ok(shared.store.preview(&suppression)?)).await?;
    Ok(Json(Hidden::from(&hidden)))
}

async fn add(
    State(shared): State<Arc<Shared>>,
    Caller(caller): Caller,
    Body(new): Body<NewSuppression>,
) -> Result<Given<Added>, Problem> {
    let reason = new.reason.trim().to_owned();
    if !(1..=1_000).contains(&reason.chars().count()) {
        return Err(Problem::bad_request("reason: say why, in at most 1000 characters"));
    }
    let (expires, now) = (moment("expires", new.expires.as_deref())?, crate::clock::now());
    if expires.is_some_and(|expires| expires <= now) {
        return Err(Problem::bad_request("expires: that is over already"));
    }
    let suppression = Suppression::new(new.matcher, caller.username.clone(), reason, now, expires);
    let id = suppression.id.clone();
    let by = move |shared: &Shared| {
        let change = Change { who: &caller.username, at: now };
        Ok(shared.store.add_suppression(&suppression, change)?)
    };
    let hidden = shared.blocking(by).await?;
    Ok(Given(StatusCode::CREATED, Added { id, hidden: Hidden::from(&hidden) }))
}

async fn remove(
    State(shared): State<Arc<Shared>>,
    Caller(caller): Caller,
    Named(id): Named,
) -> Result<StatusCode, Problem> {
    let by = move |shared: &Shared| {
        let change = Change { who: &caller.username, at: crate::clock::now() };
        Ok(shared.store.remove_suppression(&id, change).map(drop)?)
    };
    shared.blocking(by).await?;
    Ok(StatusCode::NO_CONTENT)
}
