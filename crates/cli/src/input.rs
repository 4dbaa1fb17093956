//! What every verb that reads captures has in common.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use lapwing_capture::{Inputs, Source, Timestamp};
use lapwing_engine::{
    Config, Control, Count, FilterText, Networks, PipelineConfig, Scoring, Stage, Step, Summary, Timings,
};
use lapwing_flow::Checksums;
use lapwing_protocol::LocalNetworks;
use lapwing_records::LogInputs;
use sha2::{Digest, Sha256};

use crate::sources::{Named, piped};
use crate::{Outcome, config, progress};

/// What to read, and how.
#[derive(Args)]
pub(crate) struct InputOptions {
    /// What to read: captures (pcap, pcapng) or logs of connections (Zeek's conn.log as text or JSON, Suricata's EVE, flow CSV,
    /// binetflow), gzip and zstd as they are; folders of them, or - for standard input; several are merged into one timeline by
    /// capture time, captures and logs apart
    #[arg(required = true, value_name = "INPUT")]
    pub(crate) inputs: Vec<PathBuf>,
    #[command(flatten)]
    options: RunOptions,
}

impl InputOptions {
    /// See [`RunOptions::settle`].
    pub(crate) fn settle(&self) -> Result<Input> {
        self.options.settle()
    }

    /// The file with the settings.
    pub(crate) fn config(&self) -> Option<PathBuf> {
        self.options.config.clone()
    }
}

/// How to read, from files or live.
#[derive(Args)]
pub(crate) struct RunOptions {
    /// Settings that outlive a command line (docs/configuration.md); arguments win over it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Look only at frames that this tcpdump expression takes
    #[arg(long, value_name = "EXPR")]
    filter: Option<String>,
    /// Networks whose addresses are devices, as CIDR; repeatable [default: RFC 1918, ULA, link-local]
    #[arg(long, value_name = "CIDR")]
    local: Vec<String>,
    /// Threads; the results do not depend on it [default: one per core]
    #[arg(long, value_name = "N")]
    threads: Option<Count<1, 64>>,
    /// Stop after this many packets
    #[arg(long, visible_alias = "max-packets", value_name = "N")]
    limit: Option<Count<1, { u64::MAX >> 1 }>>,
    /// What to do with packets whose checksum is wrong: offload makes captured ones wrong, so they are used and counted;
    /// `verify` discards them as Zeek does [default: ignore]
    #[arg(long, value_enum)]
    checksums: Option<ChecksumChoice>,
    /// Flows kept at once; beyond it the flow idle longest ends early and is counted [default: 131072]
    #[arg(long, value_name = "N", hide_short_help = true)]
    flow_capacity: Option<Count<64, 16_777_216>>,
    /// Print where the time went: samples, ns per sample and Mbit/s of each stage
    #[arg(long)]
    timings: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum ChecksumChoice {
    Ignore,
    Verify,
}

impl RunOptions {
    /// What the arguments say, and where they are silent the configuration.
    pub(crate) fn settle(&self) -> Result<Input> {
        let mut settings = config::read(self.config.as_deref())?;
        settings.threads = self.threads.or(settings.threads);
        settings.capture.limit = self.limit.or(settings.capture.limit);
        if let Some(capacity) = self.flow_capacity {
            settings.flow.capacity = capacity;
        }
        match self.checksums {
            Some(ChecksumChoice::Ignore) => settings.flow.checksums = Checksums::Ignore,
            Some(ChecksumChoice::Verify) => settings.flow.checksums = Checksums::Verify,
            None => {}
        }
        if let Some(text) = &self.filter {
            settings.capture.filter = Some(FilterText::try_from(text.clone()).context("--filter")?);
        }
        if !self.local.is_empty() {
            settings.local = Some(Networks::try_from(self.local.clone()).context("--local")?);
        }
        let local = Arc::new(settings.local_networks());
        Ok(Input { pipeline: settings.pipeline(), local, settings, timings: self.timings })
    }
}

/// How to read, settled.
pub(crate) struct Input {
    pub(crate) pipeline: PipelineConfig,
    pub(crate) local: Arc<LocalNetworks>,
    pub(crate) settings: Config,
    timings: bool,
}

impl Input {
    /// Runs what is named through the pipeline into `stage`: captures, then logs.
    pub(crate) fn run(
        &self,
        named: &Named,
        scoring: &Scoring,
        stage: &mut dyn Stage,
        control: &Control,
    ) -> Result<Ran> {
        if let Some(input) = named.pipe() {
            let piped = piped(input)?;
            let name = input.display().to_string();
            return if piped.is_log {
                self.run_logs(LogInputs::from_reader(&name, piped.reader)?, scoring, stage, control)
            } else {
                self.run_captures(Inputs::from_reader(&name, piped.reader)?, scoring, stage, control)
            };
        }
        let mut ran = Ran::default();
        if !named.captures.is_empty() || named.logs.is_empty() {
            ran.add(self.run_captures(Inputs::open(&named.captures)?, scoring, stage, control)?);
        }
        if !named.logs.is_empty() && !control.stopped() {
            ran.add(self.run_logs(LogInputs::open(&named.logs)?, scoring, stage, control)?);
        }
        Ok(ran)
    }

