//! What can go wrong before anything is sent.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// An alert that could not be made ready for delivery.
#[derive(Debug, Error)]
pub enum DeliveryError {
    /// It has no JSON form.
    #[error("cannot be written as JSON: {0}")]
    Json(String),
    /// A record of the spool is none of this version.
    #[error("record of the spool: {0}")]
    Record(String),
}

/// A spool that cannot be used.
#[derive(Debug, Error)]
pub enum SpoolError {
    /// The folder cannot be read or written.
    #[error("spool {}: {source}", path.display())]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another process has it.
    #[error(
        "spool {} is in use by another process; give this one another `delivery.spool`",
        path.display()
    )]
    InUse {
        /// The folder.
        path: PathBuf,
    },
}

/// A sink that cannot be built from its settings.
#[derive(Debug, Error)]
pub enum SinkError {
    /// The settings do not say what to do.
    #[error("sink `{sink}`: {reason}")]
    Settings {
        /// Its name.
        sink: String,
        /// What is wrong, and how to mend it.
        reason: String,
    },
    /// The metrics listener cannot be opened.
    #[error("metrics: cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// The spool cannot be used.
    #[error(transparent)]
    Spool(#[from] SpoolError),
}
