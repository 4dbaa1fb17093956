//! Alerts that people do not want to be told of: kept, and not handed on.

use std::collections::HashSet;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use lapwing_alert::{Alert, Status, Suppressions};
use lapwing_engine::Detecting;
use lapwing_store::{Store, StoreError};

use super::Sink;

/// How often the store is asked for suppressions: what `lapwing suppress` changes is in force so soon.
const EVERY: Duration = Duration::from_secs(2);

/// Open alerts that were told are noted, so that their end is told too when they become suppressed; so many at most.
const MOST_TOLD: usize = 65_536;

/// The suppressions of a store, read again and again by a thread of its own.
pub(super) struct Current {
    suppressions: Arc<Mutex<Arc<Suppressions>>>,
    /// Asks the thread to read at once; when it is gone the thread ends.
    ask: Sender<()>,
}

impl Current {
    /// Reads them, and starts the thread.
    pub(super) fn start(store: Arc<Store>) -> Result<Self, StoreError> {
        let suppressions = Arc::new(Mutex::new(Arc::new(store.suppressions()?)));
        let (ask, asked) = channel();
        let shared = Arc::clone(&suppressions);
        thread::spawn(move || keep_reading(&store, &shared, &asked));
        Ok(Self { suppressions, ask })
    }

    fn now(&self) -> Arc<Suppressions> {
        Arc::clone(&self.suppressions.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn keep_reading(store: &Store, shared: &Mutex<Arc<Suppressions>>, asked: &Receiver<()>) {
    let mut failing = false;
    loop {
        let is_asked = match asked.recv_timeout(EVERY) {
            Ok(()) => true,
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        match store.suppressions() {
            Ok(read) => {
                if is_asked || failing {
                    eprintln!("lapwing: {} suppressions read anew", read.len());
                }
                *shared.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(read);
                failing = false;
            }
            Err(error) => {
                if is_asked || !failing {
                    eprintln!("lapwing: the suppressions stay as they were: {error}");
                }
                failing = true;
            }
        }
    }
}

/// Hands on the alerts that no suppression hides.
pub(super) struct Unsuppressed {
    sinks: Vec<Box<dyn Sink>>,
    current: Current,
    /// Open alerts that were handed on.
    told: HashSet<String>,
    hidden: u64,
}

impl Unsuppressed {
    /// `told` are the ids of open alerts that an earlier run handed on.
    pub(super) fn new(sinks: Vec<Box<dyn Sink>>, current: Current, told: HashSet<String>) -> Self {
        Self { sinks, current, told, hidden: 0 }
    }

    /// All of them; the first error counts.
    fn each(&mut self, mut work: impl FnMut(&mut dyn Sink) -> io::Result<()>) -> io::Result<()> {
        self.sinks.iter_mut().map(|sink| work(sink.as_mut())).fold(Ok(()), Result::and)
    }

    /// What is to be told of an alert. One that was told and is now suppressed is told once more, as closed: whoever shows what
    /// is open shows it no longer.
    fn shown(&mut self, alert: &Alert, suppressions: &Suppressions) -> Option<Alert> {
        let mut shown = alert.clone();
        suppressions.mark(&mut shown);
        if shown.suppressed_by.is_some() {
            if !self.told.remove(&alert.id) {
                self.hidden += u64::from(alert.is_new());
                return None;
            }
            shown.status = Status::Closed;
        } else if alert.status == Status::Closed {
            self.told.remove(&alert.id);
        } else if self.told.len() < MOST_TOLD {
            self.told.insert(alert.id.clone());
        }
        Some(shown)
    }
}

impl Sink for Unsuppressed {
    fn take(&mut self, alerts: &[Alert]) -> io::Result<()> {
        let suppressions = self.current.now();
        let shown: Vec<Alert> = alerts.iter().filter_map(|alert| self.shown(alert, &suppressions)).collect();
        if shown.is_empty() {
            return Ok(());
        }
        self.each(|sink| sink.take(&shown))
    }

    fn tend(&mut self, detecting: &Detecting) -> io::Result<()> {
        self.each(|sink| sink.tend(detecting))
    }

    fn reopen(&mut self) -> io::Result<()> {
        // It ends only with this.
        let _ = self.current.ask.send(());
        self.each(|sink| sink.reopen())
    }

    fn finish(&mut self) -> io::Result<()> {
        if self.hidden > 0 {
            let hidden = self.hidden;
            eprintln!("lapwing: {hidden} alerts are suppressed; `lapwing query alerts --suppressed` shows them");
        }
        self.each(|sink| sink.finish())
    }
}
