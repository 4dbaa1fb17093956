//! Settings of a run: `lapwing.toml`, and what the pipeline takes from it.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use lapwing_alert::{AlertConfig, PlaceError, Places};
use lapwing_capture::Filter;
use lapwing_decode::DecodeOptions;
use lapwing_export::{DeliveryConfig, ExportConfig, Sinks};
use lapwing_flow::{Checksums, FlowConfig, ReassemblyLimits};
use lapwing_learn::ForestSettings;
use lapwing_protocol::LocalNetworks;
use lapwing_store::{Keep, StoreSettings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::FitSettings;
use crate::packets::Tap;
use crate::ranges::{Budget, Count, FilterText, Networks};

/// `lapwing.toml`: every setting that outlives a command line. An argument wins over the file; a key that is not known is
/// refused.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Threads; the results do not depend on it. Without it one per core.
    pub threads: Option<Count<1, { PipelineConfig::MOST_THREADS as u64 }>>,
    /// Networks whose addresses are devices, in CIDR notation. Without it RFC 1918, unique local and link-local addresses.
    pub local: Option<Networks>,
    /// Which frames are looked at.
    pub capture: CaptureSettings,
    /// How flows are kept.
    pub flow: FlowSettings,
    /// How logs are followed.
    pub follow: FollowSettings,
    /// What tells where hosts are.
    pub geo: GeoSettings,
    /// Which rules decide.
    pub signatures: SignatureSettings,
    /// How detections become alerts.
    pub alert: AlertSettings,
    /// How models are trained, by `train` and by `scan --baseline`.
    pub train: TrainSettings,
    /// How alerts are delivered.
    pub delivery: DeliveryConfig,
    /// Who alerts are delivered to, by `monitor` and by `scan --deliver`.
    pub sinks: Sinks,
    /// What is shown of a run while it goes on.
    pub metrics: MetricsSettings,
    /// What is kept.
    pub store: StoreSection,
    /// How `serve` serves.
    pub serve: ServeSettings,
}

/// How `serve` serves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServeSettings {
    /// Where: `ADDRESS:PORT`.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// The folder of accounts, alerts, flows, devices and uploads. Without it the one that systemd gives (`StateDirectory=`), or
    /// `lapwing/serve` in `$XDG_STATE_HOME` or `~/.local/state`; alerts, flows and devices go where `store.place` says, where it is
    /// set.
    pub data_dir: Option<PathBuf>,
    /// The certificate chain for TLS (PEM). Without it connections are not encrypted.
    pub tls_certificate: Option<PathBuf>,
    /// Its private key (PEM).
    pub tls_key: Option<PathBuf>,
    /// MiB of a capture that somebody hands in, at most.
    pub upload_mib: Count<1, 1_048_576>,
    /// MiB of the latest frames of interfaces that are kept on disk, so that the packets of an alert can be downloaded. Without it none
    /// are.
    pub keep_packets_mib: Option<Count<1, 1_048_576>>,
    /// Bytes of what packets carry that are shown in the list of packets. Without it none are.
    pub payload_bytes: Option<Count<1, { Tap::MOST_PAYLOAD as u64 }>>,
}

impl Default for ServeSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            data_dir: None,
            tls_certificate: None,
            tls_key: None,
            upload_mib: Count::of(256),
            keep_packets_mib: None,
            payload_bytes: None,
        }
    }
}

/// Which frames are looked at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CaptureSettings {
    /// Only frames that this tcpdump expression takes.
    pub filter: Option<FilterText>,
    /// Frames read at most.
    pub limit: Option<Count<1, { u64::MAX >> 1 }>>,
}

/// How flows are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FlowSettings {
    /// Flows kept at once; beyond it the flow idle longest ends early and is counted.
    pub capacity: Count<64, 16_777_216>,
    /// Packets with a wrong checksum: `ignore` uses and counts them, `verify` discards them as Zeek does.
    #[schemars(with = "ChecksumName")]
    #[serde(serialize_with = "checksum_name")]
    pub checksums: Checksums,
    /// Whether flows of different VLANs are different flows.
    pub vlan_in_key: bool,
}

