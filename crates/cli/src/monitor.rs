//! `lapwing monitor`.

mod follow;
mod metered;
mod told;
mod watch;
mod written;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use lapwing_alert::AlertConfig;
use lapwing_capture::{InterfaceInfo, LiveConfig, LiveSource, LiveStatus, Recorder, Rotation, Source, interfaces};
use lapwing_detect::signature::SignatureSource;
use lapwing_engine::{Control, Count, Detecting, Summary, Watching};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::baseline::Normal;
use crate::delivery::Delivering;
use crate::input::{Input, RunOptions, all_read};
use crate::judge::JudgeOptions;
use crate::sandbox::Sandbox;
use crate::sources::Named;
use crate::{Outcome, output};
use follow::Prepared;
use metered::Metered;
pub(crate) use told::Sink;
use told::Told;
use written::{Form, Written};

/// Watch interfaces, or the logs of Zeek or Suricata, and tell what is wrong as it happens
#[derive(Args)]
#[command(after_help = "Examples:\n  lapwing monitor --interface eth0\n  \
                        lapwing monitor --interface eth0 --interface wlan0 --filter 'not port 22' --output alerts.jsonl\n  \
                        lapwing monitor --zeek /opt/zeek/logs --output alerts.jsonl")]
pub(crate) struct Monitor {
    /// Listen to this interface; repeatable
    #[arg(long, short, value_name = "IF", required_unless_present_any = ["list_interfaces", "zeek", "eve"])]
    interface: Vec<String>,
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
    /// Keep all rights, and access to all files, while listening
    #[arg(long)]
    no_sandbox: bool,
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
        let rules = self.judge.rules(&input.settings.signatures)?;
        let read_rules = self.rules(&input);
        let (stop, reload) = signals()?;
        let control = Control::default();
        let trusted = Named::of(&self.judge.baseline);
        let normal = Normal::read(&input, &self.judge.model, &trusted, &rules.sources, &control)?;
        if let Some(baseline) = &normal.summary {
            all_read(baseline).context("the baseline")?;
        }

        let alerts = AlertConfig::from(&input.settings.alert);
        let (mut detecting, scoring, report) = Detecting::new(&input.local, &rules.sources, normal.anomalies, alerts);
        report.problems.iter().for_each(|problem| eprintln!("lapwing: {problem}"));
        report.warnings.iter().for_each(|warning| eprintln!("lapwing: warning: {warning}"));
        if let Some(inventory) = normal.inventory {
            detecting.set_inventory(inventory);
        }

