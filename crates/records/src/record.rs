//! What a line of a log becomes.

use lapwing_capture::Timestamp;
use lapwing_flow::Flow;
use lapwing_protocol::Facts;

/// One connection as a log tells it.
#[derive(Clone, Debug)]
pub struct Record {
    /// The connection. Its frame numbers are 0: it came in no frame.
    pub flow: Flow,
    /// What the record carries of it; what it does not carry is zero in `flow` and means nothing there.
    pub facts: Facts,
    /// Whether the connection goes on: a line of Zeek's `open_conn.log`.
    pub open: bool,
    /// Its label, where the log has label columns: `Malicious`, or `Malicious C&C` where there are two.
    pub label: Option<Box<str>>,
}

impl Record {
    /// When it became known: the end of the connection, as far as the record knows.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.flow.last
    }
}

/// Why a line is no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineProblem {
    /// A value that is none of its column.
    #[error("{column}: '{value}' is not {expected}")]
    Value {
        /// The column.
        column: &'static str,
        /// The value's first bytes.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A column without which a record says nothing is unset or absent.
    #[error("{column} is missing")]
    Missing {
        /// The column.
        column: &'static str,
    },
    /// More or fewer values than columns.
    #[error("{found} values for {expected} columns")]
    Columns {
        /// Values in the line.
        found: usize,
        /// Columns that the header names.
        expected: usize,
    },
    /// A row before any header.
    #[error("a row before the header that says what its values mean")]
    NoHeader,
    /// A header that is none.
    #[error("the header cannot be used: {reason}")]
    Header {
        /// Why not.
        reason: &'static str,
    },
    /// Not JSON.
    #[error("not a JSON object: {reason}")]
    Json {
        /// What the parser says.
        reason: String,
    },
    /// Longer than any record.
    #[error("longer than {limit} bytes")]
    TooLong {
        /// The most that is read.
        limit: usize,
    },
}

/// Bytes of a value that a problem quotes.
const QUOTED: usize = 40;

/// The problem of a value that is none of its column.
pub(crate) fn wrong(column: &'static str, value: &[u8], expected: &'static str) -> LineProblem {
    let quoted = &value[..value.len().min(QUOTED)];
    LineProblem::Value { column, value: quoted.escape_ascii().to_string(), expected }
}
