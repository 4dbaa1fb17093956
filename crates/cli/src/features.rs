//! `lapwing features`.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use lapwing_engine::{Control, Scored, Scoring, Stage};
use lapwing_feature::{SCHEMAS, Schema};
use lapwing_flow::Reported;
use lapwing_protocol::{Observed, Uid};

use crate::Outcome;
use crate::input::InputOptions;
use crate::output::Output;
use crate::sources::Named;

/// Write the feature rows of a capture's flows as CSV, for pandas, Polars or DuckDB
#[derive(Args)]
#[command(after_help = "Example: lapwing features capture.pcap --schema connection > rows.csv")]
pub(crate) struct Features {
    #[command(flatten)]
    input: InputOptions,
    /// The schema of the rows
    #[arg(long, default_value = "connection", value_parser = schema_names())]
    schema: String,
    /// The form
    #[arg(long, default_value = "csv", value_parser = ["csv"])]
    format: String,
    /// Where to [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// The names of all schemas, as values an option may have.
pub(crate) fn schema_names() -> clap::builder::PossibleValuesParser {
    SCHEMAS.iter().map(|schema| schema.name).collect::<Vec<_>>().into()
}

impl Features {
    pub(crate) fn run(&self) -> Result<Outcome> {
        let schema = lapwing_feature::find(&self.schema).expect("the option takes names of schemas only");
        let input = self.input.settle()?;
        let named = Named::of(&self.input.inputs);
        let mut scoring = Scoring::new(Arc::clone(&input.local));
        scoring.add_schema(schema);
        let out = Output::open(self.output.as_deref(), &named.list())?;
        let mut writer = Writer { out, text: Vec::new(), failed: None };
        writer.header(schema);
        let ran = input.run(&named, &scoring, &mut writer, &Control::default())?;
        writer.end().context("the rows cannot be written")?;
        ran.all_read()
    }
}

/// Writes a row for every flow that ends: start, uid, then the schema's columns.
struct Writer {
    out: Output,
    text: Vec<u8>,
    failed: Option<std::io::Error>,
}

impl Writer {
    fn header(&mut self, schema: &Schema) {
        self.text.extend_from_slice(b"ts,uid,");
        self.text.extend_from_slice(schema.columns().join(",").as_bytes());
        self.text.push(b'\n');
    }

    fn end(mut self) -> std::io::Result<()> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.out.write_all(&self.text)?;
        self.out.finish()
    }
}

impl Stage for Writer {
    fn looks_at(&self) -> Reported {
        Reported::Ends
    }

    fn observe(&mut self, _observed: &[Observed<'_>], scored: &[Scored<'_>]) {
        if self.failed.is_some() {
            return;
        }
        for ended in scored {
            let micros = ended.flow.start.micros();
            let (second, micro) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
            write!(self.text, "{second}.{micro:06},{}", Uid(ended.flow.uid)).expect("memory takes what is written");
            for value in ended.rows.row(0) {
                write!(self.text, ",{value}").expect("memory takes what is written");
            }
            self.text.push(b'\n');
        }
        self.failed = self.out.write_all(&self.text).err();
        self.text.clear();
    }
}
