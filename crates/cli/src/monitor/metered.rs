//! What a live run shows of itself to Prometheus.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use lapwing_alert::Alert;
use lapwing_capture::LiveStatus;
use lapwing_export::metrics::{Metrics, MetricsListener, names};

use super::Sink;
use crate::store::now;

/// Counts alerts, and serves the metrics as long as it lives.
pub(super) struct Metered {
    metrics: Arc<Metrics>,
    _listener: MetricsListener,
}

impl Metered {
    /// Listens; frames are counted by `status`.
    pub(super) fn start(address: SocketAddr, status: Arc<LiveStatus>) -> Result<Self> {
        let metrics = Arc::new(Metrics::default());
        metrics.set(&names::BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1.0);
        metrics.set(&names::UP, &[], 1.0);
        metrics.before_rendering(move |metrics| show(&status, metrics));
        let listener = MetricsListener::start(address, Arc::clone(&metrics))?;
        eprintln!("lapwing: metrics at http://{}/metrics", listener.address());
        Ok(Self { metrics, _listener: listener })
    }

    /// For others to show theirs.
    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}

fn show(status: &LiveStatus, metrics: &Metrics) {
    for it in status.interfaces() {
        let name = [it.interface.as_str()];
        metrics.set(&names::CAPTURE_PACKETS, &name, it.packets as f64);
        metrics.set(&names::CAPTURE_BYTES, &name, it.bytes as f64);
        metrics.set(&names::CAPTURE_DROPPED, &name, it.dropped as f64);
        metrics.set(&names::CAPTURE_OUTAGES, &name, it.outages as f64);
        metrics.set(&names::CAPTURE_UP, &name, f64::from(u8::from(it.up)));
    }
}

impl Sink for Metered {
    fn take(&mut self, alerts: &[Alert]) -> io::Result<()> {
        for alert in alerts.iter().filter(|alert| alert.is_new()) {
            let detector = alert.detectors.first().map_or("", String::as_str);
            self.metrics.add(&names::ALERTS, &[detector, alert.severity.as_str()], 1.0);
            let age = now().nanos().saturating_sub(alert.last_seen.nanos()).max(0);
            self.metrics.observe(&names::DETECTOR_LATENCY, &[], age as f64 / 1e9);
        }
        Ok(())
    }
}
