//! Whether all is well.

use std::sync::Arc;

use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use crate::access::Access;
use crate::auth::{Identity, Role};
use crate::operation::{Given as Gives, Operation};
use crate::operator::{LogState, SourceKind, SourceState};
use crate::problem::Problem;
use crate::shared::Shared;

pub(super) fn operations() -> Vec<Operation> {
    let viewer = Access::Role(Role::Viewer);
    [
        Operation::get("/health", Access::Open, "Whether all is well; more of it to whoever has logged in", health)
            .gives::<Health>(200),
        Operation::get("/ready", Access::Open, "Whether it watches and keeps", ready)
            .gives::<Ready>(200)
            .answers(503, Gives::Json(schemars::SchemaGenerator::subschema_for::<Ready>)),
        Operation::get("/metrics", viewer, "What Prometheus reads", metrics)
            .gives_other("text/plain; version=0.0.4; charset=utf-8"),
        Operation::get("/openapi.json", viewer, "This document", document).gives_other("application/json"),
    ]
    .map(|operation| operation.tag("Health"))
    .into()
}

/// How it stands.
#[derive(Serialize, JsonSchema)]
struct Health {
    /// `healthy`, or `degraded` when nothing is watched or something fails.
    status: &'static str,
    /// The program's version.
    version: &'static str,
    #[serde(flatten)]
    more: Option<Standing>,
}

/// What only those who logged in are told.
#[derive(Serialize, JsonSchema)]
struct Standing {
    /// Whether Zeek's logs are followed.
    zeek_live: bool,
    /// Whether it blocks by itself.
    auto_response: bool,
    /// Whether it investigates by itself.
    agent_active: bool,
    /// Whether a model judges.
    model_trained: bool,
    /// Flows since the start.
    connections: u64,
    /// Alerts that are kept.
    total_alerts: u64,
    /// Addresses blocked now.
    blocked_ips: u64,
    /// Incidents since the start.
    total_incidents: u64,
}

async fn health(State(shared): State<Arc<Shared>>, identity: Option<Extension<Identity>>) -> Json<Health> {
    let source = shared.operator.source();
    let total_alerts = match &identity {
        // Where the store does not answer, the status says so.
        Some(_) => shared.blocking(|shared| Ok(shared.store.total_alerts()?)).await.unwrap_or_default(),
        None => 0,
    };
    let more = identity.map(|_| {
        let connections = shared.feed.connections();
        Standing {
            zeek_live: source.kind == SourceKind::Zeek && source.state == SourceState::Running,
            auto_response: false,
            agent_active: false,
            model_trained: !source.models.is_empty(),
            connections,
            total_alerts,
            blocked_ips: 0,
            total_incidents: 0,
        }
    });
    let is_read = !matches!(source.kind, SourceKind::Zeek | SourceKind::Eve)
        || !shared.operator.coverage().logs.iter().any(|log| log.state == LogState::Unreadable);
    let is_watching = !matches!(source.state, SourceState::Failed | SourceState::Stopped) && is_read;
    let is_keeping = shared.operator.is_keeping() && !shared.accounts.is_failing();
    let is_well = is_watching && is_keeping;
    Json(Health { status: if is_well { "healthy" } else { "degraded" }, version: env!("CARGO_PKG_VERSION"), more })
}

/// Whether it does what it is for.
#[derive(Serialize, JsonSchema)]
struct Ready {
    /// Whether it does.
    ready: bool,
    /// Why not.
    reasons: Vec<&'static str>,
}

async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    let mut reasons = Vec::new();
    if shared.operator.source().state == SourceState::Failed {
        reasons.push("what is watched failed");
    }
    if shared.blocking(|shared| Ok(shared.store.size().map(drop)?)).await.is_err() {
        reasons.push("the store does not answer");
    } else if !shared.operator.is_keeping() || shared.accounts.is_failing() {
        reasons.push("the store cannot be written");
    }
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Ready { ready: reasons.is_empty(), reasons })).into_response()
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Result<Response, Problem> {
    let text = shared.blocking(|shared| Ok(shared.operator.metrics())).await?;
    let media_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, media_type)], text).into_response())
}

async fn document(State(shared): State<Arc<Shared>>) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], shared.openapi.clone()).into_response()
}
