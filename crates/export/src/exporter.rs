//! The handle that alerts are given to.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use lapwing_alert::Alert;

use crate::metrics::{Metrics, names};
use crate::route::Route;
use crate::sink::{self, Built};
use crate::spool::{Limits, MAX_PAYLOAD, Spool};
use crate::status::{Counters, Status};
use crate::worker::Worker;
use crate::writer::{Item, Writer};
use crate::{Delivery, DeliveryError, ExportConfig, Report, SinkConfig, SinkError, SinkStatus, SpoolStatus};

/// Alerts between `offer` and the spool at most: a disk that hangs for a while costs none.
const QUEUE: usize = 1_024;
/// How often somebody who waits looks again.
const PAUSE: Duration = Duration::from_millis(5);

/// What an exporter is started with besides the settings.
pub struct Options {
    /// Folder of the spool unless the settings name one; `None` keeps what waits in memory.
    pub spool_directory: Option<PathBuf>,
    /// Where notices go.
    pub report: Report,
}

/// Takes alerts without waiting, and has each sink deliver them in a thread of its own.
///
/// Dropping it ends the threads, and leaves what is not delivered in the spool.
pub struct Exporter {
    queue: SyncSender<Item>,
    spool: Arc<Spool>,
    routes: Vec<Route>,
    wants_eve: bool,
    status: Arc<Status>,
    not_taken: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Exporter {
    /// Builds the sinks, opens the spool, starts the threads. What an earlier process left in the spool is delivered.
    ///
    /// # Errors
    /// When a sink cannot be built or the spool not be opened.
    pub fn start(config: &ExportConfig, options: Options) -> Result<Self, SinkError> {
        let built = sink::build_all(config)?;
        let directory = config.delivery.spool.clone().or(options.spool_directory);
        let sink_names: Vec<String> = built.iter().map(|built| built.name.clone()).collect();
        let spool = Spool::open(directory.as_deref(), limits(config), &sink_names)?;
        let (queue, items) = sync_channel(QUEUE);
        let writer = Writer::new(&spool, items, &options.report, directory.is_none());
        let mut exporter = Self {
            queue,
            routes: config.sinks.values().map(Route::new).collect(),
            wants_eve: built.iter().any(|built| built.wants_eve),
            status: Arc::new(Status::new(&spool, &built)),
            not_taken: Arc::default(),
            threads: vec![spawn("spool", move || writer.run())?],
            spool,
        };
        for (place, (built, settings)) in built.into_iter().zip(config.sinks.values()).enumerate() {
            let name = format!("sink {}", built.name);
            let worker = exporter.worker(built, settings, place, &options.report);
            exporter.threads.push(spawn(&name, move || worker.run())?);
        }
        Ok(exporter)
    }

    fn worker(&self, built: Built, settings: &SinkConfig, place: usize, report: &Report) -> Worker {
        let counters: Arc<Counters> = self.status.counters(place);
        let longest = Duration::from_secs(u64::from(settings.longest_retry_seconds.get()));
        Worker::new(built, self.routes[place].clone(), &self.spool, longest, counters, Arc::clone(report))
    }

    /// Takes one revision of an alert; never waits. `false` when the queue before the spool is full, which is counted.
    ///
    /// # Errors
    /// When the alert has no form that could be sent.
    pub fn offer(&self, alert: &Alert) -> Result<bool, DeliveryError> {
        self.offer_within(alert, Duration::ZERO)
    }

    /// The same for those who have time: waits for room until the time is over.
    ///
    /// # Errors
    /// As of [`Exporter::offer`].
    pub fn offer_within(&self, alert: &Alert, timeout: Duration) -> Result<bool, DeliveryError> {
        let Some(record) = self.record(alert)? else { return Ok(true) };
        let taken = self.put(Item::Record(record), Instant::now() + timeout);
        self.not_taken.fetch_add(u64::from(!taken), Ordering::Relaxed);
        Ok(taken)
    }

    /// The alert as a record of the spool; `None` when no sink wants it.
    fn record(&self, alert: &Alert) -> Result<Option<Vec<u8>>, DeliveryError> {
        let delivery = Delivery::of_alert(alert, self.wants_eve)?;
        if !self.routes.iter().any(|route| route.takes(&delivery)) {
            return Ok(None);
        }
        let record = delivery.encode()?;
        if record.len() > MAX_PAYLOAD {
            return Err(DeliveryError::Record(format!("{} bytes are too many", record.len())));
        }
        Ok(Some(record))
    }

    /// Puts an item into the queue; `false` when there was no room until `end`.
    fn put(&self, mut item: Item, end: Instant) -> bool {
        loop {
            match self.queue.try_send(item) {
                Ok(()) => return true,
                Err(TrySendError::Full(back)) if Instant::now() < end => item = back,
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => return false,
            }
            thread::sleep(PAUSE);
        }
    }

    /// Waits until all that was taken is in the spool, where it outlives the process; `false` when the time was over before.
    #[must_use]
    pub fn persist(&self, timeout: Duration) -> bool {
        let end = Instant::now() + timeout;
        let (sender, answer) = sync_channel(1);
        self.put(Item::Mark(sender), end) && answer.recv_timeout(end.saturating_duration_since(Instant::now())).is_ok()
    }

    /// Waits until every sink is done with all that was taken; `false` when the time was over before.
    #[must_use]
    pub fn flush(&self, timeout: Duration) -> bool {
        let end = Instant::now() + timeout;
        self.persist(timeout)
            && self.spool.wait_delivered(self.spool.end(), end.saturating_duration_since(Instant::now()))
    }

    /// What became of the records of each sink.
    #[must_use]
    pub fn status(&self) -> Vec<SinkStatus> {
        self.status.sinks()
    }

    /// What the spool has to say.
    #[must_use]
    pub fn spool_status(&self) -> SpoolStatus {
        self.spool.status()
    }

    /// Alerts that were not taken because the queue before the spool was full.
    #[must_use]
    pub fn not_taken(&self) -> u64 {
        self.not_taken.load(Ordering::Relaxed)
    }

    /// Has the numbers about deliveries shown among the metrics.
    pub fn show_in(&self, metrics: &Metrics) {
        let (status, not_taken) = (Arc::clone(&self.status), Arc::clone(&self.not_taken));
        metrics.before_rendering(move |metrics| {
            status.show_in(metrics);
            metrics.set(&names::EXPORT_NOT_TAKEN, &[], not_taken.load(Ordering::Relaxed) as f64);
        });
    }

    /// Ends the threads, waiting for each until the time is over; one that hangs in a receiver is left behind. What is not
    /// delivered stays in the spool, which is free for another exporter when this one is dropped.
    pub fn close(&mut self, timeout: Duration) {
        let end = Instant::now() + timeout;
        // What is in the queue has to reach the spool before that closes.
        let _in_time = self.persist(timeout);
        self.spool.close();
        for thread in self.threads.drain(..) {
            while !thread.is_finished() && Instant::now() < end {
                thread::sleep(PAUSE);
            }
            if thread.is_finished() {
                // A sink that panicked is a fault of ours, and has been printed by the runtime.
                let _panicked = thread.join();
            }
        }
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.spool.close();
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Exporter").field("sinks", &self.status()).finish_non_exhaustive()
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, SinkError> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(|error| SinkError::Settings { sink: name.to_owned(), reason: error.to_string() })
}

fn limits(config: &ExportConfig) -> Limits {
    let capacity_bytes = u64::from(config.delivery.spool_megabytes.get()) << 20;
    Limits {
        capacity_bytes,
        segment_bytes: (capacity_bytes / 16).clamp(64 << 10, 4 << 20),
        held_bytes: u64::from(config.delivery.memory_megabytes.get()) << 20,
        sync_interval: Duration::from_secs(u64::from(config.delivery.sync_seconds)),
    }
}
