//! Alerts written as they come: to a file that others follow, or to the terminal.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use lapwing_alert::{Alert, Status, format};
use lapwing_detect::Severity;

use super::told::Sink;
use crate::output;

/// The form that alerts are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// For people: each alert when it opens, and again when it becomes worse
    Table,
    /// Every revision, as JSON
    Jsonl,
    /// Every revision, as Suricata's EVE
    Eve,
}

impl Form {
    /// What the name of the output says; else a table on a terminal and JSON lines elsewhere.
    pub(super) fn of(path: Option<&Path>) -> Self {
        if path.is_none() && io::stdout().is_terminal() {
            return Self::Table;
        }
        let forms: &[(&[&str], Self)] = &[(&["eve", "eve.json"], Self::Eve), (&["jsonl", "ndjson"], Self::Jsonl)];
        output::form(path, forms, Self::Jsonl, "one JSON object a line (jsonl)")
    }
}

/// Columns where no terminal says how wide it is.
const DEFAULT_WIDTH: u16 = 120;

/// A file that alerts are appended to, or standard output.
pub(super) struct Written {
    path: Option<PathBuf>,
    out: Box<dyn Write + Send>,
    form: Form,
    /// For a table: the severity that an open alert was told with.
    severities: HashMap<String, Severity>,
}

impl Written {
    pub(super) fn open(path: Option<&Path>, form: Form) -> io::Result<Self> {
        let out: Box<dyn Write + Send> = match path {
            None => Box::new(io::stdout()),
            Some(path) => Box::new(append_to(path)?),
        };
        Ok(Self { path: path.map(Path::to_owned), out, form, severities: HashMap::new() })
    }

    /// The alerts that are new, or worse than when they were told last.
    fn worse(&mut self, alerts: &[Alert]) -> Vec<Alert> {
        let mut worse = Vec::new();
        for alert in alerts {
            if self.severities.get(&alert.id).is_none_or(|told| *told < alert.severity) {
                self.severities.insert(alert.id.clone(), alert.severity);
                worse.push(alert.clone());
            }
            if alert.status == Status::Closed {
                self.severities.remove(&alert.id);
            }
        }
        worse
    }
}

impl Sink for Written {
    /// One call of the system for all of them: who follows the file sees whole lines.
    fn take(&mut self, alerts: &[Alert]) -> io::Result<()> {
        let mut text = Vec::new();
        match self.form {
            Form::Jsonl => format::write_jsonl(alerts, &mut text)?,
            Form::Eve => format::write_eve(alerts, &mut text)?,
            Form::Table => {
                let worse = self.worse(alerts);
                if worse.is_empty() {
                    return Ok(());
                }
                let color = self.path.is_none() && io::stdout().is_terminal();
                let width = if color { console::Term::stdout().size().1 } else { DEFAULT_WIDTH };
                text.extend(format::render_table(&worse, width, color).into_bytes());
            }
        }
        self.out.write_all(&text)?;
        self.out.flush()
    }

    fn reopen(&mut self) -> io::Result<()> {
        if let Some(path) = &self.path {
            self.out = Box::new(append_to(path)?);
        }
        Ok(())
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    OpenOptions::new().create(true).append(true).open(path).map_err(named)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_that_was_moved_away_gets_a_successor() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("alerts.jsonl"), folder.path().join("alerts.1"));
        let mut written = Written::open(Some(&path), Form::of(Some(&path))).unwrap();
        fs::rename(&path, &moved).unwrap();
        assert!(!path.exists());
        written.reopen().unwrap();
        assert!(path.exists() && moved.exists());
        written.take(&[]).unwrap();
    }

    #[test]
    fn the_name_says_the_form() {
        assert_eq!(Form::of(Some(Path::new("a.eve.json"))), Form::Eve);
        assert_eq!(Form::of(Some(Path::new("a.jsonl"))), Form::Jsonl);
    }
}
