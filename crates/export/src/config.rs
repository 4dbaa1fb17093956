//! Settings: what stands in `lapwing.toml` about deliveries.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::route::{Glob, MinimumSeverity, Updates};
use crate::sink::{FileConfig, InfluxConfig, MqttConfig, SyslogConfig, WebhookConfig};

/// Where alerts are sent, and how.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExportConfig {
    /// What all receivers have in common.
    pub delivery: DeliveryConfig,
    /// The receivers.
    pub sinks: Sinks,
}

/// The receivers, each under its name.
pub type Sinks = BTreeMap<SinkName, SinkConfig>;

/// How alerts are delivered to the receivers that stand under `[sinks]`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeliveryConfig {
    /// Name of this sensor in what is sent. Without it the machine's host name.
    pub sensor: Option<String>,
    /// Folder of the spool, which keeps what waits to be delivered: what `monitor` could not deliver is delivered when it runs
    /// again. Without it that is kept in memory and lost at the end.
    pub spool: Option<PathBuf>,
    /// Size of the spool at most, in MiB; when full, the oldest goes and is counted.
    pub spool_megabytes: NonZeroU32,
    /// Seconds after which the spool is synced to disk at the latest: what a power cut may take. `kill -9` takes nothing
    /// whatever stands here. 0 syncs with every alert.
    pub sync_seconds: u32,
    /// Memory for what waits while the disk refuses it, in MiB.
    pub memory_megabytes: NonZeroU32,
    /// Seconds that `scan --deliver` and `selftest` wait for receivers before they give up.
    pub patience_seconds: NonZeroU32,
}

impl Default for DeliveryConfig {
    fn default() -> Self {
        let number = |number| NonZeroU32::new(number).expect("not zero");
        Self {
            sensor: None,
            spool: None,
            spool_megabytes: number(256),
            sync_seconds: 1,
            memory_megabytes: number(8),
            patience_seconds: number(60),
        }
    }
}

/// A receiver: what it gets, and exactly one of the tables `file`, `syslog`, `webhook`, `influx` and `mqtt`, which says what
/// it is. Its name is 1 to 32 of `a-z`, `0-9`, `-` and `_`; its place in the spool is kept under it.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SinkConfig {
    /// The least severe that is sent: `informational`, `low`, `medium`, `high` or `critical`.
    #[serde(default)]
    pub minimum_severity: MinimumSeverity,
    /// Kinds that are sent: patterns with `*` and `?`, one must match.
    #[serde(default = "everything")]
    pub kinds: Vec<Glob>,
    /// Devices whose alerts are sent: patterns over the alert's `device`, one must match.
    #[serde(default = "everything")]
    pub devices: Vec<Glob>,
    /// Revisions that are sent after an alert's first: `every`, `worse` (more severe than what was sent) or `none`.
    /// Without it `worse` for webhooks with a body for people, else `every`.
    #[serde(default)]
    pub updates: Option<Updates>,
    /// The longest wait between two attempts, in seconds; waits double from half a second.
    #[serde(default = "a_minute")]
    pub longest_retry_seconds: NonZeroU32,
    /// Lines in a file.
    #[serde(default)]
    pub file: Option<FileConfig>,
    /// Syslog (RFC 5424) over UDP, TCP or TLS.
    #[serde(default)]
    pub syslog: Option<SyslogConfig>,
    /// HTTP POST, signed; bodies for chat services too.
    #[serde(default)]
    pub webhook: Option<WebhookConfig>,
    /// InfluxDB 1 or 2, line protocol.
    #[serde(default)]
    pub influx: Option<InfluxConfig>,
    /// MQTT 3.1.1, with discovery for Home Assistant.
    #[serde(default)]
    pub mqtt: Option<MqttConfig>,
}

fn everything() -> Vec<Glob> {
    vec![Glob::new("*")]
}

fn a_minute() -> NonZeroU32 {
    NonZeroU32::new(60).expect("not zero")
}

/// Name of a sink: also the name of a file in the spool, hence the narrow choice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct SinkName(String);

impl SinkName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SinkName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
        if (1..=32).contains(&name.len()) && name.bytes().all(good) {
            Ok(Self(name))
        } else {
            Err(format!("`{name}` is no name for a sink; use 1 to 32 of a-z, 0-9, - and _"))
        }
    }
}

impl From<SinkName> for String {
    fn from(name: SinkName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_and_bad_values_are_refused_with_what_is_allowed() {
        for (settings, word) in [
            (r#"{"sink": []}"#, "unknown field `sink`"),
            (r#"{"sinks": {"A b": {"file": {"path": "x"}}}}"#, "1 to 32"),
            (r#"{"sinks": {"a": {"minimum_severity": "bad", "file": {"path": "x"}}}}"#, "informational, low"),
            (r#"{"sinks": {"a": {"webhook": {"url": "nowhere"}}}}"#, "http://HOST"),
            (r#"{"delivery": {"spool_megabytes": 0}}"#, "nonzero"),
        ] {
            let error = serde_json::from_str::<ExportConfig>(settings).unwrap_err().to_string();
            assert!(error.contains(word), "{settings}: {error}");
        }
    }
}
