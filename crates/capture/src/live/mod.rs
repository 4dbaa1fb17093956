//! Interfaces: frames as they pass, from packet sockets with rings in memory shared with the kernel.
//!
//! [`LiveSource`] is a [`Source`] like a file. It hands over what has come at least ten times a second, and when nothing
//! comes it says how far capture time has gone ([`FrameBatch::reached`]), so that windows close and flows end in silence
//! too. An interface that goes down or away is looked for until it is back. Nothing is lost silently: what the kernel drops
//! is counted, and so are outages and silence ([`LiveStatus`], [`LiveEvent`]). Capture time is the system's, but goes on
//! evenly when somebody sets that.

mod block;
mod clock;
mod error;
mod interface;
mod offload;
mod ring;
mod status;
mod tap;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub use error::LiveError;
pub use interface::{InterfaceInfo, interfaces};
pub use offload::{Offload, offloads};
pub use status::{InterfaceStatus, LiveEvent, LiveStatus};

use crate::{Filter, FrameBatch, InputReport, Position, Progress, Source, SourceError, Timestamp};
use clock::{Change, EvenClock};
use ring::Ring;
use tap::{LATENESS, RETIRE, Tap};

/// How often the source comes back to its reader when no frame comes, and says how far time has gone.
const PATIENCE: Duration = FrameBatch::STEP;

/// How often drops, errors and silence are looked at.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// How long a frame waits for earlier ones of other rings and interfaces: each hands over what came within twice [`tap::RETIRE`].
const HELD_BACK: Duration = Duration::from_millis(3 * RETIRE.as_millis() as u64);

/// How long after being asked to stop the rings are still emptied.
const LAST_FRAMES: Duration = Duration::from_secs(2);

/// Frames that are looked at for one batch at most: a filter may leave nearly all of them.
const MOST_LOOKED_AT: usize = 16 * FrameBatch::FRAMES;

/// What to listen to.
#[derive(Clone, Debug)]
pub struct LiveConfig {
    /// Names of interfaces.
    pub interfaces: Vec<String>,
    /// Frames that are wanted; `None` takes all. It runs in the kernel where the kernel can.
    pub filter: Option<Filter>,
    /// Whether to hear frames that are addressed to others.
    pub promiscuous: bool,
    /// Bytes of the ring of each interface: what is held while the reader is busy.
    pub buffer: usize,
    /// Rings that share each interface's frames, by flow; more than one helps where several cores receive.
    pub rings: usize,
    /// Frames after which the source ends.
    pub limit: Option<u64>,
}

impl LiveConfig {
    /// Rings of one interface at most.
    pub const MOST_RINGS: usize = 64;
}

impl Default for LiveConfig {
    fn default() -> Self {
        let (interfaces, filter, promiscuous) = (Vec::new(), None, true);
        Self { interfaces, filter, promiscuous, buffer: 16 << 20, rings: 1, limit: None }
    }
}

/// Interfaces as one source.
pub struct LiveSource {
    config: LiveConfig,
    taps: Vec<Tap>,
    filter: Option<Filter>,
    next_number: u64,
    bytes: u64,
    clock: EvenClock,
    reached: Timestamp,
    kept: Instant,
    /// Frames of each interface when it was looked at last.
    heard: Vec<u64>,
    stop: Arc<AtomicBool>,
    stopping: Option<(Instant, Timestamp)>,
    status: Arc<LiveStatus>,
    events: Box<dyn FnMut(LiveEvent) + Send>,
}

impl LiveSource {
    /// Starts to listen. `events` is told what happens to the interfaces, from the thread that reads; setting `stop` ends the
    /// source once the frames that were captured by then are read.
    ///
    /// # Errors
    /// When one of the interfaces cannot be listened to.
    pub fn open(
        config: LiveConfig,
        stop: Arc<AtomicBool>,
        events: impl FnMut(LiveEvent) + Send + 'static,
    ) -> Result<Self, LiveError> {
        if config.interfaces.is_empty() {
            return Err(LiveError::NoInterface);
        }
        let open = |(name, input): (&String, u16)| Tap::open(name, input, &config);
        let taps = config.interfaces.iter().zip(0..=u16::MAX).map(open).collect::<Result<Vec<_>, _>>()?;
        let status = Arc::new(LiveStatus::new(&config.interfaces));
        Ok(Self {
            heard: vec![0; taps.len()],
            taps,
            filter: config.filter.clone(),
            next_number: 1,
            bytes: 0,
            clock: EvenClock::new(),
            reached: Timestamp::MIN,
            kept: Instant::now(),
            stop,
            stopping: None,
            status,
            events: Box::new(events),
            config,
        })
    }

    /// Counts that can be read while the source is in use elsewhere.
    #[must_use]
    pub fn status(&self) -> Arc<LiveStatus> {
        Arc::clone(&self.status)
    }

