//! Captures that people handed in to be looked at. Their bytes, and what was found in them, are the caller's.

use lapwing_capture::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sql::{Row, Sql, Value, count, rows};
use crate::time::{optional, text};
use crate::{Change, Store, StoreError, audit};

/// Uploads that are kept at once.
pub const MOST_UPLOADS: u64 = 1_000;

/// Characters that are kept of what an upload's file was called.
const LONGEST_NAME: usize = 255;

/// A capture that somebody handed in.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Upload {
    /// A name of ours.
    pub id: String,
    /// What whoever handed it in called the file: words of theirs, no path.
    pub name: String,
    /// Bytes that came.
    pub bytes: u64,
    /// How far it is.
    pub state: UploadState,
    /// The filter it is read with.
    pub filter: Option<String>,
    /// The model it is judged by.
    pub model: Option<String>,
    /// Who handed it in.
    pub by: String,
    /// When.
    #[serde(serialize_with = "text::serialize")]
    pub created: Timestamp,
    /// When it was done, failed or was cancelled.
    #[serde(serialize_with = "optional::serialize")]
    pub ended: Option<Timestamp>,
    /// From when on it is let go.
    #[serde(serialize_with = "text::serialize")]
    pub expires: Timestamp,
    /// Why it failed.
    pub error: Option<String>,
    /// What was found, in the caller's form.
    pub summary: Option<serde_json::Value>,
}

/// How far an upload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UploadState {
    /// Its bytes are coming.
    Receiving,
    /// It waits for another.
    Queued,
    /// It is being read.
    Running,
    /// It was read.
    Done,
    /// It could not be read.
    Failed,
    /// Somebody stopped it.
    Cancelled,
}

impl UploadState {
    const ALL: [Self; 6] = [Self::Receiving, Self::Queued, Self::Running, Self::Done, Self::Failed, Self::Cancelled];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Receiving => "receiving",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more happens to it.
    #[must_use]
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

const COLUMNS: &str = "id, name, bytes, state, filter, model, uploaded_by, created, ended, expires, error, summary";

impl Store {
    /// Notes that a capture is handed in.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where there are too many, or when the database cannot be written.
    pub fn add_upload(&self, upload: &Upload) -> Result<(), StoreError> {
        let name: String = upload.name.chars().take(LONGEST_NAME).collect();
        self.write(|sql| {
            let kept = rows(sql, "SELECT COUNT(*) FROM uploads", &[])?.first().map_or(0, |row| row.count(0));
            if kept >= MOST_UPLOADS {
                return Err(StoreError::Conflict(format!("{MOST_UPLOADS} uploads are kept already; remove one first")));
            }
            let values = [
                upload.id.as_str().into(),
                name.as_str().into(),
                count(upload.bytes).into(),
                upload.state.as_str().into(),
                upload.filter.clone().into(),
                upload.model.clone().into(),
                upload.by.as_str().into(),
                upload.created.micros().into(),
                upload.ended.map(Timestamp::micros).into(),
                upload.expires.micros().into(),
                upload.error.clone().into(),
                summary(upload),
            ];
            let statement =
                format!("INSERT INTO uploads ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)");
            sql.execute(&statement, &values)?;
            audit::note(sql, Change { who: &upload.by, at: upload.created }, "upload", &upload.id, &name)
        })
    }

    /// Keeps what has become of an upload: bytes, state, end, expiry, error and summary.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where it was removed, or when the database cannot be written.
    pub fn update_upload(&self, upload: &Upload) -> Result<(), StoreError> {
        let values = [
            count(upload.bytes).into(),
            upload.state.as_str().into(),
            upload.ended.map(Timestamp::micros).into(),
            upload.expires.micros().into(),
            upload.error.clone().into(),
            summary(upload),
            upload.id.as_str().into(),
        ];
        let statement = "UPDATE uploads SET bytes = ?1, state = ?2, ended = ?3, expires = ?4, error = ?5, summary = ?6 \
                         WHERE id = ?7";
        let changed = self.write(|sql| sql.execute(statement, &values))?;
        if changed == 0 { Err(not_found(&upload.id)) } else { Ok(()) }
    }

    /// The upload of that id.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or when the database cannot be read.
    pub fn upload(&self, id: &str) -> Result<Upload, StoreError> {
        let statement = format!("SELECT {COLUMNS} FROM uploads WHERE id = ?1");
        let found = self.read(|sql| rows(sql, &statement, &[id.into()])?.into_iter().next().map(upload).transpose())?;
        found.ok_or_else(|| not_found(id))
    }

    /// All uploads, the latest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn uploads(&self) -> Result<Vec<Upload>, StoreError> {
        let statement = format!("SELECT {COLUMNS} FROM uploads ORDER BY created DESC, id");
        self.read(|sql| rows(sql, &statement, &[])?.into_iter().map(upload).collect())
    }

    /// Removes an upload.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or when the database cannot be written.
    pub fn remove_upload(&self, id: &str, change: Change<'_>) -> Result<(), StoreError> {
        self.write(|sql| {
            if sql.execute("DELETE FROM uploads WHERE id = ?1", &[id.into()])? == 0 {
                return Err(not_found(id));
            }
            audit::note(sql, change, "upload removed", id, "")
        })
    }
}

/// Forgets the uploads that have ended and expired; returns their ids.
pub(crate) fn expire(sql: &mut dyn Sql, now: Timestamp) -> Result<Vec<String>, StoreError> {
    let over = [now.micros().into()];
    let conditions = "WHERE expires <= ?1 AND state IN ('done', 'failed', 'cancelled')";
    let found = rows(sql, &format!("SELECT id FROM uploads {conditions} ORDER BY id"), &over)?;
    sql.execute(&format!("DELETE FROM uploads {conditions}"), &over)?;
    Ok(found.into_iter().map(|mut row| row.text(0)).collect())
}

fn summary(upload: &Upload) -> Value {
    upload.summary.as_ref().map(ToString::to_string).into()
}

fn upload(mut row: Row) -> Result<Upload, StoreError> {
    let id = row.text(0);
    let damaged = |reason: String| StoreError::Damaged { what: "upload", id: id.clone(), reason };
    let state = row.text(3);
    let summary = row.optional_text(11).map(|text| serde_json::from_str(&text)).transpose();
    let time = |micros| Timestamp::from_micros(micros);
    Ok(Upload {
        name: row.text(1),
        bytes: row.count(2),
        state: UploadState::ALL
            .into_iter()
            .find(|known| known.as_str() == state)
            .ok_or_else(|| damaged(format!("'{state}' is no state")))?,
        filter: row.optional_text(4),
        model: row.optional_text(5),
        by: row.text(6),
        created: time(row.integer(7)),
        ended: row.optional_integer(8).map(time),
        expires: time(row.integer(9)),
        error: row.optional_text(10),
        summary: summary.map_err(|error| damaged(error.to_string()))?,
        id,
    })
}

fn not_found(id: &str) -> StoreError {
    StoreError::NotFound { what: "upload", id: id.to_owned() }
}
