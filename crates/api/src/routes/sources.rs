//! What is watched, and what else could be.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;

use crate::access::{Access, Caller};
use crate::auth::Role;
use crate::extract::{Answer, Body};
use crate::operation::Operation;
use crate::operator::{Coverage, InterfaceView, MethodView, SinkView, SourceChoice, SourceKind, SourceStatus};
use crate::problem::Problem;
use crate::shared::Shared;
use crate::view::All;

pub(super) fn operations() -> Vec<Operation> {
    let (viewer, admin) = (Access::Role(Role::Viewer), Access::Role(Role::Admin));
    [
        Operation::get("/api/v1/sources", viewer, "What is watched, and what else could be", list)
            .gives::<Sources>(200),
        Operation::put("/api/v1/source", admin, "Watch something else", choose)
            .takes::<SourceChoice>()
            .gives::<SourceStatus>(200)
            .problem(404)
            .problem(409),
        Operation::delete("/api/v1/source", admin, "Stop watching", stop).gives::<SourceStatus>(200),
        Operation::get("/api/v1/coverage", viewer, "What was and was not seen", coverage).gives::<Coverage>(200),
        Operation::get(
            "/api/v1/sinks",
            viewer,
            "The receivers of alerts; where files lie is told to admins alone",
            sinks,
        )
        .gives::<All<SinkView>>(200),
    ]
    .map(|operation| operation.tag("Sources"))
    .into()
}

/// What is watched, and what else could be.
#[derive(Serialize, JsonSchema)]
struct Sources {
    /// What is watched now.
    current: SourceStatus,
    /// The interfaces of this machine.
    interfaces: Vec<InterfaceView>,
    /// What packets can be judged by.
    methods: Vec<MethodView>,
}

async fn list(State(shared): State<Arc<Shared>>, Caller(caller): Caller) -> Answer<Sources> {
    let found = shared.blocking(move |shared| {
        let operator = &shared.operator;
        let source = operator.source();
        let current = if caller.role == Role::Admin { source } else { source.without_paths() };
        Ok(Sources { current, interfaces: operator.interfaces(), methods: operator.methods() })
    });
    found.await.map(Json)
}

async fn choose(
    State(shared): State<Arc<Shared>>,
    Caller(caller): Caller,
    Body(choice): Body<SourceChoice>,
) -> Answer<SourceStatus> {
    shared.blocking(move |shared| watch(shared, &caller.username, choice)).await.map(Json)
}

/// Has a source watched, and notes who wanted it.
pub(super) fn watch(shared: &Shared, who: &str, choice: SourceChoice) -> Result<SourceStatus, Problem> {
    let detail = in_words(&choice);
    let upload = |job: &str| Ok::<_, Problem>((shared.uploads.capture(job)?, shared.uploads.get(job)?.name));
    let upload = choice.job.as_deref().map(upload).transpose()?;
    let upload = upload.as_ref().map(|(path, name)| (path.as_path(), name.as_str()));
    shared.audited(who, "source changed", &detail, || Ok(shared.operator.watch(choice, upload)?))
}

/// For the audit trail.
fn in_words(choice: &SourceChoice) -> String {
    let SourceChoice { kind, interfaces, job, filter, speed } = choice;
    let mut words = match kind {
        SourceKind::Interface => format!("interface {}", interfaces.join(", ")),
        SourceKind::Replay => job.as_ref().map_or("replay".to_owned(), |job| format!("replay of upload {job}")),
        SourceKind::Simulate => "simulated home".to_owned(),
        SourceKind::Zeek => "Zeek's logs".to_owned(),
        SourceKind::Eve => "Suricata's EVE".to_owned(),
        SourceKind::None => "nothing".to_owned(),
    };
    if let Some(speed) = speed {
        words += &if *speed > 0.0 { format!(", {speed} times as fast") } else { ", as fast as can be".to_owned() };
    }
    if let Some(filter) = filter {
        words += &format!(", filter {filter}");
    }
    words
}

async fn stop(State(shared): State<Arc<Shared>>, Caller(caller): Caller) -> Answer<SourceStatus> {
    shared.blocking(move |shared| end(shared, &caller.username)).await.map(Json)
}

/// Ends what is watched, and notes who wanted that.
pub(super) fn end(shared: &Shared, who: &str) -> Result<SourceStatus, Problem> {
    shared.audited(who, "source stopped", "", || Ok(shared.operator.stop()))
}

async fn coverage(State(shared): State<Arc<Shared>>) -> Answer<Coverage> {
    shared.blocking(|shared| Ok(shared.operator.coverage())).await.map(Json)
}

async fn sinks(State(shared): State<Arc<Shared>>, Caller(caller): Caller) -> Answer<All<SinkView>> {
    let found = shared.blocking(move |shared| {
        let sinks = shared.operator.sinks();
        let is_admin = caller.role == Role::Admin;
        Ok(All { data: if is_admin { sinks } else { sinks.into_iter().map(SinkView::without_path).collect() } })
    });
    found.await.map(Json)
}