/// How logs are followed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FollowSettings {
    /// The folder where `monitor` keeps how far logs were read. Without it the one that systemd gives (`StateDirectory=`), or
    /// `lapwing` in `$XDG_STATE_HOME` or `~/.local/state`.
    pub state: Option<PathBuf>,
}

/// What tells where hosts are: databases in MaxMind's format, which the user has. They are kept in memory, which is not counted as the
/// program's own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GeoSettings {
    /// A database of countries or cities (`.mmdb`). Without it no country is shown.
    pub country: Option<PathBuf>,
    /// A database of autonomous systems (`.mmdb`). Without it no network is shown.
    pub asn: Option<PathBuf>,
}

impl GeoSettings {
    /// Reads the databases that are named.
    ///
    /// # Errors
    /// When one cannot be read, or is none.
    pub fn open(&self) -> Result<Places, PlaceError> {
        Places::open(self.country.as_deref(), self.asn.as_deref())
    }
}

/// Which rules decide.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SignatureSettings {
    /// Whether the shipped signatures are used.
    pub shipped: bool,
    /// Files and folders of rules to use besides them.
    pub folders: Vec<PathBuf>,
}

/// How detections become alerts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AlertSettings {
    /// Seconds without a detection of its kind about its subject after which an alert closes.
    pub quiet_seconds: Count<1, 604_800>,
    /// Seconds after which an alert closes however long it goes on.
    pub longest_seconds: Count<1, 31_536_000>,
    /// Alerts kept; beyond it the least severe and oldest are let go and counted.
    pub capacity: Count<16, 1_048_576>,
}

/// What `monitor` shows of itself to Prometheus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsSettings {
    /// `ADDRESS:PORT` at which `/metrics` is served. Whoever can reach it can read it: `127.0.0.1:9469` is for this machine
    /// alone. Without it nothing listens.
    #[schemars(with = "Option<String>")]
    pub listen: Option<SocketAddr>,
}

/// How models are trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrainSettings {
    /// False alerts accepted per device and week.
    pub budget: Budget,
    /// Trees of the isolation forest.
    pub trees: Count<1, 10_000>,
    /// Rows that each tree is grown from.
    pub sample: Count<2, 32_768>,
    /// Names the forest: the same rows and seed give the same forest.
    pub seed: Count<0, { u64::MAX >> 1 }>,
}

/// What is kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StoreSection {
    /// Where: a folder, or `postgres://USER:PASSWORD@HOST/DATABASE`. Without it, and without `--store`, nothing is kept.
    pub place: Option<PathBuf>,
    /// Days that flows are kept after they ended. Without it until there is no room.
    pub flow_days: Option<Count<1, 36_500>>,
    /// Days that alerts and roll-ups are kept after their traffic. Without it until there is no room.
    pub alert_days: Option<Count<1, 36_500>>,
    /// MB that everything together may take in a folder; the earliest flows go first. Without it as much as there is.
    pub megabytes: Option<Count<16, 1_000_000_000>>,
}

impl From<&StoreSection> for Keep {
    fn from(section: &StoreSection) -> Self {
        let days = |days: Count<1, 36_500>| Duration::from_secs(days.get() * 86_400);
        Self {
            flows: section.flow_days.map(days),
            alerts: section.alert_days.map(days),
            bytes: section.megabytes.map(|megabytes| megabytes.get() * 1_000_000),
        }
    }
}

impl Default for FlowSettings {
    fn default() -> Self {
        let FlowConfig { capacity, checksums, vlan_in_key, .. } = FlowConfig::default();
        Self { capacity: Count::of(capacity), checksums, vlan_in_key }
    }
}

impl Default for SignatureSettings {
    fn default() -> Self {
        Self { shipped: true, folders: Vec::new() }
    }
}

