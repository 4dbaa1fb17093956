//! Delivery of alerts to the receivers of `lapwing.toml`.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use lapwing_alert::Alert;
use lapwing_engine::Config;
use lapwing_export::metrics::Metrics;
use lapwing_export::{Exporter, Notice, Options, SinkStatus};

use crate::monitor::told::Sink;
use crate::sandbox::Sandbox;

/// How long the end of a live run waits for receivers: what is not confirmed by then stays in the spool.
const FAREWELL: Duration = Duration::from_secs(3);

/// How long sinks may take to leave.
const LEAVE: Duration = Duration::from_secs(1);

/// Sends alerts to every configured receiver.
pub(crate) struct Delivering {
    exporter: Exporter,
    patience: Duration,
    keeps: bool,
    told_full: bool,
}

impl Delivering {
    /// For a scan, which has delivered when it ends. Refuses settings that name nobody.
    pub(crate) fn now(settings: &Config) -> Result<Self> {
        if settings.sinks.is_empty() {
            bail!("--deliver: nobody to deliver to; name receivers under [sinks] in a --config (docs/delivery.md)");
        }
        let mut config = settings.export();
        // The folder is that of a live run, which may be going on.
        config.delivery.spool = None;
        Ok(Self::start(&config, settings, false)?)
    }

    /// For a live run; `None` when the settings name nobody.
    pub(crate) fn live(settings: &Config) -> Result<Option<Self>> {
        if settings.sinks.is_empty() {
            return Ok(None);
        }
        let keeps = settings.delivery.spool.is_some();
        if !keeps {
            eprintln!("lapwing: delivery.spool is not set: what cannot be delivered before the end is lost");
        }
        Ok(Some(Self::start(&settings.export(), settings, keeps)?))
    }

    /// What delivering live takes: connections, names resolved, the spool, files to append to, and every file that the settings
    /// name (keys, certificates).
    pub(crate) fn ask_for(settings: &Config, sandbox: &mut Sandbox) {
        if settings.sinks.is_empty() {
            return;
        }
        sandbox.network = true;
        sandbox.read.extend(RESOLVING.iter().map(PathBuf::from));
        let mut folders: Vec<PathBuf> = settings.delivery.spool.iter().cloned().collect();
        for spool in &folders {
            // It has to be there for a permission to rest on; what is wrong with it is told when it is opened.
            let _ = DirBuilder::new().recursive(true).mode(0o700).create(spool);
        }
        let files = settings.sinks.values().filter_map(|sink| sink.file.as_ref());
        folders.extend(
            files
                .filter_map(|file| file.path.parent())
                .map(|folder| if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_owned() }),
        );
        sandbox.read.extend(folders.iter().cloned());
        sandbox.write.extend(folders);
        if let Ok(value) = serde_json::to_value(&settings.sinks) {
            files_named(&value, &mut sandbox.read);
        }
    }

    fn start(
        config: &lapwing_export::ExportConfig,
        settings: &Config,
        keeps: bool,
    ) -> Result<Self, lapwing_export::SinkError> {
        let report = Arc::new(|notice: &Notice| eprintln!("lapwing: {notice}"));
        let exporter = Exporter::start(config, Options { spool_directory: None::<PathBuf>, report })?;
        let patience = Duration::from_secs(u64::from(settings.delivery.patience_seconds.get()));
        Ok(Self { exporter, patience, keeps, told_full: false })
    }

    /// Has the numbers about deliveries shown.
    pub(crate) fn show_in(&self, metrics: &Metrics) {
        self.exporter.show_in(metrics);
    }

    /// How each receiver stands.
    pub(crate) fn status(&self) -> Vec<SinkStatus> {
        self.exporter.status()
    }

    /// Delivers these alerts, and ends. An error says which receivers did not get everything.
    pub(crate) fn deliver(mut self, alerts: &[Alert]) -> Result<()> {
        let end = Instant::now() + self.patience;
        let left = || end.saturating_duration_since(Instant::now());
        let mut untaken = 0;
        for alert in alerts {
            untaken += u64::from(!self.exporter.offer_within(alert, left())?);
        }
        let all = self.exporter.flush(left());
        let status = self.exporter.status();
        self.exporter.close(Duration::ZERO);
        for sink in &status {
            eprintln!("lapwing: {} alerts delivered to `{}`: {}", sink.delivered, sink.name, sink.target);
        }
        let missed: Vec<String> = status
            .iter()
            .filter(|sink| sink.queued + sink.rejected + sink.dropped + untaken > 0)
            .map(|sink| {
                let missing = sink.queued + sink.rejected + sink.dropped + untaken;
                let reason = sink.last_error.as_deref().unwrap_or("no answer in time");
                format!("`{}` lacks up to {missing} alerts: {reason}", sink.name)
            })
            .collect();
        if !all || !missed.is_empty() {
            bail!("not everything was delivered: {}", missed.join("; "));
        }
        Ok(())
    }
}

/// What the C library reads to resolve names, and where certificates lie.
pub(crate) const RESOLVING: [&str; 10] = [
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/nsswitch.conf",
    "/etc/resolv.conf",
    "/etc/ssl",
    "/run/systemd/resolve",
    "/lib",
    "/usr/lib",
];

fn files_named(value: &serde_json::Value, files: &mut Vec<PathBuf>) {
    match value {
        serde_json::Value::String(text) if Path::new(text).is_file() => files.push(text.into()),
        serde_json::Value::Array(values) => values.iter().for_each(|value| files_named(value, files)),
        serde_json::Value::Object(values) => values.values().for_each(|value| files_named(value, files)),
        _ => {}
    }
}

impl Sink for Delivering {
    fn take(&mut self, alerts: &[Alert]) -> io::Result<()> {
        for alert in alerts {
            let taken = self.exporter.offer(alert).map_err(io::Error::other)?;
            if !taken && !self.told_full {
                self.told_full = true;
                eprintln!("lapwing: alerts come faster than the spool takes them: some are not delivered, and counted");
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        if !self.exporter.flush(FAREWELL) {
            let waiting: u64 = self.exporter.status().iter().map(|sink| sink.queued).max().unwrap_or(0);
            let fate = if self.keeps { "kept in the spool" } else { "lost" };
            eprintln!("lapwing: up to {waiting} alerts were not delivered in time: {fate}");
        }
        // Lets sinks take their leave: the broker is told that the sensor goes.
        self.exporter.close(LEAVE);
        if self.exporter.not_taken() > 0 {
            eprintln!("lapwing: {} alerts were not delivered: the spool was too slow", self.exporter.not_taken());
        }
        Ok(())
    }
}
