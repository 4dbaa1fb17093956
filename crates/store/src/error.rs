//! What can go wrong with what is kept.

use std::io;
use std::path::PathBuf;

/// Why something was not kept, or not found.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder or database cannot be opened.
    #[error("the store {place} cannot be opened: {reason}")]
    Open {
        /// Folder, or address without its password.
        place: String,
        /// Why.
        reason: String,
    },
    /// A later version of Lapwing has written it.
    #[error(
        "the store is of version {found}, this program knows {known}: use the program that wrote it, or a newer one"
    )]
    Newer {
        /// The last migration that was applied.
        found: i64,
        /// The last that this program has.
        known: i64,
    },
    /// There is no room left where it lies.
    #[error("the disk of the store is full: {0}")]
    Full(String),
    /// The database refused.
    #[error("the store's database: {0}")]
    Database(String),
    /// A file of flows cannot be written or read.
    #[error("{}: {reason}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Something that was kept cannot be understood.
    #[error("{what} {id} in the store cannot be read: {reason}")]
    Damaged {
        /// What it is.
        what: &'static str,
        /// Its name.
        id: String,
        /// Why.
        reason: String,
    },
    /// There is nothing of that name.
    #[error("there is no {what} {id}")]
    NotFound {
        /// What was asked for.
        what: &'static str,
        /// Its name.
        id: String,
    },
    /// The request makes no sense.
    #[error("{0}")]
    Refused(String),
    /// The request makes sense, but not as things are: a name is taken, a limit reached.
    #[error("{0}")]
    Conflict(String),
}

impl StoreError {
    /// Whether the same may succeed when somebody has made room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full(_))
    }

    /// Whether the store could not do it at this moment, whatever was asked: its disk is full, its database or a file of its
    /// does not do as it should.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Full(_) | Self::Database(_) | Self::File { .. } | Self::Open { .. })
    }

    pub(crate) fn file(path: impl Into<PathBuf>, error: &io::Error) -> Self {
        let path = path.into();
        if error.kind() == io::ErrorKind::StorageFull || error.kind() == io::ErrorKind::QuotaExceeded {
            return Self::Full(format!("{}: {error}", path.display()));
        }
        Self::File { path, reason: error.to_string() }
    }
}
