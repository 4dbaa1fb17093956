//! Flows and packets.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use lapwing_store::{FlowQuery, FlowRow, TimeRange};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{after, host, limit};
use crate::access::Access;
use crate::auth::Role;
use crate::extract::{Answer, Params, moment};
use crate::operation::Operation;
use crate::shared::Shared;
use crate::view::Listed;

pub(super) fn operations() -> Vec<Operation> {
    let viewer = Access::Role(Role::Viewer);
    [Operation::get("/api/v1/flows", viewer, "Flows that ended, in Zeek's columns, the latest first", list)
        .query::<FlowFilter>()
        .gives::<Listed<FlowView>>(200)
        .shared()
        .problem(404)]
    .map(|operation| operation.tag("Traffic"))
    .into()
}

/// Which flows.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FlowFilter {
    /// At most so many.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
    /// What the page before gave as `next`.
    cursor: Option<String>,
    /// With this address at either end.
    host: Option<String>,
    /// To this port.
    #[schemars(range(min = 0, max = 65535))]
    port: Option<u16>,
    /// `tcp`, `udp`, `icmp`, or another transport.
    protocol: Option<String>,
    /// The application protocol, in Zeek's words.
    service: Option<String>,
    /// How the connection stood, in Zeek's words: `SF`, `S0`, `REJ`, …
    state: Option<String>,
    /// The flow of this id.
    uid: Option<String>,
    /// That lasted into this time: RFC 3339.
    since: Option<String>,
    /// That began before this time.
    until: Option<String>,
    /// With this in an address, the service, the uid or the Community ID; capitals or not.
    #[schemars(length(max = 256))]
    text: Option<String>,
    /// Those of this upload instead of what is watched.
    job: Option<String>,
}

/// A flow that ended.
#[derive(Serialize, JsonSchema)]
struct FlowView {
    #[serde(flatten)]
    row: FlowRow,
    /// Whether it is made up: `serve --simulate`.
    simulated: bool,
}

async fn list(State(shared): State<Arc<Shared>>, Params(filter): Params<FlowFilter>) -> Answer<Listed<FlowView>> {
    let set = |text: Option<String>| text.filter(|text| !text.is_empty());
    let from = moment("since", filter.since.as_deref())?;
    let until = moment("until", filter.until.as_deref())?;
    let query = FlowQuery {
        time: TimeRange { from, until },
        device: set(filter.host).as_deref().map(host).transpose()?,
        peer: None,
        port: filter.port,
        protocol: set(filter.protocol).map(|protocol| protocol.to_lowercase()),
        service: set(filter.service).map(|service| service.to_lowercase()),
        state: set(filter.state).map(|state| state.to_uppercase()),
        uid: set(filter.uid),
        text: set(filter.text),
        limit: Some(limit(filter.limit, 100, 1_000)?),
        after: after(filter.cursor.as_deref())?,
    };
    let found = shared.blocking(move |shared| {
        let page = shared.kept(filter.job.as_deref())?.flows(&query)?;
        let simulated = shared.is_simulated(filter.job.as_deref());
        let flows = page.items.into_iter().map(|row| FlowView { row, simulated }).collect();
        Ok(Listed::new(flows, page.next.map(|cursor| cursor.to_string())))
    });
    found.await.map(Json)
}
