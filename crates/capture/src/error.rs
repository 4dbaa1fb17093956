//! What can go wrong with an input.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why an input could not be read, or not to its end.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The file or folder cannot be opened.
    #[error("{}: cannot be opened: {source}; check the name and the permissions", path.display())]
    Open {
        /// The input.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Reading failed.
    #[error("{}: reading failed at byte {offset}: {source}; what was read before is kept", path.display())]
    Read {
        /// The input.
        path: PathBuf,
        /// Where, counted after decompression.
        offset: u64,
        /// The system's reason.
        source: io::Error,
    },
    /// The input is no capture at all.
    #[error(
        "{}: not a capture: {reason}; expected a pcap or pcapng file, possibly compressed with gzip or zstd",
        path.display()
    )]
    NotACapture {
        /// The input.
        path: PathBuf,
        /// What is there instead.
        reason: String,
    },
    /// The capture is damaged; reading ended there.
    #[error("{}: damaged at byte {offset}: {problem}; the frames before it are kept", path.display())]
    Damaged {
        /// The input.
        path: PathBuf,
        /// Where the damaged record starts, counted after decompression.
        offset: u64,
        /// What is wrong there.
        problem: Problem,
    },
    /// A folder without captures.
    #[error("{}: no capture in this folder ({skipped} other files skipped); name a pcap or pcapng file", path.display())]
    EmptyFolder {
        /// The folder.
        path: PathBuf,
        /// Files in it that are no captures.
        skipped: usize,
    },
    /// Nothing was named.
    #[error("no input named; give a capture file, a folder, or - for standard input")]
    NoInput,
    /// More inputs than can be numbered.
    #[error("{count} inputs, at most {limit} can be read at once; read them in groups")]
    TooManyInputs {
        /// Inputs named, folders expanded.
        count: usize,
        /// The most there may be.
        limit: usize,
    },
}

impl SourceError {
    /// Whether the input was refused because it is no capture.
    #[must_use]
    pub fn is_not_a_capture(&self) -> bool {
        matches!(self, Self::NotACapture { .. } | Self::EmptyFolder { .. })
    }
}

/// What is wrong with a record of a capture file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    /// No frame can be that long: the file is damaged, or is of a variant that does not say so.
    #[error("the record claims {captured} captured bytes, a frame has at most {limit}")]
    FrameTooLong {
        /// Bytes claimed.
        captured: u32,
        /// The most accepted.
        limit: u32,
    },
    /// The decompressor gave up.
    #[error("the compressed data are damaged or end early: {0}")]
    Compression(String),
}
