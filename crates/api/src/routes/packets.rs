//! Packets, and what they look like.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use lapwing_capture::Filter;
use lapwing_detect::packets::Pattern;
use lapwing_engine::packets::{PacketQuery, PacketRecord};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::alerts::OfJob;
use super::{host, limit, named, not_a_cursor};
use crate::access::Access;
use crate::auth::Role;
use crate::extract::{Answer, Params};
use crate::operation::Operation;
use crate::problem::Problem;
use crate::shared::Shared;
use crate::view::packet::PatternView;
use crate::view::{All, Listed};

pub(super) fn operations() -> Vec<Operation> {
    let viewer = Access::Role(Role::Viewer);
    [
        Operation::get(
            "/api/v1/packets",
            viewer,
            "The last packets that passed, newest first; of an upload all, in their order",
            list,
        )
        .query::<PacketFilter>()
        .gives::<Listed<PacketRecord>>(200),
        Operation::get("/api/v1/patterns", viewer, "What packets look like, and how many look so", patterns)
            .query::<OfJob>()
            .gives::<All<PatternCount>>(200),
    ]
    .map(|operation| operation.tag("Traffic").problem(404))
    .into()
}

/// Which packets.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PacketFilter {
    /// At most so many.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
    /// What the page before gave as `next`.
    cursor: Option<String>,
    /// Those that this tcpdump expression takes.
    #[schemars(length(max = 1024))]
    filter: Option<String>,
    /// Those that look so: the key of a pattern.
    pattern: Option<String>,
    /// From this address, or to it.
    host: Option<String>,
    /// Only those that stand out.
    anomalies: Option<bool>,
    /// Those of this upload instead of what is watched.
    job: Option<String>,
}

/// A filter in the tcpdump language.
pub(crate) fn filter(text: Option<&str>) -> Result<Option<Filter>, Problem> {
    let text = text.filter(|text| !text.trim().is_empty());
    text.map(Filter::new).transpose().map_err(|error| Problem::bad_request(format!("filter: {error}")))
}

async fn list(State(shared): State<Arc<Shared>>, Params(asked): Params<PacketFilter>) -> Answer<Listed<PacketRecord>> {
    let query = PacketQuery {
        filter: filter(asked.filter.as_deref())?,
        host: asked.host.as_deref().filter(|text| !text.is_empty()).map(host).transpose()?,
        pattern: named("pattern", asked.pattern.as_deref(), Pattern::from_key, &Pattern::ALL.map(Pattern::key))?,
        only_anomalies: asked.anomalies.unwrap_or(false),
        limit: limit(asked.limit, 200, 1_000)?,
        payload: shared.payload,
    };
    let cursor = asked.cursor.as_deref().filter(|text| !text.is_empty());
    let cursor = cursor.map(str::parse::<u64>).transpose().map_err(|_| not_a_cursor())?;
    let job = asked.job.filter(|job| !job.is_empty());
    let page = match job {
        None => shared.blocking(move |shared| Ok(shared.tap.packets(&query, cursor))).await?,
        Some(job) => {
            let from = cursor.unwrap_or(0);
            shared.reading(move |shared, control| shared.uploads.packets(&job, &query, from, control)).await?
        }
    };
    Ok(Json(Listed::new(page.packets, page.next.map(|next| next.to_string()))))
}

/// What packets look like, and how many look so.
#[derive(Serialize, JsonSchema)]
struct PatternCount {
    #[serde(flatten)]
    pattern: PatternView,
    /// How many packets look so.
    count: u64,
}

async fn patterns(State(shared): State<Arc<Shared>>, Params(asked): Params<OfJob>) -> Answer<All<PatternCount>> {
    let found = shared.blocking(move |shared| {
        let counts = match asked.name() {
            None => shared.tap.patterns(),
            Some(job) => {
                let look = shared.uploads.look(job)?;
                Pattern::ALL.map(|pattern| (pattern, look.of_pattern(pattern))).into()
            }
        };
        let view = |(pattern, count): (Pattern, u64)| PatternCount { pattern: pattern.into(), count };
        Ok(All { data: counts.into_iter().map(view).collect() })
    });
    found.await.map(Json)
}
