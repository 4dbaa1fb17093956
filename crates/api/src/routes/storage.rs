//! What is kept, and the room that it takes.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use lapwing_capture::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::access::Access;
use crate::auth::Role;
use crate::extract::Answer;
use crate::operation::Operation;
use crate::shared::Shared;
use crate::view::time;

pub(super) fn operations() -> Vec<Operation> {
    let analyst = Access::Role(Role::Analyst);
    vec![
        Operation::get("/api/v1/storage", analyst, "What is kept, and how much room it takes", storage)
            .gives::<Storage>(200)
            .tag("System"),
    ]
}

/// What is kept.
#[derive(Serialize, JsonSchema)]
struct Storage {
    /// Bytes that alerts, flows, devices and accounts take.
    bytes: u64,
    /// Bytes that they may take.
    limit_bytes: Option<u64>,
    /// Days that flows are kept.
    limit_days: Option<u64>,
    /// Bytes that are free on the disk they are on, for this program; null where the system does not tell.
    free_bytes: Option<u64>,
    /// Alerts that are kept.
    alerts: u64,
    /// Devices that are kept.
    devices: u64,
    /// When the earliest traffic was of which alerts or figures are kept.
    #[serde(serialize_with = "time::optional::serialize")]
    #[schemars(with = "Option<time::DateTime>")]
    oldest: Option<Timestamp>,
    /// Bytes that uploads take, with what was found in them.
    uploads_bytes: u64,
    /// Bytes that the kept frames of interfaces take; null where none are kept.
    captures_bytes: Option<u64>,
}

async fn storage(State(shared): State<Arc<Shared>>) -> Answer<Storage> {
    let found = shared.blocking(|shared| {
        let keep = shared.store.keep();
        let (devices, _) = shared.store.count_devices(None)?;
        let disk = rustix::fs::statvfs(&shared.disk).ok();
        Ok(Storage {
            bytes: shared.store.size()?,
            limit_bytes: keep.bytes,
            limit_days: keep.flows.map(|age| age.as_secs() / 86_400),
            free_bytes: disk.map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize)),
            alerts: shared.store.total_alerts()?,
            devices,
            oldest: shared.store.oldest()?,
            uploads_bytes: bytes_in(shared.uploads.folder()),
            captures_bytes: shared.operator.capture_folder().as_deref().map(bytes_in),
        })
    });
    found.await.map(Json)
}

/// Bytes of the files in a folder and those in it; what cannot be read counts as nothing. Links are not followed.
fn bytes_in(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => bytes_in(&entry.path()),
        Ok(found) if found.is_file() => found.len(),
        _ => 0,
    };
    entries.flatten().map(size).sum()
}
