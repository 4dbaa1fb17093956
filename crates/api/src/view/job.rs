//! An upload as the API shows it.

use lapwing_alert::from_rfc3339;
use lapwing_capture::Timestamp;
use lapwing_store::{Upload, UploadState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::time;

/// A capture that somebody handed in.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Job {
    /// A name of ours.
    pub(crate) id: String,
    /// What whoever handed it in called the file.
    pub(crate) name: String,
    /// Its bytes.
    bytes: u64,
    /// How far it is.
    pub(crate) state: UploadState,
    /// How much of it was read while it is running: 0 to 1.
    progress: Option<f64>,
    /// The filter it is read with.
    pub(crate) filter: Option<String>,
    /// The model it is judged by.
    model: Option<String>,
    /// Who handed it in.
    by: String,
    /// When.
    #[serde(serialize_with = "time::serialize")]
    #[schemars(with = "time::DateTime")]
    created: Timestamp,
    /// When it was done, failed or was cancelled.
    #[serde(serialize_with = "time::optional::serialize")]
    #[schemars(with = "Option<time::DateTime>")]
    ended: Option<Timestamp>,
    /// From when on it is let go.
    #[serde(serialize_with = "time::serialize")]
    #[schemars(with = "time::DateTime")]
    expires: Timestamp,
    /// Why it failed.
    pub(crate) error: Option<String>,
    /// What was found.
    summary: Option<Findings>,
}

/// What was found in a capture.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Findings {
    /// Packets that were looked at.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Flows.
    pub flows: u64,
    /// Alerts.
    pub alerts: u64,
    /// Packets that stand out.
    pub anomalies: u64,
    /// Time of the first packet, RFC 3339.
    pub first: Option<String>,
    /// Time of the last packet, RFC 3339.
    pub last: Option<String>,
    /// The severity of the worst alert.
    pub worst: Option<String>,
    /// What should be known of it: that the file ends early, say.
    pub warnings: Vec<String>,
}

impl Job {
    /// Times of its first packet and its last, once it was looked at.
    pub(crate) fn span(&self) -> Option<(Timestamp, Timestamp)> {
        let Findings { first, last, .. } = self.summary.as_ref()?;
        Some((from_rfc3339(first.as_deref()?)?, from_rfc3339(last.as_deref()?)?))
    }

    pub(crate) fn new(upload: Upload, progress: Option<f64>) -> Self {
        Self {
            id: upload.id,
            name: upload.name,
            bytes: upload.bytes,
            state: upload.state,
            progress,
            filter: upload.filter,
            model: upload.model,
            by: upload.by,
            created: upload.created,
            ended: upload.ended,
            expires: upload.expires,
            error: upload.error,
            summary: upload.summary.and_then(|summary| serde_json::from_value(summary).ok()),
        }
    }
}
