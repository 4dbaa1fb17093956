//! `lapwing monitor`.

mod appended;
pub(crate) mod fence;
pub(crate) mod follow;
pub(crate) mod keep;
mod listen;
pub(crate) mod lock;
pub(crate) mod metered;
mod piped;
pub(crate) mod reload;
pub(crate) mod simulate;
mod suppressed;
pub(crate) mod told;
pub(crate) mod watch;
mod written;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use lapwing_alert::{AlertConfig, Places};
use lapwing_capture::{LiveConfig, LiveStatus};
use lapwing_detect::signature::LoadReport;
use lapwing_engine::{Control, Count, Detecting, Scoring, Summary, Timings};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::Outcome;
use crate::baseline::Normal;
use crate::delivery::Delivering;
use crate::input::{Input, RunOptions, all_read};
use crate::judge::JudgeOptions;
use crate::sources::Named;
use keep::{Keep, Keeping};
use lock::Locks;
use metered::{Counting, Metered};
use reload::Reload;
use told::{Sink, Told};
use written::{Form, Written};

/// Watch interfaces, or the logs of Zeek or Suricata, and tell what is wrong as it happens
#[derive(Args)]
#[command(after_help = "Examples:\n  lapwing monitor --interface eth0\n  \
                        lapwing monitor --interface eth0 --interface wlan0 --filter 'not port 22' --output alerts.jsonl\n  \
                        lapwing monitor --zeek /opt/zeek/logs --output alerts.jsonl\n  \
                        lapwing monitor --simulate")]
pub(crate) struct Monitor {
    /// Listen to this interface; repeatable
    #[arg(long, short, value_name = "IF", required_unless_present_any = ["list_interfaces", "zeek", "eve", "simulate"])]
    interface: Vec<String>,
    #[command(flatten)]
    simulate: simulate::Simulate,
    #[command(flatten)]
    follow: follow::Follow,
    /// Show the interfaces of this machine, and end
    #[arg(long)]
    list_interfaces: bool,
    #[command(flatten)]
    options: RunOptions,
    #[command(flatten)]
    judge: JudgeOptions,
    /// The form; without it what --output ends in (.jsonl, .eve), else a table on a terminal and jsonl elsewhere
    #[arg(long, value_enum)]
    format: Option<Form>,
    /// Append alerts to this file [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    keep: Keep,
    /// Keep the frames in this folder, as pcap with times in nanoseconds
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
    /// Begin a new file after so many MiB
    #[arg(long, value_name = "MIB", requires = "write", default_value = "256")]
    write_size: Count<1, 1_048_576>,
    /// Begin a new file after so many seconds
    #[arg(long, value_name = "SECONDS", requires = "write", default_value = "3600")]
    write_seconds: Count<1, 31_536_000>,
    /// Keep so many files; the oldest go [default: all]
    #[arg(long, value_name = "N", requires = "write")]
    write_files: Option<Count<1, 1_000_000>>,
    /// Serve metrics for Prometheus at this address: http://ADDR/metrics; whoever can reach it can read them
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = "127.0.0.1:9469")]
    metrics: Option<SocketAddr>,
    /// Hear only what is addressed to this machine
    #[arg(long)]
    no_promiscuous: bool,
    /// MiB of ring in the kernel for each interface: what it holds while this program is busy
    #[arg(long, value_name = "MIB", default_value = "16")]
    buffer: Count<1, 4_096>,
    /// Rings that share the frames of an interface by flow, where several cores receive them
    #[arg(long, value_name = "N", default_value = "1")]
    rings: Count<1, { LiveConfig::MOST_RINGS as u64 }>,
    /// Keep all rights, and access to all files
    #[arg(long)]
    no_sandbox: bool,
    /// End after this many seconds
    #[arg(long, value_name = "SECONDS")]
    duration: Option<u64>,
}

/// The end of a run takes no longer than this, so that whoever stops it need not kill it.
const FAREWELL: Duration = Duration::from_millis(4_500);

/// What the store gets of it at least, after receivers that do not answer.
const STORE_FAREWELL: Duration = Duration::from_millis(400);

/// What a run judges by, and what it is told from outside.
struct Prepared {
    detecting: Detecting,
    scoring: Arc<Scoring>,
    reload: Reload,
    places: Places,
    notes: Notes,
    /// Set when the run is to end.
    stop: Arc<AtomicBool>,
    /// Set when it is to read anew what it judges by.
    renew: Arc<AtomicBool>,
    locks: Locks,
}

/// What was known before the first packet, for the summary.
struct Notes {
    report: LoadReport,
    /// Rules that are not used, and models.
    not_evaluated: Vec<String>,
    baseline: Option<Box<Summary>>,
}

impl Notes {
    fn add_to(self, summary: &mut Summary) {
        summary.note_signatures(&self.report);
        summary.not_evaluated.extend(self.not_evaluated);
        summary.baseline = self.baseline;
    }
}

