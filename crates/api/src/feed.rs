//! What a run shows as it goes: flows that end, seconds that pass, alerts. Everything is bounded, and whoever runs never waits.

mod top;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lapwing_alert::{Alert, rfc3339};
use lapwing_asset::Inventory;
use lapwing_capture::Timestamp;
use lapwing_decode::Address;
use lapwing_detect::{ANOMALY, Drift};
use lapwing_engine::{Scored, Stage};
use lapwing_flow::{Flow, Reported};
use lapwing_learn::Model;
use lapwing_protocol::{Observation, Observed, Uid, transport};

use crate::view::alert::{AlertView, GeoIp, attack_name};
pub use crate::view::second::Second;
use crate::view::sn::{Entry, SecondBytes, Stats, TopIp, TopPort};
use top::Top;

/// Flows that are kept to be shown.
const MOST_ENTRIES: usize = 1_000;

/// Flows and alerts that one update carries.
const MOST_NEW: usize = 50;

/// Flows written out per second: the rest is counted.
const MOST_WRITTEN: usize = 200;

/// Seconds kept.
pub(crate) const MOST_SECONDS: usize = 300;

/// Hosts and ports counted one by one.
const MOST_COUNTED: usize = 4_096;

/// Flows of alerts that are remembered, so that their entries can be marked when they end.
const MOST_NAMED: usize = 4_096;

/// What is watched, as the store names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    /// Nothing is, so that everything counts.
    Any,
    /// Nothing has come yet.
    Silent,
    /// The run of that name.
    Named(Timestamp),
}

/// What is new since the last update.
#[derive(Clone, Debug, Default)]
pub(crate) struct News {
    pub(crate) entries: Vec<Entry>,
    pub(crate) alerts: Vec<AlertView>,
    /// Flows that were not written out, and alerts that did not fit.
    pub(crate) left_out: u64,
}

#[derive(Default)]
struct State {
    now: Option<Timestamp>,
    entries: VecDeque<Entry>,
    written: (i64, usize),
    news: News,
    flows: u64,
    hosts: Top<IpAddr>,
    ports: Top<u16>,
    protocols: BTreeMap<&'static str, (u64, u64)>,
    seconds: VecDeque<Second>,
    /// Frames are counted elsewhere, and flows need not be.
    framed: bool,
    /// There is, or was, a source.
    begun: bool,
    /// The time of the first packet names the run.
    run: Option<Timestamp>,
    named: HashMap<u64, (String, &'static str)>,
    names: VecDeque<u64>,
    /// The worst score of flows that finished and have yet to end.
    scores: HashMap<u64, f32>,
    scored: VecDeque<u64>,
    /// By model, which is known by where it lies.
    drifts: HashMap<usize, Drift>,
    began: Option<Timestamp>,
    anomalies: u64,
    /// Outside hosts, whichever end they were.
    outside: Top<IpAddr>,
}

/// Says in which country a host is.
type Locate = Box<dyn Fn(IpAddr) -> Option<String> + Send + Sync>;

/// Outside hosts that are looked for on the map.
const MOST_PLACED: usize = 1_000;

/// Where a run puts what it sees, and the API finds it.
#[derive(Clone, Default)]
pub struct Feed {
    state: Arc<Mutex<State>>,
    locate: Option<Arc<Locate>>,
    simulated: bool,
}

impl Feed {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins anew with another source; `framed` says that [`Feed::seconds`] will tell of its packets.
    /// What goes on with an earlier run has the name of that.
    pub fn begin(&self, framed: bool, run: Option<Timestamp>) {
        let mut state = self.state();
        *state = State { framed, begun: true, run, news: std::mem::take(&mut state.news), ..State::default() };
    }

    /// A feed that knows where hosts are.
    #[must_use]
    pub fn locating(locate: impl Fn(IpAddr) -> Option<String> + Send + Sync + 'static) -> Self {
        Self { locate: Some(Arc::new(Box::new(locate))), ..Self::default() }
    }

    /// A feed of what is made up.
    #[must_use]
    pub fn simulated(self) -> Self {
        Self { simulated: true, ..self }
    }

    fn country(&self, host: IpAddr) -> Option<String> {
        self.locate.as_ref().and_then(|locate| locate(host))
    }

