//! Alerts as CSV (RFC 4180), one a row; lists are joined by spaces.

use std::io::{self, Write};

use crate::{Alert, rfc3339};

const HEADER: [&str; 13] = [
    "id",
    "first_seen",
    "last_seen",
    "severity",
    "confidence",
    "kind",
    "title",
    "device",
    "peers",
    "count",
    "attack",
    "detectors",
    "explanation",
];

/// Writes a header and one row an alert.
///
/// # Errors
/// When `output` cannot be written.
pub fn write_csv(alerts: &[Alert], output: &mut dyn Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(output);
    writer.write_record(HEADER)?;
    for alert in alerts {
        writer.write_record([
            &alert.id,
            &rfc3339(alert.first_seen),
            &rfc3339(alert.last_seen),
            alert.severity.as_str(),
            &alert.confidence.to_string(),
            &alert.kind,
            &alert.title,
            &alert.device,
            &alert.peers.join(" "),
            &alert.count.to_string(),
            &alert.attack.join(" "),
            &alert.detectors.join(" "),
            &alert.explanation,
        ])?;
    }
    writer.flush()
}
