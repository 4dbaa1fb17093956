//! What clients of earlier programs ask for, as they ask for it: SentryNet's routes and Traffic-monitor's.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use lapwing_store::{AlertGroup, AlertQuery};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Limit, detection, limit, sources};
use crate::access::{Access, Caller};
use crate::auth::Role;
use crate::extract::{Answer, Body, Named, Params};
use crate::operation::Operation;
use crate::operator::{DetectionChoice, SourceChoice, SourceKind};
use crate::problem::Problem;
use crate::shared::Shared;
use crate::view::All;
use crate::view::alert::attack_name;
use crate::view::sn::{AgentStatus, Entry, ResponseStatus, Stats, TopIp};

pub(super) fn operations() -> Vec<Operation> {
    let viewer = Access::Role(Role::Viewer);
    let (analyst, admin) = (Access::Role(Role::Analyst), Access::Role(Role::Admin));
    let sentrynet = [
        Operation::get("/api/v1/traffic", viewer, "The latest flows, oldest first", traffic)
            .query::<Limit>()
            .gives::<Traffic>(200)
            .shared(),
        Operation::get("/api/v1/stats", viewer, "What was seen since the start", stats).gives::<Stats>(200).shared(),
        Operation::get("/api/v1/top-ips", viewer, "Who sent and received most since the start", top_ips)
            .query::<TopLimit>()
            .gives::<All<TopIp>>(200)
            .shared(),
        Operation::get("/api/v1/attack-summary", viewer, "Alerts that are kept, by attack", attack_summary)
            .gives::<AttackSummary>(200)
            .shared(),
        Operation::get("/api/v1/response/status", viewer, "What is blocked: nothing, yet", response_status)
            .gives::<ResponseStatus>(200),
        Operation::post("/api/v1/response/unblock/{ip}", analyst, "Unblock an address: none is blocked, yet", unblock)
            .gives::<Unblocked>(200),
        Operation::get("/api/v1/agent/status", viewer, "What is investigated: nothing, yet", agent_status)
            .gives::<AgentStatus>(200),
        Operation::get("/api/v1/agent/reports", viewer, "Reports of investigations: none, yet", agent_reports)
            .gives::<Reports>(200),
    ]
    .map(|operation| operation.tag("SentryNet"));
    let traffic_monitor = [
        Operation::get("/api/get_interfaces", viewer, "The interfaces of this machine", get_interfaces)
            .gives::<Interfaces>(200),
        Operation::post("/api/set_detection_method", admin, "Judge packets by another method", set_detection_method)
            .takes::<Method>()
            .gives::<MethodSet>(200)
            .problem(409),
        Operation::post("/api/start_monitor", admin, "Watch an interface", start_monitor)
            .takes::<Start>()
            .gives::<Started>(200)
            .problem(409),
        Operation::post("/api/stop_monitor", admin, "Stop watching", stop_monitor).gives::<Stopped>(200),
    ]
    .map(|operation| operation.tag("Traffic-monitor"));
    sentrynet.into_iter().chain(traffic_monitor).collect()
}

/// The latest flows.
#[derive(Serialize, JsonSchema)]
struct Traffic {
    /// How many.
    count: usize,
    /// They, oldest first.
    data: Vec<Entry>,
}

async fn traffic(State(shared): State<Arc<Shared>>, Params(asked): Params<Limit>) -> Answer<Traffic> {
    let mut data = shared.feed.entries(limit(asked.limit, 100, 1_000)?);
    // They are kept as they ended, and told as they began.
    data.sort_by(|left, right| left.ts.cmp(&right.ts));
    Ok(Json(Traffic { count: data.len(), data }))
}

async fn stats(State(shared): State<Arc<Shared>>) -> Answer<Stats> {
    shared.blocking(standing).await.map(Json)
}

/// What was seen since the start, and all alerts that are kept.
pub(crate) fn standing(shared: &Shared) -> Result<Stats, Problem> {
    let attack_distribution = attacks(shared)?;
    let total_alerts = attack_distribution.values().sum();
    Ok(Stats { total_alerts, attack_distribution, ..shared.feed.stats() })
}

/// The alerts that are kept, by attack.
pub(crate) fn attacks(shared: &Shared) -> Result<BTreeMap<String, u64>, Problem> {
    let mut attacks = BTreeMap::new();
    for (kind, count) in shared.store.count_alerts(&AlertQuery::default(), AlertGroup::Kind)? {
        *attacks.entry(attack_name(&kind).to_owned()).or_default() += count;
    }
    Ok(attacks)
}

/// How many hosts.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TopLimit {
    /// At most so many.
    #[schemars(range(min = 1, max = 50))]
    limit: Option<usize>,
}

async fn top_ips(State(shared): State<Arc<Shared>>, Params(asked): Params<TopLimit>) -> Answer<All<TopIp>> {
    Ok(Json(All { data: shared.feed.top_hosts(limit(asked.limit, 10, 50)?) }))
}

/// Alerts by attack.
#[derive(Serialize, JsonSchema)]
struct AttackSummary {
    /// How many of each.
    attack_distribution: BTreeMap<String, u64>,
    /// How many in all.
    total_alerts: u64,
}

