//! How a log is written down.

use crate::record::{LineProblem, Record};

/// What a line was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// A record, or a part of one.
    Record,
    /// A row of a kind that says nothing of a connection: an EVE alert, an ARP row of Argus.
    Other,
    /// A header, a comment, an empty line.
    Nothing,
}

/// Reads the lines of one log.
pub(crate) trait Syntax: Send {
    /// Takes a line without its end; appends what became of it.
    fn line(&mut self, line: &[u8], out: &mut Vec<Record>) -> Result<Taken, LineProblem>;

    /// The log is over.
    fn flush(&mut self, out: &mut Vec<Record>);

    /// Whether lines that were taken wait for another one.
    fn is_waiting(&self) -> bool;
}
