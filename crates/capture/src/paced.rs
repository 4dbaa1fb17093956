//! A capture handed over at its own pace.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::pace::Schedule;
use crate::{FrameBatch, InputReport, Pace, Position, Progress, Source, SourceError, Timestamp};

/// Frames that come closer together than this are handed over together.
const FINEST_WAIT: Duration = Duration::from_millis(2);

/// A silence of the capture that is made short: nobody wants to wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShortenedSilence {
    /// Capture time when it begins.
    pub from: Timestamp,
    /// Capture time when it ends.
    pub until: Timestamp,
    /// How long it would have taken at the speed asked for.
    pub instead_of: Duration,
    /// How long it takes.
    pub takes: Duration,
}

/// How far a paced capture has come; for whoever watches it.
#[derive(Debug)]
pub struct PaceStatus {
    pace: Pace,
    /// [`Timestamp::nanos`]; the smallest number before the first frame.
    now: AtomicI64,
    shortened: AtomicU64,
}

impl PaceStatus {
    /// The pace asked for.
    #[must_use]
    pub fn pace(&self) -> Pace {
        self.pace
    }

    /// Capture time; `None` before the first frame.
    #[must_use]
    pub fn now(&self) -> Option<Timestamp> {
        Some(Timestamp::from_nanos(self.now.load(Ordering::Relaxed))).filter(|now| *now > Timestamp::MIN)
    }

    /// Silences that were made short so far.
    #[must_use]
    pub fn shortened(&self) -> u64 {
        self.shortened.load(Ordering::Relaxed)
    }

    fn set_now(&self, now: Timestamp) {
        self.now.store(now.nanos(), Ordering::Relaxed);
    }
}

/// A source whose frames are handed over at the capture's own pace, or some times as fast.
///
/// Frames keep their capture time, and in silence it says how far capture time has come ([`FrameBatch::reached`]), so that who
/// reads it sees what an interface would show, and finds what a scan of the file finds. A silence that would take more than ten seconds takes
/// ten; capture time runs evenly through it. Where the reader is too slow, frames wait and come late, and none is lost.
///
/// It holds one batch. Setting `stop` ends it within a tenth of a second.
pub struct Paced<S> {
    source: S,
    /// `None`: as fast as possible.
    schedule: Option<Schedule>,
    status: Arc<PaceStatus>,
    stop: Arc<AtomicBool>,
    /// Frames that were read, the first `next` of them handed over.
    read: FrameBatch,
    next: usize,
    /// What reading came to, to be told when `read` is used up.
    ended: Option<Result<(), SourceError>>,
    reached: Timestamp,
    /// The end of the silence that was told last.
    told: Timestamp,
    tell: Box<dyn FnMut(ShortenedSilence) + Send>,
}

impl<S: Source> Paced<S> {
    /// Paces `source`, until `stop` is set; `tell` is told of each silence that is made short when it begins.
    pub fn new(
        source: S,
        pace: Pace,
        stop: Arc<AtomicBool>,
        tell: impl FnMut(ShortenedSilence) + Send + 'static,
    ) -> Self {
        let schedule = match pace {
            Pace::Unlimited => None,
            Pace::Times(speed) => Some(Schedule::new(speed)),
        };
        let now = AtomicI64::new(Timestamp::MIN.nanos());
        Self {
            source,
            schedule,
            status: Arc::new(PaceStatus { pace, now, shortened: AtomicU64::new(0) }),
            stop,
            read: FrameBatch::default(),
            next: 0,
            ended: None,
            reached: Timestamp::MIN,
            told: Timestamp::MIN,
            tell: Box::new(tell),
        }
    }

    /// Says how far it has come while it is in use elsewhere.
    #[must_use]
    pub fn status(&self) -> Arc<PaceStatus> {
        Arc::clone(&self.status)
    }

    /// Reads the next frames, where none is left; whether there are some.
    fn refill(&mut self) -> bool {
        while self.next == self.read.len() && self.ended.is_none() && !self.stop.load(Ordering::Relaxed) {
            self.next = 0;
            match self.source.read(&mut self.read) {
                Ok(Progress::More) => {}
                Ok(Progress::End) => self.ended = Some(Ok(())),
                Err(error) => {
                    self.read.clear();
                    self.ended = Some(Err(error));
                }
            }
        }
        self.next < self.read.len()
    }

    /// Moves the frames that are due into `batch`; how long until the next one is, zero when all are.
    fn hand_over(&mut self, batch: &mut FrameBatch) -> Duration {
        let Some(schedule) = &mut self.schedule else { return Duration::ZERO };
        let (now, from) = (Instant::now(), self.next);
        let mut wait = Duration::ZERO;
        while let Some(frame) = self.read.frames.get(self.next) {
            wait = schedule.due(frame.time, now).at.saturating_duration_since(now);
            if !wait.is_zero() {
                break;
            }
            schedule.pass(frame.time, now);
            self.next += 1;
        }
        if from == 0 && self.next == self.read.len() {
            std::mem::swap(batch, &mut self.read);
            self.read.clear();
            self.next = 0;
        } else {
            batch.first_number = self.read.first_number + from as u64;
            for frame in &self.read.frames[from..self.next] {
                batch.push(frame.time, frame.link, frame.length, frame.input, self.read.data(frame));
            }
        }
        wait
    }

    /// Says how far time has come on the way to the next frame.
    fn note_reached(&mut self, batch: &mut FrameBatch) {
        let (Some(schedule), Some(next)) = (&self.schedule, self.read.frames.get(self.next)) else { return };
        let instant = Instant::now();
        let Some(now) = schedule.now(next.time, instant) else { return };
        let reached = now.floor(FrameBatch::STEP);
        if reached > self.reached {
            self.reached = reached;
            batch.reached = Some(reached);
        }
        if let Some(instead_of) = schedule.due(next.time, instant).shortened
            && next.time > self.told
        {
            self.told = next.time;
            self.status.shortened.fetch_add(1, Ordering::Relaxed);
            let takes = crate::pace::LONGEST_WAIT;
            (self.tell)(ShortenedSilence { from: now, until: next.time, instead_of, takes });
        }
    }

