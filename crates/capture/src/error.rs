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
    /// A zstd file that takes too much memory to decompress.
    #[error(
        "{}: decompressing it takes a window of {} MiB, at most {} MiB are spent on a file; compress it again without \
         --long and --ultra",
        path.display(), window >> 20, limit >> 20
    )]
    Window {
        /// The input.
        path: PathBuf,
        /// Bytes it asks for.
        window: u64,
        /// The most accepted.
        limit: u64,
    },
    /// A folder without captures.
    #[error("{}: no capture and no log of connections in this folder or below; name a file, or a folder with some", path.display())]
    EmptyFolder {
        /// The folder.
        path: PathBuf,
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
    /// No block can be that long.
    #[error("the block claims a length of {length} bytes, expected 12 to {limit}")]
    BlockLength {
        /// The length claimed.
        length: u32,
        /// The most accepted.
        limit: u32,
    },
    /// The lengths at a block's start and end differ.
    #[error("the block starts with a length of {first} bytes and ends with {second}")]
    BlockLengths {
        /// The one at its start.
        first: u32,
        /// The one at its end.
        second: u32,
    },
    /// A block does not hold what its fields say.
    #[error("the block has {length} bytes, its fields need {needed}")]
    BlockTooShort {
        /// Bytes it has.
        length: u32,
        /// Bytes it needs at least.
        needed: u32,
    },
    /// A section that does not say its byte order.
    #[error("the section header has no byte-order magic")]
    ByteOrder,
    /// A version of the format that is not known.
    #[error("the section is of pcapng version {major}.{minor}, only 1.0 is known")]
    Version {
        /// Its major version.
        major: u16,
        /// Its minor version.
        minor: u16,
    },
    /// More interfaces than a section may have.
    #[error("the section describes more than {limit} interfaces")]
    TooManyInterfaces {
        /// The most accepted.
        limit: usize,
    },
    /// The decompressor gave up.
    #[error("the compressed data are damaged or end early: {0}")]
    Compression(String),
}