async fn attack_summary(State(shared): State<Arc<Shared>>) -> Answer<AttackSummary> {
    let attack_distribution = shared.blocking(attacks).await?;
    let total_alerts = attack_distribution.values().sum();
    Ok(Json(AttackSummary { attack_distribution, total_alerts }))
}

async fn response_status() -> Json<ResponseStatus> {
    Json(ResponseStatus::none())
}

/// Whether an address was unblocked.
#[derive(Serialize, JsonSchema)]
struct Unblocked {
    /// It was blocked before, and is no longer.
    success: bool,
    /// The address.
    ip: String,
}

async fn unblock(Named(ip): Named) -> Answer<Unblocked> {
    let ip: IpAddr = ip.parse().map_err(|_| Problem::bad_request(format!("ip: '{ip}' is not an address")))?;
    Ok(Json(Unblocked { success: false, ip: ip.to_string() }))
}

async fn agent_status() -> Json<AgentStatus> {
    Json(AgentStatus::default())
}

/// What investigations came to.
#[derive(Serialize, JsonSchema)]
struct Reports {
    /// The latest first.
    reports: Vec<String>,
}

async fn agent_reports() -> Json<Reports> {
    Json(Reports { reports: Vec::new() })
}

/// The interfaces of this machine.
#[derive(Serialize, JsonSchema)]
struct Interfaces {
    /// They.
    interfaces: Vec<Interface>,
    /// Always false: no Python is at work here.
    scapy_available: bool,
}

/// An interface.
#[derive(Serialize, JsonSchema)]
struct Interface {
    /// Its name.
    name: String,
    /// What it is, in words.
    description: String,
    /// Its first IPv4 address; null where it has none.
    ip: Option<String>,
}

async fn get_interfaces(State(shared): State<Arc<Shared>>) -> Answer<Interfaces> {
    let found = shared.blocking(|shared| Ok(shared.operator.interfaces())).await?;
    let interface = |view: crate::operator::InterfaceView| Interface {
        name: view.name,
        description: view.description,
        ip: view.ip,
    };
    Ok(Json(Interfaces { interfaces: found.into_iter().map(interface).collect(), scapy_available: false }))
}

/// How packets are to be judged.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Method {
    /// `isolation_forest`, `statistical` or `autoencoder`.
    #[schemars(length(max = 64))]
    method: String,
}

/// How packets are judged from now on.
#[derive(Serialize, JsonSchema)]
struct MethodSet {
    /// Always true.
    success: bool,
    /// The method.
    method: String,
}

async fn set_detection_method(
    State(shared): State<Arc<Shared>>,
    Caller(caller): Caller,
    Body(asked): Body<Method>,
) -> Answer<MethodSet> {
    let set = shared.blocking(move |shared| {
        let method = asked.method;
        let choice = DetectionChoice { method: Some(method.clone()), models: None };
        detection::change(shared, &caller.username, choice)?;
        Ok(MethodSet { success: true, method })
    });
    set.await.map(Json).map_err(Problem::with_error)
}

/// What to watch.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Start {
    /// The interface.
    #[schemars(length(min = 1, max = 15))]
    interface: String,
    /// Only frames that this tcpdump expression takes.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    filter: Option<String>,
}

/// Whether it is watched.
#[derive(Serialize, JsonSchema)]
struct Started {
    /// Always true.
    success: bool,
    /// In words.
    message: String,
}

async fn start_monitor(
    State(shared): State<Arc<Shared>>,
    Caller(caller): Caller,
    Body(start): Body<Start>,
) -> Answer<Started> {
    let started = shared.blocking(move |shared| {
        let message = format!("watching {}", start.interface);
        let choice = SourceChoice {
            kind: SourceKind::Interface,
            interfaces: vec![start.interface],
            filter: start.filter.filter(|filter| !filter.trim().is_empty()),
            ..SourceChoice::default()
        };
        sources::watch(shared, &caller.username, choice)?;
        Ok(Started { success: true, message })
    });
    started.await.map(Json).map_err(Problem::with_error)
}

/// What came of watching.
#[derive(Serialize, JsonSchema)]
struct Stopped {
    /// Whether something was watched.
    success: bool,
    /// In words.
    message: String,
    /// The file that the packets were kept in, if they were.
    saved_file: Option<String>,
    /// Packets that were seen.
    packet_count: u64,
}

async fn stop_monitor(State(shared): State<Arc<Shared>>, Caller(caller): Caller) -> Answer<Stopped> {
    let stopped = shared.blocking(move |shared| {
        let before = shared.operator.source();
        // A capture that is replayed was there before.
        let saves = before.kind == SourceKind::Interface;
        let captures = if saves { shared.operator.captures() } else { Vec::new() };
        let after = sources::end(shared, &caller.username)?;
        let name = |path: &std::path::PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
        let success = before.state == crate::operator::SourceState::Running;
        let message = if success { "stopped" } else { "nothing was watched" };
        Ok(Stopped {
            success,
            message: message.to_owned(),
            saved_file: captures.last().and_then(name),
            packet_count: after.packets,
        })
    });
    stopped.await.map(Json)
}
