//! `lapwing query`.

mod alerts;
mod audit;
mod devices;
mod flows;
mod table;
mod traffic;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use crate::Outcome;
use crate::output::{self, Output};
use crate::store::StoreOptions;

/// Ask the store what was found and seen
#[derive(Args)]
#[command(after_help = "Examples:\n  lapwing query alerts --store /var/lib/lapwing --since 24h --severity high\n  \
                        lapwing query flows --store kept --device 192.168.7.20 --since 7d --format csv --output flows.csv")]
pub(crate) struct Query {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Alerts(alerts::Alerts),
    Flows(flows::Flows),
    Devices(devices::Devices),
    Traffic(traffic::Traffic),
    Talkers(traffic::Talkers),
    Audit(audit::Audit),
}

impl Query {
    pub(crate) fn run(&self) -> Result<Outcome> {
        match &self.what {
            What::Alerts(verb) => verb.run(),
            What::Flows(verb) => verb.run(),
            What::Devices(verb) => verb.run(),
            What::Traffic(verb) => verb.run(),
            What::Talkers(verb) => verb.run(),
            What::Audit(verb) => verb.run(),
        }?;
        Ok(Outcome::Done)
    }
}

/// Where from, where to, and in what form.
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
    /// At most so many; 0 for all
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

impl ResultOptions {
    fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format.unwrap_or_else(|| Format::of(self.output.as_deref())) }
    }

    fn limit(&self) -> Option<usize> {
        (self.limit > 0).then_some(self.limit)
    }

    fn open(&self) -> Result<Output> {
        Output::open(self.output.as_deref(), &[])
    }

    /// Writes a list that has no form of its own: JSON from what it serialises to, tables and CSV from `cells`.
    fn write<T: Serialize, const WIDTH: usize>(
        &self,
        items: &[T],
        names: [&str; WIDTH],
        cells: impl Fn(&T) -> [String; WIDTH],
    ) -> Result<()> {
        let mut out = self.open()?;
        match self.format() {
            Format::Json => write_json(items, &mut out)?,
            Format::Jsonl => write_lines(items, &mut out)?,
            Format::Csv => table::write_csv(names, items.iter().map(cells), &mut out)?,
            Format::Table => table::write(names, items.iter().map(cells).collect(), &mut out)?,
        }
        Ok(out.finish()?)
    }

    /// Says that there is more, where there is.
    fn tell_cut(&self, cut: bool) {
        if cut {
            eprintln!("lapwing: only the latest {} are shown; --limit N takes more, --limit 0 all", self.limit);
        }
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
