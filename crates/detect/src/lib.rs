//! Observations and feature rows in, detections out.
//!
//! *Measured in Rust, decided in YAML*: behaviours keep counts, rates, ratios and bindings per host, host pair, device or
//! network and emit [`Measurement`]s; Sigma rules decide which of them are [`Detection`]s. Time is capture time: nothing
//! here reads the wall clock. Every table has a cap, evicts who was idle longest, and counts what it evicted.

mod detection;
mod detector;
mod kind;
mod measurement;

pub use detection::{Detection, EvidenceFlow, MAX_EVIDENCE, Measured, Subject};
pub use detector::{Detector, DetectorInfo, Found, Partition, SHARDS, actor, target};
pub use kind::{ANOMALY, KINDS, KindInfo, SIGNATURE, Severity, kind_info};
pub use measurement::{Measurement, Value};
