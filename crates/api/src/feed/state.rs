//! What a feed holds, and what becomes of it with every flow, score and alert.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Weak};

use lapwing_alert::{Alert, rfc3339};
use lapwing_capture::Timestamp;
use lapwing_decode::Address;
use lapwing_detect::{ANOMALY, Drift};
use lapwing_engine::Scored;
use lapwing_flow::Flow;
use lapwing_learn::Model;
use lapwing_protocol::{LocalNetworks, Uid, transport};

use super::top::{ByCount, Top};
use super::{MOST_SECONDS, News};
use crate::view::alert::{AlertView, GeoIp, attack_name};
use crate::view::second::Second;
use crate::view::sn::Entry;

/// Flows that are kept to be shown.
const MOST_ENTRIES: usize = 1_000;

/// Flows and alerts that one update carries.
const MOST_NEW: usize = 50;

/// Flows written out per second: the rest is counted.
const MOST_WRITTEN: usize = 200;

/// Flows of alerts that are remembered, so that their entries can be marked when they end.
const MOST_NAMED: usize = 4_096;

#[derive(Default)]
pub(super) struct State {
    pub(super) now: Option<Timestamp>,
    pub(super) entries: VecDeque<Entry>,
    pub(super) written: (i64, usize),
    pub(super) news: News,
    pub(super) flows: u64,
    pub(super) hosts: Top<IpAddr>,
    pub(super) ports: Top<u16, ByCount>,
    pub(super) protocols: BTreeMap<&'static str, (u64, u64)>,
    pub(super) seconds: VecDeque<Second>,
    /// Frames are counted elsewhere, and flows need not be.
    pub(super) framed: bool,
    /// There is, or was, a source.
    pub(super) begun: bool,
    /// The time of the first packet names the run.
    pub(super) run: Option<Timestamp>,
    pub(super) named: HashMap<u64, (String, &'static str)>,
    pub(super) names: VecDeque<u64>,
    /// The worst score of flows that finished and have yet to end.
    pub(super) scores: HashMap<u64, f32>,
    pub(super) scored: VecDeque<u64>,
    /// By model, which is known by where it lies, as long as it lies there.
    pub(super) drifts: HashMap<usize, (Weak<Model>, Drift)>,
    pub(super) began: Option<Timestamp>,
    pub(super) anomalies: u64,
    /// Outside hosts, whichever end they were.
    pub(super) outside: Top<IpAddr>,
}

impl State {
    pub(super) fn alert(&mut self, alert: &Alert) {
        let name = attack_name(&alert.kind).to_owned();
        let severity = alert.severity.as_str();
        for flow in &alert.flows {
            if self.named.insert(flow.uid, (name.clone(), severity)).is_none() {
                self.names.push_back(flow.uid);
            }
            let uid = Uid(flow.uid).to_string();
            // Recent ones only: alerts come while their flows do.
            for entry in self.entries.iter_mut().rev().take(MOST_WRITTEN).filter(|entry| entry.uid == uid) {
                entry.mark(&name, severity);
            }
        }
        while self.names.len() > MOST_NAMED {
            self.names.pop_front().and_then(|uid| self.named.remove(&uid));
        }
        if alert.is_new() {
            self.anomalies += u64::from(alert.kind == ANOMALY);
            let now = self.now.unwrap_or(alert.last_seen);
            self.second(now).alerts += 1;
        }
        if self.news.alerts.len() < MOST_NEW {
            self.news.alerts.push(AlertView::new(alert.clone()));
        } else {
            self.news.left_out += 1;
        }
    }

    pub(super) fn score(&mut self, scored: &Scored<'_>) {
        let mut worst = None;
        for (anomaly, score) in scored.scores() {
            let model = anomaly.model();
            self.drift_of(model).take_in(model.p_value(score));
            worst = Some(worst.map_or(score, |worst: f32| worst.max(score)));
        }
        if let Some(score) = worst
            && self.scores.insert(scored.flow.uid, score).is_none()
        {
            self.scored.push_back(scored.flow.uid);
        }
        while self.scored.len() > MOST_NAMED {
            self.scored.pop_front().and_then(|uid| self.scores.remove(&uid));
        }
    }

    fn drift_of(&mut self, model: &Arc<Model>) -> &mut Drift {
        let place = place(model);
        if !self.drifts.contains_key(&place) {
            self.drifts.retain(|_, (known, _)| known.strong_count() > 0);
        }
        let (_, drift) = self.drifts.entry(place).or_insert_with(|| (Arc::downgrade(model), Drift::default()));
        drift
    }

    /// How many more flows are written out in this second.
    pub(super) fn room(&self) -> usize {
        let now = self.now.map_or(0, Timestamp::seconds);
        if self.written.0 == now { MOST_WRITTEN.saturating_sub(self.written.1) } else { MOST_WRITTEN }
    }

