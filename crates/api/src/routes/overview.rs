//! What happens now, at a glance.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use lapwing_alert::{Alert, Status};
use lapwing_capture::Timestamp;
use lapwing_detect::Severity;
use lapwing_store::{AlertQuery, OpenAlerts};
use schemars::JsonSchema;
use serde::Serialize;

use super::{alerts, sn};
use crate::access::Access;
use crate::auth::Role;
use crate::extract::Answer;
use crate::feed::{MOST_SECONDS, Run};
use crate::operation::Operation;
use crate::operator::{Coverage, SourceState, SourceStatus};
use crate::problem::Problem;
use crate::shared::Shared;
use crate::view::alert::AlertView;
use crate::view::second::Second;
use crate::view::time;

/// Seconds that rates are the mean of.
const RATE_SECONDS: usize = 5;

/// Open alerts that are looked at for the map and the talkers.
const MOST_OPEN: usize = 500;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/api/v1/overview", Access::Role(Role::Viewer), "What happens now, at a glance", overview)
            .gives::<Overview>(200)
            .shared()
            .tag("Overview"),
    ]
}

/// What happens now.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Overview {
    /// How far capture time has come.
    #[serde(serialize_with = "time::optional::serialize")]
    #[schemars(with = "Option<time::DateTime>")]
    now: Option<Timestamp>,
    /// The wall clock.
    #[serde(serialize_with = "time::serialize")]
    #[schemars(with = "time::DateTime")]
    wall: Timestamp,
    /// What is watched.
    source: SourceStatus,
    /// The mean of the last five seconds; nothing once nothing is watched.
    rates: Rates,
    /// The last five minutes, oldest first.
    seconds: Vec<Second>,
    /// Alerts that are kept by attack, most first.
    attack_shares: Vec<Share>,
    /// Flows since the start by transport, most bytes first.
    protocol_shares: Vec<ProtocolShare>,
    /// Who sent and received most since the start.
    top_talkers: Vec<TopTalker>,
    /// The latest alerts.
    latest_alerts: Vec<AlertView>,
    /// Open alerts by severity.
    open: BySeverity,
    /// How bad it looks.
    threat: Threat,
    /// What was and was not seen.
    coverage: Coverage,
    /// Where outside hosts are, most bytes first; empty without a database of places.
    places: Vec<PlaceShare>,
    /// Devices.
    devices: DeviceCounts,
}

/// How much moves.
#[derive(Clone, Copy, Debug, Default, Serialize, JsonSchema)]
struct Rates {
    /// Packets per second.
    packets_per_second: f64,
    /// Bytes per second.
    bytes_per_second: f64,
}

/// A part of a whole.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct Share {
    /// What.
    name: String,
    /// How many.
    count: u64,
}

/// What one transport moved.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct ProtocolShare {
    /// Its name.
    name: String,
    /// Flows.
    flows: u64,
    /// Bytes.
    bytes: u64,
}

/// A host that sends or receives much.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct TopTalker {
    /// Its address.
    host: String,
    /// What people call it.
    name: Option<String>,
    /// What `/api/v1/devices/{id}` finds it by, of a host of the local networks; null of others, which are no devices.
    device: Option<String>,
    /// IP bytes that it sent and received, in flows that ended.
    bytes: u64,
    /// Packets of them.
    packets: u64,
    /// How many flows.
    flows: u64,
    /// Whether an open alert is about it.
    threat: bool,
}

/// Counts by severity.
#[derive(Clone, Copy, Debug, Default, Serialize, JsonSchema)]
pub(crate) struct BySeverity {
    /// Worth knowing.
    pub(crate) informational: u64,
    /// Of little harm.
    pub(crate) low: u64,
    /// Worth a look.
    pub(crate) medium: u64,
    /// Worth a look now.
    pub(crate) high: u64,
    /// Harm is being done.
    pub(crate) critical: u64,
}

