//! Alerts, flows, devices and suppressions kept, queried, expired.
//!
//! A [`Store`] is opened on a folder: alerts, devices, suppressions, the audit trail and roll-ups lie in SQLite, each alert once
//! in its last revision; flows in hourly Parquet segments beside it. With the URL of a PostgreSQL database everything lies there. What finds alerts hands them to a [`Recorder`], which
//! writes on a thread of its own so that nobody waits for a disk.

mod access;
mod alerts;
mod audit;
mod cursor;
mod devices;
mod error;
mod figures;
mod flows;
mod known;
mod migrate;
mod names;
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
mod uploads;

pub use access::{
    Account, AccountChange, ApiToken, MOST_ACCOUNTS, MOST_SESSIONS, MOST_TOKENS, NewAccount, NewSession, NewToken,
    Role, Rotation, RotationRules, Session, SessionKeys,
};
pub use audit::{AuditEntry, Change};
pub use cursor::Cursor;
pub use devices::{DeviceRecord, HourRecord, PeerRecord};
pub use error::StoreError;
pub use figures::{AlertGroup, AlertPoint, DeviceAlerts, OpenAlerts};
pub use flows::{Cell, FlowQuery, FlowRow};
pub use names::DeviceWords;
pub use query::{AlertQuery, AuditQuery, DeviceQuery, Page, TimeRange};
pub use recorder::{AlertRecorder, Pressure, Recorded, Recorder};
pub use retention::{Expired, Freed, Keep};
pub use store::{Store, StoreSettings, exists, is_server};
pub use suppressions::KeptSuppression;
pub use traffic::{Talker, TrafficPoint};
pub use uploads::{MOST_UPLOADS, Upload, UploadState};
