//! Writing on a thread of its own: whoever finds alerts and flows hands them over and goes on.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lapwing_alert::Alert;
use lapwing_capture::Timestamp;
use lapwing_flow::Flow;

use crate::known::Known;
use crate::{DeviceRecord, Store, StoreError};

/// Flows that are handed over at once.
const BATCH: usize = 256;

/// Batches that may wait: with [`BATCH`] about 10 MB.
const QUEUE: usize = 64;

/// Flows that are written at once at most, and with one change of the roll-ups.
const WRITTEN_AT_ONCE: usize = 4_096;

/// Alerts that may wait while the store cannot be written; of each only the last revision.
const WAITING_ALERTS: usize = 65_536;

/// How long flows may wait for others to be written with.
const LINGER: Duration = Duration::from_millis(500);

/// How often a store that could not be written is tried again, and how often it is asked to hold what it was given.
const PAUSE: Duration = Duration::from_secs(2);

/// How long [`Pressure::WaitBriefly`] waits.
const BRIEFLY: Duration = Duration::from_secs(1);

/// How often it is looked whether the thread has ended, or takes something again.
const LOOK: Duration = Duration::from_millis(5);

/// What happens to flows that come faster than they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressure {
    /// Whoever hands them over waits: for files. Flows that were kept before are not kept again.
    Wait,
    /// They are left out and counted: for a live link. Alerts never are.
    LeaveOut,
    /// Whoever hands them over waits a second; then they are left out and counted until some are taken again: for logs that
    /// grow, which do not run away.
    WaitBriefly,
}

/// What came of what was handed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Revisions of alerts that were written; of those that waited together only the last.
    pub alerts: u64,
    /// Alerts that were lost because too many waited for a store that could not be written.
    pub alerts_lost: u64,
    /// Flows that were written.
    pub flows: u64,
    /// Flows that were left out, because they came too fast or could not be written.
    pub flows_left_out: u64,
    /// Flows of a file that were kept when it was read before.
    pub flows_known: u64,
}

#[derive(Default)]
struct Shared {
    /// The last revision of each alert that is not written yet.
    alerts: Mutex<HashMap<String, Alert>>,
    alerts_written: AtomicU64,
    alerts_lost: AtomicU64,
    flows_written: AtomicU64,
    flows_left_out: AtomicU64,
    flows_known: AtomicU64,
    /// Name of the run, in microseconds, once there is one.
    run: AtomicI64,
    /// The store could not be written when it was tried last.
    failing: AtomicBool,
    /// Everything is written, and held by the disk; what is left to do can be done another time.
    settling: AtomicBool,
}

impl Shared {
    fn alerts(&self) -> MutexGuard<'_, HashMap<String, Alert>> {
        self.alerts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) -> Option<Timestamp> {
        let run = self.run.load(Ordering::Relaxed);
        (run != i64::MIN).then(|| Timestamp::from_micros(run))
    }

    fn recorded(&self) -> Recorded {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Recorded {
            alerts: read(&self.alerts_written),
            alerts_lost: read(&self.alerts_lost),
            flows: read(&self.flows_written),
            flows_left_out: read(&self.flows_left_out),
            flows_known: read(&self.flows_known),
        }
    }
}

enum Handed {
    Flows(Vec<Flow>),
    Devices(Timestamp, Vec<DeviceRecord>),
    Live(Timestamp),
    /// There are alerts.
    Wake,
    /// Nothing comes any more.
    End,
}

/// Hands alerts, flows and devices to a store without waiting for it.
pub struct Recorder {
    sender: SyncSender<Handed>,
    shared: Arc<Shared>,
    pressure: Pressure,
    /// What was handed over last was not taken.
    refused: bool,
    batch: Vec<Flow>,
    worker: JoinHandle<Result<(), StoreError>>,
}