impl BySeverity {
    pub(crate) fn add(&mut self, severity: Severity, count: u64) {
        let place = match severity {
            Severity::Informational => &mut self.informational,
            Severity::Low => &mut self.low,
            Severity::Medium => &mut self.medium,
            Severity::High => &mut self.high,
            Severity::Critical => &mut self.critical,
        };
        *place += count;
    }
}

/// How bad it looks, and why.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Threat {
    /// `calm`, `low`, `elevated`, `high` or `critical`: the worst open alert of what is watched that nobody has acknowledged.
    level: &'static str,
    /// What it rests on, worst first.
    reasons: Vec<String>,
}

/// What one country has to do with it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct PlaceShare {
    /// ISO 3166-1, two letters.
    country: String,
    /// Hosts there.
    hosts: u64,
    /// Bytes between them and here since the start.
    bytes: u64,
    /// Open alerts that name them.
    alerts: u64,
}

/// How many devices.
#[derive(Clone, Copy, Debug, Default, Serialize, JsonSchema)]
struct DeviceCounts {
    /// Known.
    known: u64,
    /// First seen in the last 24 hours of capture time.
    new_today: u64,
}

async fn overview(State(shared): State<Arc<Shared>>) -> Answer<Overview> {
    shared.blocking(build).await.map(Json)
}

pub(crate) fn latest_alerts(shared: &Shared, limit: usize) -> Result<Vec<AlertView>, Problem> {
    let page = shared.store.alerts(&AlertQuery { limit: Some(limit), ..AlertQuery::default() })?;
    alerts::views(&shared.store, page.items)
}

fn open_alerts(shared: &Shared) -> Result<Vec<Alert>, Problem> {
    let query = AlertQuery { status: Some(Status::Open), limit: Some(MOST_OPEN), ..AlertQuery::default() };
    Ok(shared.store.alerts(&query)?.items)
}

/// How bad it looks.
pub(crate) fn threat(shared: &Shared) -> Result<Threat, Problem> {
    judge(shared, &shared.store.open_alerts()?)
}

/// What `all` has of what is watched now, and how many alerts of it are of other runs.
fn of_this_run(shared: &Shared, all: &[OpenAlerts]) -> Result<(Vec<OpenAlerts>, u64), Problem> {
    let these = match shared.feed.run() {
        Run::Any => all.to_vec(),
        Run::Silent => Vec::new(),
        Run::Named(run) => shared.store.open_alerts_of(run)?,
    };
    let count = |alerts: &[OpenAlerts]| alerts.iter().map(|alerts| alerts.count).sum::<u64>();
    let others = count(all).saturating_sub(count(&these));
    Ok((these, others))
}

/// `all` has the worst first.
fn judge(shared: &Shared, all: &[OpenAlerts]) -> Result<Threat, Problem> {
    let (open, others) = of_this_run(shared, all)?;
    let level = match open.first().map(|worst| worst.severity) {
        None | Some(Severity::Informational) => "calm",
        Some(Severity::Low) => "low",
        Some(Severity::Medium) => "elevated",
        Some(Severity::High) => "high",
        Some(Severity::Critical) => "critical",
    };
    let title = |kind| lapwing_detect::kind_info(kind).map_or(kind, |info| info.title);
    let of = if shared.simulated { " simulated" } else { "" };
    let mut reasons: Vec<String> = open
        .iter()
        .take(5)
        .map(|OpenAlerts { severity, kind, count }| match count {
            1 => format!("1{of} open alert, {severity}: {}", title(kind)),
            count => format!("{count}{of} open alerts, {severity}: {}", title(kind)),
        })
        .collect();
    match others {
        0 => {}
        1 => reasons.push("1 open alert of what was watched before does not count".to_owned()),
        others => reasons.push(format!("{others} open alerts of what was watched before do not count")),
    }
    Ok(Threat { level, reasons })
}

