//! `lapwing models`.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use lapwing_alert::rfc3339;
use lapwing_capture::Timestamp;
use lapwing_detect::Anomaly;
use lapwing_learn::Model;
use std::sync::Arc;

use crate::{Outcome, output, told};

/// Show a model's card, or check that it is whole and fits this program
#[derive(Args)]
#[command(after_help = "Example: lapwing models show home.lapwing")]
pub(crate) struct Models {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Print what the model was trained on, with what, and what its scores mean
    #[command(after_help = "Example: lapwing models show home.lapwing")]
    Show {
        /// The model
        model: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Check checksum, contents and schema
    #[command(after_help = "Example: lapwing models verify home.lapwing office.lapwing")]
    Verify {
        /// The models
        #[arg(required = true)]
        models: Vec<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

impl Models {
    pub(crate) fn run(&self) -> Result<Outcome> {
        match &self.action {
            Action::Show { model, json: true } => output::print_json(&json_card(&Model::read(model)?))?,
            Action::Show { model, json: false } => output::print(&describe(&Model::read(model)?))?,
            Action::Verify { models, json } => verify(models, *json)?,
        }
        Ok(Outcome::Done)
    }
}

/// Checks every model, and fails after the last one if any is not fit.
fn verify(models: &[PathBuf], json: bool) -> Result<()> {
    let mut results = Vec::new();
    for path in models {
        let model = Model::read(path).map_err(anyhow::Error::from);
        let fault =
            match model.and_then(|model| Anomaly::new(Arc::new(model)).with_context(|| path.display().to_string())) {
                Ok(_) => None,
                Err(error) => Some(told(&error)),
            };
        match &fault {
            _ if json => {}
            None => output::print(&format!("{}: whole, and fits this program\n", path.display()))?,
            Some(reason) => eprintln!("lapwing: {reason}"),
        }
        results.push(serde_json::json!({"path": path, "fit": fault.is_none(), "reason": fault}));
    }
    let unfit = results.iter().filter(|result| result["fit"] == false).count();
    let count = results.len();
    if json {
        output::print_json(&serde_json::json!({"models": results}))?;
    }
    if unfit > 0 {
        bail!("{unfit} of {count} models cannot be used");
    }
    Ok(())
}

/// The model card, for people.
pub(crate) fn describe(model: &Model) -> String {
    let (card, calibration) = (model.card(), model.calibration());
    let training = &card.training;
    let mut text = String::new();
    let mut line = |name: &str, value: String| writeln!(text, "{name:<22} {value}").expect("memory takes text");
    line("schema", format!("{} version {} ({} columns)", card.schema.name, card.schema.version, card.columns.len()));
    line("trained by", training.program.clone());
    for input in &training.inputs {
        line("input", format!("{} sha256 {}", input.name, hex(&input.sha256)));
    }
    line("rows", format!("{} learnt, {} held back", training.rows, training.rows_held_back));
    if let Some((first, last)) = training.span {
        let time = |nanos| rfc3339(Timestamp::from_nanos(nanos));
        line("time", format!("{} to {}", time(first), time(last)));
    }
    line("seed", training.seed.to_string());
    for (name, value) in &training.settings {
        line(name, value.clone());
    }
    for (name, value) in &training.metrics {
        line(name, value.to_string());
    }
    line("budget", format!("{} false alerts per device and week", calibration.budget()));
    line("expected", format!("{:.3} false alerts per device and week", calibration.expected()));
    line("threshold", format!("score above {:.4}", model.threshold()));
    line("calibrated on", format!("{} rows, {:.3} device-days", calibration.rows(), calibration.device_days()));
    if let Some(note) = calibration.note() {
        line("note", note);
    }
    text
}

/// The model card, for programs.
pub(crate) fn json_card(model: &Model) -> serde_json::Value {
    let (card, calibration) = (model.card(), model.calibration());
    let training = &card.training;
    serde_json::json!({
        "schema": {"name": card.schema.name, "version": card.schema.version, "hash": hex(&card.schema.hash)},
        "columns": card.columns,
        "program": training.program,
        "inputs": training.inputs.iter()
            .map(|input| serde_json::json!({"name": input.name, "sha256": hex(&input.sha256)})).collect::<Vec<_>>(),
        "rows": training.rows,
        "rows_held_back": training.rows_held_back,
        "first": training.span.map(|(first, _)| rfc3339(Timestamp::from_nanos(first))),
        "last": training.span.map(|(_, last)| rfc3339(Timestamp::from_nanos(last))),
        "seed": training.seed,
        "settings": training.settings.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
        "metrics": training.metrics.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
        "budget": calibration.budget(),
        "expected": calibration.expected(),
        "threshold": model.threshold(),
        "calibration": {"rows": calibration.rows(), "device_days": calibration.device_days(),
                        "budget_is_verifiable": calibration.budget_is_verifiable(), "note": calibration.note()},
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
