//! What is judged by: models and rules.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;

use crate::access::{Access, Caller};
use crate::auth::Role;
use crate::extract::{Answer, Body};
use crate::operation::Operation;
use crate::operator::{DetectionChoice, ModelView, SignatureView};
use crate::problem::Problem;
use crate::shared::Shared;
use crate::view::All;

pub(super) fn operations() -> Vec<Operation> {
    let (viewer, admin) = (Access::Role(Role::Viewer), Access::Role(Role::Admin));
    [
        Operation::get(
            "/api/v1/models",
            viewer,
            "The models at hand, with what they promise and what they keep",
            models,
        )
        .gives::<All<ModelView>>(200),
        Operation::get("/api/v1/signatures", viewer, "The rules, with their hits", signatures)
            .gives::<All<SignatureView>>(200),
        Operation::put("/api/v1/detection", admin, "Judge by another method, or by other models", judge)
            .takes::<DetectionChoice>()
            .gives::<Judging>(200)
            .problem(409),
    ]
    .map(|operation| operation.tag("Detection"))
    .into()
}

/// What is judged by.
#[derive(Serialize, JsonSchema)]
struct Judging {
    /// The method for packets.
    method: String,
    /// Names of the models in use.
    models: Vec<String>,
}

async fn models(State(shared): State<Arc<Shared>>) -> Answer<All<ModelView>> {
    shared.blocking(|shared| Ok(All { data: shared.operator.models() })).await.map(Json)
}

async fn signatures(State(shared): State<Arc<Shared>>, Caller(caller): Caller) -> Answer<All<SignatureView>> {
    let found = shared.blocking(move |shared| {
        let rules = shared.operator.signatures();
        let is_admin = caller.role == Role::Admin;
        Ok(All { data: if is_admin { rules } else { rules.into_iter().map(SignatureView::without_path).collect() } })
    });
    found.await.map(Json)
}

async fn judge(
    State(shared): State<Arc<Shared>>,
    Caller(caller): Caller,
    Body(choice): Body<DetectionChoice>,
) -> Answer<Judging> {
    let judging = shared.blocking(move |shared| {
        change(shared, &caller.username, choice)?;
        let source = shared.operator.source();
        Ok(Judging { method: source.method, models: source.models })
    });
    judging.await.map(Json)
}

/// Has packets and flows judged otherwise, and notes who wanted it.
pub(super) fn change(shared: &Shared, who: &str, choice: DetectionChoice) -> Result<(), Problem> {
    let method = choice.method.as_ref().map(|method| format!("method {method}"));
    let models = choice.models.as_ref().map(|models| match models.as_slice() {
        [] => "no model".to_owned(),
        models => format!("models {}", models.join(", ")),
    });
    let detail = method.into_iter().chain(models).collect::<Vec<_>>().join(", ");
    shared.audited(who, "detection changed", &detail, || Ok(shared.operator.judge(choice)?))
}
