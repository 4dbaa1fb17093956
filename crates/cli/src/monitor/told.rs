//! Where alerts leave a live run: every sink takes every revision.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use lapwing_alert::Alert;
use lapwing_detect::signature::{Problem, SignatureSource};
use lapwing_engine::{Detecting, Watcher};

/// Something that takes the alerts of a live run: a file, the store, a receiver elsewhere.
///
/// It is called from the thread that detects, so it must not wait for anybody; what can be slow is put into a queue of its own.
pub(crate) trait Sink: Send {
    /// Takes alerts that opened, changed or closed: the same id comes again with a higher revision. An error ends the run, so
    /// it is for what nobody could mend while it goes on; a receiver that is away is no such thing.
    fn take(&mut self, alerts: &[Alert]) -> io::Result<()>;

    /// Told on SIGHUP: who moved a file away wants a new one under the old name.
    fn reopen(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// The run is over: what is still held goes out.
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Hands alerts to sinks, and reads the rules anew.
pub(super) struct Told<R> {
    sinks: Vec<Box<dyn Sink>>,
    rules: R,
    alerts: u64,
    error: Option<io::Error>,
    stop: Arc<AtomicBool>,
}

impl<R: Fn() -> Result<Vec<SignatureSource>> + Send> Told<R> {
    /// Tells `sinks`; when one fails for good, `stop` is set. `rules` reads the rules.
    pub(super) fn new(sinks: Vec<Box<dyn Sink>>, rules: R, stop: Arc<AtomicBool>) -> Self {
        Self { sinks, rules, alerts: 0, error: None, stop }
    }

    /// Alerts that were told, each counted once.
    pub(super) fn alerts(&self) -> u64 {
        self.alerts
    }

    /// Ends all sinks; says what kept alerts from being written, if something did.
    pub(super) fn finish(mut self) -> io::Result<()> {
        for sink in &mut self.sinks {
            let ended = sink.finish();
            self.error = self.error.take().or(ended.err());
        }
        self.error.map_or(Ok(()), Err)
    }
}

impl<R: Fn() -> Result<Vec<SignatureSource>> + Send> Watcher for Told<R> {
    fn alerts(&mut self, alerts: &[Alert]) {
        self.alerts += alerts.iter().filter(|alert| alert.is_new()).count() as u64;
        for sink in &mut self.sinks {
            if let Err(error) = sink.take(alerts) {
                self.error.get_or_insert(error);
                self.stop.store(true, Ordering::Relaxed);
            }
        }
    }

    fn reload(&mut self, detecting: &mut Detecting) {
        let say = |problem: &Problem| eprintln!("lapwing: {problem}");
        match (self.rules)().map(|sources| detecting.reload(&sources)) {
            Err(error) => eprintln!("lapwing: the rules stay as they were: {error:#}"),
            Ok(Err(report)) => {
                report.problems.iter().for_each(say);
                eprintln!("lapwing: the rules stay as they were");
            }
            Ok(Ok(report)) => {
                report.warnings.iter().for_each(say);
                eprintln!("lapwing: {} rules read anew", report.rules.len());
            }
        }
        for sink in &mut self.sinks {
            if let Err(error) = sink.reopen() {
                eprintln!("lapwing: alerts go on to the file that is open: {error}");
            }
        }
    }
}
