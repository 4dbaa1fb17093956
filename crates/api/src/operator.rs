//! What the API asks of, and tells, the run behind it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lapwing_capture::{Filter, Timestamp};
use lapwing_engine::Control;
use lapwing_store::Store;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::view::job::Findings;
use crate::view::time;

/// Whoever runs the engine. Its methods may be called from any thread; those that change something return when it is in force.
pub trait Operator: Send + Sync {
    /// What is watched now.
    fn source(&self) -> SourceStatus;
    /// Turns to another source (`upload` is the capture of the upload that it names, and what that is called); when that cannot be
    /// opened, the one before goes on.
    ///
    /// # Errors
    /// Why not.
    fn watch(&self, wanted: SourceChoice, upload: Option<(&Path, &str)>) -> Result<SourceStatus, Refused>;
    /// Stops watching.
    fn stop(&self) -> SourceStatus;
    /// The interfaces of this machine.
    fn interfaces(&self) -> Vec<InterfaceView>;
    /// What packets can be judged by.
    fn methods(&self) -> Vec<MethodView>;
    /// Judges by another method, or by other models.
    ///
    /// # Errors
    /// Why not.
    fn judge(&self, wanted: DetectionChoice) -> Result<(), Refused>;
    /// What was and was not seen.
    fn coverage(&self) -> Coverage;
    /// Whether what is found can be kept.
    fn is_keeping(&self) -> bool;
    /// The models at hand.
    fn models(&self) -> Vec<ModelView>;
    /// The rules, with their hits.
    fn signatures(&self) -> Vec<SignatureView>;
    /// The receivers of alerts.
    fn sinks(&self) -> Vec<SinkView>;
    /// What Prometheus reads.
    fn metrics(&self) -> String;
    /// The settings as a file, without secrets.
    fn configuration(&self) -> String;
    /// Reads rules, models and suppressions anew.
    fn reload(&self);
    /// Reads a capture that was handed in, and keeps what is found in its store.
    ///
    /// # Errors
    /// When it cannot be read.
    fn analyse(&self, analysis: &Analysis<'_>) -> Result<Findings, Refused>;
    /// The captures that hold the packets of what is watched, as far as any are kept.
    fn captures(&self) -> Vec<PathBuf>;
    /// The folder that the latest frames of interfaces are kept in, where they are.
    fn capture_folder(&self) -> Option<PathBuf>;
}

/// A capture that was handed in.
pub struct Analysis<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// Which of its frames are looked at.
    pub filter: Option<&'a Filter>,
    /// The model to judge by, besides the rules.
    pub model: Option<&'a str>,
    /// Where flows, alerts and devices go.
    pub store: &'a Arc<Store>,
    /// Stops it, and hears how far it has come.
    pub control: &'a Control,
    /// Frames that are read at most.
    pub most_frames: u64,
}

/// Why something was not done, in words for whoever asked.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It cannot be as it was asked for.
    #[error("{0}")]
    Invalid(String),
    /// Not now.
    #[error("{0}")]
    Conflict(String),
}

/// What sort of source it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// Nothing is watched.
    #[default]
    None,
    /// Interfaces.
    Interface,
    /// A capture, played at its own pace or faster.
    Replay,
    /// A made-up home.
    Simulate,
    /// Zeek's `conn.log`.
    Zeek,
    /// Suricata's EVE.
    Eve,
}

/// How watching goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SourceState {
    /// It goes on.
    Running,
    /// The source came to its end.
    Ended,
    /// Somebody stopped it.
    #[default]
    Stopped,
    /// It could not go on; `detail` says why.
    Failed,
}