impl Monitor {
    pub(crate) fn run(&self) -> Result<Outcome> {
        if self.list_interfaces {
            return listen::list();
        }
        let mut input = self.options.settle()?;
        self.simulate.keep_apart(&mut input);
        let mut locks = Locks::default();
        if let Some(folder) = self.keep.folder(&input.settings) {
            locks.take(folder)?;
        }
        let prepared = self.prepare(&input, locks)?;
        match () {
            () if self.follow.is_asked() => self.follow_logs(&input, prepared),
            () if self.simulate.is_asked() => self.run_simulation(&input, prepared),
            () => self.listen(input, prepared),
        }
    }

    /// Reads what the run judges by.
    fn prepare(&self, input: &Input, locks: Locks) -> Result<Prepared> {
        let rules = self.judge.rules(&input.settings.signatures)?;
        let (stop, renew) = signals()?;
        let trusted = Named::of(&self.judge.baseline);
        let mut normal = Normal::read(input, &self.judge.model, &trusted, &rules.sources, &Control::default())?;
        if let Some(baseline) = &normal.summary {
            all_read(baseline).context("the baseline")?;
        }
        let alerts = AlertConfig { simulated: self.simulate.is_asked(), ..AlertConfig::from(&input.settings.alert) };
        let anomalies = normal.anomalies();
        let (mut detecting, scoring, report) = Detecting::new(&input.local, &rules.sources, anomalies, alerts);
        let scoring = Arc::new(scoring);
        report.problems.iter().for_each(|problem| eprintln!("lapwing: {problem}"));
        report.warnings.iter().for_each(|warning| eprintln!("lapwing: warning: {warning}"));
        if let Some(inventory) = normal.inventory {
            detecting.set_inventory(inventory);
        }
        let (in_force, learnt) = (Arc::clone(&scoring), normal.learnt.take());
        let reload = Reload::new(&self.judge, &input.settings.signatures, move |models| {
            in_force.replace(models.into_iter().map(|model| model.anomaly).chain(learnt.clone()).collect());
        });
        let not_evaluated = rules.left_out.into_iter().chain(normal.not_evaluated).collect();
        let notes = Notes { report, not_evaluated, baseline: normal.summary };
        let places = input.settings.geo.open().context("[geo]")?;
        Ok(Prepared { detecting, scoring, reload, places, notes, stop, renew, locks })
    }

    /// Where alerts are written.
    fn written(&self) -> Result<Written> {
        let form = self.format.unwrap_or_else(|| Form::of(self.output.as_deref()));
        Written::open(self.output.as_deref(), form).context("the alerts cannot be written")
    }

    /// Where alerts go; metrics show `status` too.
    fn sinks(
        &self,
        input: &Input,
        written: Written,
        status: &Arc<LiveStatus>,
        control: &Arc<Control>,
        keeping: Option<&mut Keeping>,
    ) -> Result<Vec<Box<dyn Sink>>> {
        let mut sinks: Vec<Box<dyn Sink>> = vec![Box::new(written)];
        let delivering = Delivering::live(&input.settings)?;
        if let Some(address) = self.metrics_at(input) {
            let (status, control) = (Arc::clone(status), Arc::clone(control));
            let kept = keeping.as_deref().map(Keeping::alerts);
            let played = self.simulate.is_asked().then(|| "simulated home".to_owned());
            let metered = Metered::start(address, Counting { status, control, kept, played })?;
            if let Some(delivering) = &delivering {
                delivering.show_in(metered.metrics());
            }
            sinks.push(Box::new(metered));
        }
        if let Some(delivering) = delivering {
            sinks.push(Box::new(delivering));
        }
        Ok(match keeping {
            Some(keeping) => keeping.beside(sinks)?,
            None => sinks,
        })
    }

    /// Where metrics are served, if they are.
    fn metrics_at(&self, input: &Input) -> Option<SocketAddr> {
        self.metrics.or(input.settings.metrics.listen)
    }
}

/// Sends what waits on its way, and says what came of the run.
fn conclude(
    input: &Input,
    told: Told,
    keeping: Option<Keeping>,
    mut summary: Summary,
    timings: &Timings,
) -> Result<Outcome> {
    let end = Instant::now() + FAREWELL;
    let alerts = told.alerts();
    let written = told.finish();
    let left = end.saturating_duration_since(Instant::now()).max(STORE_FAREWELL);
    let kept = keeping.map_or_else(|| Ok(Default::default()), |keeping| keeping.finish(left));
    let kept = kept.map(|left_out| summary.coverage.extend(left_out));
    eprint!("{}", watch::closing(&summary, alerts));
    input.tell_timings(timings);
    written.context("the alerts cannot be written")?;
    kept?;
    Ok(Outcome::Done)
}

/// What SIGINT and SIGTERM set (a second one ends the program at once), and what SIGHUP sets.
pub(crate) fn signals() -> Result<(Arc<AtomicBool>, Arc<AtomicBool>)> {
    let (stop, reload) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let register = || -> io::Result<()> {
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop))?;
            signal_hook::flag::register(signal, Arc::clone(&stop))?;
        }
        signal_hook::flag::register(SIGHUP, Arc::clone(&reload)).map(drop)
    };
    register().context("no signal handler could be set")?;
    Ok((stop, reload))
}
