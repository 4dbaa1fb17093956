//! `lapwing scan`.

use std::collections::HashMap;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use lapwing_alert::{Alert, AlertConfig, format};
use lapwing_detect::signature::{self, SignatureSource};
use lapwing_detect::{Anomaly, Severity};
use lapwing_engine::{Control, Detecting, FitSettings, InputSummary, Learning, Summary, write_evidence};
use lapwing_learn::Model;
use lapwing_protocol::LocalNetworks;
use serde::Serialize;

use crate::input::{InputOptions, all_read, sha256};
use crate::sources::{Named, is_pipe};
use crate::{Outcome, output};

/// Read captures or logs, find what is wrong in them, and explain it
#[derive(Args)]
#[command(after_help = "Examples:\n  lapwing scan suspicious.pcap --baseline clean.pcap\n  \
                        lapwing scan captures/ --model home.lapwing --format json --output alerts.json --fail-on high")]
pub(crate) struct Scan {
    #[command(flatten)]
    input: InputOptions,
    /// Learn what is normal from this trusted capture first; repeatable
    #[arg(long, value_name = "FILE")]
    baseline: Vec<PathBuf>,
    /// Judge flows by this trained model; repeatable
    #[arg(long, value_name = "FILE")]
    model: Vec<PathBuf>,
    /// Signatures (Sigma rules) to use besides the shipped ones: a file or a folder; repeatable
    #[arg(long, value_name = "DIR")]
    signatures: Vec<PathBuf>,
    /// Do not use the shipped signatures
    #[arg(long)]
    no_shipped_signatures: bool,
    /// Scan each input by itself instead of merging them into one timeline
    #[arg(long)]
    separate: bool,
    /// The form; without it what --output ends in (.json, .jsonl, .csv), else a table on a terminal and jsonl elsewhere
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Where to [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write the packets of each alert's evidence into this folder, one small pcap an alert
    #[arg(long, value_name = "DIR")]
    evidence: Option<PathBuf>,
    /// Exit with status 1 when an alert is this severe or worse [default: never]
    #[arg(long, value_name = "SEVERITY", value_parser = severity)]
    fail_on: Option<Severity>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Format {
    Table,
    Json,
    Jsonl,
    Eve,
    Csv,
}

fn severity(name: &str) -> Result<Severity, String> {
    Severity::from_name(name).ok_or_else(|| "write one of informational, low, medium, high, critical".to_owned())
}

/// The document of `--format json`.
#[derive(Serialize)]
struct Document<'a> {
    summary: &'a Summary,
    alerts: &'a [Alert],
}

impl Scan {
    pub(crate) fn run(&self) -> Result<Outcome> {
        let format = self.format();
        if self.evidence.is_some() && self.input.inputs.iter().any(|input| input == Path::new("-")) {
            bail!("--evidence reads the input a second time, which standard input does not allow; name a file");
        }
        self.refuse_own_baseline()?;
        let local = self.input.local()?;
        let sources = self.signature_sources()?;
        let mut anomalies = Vec::new();
        for path in &self.model {
            let model = Model::read(path)?;
            let anomaly = Anomaly::new(Arc::new(model)).with_context(|| path.display().to_string())?;
            anomalies.push(anomaly);
        }
        let read: Vec<PathBuf> =
            [&self.input.inputs, &self.baseline, &self.model].into_iter().flatten().cloned().collect();
        let mut out = output::open(self.output.as_deref(), &read)?;
        let mut summary = Summary::default();
        let control = Control::default();
        if !self.baseline.is_empty() {
            match self.learn(&local, &sources, &control)? {
                Ok(anomaly) => anomalies.push(anomaly),
                Err(reason) => summary.not_evaluated.push(format!("anomaly: the baseline gave no model: {reason}")),
            }
        } else if self.model.is_empty() {
            summary.not_evaluated.push("anomaly: no --baseline and no --model was given".to_owned());
        }

        let mut alerts = Vec::new();
        let groups = self.groups();
        let mut evidence = Vec::new();
        for inputs in &groups {
            if control.stopped() {
                break;
            }
            match self.scan(inputs, &local, &sources, &anomalies, &control) {
                Ok((found, read)) => {
                    evidence.push((inputs, alerts.len()..alerts.len() + found.len()));
                    alerts.extend(found);
                    summary.add(read);
                }
                Err(error) if groups.len() > 1 => {
                    eprintln!("lapwing: {error:#}");
                    summary.inputs.push(InputSummary::refused(&inputs[0], format!("{error:#}")));
                }
                Err(error) => return Err(error),
            }
        }
        self.write(format, &alerts, &summary, &mut out).context("the alerts cannot be written")?;
        if let Some(directory) = &self.evidence {
            for (inputs, found) in evidence {
                let captures = Named::of(inputs).captures;
                if captures.is_empty() {
                    eprintln!("lapwing: a log holds no packets: its alerts got no evidence file");
                    continue;
                }
                let left_out = write_evidence(&captures, &alerts[found], directory)?;
                if left_out > 0 {
                    eprintln!("lapwing: {left_out} alerts, the least severe, got no evidence file: there are too many");
                }
            }
        }
        all_read(&summary)?;
        let found = self.fail_on.is_some_and(|limit| alerts.iter().any(|alert| alert.severity >= limit));
        Ok(if found { Outcome::Found } else { Outcome::Done })
    }

