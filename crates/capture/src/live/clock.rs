//! Capture time that goes on evenly though somebody sets the system's clock.
//!
//! The kernel stamps frames with the system's clock, which NTP, a battery that ran empty or a person may set. A step ahead
//! would end every connection; a step back would stop capture time, and with it every window, until the clock is again where
//! it was. So a step is taken out of the frames' times as it is noticed, by a clock that nobody can set. What stands for a
//! minute is believed: a step ahead is followed at once, and after a step back capture time goes a tenth slower until both agree.

use std::time::{Duration, Instant};

use crate::Timestamp;

/// Steps below this are left in: frames may come out of order by as much.
const SMALLEST_STEP: i64 = NANOS;

/// How long a step must stand before it is followed: clocks that are set wrongly are often set again.
const HOLD: Duration = Duration::from_secs(60);

/// By which part of its pace capture time is slowed until the clock has caught up.
const SLOWDOWN: i64 = 10;

/// How long frames stamped before a step may still be in the rings.
const LEFTOVERS: Duration = Duration::from_secs(10);

/// Between two looks at the clock that nobody sets; more, and something came between, so that the system's tells nothing.
const SHARPNESS: Duration = Duration::from_millis(10);

const NANOS: i64 = 1_000_000_000;

/// The system's clock without its steps.
#[derive(Debug)]
pub(super) struct EvenClock {
    origin: Instant,
    /// The system's clock at `origin`, if it had always been as it is now: nanoseconds since 1970.
    offset: i64,
    mapping: Mapping,
    /// That before the latest step, and when it was.
    before: Option<(Mapping, Instant)>,
    /// When the latest step was that is not followed yet.
    held: Option<Instant>,
    /// Capture time now.
    now: Timestamp,
}

/// What became of the system's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It was set ahead by so many nanoseconds, or back.
    Set(i64),
    /// Capture time has gone ahead to it.
    Followed,
}

/// Capture time from the system's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Mapping {
    /// Nanoseconds that capture time is ahead.
    ahead: i64,
    /// The system's time from which on that becomes less.
    slower_from: Option<Timestamp>,
}

impl Mapping {
    fn ahead_at(self, time: Timestamp) -> i64 {
        let gone = self.slower_from.map_or(0, |from| time.nanos_since(from).max(0) / SLOWDOWN);
        if self.ahead > 0 { (self.ahead - gone).max(0) } else { self.ahead }
    }

    fn even(self, time: Timestamp) -> Timestamp {
        Timestamp::from_nanos(time.nanos().saturating_add(self.ahead_at(time)))
    }
}

impl EvenClock {
    pub(super) fn new() -> Self {
        Self::at(Instant::now(), super::wall_clock())
    }

    fn at(origin: Instant, wall: Timestamp) -> Self {
        let (mapping, offset) = (Mapping::default(), wall.nanos());
        Self { origin, offset, mapping, before: None, held: None, now: wall }
    }

    /// Capture time now, as of the latest look.
    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    /// Looks at the system's clock. To be called after frames were received and before their times are used.
    pub(super) fn look(&mut self) -> Option<Change> {
        let before = Instant::now();
        let wall = super::wall_clock();
        let after = Instant::now();
        (after.duration_since(before) < SHARPNESS).then(|| self.compare(after, wall))?
    }

    fn compare(&mut self, now: Instant, wall: Timestamp) -> Option<Change> {
        let elapsed = i64::try_from(now.duration_since(self.origin).as_nanos()).unwrap_or(i64::MAX);
        let offset = wall.nanos().saturating_sub(elapsed);
        let step = offset.saturating_sub(self.offset);
        let change = if step.abs() >= SMALLEST_STEP {
            let expected = self.mapping.even(Timestamp::from_nanos(wall.nanos().saturating_sub(step)));
            self.before = Some((self.mapping, now));
            self.mapping = Mapping { ahead: expected.nanos_since(wall), slower_from: None };
            self.offset = offset;
            self.held = Some(now);
            Some(Change::Set(step))
        } else {
            self.believe(now, wall)
        };
        self.now = self.mapping.even(wall).max(self.now);
        change
    }

