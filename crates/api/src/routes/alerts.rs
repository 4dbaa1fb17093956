//! Alerts: found, read, dealt with.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use lapwing_alert::{Alert, Status};
use lapwing_capture::expand;
use lapwing_detect::{KINDS, Severity, kind_info};
use lapwing_engine::cut_evidence;
use lapwing_store::{AlertGroup, AlertQuery, AuditQuery, Change, DeviceRecord, Store, StoreError, TimeRange};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::devices::device;
use super::{after, limit, named};
use crate::access::{Access, Caller};
use crate::auth::Role;
use crate::extract::{Answer, Body, Named, Params, moment};
use crate::operation::Operation;
use crate::problem::Problem;
use crate::shared::Shared;
use crate::view::Listed;
use crate::view::alert::{AlertView, attacks, kinds_of};

/// Alerts changed by one request.
const MOST_CHANGED: usize = 500;

/// Kinds that one filter names at most.
const MOST_KINDS: usize = 64;

/// Alerts that one message tells of at most.
const MOST_TOLD: usize = 100;

/// Why there are no packets.
const NOT_KEPT: &str = "packets are not kept; `lapwing serve --keep-packets MIB` keeps them";

/// Alerts shown beside one.
const MOST_RELATED: usize = 20;

pub(super) fn operations() -> Vec<Operation> {
    let (viewer, analyst) = (Access::Role(Role::Viewer), Access::Role(Role::Analyst));
    [
        Operation::get("/api/v1/alerts", viewer, "Alerts, the latest first", list)
            .query::<AlertFilter>()
            .gives::<Listed<AlertView>>(200)
            .shared()
            .problem(404),
        Operation::get("/api/v1/alerts/{id}", viewer, "One alert, with what became of it", show)
            .query::<OfJob>()
            .gives::<AlertPage>(200),
        Operation::post("/api/v1/alerts/status", analyst, "Acknowledge, close or reopen alerts", set_status)
            .takes::<StatusChange>()
            .gives::<Changed>(200)
            .problem(404),
        Operation::get("/api/v1/alerts/{id}/evidence.pcap", viewer, "The packets that an alert rests on", evidence)
            .query::<OfJob>()
            .gives_other("application/vnd.tcpdump.pcap"),
    ]
    .map(|operation| operation.tag("Alerts"))
    .into()
}

/// Which alerts.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AlertFilter {
    /// At most so many.
    #[schemars(range(min = 1, max = 500))]
    pub(crate) limit: Option<usize>,
    /// What the page before gave as `next`.
    pub(crate) cursor: Option<String>,
    /// Exactly this severe: `informational`, `low`, `medium`, `high` or `critical`.
    pub(crate) severity: Option<String>,
    /// This severe or worse.
    pub(crate) min_severity: Option<String>,
    /// `DDoS`, `Port Scan`, `Brute Force` or `Data Exfiltration`; or a kind, or its title.
    pub(crate) attack_type: Option<String>,
    /// Of this kind; several with commas.
    pub(crate) kind: Option<String>,
    /// About this host or device.
    pub(crate) device: Option<String>,
    /// With this host among those concerned.
    pub(crate) peer: Option<String>,
    /// `open`, `acknowledged` or `closed`.
    pub(crate) status: Option<String>,
    /// With this in title, explanation, device, peers, detectors or rules; capitals or not.
    #[schemars(length(max = 256))]
    pub(crate) text: Option<String>,
    /// Whose traffic was there at this time or later: RFC 3339.
    pub(crate) since: Option<String>,
    /// Whose traffic began before this time.
    pub(crate) until: Option<String>,
    /// Those that a suppression hides too.
    pub(crate) suppressed: Option<bool>,
    /// Those of this upload instead of what is watched.
    pub(crate) job: Option<String>,
}

/// The names that filters take, in the words of their types.
const SEVERITIES: [&str; 5] = ["informational", "low", "medium", "high", "critical"];
const STATUSES: [&str; 3] = ["open", "acknowledged", "closed"];

impl AlertFilter {
    fn kinds(&self) -> impl Iterator<Item = &str> {
        self.kind.iter().flat_map(|kinds| kinds.split(',')).map(str::trim).filter(|kind| !kind.is_empty())
    }

    /// Refuses a kind of which there can be no alert: it is neither built in, nor a rule's, nor that of an alert that is kept.
    pub(crate) fn check(&self, query: &AlertQuery, shared: &Shared, store: &Store) -> Result<(), Problem> {
        let mut unknown = query.kinds.iter().filter(|kind| kind_info(kind).is_none()).peekable();
        if unknown.peek().is_none() {
            return Ok(());
        }
        let every = AlertQuery { suppressed: true, ..AlertQuery::default() };
        let mut own: Vec<String> = shared.operator.signatures().into_iter().filter_map(|rule| rule.kind).collect();
        own.extend(store.count_alerts(&every, AlertGroup::Kind)?.into_iter().map(|(kind, _)| kind));
        own.retain(|kind| kind_info(kind).is_none());
        own.sort_unstable();
        own.dedup();
        let Some(unknown) = unknown.find(|kind| !own.contains(kind)) else { return Ok(()) };
        let kinds =
            KINDS.iter().map(|kind| kind.name).chain(own.iter().map(String::as_str)).collect::<Vec<_>>().join(", ");
        Err(Problem::bad_request(match self.kinds().any(|kind| kind == unknown) {
            true => format!("kind: '{unknown}' is not known; it is one of {kinds}"),
            false => format!("attack_type: '{unknown}' is not known; it is one of {}, or a kind: {kinds}", attacks()),
        }))
    }

