//! Where alerts leave a live run: every sink takes every revision.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lapwing_alert::{Alert, Places};
use lapwing_engine::{Detecting, Watcher};

use super::reload::Reload;

/// Something that takes the alerts of a live run: a file, the store, a receiver elsewhere.
///
/// It is called from the thread that detects, so it must not wait for anybody; what can be slow is put into a queue of its own.
pub(crate) trait Sink: Send {
    /// Takes alerts that opened, changed or closed: the same id comes again with a higher revision. An error ends the run, so
    /// it is for what nobody could mend while it goes on; a receiver that is away is no such thing.
    fn take(&mut self, alerts: &[Alert]) -> io::Result<()>;

    /// Called once a second of capture time, for what could not be done at once. Errors are as those of `take`.
    fn tend(&mut self, _detecting: &Detecting) -> io::Result<()> {
        Ok(())
    }

    /// Told on SIGHUP: who moved a file away wants a new one under the old name.
    fn reopen(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// The run is over: what is still held goes out.
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Hands alerts to sinks, and has what the run judges by read anew.
pub(crate) struct Told {
    sinks: Vec<Box<dyn Sink>>,
    reload: Reload,
    places: Places,
    alerts: u64,
    error: Option<io::Error>,
    stop: Arc<AtomicBool>,
}

impl Told {
    /// Tells `sinks`, with the `places` of hosts; when one fails for good, `stop` is set.
    pub(crate) fn new(sinks: Vec<Box<dyn Sink>>, reload: Reload, places: Places, stop: Arc<AtomicBool>) -> Self {
        Self { sinks, reload, places, alerts: 0, error: None, stop }
    }

    /// Alerts that were told, each counted once.
    pub(crate) fn alerts(&self) -> u64 {
        self.alerts
    }

    fn each(&mut self, mut work: impl FnMut(&mut dyn Sink) -> io::Result<()>) {
        for sink in &mut self.sinks {
            if let Err(error) = work(sink.as_mut()) {
                self.error.get_or_insert(error);
                self.stop.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Ends all sinks; says what kept alerts from being written, if something did.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        for sink in &mut self.sinks {
            let ended = sink.finish();
            self.error = self.error.take().or(ended.err());
        }
        self.error.map_or(Ok(()), Err)
    }
}

impl Watcher for Told {
    fn alerts(&mut self, alerts: &mut [Alert]) {
        alerts.iter_mut().for_each(|alert| self.places.note(alert));
        self.alerts += alerts.iter().filter(|alert| alert.is_new()).count() as u64;
        self.each(|sink| sink.take(alerts));
    }

    fn second(&mut self, detecting: &Detecting) {
        self.each(|sink| sink.tend(detecting));
    }

    fn reload(&mut self, detecting: &mut Detecting) {
        self.reload.reload(detecting);
        for sink in &mut self.sinks {
            if let Err(error) = sink.reopen() {
                eprintln!("lapwing: alerts go on to the file that is open: {error}");
            }
        }
    }
}