/// What is watched.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct SourceStatus {
    /// Of what sort.
    pub kind: SourceKind,
    /// Interfaces, or the names of the capture's or the logs' files or folders.
    pub names: Vec<String>,
    /// Where those files or folders are; told to admins, by `/api/v1/sources` alone, and empty otherwise.
    pub paths: Vec<String>,
    /// Only frames that this tcpdump expression takes.
    pub filter: Option<String>,
    /// Whether it goes on.
    pub state: SourceState,
    /// What else is to be said.
    pub detail: Option<String>,
    /// Whether the traffic is made up.
    pub simulated: bool,
    /// How much faster than it was captured a replay goes; 0 is as fast as can be.
    pub speed: Option<f64>,
    /// How far a replay has come: 0 to 1.
    pub progress: Option<f64>,
    /// When watching began, by the wall clock.
    #[serde(with = "time::optional")]
    #[schemars(with = "Option<time::DateTime>")]
    pub since: Option<Timestamp>,
    /// Packets so far; of logs their records.
    pub packets: u64,
    /// Flows so far.
    pub flows: u64,
    /// What packets are judged by.
    pub method: String,
    /// Names of the models in use.
    pub models: Vec<String>,
}

impl SourceStatus {
    /// What everybody may know of it: where files lie on the machine is no viewer's business.
    #[must_use]
    pub(crate) fn without_paths(mut self) -> Self {
        if let Some(detail) = &mut self.detail {
            for path in &self.paths {
                *detail = detail.replace(path.as_str(), name_of(path));
            }
        }
        self.paths.clear();
        self
    }
}

impl SignatureView {
    /// What everybody may know of it: of its file the name.
    #[must_use]
    pub(crate) fn without_path(mut self) -> Self {
        let name = name_of(&self.source).to_owned();
        for text in [&mut self.id, &mut self.title].into_iter().chain(&mut self.problem) {
            *text = text.replace(self.source.as_str(), &name);
        }
        self.source = name;
        self
    }
}

impl SinkView {
    /// What everybody may know of it: of a file its name.
    #[must_use]
    pub(crate) fn without_path(mut self) -> Self {
        if self.kind == FILE_SINK {
            let name = name_of(&self.target).to_owned();
            self.last_error = self.last_error.map(|error| error.replace(self.target.as_str(), &name));
            self.target = name;
        }
        self
    }
}

/// What a receiver is called that is a file.
const FILE_SINK: &str = "file";

/// The last part of a path.
fn name_of(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or(path)
}

/// What to watch.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceChoice {
    /// Of what sort.
    pub kind: SourceKind,
    /// Names of interfaces, for kind `interface`.
    #[serde(default)]
    #[schemars(length(max = 16), inner(length(max = 15)))]
    pub interfaces: Vec<String>,
    /// The upload to play, for kind `replay`; without it the capture that was named at the start.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub job: Option<String>,
    /// Only frames that this tcpdump expression takes.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub filter: Option<String>,
    /// How much faster than it was captured a replay goes; 0 is as fast as can be.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub speed: Option<f64>,
}

/// What to judge by; what is left out stays.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DetectionChoice {
    /// One of `isolation_forest`, `statistical`, `autoencoder`.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub method: Option<String>,
    /// Names of models from those at hand.
    #[serde(default)]
    #[schemars(length(max = 16), inner(length(max = 256)))]
    pub models: Option<Vec<String>>,
}

/// An interface of this machine.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct InterfaceView {
    /// Its name.
    pub name: String,
    /// What it is, in words.
    pub description: String,
    /// Its first IPv4 address; null where it has none.
    pub ip: Option<String>,
    /// All its IP addresses, those of version 4 first.
    pub addresses: Vec<String>,
    /// Its link-layer address.
    pub mac: Option<String>,
    /// Whether it is up.
    pub up: bool,
}

/// A method of judging packets.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct MethodView {
    /// Its name.
    pub name: String,
    /// Whether it can be chosen.
    pub available: bool,
    /// Why not, or how far it has come.
    pub reason: Option<String>,
}

/// What was and was not seen.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Coverage {
    /// Frames that came, lost ones among them.
    pub received: u64,
    /// Frames that the kernel had no room for.
    pub dropped: u64,
    /// Their share of those that came: 0 to 1.
    pub dropped_share: f64,
    /// Interface by interface.
    pub interfaces: Vec<InterfaceCoverage>,
    /// Log by log, of those that are followed: each that was there or cannot be read; where there is none of these, each that is
    /// waited for.
    pub logs: Vec<LogCoverage>,
    /// What could not be decoded, and how often.
    pub undecoded: BTreeMap<String, u64>,
    /// What was lost on the way, and how often.
    pub lost: BTreeMap<String, u64>,
    /// What is not looked for, and why.
    pub not_evaluated: Vec<String>,
}