    pub(crate) fn query(&self) -> Result<AlertQuery, Problem> {
        let severity = |field, text: &Option<String>| {
            named(field, text.as_deref(), |name| Severity::from_name(&name.to_lowercase()), &SEVERITIES)
        };
        let mut kinds: Vec<String> = self.kinds().map(ToOwned::to_owned).collect();
        if let Some(attack) = self.attack_type.as_deref().filter(|attack| !attack.is_empty()) {
            kinds.extend(kinds_of(attack));
        }
        if kinds.len() > MOST_KINDS {
            return Err(Problem::bad_request(format!("kind: name {MOST_KINDS} at most")));
        }
        let from = moment("since", self.since.as_deref())?;
        let until = moment("until", self.until.as_deref())?;
        Ok(AlertQuery {
            time: TimeRange { from, until },
            device: self.device.clone().filter(|device| !device.is_empty()),
            peer: self.peer.clone().filter(|peer| !peer.is_empty()),
            kinds,
            severity: severity("min_severity", &self.min_severity)?,
            severities: severity("severity", &self.severity)?.into_iter().collect(),
            status: named("status", self.status.as_deref(), Status::from_name, &STATUSES)?,
            text: self.text.clone().filter(|text| !text.is_empty()),
            suppressed: self.suppressed.unwrap_or(false),
            limit: Some(limit(self.limit, 50, 500)?),
            after: after(self.cursor.as_deref())?,
            ..AlertQuery::default()
        })
    }
}

async fn list(State(shared): State<Arc<Shared>>, Params(filter): Params<AlertFilter>) -> Answer<Listed<AlertView>> {
    let query = filter.query()?;
    let found = shared.blocking(move |shared| {
        let store = shared.kept(filter.job.as_deref())?;
        filter.check(&query, shared, &store)?;
        let page = store.alerts(&query)?;
        let next = page.next.map(|cursor| cursor.to_string());
        Ok(Listed::new(views(&store, page.items)?, next))
    });
    found.await.map(Json)
}

/// Alerts with the addresses that the inventory has of devices known by their link-layer addresses.
pub(super) fn views(store: &Store, alerts: Vec<Alert>) -> Result<Vec<AlertView>, Problem> {
    let mut known: HashMap<String, Option<DeviceRecord>> = HashMap::new();
    let view = |alert: Alert| {
        if alert.device.parse::<IpAddr>().is_ok() {
            return Ok(AlertView::new(alert));
        }
        if !known.contains_key(&alert.device) {
            // What is not known by this id, as when somebody draws them at random, is not searched for among addresses.
            known.insert(alert.device.clone(), found(store.device(&alert.device))?);
        }
        let device = known.get(&alert.device).and_then(Option::as_ref);
        Ok(AlertView::new(alert).with_addresses(device))
    };
    alerts.into_iter().map(view).collect()
}

