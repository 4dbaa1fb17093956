//! The capture clock: the largest time seen.

use std::time::Duration;

use lapwing_capture::Timestamp;

/// A forward jump longer than this is held until a second frame agrees: one frame with a broken time must not end every
/// flow.
const LARGEST_JUMP: Duration = Duration::from_secs(24 * 60 * 60);

/// How far frames may lie behind the clock before they count as late: reordering between queues is common below.
const LATE_AFTER: Duration = Duration::from_secs(1);

/// The largest capture time seen, with broken times held back and counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock {
    now: Option<Timestamp>,
    held: Option<Timestamp>,
    /// Frames whose time ran back by more than a second.
    pub(crate) late_frames: u64,
    /// Frames whose time jumped ahead by more than a day without a second frame that agreed.
    pub(crate) held_frames: u64,
}

/// What the clock made of a frame's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tick {
    /// The clock stands in the same second as before.
    Same,
    /// A new whole second began.
    Second(Timestamp),
    /// The time is not believed: the frame counts as captured now.
    Held(Timestamp),
}

impl Clock {
    /// The time now; `None` before the first frame.
    #[must_use]
    pub(crate) fn now(&self) -> Option<Timestamp> {
        self.now
    }

    /// Takes in one frame's time.
    pub(crate) fn observe(&mut self, time: Timestamp) -> Tick {
        let Some(now) = self.now else {
            self.now = Some(time);
            return Tick::Second(whole_second(time));
        };
        if time <= now {
            self.held = None;
            if now > time.plus(LATE_AFTER) {
                self.late_frames += 1;
            }
            return Tick::Same;
        }
        if time > now.plus(LARGEST_JUMP) && !self.agrees(time) {
            self.held = Some(time);
            self.held_frames += 1;
            return Tick::Held(now);
        }
        self.held = None;
        self.now = Some(time);
        if time.seconds() > now.seconds() { Tick::Second(whole_second(time)) } else { Tick::Same }
    }

    /// Whether the frame before also claimed a time near this one.
    fn agrees(&self, time: Timestamp) -> bool {
        self.held.is_some_and(|held| time.nanos_since(held).unsigned_abs() <= LARGEST_JUMP.as_nanos() as u64)
    }
}

fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_seconds(time.seconds())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 60 * 60;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn it_never_runs_back() {
        let mut clock = Clock::default();
        clock.observe(at(100));
        assert_eq!(clock.observe(at(50)), Tick::Same);
        assert_eq!(clock.now(), Some(at(100)));
        assert_eq!(clock.late_frames, 1);
    }

    #[test]
    fn one_frame_from_the_future_is_held() {
        let mut clock = Clock::default();
        clock.observe(at(100));
        assert_eq!(clock.observe(at(100 + 2 * DAY)), Tick::Held(at(100)));
        assert_eq!(clock.observe(at(101)), Tick::Second(at(101)));
        assert_eq!(clock.held_frames, 1);
    }

    #[test]
    fn a_second_frame_confirms_a_jump() {
        let mut clock = Clock::default();
        clock.observe(at(100));
        clock.observe(at(100 + 2 * DAY));
        assert_eq!(clock.observe(at(101 + 2 * DAY)), Tick::Second(at(101 + 2 * DAY)));
    }
}
