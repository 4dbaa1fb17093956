//! Alerts in; other systems out, at least once.
//!
//! [`Exporter::offer`] takes one revision of an alert without ever waiting, and appends it to one bounded spool on disk that
//! all sinks share. Each sink reads the spool in a thread of its own, at its own pace and from its own place, which it keeps
//! when the receiver has confirmed: no sink can hold up detection or another sink, and what was appended survives `kill -9`.
//! What is delivered twice carries the same id and revision. Every loss is counted by whose it is: [`SinkStatus`].
//!
//! This is the one crate below the program that reads the wall clock: for time-outs, the rotation of files, signatures of
//! webhooks. What it sends carries capture time.
//!
//! # Adding a sink
//!
//! 1. `src/sink/NAME.rs`: a settings struct (serde, `deny_unknown_fields`, every field documented with its unit) that
//!    implements `Settings`, and a struct that implements [`Sink`]: `deliver` sends one batch and says what became of it.
//!    Spool, retries, back-off, routing and counters are the worker's.
//! 2. In `src/sink/mod.rs`: a `mod` line, an entry in `tables`; in `src/config.rs`: a field of that name in [`SinkConfig`].
//! 3. Tests at the file's end against a receiver in the test; a section in `docs/delivery.md`.
//!
//! Elasticsearch, Splunk, Kafka and NATS are sinks like these; CEF, OCSF and ECS are forms of [`sink::Form`].

mod backoff;
mod config;
mod delivery;
mod error;
mod exporter;
mod http;
pub mod metrics;
mod notice;
mod route;
mod secret;
pub mod sink;
mod spool;
mod status;
mod synthetic;
mod tls;
mod worker;
mod writer;

pub use config::{DeliveryConfig, ExportConfig, SinkConfig, SinkName, Sinks};
pub use delivery::{AlertText, Class, Delivery};
pub use error::{DeliveryError, SinkError, SpoolError};
pub use exporter::{Exporter, Options};
pub use metrics::{Metrics, MetricsListener};
pub use notice::{Notice, Report};
pub use route::{Glob, MinimumSeverity, Updates};
pub use secret::{Secret, Url};
pub use sink::{Outcome, Sink};
pub use spool::SpoolStatus;
pub use status::SinkStatus;
pub use synthetic::{Check, check_settings, check_sinks, synthetic_alert};
pub use tls::TlsConfig;