        if self.follow.is_asked() {
            let prepared =
                Prepared { detecting, scoring, report, left_out: rules.left_out, normal: normal.not_evaluated };
            return self.follow_logs(&input, prepared, read_rules, &stop, reload);
        }
        let source = LiveSource::open(self.live(&mut input), Arc::clone(&stop), watch::tell)?;
        for warning in source.reports().iter().flat_map(|report| &report.warnings) {
            eprintln!("lapwing: {warning}");
        }
        let status = source.status();
        let (mut source, not_kept) = self.keep(source)?;
        let written = self.written()?;
        // Before any thread is started: none may stay outside.
        let fences = if self.no_sandbox { "no sandbox".to_owned() } else { self.fence(&input)? };
        let told = Told::new(self.sinks(&input, written, &status)?, read_rules, Arc::clone(&stop));
        eprintln!("lapwing: listening to {} ({fences})", self.interface.join(", "));
        let heard = {
            let status = Arc::clone(&status);
            move || watch::heard(&status.interfaces())
        };
        let mut stage = Watching::new(detecting, told, reload, heard);
        let duration = self.duration.map(Duration::from_secs);
        let ran = watch::watch(&status, &control, &stop, duration, || {
            lapwing_engine::run(&mut *source, &input.pipeline, &scoring, &mut stage, &control)
        });
        let (told, lost) = stage.finish(ran.span.map(|(_, last)| last));
        let mut summary = Summary::new(&ran, &source.reports());
        summary.note_signatures(&report);
        summary.not_evaluated.extend(rules.left_out.into_iter().chain(normal.not_evaluated));
        summary.baseline = normal.summary;
        summary.coverage.extend(lost);
        summary.coverage.extend(watch::gaps(&status.interfaces(), not_kept.load(Ordering::Relaxed)));
        eprint!("{}", watch::closing(&summary, told.alerts()));
        input.tell_timings(&ran.timings);
        if let Some(error) = ran.error {
            bail!(error);
        }
        told.finish().context("the alerts cannot be written")?;
        Ok(Outcome::Done)
    }

    /// Where alerts are written.
    fn written(&self) -> Result<Written> {
        let form = self.format.unwrap_or_else(|| Form::of(self.output.as_deref()));
        Written::open(self.output.as_deref(), form).context("the alerts cannot be written")
    }

    /// Where alerts go besides; metrics show `status` too.
    fn sinks(&self, input: &Input, written: Written, status: &Arc<LiveStatus>) -> Result<Vec<Box<dyn Sink>>> {
        let mut sinks: Vec<Box<dyn Sink>> = vec![Box::new(written)];
        let delivering = Delivering::live(&input.settings)?;
        if let Some(address) = self.metrics_at(input) {
            let metered = Metered::start(address, Arc::clone(status))?;
            if let Some(delivering) = &delivering {
                delivering.show_in(metered.metrics());
            }
            sinks.push(Box::new(metered));
        }
        if let Some(delivering) = delivering {
            sinks.push(Box::new(delivering));
        }
        Ok(sinks)
    }

    /// The source, whose frames are kept where that was asked for, and how many could not be.
    fn keep(&self, source: LiveSource) -> Result<(Box<dyn Source>, Arc<AtomicU64>)> {
        let Some(folder) = &self.write else { return Ok((Box::new(source), Arc::default())) };
        let rotation = Rotation {
            size: self.write_size.get() << 20,
            time: Duration::from_secs(self.write_seconds.get()),
            files: self.write_files.map(|files| files.get() as usize),
            ..Rotation::default()
        };
        let recorder = Recorder::new(source, folder, rotation, watch::tell_recorder)
            .with_context(|| format!("--write {}: frames cannot be kept there", folder.display()))?;
        let lost = recorder.lost();
        Ok((Box::new(recorder), lost))
    }

    /// Gives up what is not needed to go on: reading rules anew, writing where alerts and frames are written.
    fn fence(&self, input: &Input) -> Result<String> {
        let rules = input.settings.signatures.folders.iter().chain(&self.judge.signatures);
        let mut sandbox = Sandbox {
            // A file that is replaced is another file of the same folder.
            read: rules.map(|path| if path.is_dir() { path.clone() } else { folder_of(path) }).collect(),
            write: self.write.iter().cloned().chain(self.output.as_deref().map(folder_of)).collect(),
            network: self.metrics_at(input).is_some(),
            // Rings that share an interface cannot turn to one that came back: new ones are opened.
            capture: self.rings.get() > 1,
        };
        Delivering::ask_for(&input.settings, &mut sandbox);
        let fences = sandbox.enter().context("the sandbox cannot be entered; --no-sandbox goes without")?;
        fences.gaps().iter().for_each(|gap| eprintln!("lapwing: warning: {gap}"));
        Ok(fences.to_string())
    }

    /// Where metrics are served, if they are.
    fn metrics_at(&self, input: &Input) -> Option<SocketAddr> {
        self.metrics.or(input.settings.metrics.listen)
    }

    /// Reads the rules, then and whenever asked to again.
    fn rules(&self, input: &Input) -> impl Fn() -> Result<Vec<SignatureSource>> + Send + use<> {
        let (judge, settings) = (self.judge.clone(), input.settings.signatures.clone());
        move || Ok(judge.rules(&settings)?.sources)
    }

    /// The source filters and counts, so that the pipeline takes all it gets.
    fn live(&self, input: &mut Input) -> LiveConfig {
        LiveConfig {
            interfaces: self.interface.clone(),
            filter: input.pipeline.filter.take(),
            promiscuous: !self.no_promiscuous,
            buffer: (self.buffer.get() as usize) << 20,
            rings: self.rings.get() as usize,
            limit: input.pipeline.limit.take(),
        }
    }
}

/// Where a file is; changes of it by name happen there.
fn folder_of(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new(".")).to_owned()
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
