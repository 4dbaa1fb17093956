//! The shapes that clients of SentryNet's API rely on.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::alert::GeoIp;

/// One flow that ended.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Entry {
    /// When it began: RFC 3339.
    pub(crate) ts: String,
    /// Who sent first.
    pub(crate) src_ip: String,
    /// Who answered.
    pub(crate) dst_ip: String,
    /// Port of who sent first.
    pub(crate) src_port: u16,
    /// Port of who answered.
    pub(crate) dst_port: u16,
    /// `tcp`, `udp`, `icmp`, or another transport.
    pub(crate) proto: &'static str,
    /// IP bytes of both directions.
    pub(crate) bytes: u64,
    /// Packets of both directions.
    pub(crate) packets: u64,
    /// Seconds from the first packet to the last.
    pub(crate) duration: f64,
    /// The application protocol, where its content proves one.
    pub(crate) service: Option<String>,
    /// How the connection stands, in Zeek's words.
    pub(crate) conn_state: &'static str,
    /// Where the outside host is, as far as a database tells.
    pub(crate) geoip: Option<GeoIp>,
    /// The flow's id, as in Zeek's logs.
    pub(crate) uid: String,
    /// What it is part of, where an alert rests on it.
    pub(crate) attack_type: Option<String>,
    /// The model's score, where a model judges flows.
    pub(crate) anomaly_score: Option<f32>,
    /// Whether an alert rests on it.
    pub(crate) is_anomaly: bool,
    /// The alert's severity; `low` without one.
    pub(crate) severity: &'static str,
    /// Whether it is made up: `serve --simulate`.
    pub(crate) simulated: bool,
}

/// What a host moved.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct TopIp {
    /// The host.
    pub(crate) ip: String,
    /// IP bytes of flows that it began.
    pub(crate) bytes: u64,
    /// Packets of them.
    pub(crate) packets: u64,
    /// How many flows.
    pub(crate) conns: u64,
}

/// How often a port was asked for.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct TopPort {
    /// The port.
    pub(crate) port: u16,
    /// Flows to it.
    pub(crate) count: u64,
}

/// What moved in a second.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct SecondBytes {
    /// The second of capture time, as `HH:MM:SS`, UTC.
    pub(crate) ts: String,
    /// Bytes.
    pub(crate) bytes: u64,
    /// Packets.
    pub(crate) packets: u64,
}

/// What was seen since the start.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Stats {
    /// Flows that ended.
    pub(crate) total_traffic: u64,
    /// Alerts that are kept, of earlier runs too.
    pub(crate) total_alerts: u64,
    /// Who sent most, at most ten.
    pub(crate) top_ips: Vec<TopIp>,
    /// Which ports were asked for most, at most ten.
    pub(crate) top_ports: Vec<TopPort>,
    /// Flows by transport.
    pub(crate) protocol_distribution: BTreeMap<String, u64>,
    /// They by attack.
    pub(crate) attack_distribution: BTreeMap<String, u64>,
    /// The last 30 seconds of capture time.
    pub(crate) bytes_over_time: Vec<SecondBytes>,
}

/// What is blocked: nothing, for nothing here blocks yet.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ResponseStatus {
    /// Blocked addresses.
    pub(crate) blocked_ips: Vec<String>,
    /// Isolated hosts.
    pub(crate) isolated_hosts: Vec<String>,
    /// Actions since the start.
    pub(crate) total_actions: u64,
    /// The latest of them.
    pub(crate) recent_actions: Vec<String>,
    /// Whether actions are only written down.
    pub(crate) dry_run: bool,
    /// Whether this program can block at all.
    pub(crate) available: bool,
}

impl ResponseStatus {
    pub(crate) fn none() -> Self {
        Self {
            blocked_ips: Vec::new(),
            isolated_hosts: Vec::new(),
            total_actions: 0,
            recent_actions: Vec::new(),
            dry_run: true,
            available: false,
        }
    }
}

/// What is investigated: nothing, for nothing here investigates yet.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub(crate) struct AgentStatus {
    /// Incidents since the start.
    pub(crate) total_incidents: u64,
    /// Of them those that were dealt with.
    pub(crate) total_auto_resolved: u64,
    /// Alerts that wait.
    pub(crate) queue_size: u64,
    /// Whether one is looked at.
    pub(crate) processing: bool,
    /// The latest reports.
    pub(crate) recent_reports: Vec<String>,
    /// Whether this program can investigate at all.
    pub(crate) available: bool,
}