    /// Outside hosts and what moved between them and here, by country; most first.
    pub(crate) fn countries(&self) -> Vec<(String, u64, u64)> {
        if self.locate.is_none() {
            return Vec::new();
        }
        let outside = self.state().outside.largest(MOST_PLACED, |counted| counted.bytes);
        let mut countries: HashMap<String, (u64, u64)> = HashMap::new();
        for (host, counted) in outside {
            let Some(country) = self.country(host) else { continue };
            let sums = countries.entry(country).or_default();
            *sums = (sums.0 + 1, sums.1.saturating_add(counted.bytes));
        }
        let mut countries: Vec<_> =
            countries.into_iter().map(|(country, (hosts, bytes))| (country, hosts, bytes)).collect();
        countries.sort_by(|left, right| right.2.cmp(&left.2).then_with(|| left.0.cmp(&right.0)));
        countries
    }

    /// Takes alerts that opened, changed or closed.
    pub fn alerts(&self, alerts: &[Alert]) {
        let mut state = self.state();
        for alert in alerts {
            state.alert(alert);
        }
    }

    /// Notes what moved, of a source of frames.
    pub fn seconds(&self, seconds: &[Second]) {
        let mut state = self.state();
        for second in seconds {
            let kept = state.second(second.time);
            kept.packets = second.packets;
            kept.bytes = second.bytes;
            kept.anomalies = second.anomalies;
        }
    }

    /// The run whose alerts count.
    pub(crate) fn run(&self) -> Run {
        let state = self.state();
        match state.run {
            _ if !state.begun => Run::Any,
            None => Run::Silent,
            Some(run) => Run::Named(run),
        }
    }

    /// How far capture time has come.
    pub(crate) fn now(&self) -> Option<Timestamp> {
        self.state().now
    }

    /// What is new since this was asked last.
    pub(crate) fn take_news(&self) -> News {
        std::mem::take(&mut self.state().news)
    }

    /// The latest flows, oldest first.
    pub(crate) fn entries(&self, limit: usize) -> Vec<Entry> {
        let state = self.state();
        state.entries.iter().skip(state.entries.len().saturating_sub(limit)).cloned().collect()
    }

    /// The latest seconds, oldest first.
    pub(crate) fn last_seconds(&self, limit: usize) -> Vec<Second> {
        let state = self.state();
        state.seconds.iter().skip(state.seconds.len().saturating_sub(limit)).copied().collect()
    }

    /// Flows that ended.
    pub(crate) fn connections(&self) -> u64 {
        self.state().flows
    }

    /// Who sent most.
    pub(crate) fn top_hosts(&self, limit: usize) -> Vec<TopIp> {
        let state = self.state();
        let ip = |(host, counted): (IpAddr, top::Counted)| TopIp {
            ip: host.to_string(),
            bytes: counted.bytes,
            packets: counted.packets,
            conns: counted.count,
        };
        state.hosts.largest(limit, |counted| counted.bytes).into_iter().map(ip).collect()
    }

    /// How far what a model sees has moved from its baseline.
    #[must_use]
    pub fn drift(&self, model: &Arc<Model>) -> Option<f64> {
        self.state().drifts.get(&place(model)).and_then(Drift::index)
    }

    /// Alerts that models raised per device and week; `None` before a day of one device has been seen.
    #[must_use]
    pub fn anomaly_rate(&self, devices: u64) -> Option<f64> {
        let state = self.state();
        let weeks = state.now?.seconds_since(state.began?) * devices as f64 / (7.0 * 86_400.0);
        (weeks * 7.0 >= 1.0).then(|| state.anomalies as f64 / weeks)
    }

    /// Flows and bytes by transport.
    pub(crate) fn protocols(&self) -> Vec<(&'static str, u64, u64)> {
        self.state().protocols.iter().map(|(name, (flows, bytes))| (*name, *flows, *bytes)).collect()
    }

