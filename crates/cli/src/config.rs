//! `lapwing.toml`: read and checked before anything starts; `lapwing config`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, Subcommand};
use lapwing_engine::Config;
use lapwing_export::check_settings;

use crate::{Outcome, output};

/// Check settings, or show them with what they leave out
#[derive(Args)]
#[command(after_help = "Examples:\n  lapwing config check lapwing.toml\n  lapwing config show > lapwing.toml")]
pub(crate) struct ConfigVerb {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Say what is wrong with a configuration, its receivers' secrets and certificates included; nothing is sent
    #[command(after_help = "Example:\n  lapwing config check lapwing.toml")]
    Check {
        /// The configuration
        file: PathBuf,
    },
    /// Print every setting, the defaults where the file says nothing, as a file that could be read; secrets are not shown
    #[command(after_help = "Example:\n  lapwing config show lapwing.toml --json")]
    Show {
        /// The configuration [default: none, which shows the defaults]
        file: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

impl ConfigVerb {
    pub(crate) fn run(&self) -> Result<Outcome> {
        match &self.what {
            What::Check { file } => {
                let settings = read(Some(file))?;
                let folders = &settings.signatures.folders;
                if let Some(folder) = folders.iter().find(|folder| !folder.exists()) {
                    bail!("{}: signatures.folders: {} is not there", file.display(), folder.display());
                }
                settings.geo.open().with_context(|| format!("{}: geo", file.display()))?;
                check_settings(&settings.export()).with_context(|| file.display().to_string())?;
                output::print(&format!("{}: well-formed, {} receivers\n", file.display(), settings.sinks.len()))?;
            }
            What::Show { file, json } => {
                let settings = read(file.as_deref())?;
                if *json {
                    output::print_json(&serde_json::to_value(&settings)?)?;
                } else {
                    output::print(&toml::to_string(&settings).context("the settings cannot be shown")?)?;
                }
            }
        }
        Ok(Outcome::Done)
    }
}

/// No configuration comes near; what is larger is something else.
const MOST_BYTES: u64 = 1 << 20;

/// Reads the file, or gives the defaults where none is named. What is wrong is told with file, line, key and range.
pub(crate) fn read(path: Option<&Path>) -> Result<Config> {
    let Some(path) = path else { return Ok(Config::default()) };
    let name = path.display();
    let size = fs::metadata(path).with_context(|| format!("--config {name}: cannot be read"))?.len();
    if size > MOST_BYTES {
        bail!("--config {name}: {size} bytes: this is no configuration");
    }
    let text = fs::read_to_string(path).with_context(|| format!("--config {name}: cannot be read"))?;
    parse(&text).map_err(|reason| anyhow!("{name}{reason}"))
}

/// The configuration, or `:LINE: KEY: what is wrong`.
fn parse(text: &str) -> Result<Config, String> {
    let told = |key: &str, error: &toml::de::Error| {
        let line = error.span().map(|span| 1 + text[..span.start].matches('\n').count());
        let line = line.map(|line| format!(":{line}")).unwrap_or_default();
        let key = if key.is_empty() || key == "." { String::new() } else { format!("{key}: ") };
        format!("{line}: {key}{}", error.message())
    };
    let document = toml::Deserializer::parse(text).map_err(|error| told("", &error))?;
    serde_path_to_error::deserialize(document).map_err(|error| told(&error.path().to_string(), error.inner()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_defaults() {
        assert_eq!(parse("").unwrap(), Config::default());
    }

    #[test]
    fn settings_are_read() {
        let config = parse(
            "threads = 2\nlocal = ['10.0.0.0/8']\n[capture]\nfilter = 'not port 22'\n[flow]\nchecksums = 'verify'\n\
             [train]\nbudget = 2\ntrees = 50\n",
        )
        .unwrap();
        assert_eq!(config.pipeline().threads, 2);
        assert!(config.pipeline().filter.is_some());
        assert_eq!((config.train.budget.get(), config.train.trees.get()), (2.0, 50));
    }

    #[test]
    fn what_is_wrong_is_told_with_line_key_and_range() {
        for (text, told) in [
            ("threads = 0", ":1: threads: 0 is out of range; use 1 to 64"),
            ("[flow]\ncapacity = -1", ":2: flow.capacity: -1 is out of range; use 64 to 16777216"),
            ("[train]\nbudget = 0.0", ":2: train.budget: 0 is out of range; use a number above 0"),
            ("[capture]\nlimit = 0", ":2: capture.limit: 0 is out of range; use 1 or more"),
        ] {
            assert_eq!(parse(text).unwrap_err(), told);
        }
        for (text, words) in [
            ("[flow]\ncapacty = 1", [":2: flow", "unknown field `capacty`"]),
            ("[capture]\nfilter = 'prot 5'", [":2: capture.filter", "prot"]),
            ("local = ['10.0.0.0/99']", [":1: local", "10.0.0.0/99"]),
            ("threads = 'many'", [":1: threads", "invalid type"]),
            ("threads = = 1", [":1: ", "extra"]),
        ] {
            let error = parse(text).unwrap_err();
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
    }
}
