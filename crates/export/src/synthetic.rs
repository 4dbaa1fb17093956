//! A made-up alert, and sending it through each sink: `lapwing selftest`.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use lapwing_alert::{Alert, AlertConfig, Merger};
use lapwing_capture::Timestamp;
use lapwing_decode::Address;
use lapwing_detect::{Detection, KINDS, Severity, Subject};
use serde::Serialize;

use crate::sink::{self, Outcome};
use crate::{Delivery, ExportConfig, SinkError};

/// An alert that says it is none: kind `selftest`, about addresses that are kept for documentation (RFC 5737).
#[must_use]
pub fn synthetic_alert(time: Timestamp) -> Alert {
    let subject = Subject::Host(Address::v4([192, 0, 2, 10]));
    let mut detection = Detection::new(&KINDS[0], subject, "selftest", time);
    detection.severity = Severity::Low;
    detection.confidence = 1.0;
    detection.techniques.clear();
    detection.peers.push(Address::v4([198, 51, 100, 7]));
    "Lapwing self-test".clone_into(detection.title.to_mut());
    detection.explanation = "a made-up alert that shows whether deliveries arrive; nothing happened".to_owned();
    let mut merger = Merger::new(AlertConfig::default());
    merger.take_in(&detection);
    let mut alert = merger.into_alerts().remove(0);
    "selftest".clone_into(&mut alert.kind);
    alert
}

/// What became of one sink's check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The sink's name.
    pub sink: String,
    /// What it is: `syslog`, `webhook`, …
    pub sort: String,
    /// Where it sends to, without secrets.
    pub target: String,
    /// Why the receiver did not confirm; `None` when it did.
    pub failed: Option<String>,
}

/// Checks settings as far as that goes without sending anything: secrets and certificates are read, addresses understood.
///
/// # Errors
/// When a sink cannot be built from its settings.
pub fn check_settings(config: &ExportConfig) -> Result<(), SinkError> {
    sink::build_all(config).map(drop)
}

/// Sends one alert through every configured sink at once, whatever the sink's routing, past the spool and without a second
/// attempt. Takes `timeout` at most.
///
/// # Errors
/// When a sink cannot be built from its settings.
pub fn check_sinks(config: &ExportConfig, alert: &Alert, timeout: Duration) -> Result<Vec<Check>, SinkError> {
    let built = sink::build_all(config)?;
    let delivery = Delivery::of_alert(alert, true)
        .map_err(|error| SinkError::Settings { sink: "selftest".to_owned(), reason: error.to_string() })?;
    let (sender, receiver) = mpsc::channel();
    let mut checks = Vec::new();
    for (place, mut built) in built.into_iter().enumerate() {
        let (sender, delivery) = (sender.clone(), delivery.clone());
        checks.push(Check {
            sink: built.name.clone(),
            sort: built.sort.to_owned(),
            target: built.sink.target(),
            failed: Some(format!("no answer within {} s", timeout.as_secs())),
        });
        thread::spawn(move || {
            let outcome = built.sink.deliver(std::slice::from_ref(&delivery));
            // Nobody listens any more when the time is over.
            let _ignored = sender.send((place, outcome));
        });
    }
    drop(sender);
    let end = std::time::Instant::now() + timeout;
    while let Ok((place, outcome)) = receiver.recv_timeout(end.saturating_duration_since(std::time::Instant::now())) {
        checks[place].failed = match outcome {
            Outcome::Delivered => None,
            Outcome::Retry { reason, .. } | Outcome::Rejected { reason } => Some(reason),
        };
    }
    Ok(checks)
}
