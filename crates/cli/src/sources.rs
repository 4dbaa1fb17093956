//! What was named on the command line: captures, logs, folders of either.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use lapwing_capture::{Expansion, InputReport, expand};
use lapwing_records::{Recognised, find, look, peek};

/// Inputs told apart by their content, folders replaced by what is in them.
#[derive(Debug, Default)]
pub(crate) struct Named {
    pub(crate) captures: Vec<PathBuf>,
    pub(crate) logs: Vec<PathBuf>,
    /// Files in the folders that were meant as captures and are none.
    pub(crate) refused: Vec<InputReport>,
    /// Logs in the folders that tell of no connections.
    other_logs: usize,
}

impl Named {
    /// Says what is passed over: logs of other things, and what is named twice, for its packets came once.
    pub(crate) fn of(inputs: &[PathBuf]) -> Self {
        let mut named = Self::default();
        for input in inputs {
            if input.is_dir() {
                named.folder(input);
            } else if is_file(input) && look(input) != Recognised::Nothing {
                named.logs.push(input.clone());
            } else {
                // What cannot be opened, or is nothing, is refused with the others.
                named.captures.push(input.clone());
            }
        }
        if named.other_logs > 0 {
            eprintln!("lapwing: {} logs in the folders tell of no connections and were passed over", named.other_logs);
        }
        let mut known = HashSet::new();
        let mut is_new = |file: &PathBuf| {
            let is_new = known.insert(file.canonicalize().unwrap_or_else(|_| file.clone()));
            if !is_new {
                eprintln!("lapwing: warning: {}: named twice, read once", file.display());
            }
            is_new
        };
        named.captures.retain(&mut is_new);
        named.logs.retain(&mut is_new);
        named
    }

    /// What is looked at as one timeline: everything, or each file by itself; captures and logs never together, for a log tells
    /// of a connection when it ends, and time must not run back.
    pub(crate) fn timelines(self, separate: bool) -> Vec<Self> {
        let captures = |captures| Self { captures, ..Self::default() };
        let logs = |logs| Self { logs, ..Self::default() };
        if separate {
            let alone = self.captures.into_iter().map(|file| captures(vec![file]));
            return alone.chain(self.logs.into_iter().map(|file| logs(vec![file]))).collect();
        }
        if self.is_mixed() {
            eprintln!("lapwing: captures and logs are scanned one after the other: nothing is counted across them");
            return vec![captures(self.captures), logs(self.logs)];
        }
        vec![self]
    }

    /// The only input, if it is a pipe.
    pub(crate) fn pipe(&self) -> Option<&Path> {
        match (self.captures.as_slice(), self.logs.as_slice()) {
            ([input], []) if is_pipe(input) => Some(input),
            _ => None,
        }
    }

    fn folder(&mut self, folder: &Path) {
        let found = find(folder);
        self.other_logs += found.other_logs.len();
        let Expansion { files: captures, refused, .. } = expand(&[folder.to_owned()]);
        let is_log = |path: &PathBuf| found.logs.contains(path) || found.other_logs.iter().any(|(log, _)| log == path);
        for report in refused.into_iter().filter(|report| !is_log(&report.path)) {
            eprintln!("lapwing: {}", report.refused.as_deref().unwrap_or_default());
            self.refused.push(report);
        }
        // A folder without captures stays itself, to be refused; with logs in it, it is none without anything.
        let is_empty = captures == [folder];
        if !is_empty || found.logs.is_empty() {
            self.captures.extend(captures);
        }
        self.logs.extend(found.logs);
    }

    /// Captures, then logs.
    pub(crate) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.captures.iter().chain(&self.logs)
    }

    /// The same as a list.
    pub(crate) fn list(&self) -> Vec<PathBuf> {
        self.files().cloned().collect()
    }

    pub(crate) fn is_mixed(&self) -> bool {
        !self.captures.is_empty() && !self.logs.is_empty()
    }
}

fn is_file(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file())
}

/// A pipe, and whether a log comes through it.
pub(crate) struct Piped {
    pub(crate) reader: Box<dyn Read + Send>,
    pub(crate) is_log: bool,
}

/// Looks into a pipe that is the only input.
pub(crate) fn piped(path: &Path) -> Result<Piped> {
    let unread = || format!("{}: cannot be read", path.display());
    let reader: Box<dyn Read + Send> =
        if path == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(path).with_context(unread)?) };
    let (recognised, reader) = peek(reader).with_context(unread)?;
    Ok(Piped { reader, is_log: recognised != Recognised::Nothing })
}

/// Whether an input is standard input or another pipe.
fn is_pipe(path: &Path) -> bool {
    path == Path::new("-") || fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}
