//! `lapwing query alerts`.

use std::io::{self, IsTerminal, Write};

use anyhow::Result;
use clap::Args;
use lapwing_alert::{Alert, Status, format};
use lapwing_detect::Severity;
use lapwing_store::AlertQuery;

use super::{Format, ResultOptions, write_json};
use crate::report::DEFAULT_WIDTH;
use crate::store::TimeOptions;

/// Alerts that were found, the latest first
#[derive(Args)]
pub(super) struct Alerts {
    #[command(flatten)]
    result: ResultOptions,
    #[command(flatten)]
    time: TimeOptions,
    /// About this host or device
    #[arg(long, value_name = "HOST")]
    device: Option<String>,
    /// With this host among those concerned
    #[arg(long, value_name = "HOST")]
    peer: Option<String>,
    /// Of this kind: port-scan, beacon …
    #[arg(long)]
    kind: Option<String>,
    /// This severe or worse
    #[arg(long, value_parser = crate::scan::severity)]
    severity: Option<Severity>,
    /// In this state: open, acknowledged, closed
    #[arg(long, value_parser = status)]
    status: Option<Status>,
    /// Those that nobody has acknowledged or closed, whether they still go on or not
    #[arg(long)]
    unseen: bool,
    /// With this text in title, explanation, device, peers, detectors or rules
    #[arg(long)]
    text: Option<String>,
    /// Show those too that a suppression hides
    #[arg(long)]
    suppressed: bool,
}

fn status(name: &str) -> Result<Status, String> {
    Status::from_name(name).ok_or_else(|| "write one of open, acknowledged, closed".to_owned())
}

impl Alerts {
    pub(super) fn run(&self) -> Result<()> {
        let query = AlertQuery {
            time: self.time.range(),
            device: self.device.clone(),
            peer: self.peer.clone(),
            kinds: self.kind.iter().cloned().collect(),
            severity: self.severity,
            status: self.status,
            unseen: self.unseen,
            text: self.text.clone(),
            suppressed: self.suppressed,
            limit: self.result.limit(),
            ..AlertQuery::default()
        };
        let page = self.result.store.open()?.alerts(&query)?;
        let mut out = self.result.open()?;
        match self.result.format() {
            Format::Table => table(&page.items, self.result.output.is_none(), &mut out)?,
            Format::Json => write_json(&page.items, &mut out)?,
            Format::Jsonl => format::write_jsonl(&page.items, &mut out)?,
            Format::Csv => format::write_csv(&page.items, &mut out)?,
        }
        out.finish()?;
        self.result.tell_cut(page.next.is_some());
        Ok(())
    }
}

/// Alerts as `scan` prints them, each with the id by which it can be acknowledged.
fn table(alerts: &[Alert], on_terminal: bool, out: &mut dyn Write) -> io::Result<()> {
    let color = on_terminal && io::stdout().is_terminal();
    let width = if color { console::Term::stdout().size().1 } else { DEFAULT_WIDTH };
    for alert in alerts {
        write!(out, "{}", format::render_table(std::slice::from_ref(alert), width, color))?;
        let by = alert.status_by.as_ref().map_or_else(String::new, |who| format!(" by {who}"));
        let hidden = alert.suppressed_by.as_ref().map_or_else(String::new, |id| format!(", suppressed by {id}"));
        writeln!(out, "          {} {}{by}{hidden}", alert.id, alert.status.as_str())?;
    }
    writeln!(out, "{} alerts", alerts.len())
}
