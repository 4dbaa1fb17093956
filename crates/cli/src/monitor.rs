//! `lapwing monitor`.

mod metered;
mod told;
mod watch;
mod written;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use lapwing_alert::AlertConfig;
use lapwing_capture::{InterfaceInfo, LiveConfig, LiveSource, Source, interfaces};
use lapwing_detect::signature::SignatureSource;
use lapwing_engine::{Control, Detecting, Summary, Watching};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::baseline::Normal;
use crate::delivery::Delivering;
use crate::input::{Input, RunOptions};
use crate::signatures::Rules;
use crate::sources::Named;
use crate::{Outcome, output};
use metered::Metered;
pub(crate) use told::Sink;
use told::Told;
use written::{Form, Written};

/// Watch interfaces, and tell what is wrong as it happens
#[derive(Args)]
#[command(after_help = "Examples:\n  lapwing monitor --interface eth0\n  \
                        lapwing monitor --interface eth0 --interface wlan0 --filter 'not port 22' --output alerts.jsonl")]
pub(crate) struct Monitor {
    /// Listen to this interface; repeatable
    #[arg(long, short, value_name = "IF", required_unless_present = "list_interfaces")]
    interface: Vec<String>,
    /// Show the interfaces of this machine, and end
    #[arg(long)]
    list_interfaces: bool,
    #[command(flatten)]
    options: RunOptions,
    /// Learn what is normal from this trusted capture first; repeatable
    #[arg(long, value_name = "FILE")]
    baseline: Vec<PathBuf>,
    /// Judge flows by this trained model; repeatable
    #[arg(long, value_name = "FILE")]
    model: Vec<PathBuf>,
    /// Signatures (Sigma rules) to use besides the shipped ones: a file or a folder; repeatable; SIGHUP reads them anew
    #[arg(long, value_name = "DIR")]
    signatures: Vec<PathBuf>,
    /// Do not use the shipped signatures
    #[arg(long)]
    no_shipped_signatures: bool,
    /// The form; without it what --output ends in (.jsonl, .eve), else a table on a terminal and jsonl elsewhere
    #[arg(long, value_enum)]
    format: Option<Form>,
    /// Append alerts to this file [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Serve metrics for Prometheus at this address: http://ADDR/metrics; whoever can reach it can read them
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = "127.0.0.1:9469")]
    metrics: Option<SocketAddr>,
    /// Hear only what is addressed to this machine
    #[arg(long)]
    no_promiscuous: bool,
    /// MiB of ring in the kernel for each interface: what it holds while this program is busy
    #[arg(long, value_name = "MIB", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=4096))]
    buffer: u32,
    /// Rings that share the frames of an interface by flow, where several cores receive them
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    rings: u16,
    /// End after this many seconds
    #[arg(long, value_name = "SECONDS")]
    duration: Option<u64>,
}

impl Monitor {
    pub(crate) fn run(&self) -> Result<Outcome> {
        if self.list_interfaces {
            output::print(&list(&interfaces().context("the interfaces cannot be listed")?))?;
            return Ok(Outcome::Done);
        }
        let mut input = self.options.settle()?;
        let rules = Rules::read(&input.settings.signatures, &self.signatures, self.no_shipped_signatures)?;
        let read_rules = self.rules(&input);
        let (stop, reload) = signals()?;
        let control = Control::default();
        let trusted = Named::of(&self.baseline);
        let normal = Normal::read(&input, &self.model, &trusted, &rules.sources, &control)?;

        let alerts = AlertConfig::from(&input.settings.alert);
        let (mut detecting, scoring, report) = Detecting::new(&input.local, &rules.sources, normal.anomalies, alerts);
        report.problems.iter().for_each(|problem| eprintln!("lapwing: {problem}"));
        report.warnings.iter().for_each(|warning| eprintln!("lapwing: warning: {warning}"));
        if let Some(inventory) = normal.inventory {
            detecting.set_inventory(inventory);
        }

        let mut source = LiveSource::open(self.live(&mut input), Arc::clone(&stop), watch::tell)?;
        for warning in source.reports().iter().flat_map(|report| &report.warnings) {
            eprintln!("lapwing: {warning}");
        }
        let form = self.format.unwrap_or_else(|| Form::of(self.output.as_deref()));
        let written = Written::open(self.output.as_deref(), form).context("the alerts cannot be written")?;
        let mut sinks: Vec<Box<dyn Sink>> = vec![Box::new(written)];
        let delivering = Delivering::live(&input.settings)?;
        if let Some(address) = self.metrics.or(input.settings.metrics.listen) {
            let metered = Metered::start(address, source.status())?;
            if let Some(delivering) = &delivering {
                delivering.show_in(metered.metrics());
            }
            sinks.push(Box::new(metered));
        }
        if let Some(delivering) = delivering {
            sinks.push(Box::new(delivering));
        }
        let told = Told::new(sinks, read_rules, Arc::clone(&stop));
        eprintln!("lapwing: listening to {}", self.interface.join(", "));
        let (status, control) = (source.status(), Control::default());
        let mut stage = Watching::new(detecting, told, reload);
        let duration = self.duration.map(Duration::from_secs);
        let ran = watch::watch(&status, &control, &stop, duration, || {
            lapwing_engine::run(&mut source, &input.pipeline, &scoring, &mut stage, &control)
        });
        let (told, lost) = stage.finish(ran.span.map(|(_, last)| last));
        let mut summary = Summary::new(&ran, &source.reports());
        summary.note_signatures(&report);
        summary.not_evaluated.extend(rules.left_out.into_iter().chain(normal.not_evaluated));
        summary.coverage.extend(lost);
        eprint!("{}", watch::closing(&summary, told.alerts()));
        input.tell_timings(&ran.timings);
        if let Some(error) = ran.error {
            bail!(error);
        }
        told.finish().context("the alerts cannot be written")?;
        Ok(Outcome::Done)
    }

    /// Reads the rules, then and whenever asked to again.
    fn rules(&self, input: &Input) -> impl Fn() -> Result<Vec<SignatureSource>> + Send + use<> {
        let (settings, more) = (input.settings.signatures.clone(), self.signatures.clone());
        let without_shipped = self.no_shipped_signatures;
        move || Ok(Rules::read(&settings, &more, without_shipped)?.sources)
    }

    /// The source filters and counts, so that the pipeline takes all it gets.
    fn live(&self, input: &mut Input) -> LiveConfig {
        LiveConfig {
            interfaces: self.interface.clone(),
            filter: input.pipeline.filter.take(),
            promiscuous: !self.no_promiscuous,
            buffer: (self.buffer as usize) << 20,
            rings: usize::from(self.rings),
            limit: input.pipeline.limit.take(),
        }
    }
}

/// What SIGINT and SIGTERM set (a second one ends the program at once), and what SIGHUP sets.
fn signals() -> Result<(Arc<AtomicBool>, Arc<AtomicBool>)> {
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

fn list(interfaces: &[InterfaceInfo]) -> String {
    let mut text = format!("{:<16} {:<8} {:<18} {:>6} {:>8}\n", "interface", "state", "address", "mtu", "Mbit/s");
    for interface in interfaces {
        let state = match (interface.up, interface.carrier) {
            (false, _) => "down",
            (true, false) if !interface.loopback => "no link",
            _ => "up",
        };
        let speed = interface.speed.map_or_else(|| "-".to_owned(), |speed| speed.to_string());
        let address = interface.address.as_deref().unwrap_or("-");
        text.push_str(&format!("{:<16} {state:<8} {address:<18} {:>6} {speed:>8}\n", interface.name, interface.mtu));
    }
    text
}