    /// Follows a step that has stood long enough.
    fn believe(&mut self, now: Instant, wall: Timestamp) -> Option<Change> {
        if self.before.is_some_and(|(_, when)| now.duration_since(when) > LEFTOVERS) {
            self.before = None;
        }
        self.held.filter(|&held| now.duration_since(held) >= HOLD)?;
        self.held = None;
        if self.mapping.ahead > 0 {
            self.mapping.slower_from = Some(wall);
            return None;
        }
        let behind = std::mem::take(&mut self.mapping).ahead;
        (behind <= -SMALLEST_STEP).then_some(Change::Followed)
    }

    /// Capture time of a frame that the kernel stamped with `time`.
    pub(super) fn even(&self, time: Timestamp) -> Timestamp {
        let even = self.mapping.even(time);
        let Some((before, _)) = self.before else { return even };
        // Stamped before or after the step: whichever makes it recent.
        let other = before.even(time);
        let age = |time: Timestamp| self.now.nanos_since(time).unsigned_abs();
        if age(other) < age(even) { other } else { even }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The clock of a machine whose system clock is `ahead` seconds away from the even one at times.
    struct Machine {
        clock: EvenClock,
        begun: Instant,
    }

    const START: i64 = 1_000_000;

    impl Machine {
        fn new() -> Self {
            let begun = Instant::now();
            Self { clock: EvenClock::at(begun, Timestamp::from_seconds(START)), begun }
        }

        /// Looks at it `seconds` after the start.
        fn look(&mut self, seconds: u64, ahead: i64) -> Option<Change> {
            let wall = Timestamp::from_seconds(START + seconds as i64 + ahead);
            self.clock.compare(self.begun + Duration::from_secs(seconds), wall)
        }

        /// Seconds since the start, by capture time.
        fn now(&self) -> i64 {
            self.clock.now().seconds() - START
        }
    }

    #[test]
    fn a_step_ahead_that_is_taken_back_changes_nothing() {
        let mut machine = Machine::new();
        assert_eq!(machine.look(10, 0), None);
        assert_eq!(machine.look(11, 600), Some(Change::Set(600 * NANOS)));
        assert_eq!(machine.now(), 11);
        assert_eq!(machine.look(30, 600), None);
        assert_eq!(machine.look(31, 0), Some(Change::Set(-600 * NANOS)));
        for second in 32..200 {
            assert_eq!(machine.look(second, 0), None);
            assert_eq!(machine.now(), second as i64);
        }
        assert_eq!(machine.clock.mapping, Mapping::default());
    }

    #[test]
    fn a_step_ahead_that_stands_is_followed() {
        let mut machine = Machine::new();
        machine.look(10, 600);
        assert_eq!(machine.look(69, 600), None);
        assert_eq!(machine.look(70, 600), Some(Change::Followed));
        assert_eq!(machine.now(), 670);
    }

    #[test]
    fn after_a_step_back_time_goes_slower_until_both_agree_and_never_back() {
        let mut machine = Machine::new();
        machine.look(10, -60);
        let mut before = machine.now();
        for second in 11..1_000 {
            machine.look(second, -60);
            let now = machine.now();
            assert!(now == before || now == before + 1, "{now} after {before}");
            before = now;
        }
        assert_eq!(machine.now(), 999 - 60);
    }

    #[test]
    fn frames_that_waited_in_the_ring_keep_the_time_they_had() {
        let mut machine = Machine::new();
        machine.look(10, 0);
        let stamped_before = Timestamp::from_seconds(START + 10);
        machine.look(11, 600);
        assert_eq!(machine.clock.even(stamped_before), stamped_before);
        assert_eq!(machine.clock.even(Timestamp::from_seconds(START + 611)), Timestamp::from_seconds(START + 11));
    }
}
