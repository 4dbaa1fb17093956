//! What the columns of a log mean, apart from how it is written down.
//!
//! Three syntaxes (Zeek's text, JSON lines, separated values) times the words of each program: a syntax finds a
//! column's value in a line, a vocabulary says what the value is. A new kind of Zeek log is a new vocabulary.

use crate::record::{LineProblem, Record};

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning<C> {
    /// A column that is read.
    Column(C),
    /// JSON: an object whose names are read as `NAME.INNER`.
    Object,
    /// Nothing that is read.
    Unknown,
}

/// Takes the values of a line and makes a record of them.
pub(crate) trait Vocabulary {
    /// A column that is read.
    type Column: Copy;

    /// What a column's name means.
    fn meaning(&self, name: &[u8]) -> Meaning<Self::Column>;

    /// Takes a value that is set. The last one counts if a column comes twice.
    fn set(&mut self, column: Self::Column, value: &[u8]) -> Result<(), LineProblem>;

    /// Forgets the line under way.
    fn clear(&mut self);

    /// The line is over: appends what became of it. `false`: a line of a kind that says nothing of a connection.
    fn finish(&mut self, out: &mut Vec<Record>) -> Result<bool, LineProblem>;

    /// The log is over: appends what still waited for another line.
    fn flush(&mut self, _out: &mut Vec<Record>) {}

    /// Whether lines that were taken wait for another one.
    fn is_waiting(&self) -> bool {
        false
    }
}