    /// Fills the batch with what is ready, in the order of capture.
    fn fill(&mut self, batch: &mut FrameBatch) -> Left {
        let most = self.config.limit.map_or(u64::MAX, |limit| limit.saturating_sub(self.next_number - 1));
        let several = self.taps.len() > 1 || self.config.rings > 1;
        let mut looked = false;
        for _ in 0..MOST_LOOKED_AT {
            if batch.len() == FrameBatch::FRAMES || batch.len() as u64 >= most {
                break;
            }
            let ready = self.taps.iter_mut().enumerate();
            let clock = &self.clock;
            let oldest = |(place, tap): (usize, &mut Tap)| tap.oldest(clock).map(|(time, ring)| (time, place, ring));
            let Some((time, tap, ring)) = ready.filter_map(oldest).min() else { return Left::Nothing };
            if batch.buffered() >= FrameBatch::BYTES {
                return Left::Frames;
            }
            // From the future: the clock was set since it was looked at.
            if time > self.clock.now().plus(LATENESS) && !std::mem::replace(&mut looked, true) {
                self.look_at_clock();
                continue;
            }
            if several && self.may_be_overtaken(time) && !self.taps[tap].is_pressed(ring) {
                return Left::Held(time.plus(HELD_BACK));
            }
            self.taps[tap].take(ring, time, self.filter.as_mut(), batch);
        }
        Left::Frames
    }

    /// Whether a ring in which nothing is ready may still hand over a frame from before `time`.
    fn may_be_overtaken(&self, time: Timestamp) -> bool {
        let now = self.clock.now();
        let recent = time > now.minus(HELD_BACK) && time < now.plus(HELD_BACK);
        recent && self.taps.iter().any(|tap| tap.behind().next().is_some())
    }

    /// Waits for frames; returns whether something is wrong with an interface.
    fn wait(&self, left: Left) -> bool {
        let Left::Held(until) = left else {
            return Ring::wait(self.taps.iter().filter(|tap| tap.is_up()).flat_map(Tap::rings), PATIENCE);
        };
        // The system counts such waits in milliseconds.
        let rest = until.nanos_since(self.clock.now()).clamp(1_000_000, PATIENCE.as_nanos() as i64);
        Ring::wait(self.taps.iter().flat_map(Tap::behind), Duration::from_nanos(rest.unsigned_abs()))
    }

    fn keep(&mut self, now: Instant) {
        let mut events = Vec::new();
        for (tap, heard) in self.taps.iter_mut().zip(&mut self.heard) {
            let new = tap.report.packets > *heard;
            *heard = tap.report.packets;
            tap.keep(&self.config, now, new, &mut events);
        }
        self.status.set(self.taps.iter().map(|tap| InterfaceStatus {
            interface: tap.name(),
            up: tap.is_up(),
            silent: tap.is_silent(),
            packets: tap.report.packets,
            bytes: tap.report.bytes,
            dropped: tap.report.dropped,
            outages: tap.outages,
            downtime: tap.outage(now),
        }));
        events.into_iter().for_each(&mut self.events);
    }

    /// Notes whether somebody set the system's clock.
    fn look_at_clock(&mut self) {
        match self.clock.look() {
            None => {}
            Some(Change::Set(nanos)) => {
                self.status.count_clock_step();
                (self.events)(LiveEvent::ClockSet { seconds: nanos as f64 / 1e9 });
            }
            Some(Change::Followed) => (self.events)(LiveEvent::ClockFollowed),
        }
    }

    /// Notes that everything captured up to `time` has been handed over, whole steps only.
    fn note_reached(&mut self, time: Timestamp, batch: &mut FrameBatch) {
        let reached = time.minus(LATENESS).floor(FrameBatch::STEP);
        if reached > self.reached {
            self.reached = reached;
            batch.reached = Some(reached);
        }
    }

    fn count(&mut self, batch: &FrameBatch) {
        for run in batch.frames.chunk_by(|left, right| left.input == right.input) {
            self.taps[usize::from(run[0].input)].report.count(run);
            self.bytes += run.iter().map(|frame| u64::from(frame.captured)).sum::<u64>();
        }
    }

    /// Whether the source has ended: it was asked to, and has handed over what came before that.
    fn over(&mut self, drained: bool, batch: &FrameBatch) -> bool {
        if self.config.limit.is_some_and(|limit| self.next_number > limit) {
            return true;
        }
        if !self.stop.load(Ordering::Relaxed) {
            return false;
        }
        let (asked, at) = *self.stopping.get_or_insert_with(|| (Instant::now(), self.clock.now()));
        let later = batch.frames.last().is_some_and(|frame| frame.time > at);
        let patience = if drained { LATENESS } else { LAST_FRAMES };
        later || asked.elapsed() >= patience
    }
}

/// What stands in the rings after a batch was filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Nothing,
    Frames,
    /// Frames that wait for earlier ones of other rings, until then at most.
    Held(Timestamp),
}

impl Source for LiveSource {
    fn read(&mut self, batch: &mut FrameBatch) -> Result<Progress, SourceError> {
        batch.clear();
        batch.first_number = self.next_number;
        self.look_at_clock();
        let (mut left, mut wrong) = (self.fill(batch), false);
        if batch.is_empty() && left != Left::Frames {
            wrong = self.wait(left);
            self.look_at_clock();
            left = self.fill(batch);
        }
        // What is held back is later than that too.
        let drained = left != Left::Frames;
        if drained {
            self.note_reached(self.clock.now(), batch);
        }
        self.count(batch);
        self.next_number += batch.len() as u64;
        let over = self.over(drained, batch);
        let instant = Instant::now();
        if over || wrong || instant.duration_since(self.kept) >= HOUSEKEEPING {
            self.kept = instant;
            self.keep(instant);
        }
        Ok(if over { Progress::End } else { Progress::More })
    }

    fn reports(&self) -> Vec<InputReport> {
        self.taps.iter().map(|tap| tap.report.clone()).collect()
    }

    fn position(&self) -> Position {
        Position { read: self.bytes, total: None }
    }
}

fn wall_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::default().plus(since)
}
