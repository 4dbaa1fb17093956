//! Observations and feature rows in, detections out.
//!
//! *Measured in Rust, decided in YAML*: behaviours keep counts, rates, ratios and bindings per host, host pair, device or
//! network and emit [`Measurement`]s; Sigma rules decide which of them are [`Detection`]s. Time is capture time: nothing
//! here reads the wall clock. Every table has a cap, evicts who was idle longest, and counts what it evicted.

mod anomaly;
pub mod behaviour;
mod detection;
mod detector;
mod distinct;
mod drift;
mod evidence;
mod first_sight;
mod housekeeping;
mod kind;
mod measurement;
#[cfg(test)]
mod ordinary;
pub mod packets;
mod registry;
pub mod signature;
mod table;
#[cfg(test)]
mod testing;

pub use anomaly::{Anomaly, SchemaMismatch, device_of};
pub use behaviour::SWEEP_SECONDS;
pub use detection::{Contribution, Detection, EvidenceFlow, MAX_EVIDENCE, Measured, Subject};
pub use detector::{Detector, DetectorInfo, Found, Partition, SHARDS, actor, target};
pub use drift::Drift;
pub use housekeeping::is_housekeeping;
pub use kind::{ANOMALY, KINDS, KindInfo, SIGNATURE, Severity, kind_info};
pub use measurement::{Measurement, Value};
pub use registry::{DETECTORS, DetectConfig, DetectorEntry};
