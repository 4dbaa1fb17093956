//! `lapwing scan`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use lapwing_alert::{Alert, AlertConfig};
use lapwing_asset::Inventory;
use lapwing_detect::signature::LoadReport;
use lapwing_detect::{Anomaly, Severity};
use lapwing_engine::{Control, Detecting, InputSummary, Recording, Summary, write_evidence};
use lapwing_store::{Pressure, Recorder, Store};

use crate::baseline::Normal;
use crate::delivery::Delivering;
use crate::input::{Input, InputOptions, Ran, all_read};
use crate::judge::JudgeOptions;
use crate::output::Output;
use crate::report::{self, Format};
use crate::signatures::Rules;
use crate::sources::Named;
use crate::{Outcome, baseline, store, told};

/// Read captures or logs, find what is wrong in them, and explain it
#[derive(Args)]
#[command(after_help = "Examples:\n  lapwing scan suspicious.pcap --baseline clean.pcap\n  \
                        lapwing scan captures/ --model home.lapwing --format json --output alerts.json --fail-on high")]
pub(crate) struct Scan {
    #[command(flatten)]
    input: InputOptions,
    #[command(flatten)]
    judge: JudgeOptions,
    /// Scan each input by itself instead of merging them into one timeline
    #[arg(long)]
    separate: bool,
    /// The form; without it what --output ends in (.json, .jsonl, .eve, .csv), else a table on a terminal and jsonl elsewhere
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Where to [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write the packets of each alert's evidence into this folder, one small pcap an alert
    #[arg(long, value_name = "DIR")]
    evidence: Option<PathBuf>,
    /// Keep alerts, flows and devices there too, and leave out the alerts that are suppressed there: a folder, or
    /// postgres://USER@HOST/DATABASE
    #[arg(long, value_name = "PLACE", env = "LAPWING_STORE")]
    store: Option<PathBuf>,
    /// Send the alerts to the receivers of the configuration too (docs/delivery.md)
    #[arg(long)]
    deliver: bool,
    /// Exit with status 1 when an alert is this severe or worse
    #[arg(long, value_name = "SEVERITY|never", default_value = "never", value_parser = fail_on)]
    fail_on: FailOn,
}

/// The severity from which on alerts decide the exit status, if any.
#[derive(Clone, Copy)]
struct FailOn(Option<Severity>);

fn fail_on(name: &str) -> Result<FailOn, String> {
    match name {
        "never" => Ok(FailOn(None)),
        _ => Severity::from_name(name)
            .map(|severity| FailOn(Some(severity)))
            .ok_or_else(|| "write one of never, informational, low, medium, high, critical".to_owned()),
    }
}

pub(crate) fn severity(name: &str) -> Result<Severity, String> {
    Severity::from_name(name).ok_or_else(|| "write one of informational, low, medium, high, critical".to_owned())
}

impl Scan {
    pub(crate) fn run(&self) -> Result<Outcome> {
        let format = self.format.unwrap_or_else(|| Format::of(self.output.as_deref()));
        if self.evidence.is_some() && self.input.inputs.iter().any(|input| input == Path::new("-")) {
            bail!("--evidence reads the input a second time, which standard input does not allow; name a file");
        }
        let input = self.input.settle()?;
        let (inputs, trusted) = (Named::of(&self.input.inputs), Named::of(&self.judge.baseline));
        baseline::refuse_own(&trusted, &inputs)?;
        let rules = self.judge.rules(&input.settings.signatures)?;
        let places = input.settings.geo.open().context("[geo]")?;
        let settings = self.input.config().into_iter().collect();
        let read = [inputs.list(), trusted.list(), self.judge.model.clone(), rules.files.clone(), settings].concat();
        let mut out = Output::open(self.output.as_deref(), &read)?;
        let delivering = self.deliver.then(|| Delivering::now(&input.settings)).transpose()?;
        let (store, mut recorder) = store::record(self.store.as_deref(), &input.settings, Pressure::Wait)?.unzip();
        let mut summary = Summary::default();
        summary.not_evaluated.extend(rules.left_out.clone());
        let control = Control::default();
        let mut normal = Normal::read(&input, &self.judge.model, &trusted, &rules.sources, &control)?;
        summary.not_evaluated.extend(normal.not_evaluated.clone());
        summary.baseline.clone_from(&normal.summary);
        let anomalies = normal.anomalies();

        let mut alerts = Vec::new();
        let refused = inputs.refused.clone();
        let groups = inputs.timelines(self.separate);
        let mut evidence = Vec::new();
        for (left, group) in (0..groups.len()).rev().zip(&groups) {
            if control.stopped() {
                break;
            }
            // An inventory is large: the last timeline needs no copy.
            let inventory = if left > 0 { normal.inventory.clone() } else { normal.inventory.take() };
            match scan(&input, group, &rules, &anomalies, inventory, recorder.as_mut(), &control) {
                Ok((mut found, read)) => {
                    found.iter_mut().for_each(|alert| places.note(alert));
                    if let Some(recorder) = &recorder {
                        found.iter().for_each(|alert| recorder.alert(alert));
                    }
                    if let Some(store) = &store {
                        leave_out_suppressed(store, &mut found)?;
                    }
                    evidence.push((group, alerts.len()..alerts.len() + found.len()));
                    alerts.extend(found);
                    summary.add(read);
                }
                Err(error) if groups.len() > 1 => {
                    let reason = told(&error);
                    eprintln!("lapwing: {reason}");
                    summary.inputs.push(InputSummary::refused(
                        group.files().next().map_or(Path::new("-"), PathBuf::as_path),
                        reason,
                    ));
                }
                Err(error) => return Err(error),
            }
        }
        let kept = recorder.map_or(Ok(()), |recorder| recorder.finish().map(drop));
        // What only lay in a folder that was named is told, and is no reason to fail.
        let all_read = all_read(&summary);
        summary.inputs.extend(refused.iter().map(InputSummary::from));
        report::write(format, &alerts, &summary, self.output.is_none(), &mut out)
            .and_then(|()| out.finish())
            .context("the alerts cannot be written")?;
        if let Some(directory) = &self.evidence {
            for (group, found) in evidence {
                if group.captures.is_empty() {
                    eprintln!("lapwing: a log holds no packets: its alerts got no evidence file");
                    continue;
                }
                let left_out = write_evidence(&group.captures, &alerts[found], directory)?;
                if left_out > 0 {
                    eprintln!("lapwing: {left_out} alerts, the least severe, got no evidence file: there are too many");
                }
            }
        }
        if let Some(delivering) = delivering {
            delivering.deliver(&alerts)?;
        }
        kept.context("what was found could not be kept")?;
        all_read?;
        let found = self.fail_on.0.is_some_and(|limit| alerts.iter().any(|alert| alert.severity >= limit));
        Ok(if found { Outcome::Found } else { Outcome::Done })
    }
}

fn scan(
    input: &Input,
    named: &Named,
    rules: &Rules,
    anomalies: &[Anomaly],
    inventory: Option<Inventory>,
    recorder: Option<&mut Recorder>,
    control: &Control,
) -> Result<(Vec<Alert>, Summary)> {
    let alerts = AlertConfig::from(&input.settings.alert);
    let (mut stage, scoring, report) = Detecting::new(&input.local, &rules.sources, anomalies.to_vec(), alerts);
    report.problems.iter().for_each(|problem| eprintln!("lapwing: {problem}"));
    report.warnings.iter().for_each(|warning| eprintln!("lapwing: warning: {warning}"));
    if let Some(inventory) = inventory {
        stage.set_inventory(inventory);
    }
    let Some(recorder) = recorder else {
        let ran = input.run(named, &scoring, &mut stage, control)?;
        return Ok(end(ran, stage, &report));
    };
    let mut recording = Recording::new(&mut stage, recorder);
    let ran = input.run(named, &scoring, &mut recording, control)?;
    recording.finish();
    Ok(end(ran, stage, &report))
}

fn end(ran: Ran, stage: Detecting, report: &LoadReport) -> (Vec<Alert>, Summary) {
    let mut summary = ran.summary;
    summary.note_signatures(report);
    let raised = stage.finish(ran.span.map(|(_, last)| last));
    summary.coverage.extend(raised.lost);
    (raised.alerts, summary)
}

/// Takes out the alerts that a suppression hides; they are kept all the same.
fn leave_out_suppressed(store: &Store, alerts: &mut Vec<Alert>) -> Result<()> {
    let suppressions = store.suppressions()?;
    let before = alerts.len();
    alerts.retain(|alert| suppressions.hiding(alert).is_none());
    if before > alerts.len() {
        eprintln!(
            "lapwing: {} alerts are suppressed; `lapwing query alerts --suppressed` shows them",
            before - alerts.len()
        );
    }
    Ok(())
}
