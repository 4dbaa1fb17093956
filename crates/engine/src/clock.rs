//! The capture clock: the largest time seen.

use std::time::Duration;

use lapwing_capture::Timestamp;

/// A forward jump longer than this is held until a second frame agrees: one frame with a broken time must not end every
/// flow.
const LARGEST_JUMP: Duration = Duration::from_secs(24 * 60 * 60);

/// Frames in a row that must lie more than a day behind the clock, and agree with each other, before they outvote a clock
/// that rests on the first frame alone. Going ahead takes two; time that runs back is what detectors are promised never to
/// see, so it takes one more, and once any second frame agreed with the first it does not happen at all.
const FRAMES_THAT_OUTVOTE_THE_FIRST: u64 = 3;

/// Frames in a row that must claim times near each other before a jump ahead of more than a day is believed; and how many when it
/// leads to what lies ahead of a clock that is known ([`Clock::now_is`]). So many are no broken ones: that clock is wrong.
const FRAMES_THAT_CONFIRM_A_JUMP: u64 = 2;
const FRAMES_THAT_OUTVOTE_THE_SYSTEM: u64 = 100;

/// How far frames may lie behind the clock before they count as late: reordering between queues is common below.
const LATE_AFTER: Duration = Duration::from_secs(1);

/// The largest capture time seen, with broken times held back and counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock {
    now: Option<Timestamp>,
    /// The last of the frames in a row that claim to be far ahead, and how many there are.
    held: Option<(Timestamp, u64)>,
    /// What is later is not believed at once.
    latest: Option<Timestamp>,
    /// A second frame lay within a day of the clock: from then on it never runs back.
    confirmed: bool,
    /// The frames in a row that contradict an unconfirmed clock: the first one's time, and how many there are.
    dissent: Option<(Timestamp, u64)>,
    /// Frames whose time ran back by more than a second.
    pub(crate) late_frames: u64,
    /// Frames whose time jumped ahead by more than a day without a second frame that agreed; a first frame that was outvoted
    /// is one of them.
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
    /// The first frame's time was broken, and the frames after it outvoted it: what was noted so far was noted at no time. The
    /// clock begins anew, and this is when the frames that agree began.
    Restart(Timestamp),
}

impl Clock {
    /// The time now; `None` before the first frame.
    #[must_use]
    pub(crate) fn now(&self) -> Option<Timestamp> {
        self.now
    }

    /// Notes what time the system's clock has, where frames come as they are captured: what is more than a day ahead of it has a
    /// broken time, until [`FRAMES_THAT_OUTVOTE_THE_SYSTEM`] agree.
    pub(crate) fn now_is(&mut self, time: Timestamp) {
        self.latest = Some(time.plus(LARGEST_JUMP));
    }

    /// Takes in one frame's time.
    pub(crate) fn observe(&mut self, time: Timestamp) -> Tick {
        let Some(now) = self.now else {
            self.now = Some(time);
            return Tick::Second(whole_second(time));
        };
        let a_day_apart = time.plus(LARGEST_JUMP) < now || time > now.plus(LARGEST_JUMP);
        if !a_day_apart {
            // Two broken ones may agree: those that come may still outvote them.
            self.confirmed |= !self.is_ahead(now);
        } else if let Some(first) = self.outvoted_by(time, now) {
            // Those before this one were counted as late.
            self.late_frames -= FRAMES_THAT_OUTVOTE_THE_FIRST - 1;
            self.held_frames += 1;
            self.now = Some(time);
            self.confirmed = true;
            return Tick::Restart(first);
        }
        if time <= now {
            self.held = None;
            if now > time.plus(LATE_AFTER) {
                self.late_frames += 1;
            }
            return Tick::Same;
        }
        if time > now.plus(LARGEST_JUMP) {
            let needed = if self.is_ahead(time) { FRAMES_THAT_OUTVOTE_THE_SYSTEM } else { FRAMES_THAT_CONFIRM_A_JUMP };
            let agreeing = match self.held {
                Some((held, frames)) if near(held, time) => frames + 1,
                _ => 1,
            };
            if agreeing < needed {
                self.held = Some((time, agreeing));
                self.held_frames += 1;
                return Tick::Held(now);
            }
        }
        self.held = None;
        self.now = Some(time);
        if time.seconds() > now.seconds() { Tick::Second(whole_second(time)) } else { Tick::Same }
    }

    /// Takes in that capture time has come to `time` without a frame; whether a new second began with that, `None` where time
    /// did not move on. What a frame alone could not do, to jump ahead by more than a day, silence cannot either: the system's
    /// clock was set.
    pub(crate) fn pass(&mut self, time: Timestamp) -> Option<bool> {
        let begins = match self.now {
            None => true,
            Some(now) if time > now && time <= now.plus(LARGEST_JUMP) => time.seconds() > now.seconds(),
            Some(_) => return None,
        };
        self.now = Some(time);
        Some(begins)
    }

