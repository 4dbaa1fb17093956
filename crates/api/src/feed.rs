//! What a run shows as it goes: flows that end, seconds that pass, alerts. Everything is bounded, and whoever runs never waits.

mod stage;
mod state;
mod top;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lapwing_alert::{Alert, rfc3339};
use lapwing_capture::Timestamp;
use lapwing_flow::Flow;
use lapwing_learn::Model;
use lapwing_protocol::LocalNetworks;

use crate::view::alert::AlertView;
pub use crate::view::second::Second;
use crate::view::sn::{Entry, SecondBytes, Stats, TopIp, TopPort};
pub use stage::Feeding;
use state::{State, is_public, place};

/// Seconds kept.
pub(crate) const MOST_SECONDS: usize = 300;

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
    /// What lies outside is everything else.
    local: Arc<LocalNetworks>,
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

    /// A feed whose networks are these.
    #[must_use]
    pub fn within(self, local: LocalNetworks) -> Self {
        Self { local: Arc::new(local), ..self }
    }

    /// A feed of what is made up.
    #[must_use]
    pub fn simulated(self) -> Self {
        Self { simulated: true, ..self }
    }

    fn country(&self, host: IpAddr) -> Option<String> {
        self.locate.as_ref().and_then(|locate| locate(host))
    }

    /// Where the outside end of a flow is.
    fn country_of(&self, flow: &Flow) -> Option<String> {
        let ends = [flow.responder.address, flow.originator.address];
        let mut outside = ends.into_iter().filter(|end| is_public(*end, &self.local));
        outside.find_map(|end| self.country(end.ip()))
    }

    /// Outside hosts and what moved between them and here, by country; most first.
    pub(crate) fn countries(&self) -> Vec<(String, u64, u64)> {
        if self.locate.is_none() {
            return Vec::new();
        }
        let outside = self.state().outside.largest(MOST_PLACED);
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

    /// Who sent and received most.
    pub(crate) fn top_hosts(&self, limit: usize) -> Vec<TopIp> {
        let state = self.state();
        let ip = |(host, counted): (IpAddr, top::Counted)| TopIp {
            ip: host.to_string(),
            bytes: counted.bytes,
            packets: counted.packets,
            conns: counted.count,
        };
        state.hosts.largest(limit).into_iter().map(ip).collect()
    }

    /// How far what a model sees has moved from its baseline.
    #[must_use]
    pub fn drift(&self, model: &Arc<Model>) -> Option<f64> {
        self.state().drifts.get(&place(model)).and_then(|(_, drift)| drift.index())
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
        let ports = state.ports.largest(10);
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
