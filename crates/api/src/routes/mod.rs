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
mod storage;
mod suppressions;
mod system;
mod uploads;

use std::net::IpAddr;

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
        storage::operations(),
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
    cursor.map(|text| text.parse().map_err(|_| not_a_cursor())).transpose()
}

fn not_a_cursor() -> Problem {
    Problem::bad_request("cursor: give back what `next` said")
}

/// An address that somebody looks for.
fn host(text: &str) -> Result<IpAddr, Problem> {
    text.parse().map_err(|_| Problem::bad_request(format!("host: '{text}' is no address, such as 192.168.7.20")))
}

/// A name among those known.
pub(crate) fn named<T>(
    field: &str,
    text: Option<&str>,
    find: impl Fn(&str) -> Option<T>,
    known: &[&str],
) -> Result<Option<T>, Problem> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    find(text).map(Some).ok_or_else(|| {
        Problem::bad_request(format!("{field}: '{text}' is not known; it is one of {}", known.join(", ")))
    })
}
