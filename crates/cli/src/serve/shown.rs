//! Where alerts go of what is watched: to those who look, and to receivers.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use lapwing_alert::Alert;
use lapwing_api::Feed;
use lapwing_engine::Detecting;

use super::now::Now;
use crate::delivery::Delivering;
use crate::monitor::told::Sink;

/// Shows alerts to those who look.
pub(super) struct Shown {
    pub(super) feed: Feed,
    pub(super) now: Arc<Now>,
}

impl Sink for Shown {
    fn take(&mut self, alerts: &[Alert]) -> io::Result<()> {
        self.feed.alerts(alerts);
        let mut now = self.now.lock();
        for alert in alerts.iter().filter(|alert| alert.is_new()) {
            for rule in &alert.rules {
                let hits = now.hits.entry(rule.clone()).or_default();
                *hits = (hits.0 + 1, alert.last_seen);
            }
        }
        Ok(())
    }
}

/// Hands alerts to receivers that outlive a source.
pub(super) struct Handed(pub(super) Arc<Mutex<Delivering>>);

impl Sink for Handed {
    fn take(&mut self, alerts: &[Alert]) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take(alerts)
    }

    fn tend(&mut self, detecting: &Detecting) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).tend(detecting)
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).reopen()
    }
}
