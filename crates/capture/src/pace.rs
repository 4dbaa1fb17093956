//! When a frame of a capture is due.

use std::str::FromStr;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::Timestamp;

/// How fast a capture is handed over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// As fast as it is taken.
    Unlimited,
    /// So many times as fast as it was captured.
    Times(Speed),
}

/// How many times as fast as it was captured: between [`Speed::SLOWEST`] and [`Speed::FASTEST`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed(f64);

/// What is no pace.
#[derive(Clone, Debug, PartialEq, Error)]
#[error(
    "{text:?} is no speed; write a number from {} to {}, or max (or 0) for as fast as possible",
    Speed::SLOWEST,
    Speed::FASTEST
)]
pub struct PaceError {
    text: String,
}

impl Speed {
    /// A hundredth of the capture's own speed.
    pub const SLOWEST: f64 = 0.01;
    /// Beyond it, "as fast as possible" is meant.
    pub const FASTEST: f64 = 1_000_000.0;

    /// The factor.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl Pace {
    /// The capture's own pace.
    pub const OWN: Self = Self::Times(Speed(1.0));

    /// So many times as fast; zero is as fast as possible.
    ///
    /// # Errors
    /// When the factor is out of range.
    pub fn times(factor: f64) -> Result<Self, PaceError> {
        if factor == 0.0 {
            return Ok(Self::Unlimited);
        }
        let fits = (Speed::SLOWEST..=Speed::FASTEST).contains(&factor);
        fits.then_some(Self::Times(Speed(factor))).ok_or_else(|| PaceError { text: factor.to_string() })
    }
}

impl FromStr for Pace {
    type Err = PaceError;

    fn from_str(text: &str) -> Result<Self, PaceError> {
        let refused = || PaceError { text: text.to_owned() };
        match text {
            "max" => Ok(Self::Unlimited),
            number => Self::times(number.parse().map_err(|_| refused())?).map_err(|_| refused()),
        }
    }
}

/// Nobody waits longer than this for the next frame.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// A frame further than this from those before it is handed over at once, for its time may be broken. The reader's clock does
/// not believe it either, until so many frames in a row agree.
const BELIEVED: Duration = Duration::from_secs(24 * 60 * 60);
const AGREE_AHEAD: u32 = 2;
const AGREE_BACK: u32 = 3;

/// Says when frames are due: each as long after the one before as it was captured after it, divided by the speed.
#[derive(Debug)]
pub(crate) struct Schedule {
    speed: f64,
    /// Latest capture time that was believed, and when it was due.
    here: Option<(Timestamp, Instant)>,
    /// Frames in a row that were not believed: the last one's time, and how many there are.
    strange: Option<(Timestamp, u32)>,
}

/// When a frame is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// This moment.
    pub(crate) at: Instant,
    /// How long the wait would have been, where it was shortened.
    pub(crate) shortened: Option<Duration>,
}

impl Schedule {
    pub(crate) fn new(speed: Speed) -> Self {
        Self { speed: speed.get(), here: None, strange: None }
    }

    /// When a frame captured at `time` is due, if it is the next one.
    pub(crate) fn due(&self, time: Timestamp, now: Instant) -> Due {
        let Some((latest, at)) = self.here else { return Due { at: now, shortened: None } };
        if time <= latest || is_strange(time, latest) {
            return Due { at, shortened: None };
        }
        let wait = Duration::from_secs_f64(time.seconds_since(latest) / self.speed);
        if wait > LONGEST_WAIT {
            return Due { at: at + LONGEST_WAIT, shortened: Some(wait) };
        }
        Due { at: at + wait, shortened: None }
    }

    /// Notes that the frame is handed over.
    pub(crate) fn pass(&mut self, time: Timestamp, now: Instant) {
        let Some((latest, _)) = self.here else {
            self.here = Some((time, now));
            return;
        };
        if !is_strange(time, latest) {
            let due = self.due(time, now);
            self.here = Some((latest.max(time), due.at));
            self.strange = None;
            return;
        }
        let agreeing = match self.strange {
            Some((before, agreeing)) if !is_strange(time, before) => agreeing + 1,
            _ => 1,
        };
        self.strange = Some((time, agreeing));
        if agreeing >= if time > latest { AGREE_AHEAD } else { AGREE_BACK } {
            self.here = Some((time, now));
            self.strange = None;
        }
    }