pub(crate) fn build(shared: &Shared) -> Result<Overview, Problem> {
    let open = open_alerts(shared)?;
    let all_open = shared.store.open_alerts()?;
    let mut by_severity = BySeverity::default();
    all_open.iter().for_each(|alerts| by_severity.add(alerts.severity, alerts.count));
    let now = shared.feed.now();
    let names = shared.store.device_names()?;
    let seconds = shared.feed.last_seconds(MOST_SECONDS);
    let whole = &seconds[..seconds.len().saturating_sub(1)];
    let recent = &whole[whole.len().saturating_sub(RATE_SECONDS)..];
    let source = shared.operator.source().without_paths();
    let is_running = source.state == SourceState::Running;
    let mean = |of: fn(&Second) -> u64| {
        let sum: u64 = recent.iter().filter(|_| is_running).map(of).sum();
        sum as f64 / recent.len().max(1) as f64
    };
    let local = shared.store.local();
    let is_local = |host: &str| host.parse::<IpAddr>().is_ok_and(|ip| local.contains(ip.into()));
    let talkers = shared.feed.top_hosts(8).into_iter().map(|host| TopTalker {
        name: names.get(&host.ip).cloned(),
        device: is_local(&host.ip).then(|| host.ip.clone()),
        threat: open.iter().any(|alert| alert.device == host.ip),
        bytes: host.bytes,
        packets: host.packets,
        flows: host.conns,
        host: host.ip,
    });
    let mut attacks: Vec<Share> = sn::attacks(shared)?.into_iter().map(|(name, count)| Share { name, count }).collect();
    attacks.sort_by(|left, right| right.count.cmp(&left.count).then_with(|| left.name.cmp(&right.name)));
    let mut protocols: Vec<ProtocolShare> = shared
        .feed
        .protocols()
        .into_iter()
        .map(|(name, flows, bytes)| ProtocolShare { name: name.to_owned(), flows, bytes })
        .collect();
    protocols.sort_by_key(|share| std::cmp::Reverse(share.bytes));
    Ok(Overview {
        now,
        wall: crate::clock::now(),
        source,
        rates: Rates {
            packets_per_second: mean(|second| second.packets),
            bytes_per_second: mean(|second| second.bytes),
        },
        seconds,
        attack_shares: attacks,
        protocol_shares: protocols,
        top_talkers: talkers.collect(),
        latest_alerts: latest_alerts(shared, 10)?,
        open: by_severity,
        threat: judge(shared, &all_open)?,
        coverage: shared.operator.coverage(),
        places: places(shared.feed.countries(), &open),
        devices: devices(shared, now)?,
    })
}

/// Where outside hosts are that were seen, and those that open alerts name.
fn places(seen: Vec<(String, u64, u64)>, open: &[Alert]) -> Vec<PlaceShare> {
    let share = |(country, hosts, bytes)| PlaceShare { country, hosts, bytes, alerts: 0 };
    let mut shares: Vec<PlaceShare> = seen.into_iter().map(share).collect();
    for alert in open {
        let mut countries: Vec<&str> = alert.places.iter().filter_map(|place| place.country.as_deref()).collect();
        countries.sort_unstable();
        for of_country in countries.chunk_by(|left, right| left == right) {
            let country = of_country[0];
            match shares.iter_mut().find(|share| share.country == country) {
                Some(share) => share.alerts += 1,
                None => shares.push(PlaceShare {
                    country: country.to_owned(),
                    hosts: of_country.len() as u64,
                    bytes: 0,
                    alerts: 1,
                }),
            }
        }
    }
    shares
}

fn devices(shared: &Shared, now: Option<Timestamp>) -> Result<DeviceCounts, Problem> {
    let since = now.map(|now| now.minus(std::time::Duration::from_secs(86_400)));
    let (known, new_today) = shared.store.count_devices(since)?;
    Ok(DeviceCounts { known, new_today })
}
