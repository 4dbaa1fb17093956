//! Alerts, flows, devices and suppressions kept, queried, expired.
//!
//! A [`Store`] is opened on a folder: alerts, devices, suppressions, the audit trail and roll-ups lie in SQLite, each alert once
//! in its last revision.

mod alerts;
mod audit;
mod devices;
mod error;
mod migrate;
mod query;
mod sql;
mod sqlite;
mod store;
mod suppressions;

pub use audit::{AuditEntry, Change};
pub use devices::DeviceRecord;
pub use error::StoreError;
pub use query::{AlertQuery, DeviceQuery, Page, TimeRange};
pub use store::Store;
pub use suppressions::KeptSuppression;
