//! What was named on the command line: captures, logs, folders of either.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use lapwing_capture::expand;
use lapwing_records::{Recognised, find, look, peek};

/// Inputs told apart by their content, folders replaced by what is in them.
#[derive(Debug, Default)]
pub(crate) struct Named {
    pub(crate) captures: Vec<PathBuf>,
    pub(crate) logs: Vec<PathBuf>,
    /// Logs in the folders that tell of no connections.
    pub(crate) other_logs: usize,
}

impl Named {
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
        named
    }

    fn folder(&mut self, folder: &Path) {
        let found = find(folder);
        self.other_logs += found.other_logs.len();
        let captures = expand(&[folder.to_owned()]).files;
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
pub(crate) fn is_pipe(path: &Path) -> bool {
    path == Path::new("-") || fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}
