//! What loading rules came to.

use crate::Severity;

/// Something in a rule file that could not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {reason}")]
pub struct Problem {
    /// The file.
    pub file: String,
    /// The line, counted from 1; 0 where the file as a whole is meant.
    pub line: usize,
    /// What is wrong, and where it helps, what to do.
    pub reason: String,
}

/// Whether a rule takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is evaluated.
    Evaluated,
    /// Nothing here produces the log that it needs.
    NotEvaluated {
        /// What it needs: `smb_files`, or `product windows`.
        needs: String,
    },
}

/// A rule as `signatures list` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleEntry {
    /// Its file.
    pub file: String,
    /// The line where it begins.
    pub line: usize,
    /// Its id; a name made from its title where it has none.
    pub id: String,
    /// Its title.
    pub title: String,
    /// What its detections are called.
    pub kind: String,
    /// Its level.
    pub severity: Severity,
    /// The log it reads, `lapwing/pair_window`; for a correlation the rules it joins.
    pub reads: String,
    /// Whether it takes part.
    pub standing: Standing,
    /// Its matches only feed a correlation.
    pub feeds_only: bool,
}

/// What came of loading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// The rules that loaded, in order.
    pub rules: Vec<RuleEntry>,
    /// What did not.
    pub problems: Vec<Problem>,
    /// What loaded, and will not do what its author thinks: fields of Zeek's that nothing here sets.
    pub warnings: Vec<Problem>,
}
