//! Time in the simulation: who does something when, and the frames that come of it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use lapwing_capture::Timestamp;
use lapwing_learn::Random;

use super::truth::Truth;

/// A habit of a device, or an attack: something that goes on for a while.
pub(super) trait Activity: Send {
    /// Does the next piece at `now`: frames pass from then on, over a few seconds at most. Returns when it goes on, `None` when
    /// it is over.
    fn go_on(&mut self, world: &mut World, now: Timestamp) -> Option<Timestamp>;
}

impl<F: FnMut(&mut World, Timestamp) -> Option<Timestamp> + Send> Activity for F {
    fn go_on(&mut self, world: &mut World, now: Timestamp) -> Option<Timestamp> {
        self(world, now)
    }
}

/// Everything that goes on.
pub(super) struct World {
    pub(super) random: Random,
    pub(super) truth: Arc<Truth>,
    pub(super) start: Timestamp,
    /// When each activity goes on.
    activities: BinaryHeap<Reverse<(Timestamp, u64, usize)>>,
    /// The places of those that are over are used again.
    doing: Vec<Option<Box<dyn Activity>>>,
    /// Frames of conversations that have begun.
    frames: BinaryHeap<Reverse<(Timestamp, u64, Vec<u8>)>>,
    /// Things of one moment come in the order in which they were made up.
    sequence: u64,
    next_port: u16,
    next_identification: u16,
}

impl World {
    pub(super) fn new(seed: u64, start: Timestamp) -> Self {
        Self {
            random: Random::new(seed),
            truth: Arc::default(),
            start,
            activities: BinaryHeap::new(),
            doing: Vec::new(),
            frames: BinaryHeap::new(),
            sequence: 0,
            next_port: 40_000,
            next_identification: 1,
        }
    }

    /// From `at` on, does this too.
    pub(super) fn begin(&mut self, at: Timestamp, activity: impl Activity + 'static) {
        let free = self.doing.iter().position(Option::is_none);
        let place = free.unwrap_or_else(|| {
            self.doing.push(None);
            self.doing.len() - 1
        });
        self.doing[place] = Some(Box::new(activity));
        self.schedule(at, place);
    }

    fn schedule(&mut self, at: Timestamp, place: usize) {
        self.sequence += 1;
        self.activities.push(Reverse((at, self.sequence, place)));
    }

    /// A frame passes the switch at `at`.
    pub(super) fn pass(&mut self, at: Timestamp, frame: Vec<u8>) {
        self.sequence += 1;
        self.frames.push(Reverse((at, self.sequence, frame)));
    }

    /// The next frame; `None` when nothing goes on any more.
    pub(super) fn next_frame(&mut self) -> Option<(Timestamp, Vec<u8>)> {
        loop {
            let next_frame = self.frames.peek().map(|Reverse((time, _, _))| *time);
            let next_activity = self.activities.peek().map(|Reverse((time, _, _))| *time);
            match (next_frame, next_activity) {
                // What an activity does now may come before the frame.
                (frame, Some(activity)) if frame.is_none_or(|frame| activity <= frame) => self.go_on(),
                (None, _) => return None,
                (Some(_), _) => return self.frames.pop().map(|Reverse((time, _, frame))| (time, frame)),
            }
        }
    }

    fn go_on(&mut self) {
        let Some(Reverse((now, _, place))) = self.activities.pop() else { return };
        let Some(mut activity) = self.doing[place].take() else { return };
        if let Some(next) = activity.go_on(self, now) {
            // Its place may have been taken by what it began.
            let free =
                if self.doing[place].is_none() { Some(place) } else { self.doing.iter().position(Option::is_none) };
            let place = free.unwrap_or_else(|| {
                self.doing.push(None);
                self.doing.len() - 1
            });
            self.doing[place] = Some(activity);
            self.schedule(next.max(now), place);
        }
    }

    /// A port that a client chooses (the usual range of Linux).
    pub(super) fn port(&mut self) -> u16 {
        self.next_port =
            if self.next_port >= 60_900 { 32_768 } else { self.next_port + 1 + self.random.below(7) as u16 };
        self.next_port
    }

    /// The identification of the next IP packet.
    pub(super) fn identification(&mut self) -> u16 {
        self.next_identification = self.next_identification.wrapping_add(1);
        self.next_identification
    }

    /// A duration between the two, in seconds.
    pub(super) fn between(&mut self, least: f64, most: f64) -> Duration {
        Duration::from_secs_f64(least + (most - least) * self.random.unit())
    }

    /// A whole number from `least` to `most`.
    pub(super) fn number(&mut self, least: usize, most: usize) -> usize {
        least + self.random.below(most - least + 1)
    }

    /// Bytes that mean nothing, as encrypted ones look.
    pub(super) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            bytes.extend(self.random.next_u64().to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }
}