    /// What of them flows say; the store knows the alerts.
    pub(crate) fn stats(&self) -> Stats {
        let top_ips = self.top_hosts(10);
        let state = self.state();
        let ports = state.ports.largest(10, |counted| counted.count);
        Stats {
            total_traffic: state.flows,
            top_ips,
            top_ports: ports.into_iter().map(|(port, counted)| TopPort { port, count: counted.count }).collect(),
            protocol_distribution: state
                .protocols
                .iter()
                .map(|(name, (flows, _))| ((*name).to_owned(), *flows))
                .collect(),
            bytes_over_time: state
                .seconds
                .iter()
                .skip(state.seconds.len().saturating_sub(30))
                .map(|second| SecondBytes {
                    ts: rfc3339(second.time).get(11..19).unwrap_or_default().to_owned(),
                    bytes: second.bytes,
                    packets: second.packets,
                })
                .collect(),
            ..Stats::default()
        }
    }
}

impl State {
    fn alert(&mut self, alert: &Alert) {
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

    fn score(&mut self, scored: &Scored<'_>) {
        let mut worst = None;
        for (anomaly, score) in scored.scores() {
            let model = anomaly.model();
            self.drifts.entry(place(model)).or_default().take_in(model.p_value(score));
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

    fn flow(&mut self, flow: &Flow, simulated: bool, country: impl Fn(IpAddr) -> Option<String>) {
        self.flows += 1;
        let packets = flow.orig.packets + flow.resp.packets;
        let bytes = flow.orig.ip_bytes.saturating_add(flow.resp.ip_bytes);
        let protocol = transport(flow.protocol);
        let sums = self.protocols.entry(protocol).or_default();
        *sums = (sums.0 + 1, sums.1.saturating_add(bytes));
        self.hosts.count(flow.originator.address.ip(), packets, bytes);
        for host in [flow.originator.address, flow.responder.address].map(Address::ip) {
            if is_public(host) {
                self.outside.count(host, packets, bytes);
            }
        }
        if matches!(flow.protocol, 6 | 17) {
            self.ports.count(flow.responder.port, packets, bytes);
        }
        if !self.framed {
            let second = self.second(flow.last);
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
        let ends = [flow.responder.address, flow.originator.address].map(Address::ip);
        entry.geoip = ends.into_iter().filter(|host| is_public(*host)).find_map(country).map(GeoIp::new);
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
    fn second(&mut self, time: Timestamp) -> &mut Second {
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

/// Whether a host can be anywhere in the world: no private, link-local, loopback or multicast address.
fn is_public(host: IpAddr) -> bool {
    let is_everywhere = host.is_loopback() || host.is_multicast() || host.is_unspecified();
    let is_here = match host {
        IpAddr::V4(host) => host.is_private() || host.is_link_local() || host.is_broadcast(),
        IpAddr::V6(host) => host.is_unique_local() || host.is_unicast_link_local(),
    };
    !is_everywhere && !is_here
}

/// What a model is known by.
fn place(model: &Arc<Model>) -> usize {
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

/// A stage that shows what another sees.
pub struct Feeding<'a> {
    stage: &'a mut dyn Stage,
    feed: Feed,
}

impl<'a> Feeding<'a> {
    /// Shows in `feed` what `stage` sees.
    pub fn new(stage: &'a mut dyn Stage, feed: Feed) -> Self {
        Self { stage, feed }
    }
}

impl Stage for Feeding<'_> {
    fn looks_at(&self) -> Reported {
        self.stage.looks_at().max(Reported::Ends)
    }

    fn inventory(&self) -> Option<&Inventory> {
        self.stage.inventory()
    }

    fn observe(&mut self, observed: &[Observed<'_>], scored: &[Scored<'_>]) {
        self.stage.observe(observed, scored);
        let mut state = self.feed.state();
        if let Some(first) = observed.first() {
            state.run.get_or_insert(first.time);
        }
        scored.iter().for_each(|scored| state.score(scored));
        for observed in observed {
            if let Observation::FlowEnded(flow) = observed.fact {
                state.flow(flow, self.feed.simulated, |host| self.feed.country(host));
            }
        }
    }

    fn idle(&mut self) {
        self.stage.idle();
    }

    fn advance(&mut self, second: Timestamp) {
        let mut state = self.feed.state();
        state.now = Some(second);
        state.began.get_or_insert(second);
        if !state.framed {
            // Of logs, too, silent seconds are seconds.
            state.second(second);
        }
        drop(state);
        self.stage.advance(second);
    }
}
