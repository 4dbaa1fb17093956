//! Devices: what is there, and what is normal for each.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use lapwing_detect::Severity;
use lapwing_store::{
    AlertQuery, Change, DeviceAlerts, DeviceQuery, DeviceRecord, DeviceWords, Store, StoreError, TimeRange,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::alerts::{OfJob, views};
use super::{after, limit};
use crate::access::{Access, Caller};
use crate::auth::Role;
use crate::extract::{Answer, Body, Named, Params, moment};
use crate::operation::Operation;
use crate::problem::Problem;
use crate::shared::Shared;
use crate::view::Listed;
use crate::view::alert::AlertView;

/// Alerts shown of one device.
const MOST_ALERTS: usize = 50;

pub(super) fn operations() -> Vec<Operation> {
    let (viewer, analyst) = (Access::Role(Role::Viewer), Access::Role(Role::Analyst));
    [
        Operation::get("/api/v1/devices", viewer, "Devices, the one seen last first", list)
            .query::<DeviceFilter>()
            .gives::<Listed<DeviceView>>(200)
            .shared()
            .problem(404),
        Operation::get("/api/v1/devices/{id}", viewer, "One device, with what is normal for it and what is not", show)
            .query::<OfJob>()
            .gives::<DevicePage>(200),
        Operation::patch("/api/v1/devices/{id}", analyst, "Name a device, or note something about it", describe)
            .takes::<Words>()
            .gives::<DeviceView>(200),
    ]
    .map(|operation| operation.tag("Devices"))
    .into()
}

/// Which devices.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DeviceFilter {
    /// At most so many.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<usize>,
    /// What the page before gave as `next`.
    cursor: Option<String>,
    /// With this in address, link-layer address, maker, name or note; capitals or not.
    #[schemars(length(max = 256))]
    text: Option<String>,
    /// Seen at this time or later: RFC 3339.
    since: Option<String>,
    /// Seen before this time.
    until: Option<String>,
    /// Those of this upload instead of what is watched.
    job: Option<String>,
}

/// A device.
#[derive(Serialize, JsonSchema)]
struct DeviceView {
    #[serde(flatten)]
    record: DeviceRecord,
    /// Alerts about it that are open.
    open_alerts: u64,
    /// The worst of them.
    worst: Option<&'static str>,
    /// Whether it is made up: `serve --simulate`.
    simulated: bool,
}

impl DeviceView {
    fn new(record: DeviceRecord, alerts: DeviceAlerts, simulated: bool) -> Self {
        let DeviceAlerts { open, worst } = alerts;
        let name = |name: Option<String>| name.filter(|name| !name.is_empty());
        let record = DeviceRecord { name: name(record.name), note: name(record.note), memory: None, ..record };
        Self { record, open_alerts: open, worst: worst.map(Severity::as_str), simulated }
    }
}

/// One device, and what is not as usual about it.
#[derive(Serialize, JsonSchema)]
struct DevicePage {
    #[serde(flatten)]
    device: DeviceView,
    /// Alerts about it, the latest first.
    alerts: Vec<AlertView>,
    /// What is not as usual, in words: each of the alerts.
    deviations: Vec<String>,
}

async fn list(State(shared): State<Arc<Shared>>, Params(filter): Params<DeviceFilter>) -> Answer<Listed<DeviceView>> {
    let from = moment("since", filter.since.as_deref())?;
    let until = moment("until", filter.until.as_deref())?;
    let query = DeviceQuery {
        time: TimeRange { from, until },
        device: None,
        text: filter.text.filter(|text| !text.is_empty()),
        limit: Some(limit(filter.limit, 100, 500)?),
        after: after(filter.cursor.as_deref())?,
    };
    let found = shared.blocking(move |shared| {
        let store = shared.kept(filter.job.as_deref())?;
        let page = store.devices(&query)?;
        let alerts = store.alerts_of_devices(&page.items)?;
        let simulated = shared.is_simulated(filter.job.as_deref());
        let view = |(record, alerts)| DeviceView::new(record, alerts, simulated);
        let devices = page.items.into_iter().zip(alerts).map(view);
        Ok(Listed::new(devices.collect(), page.next.map(|cursor| cursor.to_string())))
    });
    found.await.map(Json)
}

fn view(store: &Store, record: DeviceRecord, simulated: bool) -> Result<DeviceView, Problem> {
    let alerts = store.alerts_of_devices(std::slice::from_ref(&record))?.pop();
    Ok(DeviceView::new(record, alerts.unwrap_or_default(), simulated))
}

/// The device of that id, or the one that had that address last: alerts name devices so.
pub(super) fn device(store: &Store, id: &str) -> Result<DeviceRecord, StoreError> {
    match store.device(id) {
        Err(StoreError::NotFound { what, id }) => {
            let query = DeviceQuery { device: Some(id.clone()), limit: Some(1), ..DeviceQuery::default() };
            let found = store.devices(&query)?.items.pop();
            found.ok_or(StoreError::NotFound { what, id })
        }
        found => found,
    }
}

async fn show(State(shared): State<Arc<Shared>>, Named(id): Named, Params(of): Params<OfJob>) -> Answer<DevicePage> {
    let found = shared.blocking(move |shared| {
        let store = shared.kept(of.name())?;
        let record = device(&store, &id)?;
        let mut alerts = Vec::new();
        for address in record.addresses.iter().chain([&record.id]) {
            let query = AlertQuery { device: Some(address.clone()), limit: Some(MOST_ALERTS), ..AlertQuery::default() };
            alerts.extend(store.alerts(&query)?.items);
        }
        alerts.sort_by(|left, right| right.last_seen.cmp(&left.last_seen).then_with(|| left.id.cmp(&right.id)));
        alerts.dedup_by(|left, right| left.id == right.id);
        alerts.truncate(MOST_ALERTS);
        let deviations = alerts.iter().map(|alert| format!("{}: {}", alert.title, alert.explanation)).collect();
        let device = view(&store, record, shared.is_simulated(of.name()))?;
        Ok(DevicePage { device, alerts: views(&store, alerts)?, deviations })
    });
    found.await.map(Json)
}

/// What people say of a device; what is left out stays, what is empty goes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Words {
    /// What it is called.
    #[serde(default)]
    #[schemars(length(max = 64))]
    name: Option<String>,
    /// What there is to know of it.
    #[serde(default)]
    #[schemars(length(max = 2000))]
    note: Option<String>,
}

async fn describe(
    State(shared): State<Arc<Shared>>,
    Caller(caller): Caller,
    Named(id): Named,
    Body(words): Body<Words>,
) -> Answer<DeviceView> {
    let described = shared.blocking(move |shared| {
        let change = Change { who: &caller.username, at: crate::clock::now() };
        let words = DeviceWords { name: words.name.as_deref(), note: words.note.as_deref() };
        let known = device(&shared.store, &id)?.id;
        let record = shared.store.describe_device(&known, words, change)?;
        view(&shared.store, record, shared.simulated)
    });
    described.await.map(Json)
}