impl Recorder {
    /// Starts the thread. `tell` is told, in words for people, when the store cannot be written and when it can be again.
    #[must_use]
    pub fn start(store: Arc<Store>, pressure: Pressure, tell: impl Fn(&str) + Send + 'static) -> Self {
        let (sender, receiver) = sync_channel(QUEUE);
        let shared = Arc::new(Shared { run: AtomicI64::new(i64::MIN), ..Shared::default() });
        let worker = Worker {
            store,
            shared: Arc::clone(&shared),
            tell: Box::new(tell),
            flows: Vec::new(),
            known: (pressure == Pressure::Wait).then(Known::default),
            live: None,
            devices: HashMap::new(),
            failing: false,
            latest: Timestamp::MIN,
            unretained: 0,
        };
        let worker = thread::spawn(move || worker.run(&receiver));
        Self { sender, shared, pressure, refused: false, batch: Vec::with_capacity(BATCH), worker }
    }

    /// Hands over a revision of an alert: see [`AlertRecorder::alert`].
    pub fn alert(&self, alert: &Alert) {
        record_alert(&self.shared, &self.sender, alert);
    }

    /// For whoever else has alerts to hand over.
    #[must_use]
    pub fn for_alerts(&self) -> AlertRecorder {
        AlertRecorder { sender: self.sender.clone(), shared: Arc::clone(&self.shared) }
    }

    /// Hands over a flow that has ended.
    pub fn flow(&mut self, flow: &Flow) {
        self.batch.push(Flow { series: None, ..flow.clone() });
        if self.batch.len() >= BATCH {
            self.flush();
        }
    }

    /// Hands over the flows that have gathered, as once a second where little happens.
    pub fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        let count = batch.len() as u64;
        if !self.hand_over(Handed::Flows(batch)) {
            self.shared.flows_left_out.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Returns whether it was taken.
    fn hand_over(&mut self, mut handed: Handed) -> bool {
        if self.pressure == Pressure::Wait {
            return self.sender.send(handed).is_ok();
        }
        let patience = if self.pressure == Pressure::LeaveOut || self.refused { Duration::ZERO } else { BRIEFLY };
        let begun = Instant::now();
        loop {
            match self.sender.try_send(handed) {
                Err(TrySendError::Full(back)) if begun.elapsed() < patience => handed = back,
                done => {
                    self.refused = done.is_err();
                    return done.is_ok();
                }
            }
            thread::sleep(LOOK);
        }
    }

    /// Hands over what the run that began at `run` knows of devices; returns whether they were taken, which they are not on a
    /// live link while the queue is full.
    pub fn devices(&mut self, run: Timestamp, devices: Vec<DeviceRecord>) -> bool {
        self.hand_over(Handed::Devices(run, devices))
    }

    /// Names the run that alerts come from from now on: the time of its first packet.
    pub fn begin(&self, run: Timestamp) {
        self.shared.run.store(run.micros(), Ordering::Relaxed);
    }

    /// Notes that the run of that name watches live: see [`Store::note_live`]. Returns whether it was taken.
    pub fn live(&mut self, run: Timestamp) -> bool {
        self.hand_over(Handed::Live(run))
    }

    /// What came of it so far.
    #[must_use]
    pub fn recorded(&self) -> Recorded {
        self.shared.recorded()
    }

    /// Writes what waits, and ends the thread.
    ///
    /// # Errors
    /// When something could not be written after all.
    pub fn finish(mut self) -> Result<Recorded, StoreError> {
        self.flush();
        let Self { sender, shared, worker, .. } = self;
        // Fails only where the thread has ended already.
        let _ = sender.send(Handed::End);
        joined(worker)?;
        Ok(shared.recorded())
    }

    /// As [`Recorder::finish`] for who cannot wait longer than `limit`: what is written by then counts, and journals that have
    /// not become segments do so when the store is opened next.
    ///
    /// # Errors
    /// When something could not be written, or not in time.
    pub fn finish_within(mut self, limit: Duration) -> Result<Recorded, StoreError> {
        self.flush();
        let Self { sender, shared, worker, .. } = self;
        let end = Instant::now() + limit;
        let mut told = false;
        while !worker.is_finished() {
            told = told || sender.try_send(Handed::End).is_ok();
            if Instant::now() >= end {
                if shared.settling.load(Ordering::Acquire) {
                    return Ok(shared.recorded());
                }
                let waiting = shared.alerts().len();
                let reason =
                    format!("it did not take everything within {} ms: {waiting} alerts waited", limit.as_millis());
                return Err(StoreError::Database(reason));
            }
            thread::sleep(LOOK);
        }
        joined(worker)?;
        Ok(shared.recorded())
    }
}

fn joined(worker: JoinHandle<Result<(), StoreError>>) -> Result<(), StoreError> {
    let stopped = || StoreError::Database("the thread that writes to the store has failed".to_owned());
    worker.join().unwrap_or_else(|_| Err(stopped()))
}

/// Hands alerts over; see [`Recorder::for_alerts`].
#[derive(Clone)]
pub struct AlertRecorder {
    sender: SyncSender<Handed>,
    shared: Arc<Shared>,
}

impl AlertRecorder {
    /// Hands over a revision of an alert. It is never left out; where it is not written before the next revision comes, only
    /// that is. Never waits.
    pub fn alert(&self, alert: &Alert) {
        record_alert(&self.shared, &self.sender, alert);
    }