    fn run_captures(
        &self,
        mut source: Inputs,
        scoring: &Scoring,
        stage: &mut dyn Stage,
        control: &Control,
    ) -> Result<Ran> {
        let run = || lapwing_engine::run(&mut source, &self.pipeline, scoring, stage, control);
        let report = progress::watch(control, run)?;
        let reports = source.reports();
        for input in &reports {
            for problem in input.refused.iter().chain(&input.warnings) {
                eprintln!("lapwing: {problem}");
            }
        }
        if let Some(error) = &report.error
            && !reports.iter().any(|input| input.warnings.iter().any(|warning| *warning == error.to_string()))
        {
            eprintln!("lapwing: {error}");
        }
        if control.stopped() {
            eprintln!("lapwing: interrupted after {} packets; what was read is used", control.frames());
        }
        self.tell_timings(&report.timings);
        let summary = Summary { interrupted: control.stopped(), ..Summary::new(&report, &reports) };
        Ok(Ran { span: report.span, summary })
    }

    fn run_logs(
        &self,
        mut source: LogInputs,
        scoring: &Scoring,
        stage: &mut dyn Stage,
        control: &Control,
    ) -> Result<Ran> {
        if self.pipeline.filter.is_some() {
            bail!("--filter looks at packets, and logs have none; filter the log before");
        }
        let run = || lapwing_engine::run_logs(&mut source, self.pipeline.limit, scoring, stage, control);
        let run = progress::watch(control, run)?;
        let reports = source.reports();
        for log in &reports {
            for problem in log.refused.iter().chain(&log.problems).chain(&log.warnings) {
                eprintln!("lapwing: {problem}");
            }
            if log.malformed > log.problems.len() as u64 {
                eprintln!("lapwing: {}: {} lines could not be read", log.path.display(), log.malformed);
            }
        }
        if control.stopped() {
            eprintln!("lapwing: interrupted after {} records; what was read is used", control.frames());
        }
        self.tell_timings(&run.timings);
        let summary = Summary { interrupted: control.stopped(), ..Summary::of_logs(&run, &reports) };
        Ok(Ran { span: run.span, summary })
    }

    /// Says where the time went, if that was asked for.
    pub(crate) fn tell_timings(&self, timings: &Timings) {
        if self.timings {
            print_timings(timings);
        }
    }
}

/// What a run reports.
#[derive(Default)]
pub(crate) struct Ran {
    /// The earliest time and the largest.
    pub(crate) span: Option<(Timestamp, Timestamp)>,
    pub(crate) summary: Summary,
}

impl Ran {
    fn add(&mut self, other: Self) {
        self.summary.add(other.summary);
        self.span = match (self.span, other.span) {
            (Some((first, last)), Some((other_first, other_last))) => {
                Some((first.min(other_first), last.max(other_last)))
            }
            (span, other) => span.or(other),
        };
    }

    /// Nothing that could not be read may pass for silence: an input that was refused makes the run fail, after its results
    /// were written.
    pub(crate) fn all_read(&self) -> Result<Outcome> {
        all_read(&self.summary)
    }
}

/// See [`Ran::all_read`]. What was learnt from counts too.
pub(crate) fn all_read(summary: &Summary) -> Result<Outcome> {
    if let Some(baseline) = &summary.baseline {
        all_read(baseline).context("the baseline")?;
    }
    match summary.inputs.iter().filter(|input| input.refused.is_some()).count() {
        0 => Ok(Outcome::Done),
        refused => {
            bail!("{refused} of {} inputs could not be read; the results are those of the others", summary.inputs.len())
        }
    }
}

fn print_timings(timings: &Timings) {
    eprintln!("{:<8} {:>14} {:<13} {:>11} {:>10}", "stage", "samples", "", "ns/sample", "Mbit/s");
    for step in Step::ALL {
        let timing = timings.of(step);
        if timing.samples == 0 {
            continue;
        }
        let nanos = timing.time.as_nanos() as f64;
        let each = nanos / (timing.samples.max(1) as f64);
        let rate =
            if timing.bytes > 0 { format!("{:.0}", timing.bytes as f64 * 8e3 / nanos.max(1.0)) } else { "-".into() };
        eprintln!("{:<8} {:>14} {:<13} {each:>11.1} {rate:>10}", step.name(), timing.samples, step.samples());
    }
}

/// The SHA-256 of a file's bytes.
pub(crate) fn sha256(path: &Path) -> Result<[u8; 32]> {
    let mut file = File::open(path).with_context(|| format!("{}: cannot be opened", path.display()))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finalize().into()),
            Ok(read) => hasher.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error).with_context(|| format!("{}: reading failed", path.display())),
        }
    }
}
