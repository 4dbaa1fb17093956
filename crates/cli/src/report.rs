//! The results of a scan, written.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use clap::ValueEnum;
use lapwing_alert::{Alert, format};
use lapwing_engine::Summary;
use serde::{Deserialize, Serialize};

use crate::output;

/// The forms of a scan's results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    Table,
    Json,
    Jsonl,
    Eve,
    Csv,
}

impl Format {
    /// What the name of the output says; else a table on a terminal and JSON lines elsewhere.
    pub(crate) fn of(path: Option<&Path>) -> Self {
        if path.is_none() && io::stdout().is_terminal() {
            return Self::Table;
        }
        let forms: &[(&[&str], Self)] = &[
            (&["eve", "eve.json"], Self::Eve),
            (&["json"], Self::Json),
            (&["jsonl", "ndjson"], Self::Jsonl),
            (&["csv"], Self::Csv),
        ];
        output::form(path, forms, Self::Jsonl, "one JSON object a line (jsonl)")
    }
}

/// The document of `--format json`.
#[derive(Serialize)]
struct Document<'a> {
    summary: &'a Summary,
    alerts: &'a [Alert],
}

/// Writes alerts, with the summary where the form has a place for it; a table is coloured `on_terminal` only.
pub(crate) fn write(
    format: Format,
    alerts: &[Alert],
    summary: &Summary,
    on_terminal: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    match format {
        Format::Table => write_table(alerts, summary, on_terminal, out),
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, &Document { summary, alerts })?;
            out.write_all(b"\n")
        }
        Format::Jsonl => format::write_jsonl(alerts, out),
        Format::Eve => format::write_eve(alerts, out),
        Format::Csv => format::write_csv(alerts, out),
    }
}

/// Columns where no terminal says how wide it is.
pub(crate) const DEFAULT_WIDTH: u16 = 120;

fn write_table(alerts: &[Alert], summary: &Summary, on_terminal: bool, out: &mut dyn Write) -> io::Result<()> {
    let color = on_terminal && io::stdout().is_terminal();
    let width = if color { console::Term::stdout().size().1 } else { DEFAULT_WIDTH };
    if alerts.is_empty() {
        writeln!(out, "no alerts")?;
    } else {
        write!(out, "{}", format::render_table(alerts, width, color))?;
    }
    let packets = match summary.packets_read {
        Some(read) => format!("{} of {read} packets, {} bytes", summary.packets, summary.bytes),
        None => format!("{} packets, {} bytes", summary.packets, summary.bytes),
    };
    let read = match (summary.packets, summary.records) {
        (_, 0) => packets,
        (0, records) => format!("{records} records"),
        (_, records) => format!("{packets}, {records} records"),
    };
    let times = match (&summary.first, &summary.last) {
        (Some(first), Some(last)) => format!(" from {first} to {last}"),
        _ => String::new(),
    };
    let (alerts, flows) = (counted(alerts.len() as u64, "alert"), counted(summary.flows, "flow"));
    writeln!(out, "{alerts} in {flows}, {read}{times}")?;
    if summary.interrupted {
        writeln!(out, "interrupted: only what was read until then was looked at")?;
    }
    write_lacks(summary, "", out)?;
    if let Some(baseline) = &summary.baseline {
        write_lacks(baseline, "baseline: ", out)?;
    }
    for reason in &summary.not_evaluated {
        writeln!(out, "not evaluated: {reason}")?;
    }
    Ok(())
}

/// `1 alert`, `2 alerts`.
pub(crate) fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// What of the inputs was not seen, or only in part.
fn write_lacks(summary: &Summary, of: &str, out: &mut dyn Write) -> io::Result<()> {
    for input in &summary.inputs {
        if let Some(reason) = &input.refused {
            writeln!(out, "{of}not read: {reason}")?;
        }
    }
    for (what, count) in &summary.undecoded {
        writeln!(out, "{of}not decoded: {what}: {count}")?;
    }
    for (what, count) in &summary.coverage {
        writeln!(out, "{of}coverage: {}: {count}", what.replace('_', " "))?;
    }
    Ok(())
}
