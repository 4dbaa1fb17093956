//! `lapwing query`.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use lapwing_alert::{Alert, Status, format, rfc3339};
use lapwing_detect::Severity;
use lapwing_store::{AlertQuery, DeviceQuery, DeviceRecord};
use serde::Serialize;

use crate::Outcome;
use crate::output::{self, Output};
use crate::report::DEFAULT_WIDTH;
use crate::store::{StoreOptions, TimeOptions};

/// Ask the store what was found and seen
#[derive(Args)]
#[command(after_help = "Examples:\n  lapwing query alerts --store /var/lib/lapwing --since 24h --severity high\n  \
                        lapwing query alerts --store kept --device 192.168.7.20 --format csv --output alerts.csv")]
pub(crate) struct Query {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Alerts(Alerts),
    Devices(Devices),
    Audit(Audit),
}

/// Where the result goes, and how much of it.
#[derive(Args)]
struct ResultOptions {
    #[command(flatten)]
    store: StoreOptions,
    /// The form; without it what --output ends in (.json, .jsonl, .csv), else a table on a terminal and jsonl elsewhere
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Where to [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// At most so many, the latest; 0 for all
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    limit: usize,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Format {
    Table,
    Json,
    Jsonl,
    Csv,
}

impl Format {
    fn of(path: Option<&Path>) -> Self {
        if path.is_none() && io::stdout().is_terminal() {
            return Self::Table;
        }
        let forms: &[(&[&str], Self)] =
            &[(&["json"], Self::Json), (&["jsonl", "ndjson"], Self::Jsonl), (&["csv"], Self::Csv)];
        output::form(path, forms, Self::Jsonl, "one JSON object a line (jsonl)")
    }
}

/// Alerts that were found, the latest first
#[derive(Args)]
struct Alerts {
    #[command(flatten)]
    result: ResultOptions,
    #[command(flatten)]
    time: TimeOptions,
    /// About this host or device
    #[arg(long, value_name = "HOST")]
    device: Option<String>,
    /// With this host among those concerned
    #[arg(long, value_name = "HOST")]
    peer: Option<String>,
    /// Of this kind: port-scan, beacon …
    #[arg(long)]
    kind: Option<String>,
    /// This severe or worse
    #[arg(long, value_parser = crate::scan::severity)]
    severity: Option<Severity>,
    /// In this state: open, acknowledged, closed
    #[arg(long, value_parser = status)]
    status: Option<Status>,
    /// With this text in title, explanation, device, peers, detectors or rules
    #[arg(long)]
    text: Option<String>,
    /// Show those too that a suppression hides
    #[arg(long)]
    suppressed: bool,
}

/// Devices that were seen, the one seen last first
#[derive(Args)]
struct Devices {
    #[command(flatten)]
    result: ResultOptions,
    #[command(flatten)]
    time: TimeOptions,
    /// With this text in address, link-layer address, name or vendor
    #[arg(long)]
    text: Option<String>,
}

/// Who acknowledged, closed or suppressed what, the latest first
#[derive(Args)]
struct Audit {
    #[command(flatten)]
    result: ResultOptions,
}

fn status(name: &str) -> Result<Status, String> {
    Status::from_name(name).ok_or_else(|| "write one of open, acknowledged, closed".to_owned())
}

impl Query {
    pub(crate) fn run(&self) -> Result<Outcome> {
        match &self.what {
            What::Alerts(verb) => verb.run(),
            What::Devices(verb) => verb.run(),
            What::Audit(verb) => verb.run(),
        }
    }
}

impl ResultOptions {
    fn format(&self) -> Format {
        if self.json {
            return Format::Json;
        }
        self.format.unwrap_or_else(|| Format::of(self.output.as_deref()))
    }

    fn limit(&self) -> Option<usize> {
        (self.limit > 0).then_some(self.limit)
    }

    fn open(&self) -> Result<Output> {
        Output::open(self.output.as_deref(), &[])
    }

    /// Says that there is more, where there is.
    fn tell_cut(&self, cut: bool) {
        if cut {
            eprintln!("lapwing: only the latest {} are shown; --limit N takes more, --limit 0 all", self.limit);
        }
    }
}

impl Alerts {
    fn run(&self) -> Result<Outcome> {
        let query = AlertQuery {
            time: self.time.range(),
            device: self.device.clone(),
            peer: self.peer.clone(),
            kind: self.kind.clone(),
            severity: self.severity,
            status: self.status,
            text: self.text.clone(),
            suppressed: self.suppressed,
            limit: self.result.limit(),
        };
        let page = self.result.store.open()?.alerts(&query)?;
        let mut out = self.result.open()?;
        match self.result.format() {
            Format::Table => table(&page.items, self.result.output.is_none(), &mut out)?,
            Format::Json => write_json(&page.items, &mut out)?,
            Format::Jsonl => format::write_jsonl(&page.items, &mut out)?,
            Format::Csv => format::write_csv(&page.items, &mut out)?,
        }
        out.finish()?;
        self.result.tell_cut(page.cut);
        Ok(Outcome::Done)
    }
}

/// Alerts as `scan` prints them, each with the id by which it can be acknowledged.
fn table(alerts: &[Alert], on_terminal: bool, out: &mut dyn Write) -> io::Result<()> {
    let color = on_terminal && io::stdout().is_terminal();
    let width = if color { console::Term::stdout().size().1 } else { DEFAULT_WIDTH };
    for alert in alerts {
        write!(out, "{}", format::render_table(std::slice::from_ref(alert), width, color))?;
        let by = alert.status_by.as_ref().map_or_else(String::new, |who| format!(" by {who}"));
        let hidden = alert.suppressed_by.as_ref().map_or_else(String::new, |id| format!(", suppressed by {id}"));
        writeln!(out, "          {} {}{by}{hidden}", alert.id, alert.status.as_str())?;
    }
    writeln!(out, "{} alerts", alerts.len())
}

impl Devices {
    fn run(&self) -> Result<Outcome> {
        let query = DeviceQuery { time: self.time.range(), text: self.text.clone(), limit: self.result.limit() };
        let page = self.result.store.open()?.devices(&query)?;
        let mut out = self.result.open()?;
        match self.result.format() {
            Format::Json => write_json(&page.items, &mut out)?,
            Format::Jsonl => write_lines(&page.items, &mut out)?,
            Format::Csv => rows(&page.items, ",", &mut out)?,
            Format::Table => rows(&page.items, "  ", &mut out)?,
        }
        out.finish()?;
        self.result.tell_cut(page.cut);
        Ok(Outcome::Done)
    }
}

/// One device a line; columns are padded unless they are separated by commas.
fn rows(devices: &[DeviceRecord], separator: &str, out: &mut dyn Write) -> io::Result<()> {
    let names = ["id", "mac", "name", "vendor", "first_seen", "last_seen", "flows", "bytes_sent", "bytes_received"];
    let mut lines = vec![names.map(ToOwned::to_owned)];
    lines.extend(devices.iter().map(|device| {
        let or_empty = |text: &Option<String>| quoted(text.as_deref().unwrap_or_default(), separator);
        [
            device.id.clone(),
            or_empty(&device.mac),
            or_empty(&device.name),
            or_empty(&device.vendor),
            rfc3339(device.first_seen),
            rfc3339(device.last_seen),
            device.flows.to_string(),
            device.bytes_sent.to_string(),
            device.bytes_received.to_string(),
        ]
    }));
    let widths: Vec<usize> = (0..names.len())
        .map(|column| match lines.iter().map(|line| line[column].chars().count()).max() {
            Some(width) if separator != "," && column + 1 < names.len() => width,
            _ => 0,
        })
        .collect();
    for line in &lines {
        let cells: Vec<String> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        writeln!(out, "{}", cells.join(separator))?;
    }
    Ok(())
}

/// A cell of CSV (RFC 4180).
fn quoted(text: &str, separator: &str) -> String {
    if separator == "," && text.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text.to_owned()
}

impl Audit {
    fn run(&self) -> Result<Outcome> {
        let entries = self.result.store.open()?.audit(self.result.limit())?;
        let mut out = self.result.open()?;
        match self.result.format() {
            Format::Json => write_json(&entries, &mut out)?,
            Format::Jsonl => write_lines(&entries, &mut out)?,
            Format::Csv | Format::Table => {
                let separator = if self.result.format() == Format::Csv { "," } else { "  " };
                for entry in &entries {
                    let cells = [&entry.at, &entry.who, &entry.action, &entry.subject, &entry.detail];
                    writeln!(out, "{}", cells.map(|cell| quoted(cell, separator)).join(separator))?;
                }
            }
        }
        out.finish()?;
        Ok(Outcome::Done)
    }
}

fn write_json<T: Serialize>(items: &[T], out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, items)?;
    out.write_all(b"\n")
}

fn write_lines<T: Serialize>(items: &[T], out: &mut dyn Write) -> io::Result<()> {
    for item in items {
        serde_json::to_writer(&mut *out, item)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}
