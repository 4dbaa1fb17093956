//! What can be wrong with a model file.

use std::{io, path::PathBuf};

use super::SchemaId;
use crate::{calibration::CalibrationError, forest::ForestError};

/// A model file that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("model {}: {source}", path.display())]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub source: ModelError,
}

/// What is wrong with the bytes of a model.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The system says no.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Another kind of file.
    #[error("is not a Lapwing model: it does not begin as one; `lapwing train` writes models")]
    NotAModel,
    /// Written by another version.
    #[error("has format version {found}, this program reads {known}; retrain it, or use the program that wrote it")]
    UnknownVersion {
        /// Version found.
        found: u32,
        /// Version that can be read.
        known: u32,
    },
    /// Ends early.
    #[error("is cut short: {found} of {expected} bytes; copy or train it again")]
    Truncated {
        /// Bytes that the header announces.
        expected: usize,
        /// Bytes there are.
        found: usize,
    },
    /// Goes on after its end.
    #[error("has {found} bytes where its header announces {expected}; copy or train it again")]
    TooLong {
        /// Bytes that the header announces.
        expected: usize,
        /// Bytes there are.
        found: usize,
    },
    /// A section larger than any honest one.
    #[error("announces {size} bytes of {section}, more than the {most} allowed; it is damaged or not to be trusted")]
    SectionSize {
        /// The section.
        section: &'static str,
        /// Bytes announced.
        size: usize,
        /// Bytes allowed.
        most: usize,
    },
    /// Changed after it was written.
    #[error("does not match its checksum: it was damaged or changed; copy or train it again")]
    Checksum,
    /// A section that does not decode.
    #[error("its {section} cannot be decoded ({reason}); train it again")]
    Section {
        /// The section.
        section: &'static str,
        /// What the decoder says.
        reason: String,
    },
    /// Trees that do not share out the nodes.
    #[error("its trees do not add up to the {found} nodes of its forest; train it again")]
    Nodes {
        /// Nodes found.
        found: usize,
    },
    /// A forest that is none.
    #[error("its forest is malformed: {0}; train it again")]
    Forest(#[from] ForestError),
    /// A calibration that is none.
    #[error("its calibration is malformed: {0}; train it again")]
    Calibration(#[from] CalibrationError),
    /// Parts that do not belong together.
    #[error("its card names {names} columns, its forest has {width}, its usual values are {usual}; train it again")]
    Columns {
        /// Columns the card names.
        names: usize,
        /// Columns the forest scores.
        width: usize,
        /// Usual values.
        usual: usize,
    },
    /// A value that is none.
    #[error("its usual value of column {column} is not a finite number; train it again")]
    Usual {
        /// The column.
        column: usize,
    },
    /// A text that a terminal would act on, or that has no end.
    #[error("its card holds a text that is too long or not printable: {0:?}; train it again")]
    Text(String),
    /// Rows of another schema.
    #[error(
        "expects schema {} v{} ({}), this program extracts {} v{} ({}); retrain it, or install a matching model",
        expected.name, expected.version, short(&expected.hash), found.name, found.version, short(&found.hash)
    )]
    SchemaMismatch {
        /// The schema the model was trained on.
        expected: Box<SchemaId>,
        /// The schema of the rows.
        found: Box<SchemaId>,
    },
}

/// The first bytes of a hash, enough to tell two apart.
fn short(hash: &[u8; 32]) -> String {
    hash[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}
