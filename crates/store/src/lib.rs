//! Alerts, flows, devices and suppressions kept, queried, expired.
//!
//! A [`Store`] is opened on a folder: alerts, devices, suppressions, the audit trail and roll-ups lie in SQLite, each alert once
//! in its last revision; flows in hourly Parquet segments beside it. With the URL of a PostgreSQL database everything lies there. What finds alerts hands them to a [`Recorder`], which
//! writes on a thread of its own so that nobody waits for a disk.

mod alerts;
mod audit;
mod devices;
mod error;
mod flows;
mod migrate;
mod postgres;
mod query;
mod recorder;
mod retention;
mod sql;
mod sqlite;
mod store;
mod suppressions;
mod time;
mod traffic;

pub use audit::{AuditEntry, Change};
pub use devices::{DeviceRecord, HourRecord, PeerRecord};
pub use error::StoreError;
pub use flows::{Cell, FlowQuery, FlowRow};
pub use query::{AlertQuery, DeviceQuery, Page, TimeRange};
pub use recorder::{AlertRecorder, Pressure, Recorded, Recorder};
pub use retention::{Freed, Keep};
pub use store::{Store, StoreSettings, exists, is_server};
pub use suppressions::KeptSuppression;
pub use traffic::{Talker, TrafficPoint};
