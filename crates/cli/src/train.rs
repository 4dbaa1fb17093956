//! `lapwing train`.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use lapwing_engine::{Budget, Control, FitSettings, TrainSettings};

use crate::features::schema_names;
use crate::input::{self, InputOptions, sha256};
use crate::output::Output;
use crate::signatures::Rules;
use crate::sources::Named;
use crate::{Outcome, baseline, models, output};

/// Learn what is normal from trusted captures or logs, and write a model
#[derive(Args)]
#[command(after_help = "Example: lapwing train monday.pcap tuesday.pcap --output home.lapwing")]
#[command(mut_arg("inputs", |inputs| inputs.required(false).required_unless_present("pcap")))]
pub(crate) struct Train {
    #[command(flatten)]
    input: InputOptions,
    /// Another way to name an input
    #[arg(long, value_name = "FILE")]
    pcap: Vec<PathBuf>,
    /// Where the model goes
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// What kind of model
    #[arg(long, default_value = "isolation-forest", value_parser = ["isolation-forest"])]
    detector: String,
    /// The schema of the rows it learns from
    #[arg(long, default_value = "connection", value_parser = schema_names())]
    schema: String,
    /// False alerts accepted per device and week [default: 1]
    #[arg(long, value_name = "N")]
    budget: Option<Budget>,
    /// A setting of the model: trees, sample or seed; repeatable
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<String>,
    /// Replace the model if it is there
    #[arg(long)]
    force: bool,
    /// Print the model's card as JSON
    #[arg(long)]
    json: bool,
}

impl Train {
    pub(crate) fn run(&self) -> Result<Outcome> {
        if self.output.exists() && !self.force {
            bail!("{} exists; give --force to replace it", self.output.display());
        }
        let schema = lapwing_feature::find(&self.schema).expect("the option takes names of schemas only");
        let input = self.input.settle()?;
        let fit = self.fit(&input.settings.train)?;
        fit.forest.check().context("--set")?;
        let named: Vec<PathBuf> = self.input.inputs.iter().chain(&self.pcap).cloned().collect();
        let named = Named::of(&named);
        output::refuse_own_input(&self.output, &named.list())?;
        // What would fail at the end is found at the beginning.
        output::check_writable(&self.output)?;
        let rules = Rules::read(&input.settings.signatures, &[], false)?;
        let taught = baseline::learn(&input, &named, &rules.sources, schema, &Control::default())?;
        input::all_read(&taught.summary)
            .context("a model of a part of what was named is none, so nothing was written")?;
        let mut read = Vec::new();
        for file in named.files().filter(|file| file.is_file()) {
            let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            read.push(lapwing_learn::model::Input { name, sha256: sha256(file)? });
        }
        let model = taught.lesson.fit(fit, read, input.pipeline.threads).context("no model came of it")?;
        let mut out = Output::open(Some(&self.output), &[])?;
        let written = out.write_all(&model.to_bytes()?).and_then(|()| out.finish());
        written.with_context(|| format!("{}: cannot be written", self.output.display()))?;
        if self.json {
            output::print_json(&models::json_card(&model))?;
        } else {
            output::print(&models::describe(&model))?;
        }
        Ok(Outcome::Done)
    }

    fn fit(&self, settings: &TrainSettings) -> Result<FitSettings> {
        let mut settings = settings.clone();
        if let Some(budget) = self.budget {
            settings.budget = budget;
        }
        for setting in &self.settings {
            let Some((name, value)) = setting.split_once('=') else { bail!("--set {setting}: write NAME=VALUE") };
            let context = || format!("--set {name}");
            match name {
                "trees" => settings.trees = value.parse().with_context(context)?,
                "sample" => settings.sample = value.parse().with_context(context)?,
                "seed" => settings.seed = value.parse().with_context(context)?,
                _ => bail!("--set {name}: there is no such setting; there are trees, sample and seed"),
            }
        }
        Ok((&settings).into())
    }
}