/// What one interface brought.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct InterfaceCoverage {
    /// Its name.
    pub name: String,
    /// Whether it is there.
    pub up: bool,
    /// Whether nothing has come for long.
    pub silent: bool,
    /// Frames.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
    /// Frames that the kernel had no room for.
    pub dropped: u64,
    /// How often it was away.
    pub outages: u64,
    /// How long, in seconds.
    pub downtime_seconds: f64,
}

/// What a log that is followed brought.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct LogCoverage {
    /// Its name with that of its folder, as `current/conn.log`.
    pub name: String,
    /// What it is, once its first lines were seen: `Zeek conn.log`, `Suricata EVE`.
    pub kind: Option<String>,
    /// Whether it is read.
    pub state: LogState,
    /// Why it cannot be read.
    pub reason: Option<String>,
    /// Lines that told of connections.
    pub records: u64,
    /// Lines that tell of something else.
    pub other_lines: u64,
    /// Lines that could not be understood.
    pub malformed_lines: u64,
    /// What was wrong with the first of them, each with file and line, and whatever else is to be said; at most 16.
    pub problems: Vec<String>,
    /// Files of it that had been rotated and could not be read, or were nowhere to be found: what they held is lost.
    pub lost_files: u64,
    /// The latest end of a connection that it told of.
    #[serde(with = "time::optional")]
    #[schemars(with = "Option<time::DateTime>")]
    pub last: Option<Timestamp>,
}

/// How following a log goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogState {
    /// It is there and read.
    Read,
    /// It is not there (yet, or not between two rotations), and waited for.
    #[default]
    Waiting,
    /// It is there and cannot be read, or is another log; it is tried again.
    Unreadable,
}

/// A model.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct ModelView {
    /// Its file's name.
    pub name: String,
    /// What it is: `isolation-forest`.
    pub kind: String,
    /// Which features it looks at, with their version.
    pub schema: String,
    /// When it was trained, RFC 3339.
    pub trained: Option<String>,
    /// Rows it was trained on.
    pub rows: u64,
    /// False alerts per device and week that it may raise.
    pub budget: Option<f64>,
    /// What its calibration promises, in the same unit.
    pub expected_rate: Option<f64>,
    /// Alerts per device and week that it did raise, since the start.
    pub achieved_rate: Option<f64>,
    /// The score from which on it alerts.
    pub threshold: Option<f64>,
    /// How far the scores seen lie from those of its baseline: the population stability index; above 0.25 they have moved.
    pub drift: Option<f64>,
    /// Whether the baseline was long enough to prove the budget.
    pub verifiable: bool,
    /// What else its card says.
    pub note: String,
    /// Whether it is in use.
    pub loaded: bool,
}

/// A rule.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct SignatureView {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// The kind of its alerts; null where it is refused.
    pub kind: Option<String>,
    /// How bad it is if it is right.
    pub severity: String,
    /// The file that it is from.
    pub source: String,
    /// ATT&CK techniques.
    pub techniques: Vec<String>,
    /// Alerts it decided since the start.
    pub hits: u64,
    /// When the last of them was, RFC 3339.
    pub last_hit: Option<String>,
    /// Whether it is in use: `active`, `not evaluated`, `refused`.
    pub status: String,
    /// Why not.
    pub problem: Option<String>,
}

/// A receiver of alerts.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct SinkView {
    /// Its name in the settings.
    pub name: String,
    /// What it is: `syslog`, `webhook`, …
    pub kind: String,
    /// Where it sends to, without secrets.
    pub target: String,
    /// Whether it answers.
    pub up: bool,
    /// Alerts that wait.
    pub queued: u64,
    /// Alerts that arrived.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Alerts that the receiver will not take.
    pub rejected: u64,
    /// What was wrong last.
    pub last_error: Option<String>,
}
