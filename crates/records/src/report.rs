//! What is said about a log after it was read, and why one is not read.

use std::io;
use std::path::PathBuf;

use lapwing_capture::{Compression, Timestamp};

use crate::LogKind;

/// What was read from one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogReport {
    /// The file, or `-` for standard input.
    pub path: PathBuf,
    /// What it is, once its first bytes were seen.
    pub kind: Option<LogKind>,
    /// What it is compressed with.
    pub compression: Option<Compression>,
    /// Lines that are records, or halves of one.
    pub records: u64,
    /// Lines of a kind that tells of no connection: EVE's alerts, ARP rows of Argus.
    pub other: u64,
    /// Lines that could not be read.
    pub malformed: u64,
    /// What was wrong with the first of them, each with file and line; at most [`LogReport::PROBLEMS`].
    pub problems: Vec<String>,
    /// Number of a last line that is cut off.
    pub cut_off: Option<u64>,
    /// The earliest start of a connection.
    pub first: Option<Timestamp>,
    /// The latest end.
    pub last: Option<Timestamp>,
    /// Why nothing was read from it; of a followed log, why nothing can be at the moment.
    pub refused: Option<String>,
    /// Whether it is there: a followed log may not be yet, or not between two rotations.
    pub there: bool,
    /// Files of a followed log that had been rotated and could not be read, or were nowhere to be found: what they held is lost.
    pub lost_files: u64,
    /// Whatever else a person should know, errors that ended the reading included.
    pub warnings: Vec<String>,
}

impl LogReport {
    /// Problems that are described for a log; further ones are counted.
    pub const PROBLEMS: usize = 8;

    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            kind: None,
            compression: None,
            records: 0,
            other: 0,
            malformed: 0,
            problems: Vec::new(),
            cut_off: None,
            first: None,
            last: None,
            refused: None,
            there: true,
            lost_files: 0,
            warnings: Vec::new(),
        }
    }
}

/// Why a log is not read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// It cannot be opened, or its first bytes not be read.
    #[error("{}: cannot be opened: {source}; check the name and the permissions", path.display())]
    Open {
        /// The log.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It is none.
    #[error(
        "{}: not a log of connections; expected Zeek's conn.log (text or JSON), Suricata's EVE, a flow CSV or a binetflow table",
        path.display()
    )]
    NotALog {
        /// The file.
        path: PathBuf,
    },
    /// It is a log, of something else.
    #[error("{}: {what}, which tells of no connections; name the conn.log of the same sensor", path.display())]
    OtherLog {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: String,
    },
}
