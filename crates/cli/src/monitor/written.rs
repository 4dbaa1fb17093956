//! Alerts written as they come: to a file that others follow, or to the terminal.

use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::path::Path;

use clap::ValueEnum;
use lapwing_alert::{Alert, Status, format};
use lapwing_detect::Severity;
use lapwing_engine::Detecting;

use super::appended::Appended;
use super::piped::Piped;
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

enum Place {
    File(Appended),
    Standard(Piped),
}

/// A file that alerts are appended to, or standard output.
pub(super) struct Written {
    place: Place,
    form: Form,
    /// For a table: the severity that an open alert was told with.
    severities: HashMap<String, Severity>,
}

impl Written {
    pub(super) fn open(path: Option<&Path>, form: Form) -> io::Result<Self> {
        let place = match path {
            Some(path) => Place::File(Appended::open(path)?),
            None => Place::Standard(Piped::standard_output()?),
        };
        Ok(Self { place, form, severities: HashMap::new() })
    }

    /// The alerts that are new, or worse than when they were told last.
    fn worse(&mut self, alerts: &[Alert]) -> Vec<Alert> {
        let mut worse = Vec::new();
        for alert in alerts {
            let is_worse = self.severities.get(&alert.id).is_none_or(|told| *told < alert.severity);
            // One of an earlier run may close without having been told by this one.
            if is_worse && alert.status != Status::Closed {
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
                let color = matches!(self.place, Place::Standard(_)) && io::stdout().is_terminal();
                let width = if color { console::Term::stdout().size().1 } else { DEFAULT_WIDTH };
                text.extend(format::render_table(&worse, width, color).into_bytes());
            }
        }
        match &mut self.place {
            Place::File(file) => file.append(&text),
            Place::Standard(output) => output.append(&text),
        }
    }

    fn tend(&mut self, _detecting: &Detecting) -> io::Result<()> {
        match &mut self.place {
            Place::File(file) => file.catch_up(),
            Place::Standard(output) => output.check(),
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        match &mut self.place {
            Place::File(file) => file.reopen(),
            Place::Standard(_) => Ok(()),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        match &mut self.place {
            Place::File(file) => file.finish(),
            Place::Standard(output) => output.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_says_the_form() {
        assert_eq!(Form::of(Some(Path::new("a.eve.json"))), Form::Eve);
        assert_eq!(Form::of(Some(Path::new("a.jsonl"))), Form::Jsonl);
    }
}
