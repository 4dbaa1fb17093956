//! What tests of deliveries share: alerts with ids, an exporter with little patience, waiting for something to become true.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use lapwing_alert::Alert;
use lapwing_capture::Timestamp;
use lapwing_export::{ExportConfig, Exporter, Notice, Options, synthetic_alert};

/// Whatever a test waits for takes far less; it only bounds a failure.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// An alert with this id, at a time of its own.
pub(crate) fn alert(id: &str) -> Alert {
    let spread = id.bytes().fold(0, |sum: i64, byte| (sum * 131 + i64::from(byte)) % 10_000_019);
    let mut alert = synthetic_alert(Timestamp::from_seconds(1_700_000_000 + spread));
    id.clone_into(&mut alert.id);
    alert
}

/// Offers an alert for each id.
pub(crate) fn offer(exporter: &Exporter, ids: &[String]) {
    for id in ids {
        assert!(exporter.offer(&alert(id)).unwrap());
    }
}

/// `PREFIX-0`, `PREFIX-1`, …
pub(crate) fn ids(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}-{number}")).collect()
}

/// Settings with one sink, called `receiver`, that is tried at least every second.
pub(crate) fn one_sink(table: &str) -> ExportConfig {
    let settings = format!(
        r#"{{"delivery": {{"sensor": "barn"}}, "sinks": {{"receiver": {{"longest_retry_seconds": 1, {table}}}}}}}"#
    );
    serde_json::from_str(&settings).unwrap()
}

/// An exporter that keeps what waits in this folder, and hands notices to `report`.
pub(crate) fn start(
    config: &ExportConfig,
    spool: &std::path::Path,
    report: impl Fn(&Notice) + Send + Sync + 'static,
) -> Exporter {
    Exporter::start(config, Options { spool_directory: Some(spool.to_owned()), report: Arc::new(report) }).unwrap()
}

/// Waits until it holds.
pub(crate) fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
