//! What moved in a second, as it is counted and shown.

use lapwing_capture::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::time;

/// What moved in one second of capture time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "SecondView")]
pub struct Second {
    /// The second of capture time.
    #[serde(serialize_with = "time::serialize")]
    #[schemars(with = "time::DateTime")]
    pub time: Timestamp,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
    /// Alerts that opened in it.
    pub alerts: u64,
    /// Packets, or flows of a log, that stand out.
    pub anomalies: u64,
}
