//! `lapwing selftest`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use lapwing_export::{check_sinks, synthetic_alert};
use serde_json::json;

use crate::store::now;
use crate::{Outcome, config, output};

/// Send a made-up alert, marked as such, through every receiver of the configuration, and say what became of it
#[derive(Args)]
#[command(after_help = "Example:\n  lapwing selftest --config lapwing.toml\n\n\
                        The alert is of kind selftest and severity low, and goes to every receiver whatever its routing says.")]
pub(crate) struct Selftest {
    /// Settings with the receivers (docs/delivery.md)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Selftest {
    pub(crate) fn run(&self) -> Result<Outcome> {
        let settings = config::read(Some(&self.config))?;
        if settings.sinks.is_empty() {
            bail!("{}: names no receiver under [sinks]", self.config.display());
        }
        let patience = Duration::from_secs(u64::from(settings.delivery.patience_seconds.get()));
        let alert = synthetic_alert(now());
        let checks = check_sinks(&settings.export(), &alert, patience)?;
        if self.json {
            output::print_json(&json!({"alert": alert.id, "sinks": checks}))?;
        } else {
            for check in &checks {
                let result = match &check.failed {
                    None => "delivered".to_owned(),
                    Some(reason) => format!("failed: {reason}"),
                };
                output::print(&format!("{:<16} {:<8} {}  {result}\n", check.sink, check.sort, check.target))?;
            }
        }
        let failed: Vec<String> =
            checks.iter().filter(|check| check.failed.is_some()).map(|check| format!("`{}`", check.sink)).collect();
        if !failed.is_empty() {
            let (count, names) = (failed.len(), failed.join(", "));
            bail!("{count} of {} receivers did not confirm alert {}: {names}", checks.len(), alert.id);
        }
        Ok(Outcome::Done)
    }
}