    /// Notes a frame a day or more away from a clock that nothing confirmed yet; when it is the last of those needed to outvote
    /// the first frame, the time of the first of them.
    fn outvoted_by(&mut self, time: Timestamp, now: Timestamp) -> Option<Timestamp> {
        if self.confirmed || time > now {
            self.dissent = None;
            return None;
        }
        let (first, frames) = match self.dissent {
            Some((first, frames)) if near(first, time) => (first.min(time), frames + 1),
            _ => (time, 1),
        };
        self.dissent = Some((first, frames));
        (frames >= FRAMES_THAT_OUTVOTE_THE_FIRST).then_some(first)
    }

    /// Whether a time lies ahead of what the system's clock lets one believe.
    fn is_ahead(&self, time: Timestamp) -> bool {
        self.latest.is_some_and(|latest| time > latest)
    }
}

/// Whether the two lie within a day.
fn near(one: Timestamp, other: Timestamp) -> bool {
    other.nanos_since(one).unsigned_abs() <= LARGEST_JUMP.as_nanos() as u64
}

/// The whole second that `time` lies in.
pub(crate) fn whole_second(time: Timestamp) -> Timestamp {
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

    #[test]
    fn frames_ahead_of_the_systems_clock_agree_in_vain_until_they_are_many() {
        let mut clock = Clock::default();
        clock.now_is(at(200));
        clock.observe(at(100));
        clock.observe(at(101));
        assert_eq!(clock.observe(at(100 * DAY)), Tick::Held(at(101)));
        assert_eq!(clock.observe(at(100 * DAY)), Tick::Held(at(101)));
        assert_eq!(clock.observe(at(102)), Tick::Second(at(102)));
        assert_eq!((clock.held_frames, clock.late_frames), (2, 0));
        for second in 1..FRAMES_THAT_OUTVOTE_THE_SYSTEM as i64 {
            assert_eq!(clock.observe(at(100 * DAY + second)), Tick::Held(at(102)));
        }
        assert_eq!(clock.observe(at(101 * DAY)), Tick::Second(at(101 * DAY)));
    }

    #[test]
    fn first_frames_ahead_of_the_systems_clock_are_outvoted_though_they_agree() {
        let mut clock = Clock::default();
        clock.now_is(at(200));
        clock.observe(at(100 * DAY));
        clock.observe(at(100 * DAY + 1));
        clock.observe(at(100));
        clock.observe(at(101));
        assert_eq!(clock.observe(at(102)), Tick::Restart(at(100)));
        assert_eq!(clock.observe(at(103)), Tick::Second(at(103)));
    }

    #[test]
    fn a_first_frame_from_the_future_is_outvoted() {
        let mut clock = Clock::default();
        clock.observe(at(5_000 * DAY));
        assert_eq!(clock.observe(at(100)), Tick::Same);
        assert_eq!(clock.observe(at(101)), Tick::Same);
        assert_eq!(clock.observe(at(102)), Tick::Restart(at(100)));
        assert_eq!(clock.observe(at(103)), Tick::Second(at(103)));
        assert_eq!((clock.held_frames, clock.late_frames), (1, 0));
    }

    #[test]
    fn frames_that_do_not_agree_with_each_other_outvote_nothing() {
        let mut clock = Clock::default();
        clock.observe(at(100 * DAY));
        for day in [10, 20, 30, 40] {
            assert_eq!(clock.observe(at(day * DAY)), Tick::Same);
        }
        assert_eq!((clock.now(), clock.late_frames), (Some(at(100 * DAY)), 4));
    }

    #[test]
    fn it_passes_in_silence_but_does_not_jump() {
        let mut clock = Clock::default();
        clock.observe(at(100));
        assert_eq!(clock.pass(at(101)), Some(true));
        assert_eq!(clock.pass(Timestamp::from_nanos(101_500_000_000)), Some(false));
        assert_eq!(clock.pass(at(101)), None);
        assert_eq!(clock.pass(at(99)), None);
        assert_eq!(clock.pass(at(102 + DAY)), None);
        assert_eq!(clock.observe(at(103)), Tick::Second(at(103)));
    }

    #[test]
    fn a_clock_that_a_second_frame_confirmed_never_runs_back() {
        let mut clock = Clock::default();
        clock.observe(at(100 * DAY));
        clock.observe(at(100 * DAY));
        for second in 0..10 {
            assert_eq!(clock.observe(at(second)), Tick::Same);
        }
        assert_eq!(clock.now(), Some(at(100 * DAY)));
    }
}