    /// What came so far of everything that was handed over, flows too.
    #[must_use]
    pub fn recorded(&self) -> Recorded {
        self.shared.recorded()
    }

    /// Whether the store could not be written when it was tried last.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.shared.failing.load(Ordering::Relaxed)
    }
}

fn record_alert(shared: &Shared, sender: &SyncSender<Handed>, alert: &Alert) {
    {
        let mut waiting = shared.alerts();
        if waiting.len() >= WAITING_ALERTS && !waiting.contains_key(&alert.id) {
            shared.alerts_lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.insert(alert.id.clone(), alert.clone());
    }
    // When the queue is full the thread has something to do anyway, and looks for alerts first.
    let _ = sender.try_send(Handed::Wake);
}

struct Worker {
    store: Arc<Store>,
    shared: Arc<Shared>,
    tell: Box<dyn Fn(&str) + Send>,
    flows: Vec<Flow>,
    /// What there was before, where a file is read: perhaps again.
    known: Option<Known>,
    /// The run that watches live, as long as that is not written.
    live: Option<Timestamp>,
    /// What is not written yet of each run: the last record of each device.
    devices: HashMap<Timestamp, HashMap<String, DeviceRecord>>,
    /// The store could not be written when it was tried last.
    failing: bool,
    /// The end of the last flow: what retention goes by, so that a capture of last year is not thrown away at once.
    latest: Timestamp,
    /// Bytes, about, that were written since retention was seen to.
    unretained: u64,
}

/// Bytes that a flow takes in a journal, about.
const FLOW_BYTES: u64 = 256;

/// Bytes that an alert takes in the database, about.
const ALERT_BYTES: u64 = 2_048;

impl Worker {
    fn run(mut self, receiver: &Receiver<Handed>) -> Result<(), StoreError> {
        let mut synced = Instant::now();
        let mut tried = Instant::now();
        let mut since = Instant::now();
        loop {
            let handed = receiver.recv_timeout(LINGER);
            if self.flows.is_empty() {
                since = Instant::now();
            }
            let ended = matches!(handed, Ok(Handed::End) | Err(RecvTimeoutError::Disconnected));
            match handed {
                Ok(Handed::Flows(batch)) => self.flows.extend(batch),
                Ok(Handed::Devices(run, devices)) => {
                    let waiting = self.devices.entry(run).or_default();
                    waiting.extend(devices.into_iter().map(|device| (device.id.clone(), device)));
                }
                Ok(Handed::Live(run)) => self.live = Some(run),
                Ok(Handed::Wake | Handed::End) | Err(_) => {}
            }
            if self.failing && !ended && tried.elapsed() < PAUSE {
                self.leave_out();
                continue;
            }
            tried = Instant::now();
            let done = self.write(ended || since.elapsed() >= LINGER);
            self.note(&done);
            if ended {
                done?;
                self.store.sync()?;
                self.shared.settling.store(true, Ordering::Release);
                return self.store.settle().and_then(|()| self.retain());
            }
            if synced.elapsed() >= PAUSE {
                // That it has nothing to do says nothing of whether the store can be written.
                let done = self.store.sync().map(|()| false);
                self.note(&done);
                synced = Instant::now();
            }
        }
    }

    /// Writes alerts, then devices, then flows, where enough have gathered or they are `due`, and sees to retention; returns
    /// whether there was anything to write.
    fn write(&mut self, due: bool) -> Result<bool, StoreError> {
        let mut wrote = self.live.is_some();
        if let Some(run) = self.live {
            self.store.note_live(run)?;
            self.live = None;
        }
        let alerts = std::mem::take(&mut *self.shared.alerts());
        if !alerts.is_empty() {
            let list: Vec<Alert> = alerts.into_values().collect();
            self.latest = list.iter().map(|alert| alert.last_seen).fold(self.latest, Timestamp::max);
            wrote = true;
            match self.store.put_alerts_of(self.shared.run(), &list) {
                Ok(_) => {
                    self.shared.alerts_written.fetch_add(list.len() as u64, Ordering::Relaxed);
                    self.unretained += list.len() as u64 * ALERT_BYTES;
                }
                Err(error) => {
                    let mut waiting = self.shared.alerts();
                    // A revision that came in the meantime is later.
                    for alert in list {
                        waiting.entry(alert.id.clone()).or_insert(alert);
                    }
                    drop(waiting);
                    self.leave_out();
                    return Err(error);
                }
            }
        }
        while let Some((run, devices)) = self.devices.iter().next() {
            let (run, list): (_, Vec<DeviceRecord>) = (*run, devices.values().cloned().collect());
            self.store.put_devices(run, &list)?;
            self.devices.remove(&run);
            wrote = true;
        }
        if self.flows.len() >= WRITTEN_AT_ONCE || (due && !self.flows.is_empty()) {
            self.write_flows()?;
            wrote = true;
        }
        let room = self.store.keep().bytes.unwrap_or(u64::MAX);
        if self.unretained > (room / 50).min(64 << 20) {
            self.retain()?;
        }
        Ok(wrote)
    }

    fn write_flows(&mut self) -> Result<(), StoreError> {
        self.latest = self.flows.iter().map(|flow| flow.last).fold(self.latest, Timestamp::max);
        let handed = self.flows.len() as u64;
        let known = match &mut self.known {
            Some(known) => known.sift(&self.store, &mut self.flows),
            None => Ok(0),
        };
        let count = handed - known.as_ref().unwrap_or(&0);
        self.shared.flows_known.fetch_add(handed - count, Ordering::Relaxed);
        let done = known.and_then(|_| self.store.put_flows(&self.flows));
        self.flows.clear();
        match done {
            Ok(()) => {
                self.shared.flows_written.fetch_add(count, Ordering::Relaxed);
                self.unretained += count * FLOW_BYTES;
            }
            Err(_) => drop(self.shared.flows_left_out.fetch_add(count, Ordering::Relaxed)),
        }
        done
    }

    fn retain(&mut self) -> Result<(), StoreError> {
        self.unretained = 0;
        // Nor is what is real thrown away because a clock was ahead where something was captured.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = Timestamp::from_nanos(i64::try_from(now.as_nanos()).unwrap_or(i64::MAX));
        self.store.retain(self.latest.min(now)).map(drop)
    }

    fn leave_out(&mut self) {
        self.shared.flows_left_out.fetch_add(self.flows.len() as u64, Ordering::Relaxed);
        self.flows.clear();
    }

    /// Tells when the store fails, and when it works again.
    fn note(&mut self, done: &Result<bool, StoreError>) {
        match done {
            Err(error) if !self.failing => {
                (self.tell)(&format!("{error}; alerts wait, flows are left out until it can be written again"));
            }
            Ok(true) if self.failing => {
                let left_out = self.shared.flows_left_out.load(Ordering::Relaxed);
                (self.tell)(&format!("the store is written again; {left_out} flows were left out"));
            }
            _ => {}
        }
        self.failing = match done {
            Err(_) => true,
            Ok(wrote) => self.failing && !wrote,
        };
        self.shared.failing.store(self.failing, Ordering::Relaxed);
    }
}
