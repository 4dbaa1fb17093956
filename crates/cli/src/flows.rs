//! `lapwing flows`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use lapwing_capture::Timestamp;
use lapwing_engine::{Control, Scored, Scoring, Stage};
use lapwing_flow::Reported;
use lapwing_protocol::{ConnLog, LocalNetworks, LogFormat, Observation, Observed};

use crate::input::InputOptions;
use crate::output::Output;
use crate::sources::Named;
use crate::{Outcome, output};

/// Write the flows of captures or logs, as Zeek's conn.log, JSON lines or CSV
#[derive(Args)]
#[command(after_help = "Example: lapwing flows capture.pcap --format zeek > conn.log")]
pub(crate) struct Flows {
    #[command(flatten)]
    input: InputOptions,
    /// The form; without it what --output ends in (.log, .json, .jsonl, .csv), else zeek
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Where to [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Zeek,
    Json,
    Csv,
}

impl Flows {
    pub(crate) fn run(&self) -> Result<Outcome> {
        let forms: &[(&[&str], LogFormat)] =
            &[(&["log"], LogFormat::Zeek), (&["json", "jsonl", "ndjson"], LogFormat::Json), (&["csv"], LogFormat::Csv)];
        let format = match self.format {
            Some(Format::Zeek) => LogFormat::Zeek,
            Some(Format::Json) => LogFormat::Json,
            Some(Format::Csv) => LogFormat::Csv,
            None => output::form(self.output.as_deref(), forms, LogFormat::Zeek, "Zeek's conn.log"),
        };
        let input = self.input.settle()?;
        let named = Named::of(&self.input.inputs);
        let log = ConnLog::new(format, LocalNetworks::clone(&input.local));
        let out = Output::open(self.output.as_deref(), &named.list())?;
        let mut writer = Writer { log, out, text: Vec::new(), begun: false, failed: None };
        let ran = input.run(&named, &Scoring::default(), &mut writer, &Control::default())?;
        let (first, last) = ran.span.unwrap_or_default();
        writer.end(first, last).context("the flows cannot be written")?;
        ran.all_read()
    }
}

/// Writes every flow that ends, in the order in which they end.
struct Writer {
    log: ConnLog,
    out: Output,
    text: Vec<u8>,
    begun: bool,
    failed: Option<std::io::Error>,
}

impl Writer {
    fn begin(&mut self, first: Timestamp) {
        if !self.begun {
            self.begun = true;
            self.log.header(first, &mut self.text);
        }
    }

    fn end(mut self, first: Timestamp, last: Timestamp) -> std::io::Result<()> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.begin(first);
        self.log.footer(last, &mut self.text);
        self.out.write_all(&self.text)?;
        self.out.finish()
    }
}

impl Stage for Writer {
    fn looks_at(&self) -> Reported {
        Reported::Ends
    }

    fn observe(&mut self, observed: &[Observed<'_>], _scored: &[Scored<'_>]) {
        if self.failed.is_some() {
            return;
        }
        for observed in observed {
            if let Observation::FlowEnded(flow) = observed.fact {
                self.begin(flow.start);
                self.log.row(flow, &mut self.text);
            }
        }
        self.failed = self.out.write_all(&self.text).err();
        self.text.clear();
    }
}