    fn format(&self) -> Format {
        self.format.unwrap_or_else(|| match output::extension(self.output.as_deref()).as_deref() {
            Some("json") => Format::Json,
            Some("csv") => Format::Csv,
            None if self.output.is_none() && io::stdout().is_terminal() => Format::Table,
            _ => Format::Jsonl,
        })
    }

    /// What is scanned as one timeline: everything, or each file by itself; captures and logs never together, for a log tells of
    /// a connection when it ends, and time must not run back.
    fn groups(&self) -> Vec<Vec<PathBuf>> {
        if self.input.inputs.iter().any(|input| is_pipe(input)) {
            return vec![self.input.inputs.clone()];
        }
        let named = Named::of(&self.input.inputs);
        if self.separate {
            return named.files().map(|file| vec![file.clone()]).collect();
        }
        if named.is_mixed() {
            eprintln!("lapwing: captures and logs are scanned one after the other: nothing is counted across them");
            return vec![named.captures, named.logs];
        }
        vec![self.input.inputs.clone()]
    }

    /// A model scored on what it was trained on says nothing: refuse it.
    fn refuse_own_baseline(&self) -> Result<()> {
        let mut known = HashMap::new();
        for file in Named::of(&self.baseline).files().filter(|file| file.is_file()) {
            known.insert(sha256(file)?, file.clone());
        }
        if known.is_empty() {
            return Ok(());
        }
        for file in Named::of(&self.input.inputs).files() {
            if file.is_file()
                && let Some(baseline) = known.get(&sha256(file)?)
            {
                bail!(
                    "{} has the same content as the baseline {}: a model that is judged on what it learnt finds nothing; \
                     give a baseline from another time",
                    file.display(),
                    baseline.display()
                );
            }
        }
        Ok(())
    }

    fn signature_sources(&self) -> Result<Vec<SignatureSource>> {
        let mut sources = if self.no_shipped_signatures { Vec::new() } else { signature::shipped() };
        for path in &self.signatures {
            if !path.exists() {
                bail!("--signatures {}: there is no such file or folder", path.display());
            }
            let (read, problems) = signature::read_directory(path);
            problems.iter().for_each(|problem| eprintln!("lapwing: {problem}"));
            sources.extend(read);
        }
        Ok(sources)
    }

    /// Learns from the baseline: a judge, or why there is none.
    fn learn(
        &self,
        local: &Arc<LocalNetworks>,
        sources: &[SignatureSource],
        control: &Control,
    ) -> Result<Result<Anomaly, String>> {
        let lesson = learn(&self.input, &self.baseline, local, sources, &lapwing_feature::CONNECTION, control)?;
        let threads = self.input.config()?.threads;
        let model = match lesson.fit(FitSettings::default(), Vec::new(), threads) {
            Ok(model) => model,
            Err(error) => return Ok(Err(error.to_string())),
        };
        if let Some(note) = model.calibration().note() {
            eprintln!("lapwing: baseline: {note}; anomalies are at most low");
        }
        Ok(Ok(Anomaly::new(Arc::new(model)).expect("a model just trained has a schema of this program")))
    }

