//! The receivers, a file each, behind one small trait.

mod address;
mod file;
mod influx;
mod mqtt;
mod syslog;
#[cfg(test)]
pub(crate) mod testing;
mod webhook;

use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::route::Updates;
use crate::{Delivery, ExportConfig, SinkConfig, SinkError, SinkName};

pub use file::FileConfig;
pub use influx::{InfluxConfig, InfluxShape};
pub use mqtt::MqttConfig;
pub use syslog::{Facility, SyslogConfig, Transport};
pub use webhook::{Body, WebhookConfig};

/// A receiver.
pub trait Sink: Send {
    /// Sends a batch, oldest first, and says what became of all of it. Takes a bounded time.
    ///
    /// When a batch of several is rejected, each of its records is sent alone, so that only the bad ones are left out: a
    /// record may come more than once.
    fn deliver(&mut self, batch: &[Delivery]) -> Outcome;

    /// Where it sends to, for people; without secrets.
    fn target(&self) -> String;

    /// How many records it takes at once.
    fn batch_limit(&self) -> usize {
        256
    }

    /// What there is to do while nothing is to be sent: keep a connection alive, announce itself. Called about every second.
    fn idle(&mut self) {}
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has all of it.
    Delivered,
    /// It may have none or some of it: the same again later.
    Retry {
        /// Why.
        reason: String,
        /// When the receiver says how long to wait.
        after: Option<Duration>,
    },
    /// The receiver does not want it, and will not want it later either.
    Rejected {
        /// Why.
        reason: String,
    },
}

impl Outcome {
    /// The same again, when the sink thinks it time.
    pub(crate) fn retry(reason: impl Into<String>) -> Self {
        Self::Retry { reason: reason.into(), after: None }
    }

    pub(crate) fn rejected(reason: impl Into<String>) -> Self {
        Self::Rejected { reason: reason.into() }
    }
}

/// How an alert is written where a sink offers the choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// The alert as JSON on one line: docs/outputs.md.
    #[default]
    Json,
    /// A Suricata EVE record on one line, with the alert under `lapwing`.
    Eve,
}

impl Form {
    /// The delivery in this form. EVE falls back to the alert's own JSON should the record be without: it was spooled when no
    /// sink asked for EVE.
    pub(crate) fn of(self, delivery: &Delivery) -> &str {
        match self {
            Self::Json => &delivery.json,
            Self::Eve => delivery.eve.as_deref().unwrap_or(&delivery.json),
        }
    }
}

/// A sink with what the worker has to know of it.
pub(crate) struct Built {
    pub(crate) name: String,
    pub(crate) sort: &'static str,
    pub(crate) sink: Box<dyn Sink>,
    pub(crate) updates: Updates,
    pub(crate) wants_eve: bool,
}

/// What sinks are built with besides their own settings.
pub(crate) struct Context {
    /// Name of this sensor.
    pub(crate) sensor: String,
}

/// The table of settings that makes a sink what it is.
pub(crate) trait Settings {
    /// What it is called in settings and status.
    fn sort(&self) -> &'static str;

    /// Builds the sink; says what is wrong with the settings.
    fn build(&self, context: &Context) -> Result<Box<dyn Sink>, String>;

    /// Revisions that are sent unless the settings say otherwise.
    fn updates(&self) -> Updates {
        Updates::Every
    }

    /// Whether it sends EVE records.
    fn wants_eve(&self) -> bool {
        false
    }
}

impl SinkConfig {
    /// Every table that a sink can have. A new sink is a line here.
    fn tables(&self) -> [Option<&dyn Settings>; 5] {
        fn table<T: Settings>(table: &Option<T>) -> Option<&dyn Settings> {
            table.as_ref().map(|table| table as &dyn Settings)
        }
        [table(&self.file), table(&self.syslog), table(&self.webhook), table(&self.influx), table(&self.mqtt)]
    }

    fn build(&self, name: &SinkName, context: &Context) -> Result<Built, SinkError> {
        let failed = |reason| SinkError::Settings { sink: name.as_str().to_owned(), reason };
        let tables: Vec<&dyn Settings> = self.tables().into_iter().flatten().collect();
        let [table] = tables[..] else {
            let tables = tables.len();
            return Err(failed(format!(
                "has {tables} of the tables file, syslog, webhook, influx, mqtt; give exactly one"
            )));
        };
        Ok(Built {
            name: name.as_str().to_owned(),
            sort: table.sort(),
            sink: table.build(context).map_err(failed)?,
            updates: self.updates.unwrap_or(table.updates()),
            wants_eve: table.wants_eve(),
        })
    }
}

/// Builds every configured sink. Secrets are read and files opened here: a process can give up its rights afterwards.
pub(crate) fn build_all(config: &ExportConfig) -> Result<Vec<Built>, SinkError> {
    let context = Context { sensor: config.delivery.sensor.clone().unwrap_or_else(host_name) };
    config.sinks.iter().map(|(name, sink)| sink.build(name, &context)).collect()
}

/// The machine's name, as the kernel knows it.
fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "lapwing".to_owned())
}

/// How long a receiver may take unless the settings say otherwise.
fn ten_seconds() -> NonZeroU32 {
    NonZeroU32::new(10).expect("not zero")
}

fn seconds(number: NonZeroU32) -> Duration {
    Duration::from_secs(u64::from(number.get()))
}

/// No more than `longest` characters, with an ellipsis where something was cut off.
pub(crate) fn shortened(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    text.chars().take(longest.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(settings: &str) -> Result<Vec<Built>, SinkError> {
        build_all(&serde_json::from_str(settings).unwrap())
    }

    #[test]
    fn a_sink_has_exactly_one_table() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a").display().to_string();
        let error = built(r#"{"sinks": {"a": {}}}"#).err().unwrap().to_string();
        assert!(error.contains("`a`") && error.contains("exactly one"), "{error}");
        let built = built(&format!(r#"{{"sinks": {{"a": {{"file": {{"path": "{path}"}}}}}}}}"#)).unwrap();
        assert_eq!((built[0].name.as_str(), built[0].sort), ("a", "file"));
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(shortened("äöü", 3), "äöü");
        assert_eq!(shortened("äöüß", 3), "äö…");
    }
}