    fn end(&mut self) -> Result<Progress, SourceError> {
        match self.ended.replace(Ok(())) {
            Some(Err(error)) => Err(error),
            _ => Ok(Progress::End),
        }
    }
}

impl<S: Source> Source for Paced<S> {
    fn read(&mut self, batch: &mut FrameBatch) -> Result<Progress, SourceError> {
        batch.clear();
        if self.stop.load(Ordering::Relaxed) {
            return Ok(Progress::End);
        }
        if self.schedule.is_none() {
            let progress = self.source.read(batch);
            if let Some(last) = batch.frames.last() {
                self.status.set_now(last.time);
            }
            return progress;
        }
        if !self.refill() {
            return self.end();
        }
        batch.first_number = self.read.first_number + self.next as u64;
        let mut wait = self.hand_over(batch);
        if batch.is_empty() {
            thread::sleep(wait.clamp(FINEST_WAIT, FrameBatch::STEP));
            wait = self.hand_over(batch);
        }
        if !wait.is_zero() {
            self.note_reached(batch);
        }
        if let Some(now) = batch.reached.or(batch.frames.last().map(|frame| frame.time)) {
            self.status.set_now(now);
        }
        Ok(Progress::More)
    }

    fn reports(&self) -> Vec<InputReport> {
        self.source.reports()
    }

    fn position(&self) -> Position {
        self.source.position()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::LinkType;

    /// Frames at these milliseconds, some to a batch.
    struct Times(Vec<i64>, usize);

    impl Source for Times {
        fn read(&mut self, batch: &mut FrameBatch) -> Result<Progress, SourceError> {
            batch.clear();
            batch.first_number = self.1 as u64 + 1;
            for time in self.0.iter().skip(self.1).take(3) {
                batch.push(Timestamp::from_micros(time * 1_000), LinkType::ETHERNET, 60, 0, &[*time as u8; 60]);
            }
            self.1 += batch.len();
            Ok(if self.1 < self.0.len() { Progress::More } else { Progress::End })
        }

        fn reports(&self) -> Vec<InputReport> {
            Vec::new()
        }

        fn position(&self) -> Position {
            Position { read: self.1 as u64, total: Some(self.0.len() as u64) }
        }
    }

    fn paced(times: Vec<i64>, pace: &str) -> Paced<Times> {
        Paced::new(Times(times, 0), pace.parse().unwrap(), Arc::default(), |_| {})
    }

    #[test]
    fn every_frame_comes_once_with_its_number_and_time_never_before_what_was_reached() {
        let times: Vec<i64> = (0..500).map(|frame| frame * frame / 3).collect();
        for pace in ["max", "1000", "200"] {
            let mut source = paced(times.clone(), pace);
            let (mut batch, mut seen, mut reached) = (FrameBatch::default(), Vec::new(), Timestamp::MIN);
            loop {
                let progress = source.read(&mut batch).unwrap();
                seen.extend(batch.iter().map(|frame| (frame.number, frame.time, frame.data[0])));
                assert!(batch.iter().all(|frame| frame.time >= reached));
                reached = batch.reached.map_or(reached, |now| now.max(reached));
                if progress == Progress::End {
                    break;
                }
            }
            let expected =
                (1..).zip(&times).map(|(number, time)| (number, Timestamp::from_micros(time * 1_000), *time as u8));
            assert_eq!(seen, expected.collect::<Vec<_>>());
            assert_eq!(source.status().now(), seen.last().map(|last| last.1));
            assert_eq!(source.position().read, 500);
        }
    }

    #[test]
    fn it_takes_as_long_as_the_capture_and_says_how_far_time_has_come() {
        let (mut source, begun) = (paced(vec![0, 10, 600], "2"), Instant::now());
        let (mut batch, mut reached) = (FrameBatch::default(), Vec::new());
        while source.read(&mut batch).unwrap() == Progress::More {
            reached.extend(batch.reached.map(Timestamp::micros));
        }
        assert!(begun.elapsed() >= Duration::from_millis(300), "{:?}", begun.elapsed());
        assert!(reached.len() >= 2 && reached.is_sorted(), "{reached:?}");
        assert!(reached.iter().all(|time| time % 100_000 == 0 && *time <= 600_000), "{reached:?}");
    }

    #[test]
    fn it_stops_in_the_middle_of_a_silence_that_it_told() {
        let (stop, told) = (Arc::<AtomicBool>::default(), Arc::new(Mutex::new(Vec::new())));
        let tell = {
            let told = Arc::clone(&told);
            move |silence| told.lock().unwrap().push(silence)
        };
        let mut source = Paced::new(Times(vec![0, 100_000], 0), Pace::OWN, Arc::clone(&stop), tell);
        let (mut batch, begun) = (FrameBatch::default(), Instant::now());
        for _ in 0..3 {
            assert_eq!(source.read(&mut batch).unwrap(), Progress::More);
        }
        stop.store(true, Ordering::Relaxed);
        assert_eq!(source.read(&mut batch).unwrap(), Progress::End);
        assert!(begun.elapsed() < Duration::from_secs(2));
        let told = told.lock().unwrap();
        assert_eq!(told.iter().map(|it| it.instead_of.as_secs()).collect::<Vec<_>>(), [100]);
        assert_eq!((told[0].takes.as_secs(), source.status().shortened()), (10, 1));
    }
}