    fn scan(
        &self,
        inputs: &[PathBuf],
        local: &Arc<LocalNetworks>,
        sources: &[SignatureSource],
        anomalies: &[Anomaly],
        control: &Control,
    ) -> Result<(Vec<Alert>, Summary)> {
        let (mut stage, scoring, report) = Detecting::new(local, sources, anomalies.to_vec(), AlertConfig::default());
        report.problems.iter().for_each(|problem| eprintln!("lapwing: {problem}"));
        let ran = self.input.run(inputs, &self.input.config()?, &scoring, &mut stage, control)?;
        let mut summary = ran.summary;
        summary.note_signatures(&report);
        let raised = stage.finish(ran.span.map(|(_, last)| last));
        summary.coverage.extend(raised.lost);
        Ok((raised.alerts, summary))
    }

    fn write(&self, format: Format, alerts: &[Alert], summary: &Summary, out: &mut dyn Write) -> Result<()> {
        match format {
            Format::Table => write_table(alerts, summary, self.output.is_none(), out)?,
            Format::Json => {
                serde_json::to_writer_pretty(&mut *out, &Document { summary, alerts })?;
                out.write_all(b"\n")?;
            }
            Format::Jsonl => format::write_jsonl(alerts, out)?,
            Format::Eve => format::write_eve(alerts, out)?,
            Format::Csv => format::write_csv(alerts, out)?,
        }
        out.flush()?;
        Ok(())
    }
}

/// Reads a baseline; alerts inside it are told as a warning, and what they name is not learnt.
pub(crate) fn learn(
    options: &InputOptions,
    inputs: &[PathBuf],
    local: &Arc<LocalNetworks>,
    sources: &[SignatureSource],
    schema: &'static lapwing_feature::Schema,
    control: &Control,
) -> Result<lapwing_engine::Lesson> {
    if Named::of(inputs).is_mixed() {
        bail!("a baseline is read in the order of time: give captures or logs, not both");
    }
    let (detecting, mut scoring, _) = Detecting::new(local, sources, Vec::new(), AlertConfig::default());
    let place = scoring.add_schema(schema);
    let mut stage = Learning::new(detecting, schema, place, Arc::clone(local));
    let ran = options.run(inputs, &options.config()?, &scoring, &mut stage, control)?;
    if control.stopped() {
        bail!("interrupted while learning: a part of a baseline is none");
    }
    let (lesson, alerts) = stage.finish(ran.span.map(|(_, last)| last));
    for alert in &alerts {
        eprintln!(
            "lapwing: warning: the baseline holds {} ({}) at {}: {}; left out",
            alert.title, alert.severity, alert.device, alert.explanation
        );
    }
    let learnt = lesson.learnt;
    eprintln!(
        "lapwing: learnt from {} of {} flows ({} left out because of alerts, {} thinned out)",
        lesson.len(),
        learnt.flows,
        learnt.left_out,
        learnt.thinned
    );
    Ok(lesson)
}

/// Columns where no terminal says how wide it is.
const DEFAULT_WIDTH: u16 = 120;

fn write_table(alerts: &[Alert], summary: &Summary, on_terminal: bool, out: &mut dyn Write) -> io::Result<()> {
    let color = on_terminal && io::stdout().is_terminal();
    let width = if color { console::Term::stdout().size().1 } else { DEFAULT_WIDTH };
    if alerts.is_empty() {
        writeln!(out, "no alerts")?;
    } else {
        write!(out, "{}", format::render_table(alerts, width, color))?;
    }
    let packets = format!("{} packets, {} bytes", summary.packets, summary.bytes);
    let read = match (summary.packets, summary.records) {
        (_, 0) => packets,
        (0, records) => format!("{records} records"),
        (_, records) => format!("{packets}, {records} records"),
    };
    let times = match (&summary.first, &summary.last) {
        (Some(first), Some(last)) => format!(" from {first} to {last}"),
        _ => String::new(),
    };
    writeln!(out, "{} alerts in {} flows, {read}{times}", alerts.len(), summary.flows,)?;
    for (what, count) in &summary.undecoded {
        writeln!(out, "not decoded: {what}: {count}")?;
    }
    for (what, count) in &summary.coverage {
        writeln!(out, "coverage: {}: {count}", what.replace('_', " "))?;
    }
    for reason in &summary.not_evaluated {
        writeln!(out, "not evaluated: {reason}")?;
    }
    Ok(())
}
