//! `lapwing train`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use lapwing_detect::signature;
use lapwing_engine::{Control, FitSettings};
use lapwing_learn::ForestSettings;
use lapwing_learn::model::Input;

use crate::features::schema_names;
use crate::input::{InputOptions, sha256};
use crate::sources::Named;
use crate::{Outcome, models, output, scan};

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
    /// False alerts accepted per device and week
    #[arg(long, default_value_t = 1.0, value_parser = budget)]
    budget: f64,
    /// A setting of the model: trees, sample or seed; repeatable
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<String>,
    /// Replace the model if it is there
    #[arg(long)]
    force: bool,
}

fn budget(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|budget: &f64| budget.is_finite() && *budget > 0.0).ok_or("write a number above 0".into())
}

impl Train {
    pub(crate) fn run(&self) -> Result<Outcome> {
        if self.output.exists() && !self.force {
            bail!("{} exists; give --force to replace it", self.output.display());
        }
        let schema = lapwing_feature::find(&self.schema).expect("the option takes names of schemas only");
        let settings = FitSettings { forest: self.forest()?, budget: self.budget };
        let inputs: Vec<PathBuf> = self.input.inputs.iter().chain(&self.pcap).cloned().collect();
        output::refuse_own_input(&self.output, &inputs)?;
        let local = self.input.local()?;
        let lesson = scan::learn(&self.input, &inputs, &local, &signature::shipped(), schema, &Control::default())?;
        let mut read = Vec::new();
        for file in Named::of(&inputs).files().filter(|file| file.is_file()) {
            let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            read.push(Input { name, sha256: sha256(file)? });
        }
        let model = lesson.fit(settings, read, self.input.config()?.threads).context("no model came of it")?;
        model.write(&self.output)?;
        output::print(&models::describe(&model))?;
        Ok(Outcome::Done)
    }

    fn forest(&self) -> Result<ForestSettings> {
        let mut forest = ForestSettings::default();
        for setting in &self.settings {
            let Some((name, value)) = setting.split_once('=') else { bail!("--set {setting}: write NAME=VALUE") };
            let number =
                |value: &str| value.parse().with_context(|| format!("--set {name}: '{value}' is not a number"));
            match name {
                "trees" => forest.trees = number(value)?,
                "sample" => forest.sample = number(value)?,
                "seed" => {
                    forest.seed = value.parse().with_context(|| format!("--set seed: '{value}' is not a number"))?;
                }
                _ => bail!("--set {name}: there is no such setting; there are trees, sample and seed"),
            }
        }
        Ok(forest)
    }
}
