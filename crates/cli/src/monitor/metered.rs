//! What a live run shows of itself to Prometheus.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use lapwing_alert::Alert;
use lapwing_capture::LiveStatus;
use lapwing_engine::{Control, Counted, Detecting, Stage};
use lapwing_export::metrics::{Metrics, MetricsListener, names};
use lapwing_store::AlertRecorder;

use super::told::Sink;
use crate::store::now;

/// Where memory is read from: anonymous resident memory, in kB.
pub(crate) const MEMORY: &str = "/proc/self/status";

/// Who counts what is shown.
pub(crate) struct Counting {
    /// Interfaces.
    pub(crate) status: Arc<LiveStatus>,
    /// What becomes of packets, flows and logs.
    pub(crate) control: Arc<Control>,
    /// The store.
    pub(crate) kept: Option<AlertRecorder>,
    /// The name of what is played: it has no interface, and its time says nothing of how far watching lags behind.
    pub(crate) played: Option<String>,
}

/// Counts alerts, and serves the metrics as long as it lives.
pub(crate) struct Metered {
    metrics: Arc<Metrics>,
    _listener: Option<MetricsListener>,
    /// What is watched is played.
    played: bool,
}

impl Metered {
    /// Listens.
    pub(crate) fn start(address: SocketAddr, counting: Counting) -> Result<Self> {
        let metrics = Arc::new(Metrics::default());
        Self::describe(&metrics);
        counting.control.watch();
        let played = counting.played.is_some();
        metrics.before_rendering(move |metrics| counting.show(metrics));
        let listener = MetricsListener::start(address, Arc::clone(&metrics))?;
        eprintln!("lapwing: metrics at http://{}/metrics", listener.address());
        Ok(Self { metrics, _listener: Some(listener), played })
    }

    /// Counts in what others serve; `played` says that what is watched did not happen just now.
    pub(crate) fn counting(metrics: Arc<Metrics>, played: bool) -> Self {
        Self { metrics, _listener: None, played }
    }

    /// Says who shows these numbers.
    pub(crate) fn describe(metrics: &Metrics) {
        metrics.set(&names::BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1.0);
        metrics.set(&names::UP, &[], 1.0);
    }

    /// For others to show theirs.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}

impl Counting {
    pub(crate) fn show(&self, metrics: &Metrics) {
        let interfaces = self.status.interfaces();
        for it in &interfaces {
            let name = [it.interface.as_str()];
            metrics.set(&names::CAPTURE_PACKETS, &name, it.packets as f64);
            metrics.set(&names::CAPTURE_BYTES, &name, it.bytes as f64);
            metrics.set(&names::CAPTURE_DROPPED, &name, it.dropped as f64);
            metrics.set(&names::CAPTURE_OUTAGES, &name, it.outages as f64);
            metrics.set(&names::CAPTURE_UP, &name, f64::from(u8::from(it.up)));
        }
        let counted = self.control.counted();
        if !interfaces.is_empty() {
            metrics.set(&names::CAPTURE_CLOCK_STEPS, &[], self.status.clock_steps() as f64);
            show_traffic(&counted, metrics);
        }
        if let Some(name) = &self.played {
            metrics.set(&names::CAPTURE_PACKETS, &[name], self.control.frames() as f64);
            show_traffic(&counted, metrics);
        } else if let Some(time) = counted.now {
            metrics.set(&names::CAPTURE_LAG, &[], now().seconds_since(time).max(0.0));
        }
        for log in &counted.logs {
            let path = log.path.display().to_string();
            let is_up = log.there && log.refused.is_none();
            metrics.set(&names::LOG_UP, &[&path], f64::from(u8::from(is_up)));
            metrics.set(&names::RECORDS, &[&path], log.records as f64);
            metrics.set(&names::RECORDS_MALFORMED, &[&path], log.malformed as f64);
        }
        if let Some(kept) = &self.kept {
            let recorded = kept.recorded();
            metrics.set(&names::STORE_ALERTS, &[], recorded.alerts as f64);
            metrics.set(&names::STORE_ALERTS_LOST, &[], recorded.alerts_lost as f64);
            metrics.set(&names::STORE_FLOWS, &[], recorded.flows as f64);
            metrics.set(&names::STORE_FLOWS_LEFT_OUT, &[], recorded.flows_left_out as f64);
        }
        if let Some(bytes) = memory() {
            metrics.set(&names::MEMORY, &[], bytes as f64);
        }
    }
}

fn show_traffic(counted: &Counted, metrics: &Metrics) {
    metrics.set(&names::FLOWS, &[], counted.flows.started as f64);
    metrics.set(&names::FLOWS_ACTIVE, &[], counted.flows.active as f64);
    metrics.set(&names::FLOW_EVICTIONS, &["capacity"], counted.flows.evicted as f64);
    let mut malformed = BTreeMap::<String, u64>::new();
    for (what, count) in &counted.decode.undecoded {
        // `malformed IPv4: longer than its frame`
        if let Some(layer) = what.to_string().strip_prefix("malformed ") {
            let protocol = layer.split(':').next().unwrap_or(layer);
            *malformed.entry(protocol.to_owned()).or_default() += count;
        }
    }
    for (protocol, count) in malformed {
        metrics.set(&names::PARSE_ERRORS, &[&protocol], count as f64);
    }
}

/// Bytes of anonymous resident memory.
fn memory() -> Option<u64> {
    let status = fs::read_to_string(MEMORY).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1_024)
}

impl Sink for Metered {
    fn take(&mut self, alerts: &[Alert]) -> io::Result<()> {
        for alert in alerts.iter().filter(|alert| alert.is_new()) {
            let detector = alert.detectors.first().map_or("", String::as_str);
            self.metrics.add(&names::ALERTS, &[detector, &alert.kind, alert.severity.as_str()], 1.0);
            if !self.played {
                let age = now().nanos().saturating_sub(alert.last_seen.nanos()).max(0);
                self.metrics.observe(&names::DETECTOR_LATENCY, &[], age as f64 / 1e9);
            }
        }
        Ok(())
    }

    fn tend(&mut self, detecting: &Detecting) -> io::Result<()> {
        self.metrics.set(&names::WORKER_LAST_HEARTBEAT, &["detection"], now().seconds() as f64);
        for (what, count) in detecting.lost() {
            let table = what.trim_end_matches("_evicted").trim_end_matches("_dropped");
            self.metrics.set(&names::MEMCAP_HITS, &[table], count as f64);
        }
        if let Some(inventory) = detecting.inventory() {
            self.metrics.set(&names::DEVICES, &[], inventory.devices().len() as f64);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_found_where_linux_tells_it() {
        assert!(memory().is_none_or(|bytes| bytes > 100_000));
    }
}