/// A device, if the inventory has it.
fn found(device: Result<DeviceRecord, StoreError>) -> Result<Option<DeviceRecord>, Problem> {
    match device {
        Ok(device) => Ok(Some(device)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// One alert.
#[derive(Serialize, JsonSchema)]
struct AlertPage {
    /// It.
    alert: AlertView,
    /// What people did with it, the latest first.
    history: Vec<HistoryEntry>,
    /// Other alerts within an hour of it that are about the same device, by whichever of its addresses, or name it among their
    /// peers.
    related: Vec<AlertView>,
    /// Whether its packets can be had.
    evidence: EvidenceState,
}

/// What somebody did.
#[derive(Serialize, JsonSchema)]
pub(super) struct HistoryEntry {
    /// When, RFC 3339.
    at: String,
    /// Who.
    who: String,
    /// What they did.
    action: String,
    /// With what words.
    detail: String,
}

/// Whether packets can be had.
#[derive(Serialize, JsonSchema)]
struct EvidenceState {
    /// They can.
    pcap: bool,
    /// Why not.
    reason: Option<String>,
}

/// Whose.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OfJob {
    /// Of this upload instead of what is watched.
    pub(super) job: Option<String>,
}

impl OfJob {
    pub(super) fn name(&self) -> Option<&str> {
        self.job.as_deref().filter(|job| !job.is_empty())
    }
}

/// The captures in which an alert's packets may be.
fn captures(shared: &Shared, of: &OfJob) -> Result<Vec<PathBuf>, Problem> {
    match of.name() {
        Some(job) => Ok(vec![shared.uploads.capture(job)?]),
        None => Ok(shared.operator.captures()),
    }
}

async fn evidence(
    State(shared): State<Arc<Shared>>,
    Named(id): Named,
    Params(of): Params<OfJob>,
) -> Result<Response, Problem> {
    let cut = shared.reading(move |shared, control| {
        let alert = shared.kept(of.name())?.alert(&id)?;
        let captures = expand(&captures(shared, &of)?).files;
        if captures.is_empty() {
            return Err(Problem::not_found(NOT_KEPT));
        }
        let bytes = shared.uploads.scratch(|file| match cut_evidence(&captures, &alert, file, control) {
            Ok(0) => Err(Problem::not_found("the packets of this alert are not kept any more")),
            Ok(_) => Ok(()),
            // Where they lie here is nobody's business.
            Err(_) => Err(Problem::unavailable("the captures that hold the packets cannot be read just now")),
        })?;
        Ok((format!("attachment; filename=\"alert-{}.pcap\"", alert.id), bytes))
    });
    let (name, bytes) = cut.await?;
    let name = HeaderValue::from_str(&name).map_err(|_| Problem::not_found("there is no such alert"))?;
    let media_type = HeaderValue::from_static("application/vnd.tcpdump.pcap");
    Ok(([(header::CONTENT_TYPE, media_type), (header::CONTENT_DISPOSITION, name)], bytes).into_response())
}

async fn show(State(shared): State<Arc<Shared>>, Named(id): Named, Params(of): Params<OfJob>) -> Answer<AlertPage> {
    let found = shared.blocking(move |shared| {
        let store = shared.kept(of.name())?;
        let alert = store.alert(&id)?;
        let around = std::time::Duration::from_secs(3_600);
        let device = found(device(&store, &alert.device))?;
        let mut about = device.as_ref().map_or_else(Vec::new, |device| device.addresses.clone());
        about.extend(device.as_ref().map(|device| device.id.clone()));
        about.push(alert.device.clone());
        let query = AlertQuery {
            about,
            time: TimeRange::between(alert.first_seen.minus(around), alert.last_seen.plus(around)),
            limit: Some(MOST_RELATED + 1),
            ..AlertQuery::default()
        };
        let related = store.alerts(&query)?.items.into_iter().filter(|other| other.id != alert.id);
        let related = views(&store, related.take(MOST_RELATED).collect())?;
        let query = AuditQuery { subject: Some(id), limit: Some(100), ..AuditQuery::default() };
        let history = store.audit(&query)?.items.into_iter().map(|entry| HistoryEntry {
            at: entry.at,
            who: entry.who,
            action: entry.action,
            detail: entry.detail,
        });
        let kept = !captures(shared, &of)?.is_empty();
        let reason = (!kept).then(|| NOT_KEPT.to_owned());
        Ok(AlertPage {
            history: history.collect(),
            related,
            evidence: EvidenceState { pcap: kept, reason },
            alert: AlertView::new(alert).with_addresses(device.as_ref()),
        })
    });
    found.await.map(Json)
}

/// What is to become of alerts.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StatusChange {
    /// Their ids.
    #[schemars(length(min = 1, max = 500), inner(length(min = 1, max = 64)))]
    ids: Vec<String>,
    /// What they are from now on.
    status: Status,
    /// They are of this upload instead of what is watched.
    #[serde(default)]
    #[schemars(length(max = 64))]
    job: Option<String>,
}

/// How many were changed.
#[derive(Serialize, JsonSchema)]
pub(super) struct Changed {
    /// So many.
    changed: usize,
}

async fn set_status(
    State(shared): State<Arc<Shared>>,
    Caller(caller): Caller,
    Body(change): Body<StatusChange>,
) -> Answer<Changed> {
    if !(1..=MOST_CHANGED).contains(&change.ids.len()) {
        return Err(Problem::bad_request(format!("ids: name 1 to {MOST_CHANGED} alerts")));
    }
    let changed = shared.blocking(move |shared| {
        let by = Change { who: &caller.username, at: crate::clock::now() };
        let changed = change.ids.len();
        if let Some(job) = change.job.as_deref().filter(|job| !job.is_empty()) {
            let of_job = shared.uploads.store_of(job)?;
            let detail = format!("{changed} alerts of the upload {job}: {}", change.status.as_str());
            return shared.audited(&caller.username, "alert status", &detail, || {
                of_job.set_status(&change.ids, change.status, by)?;
                Ok(Changed { changed })
            });
        }
        shared.store.set_status(&change.ids, change.status, by)?;
        for ids in change.ids.chunks(MOST_TOLD) {
            let alerts = ids.iter().map(|id| shared.store.alert(id)).collect::<Result<_, _>>()?;
            let alerts = views(&shared.store, alerts)?;
            shared.stream.tell(json!({ "type": "alerts", "alerts": alerts }));
        }
        Ok(Changed { changed })
    });
    changed.await.map(Json)
}