impl Default for AlertSettings {
    fn default() -> Self {
        let AlertConfig { quiet, longest, capacity, .. } = AlertConfig::default();
        let seconds = |time: Duration| time.as_secs() as usize;
        Self {
            quiet_seconds: Count::of(seconds(quiet)),
            longest_seconds: Count::of(seconds(longest)),
            capacity: Count::of(capacity),
        }
    }
}

impl Default for TrainSettings {
    fn default() -> Self {
        let FitSettings { forest: ForestSettings { trees, sample, seed }, budget } = FitSettings::default();
        Self {
            budget: Budget::of(budget),
            trees: Count::of(trees),
            sample: Count::of(sample),
            seed: Count::of(seed as usize),
        }
    }
}

impl From<&TrainSettings> for FitSettings {
    fn from(settings: &TrainSettings) -> Self {
        let forest = ForestSettings {
            trees: settings.trees.get() as usize,
            sample: settings.sample.get() as usize,
            seed: settings.seed.get(),
        };
        Self { forest, budget: settings.budget.get() }
    }
}

impl From<&AlertSettings> for AlertConfig {
    fn from(settings: &AlertSettings) -> Self {
        Self {
            quiet: Duration::from_secs(settings.quiet_seconds.get()),
            longest: Duration::from_secs(settings.longest_seconds.get()),
            capacity: settings.capacity.get() as usize,
            ..Self::default()
        }
    }
}

impl Config {
    /// What the pipeline takes from it.
    #[must_use]
    pub fn pipeline(&self) -> PipelineConfig {
        let mut config = PipelineConfig::default();
        if let Some(threads) = self.threads {
            config.threads = threads.get() as usize;
        }
        config.filter = self.capture.filter.as_ref().map(FilterText::filter);
        config.limit = self.capture.limit.map(Count::get);
        config.flow.capacity = self.flow.capacity.get() as usize;
        config.flow.checksums = self.flow.checksums;
        config.flow.vlan_in_key = self.flow.vlan_in_key;
        config
    }

    /// What the exporter takes from it.
    #[must_use]
    pub fn export(&self) -> ExportConfig {
        ExportConfig { delivery: self.delivery.clone(), sinks: self.sinks.clone() }
    }

    /// What a store needs to be told.
    #[must_use]
    pub fn store_settings(&self) -> StoreSettings {
        StoreSettings { local: self.local_networks(), keep: (&self.store).into() }
    }

    /// The networks whose addresses are devices.
    #[must_use]
    pub fn local_networks(&self) -> LocalNetworks {
        self.local.as_ref().map(Networks::parsed).unwrap_or_default()
    }
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase", inline)]
#[expect(dead_code, reason = "names the values in the reference")]
enum ChecksumName {
    Ignore,
    Verify,
}

fn checksum_name<S: serde::Serializer>(checksums: &Checksums, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match checksums {
        Checksums::Ignore => "ignore",
        Checksums::Verify => "verify",
    })
}

/// How frames become observations.
#[derive(Clone, Debug)]
pub struct PipelineConfig {
    /// Threads that share the work; results do not depend on it.
    pub threads: usize,
    /// How frames are decoded.
    pub decode: DecodeOptions,
    /// How flows are kept.
    pub flow: FlowConfig,
    /// How many fragments may wait.
    pub reassembly: ReassemblyLimits,
    /// Frames that are looked at; `None` takes all.
    pub filter: Option<Filter>,
    /// Frames read at most.
    pub limit: Option<u64>,
}

impl Default for PipelineConfig {
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(Self::MOST_THREADS),
            decode: DecodeOptions::default(),
            flow: FlowConfig::default(),
            reassembly: ReassemblyLimits::default(),
            filter: None,
            limit: None,
        }
    }
}

impl PipelineConfig {
    /// More threads than logical shards have nothing to do.
    pub const MOST_THREADS: usize = lapwing_decode::Packet::SHARDS;
}