    /// Takes a flow that ended, `at` the moment as far as it is believed.
    pub(super) fn flow(
        &mut self,
        flow: &Flow,
        at: Timestamp,
        simulated: bool,
        local: &LocalNetworks,
        country: Option<String>,
    ) {
        self.flows += 1;
        let packets = flow.orig.packets + flow.resp.packets;
        let bytes = flow.orig.ip_bytes.saturating_add(flow.resp.ip_bytes);
        let protocol = transport(flow.protocol);
        let sums = self.protocols.entry(protocol).or_default();
        *sums = (sums.0 + 1, sums.1.saturating_add(bytes));
        for host in [flow.originator.address, flow.responder.address] {
            self.hosts.count(host.ip(), packets, bytes);
            if is_public(host, local) {
                self.outside.count(host.ip(), packets, bytes);
            }
        }
        if matches!(flow.protocol, 6 | 17) {
            self.ports.count(flow.responder.port, packets, bytes);
        }
        if !self.framed {
            let second = self.second(at);
            second.packets += packets;
            second.bytes = second.bytes.saturating_add(bytes);
        }
        let now = self.now.map_or(0, Timestamp::seconds);
        self.written = if self.written.0 == now { (now, self.written.1 + 1) } else { (now, 1) };
        if self.written.1 > MOST_WRITTEN {
            self.news.left_out += 1;
            return;
        }
        let mut entry = Entry::new(flow, protocol, packets, bytes);
        entry.geoip = country.map(GeoIp::new);
        entry.simulated = simulated;
        entry.anomaly_score = self.scores.remove(&flow.uid);
        if let Some((name, severity)) = self.named.get(&flow.uid) {
            entry.mark(name, severity);
        }
        if self.news.entries.len() < MOST_NEW {
            self.news.entries.push(entry.clone());
        } else {
            self.news.left_out += 1;
        }
        self.entries.push_back(entry);
        if self.entries.len() > MOST_ENTRIES {
            self.entries.pop_front();
        }
    }

    /// The second that a moment lies in, among the last; a moment before them counts in the earliest.
    pub(super) fn second(&mut self, time: Timestamp) -> &mut Second {
        let whole = Timestamp::from_seconds(time.seconds());
        let newest = self.seconds.back().map(|second| second.time);
        if newest.is_none_or(|newest| newest < whole) {
            // Silent seconds are seconds too.
            let from = newest.map_or(whole.seconds(), |newest| newest.seconds() + 1);
            let from = from.max(whole.seconds().saturating_sub(MOST_SECONDS as i64 - 1));
            for second in from..=whole.seconds() {
                self.seconds.push_back(Second { time: Timestamp::from_seconds(second), ..Second::default() });
            }
            while self.seconds.len() > MOST_SECONDS {
                self.seconds.pop_front();
            }
        }
        let place = self.seconds.partition_point(|second| second.time < whole).min(self.seconds.len() - 1);
        &mut self.seconds[place]
    }
}

/// Whether a host can be anywhere in the world: none of the local networks, and no private, link-local, loopback or multicast
/// address.
pub(super) fn is_public(address: Address, local: &LocalNetworks) -> bool {
    let host = address.ip();
    let is_everywhere = host.is_loopback() || host.is_multicast() || host.is_unspecified();
    let is_here = match host {
        IpAddr::V4(host) => host.is_private() || host.is_link_local() || host.is_broadcast(),
        IpAddr::V6(host) => host.is_unique_local() || host.is_unicast_link_local(),
    };
    !is_everywhere && !is_here && !local.contains(address)
}

/// What a model is known by.
pub(super) fn place(model: &Arc<Model>) -> usize {
    Arc::as_ptr(model).addr()
}

impl Entry {
    fn new(flow: &Flow, proto: &'static str, packets: u64, bytes: u64) -> Self {
        Self {
            ts: rfc3339(flow.start),
            src_ip: flow.originator.address.ip().to_string(),
            dst_ip: flow.responder.address.ip().to_string(),
            src_port: flow.originator.port,
            dst_port: flow.responder.port,
            proto,
            bytes,
            packets,
            duration: flow.duration().as_secs_f64(),
            service: flow.service.as_deref().map(str::to_owned),
            conn_state: flow.state.as_str(),
            geoip: None,
            uid: Uid(flow.uid).to_string(),
            attack_type: None,
            anomaly_score: None,
            is_anomaly: false,
            severity: "low",
            simulated: false,
        }
    }

    fn mark(&mut self, attack: &str, severity: &'static str) {
        (self.is_anomaly, self.severity) = (true, severity);
        self.attack_type = Some(attack.to_owned());
    }
}
