//! What every verb that reads captures has in common.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use lapwing_capture::{Filter, Inputs, Source, Timestamp};
use lapwing_engine::{Control, PipelineConfig, Scoring, Stage, Step, Summary, Timings};
use lapwing_flow::Checksums;
use lapwing_protocol::LocalNetworks;
use lapwing_records::LogInputs;
use sha2::{Digest, Sha256};

use crate::sources::{Named, is_pipe, piped};
use crate::{Outcome, progress};

/// What to read, and how.
#[derive(Args)]
pub(crate) struct InputOptions {
    /// What to read: captures (pcap, pcapng) or logs of connections (Zeek's conn.log as text or JSON, Suricata's EVE, flow CSV,
    /// binetflow), gzip and zstd as they are; folders of them, or - for standard input; several are merged into one timeline by
    /// capture time, captures and logs apart
    #[arg(required = true, value_name = "INPUT")]
    pub(crate) inputs: Vec<PathBuf>,
    /// Look only at frames that this tcpdump expression takes
    #[arg(long, value_name = "EXPR")]
    filter: Option<String>,
    /// Networks whose addresses are devices, as CIDR; repeatable [default: RFC 1918, ULA, link-local]
    #[arg(long, value_name = "CIDR")]
    local: Vec<String>,
    /// Threads; the results do not depend on it [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: Option<u16>,
    /// Stop after this many packets
    #[arg(long, visible_alias = "max-packets", value_name = "N")]
    limit: Option<u64>,
    /// What to do with packets whose checksum is wrong: offload makes captured ones wrong, so they are used and counted;
    /// `verify` discards them as Zeek does
    #[arg(long, value_enum, default_value_t = ChecksumChoice::Ignore)]
    checksums: ChecksumChoice,
    /// Flows kept at once; beyond it the flow idle longest ends early and is counted
    #[arg(long, value_name = "N", default_value_t = 131_072, value_parser = clap::value_parser!(u32).range(64..=16_777_216), hide_short_help = true)]
    flow_capacity: u32,
    /// Print where the time went: samples, ns per sample and Mbit/s of each stage
    #[arg(long)]
    timings: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum ChecksumChoice {
    Ignore,
    Verify,
}

impl InputOptions {
    pub(crate) fn config(&self) -> Result<PipelineConfig> {
        let mut config = PipelineConfig::default();
        if let Some(threads) = self.threads {
            config.threads = usize::from(threads);
        }
        if let Some(text) = &self.filter {
            config.filter = Some(Filter::new(text).context("--filter")?);
        }
        config.limit = self.limit;
        config.flow.capacity = self.flow_capacity as usize;
        config.flow.checksums = match self.checksums {
            ChecksumChoice::Ignore => Checksums::Ignore,
            ChecksumChoice::Verify => Checksums::Verify,
        };
        Ok(config)
    }

    pub(crate) fn local(&self) -> Result<Arc<LocalNetworks>> {
        if self.local.is_empty() {
            return Ok(Arc::default());
        }
        let networks = LocalNetworks::parse(self.local.iter().map(String::as_str)).context("--local")?;
        Ok(Arc::new(networks))
    }

    /// Runs the inputs through the pipeline into `stage`: captures, then logs.
    pub(crate) fn run(
        &self,
        inputs: &[PathBuf],
        config: &PipelineConfig,
        scoring: &Scoring,
        stage: &mut dyn Stage,
        control: &Control,
    ) -> Result<Ran> {
        if let [input] = inputs
            && is_pipe(input)
        {
            let piped = piped(input)?;
            let name = input.display().to_string();
            return if piped.is_log {
                self.run_logs(LogInputs::from_reader(&name, piped.reader)?, scoring, stage, control)
            } else {
                let source = Inputs::from_reader(&name, piped.reader)?;
                self.run_captures(source, config, scoring, stage, control)
            };
        }
        let named = Named::of(inputs);
        if named.other_logs > 0 {
            eprintln!("lapwing: {} logs in the folders tell of no connections and were passed over", named.other_logs);
        }
        let mut ran = Ran::default();
        if !named.captures.is_empty() || named.logs.is_empty() {
            ran.add(self.run_captures(Inputs::open(&named.captures)?, config, scoring, stage, control)?);
        }
        if !named.logs.is_empty() && !control.stopped() {
            ran.add(self.run_logs(LogInputs::open(&named.logs)?, scoring, stage, control)?);
        }
        Ok(ran)
    }

    fn run_captures(
        &self,
        mut source: Inputs,
        config: &PipelineConfig,
        scoring: &Scoring,
        stage: &mut dyn Stage,
        control: &Control,
    ) -> Result<Ran> {
        let report = progress::watch(control, || lapwing_engine::run(&mut source, config, scoring, stage, control))?;
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
        if self.timings {
            print_timings(&report.timings);
        }
        Ok(Ran { span: report.span, summary: Summary::new(&report, &reports) })
    }

    fn run_logs(
        &self,
        mut source: LogInputs,
        scoring: &Scoring,
        stage: &mut dyn Stage,
        control: &Control,
    ) -> Result<Ran> {
        if self.filter.is_some() {
            bail!("--filter looks at packets, and logs have none; filter the log before");
        }
        let run = || lapwing_engine::run_logs(&mut source, self.limit, scoring, stage, control);
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
        if self.timings {
            print_timings(&run.timings);
        }
        Ok(Ran { span: run.span, summary: Summary::of_logs(&run, &reports) })
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

/// See [`Ran::all_read`].
pub(crate) fn all_read(summary: &Summary) -> Result<Outcome> {
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
