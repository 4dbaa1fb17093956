//! The operations, a file for each of what they are about.

mod alerts;
mod auth;
mod detection;
mod devices;
mod flows;
mod health;
pub(crate) mod overview;
pub(crate) mod packets;
pub(crate) mod sn;
mod sources;
mod statistics;
mod suppressions;
mod system;
mod uploads;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::operation::Operation;
use crate::problem::Problem;

/// All operations.
pub(crate) fn operations() -> Vec<Operation> {
    [
        auth::operations(),
        health::operations(),
        overview::operations(),
        alerts::operations(),
        suppressions::operations(),
        devices::operations(),
        flows::operations(),
        packets::operations(),
        uploads::operations(),
        statistics::operations(),
        detection::operations(),
        sources::operations(),
        system::operations(),
        sn::operations(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A query of a list without filters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limit {
    /// At most so many.
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) limit: Option<usize>,
}

/// How many are wanted, of what a list gives at most.
pub(crate) fn limit(asked: Option<usize>, default: usize, most: usize) -> Result<usize, Problem> {
    match asked {
        None => Ok(default),
        Some(limit) if (1..=most).contains(&limit) => Ok(limit),
        Some(limit) => Err(Problem::bad_request(format!("limit: {limit} is not between 1 and {most}"))),
    }
}

/// The part of a list behind a page; `None` begins at its front.
pub(crate) fn after(cursor: Option<&str>) -> Result<Option<lapwing_store::Cursor>, Problem> {
    let parse = |text: &str| text.parse().map_err(|_| Problem::bad_request("cursor: give back what `next` said"));
    cursor.map(parse).transpose()
}

/// A name among those known.
pub(crate) fn named<T>(
    field: &str,
    text: Option<&str>,
    find: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Problem> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    find(text).map(Some).ok_or_else(|| Problem::bad_request(format!("{field}: '{text}' is not known")))
}