    /// How far capture time has come, on the way to the next frame, captured at `next`. `None` before the first frame, and on
    /// the way to one that is not believed.
    pub(crate) fn now(&self, next: Timestamp, now: Instant) -> Option<Timestamp> {
        let (latest, at) = self.here?;
        if is_strange(next, latest) {
            return None;
        }
        let wait = self.due(next, now).at.saturating_duration_since(at);
        let waited = now.saturating_duration_since(at);
        if waited >= wait {
            return Some(next.max(latest));
        }
        let gap = next.nanos_since(latest).max(0) as f64;
        Some(latest.plus(Duration::from_nanos((gap * (waited.as_secs_f64() / wait.as_secs_f64())) as u64)))
    }
}

fn is_strange(time: Timestamp, other: Timestamp) -> bool {
    time.nanos_since(other).unsigned_abs() > BELIEVED.as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(speed: f64) -> Schedule {
        let Ok(Pace::Times(speed)) = Pace::times(speed) else { unreachable!() };
        Schedule::new(speed)
    }

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_micros(milliseconds * 1_000)
    }

    /// Milliseconds after the start at which each frame is due.
    fn dues(speed: f64, frames: &[i64]) -> Vec<u128> {
        let (mut schedule, begun) = (schedule(speed), Instant::now());
        let due = |time: &i64| {
            let due = schedule.due(at(*time), begun).at;
            schedule.pass(at(*time), due);
            due.duration_since(begun).as_millis()
        };
        frames.iter().map(due).collect()
    }

    #[test]
    fn frames_come_as_far_apart_as_they_were_captured_divided_by_the_speed() {
        assert_eq!(dues(1.0, &[500, 600, 1_600]), [0, 100, 1_100]);
        assert_eq!(dues(10.0, &[500, 600, 1_600]), [0, 10, 110]);
        assert_eq!(dues(0.5, &[500, 600, 1_600]), [0, 200, 2_200]);
    }

    #[test]
    fn frames_out_of_order_come_at_once_and_hold_up_nobody() {
        assert_eq!(dues(1.0, &[500, 600, 550, 700]), [0, 100, 100, 200]);
    }

    #[test]
    fn a_long_silence_takes_ten_seconds_and_time_runs_evenly_through_it() {
        assert_eq!(dues(1.0, &[0, 1_000_000, 1_001_000]), [0, 10_000, 11_000]);
        let (mut schedule, begun) = (schedule(1.0), Instant::now());
        schedule.pass(at(0), begun);
        assert_eq!(schedule.due(at(1_000_000), begun).shortened, Some(Duration::from_secs(1_000)));
        assert_eq!(schedule.now(at(1_000_000), begun + Duration::from_secs(5)), Some(at(500_000)));
        assert_eq!(schedule.now(at(1_000_000), begun + Duration::from_secs(11)), Some(at(1_000_000)));
    }

    #[test]
    fn a_broken_time_holds_up_nobody_until_others_agree() {
        const YEAR: i64 = 31_536_000_000;
        assert_eq!(dues(1.0, &[0, YEAR, 100, 200]), [0, 0, 100, 200]);
        assert_eq!(dues(1.0, &[0, YEAR, YEAR + 5, YEAR + 100]), [0, 0, 0, 95]);
        assert_eq!(dues(1.0, &[YEAR, 0, 1, 2, 100]), [0, 0, 0, 0, 98]);
        let (mut schedule, begun) = (schedule(1.0), Instant::now());
        schedule.pass(at(0), begun);
        assert_eq!(schedule.now(at(YEAR), begun + Duration::from_secs(5)), None);
    }

    #[test]
    fn speeds_are_numbers_in_range_or_max() {
        assert_eq!("max".parse(), Ok(Pace::Unlimited));
        assert_eq!("0".parse(), Ok(Pace::Unlimited));
        assert_eq!("1".parse(), Ok(Pace::OWN));
        for wrong in ["-1", "NaN", "inf", "fast", "", "1e9", "0.0001"] {
            assert!(wrong.parse::<Pace>().unwrap_err().to_string().contains("max"), "{wrong}");
        }
    }
}
